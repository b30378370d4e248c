"""Losses of margins that take a distance, or several classes for each row; pairs of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import engine
from ...base import dtype as dt
from ...engine import Tensor, apply
from ...graph.ops import indexing
from ...tensor import reduce as rd
from ...tensor.gather import within
from ...tensor.install import refuse
from .loss import _reduction, reduced
from .normalization import pairwise_distance


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """``max(0, d(a, p) - d(a, n) + margin)`` of a distance of one's own."""
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not len(anchor.shape) == len(positive.shape) == len(negative.shape):
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {len(anchor.shape)}D, positive {len(positive.shape)}D, "
            f"and negative {len(negative.shape)}D inputs"
        )
    d: Any = pairwise_distance if distance_function is None else distance_function
    near, far = d(anchor, positive), d(anchor, negative)
    if swap:
        far = far.minimum(d(positive, negative))
    return reduced((near - far + margin).clamp_min(0), _reduction(reduction, None, None))


def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``max(0, 1 - (x[t] - x[i]))`` summed over a row's classes ``t`` (up to the first -1) and the
    others ``i``, over the number of classes.
    """
    reduction = _reduction(reduction, size_average, reduce)
    x: Any = input
    y: Any = target
    if tuple(x.shape) != tuple(y.shape) or len(x.shape) > 2:
        raise RuntimeError(
            f"inconsistent target size: {list(y.shape)} for input of size: {list(x.shape)}"
        )
    if 0 in x.shape[-1:]:
        raise RuntimeError(
            "Expected non-empty vector or matrix with optional 0-dim batch size, but got: "
            f"{list(x.shape)}"
        )
    alone = len(x.shape) < 2
    x, y = x.reshape(1, -1) if alone else x, y.reshape(1, -1) if alone else y
    count = x.shape[1]
    y = within(y, count, "argument #2 'target' is out of range", besides=-1)
    counted = (y >= 0).cumprod(1) != 0  # before the first -1
    at = y.clamp_min(0)
    wanted = counted.new_zeros(tuple(x.shape), dtype=dt.int64)
    wanted = wanted.scatter_add(1, at, counted.long()) != 0
    each = (1 - x.gather(1, at).unsqueeze(2) + x.unsqueeze(1)).clamp_min(0)
    each = each.masked_fill(~(counted.unsqueeze(2) & ~wanted.unsqueeze(1)), 0.0)
    rows = each.sum((1, 2)) / count
    return reduced(rows.squeeze(0) if alone else rows, reduction)


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """Distances between all pairs of different rows of a matrix."""
    if len(input.shape) != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {len(input.shape)}D")
    refuse(input, "buic", "pdist only supports floating-point dtypes", RuntimeError)
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    rows = np.triu_indices(input.shape[0], 1)
    first, second = (
        apply(
            indexing.index,
            input,
            engine.own_array(np.ascontiguousarray(i, np.int64), dt.int64, input.device),
            arg=(0,),
        )
        for i in rows
    )
    return rd.vector_norm(first - second, float(p), (1,), False)
