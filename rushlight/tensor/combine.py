"""`scatter_reduce`, `index_reduce` and `segment_reduce`: what comes to one place is summed,
averaged, multiplied, or the extreme stays.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.engine import Tensor
from rushlight.graph.ops import combine as rows
from rushlight.graph.ops import elementwise as ew
from rushlight.graph.ops import indexing as rows_at
from rushlight.graph.ops import movement
from rushlight.tensor import shape as sh
from rushlight.tensor.creation import ones_like, owned
from rushlight.tensor.gather import (
    axis,
    in_order,
    index_add,
    index_select,
    scattered,
    slices,
    written,
)
from rushlight.tensor.install import (
    both,
    function,
    let_write,
    need_tensor,
)
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
    return _reduced(in_order(input), dim, index, src, reduce, include_self)


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
    x = in_order(x)
    apply(rows_at.index_select, x, places, arg=(d,))  # not read: places are refused in its words
    return sh.reshaped(_reduced(x, d, wide, src, reduce, include_self), tuple(input.shape))


for _f in (scatter_reduce, index_reduce):
    written(f"{_f.__name__}_", _f)


# ---------------------------------------------------------------- consecutive runs
_START = {"sum": 0.0, "mean": 0.0, "prod": 1.0, "max": -math.inf, "min": math.inf}


@function("segment_reduce", "_segment_reduce")
def segment_reduce(
    data: Tensor,
    reduce: str,
    *,
    lengths: Tensor | None = None,
    indices: Tensor | None = None,
    offsets: Tensor | None = None,
    axis: int = 0,
    unsafe: bool = False,
    initial: Any = None,
) -> Tensor:
    """Consecutive runs along `axis`, each reduced to one: sum, mean, prod, max or min.

    `lengths` (*, runs) says how long the runs are, or `offsets` (*, runs + 1) where they begin and
    where the last ends; `axis` is their last dimension, those before it are `data`'s.  They are
    read here.  A run starts from `initial`; without one, an empty run is 0, NaN, 1, -inf or inf.
    """
    need_tensor(data, "segment_reduce")
    if reduce not in _START:
        raise RuntimeError(
            f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}"
        )
    if indices is not None:
        raise RuntimeError("segment_reduce(): indices based reduction is not supported yet.")
    given = lengths if offsets is None else offsets
    if given is None:
        raise RuntimeError("segment_reduce(): Either lengths or offsets must be defined.")
    what = "lengths" if offsets is None else "offsets"
    if data.dtype.rank != 2:
        raise NotImplementedError(
            f"\"_segment_reduce_cpu\" not implemented for '{data.dtype.typename}'"
        )
    if given.dtype not in (dt.int64, dt.int32):
        raise NotImplementedError(
            f"\"_segment_reduce_{what}_cpu_kernel1\" not implemented for '{given.dtype.typename}'"
        )
    d = axis + len(data.shape) if axis < 0 else axis
    if d != len(given.shape) - 1:
        raise RuntimeError(
            f"segment_reduce(): Expected axis to be the last dimension of {what} but got {axis}."
        )
    ends = engine.read(given).astype(np.int64)
    if offsets is None:
        if not unsafe and (ends < 0).any():
            raise RuntimeError("lengths contains negative value!")
        if not unsafe and (ends.sum(-1) != data.shape[d]).any():
            raise RuntimeError(
                "segment_reduce(): Expected all rows of lengths along axis to sum to "
                "data.size(lengths.dim()-1) when !unsafe."
            )
        ends = np.concatenate([np.zeros_like(ends[..., :1]), ends.cumsum(-1)], -1)
    counts = np.diff(ends, axis=-1)
    runs, length = counts.shape[-1], data.shape[d]
    rest = tuple(data.shape[d + 1 :])
    x = sh.reshape(data, (-1, *rest))
    run = np.repeat(np.arange(counts.size), counts.reshape(-1))
    first = ends[..., :-1] + length * np.arange(counts.size // max(runs, 1)).reshape(
        (*counts.shape[:-1], 1)
    )
    within = np.arange(len(run)) - (counts.reshape(-1).cumsum() - counts.reshape(-1))[run]
    place = first.reshape(-1)[run] + within
    if not np.array_equal(place, np.arange(x.shape[0])):
        x = index_select(x, 0, owned(place, dt.int64, data.device))
    to = owned(run, dt.int64, data.device)
    start = _START[reduce] if initial is None else initial
    made = engine.full((counts.size, *rest), start, data.dtype, data.device)
    if reduce in ("sum", "mean"):
        made = index_add(made, 0, to, x)
    elif len(run):
        how = {"max": "amax", "min": "amin"}.get(reduce, reduce)
        made = index_reduce(made, 0, to, x, how)
    if reduce == "mean":
        size = counts.reshape((-1, *(1 for _ in rest))).astype(data.dtype.numpy)
        if initial is not None:
            size = np.maximum(size, 1)
        made = apply(ew.div, made, owned(size, data.dtype, data.device))
    return sh.reshape(made, (*counts.shape, *rest))


let_write("scatter_reduce")
