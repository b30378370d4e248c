"""Gather and scatter in NumPy, and the checks of values that operations need before they run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..base.shape import Ints
from ..graph.node import Node
from ..graph.op import Spec
from ..graph.ops.indexing import CHECK, READS, WRITES, indexed_shape


def check(node: Node, specs: Sequence[Spec], xs: Sequence[Any]) -> None:
    """Raise what the row says when a value is not allowed."""
    rule = CHECK.get(node.op)
    if rule is None:
        return
    for b in rule(specs, node.arg):
        b.require(xs[b.operand])


def _along(shape: Ints, dim: int, index: Any) -> tuple[Any, ...]:
    """The open grid of an index's own places, with ``index`` along ``dim``."""
    return tuple(
        index
        if d == dim
        else np.arange(n).reshape([-1 if k == d else 1 for k in range(len(shape))])
        for d, n in enumerate(shape)
    )


def _spaced(base: Ints, dims: Ints, places: Sequence[Any]) -> tuple[Any, ...]:
    """One index for every dimension of the base, that broadcast to the result's shape."""
    shape, at = indexed_shape(base, dims, [p.shape for p in places])
    n = max(p.ndim for p in places)
    rest = [d for d in range(len(base)) if d not in dims]
    out: list[Any] = [None] * len(base)
    for d, p in zip(dims, places, strict=True):
        out[d] = p.reshape((1,) * (n - p.ndim) + p.shape + (1,) * (len(rest) - at))
    for i, d in enumerate(rest):
        axis = i if i < at else i + n
        out[d] = np.arange(base[d]).reshape([-1 if k == axis else 1 for k in range(len(shape))])
    return tuple(out)


def _written(out: Any, where: tuple[Any, ...], value: Any, accumulate: bool) -> Any:
    if out.ndim == 0:
        where = (...,)
    if accumulate and out.ndim > 1 and out.flags.c_contiguous:
        # in the same order through one flat index, for which NumPy has a loop of its own
        flat: Any = 0
        step = 1
        for w, n in zip(reversed(where), reversed(out.shape)):
            flat = flat + (w + n * (w < 0)) * step
            step *= n
        values = np.broadcast_to(value, flat.shape)
        np.add.at(out.reshape(-1), flat.reshape(-1), values.reshape(-1))
    elif accumulate:
        np.add.at(out, where, value)
    else:
        out[where] = value
    return out


def indexed(name: str, arg: Any, spec: Spec, xs: Sequence[Any], out: Any) -> Any:
    """The value of an INDEX operation; ``out`` is new memory in the result's layout."""
    if name == "gather" or name == "pick":
        x, i = xs
        if not x.ndim:
            out[...] = x
        else:
            out[...] = x[_along(i.shape, arg, i)] if i.ndim else x[i]
        return out
    if name in READS:
        x, *places = xs
        out[...] = x[_spaced(x.shape, arg, places)]
        return out
    if name == "scatter":
        base, i, value = xs
        out[...] = base
        where = _along(i.shape, arg[0], i) if i.ndim else (i,)
        return _written(out, where, value, arg[1])
    if name in WRITES:
        base, value, *places = xs
        out[...] = base
        return _written(out, _spaced(base.shape, arg[0], places), value, arg[1])
    raise NotImplementedError(f"{name}: no way to run it alone")
