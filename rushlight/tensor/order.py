"""Sorted, running, counted: sort, topk, cumsum, unique, quantiles, histograms.

Sorting finds the order by NumPy and then gathers, so gradients flow through the values.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.base.shape import wrap_dim
from rushlight.engine import Tensor
from rushlight.graph.ops import elementwise as ew
from rushlight.graph.ops import indexing as ix
from rushlight.graph.ops import movement
from rushlight.graph.ops import reduce as rd
from rushlight.graph.ops.join import cat as CAT
from rushlight.tensor import shape as sh
from rushlight.tensor.creation import owned
from rushlight.tensor.install import (
    apart,
    both,
    function,
    give,
    integer,
    let_write,
    method,
    need_tensor,
    number,
    refuse,
    result_type,
    row,
    strides,
)
from rushlight.tensor.reduce import converted, one_dim

apply: Callable[..., Tensor] = engine.apply
CUMSUM: Any = row("cumsum")
CUMPROD: Any = row("cumprod")
ARGSORT: Any = row("argsort")
LOGCUMSUMEXP: Any = row("logcumsumexp")


sort_result = result_type("sort", "values indices")
topk_result = result_type("topk", "values indices")
kthvalue_result = result_type("kthvalue", "values indices")
median_result = result_type("median", "values indices")
mode_result = result_type("mode", "values indices")
cummax_result = result_type("cummax", "values indices")
cummin_result = result_type("cummin", "values indices")


# ---------------------------------------------------------------- running
def _running(name: str, op: Any) -> None:
    def f(
        input: Tensor,
        dim: int,
        *,
        dtype: Any = None,
        out: Tensor | None = None,
    ) -> Tensor:
        need_tensor(input, name)
        x = converted(input, dtype, name)
        dims = one_dim(x, dim)
        return give(apply(op, x, arg=dims[0] if dims else 0), out, name, input)

    f.__doc__ = f"`{name}`: along a dimension, everything up to each element."
    both(name)(f)

    def write(self: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
        engine.check_inplace(self)
        return engine.settle(name, self, f(self, dim, dtype=dtype))

    write.__doc__ = f"`{name}`, written into the tensor."
    method(name + "_")(write)


_running("cumsum", CUMSUM)
_running("cumprod", CUMPROD)


@both()
def logcumsumexp(input: Tensor, dim: int, *, out: Tensor | None = None) -> Tensor:
    """The logarithm of the running sum of exponentials along a dimension."""
    need_tensor(input, "logcumsumexp")
    if input.dtype.rank < 2:
        raise NotImplementedError(
            f"\"logcumsumexp_out_cpu\" not implemented for '{input.dtype.typename}'"
        )
    dims = one_dim(input, dim)
    made = apply(LOGCUMSUMEXP, input, arg=dims[0] if dims else 0)
    return give(made, out, "logcumsumexp")


def _running_extreme(name: str, better: Any, result: Any) -> None:
    def f(input: Tensor, dim: int) -> Any:
        need_tensor(input, name)
        refuse(input, "c", f"\"{name}_cpu\" not implemented for '{{type}}'")
        dims = one_dim(input, dim)
        if not dims:
            return result(
                apply(ew.copy, input), owned(np.zeros((), np.int64), dt.int64, input.device)
            )
        a = engine.read(input)
        best = better.accumulate(a, axis=dims[0])
        # the last place so far that holds the running extreme
        places = np.arange(a.shape[dims[0]]).reshape(
            [-1 if d == dims[0] else 1 for d in range(a.ndim)]
        )
        hit = (a == best) | (np.isnan(a) if a.dtype.kind == "f" else False)
        last = np.maximum.accumulate(np.where(hit, places, 0), axis=dims[0])
        indices = owned(np.ascontiguousarray(last, np.int64), dt.int64, input.device)
        return result(apply(ix.gather, input, indices, arg=dims[0]), indices)

    f.__doc__ = f"`{name}`: the extreme so far along a dimension, and where it stands."
    both(name)(f)


_running_extreme("cummax", np.maximum, cummax_result)
_running_extreme("cummin", np.minimum, cummin_result)


@both()
def diff(
    input: Tensor,
    n: int = 1,
    dim: int = -1,
    prepend: Tensor | None = None,
    append: Tensor | None = None,
) -> Tensor:
    """Differences of neighbours, `n` times."""
    need_tensor(input, "diff")
    if not input.shape:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    parts = [x for x in (prepend, input, append) if x is not None]
    d = one_dim(input, dim)[0]
    x = apply(CAT, *parts, arg=d) if len(parts) > 1 else input
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    for _ in range(n):
        count = max(x.shape[d] - 1, 0)
        after, before = sh.narrow(x, d, x.shape[d] - count, count), sh.narrow(x, d, 0, count)
        x = apply(ew.ne, after, before) if x.dtype.kind == "b" else after - before
    return x


# ---------------------------------------------------------------- sorted
def ordered(x: Tensor, dim: int, descending: bool) -> tuple[Tensor, Tensor, int]:
    """Sorted values, where they stood, and the dimension counted from the front."""
    if x.dtype.kind == "c":
        raise RuntimeError(" Sort does not support complex dtypes on CPU")
    dims = one_dim(x, dim)
    if not dims:
        indices = apply(ARGSORT, x, arg=(0, descending))
        return apply(ew.copy, x), indices, 0
    indices = apply(ARGSORT, x, arg=(dims[0], descending))
    values = apply(ix.gather, x, indices, arg=dims[0])
    steps = strides(indices)
    if steps != strides(values):
        values = apply(movement.relayout, values, arg=steps)
    return values, indices, dims[0]


@both()
def sort(
    input: Tensor,
    dim: int = -1,
    descending: bool = False,
    stable: bool = False,
    *,
    out: Any = None,
) -> Any:
    """Values in order along a dimension, and where they stood; equal values keep their order."""
    need_tensor(input, "sort")
    values, indices, _ = ordered(input, dim, bool(descending))
    if out is None:
        return sort_result(values, indices)
    return sort_result(give(values, out[0], "sort"), give(indices, out[1], "sort"))


@both()
def argsort(
    input: Tensor,
    dim: int = -1,
    descending: bool = False,
    stable: bool = False,
) -> Tensor:
    """The indices that sort along a dimension."""
    need_tensor(input, "argsort")
    refuse(input, "c", " Sort does not support complex dtypes on CPU", RuntimeError)
    dims = one_dim(input, dim)
    return apply(ARGSORT, input, arg=(dims[0] if dims else 0, bool(descending)))


@both()
def msort(input: Tensor) -> Tensor:
    """Sorted along the first dimension."""
    return ordered(input, 0, False)[0]


@both()
def topk(
    input: Tensor,
    k: int,
    dim: int = -1,
    largest: bool = True,
    sorted: bool = True,
    *,
    out: Any = None,
) -> Any:
    """The `k` largest (or smallest) along a dimension, in order, and where they stood."""
    need_tensor(input, "topk")
    count = integer(k, "topk", "k")
    refuse(input, "b", "topk does not support bool dtypes on CPU", RuntimeError)
    refuse(input, "c", " topk does not support complex dtypes on CPU", RuntimeError)
    dims = one_dim(input, dim)
    if count < 0 or count > (input.shape[dims[0]] if dims else 1):
        raise RuntimeError("selected index k out of range")
    if not dims:
        values, indices = ordered(input, 0, largest)[:2]
    else:
        indices = apply(ARGSORT, input, arg=(dims[0], bool(largest)))
        indices = sh.contiguous_copy(sh.narrow(indices, dims[0], 0, count))
        values = apply(ix.gather, input, indices, arg=dims[0])
    if out is not None:
        values, indices = give(values, out[0], "topk"), give(indices, out[1], "topk")
    return topk_result(values, indices)


def _kth(x: Tensor, k: int, dims: Any, keepdim: bool) -> tuple[Tensor, Tensor]:
    if not dims:
        return ordered(x, 0, False)[:2]
    order = apply(ARGSORT, x, arg=(dims[0], False))
    indices = sh.contiguous_copy(sh.narrow(order, dims[0], k, 1))
    values = apply(ix.gather, x, indices, arg=dims[0])
    if keepdim:
        return values, indices
    return sh.squeeze(values, dims[0]), sh.squeeze(indices, dims[0])


@both()
def kthvalue(
    input: Tensor, k: int, dim: int = -1, keepdim: bool = False, *, out: Any = None
) -> Any:
    """The `k`-th smallest (from 1) along a dimension, and where it stands."""
    need_tensor(input, "kthvalue")
    refuse(input, "bc", "\"kthvalue_cpu\" not implemented for '{type}'")
    dims = one_dim(input, dim)
    if not 1 <= k <= (input.shape[dims[0]] if dims else 1):
        raise RuntimeError("kthvalue(): selected number k out of range for dimension "
                           f"{dims[0] if dims else 0}")  # fmt: skip
    values, indices = _kth(input, k - 1, dims, keepdim)
    for target in out or ():
        apart(target, input)
    if out is not None:
        values, indices = give(values, out[0], "kthvalue"), give(indices, out[1], "kthvalue")
    return kthvalue_result(values, indices)


def shared(x: Tensor, value: Tensor) -> Tensor:
    """``value``, an element of ``x``, with a gradient that goes evenly to all equal to it."""
    if not x.requires_grad:
        return value
    value = engine.detach(value)
    same = apply(ew.logical_or, apply(ew.eq, x, value), apply(ew.isnan, value))
    return apply(rd.amax, apply(ew.where, same, x, -math.inf), arg=((0,), False))


@both()
def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle value (the lower of two): of all, or along a dimension with where it stands."""
    need_tensor(input, "median")
    refuse(input, "bc", "\"median_cpu\" not implemented for '{type}'")
    if dim is None:
        flat = sh.reshape(input, -1)
        if not flat.shape[0] and input.dtype.rank == 2:
            return engine.full((), float("nan"), input.dtype, input.device)
        return shared(flat, _kth(flat, (flat.shape[0] - 1) // 2, (0,), False)[0])
    dims = one_dim(input, dim)
    n = input.shape[dims[0]] if dims else 1
    return median_result(*_kth(input, (n - 1) // 2, dims, keepdim))


@both()
def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> Any:
    """The most frequent value (the smallest of several) along a dimension, and its last place."""
    need_tensor(input, "mode")
    refuse(input, "c", "\"mode_cpu\" not implemented for '{type}'")
    a = engine.read(input)
    dims = one_dim(input, dim)
    if not dims:
        return mode_result(
            apply(ew.copy, input), owned(np.zeros((), np.int64), dt.int64, input.device)
        )
    moved = np.moveaxis(a, dims[0], -1)
    found = np.empty(moved.shape[:-1], np.int64)
    for at in np.ndindex(found.shape):
        values, counts = np.unique(moved[at], return_counts=True)
        found[at] = np.flatnonzero(moved[at] == values[counts.argmax()])[-1]
    indices = owned(np.expand_dims(found, dims[0]), dt.int64, input.device)
    values_ = apply(ix.gather, input, indices, arg=dims[0])
    if not keepdim:
        return mode_result(sh.squeeze(values_, dims[0]), sh.squeeze(indices, dims[0]))
    return mode_result(values_, indices)


@both()
def quantile(
    input: Tensor,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Tensor:
    """The value below which a part `q` lies: of all, or along a dimension."""
    need_tensor(input, "quantile")
    if input.dtype not in (dt.float32, dt.float64):
        raise RuntimeError("quantile() input tensor must be either float or double dtype")
    if not input.shape.numel():
        raise RuntimeError("quantile() input tensor must be non-empty")
    rank = len(input.shape)
    if dim is not None:
        one_dim(input, dim)  # whether there is such a dimension
    x = sh.reshape(input, -1) if dim is None or not rank else input
    d = 0 if dim is None or not rank else one_dim(input, dim)[0]
    parts = engine.read(q) if isinstance(q, Tensor) else np.asarray(q, x.dtype.numpy)
    if ((parts < 0) | (parts > 1)).any():
        if not isinstance(q, Tensor):
            raise RuntimeError(f"quantile() q must be in the range [0, 1] but got {q:g}")
        raise RuntimeError("quantile() q values must be in the range [0, 1]")
    values = ordered(x, d, False)[0]
    n = x.shape[d]
    ranks = parts.reshape(-1) * (n - 1)
    low, high = np.floor(ranks), np.ceil(ranks)
    weight = (ranks - low).astype(x.dtype.numpy)
    picks = {"lower": (low, 0), "higher": (high, 0), "nearest": (np.rint(ranks), 0),
             "linear": (low, weight), "midpoint": (low, np.where(low == high, 0, 0.5))}  # fmt: skip
    if interpolation not in picks:
        raise RuntimeError(
            "quantile() interpolation must be one of linear, lower, higher, midpoint or nearest, "
            f"but got {interpolation}"
        )
    first, part = picks[interpolation]

    def taken(ranks_: Any) -> Tensor:
        places = owned(ranks_.astype(np.int64), dt.int64, x.device)
        return apply(ix.index, values, places, arg=(d,))

    made = taken(first)
    if not isinstance(part, int):
        w = owned(np.asarray(part, x.dtype.numpy), x.dtype, x.device)
        w = sh.reshaped(w, tuple(len(ranks) if k == d else 1 for k in range(len(x.shape))))
        made = made + (taken(high) - made) * w
    made = sh.movedim(made, d, 0)  # quantiles first
    if keepdim:
        made = (
            sh.reshaped(made, (len(ranks), *(1,) * rank))
            if dim is None or not rank
            else sh.unsqueeze(made, d + 1)
        )
    return made if parts.ndim else sh.select(made, 0, 0)


# ---------------------------------------------------------------- counted
@both()
def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each integer from 0 occurs, or the sum of its weights."""
    a = engine.read(input)
    if a.ndim != 1 or (a.size and a.min() < 0):
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    if input.dtype.rank != 1:
        raise NotImplementedError(f"\"bincount_cpu\" not implemented for '{input.dtype.typename}'")
    if weights is None:
        return owned(np.bincount(a, minlength=minlength).astype(np.int64), dt.int64, input.device)
    w = engine.read(weights)
    found = np.bincount(a, w, minlength)
    kind = weights.dtype if weights.dtype.rank > 1 else dt.float64
    return owned(found.astype(kind.numpy), kind, input.device)


@both()
def histc(
    input: Tensor, bins: int = 100, min: float = 0, max: float = 0, *, out: Tensor | None = None
) -> Tensor:
    """How many elements fall into each of `bins` equal parts of `[min, max]`.

    Places are worked out in the elements' own type, as PyTorch's are.
    """
    need_tensor(input, "histc")
    if input.dtype.kind != "f":
        raise NotImplementedError(f"\"histogram_cpu\" not implemented for '{input.dtype.typename}'")
    count = integer(bins, "histc", "bins")
    if count <= 0:
        raise RuntimeError(f"torch.histogram(): bins must be > 0, but got {count} for dimension 0")
    a = engine.read(input).reshape(-1)
    kind = a.dtype.type
    low, high = kind(number(min, "histc", "min", 3)), kind(number(max, "histc", "max", 4))
    if low == high and a.size:
        low, high = a.min(), a.max()
    if low == high:
        low, high = low - kind(1), high + kind(1)
    if not (np.isfinite(low) and np.isfinite(high)):
        raise RuntimeError(f"torch.histc: range of [{float(low):g}, {float(high):g}] is not finite")
    if low > high:
        raise RuntimeError("torch.histc: max must be larger than min")
    inside = a[(a >= low) & (a <= high)]
    places = ((inside - low) * kind(count) / (high - low)).astype(np.int64)
    counts = np.bincount(np.minimum(places, count - 1), minlength=count)
    return give(owned(counts.astype(a.dtype), input.dtype, input.device), out, "histc")


@both()
def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The different values in order, where each element's stands, how often each occurs."""
    need_tensor(input, "unique")
    refuse(input, "c", "\"unique\" not implemented for '{type}'")
    if dim is not None:
        dim = wrap_dim(dim, len(input.shape))
    values, inverse, counts = np.unique(
        engine.read(input), return_inverse=True, return_counts=True, axis=dim
    )
    out = [owned(np.ascontiguousarray(values), input.dtype, input.device)]
    if return_inverse:
        shape = tuple(input.shape) if dim is None else (-1,)
        found = np.ascontiguousarray(inverse.reshape(shape), np.int64)
        out.append(owned(found, dt.int64, input.device))
    if return_counts:
        out.append(owned(counts.astype(np.int64), dt.int64, input.device))
    return out[0] if len(out) == 1 else tuple(out)


@both()
def unique_consecutive(
    input: Tensor,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """One element of each run of equal neighbours."""
    a = engine.read(input)
    a = a.reshape(-1) if dim is None else np.moveaxis(a, dim, 0)
    flat = a.reshape(len(a), -1) if len(a) else a.reshape(0, 1)
    new = np.r_[True, (flat[1:] != flat[:-1]).any(1)] if len(a) else np.zeros(0, bool)
    kept = a[new] if dim is None else np.moveaxis(a[new], 0, dim)
    out = [owned(np.ascontiguousarray(kept), input.dtype, input.device)]
    if return_inverse:
        runs = np.cumsum(new) - 1
        shaped = runs.reshape(tuple(input.shape)) if dim is None else runs
        out.append(owned(np.ascontiguousarray(shaped, np.int64), dt.int64, input.device))
    if return_counts:
        ends = np.r_[np.flatnonzero(new), len(a)]
        out.append(owned(np.diff(ends).astype(np.int64), dt.int64, input.device))
    return out[0] if len(out) == 1 else tuple(out)


@function("searchsorted")
def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Where values would have to stand in a sequence (its last dimension) that is sorted, or whose
    order `sorter` tells.
    """
    need_tensor(sorted_sequence, "searchsorted", "sorted_sequence")
    for x in (sorted_sequence, input):
        if isinstance(x, Tensor):
            refuse(x, "bc", "\"searchsorted_out_cpu\" not implemented for '{type}'")
        elif not isinstance(x, int | float):
            raise TypeError(f"searchsorted(): a tensor or a number is wanted, not {x!r}")
    steps = engine.read(sorted_sequence)
    if not steps.ndim:
        raise RuntimeError(
            "torch.searchsorted(): input value can be a scalar only when boundaries tensor "
            "dimension is 1, but we got boundaries tensor dim(0)"
        )
    if sorter is not None:
        if sorter.shape != sorted_sequence.shape:
            raise RuntimeError(
                "torch.searchsorted(): boundary and sorter must have the same size, but got "
                f"boundary tensor {list(steps.shape)} and got sorter tensor {list(sorter.shape)}"
            )
        steps = np.take_along_axis(steps, engine.read(sorter), -1)
    values = engine.read(input) if isinstance(input, Tensor) else np.asarray(input)
    if steps.ndim != 1 and steps.shape[:-1] != values.shape[:-1]:
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 "
            "dimensions of boundaries tensor and input value tensor must match, but we got "
            f"boundaries tensor {list(steps.shape)} and input value tensor {list(values.shape)}"
        )
    way: Any = "right" if right or side == "right" else "left"
    if steps.ndim == 1:
        found = np.searchsorted(steps, values, way)
    else:
        rows = zip(steps.reshape(-1, steps.shape[-1]), values.reshape(-1, values.shape[-1]))
        found = np.stack([np.searchsorted(s, v, way) for s, v in rows]).reshape(values.shape)
    kind = dt.int32 if out_int32 else dt.int64
    return owned(np.array(found, kind.numpy), kind, sorted_sequence.device)


@function("bucketize")
def bucketize(
    input: Any,
    boundaries: Tensor,
    *,
    out_int32: bool = False,
    right: bool = False,
) -> Tensor:
    """The number of the interval between boundaries that each value falls into."""
    need_tensor(boundaries, "bucketize", "boundaries", 2)
    if len(boundaries.shape) != 1:
        raise RuntimeError(
            f"boundaries tensor must be 1 dimension, but got dim({len(boundaries.shape)})"
        )
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


@function("combinations")
def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All combinations of `r` elements, one a row."""
    if len(input.shape) != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input.shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return engine.full((0,), 0, input.dtype, input.device)
    n = input.shape[0]
    grid = np.indices((n,) * r).reshape(r, -1).T
    step = np.diff(grid, axis=1)
    keep = grid[(step >= 0 if with_replacement else step > 0).all(1)]
    places = owned(np.ascontiguousarray(keep, np.int64), dt.int64, input.device)
    return apply(ix.index, input, places, arg=(0,))


@both()
def repeat_interleave(
    input: Tensor,
    repeats: Any = None,
    dim: int | None = None,
    *,
    output_size: int | None = None,
) -> Tensor:
    """Every slice repeated on the spot: a number of times, or each its own."""
    if repeats is None:
        counts = engine.read(input)
        found = np.repeat(np.arange(len(counts)), counts)
        return owned(found.astype(np.int64), dt.int64, input.device)
    x = sh.reshape(input, -1) if dim is None else input
    d = 0 if dim is None else one_dim(x, dim)[0]
    times = engine.read(repeats) if isinstance(repeats, Tensor) else np.asarray(repeats)
    if times.ndim and len(times) not in (1, x.shape[d]):
        raise RuntimeError(
            "repeats must have the same size as input along dim, but got repeats.size(0) = "
            f"{len(times)} and input.size({d}) = {x.shape[d]}"
        )
    if (times < 0).any():
        raise RuntimeError("Repeats must be non-negative")
    found = np.repeat(np.arange(x.shape[d]), times)
    return apply(ix.index, x, engine.table(found.astype(np.int64), dt.int64, x.device), arg=(d,))


let_write(
    "bucketize", "cummax", "cummin", "diff", "median", "mode", "msort", "quantile", "searchsorted"
)
