"""Functions of ``torch`` in its library's order of arguments, where ``nn.functional`` has another.

Losses take their reduction by number here: 0 none, 1 mean, 2 sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...engine import Tensor
from ...linalg import norms
from ...tensor.install import FUNCTIONS
from . import activation, bags, loss, normalization, sequences
from .dropout import alpha_dropout as _alpha
from .dropout import dropout as _drop
from .dropout import feature_alpha_dropout as _feature_alpha
from .dropout import feature_dropout as _feature
from .padding import channel_shuffle

_MODES = ("sum", "mean", "max")
_REDUCTIONS = ("none", "mean", "sum")


def _named(reduction: int | str) -> str:
    return reduction if isinstance(reduction, str) else _REDUCTIONS[reduction]


# ---------------------------------------------------------------- normalisations
def batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Tensor:
    """``nn.functional.batch_norm``."""
    return normalization.batch_norm(
        input, running_mean, running_var, weight, bias, training, momentum, eps
    )


def instance_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Tensor:
    """``nn.functional.instance_norm``."""
    return normalization.instance_norm(
        input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
    )


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor:
    """``nn.functional.layer_norm``."""
    return normalization.layer_norm(input, normalized_shape, weight, bias, eps)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:
    """``nn.functional.group_norm``."""
    return normalization.group_norm(input, num_groups, weight, bias, eps)


def norm_except_dim(v: Tensor, pow: int = 2, dim: int = 0) -> Tensor:
    """Lengths over all dimensions but one, which is kept; of the whole tensor for -1."""
    x: Any = v
    if dim == -1:
        return x.norm(pow)  # type: ignore[no-any-return]
    if not 0 <= dim < x.dim():
        raise IndexError(f"norm_except_dim: dim {dim} of a tensor with {x.dim()} dimensions")
    others = [d for d in range(x.dim()) if d != dim]
    if not others:
        return x.abs()  # type: ignore[no-any-return]
    return norms.vector_norm(x, pow, others, True)


def frobenius_norm(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """The root of the sum of squares over dimensions; over all of them when none is given."""
    given = [dim] if isinstance(dim, int) else dim
    return norms.vector_norm(input, 2, given or None, keepdim, out=out)


def nuclear_norm(
    input: Tensor, dim: Any = (0, 1), keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """The sum of the singular values of matrices."""
    if isinstance(dim, bool):  # nuclear_norm(x, keepdim)
        dim, keepdim = (0, 1), dim
    if dim == (0, 1) and len(input.shape) != 2:
        raise RuntimeError(
            f"nuclear_norm: Expected a tensor with 2 dimensions, but got a tensor with "
            f"{len(input.shape)} dimensions instead."
        )
    return norms.matrix_norm(input, "nuc", dim, keepdim, out=out)


# ---------------------------------------------------------------- tables
def embedding(
    weight: Tensor,
    indices: Tensor,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """``nn.functional.embedding`` with the table first; a negative ``padding_idx`` means none."""
    pad = padding_idx if padding_idx >= 0 else None
    return bags.embedding(indices, weight, pad, None, 2.0, scale_grad_by_freq, sparse)


def embedding_bag(
    weight: Tensor,
    indices: Tensor,
    offsets: Tensor,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """``nn.functional.embedding_bag`` with the table first and its mode by number: 0 sum, 1 mean,
    2 max; then the bag of every entry, the sizes of the bags, and no maxima."""
    out = bags.embedding_bag(
        indices, weight, offsets, None, 2.0, scale_grad_by_freq, _MODES[mode], sparse,
        per_sample_weights, include_last_offset, padding_idx,
    )  # fmt: skip
    starts: Any = offsets[:-1] if include_last_offset else offsets
    after = FUNCTIONS["searchsorted"](starts, FUNCTIONS["arange"](indices.numel()), right=True)  # type: ignore[attr-defined]
    sizes = FUNCTIONS["bincount"](after - 1, minlength=starts.numel())
    return out, after - 1, sizes, FUNCTIONS["zeros_like"](starts)


def embedding_renorm_(
    input: Tensor, indices: Tensor, max_norm: float, norm_type: float = 2.0
) -> Tensor:
    """The rows at ``indices`` scaled down to ``max_norm``, in place."""
    bags.renormalise(input, indices, max_norm, norm_type)
    return input


# ---------------------------------------------------------------- dropout
def dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """``nn.functional.dropout``; its mode has to be given."""
    return _drop(input, p, train)


def dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """``dropout`` in place."""
    return _drop(input, p, train, True)


def alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """``nn.functional.alpha_dropout``."""
    return _alpha(input, p, train)


def alpha_dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """``alpha_dropout`` in place."""
    return _alpha(input, p, train, True)


def feature_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """Whole channels (dimension 1) dropped with probability ``p``."""
    return _feature(input, p, train)


def feature_dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """``feature_dropout`` in place."""
    return _feature(input, p, train, True)


def feature_alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """``nn.functional.feature_alpha_dropout``."""
    return _feature_alpha(input, p, train)


def feature_alpha_dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """``feature_alpha_dropout`` in place."""
    return _feature_alpha(input, p, train, True)


# ---------------------------------------------------------------- activations in place
def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """``celu`` in place."""
    return activation.celu(input, alpha, True)


def selu_(input: Tensor) -> Tensor:
    """``selu`` in place."""
    return activation.selu(input, True)


def rrelu_(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
) -> Tensor:
    """``rrelu`` in place."""
    return activation.rrelu(input, lower, upper, training, True)


def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """``threshold`` in place."""
    return activation.threshold(input, threshold, value, True)


native_channel_shuffle = channel_shuffle


# ---------------------------------------------------------------- losses
def hinge_embedding_loss(
    input: Tensor, target: Tensor, margin: float = 1.0, reduction: int | str = 1
) -> Tensor:
    """``nn.functional.hinge_embedding_loss``."""
    return loss.hinge_embedding_loss(input, target, margin, reduction=_named(reduction))


def kl_div(
    input: Tensor, target: Tensor, reduction: int | str = 1, *, log_target: bool = False
) -> Tensor:
    """``nn.functional.kl_div``."""
    if reduction in (1, "mean"):  # without nn.functional's warning that it is no divergence
        each: Any = loss.kl_div(input, target, reduction="none", log_target=log_target)
        return each.mean()  # type: ignore[no-any-return]
    return loss.kl_div(input, target, reduction=_named(reduction), log_target=log_target)


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    reduction: int | str = 1,
) -> Tensor:
    """``nn.functional.cosine_embedding_loss``."""
    return loss.cosine_embedding_loss(input1, input2, target, margin, reduction=_named(reduction))


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    reduction: int | str = 1,
) -> Tensor:
    """``nn.functional.margin_ranking_loss``."""
    return loss.margin_ranking_loss(input1, input2, target, margin, reduction=_named(reduction))


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: int | str = 1,
) -> Tensor:
    """``nn.functional.triplet_margin_loss``."""
    return loss.triplet_margin_loss(
        anchor, positive, negative, margin, p, eps, swap, reduction=_named(reduction)
    )


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool,
    full: bool,
    eps: float,
    reduction: int | str,
) -> Tensor:
    """``nn.functional.poisson_nll_loss``."""
    return loss.poisson_nll_loss(
        input, target, log_input, full, eps=eps, reduction=_named(reduction)
    )


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    reduction: int | str = 1,
) -> Tensor:
    """``nn.functional.binary_cross_entropy_with_logits``."""
    return loss.binary_cross_entropy_with_logits(
        input, target, weight, reduction=_named(reduction), pos_weight=pos_weight
    )


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: int | str = 1,
    zero_infinity: bool = False,
) -> Tensor:
    """``nn.functional.ctc_loss``."""
    return sequences.ctc_loss(
        log_probs, targets, input_lengths, target_lengths, blank, _named(reduction), zero_infinity
    )
