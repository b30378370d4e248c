"""Running sums and products, and the order of a sort, along one dimension: NumPy computes them.

    cumsum(x), cumprod(x)    arg = dim
    logcumsumexp(x)          arg = dim
    argsort(x)               arg = (dim, descending): stable, NaN is the greatest

Sums and products of floats are kept in float64 while they run, as PyTorch's are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...base import dtype as dt
from ..op import LIBRARY, Op, Spec, register
from ..value import Val
from .elementwise import eq, exp, gt, log, logical_and, lt, where
from .movement import flip


def _running(ufunc: np.ufunc) -> Callable[..., Any]:
    def call(x: Any, arg: Any = None) -> Any:
        if x.dtype.kind == "c":
            return ufunc.accumulate(x, arg, np.complex128).astype(x.dtype) if x.ndim else x
        if x.dtype.kind != "f":
            return ufunc.accumulate(x, arg, np.int64) if x.ndim else x.astype(np.int64)
        return ufunc.accumulate(x, arg, np.float64).astype(x.dtype) if x.ndim else x

    return call


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


def _cumprod_grad(g: Val, out: Val, x: Val) -> Val:
    """Products without one factor: quotients, but at a line's first zero; after it all are 0.

    Second derivatives by two zeros of one line are not had.
    """
    if not x.shape:
        return g
    dim = out.arg
    zero = eq(x, 0.0)
    first = logical_and(zero, eq(cumsum(zero, arg=dim), 1))
    without = _sums_from_the_end(g * cumprod(where(first, 1.0, x), arg=dim), dim)
    quotient = _sums_from_the_end(g * out, dim) / where(zero, 1.0, x)
    return where(first, without, where(zero, 0.0, quotient))


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
logcumsumexp: Op = _enter(
    "logcumsumexp", _same, _logcumsumexp, np.logaddexp.accumulate, _logcumsumexp_grad
)
argsort: Op = _enter("argsort", _indices, _argsort, np.argsort)
