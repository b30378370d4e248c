"""Inverse trigonometric, hyperbolic and inverse hyperbolic functions on SSA values.

Owns atan, atan2, asin, acos, sinh, cosh, asinh, acosh and atanh. Angles are a multiple of pi/4,
held in two parts, plus the arctangent of at most tan(pi/8).
"""

import math

from rushlight.codegen.coefficients import (
    ASIN_F32,
    ASIN_F64,
    ATAN_F32,
    ATAN_F64,
    EXP_F32,
    EXP_F64,
    SINH_F32,
    SINH_F64,
)
from rushlight.codegen.lanes import Lanes
from rushlight.codegen.text import Emitter, Value
from rushlight.codegen.vectorexp import exp_parts, log1p

_TAN_EIGHTH = 0.41421356237309503  # of a half turn: tan(pi/8)


def _arc(v: Lanes, y: Value, x: Value) -> tuple[Value, Value]:
    """`atan(y / x)` for `0 <= y <= x`: a multiple of pi/4, and the arctangent of the rest."""
    infinite = v.cmp("oeq", y, v.c(math.inf))  # then both are
    middle = v.both(v.cmp("ogt", y, v.mul(x, v.c(_TAN_EIGHTH))), infinite, "or")
    top = v.sel(middle, v.sub(y, x), y)
    bottom = v.sel(middle, v.add(y, x), x)
    top = v.sel(infinite, v.c(0.0), top)
    bottom = v.sel(v.cmp("oeq", bottom, v.c(0.0)), v.c(1.0), bottom)
    t = v.div(top, bottom)
    z = v.mul(t, t)
    angle = v.fma(v.mul(t, z), v.polynomial(z, v.pick(ATAN_F32, ATAN_F64)), t)
    return v.sel(middle, v.c(1.0), v.c(0.0)), angle


def _angle(v: Lanes, eighths: Value, rest: Value) -> Value:
    """`eighths * pi/4 + rest`."""
    high, low = v.kind.half_pi[0] / 2, v.kind.half_pi[1] / 2
    return v.fma(eighths, v.c(high), v.fma(eighths, v.c(low), rest))


def atan(e: Emitter, width: int, ty: str, x: Value) -> Value:
    """Arctangent."""
    v = Lanes(e, width, ty)
    a = v.abs(x)
    steep = v.cmp("ogt", a, v.c(1.0))
    one = v.c(1.0)
    # the larger of both below infinity, so that 1 / a is 0 there
    eighths, rest = _arc(v, v.sel(steep, one, a), v.sel(steep, a, one))
    eighths = v.sel(steep, v.sub(v.c(2.0), eighths), eighths)
    rest = v.sel(steep, v.neg(rest), rest)
    return v.copysign(_angle(v, eighths, rest), x)


def atan2(e: Emitter, width: int, ty: str, y: Value, x: Value) -> Value:
    """The angle of the point (x, y), with C99's values at zeros and infinities."""
    v = Lanes(e, width, ty)
    ay, ax = v.abs(y), v.abs(x)
    # away from overflow in the sum; a small partner that this rounds does not matter then
    limit = v.c(2.0 ** (v.kind.bias - 1))
    large = v.both(v.cmp("ogt", ay, limit), v.cmp("ogt", ax, limit), "or")
    factor = v.sel(large, v.c(0.25), v.c(1.0))
    ay, ax = v.mul(ay, factor), v.mul(ax, factor)
    steep = v.cmp("ogt", ay, ax)
    eighths, rest = _arc(v, v.sel(steep, ax, ay), v.sel(steep, ay, ax))
    eighths = v.sel(steep, v.sub(v.c(2.0), eighths), eighths)
    rest = v.sel(steep, v.neg(rest), rest)
    left = v.e.value(f"icmp slt {v.it} {v.bits(x)}, {v.ic(0)}")
    eighths = v.sel(left, v.sub(v.c(4.0), eighths), eighths)
    rest = v.sel(left, v.neg(rest), rest)
    angle = v.copysign(_angle(v, eighths, rest), y)
    return v.sel(v.cmp("uno", x, y), v.c(math.nan), angle)


def _asin_parts(v: Lanes, x: Value) -> tuple[Value, Value, Value]:
    """Whether |x| > 1/2; the arcsine of |x|, or there of sqrt((1 - |x|) / 2); |x|."""
    a = v.abs(x)
    far = v.cmp("ogt", a, v.c(0.5))
    z = v.sel(far, v.fma(a, v.c(-0.5), v.c(0.5)), v.mul(a, a))
    s = v.sel(far, v.intrinsic("sqrt", z), a)
    return far, v.fma(v.mul(s, z), v.polynomial(z, v.pick(ASIN_F32, ASIN_F64)), s), a


def asin(e: Emitter, width: int, ty: str, x: Value) -> Value:
    """Arcsine; NaN beyond 1."""
    v = Lanes(e, width, ty)
    far, angle, _ = _asin_parts(v, x)
    high, low = v.kind.half_pi[:2]
    turned = v.add(v.c(high), v.fma(angle, v.c(-2.0), v.c(low)))
    return v.copysign(v.sel(far, turned, angle), x)


def acos(e: Emitter, width: int, ty: str, x: Value) -> Value:
    """Arccosine; NaN beyond 1."""
    v = Lanes(e, width, ty)
    far, angle, _ = _asin_parts(v, x)
    high, low = v.kind.half_pi[:2]
    left = v.cmp("olt", x, v.c(0.0))
    double = v.add(angle, angle)
    back = v.add(v.c(2 * high), v.sub(v.c(2 * low), double))
    outer = v.sel(left, back, double)
    signed = v.copysign(angle, x)
    inner = v.add(v.c(high), v.sub(v.c(low), signed))
    return v.sel(far, outer, inner)


def _half_exp(v: Lanes, a: Value) -> Value:
    """`e**a / 2` for `0 <= a`, infinity only where that is beyond the largest number."""
    a = v.at_most(a, v.kind.exp_range[1] + 1)
    shifted, n, r = exp_parts(v, a)
    tail = v.polynomial(r, v.pick(EXP_F32, EXP_F64))
    p = v.add(v.fma(v.mul(r, r), tail, r), v.c(1.0))
    one = v.c(1.0)
    return v.scale(p, v.sub(shifted, one), v.sub(n, one))


def sinh(e: Emitter, width: int, ty: str, x: Value) -> Value:
    """Hyperbolic sine."""
    v = Lanes(e, width, ty)
    a = v.abs(x)
    z = v.mul(a, a)
    near = v.fma(v.mul(a, z), v.polynomial(z, v.pick(SINH_F32, SINH_F64)), a)
    half = _half_exp(v, a)
    far = v.sub(half, v.div(v.c(0.25), half))
    return v.copysign(v.sel(v.cmp("olt", a, v.c(1.0)), near, far), x)


def cosh(e: Emitter, width: int, ty: str, x: Value) -> Value:
    """Hyperbolic cosine."""
    v = Lanes(e, width, ty)
    half = _half_exp(v, v.abs(x))
    return v.add(half, v.div(v.c(0.25), half))


def _log_of(v: Lanes, a: Value, near: Value) -> Value:
    """`log1p(near)`, or `log(2 a)` for an `a` so large that nothing else matters."""
    large = v.cmp("ogt", a, v.c(2.0 ** ((v.kind.mantissa + 4) // 2)))
    argument = v.sel(large, v.sub(a, v.c(1.0)), near)
    more = v.sel(large, v.c(math.log(2)), v.c(0.0))
    return v.add(log1p(v.e, v.width, v.ty, argument), more)


def asinh(e: Emitter, width: int, ty: str, x: Value) -> Value:
    """Inverse hyperbolic sine."""
    v = Lanes(e, width, ty)
    a, one = v.abs(x), v.c(1.0)
    square = v.mul(a, a)
    root = v.intrinsic("sqrt", v.add(square, one))
    near = v.add(a, v.div(square, v.add(one, root)))
    return v.copysign(_log_of(v, a, near), x)


def acosh(e: Emitter, width: int, ty: str, x: Value) -> Value:
    """Inverse hyperbolic cosine; NaN below 1."""
    v = Lanes(e, width, ty)
    t = v.sub(x, v.c(1.0))
    near = v.add(t, v.intrinsic("sqrt", v.fma(t, t, v.add(t, t))))
    return v.sel(v.cmp("ult", x, v.c(1.0)), v.c(math.nan), _log_of(v, x, near))


def atanh(e: Emitter, width: int, ty: str, x: Value) -> Value:
    """Inverse hyperbolic tangent; infinite at 1, NaN beyond."""
    v = Lanes(e, width, ty)
    a = v.abs(x)
    twice = v.add(a, a)
    u = v.fma(twice, v.div(a, v.sub(v.c(1.0), a)), twice)
    u = v.sel(v.cmp("ogt", a, v.c(1.0)), v.c(math.nan), u)
    return v.copysign(v.mul(log1p(e, width, ty, u), v.c(0.5)), x)
