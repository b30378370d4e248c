"""Losses.  Those with a row of their own are one record, gradient included; the others are
composed.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, Final

from ... import engine
from ...engine import Tensor, apply
from ...engine.core import record2
from ...graph.op import Op
from ...graph.ops import elementwise as ew
from ...graph.ops import losses as rows
from ...tensor.gather import within
from .normalization import legacy_reduction, pairwise_distance

# The argument of a loss by its reduction, as most losses are called.
_ARGS: Final[dict[Any, tuple[str]]] = {"mean": ("mean",), "sum": ("sum",), "none": ("none",)}
_MSE: Final[int] = rows.mse_loss.code
_BCE: Final[int] = rows.binary_cross_entropy.code


def _reduction(reduction: str, size_average: bool | None, reduce: bool | None) -> str:
    if size_average is not None or reduce is not None:
        return legacy_reduction(size_average, reduce, 5)
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return reduction


def reduced(loss: Any, reduction: str) -> Tensor:
    """A loss as it is, its mean or its sum."""
    if reduction == "none":
        return loss  # type: ignore[no-any-return]
    return loss.mean() if reduction == "mean" else loss.sum()  # type: ignore[no-any-return]


def _warn_sizes(x: Tensor, target: Tensor) -> None:
    if x.shape != target.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({x.shape}). "
            "This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=3,
        )


def _pair(
    op: Op, x: Tensor, target: Tensor, reduction: str, weight: Any, *numbers: float
) -> Tensor:
    """A loss of pairs, weighted or not."""
    if weight is None:
        return apply(op, x, target, *numbers, arg=(reduction,))
    each: Any = apply(op, x, target, *numbers, arg=("none",))
    if weight.shape != x.shape:
        raise ValueError("Inputs and weights must have the same size.")
    total = (each * weight).sum() if reduction != "none" else each * weight
    return total / weight.sum() if reduction == "mean" else total  # type: ignore[no-any-return]


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """``(x - t)^2``."""
    if weight is None is size_average is reduce and input.shape == target.shape:
        arg = _ARGS.get(reduction)
        if arg is not None:
            return record2(_MSE, input, target, arg)
    _warn_sizes(input, target)
    return _pair(rows.mse_loss, input, target, _reduction(reduction, size_average, reduce), weight)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """``|x - t|``."""
    _warn_sizes(input, target)
    return _pair(rows.l1_loss, input, target, _reduction(reduction, size_average, reduce), weight)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """``|x - t|``, squared and scaled to fit where below ``beta``."""
    _warn_sizes(input, target)
    reduction = _reduction(reduction, size_average, reduce)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    if beta == 0.0:
        return apply(rows.l1_loss, input, target, arg=(reduction,))
    return apply(rows.smooth_l1_loss, input, target, float(beta), arg=(reduction,))


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """``(x - t)^2 / 2`` where ``|x - t|`` is at most ``delta``, a straight line beyond."""
    _warn_sizes(input, target)
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    return _pair(
        rows.huber_loss, input, target, _reduction(reduction, None, None), weight, float(delta)
    )


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """``-log softmax(x)`` at the target class; logits (N, C, ...), targets (N, ...) or
    probabilities.
    """
    reduction = _reduction(reduction, size_average, reduce)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    extra = () if weight is None else (weight,)
    smoothing = float(label_smoothing)
    if target.shape == input.shape:
        if target.dtype.rank < 2:
            raise RuntimeError(
                "Expected floating point type for target with class probabilities, got "
                f"{target.dtype.typename}; class indices have the input's shape without its "
                "dimension of classes"
            )
        if ignore_index >= 0:
            raise RuntimeError("ignore_index is not supported for floating point target")
        return apply(rows.cross_entropy_soft, input, target, *extra, arg=(reduction, smoothing))
    return apply(
        rows.cross_entropy, input, target, *extra, arg=(reduction, ignore_index, smoothing)
    )


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``-x`` at the target class; log-probabilities (N, C, ...), targets (N, ...)."""
    reduction = _reduction(reduction, size_average, reduce)
    extra = () if weight is None else (weight,)
    return apply(rows.nll_loss, input, target, *extra, arg=(reduction, ignore_index))


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``-(t log x + (1 - t) log(1 - x))`` of probabilities; logarithms count as at least -100."""
    if weight is None is size_average is reduce and target.shape == input.shape:
        arg = _ARGS.get(reduction)
        if arg is not None:
            return record2(_BCE, input, target, arg)
    reduction = _reduction(reduction, size_average, reduce)
    if target.shape != input.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}) is "
            "deprecated. Please ensure they have the same size."
        )
    if weight is None:
        return apply(rows.binary_cross_entropy, input, target, arg=(reduction,))
    w: Any = weight
    return apply(rows.binary_cross_entropy, input, target, w.expand(*input.shape), arg=(reduction,))


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Binary cross-entropy of ``sigmoid(x)``, without overflow."""
    reduction = _reduction(reduction, size_average, reduce)
    if target.shape != input.shape:
        raise ValueError(
            f"Target size ({target.shape}) must be the same as input size ({input.shape})"
        )
    extra = () if weight is None else (weight,)
    if pos_weight is None:
        return apply(rows.binary_cross_entropy_with_logits, input, target, *extra, arg=(reduction,))
    return apply(
        rows.binary_cross_entropy_with_logits_pos,
        input,
        target,
        pos_weight,
        *extra,
        arg=(reduction,),
    )


# ---------------------------------------------------------------- composed
def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """``t (log t - x)`` of log-probabilities x; "batchmean" divides by the batch, as the definition
    does.
    """
    t: Any = target
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(size_average, reduce)
    elif reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math "
            "definition."
            "'mean' will be changed to behave the same as 'batchmean' in the next major release.",
            stacklevel=2,
        )
    each = t.exp() * (t - input) if log_target else t.xlogy(t) - t * input
    if reduction == "batchmean":
        whole = each.sum()
        return whole / input.shape[0] if len(input.shape) else whole  # type: ignore[no-any-return]
    return reduced(each, _reduction(reduction, None, None))


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood of counts; ``full`` adds Stirling's term."""
    reduction = _reduction(reduction, size_average, reduce)
    x: Any = input
    t: Any = target
    each = x.exp() - t * x if log_input else x - t * (x + eps).log()
    if full:
        stirling = t * t.log() - t + 0.5 * (2 * math.pi * t).log()
        each = each + stirling.where(t > 1, t * 0.0)
    return reduced(each, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood of normal values with variances ``var``, which count as at least
    ``eps``.
    """
    x: Any = input
    v: Any = var
    if isinstance(v, float):
        if v < 0:
            raise ValueError("var has negative entry/entries")
        v = x.detach() * 0.0 + v
    if v.shape != x.shape:
        if tuple(x.shape[:-1]) == tuple(v.shape):
            v = v.unsqueeze(-1)
        elif len(x.shape) != len(v.shape) or [
            m for n, m in zip(x.shape, v.shape, strict=True) if n != m
        ] != [1]:
            raise ValueError("var is of incorrect size")
    if engine.item((v < 0).any()):
        raise ValueError("var has negative entry/entries")
    floor = v.detach().clamp_min(eps)
    v = v + (floor - v.detach())  # clamped without cutting the gradient
    each = 0.5 * (v.log() + (x - target) ** 2 / v)
    each = each + 0.5 * math.log(2 * math.pi) if full else each
    return reduced(each, _reduction(reduction, None, None))


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``x`` where the target is 1, ``max(0, margin - x)`` where it is -1."""
    reduction = _reduction(reduction, size_average, reduce)
    x: Any = input
    t: Any = target
    nothing = x * 0.0
    each = (margin - x).clamp_min(0).where(t != 1, nothing) + x.where(t != -1, nothing)
    return reduced(each, reduction)


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``max(0, -t (x1 - x2) + margin)``."""
    reduction = _reduction(reduction, size_average, reduce)
    if len(input1.shape) != len(input2.shape) or len(input1.shape) != len(target.shape):
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            "input1: "
            f"{input1.shape}, input2: {input2.shape}, target: {target.shape} "
        )
    t: Any = target
    return reduced((-t * (input1 - input2) + margin).clamp_min(0), reduction)


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``log(1 + exp(-t x))``."""
    reduction = _reduction(reduction, size_average, reduce)
    return apply(rows.soft_margin_loss, input, target, arg=(reduction,))


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Binary cross-entropy with logits, averaged over the classes (last dimension)."""
    reduction = _reduction(reduction, size_average, reduce)
    labels = target if target.dtype is input.dtype else apply(ew.cast, target, arg=input.dtype)
    each: Any = apply(rows.binary_cross_entropy_with_logits, input, labels, arg=("none",))
    each = each if weight is None else each * weight
    return reduced(each.sum(-1) / input.shape[-1], reduction)


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``max(0, margin - x[t] + x[i])^p`` summed over the other classes, over their number."""
    reduction = _reduction(reduction, size_average, reduce)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    x: Any = input
    t: Any = target
    if weight is not None and len(weight.shape) != 1:
        raise ValueError("weight must be one-dimensional")
    alone = len(x.shape) < 2
    if alone:
        x, t = x.reshape(1, -1), t.reshape(1)
    if tuple(t.shape) != (x.shape[0],):
        raise RuntimeError(
            "multi_margin_loss: target tensor should be 1-D with size equal to the number of input "
            f"samples (batch size). Expected target size [{x.shape[0]}], but got "
            f"{list(t.shape)}. Input has shape {list(x.shape)}."
        )
    t = within(t, x.shape[1], "target out of range")
    at = t.unsqueeze(1)
    each = (margin - x.gather(1, at) + x).clamp_min(0)
    each = each if p == 1 else each * each
    if weight is not None:
        w: Any = weight
        each = each * w[t].unsqueeze(1)
    each = each.scatter(1, at, 0.0).sum(1) / x.shape[1]
    return reduced(each.squeeze(0) if alone else each, reduction)


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``1 - cos`` where the target is 1, ``max(0, cos - margin)`` where it is -1."""
    reduction = _reduction(reduction, size_average, reduce)
    a: Any = input1
    b: Any = input2
    t: Any = target
    dim = len(t.shape)
    eps = 1e-12
    cos = (a * b).sum(dim) / (((a * a).sum(dim) + eps) * ((b * b).sum(dim) + eps)).sqrt()
    nothing = cos * 0.0
    each = (1.0 - cos).where(t == 1, nothing) + (cos - margin).clamp_min(0).where(t == -1, nothing)
    return reduced(each, reduction)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``max(0, d(a, p) - d(a, n) + margin)`` of p-norm distances."""
    reduction = _reduction(reduction, size_average, reduce)
    ranks = [len(x.shape) for x in (anchor, positive, negative)]
    if len(set(ranks)) > 1:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {ranks[0]}D, positive {ranks[1]}D, and negative "
            f"{ranks[2]}D inputs"
        )
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    near: Any = pairwise_distance(anchor, positive, p, eps)
    far: Any = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = far.minimum(pairwise_distance(positive, negative, p, eps))
    return reduced((near - far + margin).clamp_min(0), reduction)
