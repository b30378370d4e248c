"""Complex numbers as pairs of real ones: a scalar builder over another that knows real types only.

An elementwise row reads the same with complex operands: `x * y` is four products and two sums, each
rounded once, whoever runs it.  `LOWER` says which rows take complex operands, and how, where the
row's own words would not do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from ..base import dtype as dt
from ..base.dtype import dtype
from .scalar import Scalar, ScalarBuilder

LN2, LN10 = math.log(2.0), math.log(10.0)


class ComplexBuilder(ScalarBuilder):
    """Complex scalars hold a pair of the other builder's; real ones are the other's own."""

    def __init__(self, real: ScalarBuilder) -> None:
        self.real = real

    def pair(self, re: Scalar, im: Scalar) -> Scalar:
        """A complex number of two real ones of one type."""
        return Scalar(self, (re, im), dt.complex_type(re.dtype))

    def const(self, value: Any, dtype: dtype) -> Scalar:
        if dtype.kind != "c":
            return self.real.const(value, dtype)
        part, v = dtype.to_real(), complex(value)
        return self.pair(self.real.const(v.real, part), self.real.const(v.imag, part))

    def cast(self, x: Scalar, to: dtype) -> Scalar:
        if x.dtype is to:
            return x
        e = self.real
        if x.dtype.kind != "c":
            if to.kind != "c":
                return e.cast(x, to)
            part = to.to_real()
            return self.pair(e.cast(x, part), e.const(0, part))
        re, im = x.v
        if to.kind == "c":
            return self.pair(e.cast(re, to.to_real()), e.cast(im, to.to_real()))
        if to.kind == "b":
            return e.binary("or", re.ne(0), im.ne(0))
        return e.cast(re, to)

    def compare(self, op: str, x: Scalar, y: Scalar) -> Scalar:
        if x.dtype.kind != "c":
            return self.real.compare(op, x, y)
        (a, b), (c, d) = x.v, y.v
        if op == "eq":
            return self.real.binary("and", a.eq(c), b.eq(d))
        if op == "ne":
            return self.real.binary("or", a.ne(c), b.ne(d))
        raise NotImplementedError(f"{op}: complex numbers have no order")

    def select(self, c: Scalar, x: Scalar, y: Scalar) -> Scalar:
        if x.dtype.kind != "c":
            return self.real.select(c, x, y)
        e = self.real
        return self.pair(*[e.select(c, p, q) for p, q in zip(x.v, y.v, strict=True)])

    def unary(self, op: str, x: Scalar) -> Scalar:
        if x.dtype.kind != "c":
            return self.real.unary(op, x)
        found = _UNARY.get(op)
        if found is None:
            raise NotImplementedError(f"{op}: not defined for complex numbers")
        return found(self, self.real, x)

    def binary(self, op: str, x: Scalar, y: Scalar) -> Scalar:
        if x.dtype.kind != "c":
            return self.real.binary(op, x, y)
        (a, b), (c, d) = x.v, y.v
        if op == "add":
            return self.pair(a + c, b + d)
        if op == "sub":
            return self.pair(a - c, b - d)
        if op == "mul":
            return self.pair(a * c - b * d, a * d + b * c)
        if op == "div":
            return self._quotient(a, b, c, d)
        if op == "pow":
            return self._power(x, y)
        raise NotImplementedError(f"{op}: not defined for complex numbers")

    def _quotient(self, a: Scalar, b: Scalar, c: Scalar, d: Scalar) -> Scalar:
        """Smith's: the divisor's lesser part is first divided by the greater."""
        e = self.real
        wide = e.abs(c) >= e.abs(d)
        nothing = c.eq(0) & d.eq(0)
        big, less = e.select(wide, c, d), e.select(wide, d, c)
        ratio = less / e.where(nothing, 1, big)
        scale = e.const(1, big.dtype) / (big + less * ratio)
        p, q = e.select(wide, a, b), e.select(wide, b, a)
        re, im = (p + q * ratio) * scale, (q - p * ratio) * scale
        by_zero = e.abs(c)
        return self.pair(
            e.select(nothing, a / by_zero, re),
            e.select(nothing, b / by_zero, e.select(wide, im, -im)),
        )

    def _power(self, x: Scalar, y: Scalar) -> Scalar:
        """exp(y log x); 0 to the power of 0 is 1, 0 to any other 0."""
        e = self.real
        zero = x.eq(0)
        base = self.select(zero, self.const(1, x.dtype), x)
        none = e.cast(y.eq(0), x.v[0].dtype)
        at_zero = self.pair(none, e.const(0, none.dtype))
        found = self.unary("exp", y * self.unary("log", base))
        return self.select(zero, at_zero, found)


# ---------------------------------------------------------------- functions of one number
Function = Callable[[ComplexBuilder, ScalarBuilder, Scalar], Scalar]


def modulus(e: ScalarBuilder, re: Scalar, im: Scalar) -> Scalar:
    """sqrt(re^2 + im^2) without overflow in between."""
    a, b = e.abs(re), e.abs(im)
    first = (a > b) | e.isnan(a)
    big, less = e.select(first, a, b), e.select(first, b, a)
    ratio = less / e.where(big.eq(0), 1, big)
    found = big * e.sqrt(ratio * ratio + 1)
    infinite = a.eq(math.inf) | b.eq(math.inf)
    return e.select(infinite, e.const(math.inf, found.dtype), found)


def _sinh(e: ScalarBuilder, x: Scalar) -> Scalar:
    t = e.expm1(e.abs(x))
    big = e.where(t > 1e30, t * 0.5, (t + t / (t + 1)) * 0.5)
    return e.where(x < 0, -big, big)


def _cosh(e: ScalarBuilder, x: Scalar) -> Scalar:
    t: Scalar = e.exp(e.abs(x)) * 0.5
    return t + e.const(0.25, t.dtype) / t


def _real_asinh(e: ScalarBuilder, x: Scalar) -> Scalar:
    a = e.abs(x)
    small = e.log1p(a + a * a / (1 + e.sqrt(a * a + 1)))
    v = e.where(a > 1e15, e.log(a) + LN2, small)
    return e.where(x < 0, -v, v)


def _exp(c: ComplexBuilder, e: ScalarBuilder, x: Scalar) -> Scalar:
    re, im = x.v
    size = e.exp(re)
    flat = im.eq(0)
    return c.pair(e.select(flat, size, size * e.cos(im)), e.select(flat, im, size * e.sin(im)))


def _expm1(c: ComplexBuilder, e: ScalarBuilder, x: Scalar) -> Scalar:
    re, im = x.v
    half = e.sin(im * 0.5)
    return c.pair(e.expm1(re) * e.cos(im) - half * half * 2, e.exp(re) * e.sin(im))


def _log(c: ComplexBuilder, e: ScalarBuilder, x: Scalar) -> Scalar:
    re, im = x.v
    return c.pair(e.log(modulus(e, re, im)), e.atan2(im, re))


def _log1p(c: ComplexBuilder, e: ScalarBuilder, x: Scalar) -> Scalar:
    re, im = x.v
    near = e.log1p(re * (re + 2) + im * im) * 0.5
    far = e.log(modulus(e, re + 1, im))
    small = (e.abs(re) < 1) & (e.abs(im) < 1)
    return c.pair(e.select(small, near, far), e.atan2(im, re + 1))


def _sqrt(c: ComplexBuilder, e: ScalarBuilder, x: Scalar) -> Scalar:
    re, im = x.v
    size = e.sqrt((e.abs(re) + modulus(e, re, im)) * 0.5)
    other = e.abs(im) / (e.where(size.eq(0), 1, size) * 2)
    right = ~(re < 0)
    up = (im < 0) | (im.eq(0) & ((1 / im) < 0))
    a, b = e.select(right, size, other), e.select(right, other, size)
    return c.pair(a, e.select(up, -b, b))


def _sin(c: ComplexBuilder, e: ScalarBuilder, x: Scalar) -> Scalar:
    re, im = x.v
    return c.pair(e.sin(re) * _cosh(e, im), e.cos(re) * _sinh(e, im))


def _cos(c: ComplexBuilder, e: ScalarBuilder, x: Scalar) -> Scalar:
    re, im = x.v
    return c.pair(e.cos(re) * _cosh(e, im), -(e.sin(re) * _sinh(e, im)))


def _tanh(c: ComplexBuilder, e: ScalarBuilder, x: Scalar) -> Scalar:
    """With t = tan y and s = sinh x, as Kahan; far from 0 its limit."""
    re, im = x.v
    s, t = _sinh(e, re), e.tan(im)
    beta = t * t + 1
    rho = e.sqrt(s * s + 1)
    scale = beta * s * s + 1
    near = c.pair(beta * rho * s / scale, t / scale)
    one = e.const(1, re.dtype)
    edge = e.select(re < 0, -one, one)
    limit = c.pair(edge, e.sin(im) * e.cos(im) * 4 * e.exp(e.abs(re) * -2))
    return c.select(e.abs(re) > 20, limit, near)


def _turned(f: Function) -> Function:
    """-i f(i z): circular functions of hyperbolic ones, and the other way."""

    def g(c: ComplexBuilder, e: ScalarBuilder, x: Scalar) -> Scalar:
        re, im = x.v
        p, q = f(c, e, c.pair(-im, re)).v
        return c.pair(q, -p)

    return g


def _asin(c: ComplexBuilder, e: ScalarBuilder, x: Scalar) -> Scalar:
    re, _ = x.v
    (a, b), (p, q) = _sqrt(c, e, 1 - x).v, _sqrt(c, e, 1 + x).v
    return c.pair(e.atan2(re, a * p - b * q), _real_asinh(e, a * q - b * p))


def _acos(c: ComplexBuilder, e: ScalarBuilder, x: Scalar) -> Scalar:
    (a, b), (p, q) = _sqrt(c, e, 1 - x).v, _sqrt(c, e, 1 + x).v
    return c.pair(e.atan2(a, p) * 2, _real_asinh(e, p * b - q * a))


def _acosh(c: ComplexBuilder, e: ScalarBuilder, x: Scalar) -> Scalar:
    (a, b), (p, q) = _sqrt(c, e, x - 1).v, _sqrt(c, e, x + 1).v
    return c.pair(_real_asinh(e, a * p + b * q), e.atan2(b, p) * 2)


def _atanh(c: ComplexBuilder, e: ScalarBuilder, x: Scalar) -> Scalar:
    re, im = x.v
    off = 1 - re
    size = e.log1p(re * 4 / (off * off + im * im)) * 0.25
    return c.pair(size, e.atan2(im * 2, off * (re + 1) - im * im) * 0.5)


def _abs(c: ComplexBuilder, e: ScalarBuilder, x: Scalar) -> Scalar:
    return modulus(e, *x.v)


def _sigmoid(c: ComplexBuilder, e: ScalarBuilder, x: Scalar) -> Scalar:
    return c.const(1, x.dtype) / (_exp(c, e, -x) + 1)


def _times(f: Function, factor: float) -> Function:
    def g(c: ComplexBuilder, e: ScalarBuilder, x: Scalar) -> Scalar:
        re, im = f(c, e, x).v
        return c.pair(re * factor, im * factor)

    return g


_UNARY: Final[dict[str, Function]] = {
    "neg": lambda c, e, x: c.pair(-x.v[0], -x.v[1]),
    "abs": _abs,
    "sqrt": _sqrt,
    "exp": _exp,
    "exp2": lambda c, e, x: _exp(c, e, x * LN2),
    "expm1": _expm1,
    "log": _log,
    "log2": _times(_log, 1 / LN2),
    "log1p": _log1p,
    "tanh": _tanh,
    "sigmoid": _sigmoid,
    "sin": _sin,
    "cos": _cos,
    "tan": _turned(_tanh),
}


# ---------------------------------------------------------------- rows
def _row(f: Function) -> Callable[..., Any]:
    return lambda e, x: f(e, e.real, x)


def _finite(c: ComplexBuilder, e: ScalarBuilder, x: Scalar) -> Scalar:
    re, im = x.v
    return e.binary("and", e.abs(re) < math.inf, e.abs(im) < math.inf)


def _infinite(c: ComplexBuilder, e: ScalarBuilder, x: Scalar) -> Scalar:
    re, im = x.v
    return e.binary("or", e.abs(re).eq(math.inf), e.abs(im).eq(math.inf))


def _unit(c: ComplexBuilder, e: ScalarBuilder, x: Scalar) -> Scalar:
    re, im = x.v
    size = modulus(e, re, im)
    safe = e.where(size.eq(0), 1, size)
    return c.pair(re / safe, im / safe)


# Rows that take complex operands; None where the row's own words do for them.
LOWER: Final[dict[str, Callable[..., Any] | None]] = {
    **dict.fromkeys(
        (
            "add", "sub", "mul", "div", "neg", "square", "cube", "reciprocal", "sqrt", "rsqrt",
            "pow", "exp", "exp2", "expm1", "log", "log2", "log1p", "tanh", "sigmoid", "sin", "cos",
            "tan", "abs", "where", "eq", "ne", "isnan", "logical_not", "logical_and", "logical_or",
            "logical_xor", "cast", "zeros_like", "copy", "to_device", "sinc", "deg2rad", "rad2deg",
            "complex",
        )
    ),
    "log10": _row(_times(_log, 1 / LN10)),
    "sinh": _row(_turned(_sin)),
    "cosh": _row(lambda c, e, x: _cos(c, e, c.pair(-x.v[1], x.v[0]))),
    "asin": _row(_asin),
    "acos": _row(_acos),
    "atan": _row(_turned(_atanh)),
    "asinh": _row(_turned(_asin)),
    "acosh": _row(_acosh),
    "atanh": _row(_atanh),
    "isfinite": _row(_finite),
    "isinf": _row(_infinite),
    "sgn": _row(_unit),
    "real": lambda e, x: x.v[0],
    "imag": lambda e, x: x.v[1],
    "conj": lambda e, x: e.pair(x.v[0], -x.v[1]),
    "angle": lambda e, x: e.real.atan2(x.v[1], x.v[0]),
}  # fmt: skip
