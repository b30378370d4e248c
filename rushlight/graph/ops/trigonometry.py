"""Functions of angles, hyperbolic functions and their inverses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..op import Op
from ..shaping import REFUSED
from ..value import Val
from .elementwise import P, R, cos, define, eq, refusal, rsqrt, sin, where

LN2 = math.log(2.0)
ABOVE_ONE, INSIDE = (1.25, 3.0), (-0.9, 0.9)

tan: Op = define("tan", lambda e, x: e.tan(x), lambda g, out, x: g * (out * out + 1.0),
                 types="float", reference=np.tan, domain=((-1.2, 1.2),))  # fmt: skip


def _square(y: Val, x: Val) -> Val:
    """Of the distance from the origin; there any number, so that the angle's gradients are 0."""
    square = x * x + y * y
    return where(eq(square, 0.0), 1.0, square)


atan2: Op = define(
    "atan2", lambda e, y, x: e.atan2(y, x), lambda g, out, y, x: g * (x / _square(y, x)),
    lambda g, out, y, x: g * (-y / _square(y, x)), types="float", reference=np.arctan2,
    domain=(R, P),
)  # fmt: skip
atan: Op = define("atan", lambda e, x: e.atan2(x, e.const(1, x.dtype)),
                  lambda g, out, x: g / (x * x + 1.0), types="float",
                  reference=np.arctan)  # fmt: skip
asin: Op = define(
    "asin", lambda e, x: e.atan2(x, e.sqrt((1 - x) * (1 + x))),
    lambda g, out, x: g * rsqrt(1.0 - x * x), types="float", reference=np.arcsin,
    domain=(INSIDE,),
)  # fmt: skip
acos: Op = define(
    "acos", lambda e, x: e.atan2(e.sqrt((1 - x) * (1 + x)), x),
    lambda g, out, x: -(g * rsqrt(1.0 - x * x)), types="float", reference=np.arccos,
    domain=(INSIDE,),
)  # fmt: skip


def _sinh(e: Any, x: Any) -> Any:
    # (t + t/(t+1)) / 2 with t = expm1(|x|): no cancellation near 0; t = inf gives inf
    t = e.expm1(e.abs(x))
    big = e.where(t > 1e30, t * 0.5, (t + t / (t + 1)) * 0.5)
    return e.where(x < 0, -big, big)


def _cosh(e: Any, x: Any) -> Any:
    t = e.exp(e.abs(x))
    return t * 0.5 + 0.5 / t


def _asinh(e: Any, x: Any) -> Any:
    a = e.abs(x)
    # a^2 / (1 + sqrt(a^2 + 1)) is accurate near 0; beyond 1e15 the square adds nothing
    small = e.log1p(a + a * a / (1 + e.sqrt(a * a + 1)))
    v = e.where(a > 1e15, e.log(a) + LN2, small)
    return e.where(x < 0, -v, v)


def _acosh(e: Any, x: Any) -> Any:
    t = x - 1
    return e.where(x > 1e15, e.log(x) + LN2, e.log1p(t + e.sqrt(t * (t + 2))))


def _atanh(e: Any, x: Any) -> Any:
    a = e.abs(x)
    v = e.log1p((a + a) / (1 - a)) * 0.5
    return e.where(x < 0, -v, v)


def _acosh_grad(g: Val, out: Val, x: Val) -> Val:
    if x.dtype.kind == "c":  # the product of roots keeps to their branches
        return g * (rsqrt(x - 1.0) * rsqrt(x + 1.0))
    return g * rsqrt(x * x - 1.0)


sinh: Op = define("sinh", _sinh, lambda g, out, x: g * cosh(x), types="float", reference=np.sinh)
cosh: Op = define("cosh", _cosh, lambda g, out, x: g * sinh(x), types="float", reference=np.cosh)
asinh: Op = define("asinh", _asinh, lambda g, out, x: g * rsqrt(x * x + 1.0), types="float",
                   reference=np.arcsinh)  # fmt: skip
acosh: Op = define("acosh", _acosh, _acosh_grad, types="float",
                   reference=np.arccosh, domain=(ABOVE_ONE,))  # fmt: skip
atanh: Op = define("atanh", _atanh, lambda g, out, x: g / (1.0 - x * x), types="float",
                   reference=np.arctanh, domain=(INSIDE,))  # fmt: skip


def _sinc_grad(g: Val, out: Val, x: Val) -> Val:
    turn = x * math.pi
    return g * where(eq(x, 0.0), 0.0, (cos(turn) - sin(turn) / turn) / x)


sinc: Op = define(
    "sinc", lambda e, x: e.where(x.eq(0), 1, e.sin(x * math.pi) / (x * math.pi)),
    _sinc_grad, types="float", reference=np.sinc,
)  # fmt: skip
for _name in ("deg2rad", "rad2deg"):
    REFUSED[_name] = refusal("c", RuntimeError, f"{_name} is not supported for complex tensors.")
deg2rad: Op = define(
    "deg2rad", lambda e, x: x * e.const(math.pi / 180.0, x.dtype),
    lambda g, out, x: g * (math.pi / 180.0), types="float", reference=np.deg2rad,
)  # fmt: skip
rad2deg: Op = define(
    "rad2deg", lambda e, x: x * e.const(180.0 / math.pi, x.dtype),
    lambda g, out, x: g * (180.0 / math.pi), types="float", reference=np.rad2deg,
)  # fmt: skip
