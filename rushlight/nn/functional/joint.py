"""A linear layer and its cross-entropy as one: ``linear_cross_entropy``."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

from ...engine import Tensor
from .linear import linear
from .loss import cross_entropy

__all__ = ["LinearCrossEntropyOptions", "linear_cross_entropy"]


@dataclasses.dataclass(slots=True, frozen=True)
class LinearCrossEntropyOptions:
    """How PyTorch splits the work.  The result does not depend on it, and nothing is split here."""

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: Literal["accurate", "balanced", "compact", "auto"] = "auto"
    acc_dtype: Any = None


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: LinearCrossEntropyOptions | None = None,
) -> Tensor:
    """``cross_entropy(linear(input, linear_weight, linear_bias), target)``.

    ``input`` (N, in) or (in); ``linear_weight`` (classes, *, in), for targets of (N, *).
    """
    x: Any = input
    w: Any = linear_weight
    b: Any = linear_bias
    if x.dim() not in (1, 2):
        raise RuntimeError(f"expected input with dimensionality 1 or 2, got {x.dim()}")
    if w.dim() < 2:
        raise RuntimeError(f"expected linear_weight with dimensionality at least 2, got {w.dim()}")
    if x.shape[-1] != w.shape[-1]:
        raise RuntimeError(
            "expected equal input and linear_weight last dimensions (in_features), "
            f"got {x.shape[-1]} and {w.shape[-1]}, respectively"
        )
    out = tuple(w.shape[:-1])
    if b is not None and tuple(b.shape) != out:
        raise RuntimeError(f"expected linear_bias shape {out}, got {tuple(b.shape)}")
    if len(out) > 1 and x.dim() == 1:
        raise RuntimeError(
            f"K-dimensional loss defined by linear_weight shape {tuple(w.shape)} requires"
            f" batched input, (N, {x.shape[-1]}), got unbatched"
            f" input with shape {tuple(x.shape)}"
        )
    shape = (*x.shape[:-1], *out)
    if tuple(target.shape) == shape and ignore_index is not None:
        raise RuntimeError("ignore_index cannot be specified when target contains probabilities")
    if len(out) > 1:
        w = w.reshape(math.prod(out), w.shape[-1])
        b = None if b is None else b.reshape(-1)
    logits: Any = linear(x, w, b)
    return cross_entropy(
        logits.reshape(shape),
        target,
        weight=weight,
        reduction=reduction,
        ignore_index=-100 if ignore_index is None else ignore_index,
        label_smoothing=label_smoothing,
    )
