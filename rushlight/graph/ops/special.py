"""Special functions, computed by SciPy (and a few of two operands by NumPy)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...base import dtype as dt
from ...base.shape import broadcast_shapes, elementwise_strides
from ..op import LIBRARY, Op, Spec, compute_type, register
from ..value import Val
from .elementwise import P, R, U, cast, eq, exp, log, sign, where, zeros_like

SPREAD, INSIDE = (-2.0, 2.0), (-0.9, 0.9)


def _infer(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    x = srcs[0]
    if x.dtype.rank > 2:
        raise NotImplementedError(f"\"{op.name}_cpu\" not implemented for '{x.dtype.typename}'")
    kind = x.dtype if x.dtype.rank > 1 else dt.Defaults.float
    return Spec(x.shape, kind, x.laid_alike(), x.device)


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
trigamma: Op = _enter(
    "trigamma", _scipy("polygamma", 1), P, lambda g, out, x: g * polygamma(x, arg=2)
)
i0: Op = _enter("i0", _scipy("i0"), R, lambda g, out, x: g * i1(x))
i1: Op = _enter("i1", _scipy("i1"), R, _i1_grad)
i0e: Op = _enter("i0e", _scipy("i0e"), R, lambda g, out, x: g * (i1e(x) - out * sign(x)))
i1e: Op = _enter("i1e", _scipy("i1e"), R, _i1e_grad)
ndtri: Op = _enter(
    "ndtri", _scipy("ndtri"), U, lambda g, out, x: g * (exp(out * out * 0.5) * 2.5066282746310002)
)
erfcx: Op = _enter(
    "erfcx", _scipy("erfcx"), SPREAD, lambda g, out, x: g * (x * out * 2.0 - 1.1283791670955126)
)
ndtr: Op = _enter(
    "ndtr", _scipy("ndtr"), SPREAD,
    lambda g, out, x: g * (exp(x * x * -0.5) * 0.3989422804014327),
)  # fmt: skip
log_ndtr: Op = _enter(
    "log_ndtr", _scipy("log_ndtr"), SPREAD,
    lambda g, out, x: g * 0.7978845608028654 / erfcx(x * -0.7071067811865476),
)  # fmt: skip

# Of these no gradient is known, as in PyTorch.
bessel_j0: Op = _enter("bessel_j0", _scipy("j0"), P)
bessel_j1: Op = _enter("bessel_j1", _scipy("j1"), P)
bessel_y0: Op = _enter("bessel_y0", _scipy("y0"), P)
bessel_y1: Op = _enter("bessel_y1", _scipy("y1"), P)
modified_bessel_i0: Op = _enter("modified_bessel_i0", _scipy("i0"), P)
modified_bessel_i1: Op = _enter("modified_bessel_i1", _scipy("i1"), P)
modified_bessel_k0: Op = _enter("modified_bessel_k0", _scipy("k0"), P)
modified_bessel_k1: Op = _enter("modified_bessel_k1", _scipy("k1"), P)
scaled_modified_bessel_k0: Op = _enter("scaled_modified_bessel_k0", _scipy("k0e"), P)
scaled_modified_bessel_k1: Op = _enter("scaled_modified_bessel_k1", _scipy("k1e"), P)


def _airy(x: Any, arg: Any = None) -> Any:
    import scipy.special

    if x.dtype.kind != "f":
        x = x.astype(dt.Defaults.float.numpy)
    return scipy.special.airy(x)[0].astype(x.dtype, copy=False)


def _spherical(x: Any, arg: Any = None) -> Any:
    if x.dtype.kind != "f":
        x = x.astype(dt.Defaults.float.numpy)
    return np.sinc(x / np.pi).astype(x.dtype, copy=False)


airy_ai: Op = _enter("airy_ai", _airy, P)
spherical_bessel_j0: Op = _enter("spherical_bessel_j0", _spherical, P)


# ---------------------------------------------------------------- with an order
def _polygamma(x: Any, arg: Any = None) -> Any:
    import scipy.special

    if x.dtype.kind != "f":
        x = x.astype(dt.Defaults.float.numpy)
    if arg == 0:
        return scipy.special.psi(x)
    # far below zero SciPy's zeta is not defined: reflected step by step to the right
    return scipy.special.polygamma(arg, x).astype(x.dtype, copy=False)


# arg = the order
polygamma: Op = register(Op("polygamma", LIBRARY, _infer))
polygamma.call = _polygamma
polygamma.grads = (lambda g, out, x: g * polygamma(x, arg=out.arg + 1),)


# ---------------------------------------------------------------- two operands
def _infer_two(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    x, y = srcs
    ctype = compute_type(op.types, srcs, arg)
    refused = "f" if op.name in ("gcd", "lcm") else "bui" if op.name in ("nextafter",) else ""
    if (
        ctype.kind == "c"
        or ctype.kind in refused
        or (ctype.kind == "b" and op.name in ("gcd", "lcm"))
    ):
        raise NotImplementedError(f"\"{op.name}_cpu\" not implemented for '{ctype.typename}'")
    shape = broadcast_shapes(x.shape, y.shape)
    steps = elementwise_strides(shape, [(s.shape, s.strides) for s in srcs if not s.number])
    return Spec(shape, ctype, steps, x.device)


def _two(name: str, call: Callable[..., Any], types: str, *grads: Any) -> Op:
    def run(x: Any, y: Any, arg: Any = None) -> Any:
        kind = np.result_type(x, y)
        if types == "float" and kind.kind != "f":
            kind = np.dtype(dt.Defaults.float.numpy)
        x, y = np.asarray(x).astype(kind, copy=False), np.asarray(y).astype(kind, copy=False)
        with np.errstate(all="ignore"):
            return np.asarray(call(x, y)).astype(kind, copy=False)

    op = register(Op(name, LIBRARY, _infer_two))
    op.types, op.call, op.grads = types, run, grads
    return op


def _of_scipy(name: str) -> Callable[..., Any]:
    def call(x: Any, y: Any) -> Any:
        import scipy.special

        return getattr(scipy.special, name)(x, y)

    return call


def _polynomial(name: str, at: Callable[[Any], Any] | None = None) -> Callable[..., Any]:
    """SciPy's `eval_...` of an integer order; 0 below order 0."""

    def call(x: Any, n: Any) -> Any:
        import scipy.special

        order = np.trunc(n)
        found = getattr(scipy.special, f"eval_{name}")(
            np.maximum(order, 0).astype(np.int64), (x if at is None else at(x)).astype(np.float64)
        )
        return np.where(order < 0, 0.0, found)

    return call


def _neighbours(sign_: int, at: Callable[[Any], Any] | None = None) -> Callable[..., Any]:
    """Chebyshev's third and fourth kinds: `U_n` minus or plus `U_(n-1)`."""
    second = _polynomial("chebyu", at)
    return lambda x, n: second(x, n) + sign_ * second(x, n - 1)


def _shifted(x: Any) -> Any:
    return 2 * x - 1


zeta: Op = _two(
    "zeta", _of_scipy("zeta"), "float", None,
    lambda g, out, x, q: g * -(x * zeta(x + 1.0, q)),
)  # fmt: skip
igamma: Op = _two(
    "igamma", _of_scipy("gammainc"), "float", None,
    lambda g, out, a, x: g * exp((a - 1.0) * log(x) - x - lgamma(a)),
)  # fmt: skip
igammac: Op = _two(
    "igammac", _of_scipy("gammaincc"), "float", None,
    lambda g, out, a, x: -(g * exp((a - 1.0) * log(x) - x - lgamma(a))),
)  # fmt: skip
gcd: Op = _two("gcd", np.gcd, "promote")
lcm: Op = _two("lcm", np.lcm, "promote")
nextafter: Op = _two(
    "nextafter", np.nextafter, "promote",
    lambda g, out, x, y: where(eq(x, y), 0.0, g), lambda g, out, x, y: zeros_like(g),
)  # fmt: skip
chebyshev_polynomial_t: Op = _two("chebyshev_polynomial_t", _polynomial("chebyt"), "float")
chebyshev_polynomial_u: Op = _two("chebyshev_polynomial_u", _polynomial("chebyu"), "float")
chebyshev_polynomial_v: Op = _two("chebyshev_polynomial_v", _neighbours(-1), "float")
chebyshev_polynomial_w: Op = _two("chebyshev_polynomial_w", _neighbours(1), "float")
shifted_chebyshev_polynomial_t: Op = _two(
    "shifted_chebyshev_polynomial_t", _polynomial("chebyt", _shifted), "float"
)
shifted_chebyshev_polynomial_u: Op = _two(
    "shifted_chebyshev_polynomial_u", _polynomial("chebyu", _shifted), "float"
)
shifted_chebyshev_polynomial_v: Op = _two(
    "shifted_chebyshev_polynomial_v", _neighbours(-1, _shifted), "float"
)
shifted_chebyshev_polynomial_w: Op = _two(
    "shifted_chebyshev_polynomial_w", _neighbours(1, _shifted), "float"
)
hermite_polynomial_h: Op = _two("hermite_polynomial_h", _polynomial("hermite"), "float")
hermite_polynomial_he: Op = _two("hermite_polynomial_he", _polynomial("hermitenorm"), "float")
laguerre_polynomial_l: Op = _two("laguerre_polynomial_l", _polynomial("laguerre"), "float")
legendre_polynomial_p: Op = _two("legendre_polynomial_p", _polynomial("legendre"), "float")


# ---------------------------------------------------------------- parts of a float
def _mantissa(x: Any, arg: Any = None) -> Any:
    return np.frexp(x)[0]


def _exponents(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    return Spec(srcs[0].shape, dt.int32, srcs[0].laid_alike(), srcs[0].device)


exponent: Op = register(Op("exponent", LIBRARY, _exponents))
exponent.call = lambda x, arg=None: np.frexp(x)[1].astype(np.int32)
mantissa: Op = register(Op("mantissa", LIBRARY, _infer))
mantissa.call = _mantissa
mantissa.grads = (lambda g, out, x: g / exp(cast(exponent(x), arg=x.dtype) * 0.6931471805599453),)
