"""Writing at places that values say, where what comes to one place is combined.

combine(base, index, value)   arg = (dim, how), how one of amax, amin, prod:
                              base[index[i, j], j] = how(base[...], value[i, j]), in order
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ..op import LIBRARY, Op, Spec, register
from ..value import Val
from .core import zeros
from .elementwise import cast, eq, logical_and, where
from .indexing import CHECK, Bound, gather, kept, scatter

UFUNCS: Final[dict[str, np.ufunc]] = {
    "amax": np.maximum, "amin": np.minimum, "prod": np.multiply,
}  # fmt: skip


def _infer(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    base, index, value = srcs
    if max(len(base.shape), 1) != max(len(index.shape), 1) or index.shape != value.shape:
        raise RuntimeError(
            f"scatter_reduce: an index of shape {list(index.shape)} for a tensor of shape "
            f"{list(base.shape)} and values of shape {list(value.shape)}"
        )
    if base.dtype is not value.dtype:
        raise RuntimeError("scatter(): Expected self.dtype to be equal to src.dtype")
    return Spec(base.shape, base.dtype, kept(base), base.device)


def _bounds(srcs: Sequence[Any], arg: Any) -> tuple[Bound, ...]:
    dim = arg[0]
    shape = srcs[0].shape
    return (Bound(1, shape[dim] if shape else 1, dim, error=RuntimeError),)


def _call(base: Any, index: Any, value: Any, arg: Any = None) -> Any:
    dim, how = arg
    for b in _bounds((base, index), arg):
        b.require(index)
    out = np.array(base, ndmin=1)
    places = list(np.indices(index.shape, sparse=True)) if index.ndim else [0]
    places[dim] = index if index.ndim else index.reshape(1)
    UFUNCS[how].at(out, tuple(places), value)
    return out.reshape(base.shape)


def _grad(i: int, g: Val, out: Val, base: Val, index: Val, value: Val) -> Val | None:
    dim, how = out.arg
    if i == 1:
        return None
    if how != "prod":  # evenly to all that are equal to the winner
        first = eq(base, out)
        second = eq(value, gather(out, index, arg=dim))
        ties = scatter(cast(first, arg=g.dtype), index, cast(second, arg=g.dtype), arg=(dim, True))
        share = g / where(eq(ties, 0.0), 1.0, ties)
        if i == 0:
            return where(first, share, 0.0)
        return where(second, gather(share, index, arg=dim), 0.0)
    if i == 0:
        safe = where(eq(base, 0.0), 1.0, base)
        return g * combine(safe, index, value, arg=out.arg) / safe
    zero = eq(value, 0.0)
    count = scatter(zeros(g, base.shape), index, cast(zero, arg=g.dtype), arg=(dim, True))
    alone = logical_and(zero, eq(gather(count, index, arg=dim), 1.0))
    safe = where(zero, 1.0, value)
    without = gather(g * combine(base, index, safe, arg=out.arg), index, arg=dim)
    return where(alone, without, gather(g * out, index, arg=dim) / safe)


combine: Op = register(Op("combine", LIBRARY, _infer))
combine.call = _call
combine.grads = _grad
CHECK[combine] = _bounds
