"""`scatter_reduce` and `index_reduce`: what comes to one place is summed, averaged, multiplied, or
the extreme stays.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight import engine
from rushlight.engine import Tensor
from rushlight.graph.ops import combine as rows
from rushlight.graph.ops import elementwise as ew
from rushlight.graph.ops import movement
from rushlight.tensor import shape as sh
from rushlight.tensor.creation import ones_like
from rushlight.tensor.gather import axis, scattered, slices, written
from rushlight.tensor.install import both, need_tensor
from rushlight.tensor.math import div

apply: Callable[..., Tensor] = engine.apply
look: Callable[..., Tensor] = engine.view


def _neutral(x: Tensor, how: str) -> Any:
    """What changes nothing."""
    if how == "prod":
        return 1
    if x.dtype.rank > 1:
        return -math.inf if how == "amax" else math.inf
    if x.dtype.kind == "b":
        return how == "amin"
    facts = np.iinfo(x.dtype.numpy)
    return int(facts.min if how == "amax" else facts.max)


def _reduced(x: Tensor, dim: int, index: Tensor, src: Tensor, how: str, with_self: bool) -> Tensor:
    if how in ("sum", "mean"):
        base = x if with_self else scattered(x, dim, index, 0, False)
        total = scattered(base, dim, index, src, True)
        if how == "sum":
            return total
        ones = ones_like(engine.detach(x))
        if not with_self:
            ones = scattered(ones, dim, index, 0, False)
        counts = scattered(ones, dim, index, ones_like(engine.detach(src)), True)
        counts = apply(ew.maximum, counts, 1)
        if x.dtype.rank < 2:
            return div(total, counts, rounding_mode="floor")
        return apply(ew.div, total, counts)
    d = axis(x, dim)
    if tuple(src.shape) != tuple(index.shape):
        if len(src.shape) != len(index.shape):
            raise RuntimeError("Index tensor must have the same number of dimensions as src tensor")
        for k, n in enumerate(index.shape):
            if n > src.shape[k]:
                raise RuntimeError(
                    f"Expected index {list(index.shape)} to be no larger than self "
                    f"{list(x.shape)} apart from dimension {d} and to be no larger size than src "
                    f"{list(src.shape)}"
                )
            src = look(movement.slice_, src, (k, 0, n, 1))
    if not index.shape.numel():
        return apply(ew.copy, x)
    base = x if with_self else scattered(x, dim, index, _neutral(x, how), False)
    return apply(rows.combine, base, index, src, arg=(d, how))


@both()
def scatter_reduce(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
) -> Tensor:
    """`scatter` that combines what comes to the same place: sum, mean, prod, amax or amin."""
    need_tensor(input, "scatter_reduce")
    need_tensor(index, "scatter_reduce", "index", 3)
    need_tensor(src, "scatter_reduce", "src", 4)
    if reduce not in ("sum", "mean", "prod", "amax", "amin"):
        raise RuntimeError(
            f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}"
        )
    return _reduced(input, dim, index, src, reduce, include_self)


@both()
def index_reduce(
    input: Tensor,
    dim: int,
    index: Tensor,
    source: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
) -> Tensor:
    """Slices of `source` combined with those that a vector names: prod, mean, amax or amin."""
    need_tensor(input, "index_reduce")
    need_tensor(source, "index_reduce", "source", 4)
    if reduce not in ("mean", "prod", "amax", "amin"):
        raise RuntimeError(
            "index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got "
            f"{reduce}"
        )
    d, places = slices(input, dim, index, "index_reduce")
    x = input if input.shape else look(movement.unsqueeze, input, 0)
    src = source if source.shape else look(movement.unsqueeze, source, 0)
    line = sh.reshaped(
        places, tuple(places.shape[0] if k == d else 1 for k in range(len(src.shape)))
    )
    wide = look(movement.expand, line, tuple(src.shape))
    return sh.reshaped(_reduced(x, d, wide, src, reduce, include_self), tuple(input.shape))


for _f in (scatter_reduce, index_reduce):
    written(f"{_f.__name__}_", _f)
