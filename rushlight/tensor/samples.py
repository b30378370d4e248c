"""Functions of samples: order statistics that skip NaN, slopes, running integrals, histograms."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.engine import Tensor
from rushlight.engine.core import scaled
from rushlight.graph.ops import elementwise as ew
from rushlight.graph.ops import indexing as ix
from rushlight.graph.ops import movement
from rushlight.graph.ops import reduce as rd
from rushlight.graph.ops.movement import normal_dims
from rushlight.tensor import reduce
from rushlight.tensor import shape as sh
from rushlight.tensor.creation import owned
from rushlight.tensor.install import (
    both,
    function,
    give,
    let_write,
    need_tensor,
    number,
    refuse,
    result_type,
    row,
)
from rushlight.tensor.join import cat
from rushlight.tensor.order import ordered, shared

apply: Callable[..., Tensor] = engine.apply
look: Callable[..., Tensor] = engine.view
CUMSUM: Any = row("cumsum")
HALF: Any = row("floor_divide")


nanmedian_result = result_type("nanmedian", "values indices")
histogram_result = result_type("histogram", "hist bin_edges")
histogramdd_result = result_type("histogramdd", "hist bin_edges")


# ---------------------------------------------------------------- order statistics
def _known(x: Tensor, d: int) -> Tensor:
    """How many elements of each line are not NaN; the dimension is kept."""
    there = apply(ew.logical_not, apply(ew.isnan, engine.detach(x)))
    return apply(rd.sum_, there, arg=((d,), True))


@both()
def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle value (the lower of two) of what is not NaN."""
    need_tensor(input, "nanmedian")
    refuse(input, "bc", "\"median_cpu\" not implemented for '{type}'")
    if dim is None or not input.shape:
        flat = sh.reshape(input, -1)
        if not flat.shape[0]:
            return engine.full((), math.nan, input.dtype, input.device)
        values, indices = _nan_kth(flat, 0)
        found = sh.reshaped(values, ()), sh.reshaped(indices, ())
        return shared(flat, found[0]) if dim is None else nanmedian_result(*found)
    d = reduce.one_dim(input, dim)[0]
    values, indices = _nan_kth(input, d)
    if not keepdim:
        values, indices = sh.squeeze(values, d), sh.squeeze(indices, d)
    return nanmedian_result(values, indices)


def _nan_kth(x: Tensor, d: int) -> tuple[Tensor, Tensor]:
    _, order, _ = ordered(engine.detach(x), d, False)
    n = _known(x, d) if x.dtype.rank > 1 else engine.full((), x.shape[d], dt.int64, x.device)
    k = apply(ew.maximum, apply(HALF, n - 1, 2), 0)
    shape = tuple(1 if i == d else m for i, m in enumerate(x.shape))
    k = sh.contiguous_copy(look(movement.expand, k, shape))
    indices = apply(ix.gather, order, k, arg=d)
    return apply(ix.gather, x, indices, arg=d), indices


@both()
def nanquantile(
    input: Tensor,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
    out: Tensor | None = None,
) -> Tensor:
    """`quantile` of what is not NaN."""
    need_tensor(input, "nanquantile")
    if input.dtype.rank < 2:
        raise RuntimeError("nanquantile() input tensor must be either float or double dtype")
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise RuntimeError(
            "nanquantile() interpolation must be one of linear, lower, higher, midpoint or "
            f"nearest, but got {interpolation}"
        )
    rank = len(input.shape)
    flat = dim is None or not rank
    x = sh.reshape(input, -1) if flat else input
    d = 0 if dim is None or not rank else reduce.one_dim(input, dim)[0]
    kind = x.dtype.numpy
    parts = np.asarray(engine.read(q) if isinstance(q, Tensor) else q, kind)
    if ((parts < 0) | (parts > 1)).any():
        raise RuntimeError("nanquantile() q values must be in the range [0, 1]")
    values, _, _ = ordered(x, d, False)
    line = tuple(-1 if k == d else 1 for k in range(len(x.shape)))
    weights = owned(np.ascontiguousarray(parts.reshape(-1)), x.dtype, x.device)
    last = apply(ew.maximum, _known(x, d) - 1, 0)
    ranks = apply(ew.mul, sh.reshape(weights, *line), apply(ew.cast, last, arg=x.dtype))
    low, high = apply(ew.floor, ranks), apply(ew.ceil, ranks)
    if interpolation == "nearest":
        low = apply(ew.round_, ranks)
    elif interpolation == "higher":
        low = high

    def taken(at: Tensor) -> Tensor:
        return apply(ix.gather, values, apply(ew.cast, at, arg=dt.int64), arg=d)

    made = taken(low)
    if interpolation in ("linear", "midpoint"):
        part = ranks - low
        if interpolation == "midpoint":
            part = apply(ew.where, apply(ew.eq, part, 0.0), part, 0.5)
        made = made + (taken(high) - made) * part
    made = sh.movedim(made, d, 0)  # quantiles first
    count = parts.size
    if keepdim:
        made = sh.reshaped(made, (count, *(1,) * rank)) if flat else sh.unsqueeze(made, d + 1)
    return give(made if parts.ndim else sh.select(made, 0, 0), out, "nanquantile")


# ---------------------------------------------------------------- integrals and slopes
@function()
def cumulative_trapezoid(
    y: Tensor, x: Tensor | None = None, *, dx: Any = 1, dim: int = -1
) -> Tensor:
    """The running integral of samples along a dimension."""
    need_tensor(y, "cumulative_trapezoid", "y")
    d = reduce.one_dim(y, dim)[0]
    n = y.shape[d]
    pairs = apply(ew.add, sh.narrow(y, d, 1, n - 1), sh.narrow(y, d, 0, n - 1))
    if x is None:
        return scaled(apply(CUMSUM, pairs, arg=d), number(dx, "trapezoid", "dx") / 2)
    last = len(x.shape) - 1
    steps = apply(ew.sub, sh.narrow(x, last, 1, n - 1), sh.narrow(x, last, 0, n - 1))
    if last == 0:
        steps = sh.reshaped(steps, tuple(n - 1 if k == d else 1 for k in range(len(y.shape))))
    else:
        steps = steps if last == d else sh.movedim(steps, last, d)
    summed = apply(CUMSUM, apply(ew.mul, pairs, steps), arg=d)
    return apply(ew.div, summed, 2.0, arg=ew.SCALED)


def _slope(x: Tensor, d: int, spacing: Any, order: int) -> Tensor:
    """Central differences inside, one-sided ones of first or second order at the ends."""
    n = x.shape[d]

    def at(i: int) -> Tensor:
        return sh.narrow(x, d, i, 1)

    if not isinstance(spacing, Tensor):
        h = spacing

        def over(y: Tensor, steps: int) -> Tensor:
            return apply(ew.div, y, steps * h, arg=ew.SCALED)

        inside = over(sh.narrow(x, d, 2, n - 2) - sh.narrow(x, d, 0, n - 2), 2)
        if order == 1:
            first, final = over(at(1) - at(0), 1), over(at(n - 1) - at(n - 2), 1)
        else:
            first = over(scaled(at(1), 4) - scaled(at(0), 3) - at(2), 2)
            final = over(scaled(at(n - 1), 3) - scaled(at(n - 2), 4) + at(n - 3), 2)
        return cat([first, inside, final], d)
    steps = sh.narrow(spacing, 0, 1, n - 1) - sh.narrow(spacing, 0, 0, n - 1)
    shape = tuple(-1 if k == d else 1 for k in range(len(x.shape)))

    def step(i: int, count: int = 1) -> Tensor:
        return sh.reshape(sh.narrow(steps, 0, i, count), *shape)

    a, b = step(0, n - 2), step(1, n - 2)
    before, mid, after = (sh.narrow(x, d, i, n - 2) for i in (0, 1, 2))
    inside = after * (a / (b * (a + b))) + mid * ((b - a) / (a * b)) - before * (b / (a * (a + b)))
    if order == 1:
        first, final = (at(1) - at(0)) / step(0), (at(n - 1) - at(n - 2)) / step(n - 2)
    else:
        a, b = step(0), step(1)
        first = (
            at(1) * ((a + b) / (a * b))
            - at(0) * ((a * 2 + b) / (a * (a + b)))
            - at(2) * (a / (b * (a + b)))
        )
        a, b = step(n - 3), step(n - 2)
        final = (
            at(n - 3) * (b / (a * (a + b)))
            - at(n - 2) * ((a + b) / (a * b))
            + at(n - 1) * ((a + b * 2) / (b * (a + b)))
        )
    return cat([first, inside, final], d)


@function()
def gradient(
    input: Tensor, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1
) -> list[Tensor]:
    """Slopes of samples along dimensions: one tensor for each."""
    need_tensor(input, "gradient")
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    n = len(input.shape)
    given = dim if dim is not None else tuple(range(n))
    dims = normal_dims(given if isinstance(given, int) else tuple(given), n)
    spacing = 1 if spacing is None else spacing
    spaces: Sequence[Any] = (
        [spacing] * len(dims) if isinstance(spacing, int | float) else list(spacing)
    )
    if len(spaces) != len(dims):
        raise RuntimeError(
            "torch.gradient expected spacing to be unspecified, a scalar, or it's spacing and dim "
            "arguments to have the same length, but got a spacing argument of length "
            f"{len(spaces)} and a dim argument of length {len(dims)}."
        )
    for d in dims:
        if input.shape[d] < edge_order + 1:
            raise RuntimeError(
                "torch.gradient expected each dimension size to be at least edge_order+1"
            )
    if input.dtype.rank < 2:
        whole = apply(ew.cast, input, arg=dt.Defaults.float)
        return [_slope(whole, d, s, edge_order) for d, s in zip(dims, spaces, strict=True)]
    return [_slope(input, d, s, edge_order) for d, s in zip(dims, spaces, strict=True)]


# ---------------------------------------------------------------- histograms
def _edges(a: Any, bins: Any, limits: Any, kind: Any) -> Any:
    if isinstance(bins, Tensor):
        return engine.read(bins)
    low, high = limits if limits is not None else ((a.min(), a.max()) if a.size else (0.0, 0.0))
    if low > high:
        raise RuntimeError("torch.histogramdd: min should not exceed max")
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, int(bins) + 1).astype(kind)


def _counted(a: Any, edges: list[Any], weight: Any, density: bool) -> Any:
    places, inside = [], np.ones(len(a), bool)
    for column, e in zip(a.T, edges, strict=True):
        at = np.searchsorted(e, column, "right") - 1
        at = np.where(column == e[-1], len(e) - 2, at)
        inside &= (column >= e[0]) & (column <= e[-1])
        places.append(at)
    found = np.zeros([len(e) - 1 for e in edges], a.dtype)
    chosen = tuple(p[inside] for p in places)
    np.add.at(found, chosen, 1 if weight is None else weight[inside])
    if density:
        found = found / found.sum()
        for d, e in enumerate(edges):
            line = [-1 if k == d else 1 for k in range(found.ndim)]
            found = found / np.diff(e).reshape(line)
    return found


def _floats(input: Tensor, name: str) -> Any:
    need_tensor(input, name)
    if input.dtype.rank < 2:
        raise NotImplementedError(f"\"{name}_cpu\" not implemented for '{input.dtype.typename}'")
    return engine.read(input)


@both()
def histogram(
    input: Tensor,
    bins: Any,
    *,
    range: Any = None,
    weight: Tensor | None = None,
    density: bool = False,
    out: Any = None,
) -> Any:
    """How many elements (or what weight) lie between edges: counts and edges."""
    a = _floats(input, "histogram").reshape(-1, 1)
    edges = _edges(a, bins, range, a.dtype)
    w = None if weight is None else engine.read(weight).reshape(-1)
    found = _counted(a, [edges], w, density).astype(a.dtype)
    made = (owned(found, input.dtype, input.device), owned(edges.copy(), input.dtype, input.device))
    return histogram_result(*made)


@function()
def histogramdd(
    input: Tensor,
    bins: Any,
    *,
    range: Any = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Any:
    """A histogram of points, whose coordinates lie along the last dimension."""
    a = _floats(input, "histogramdd")
    if a.ndim < 2:
        raise RuntimeError("torch.histogramdd: input tensor should have at least 2 dimensions")
    a = a.reshape(-1, a.shape[-1])
    count = a.shape[1]
    if not isinstance(bins, int) and len(bins) != count:
        raise RuntimeError(
            "histogramdd: The size of bins must be equal to the innermost dimension of the input."
        )
    each = [bins] * count if isinstance(bins, int) else list(bins)
    limits = [None] * count if range is None else np.reshape(range, (count, 2)).tolist()
    edges = [_edges(a[:, d], each[d], limits[d], a.dtype) for d in np.arange(count)]
    w = None if weight is None else engine.read(weight).reshape(-1)
    found = _counted(a, edges, w, density).astype(a.dtype)
    return histogramdd_result(
        owned(found, input.dtype, input.device),
        tuple(owned(e.copy(), input.dtype, input.device) for e in edges),
    )


let_write("histogram", "nanmedian")
