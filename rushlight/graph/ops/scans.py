"""Running sums and products, and the order of a sort, along one dimension: NumPy computes them.

    cumsum(x), cumprod(x)    arg = dim
    recur(b, a)              arg = (dim, back): y[i] = b[i] + a[i] y[i - 1], and the other way round
                             y[i] = b[i] + a[i + 1] y[i + 1]
    logcumsumexp(x)          arg = dim
    argsort(x)               arg = (dim, descending): stable, NaN is the greatest

Sums and products of floats are kept in float64 while they run, as PyTorch's are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from ...base import dtype as dt
from ..op import LIBRARY, Op, Spec, register
from ..value import Val
from .core import zeros
from .elementwise import exp, gt, log, lt, where
from .join import cat
from .movement import flip, slice_


def _running(ufunc: np.ufunc) -> Callable[..., Any]:
    def call(x: Any, arg: Any = None) -> Any:
        if not x.ndim:
            return x.astype(np.int64) if x.dtype.kind not in "fc" else x
        if x.dtype.kind not in "fc":
            return ufunc.accumulate(x, arg, np.int64)
        wide = np.complex128 if x.dtype.kind == "c" else np.float64
        with np.errstate(over="ignore", invalid="ignore"):
            return ufunc.accumulate(x, arg, wide).astype(x.dtype)

    return call


FEW: Final = 8  # so many lines or less are run one after the other, as Python's numbers


def _recur(b: Any, a: Any, arg: Any = None) -> Any:
    if not b.size or not b.ndim:
        return b
    dim, back = arg
    kind = np.complex128 if b.dtype.kind == "c" else np.float64
    n = b.shape[dim]
    lines = [np.moveaxis(v, dim, 0).astype(kind).reshape(n, -1) for v in (b, a)]
    if back:
        lines = [lines[0][::-1], np.roll(lines[1][::-1], 1, axis=0)]
    y, factor = lines
    if y.shape[1] <= FEW:
        y = np.array([_line(p.tolist(), q.tolist()) for p, q in zip(y.T, factor.T)], kind).T
    else:
        y = np.ascontiguousarray(y)
        with np.errstate(over="ignore", invalid="ignore"):
            for i in range(1, n):
                y[i] += factor[i] * y[i - 1]
    y = y[::-1] if back else y
    shape = (n, *b.shape[:dim], *b.shape[dim + 1 :])
    return np.ascontiguousarray(np.moveaxis(y.reshape(shape), 0, dim)).astype(b.dtype)


def _line(b: list[Any], a: list[Any]) -> list[Any]:
    y = 0.0
    made = []
    a[0] = 0.0
    for p, q in zip(b, a, strict=True):
        y = p + q * y
        made.append(y)
    return made


def _logcumsumexp(x: Any, arg: Any = None) -> Any:
    if not x.ndim:
        return x
    with np.errstate(invalid="ignore"):
        return np.logaddexp.accumulate(x.astype(np.float64), arg).astype(x.dtype)


def _argsort(x: Any, arg: Any = None) -> Any:
    dim, descending = arg
    if not x.ndim:
        return np.zeros((), np.int64)
    if not descending:
        return np.argsort(x, axis=dim, kind="stable")
    turned = np.flip(np.argsort(np.flip(x, dim), axis=dim, kind="stable"), dim)
    return x.shape[dim] - 1 - turned


def _same(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    x = srcs[0]
    return Spec(x.shape, x.dtype if x.dtype.rank > 1 else dt.int64, None, x.device)


def _indices(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    return Spec(srcs[0].shape, dt.int64, srcs[0].laid_alike(), srcs[0].device)


def _enter(
    name: str, infer: Callable[..., Spec], call: Callable[..., Any], reference: Any, *grads: Any
) -> Op:
    op = register(Op(name, LIBRARY, infer))
    op.call, op.reference, op.grads = call, reference, grads
    return op


def _sums_from_the_end(x: Val, dim: int) -> Val:
    return flip(cumsum(flip(x, arg=(dim,)), arg=dim), arg=(dim,))


def _cumsum_grad(g: Val, out: Val, x: Val) -> Val:
    return _sums_from_the_end(g, out.arg) if x.shape else g


def shifted(v: Val, dim: int, first: Val) -> Val:
    """Along ``dim`` the element before each; ``first``, of size 1 there, before the first."""
    n = v.shape[dim]
    return cat(first, slice_(v, arg=(dim, 0, n - 1, 1)), arg=dim) if n else v


def edge(v: Val, dim: int) -> Val:
    """Zeros of ``v``'s shape, but of size 1 along ``dim``."""
    return zeros(v, (*v.shape[:dim], 1, *v.shape[dim + 1 :]))


def _cumprod_grad(g: Val, out: Val, x: Val) -> Val:
    """What stands before a factor times what comes after it, of which the sum is a recurrence:
    without quotients, right at zeros to all orders."""
    if not x.shape:
        return g
    dim = out.arg
    return shifted(out, dim, edge(out, dim) + 1.0) * recur(g, x, arg=(dim, True))


def _recur_grad(i: int, g: Val, out: Val, b: Val, a: Val) -> Val:
    """The recurrence from the other end; a factor meets what came before it."""
    dim, back = out.arg
    if not out.shape:
        return g if i == 0 else zeros(g, ())
    through = recur(g, a, arg=(dim, not back))
    if i == 0:
        return through
    before, after = (through, out) if back else (out, through)
    return shifted(before, dim, edge(out, dim)) * after


def _logcumsumexp_grad(g: Val, out: Val, x: Val) -> Val:
    """Positive and negative parts apart, in logarithms: nothing overflows."""
    if not x.shape:
        return g
    dim = out.arg

    def part(weight: Val, there: Val) -> Val:
        size = where(there, log(where(there, weight, 1.0)) - out, float("-inf"))
        sums = flip(logcumsumexp(flip(size, arg=(dim,)), arg=dim), arg=(dim,))
        return exp(sums + x)

    return part(g, gt(g, 0.0)) - part(-g, lt(g, 0.0))


cumsum: Op = _enter("cumsum", _same, _running(np.add), np.cumsum, _cumsum_grad)
cumprod: Op = _enter("cumprod", _same, _running(np.multiply), np.cumprod, _cumprod_grad)
recur: Op = _enter("recur", _same, _recur, None)
recur.grads = _recur_grad
logcumsumexp: Op = _enter(
    "logcumsumexp", _same, _logcumsumexp, np.logaddexp.accumulate, _logcumsumexp_grad
)
argsort: Op = _enter("argsort", _indices, _argsort, np.argsort)
