"""Special functions, computed by SciPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...base import dtype as dt
from ..op import LIBRARY, Op, Spec, register
from ..value import Val
from .elementwise import P, R, U, eq, exp, sign, where

SPREAD, INSIDE = (-2.0, 2.0), (-0.9, 0.9)


def _infer(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    x = srcs[0]
    return Spec(x.shape, x.dtype if x.dtype.rank > 1 else dt.Defaults.float, None, x.device)


def _scipy(name: str, *before: Any) -> Callable[..., Any]:
    """`scipy.special`'s function of that name, with arguments that come before."""

    def call(x: Any, arg: Any = None) -> Any:
        import scipy.special

        if x.dtype.kind != "f":
            x = x.astype(dt.Defaults.float.numpy)
        return getattr(scipy.special, name)(*before, x).astype(x.dtype, copy=False)

    return call


def _enter(name: str, scipy: Callable[..., Any], domain: Any, *grads: Any) -> Op:
    op = register(Op(name, LIBRARY, _infer))
    op.call, op.domain, op.grads = scipy, (domain,), grads
    return op


def _i1_grad(g: Val, out: Val, x: Val) -> Val:
    return g * (i0(x) - where(eq(x, 0.0), 0.5, out / where(eq(x, 0.0), 1.0, x)))


def _i1e_grad(g: Val, out: Val, x: Val) -> Val:
    near = where(eq(x, 0.0), 0.5, out / where(eq(x, 0.0), 1.0, x))
    return g * (i0e(x) - out * sign(x) - near)


erfc: Op = _enter(
    "erfc", _scipy("erfc"), SPREAD, lambda g, out, x: g * (exp(-(x * x)) * -1.1283791670955126)
)
erfinv: Op = _enter(
    "erfinv", _scipy("erfinv"), INSIDE, lambda g, out, x: g * (exp(out * out) * 0.886226925452758)
)
lgamma: Op = _enter("lgamma", _scipy("gammaln"), P, lambda g, out, x: g * digamma(x))
digamma: Op = _enter("digamma", _scipy("psi"), P, lambda g, out, x: g * trigamma(x))
trigamma: Op = _enter("trigamma", _scipy("polygamma", 1), P, lambda g, out, x: g * tetragamma(x))
tetragamma: Op = _enter("tetragamma", _scipy("polygamma", 2), P)
i0: Op = _enter("i0", _scipy("i0"), R, lambda g, out, x: g * i1(x))
i1: Op = _enter("i1", _scipy("i1"), R, _i1_grad)
i0e: Op = _enter("i0e", _scipy("i0e"), R, lambda g, out, x: g * (i1e(x) - out * sign(x)))
i1e: Op = _enter("i1e", _scipy("i1e"), R, _i1e_grad)
ndtri: Op = _enter(
    "ndtri", _scipy("ndtri"), U, lambda g, out, x: g * (exp(out * out * 0.5) * 2.5066282746310002)
)
