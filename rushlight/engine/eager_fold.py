"""Reductions in NumPy, in the order that ``graph/ops/reduce.py`` lays down: slow, plain, exact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ..base.shape import Ints, numel
from ..graph.ops.reduce import GROUP, LANES, lanes_of

Fold = Callable[[Any, Any], Any]


def _higher(acc: Any, x: Any) -> Any:
    return np.where((x > acc) | (x != x), x, acc)


def _lower(acc: Any, x: Any) -> Any:
    return np.where((x < acc) | (x != x), x, acc)


STEP: Final[dict[str, Fold]] = {
    "sum": np.add,
    "prod": np.multiply,
    "amax": _higher,
    "amin": _lower,
}
EMPTY: Final = {"sum": 0, "prod": 1}


def neutral(name: str, kind: Any) -> Any:
    """What changes nothing when folded in: the value of a lane without element."""
    if name == "sum":
        return kind.type(
            complex(-0.0, -0.0) if kind.kind == "c" else -0.0 if kind.kind == "f" else 0
        )
    if name == "prod":
        return kind.type(1)
    if kind.kind == "f":
        return kind.type(-np.inf if name == "amax" else np.inf)
    if kind.kind == "b":
        return kind.type(name == "amin")
    return kind.type(np.iinfo(kind).min if name == "amax" else np.iinfo(kind).max)


def cascade(a: Any, step: Fold) -> Any:
    """Folds the first dimension: groups of 16 one after the other, their results again."""
    while len(a) > 1:
        full = len(a) // GROUP * GROUP
        parts = []
        if full:
            groups = a[:full].reshape(full // GROUP, GROUP, *a.shape[1:])
            acc = groups[:, 0]
            for i in range(1, GROUP):
                acc = step(acc, groups[:, i])
            parts.append(acc)
        if full < len(a):
            last = a[full]
            for i in range(full + 1, len(a)):
                last = step(last, a[i])
            parts.append(np.asarray(last)[None])
        a = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return a[0]


def _times(acc: Any, x: Any) -> Any:
    """Complex product in real arithmetic: NumPy's own has other bits on other machines."""
    out = np.empty(np.broadcast_shapes(acc.shape, x.shape), acc.dtype)
    out.real = acc.real * x.real - acc.imag * x.imag
    out.imag = acc.real * x.imag + acc.imag * x.real
    return out


def fold_complex(name: str, x: Any, dims: Ints) -> Any:
    """``sum`` or ``prod`` of complex numbers, in the order of the law."""
    return fold(name, x, dims, _times if name == "prod" else np.add)


def fold(name: str, x: Any, dims: Ints, step: Fold | None = None) -> Any:
    """``sum``, ``prod``, ``amax`` or ``amin`` of ``x`` (of the result's type) over ``dims``.

    Gives the kept dimensions only, in order.
    """
    kept = tuple(d for d in range(x.ndim) if d not in dims)
    shape = tuple(x.shape[d] for d in kept)
    lanes = lanes_of(x.shape, dims)
    k = numel(tuple(x.shape[d] for d in dims))
    a = x.transpose(dims + kept).reshape(k, *shape)
    if k == 0:
        return np.full(shape, EMPTY[name], dtype=x.dtype)
    step = STEP[name] if step is None else step
    if lanes == 1:
        return closed(name, cascade(a, step))
    rows = -(-k // LANES)
    wide = np.full((rows * LANES, *shape), neutral(name, x.dtype))
    wide[:k] = a
    a = cascade(wide.reshape(rows, LANES, *shape), step)
    half = LANES // 2
    while half:
        a = step(a[:half], a[half : 2 * half])
        half //= 2
    return closed(name, a[0])


def closed(name: str, folded: Any) -> Any:
    """A sum of zeros is 0.0, whatever their signs."""
    return folded + np.zeros((), folded.dtype) if name == "sum" else folded
