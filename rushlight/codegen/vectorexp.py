"""Exponentials and logarithms on SSA values, and what is made of them directly.

Owns exp, exp2, expm1, sigmoid, tanh, erf, log, log1p, log2 and log10. Cody and Waite's reduction
for the exponentials; fdlibm's log and log1p.
"""

import math
from dataclasses import dataclass

from rushlight.codegen.coefficients import (
    ERF_FAR_F32,
    ERF_FAR_F64,
    ERF_NEAR_F32,
    ERF_NEAR_F64,
    EXP2_F32,
    EXP2_F64,
    EXP_F32,
    EXP_F64,
    EXPM1_F32,
    EXPM1_F64,
    LOG_F32,
    LOG_F64,
    TANH_F32,
    TANH_F64,
)
from rushlight.codegen.lanes import Lanes, integer_bits
from rushlight.codegen.text import Emitter, Value

_LOG_ERFC_1 = -1.8496055099332482


# Exponentials


def exp_parts(v: Lanes, x: Value) -> tuple[Value, Value, Value]:
    """`x = n ln2 + r`: n with `lift` added, n, r (|r| <= ln2 / 2)."""
    shifted, n = v.rounded(x, v.kind.log2_e[0], 2 * v.kind.bias)
    high, low = v.kind.ln2
    r = v.fma(n, v.c(-low), v.fma(n, v.c(-high), x))
    return shifted, n, r


def _exp_of(v: Lanes, x: Value) -> Value:
    """exp for `x` up to `exp_range[1]` (or NaN)."""
    # Lanes far below (-inf from a mask, say) go around the scaling: a product that underflows
    # costs some processors a hundred cycles.
    kept = v.cmp("uge", x, v.c(v.kind.exp_range[0]))
    shifted, n, r = exp_parts(v, x if v.scalef else v.sel(kept, x, v.c(0.0)))
    tail = v.polynomial(r, v.pick(EXP_F32, EXP_F64))
    p = v.add(v.fma(v.mul(r, r), tail, r), v.c(1.0))
    return v.scale(p, shifted, n, kept)


def exp(e: Emitter, width: int, ty: str, x: Value) -> Value:
    """e**x."""
    v = Lanes(e, width, ty)
    return _exp_of(v, v.at_most(x, v.kind.exp_range[1]))


def exp2(e: Emitter, width: int, ty: str, x: Value) -> Value:
    """2**x."""
    v = Lanes(e, width, ty)
    low, high = v.kind.exp2_range
    kept = v.cmp("uge", x, v.c(low))  # as in `_exp_of`
    x = v.at_most(x, high)
    x = x if v.scalef else v.sel(kept, x, v.c(0.0))
    magic = v.c(v.kind.lift)
    shifted = v.add(x, magic)
    n = v.sub(shifted, magic)
    r = v.sub(x, n)
    p = v.fma(r, v.polynomial(r, v.pick(EXP2_F32, EXP2_F64)), v.c(1.0))
    return v.scale(p, shifted, n, kept)


def _expm1_of(v: Lanes, x: Value) -> Value:
    """exp(x) - 1 for `x` from about -40 up to `exp_range[1]`."""
    shifted, _, r = exp_parts(v, x)
    tail = v.polynomial(r, v.pick(EXPM1_F32, EXPM1_F64))
    p = v.fma(v.mul(r, r), tail, r)
    # Half of everything, doubled at the end: 2**n itself may be beyond the largest number.
    half = v.scale_normal(shifted, 1)
    y = v.fma(half, p, v.sub(half, v.c(0.5)))
    return v.add(y, y)


def expm1(e: Emitter, width: int, ty: str, x: Value) -> Value:
    """e**x - 1, accurate near zero."""
    v = Lanes(e, width, ty)
    y = _expm1_of(v, v.at_least(v.at_most(x, v.kind.exp_range[1]), -40.0))
    # Below half a unit of x the result is x; this also keeps -0 and the last bit of denormals.
    tiny = v.cmp("olt", v.abs(x), v.c(2.0 ** -(v.kind.mantissa + 2)))
    return v.sel(tiny, x, y)


def sigmoid(e: Emitter, width: int, ty: str, x: Value) -> Value:
    """1 / (1 + e**-x)."""
    v = Lanes(e, width, ty)
    z = _exp_of(v, v.neg(v.abs(x)))
    top = v.sel(v.cmp("oge", x, v.c(0.0)), v.c(1.0), z)
    return v.div(top, v.add(v.c(1.0), z))


def tanh(e: Emitter, width: int, ty: str, x: Value) -> Value:
    """Hyperbolic tangent: a polynomial near zero, 1 - 2 / (e**2|x| + 1) elsewhere."""
    v = Lanes(e, width, ty)
    a = v.at_most(v.abs(x), v.kind.tanh_end)
    z = v.mul(a, a)
    tail = v.polynomial(z, v.pick(TANH_F32, TANH_F64))
    near = v.fma(v.mul(a, z), tail, a)
    shifted, _, r = exp_parts(v, v.add(a, a))
    p = v.fma(v.mul(r, r), v.polynomial(r, v.pick(EXP_F32, EXP_F64)), r)
    scale = v.scale_normal(shifted)
    grown = v.fma(scale, p, v.add(scale, v.c(1.0)))
    far = v.sub(v.c(1.0), v.div(v.c(2.0), grown))
    return v.copysign(v.sel(v.cmp("olt", a, v.c(0.625)), near, far), x)


def erf(e: Emitter, width: int, ty: str, x: Value) -> Value:
    """The error function: a polynomial up to 1, 1 - e**log(erfc) beyond."""
    v = Lanes(e, width, ty)
    slope, shift, end = v.kind.erf_far
    a = v.at_most(v.abs(x), end)
    near = v.fma(a, v.polynomial(v.mul(a, a), v.pick(ERF_NEAR_F32, ERF_NEAR_F64)), a)
    t = v.fma(a, v.c(slope), v.c(shift))
    p = v.polynomial(t, v.pick(ERF_FAR_F32, ERF_FAR_F64))
    y = v.fma(v.sub(a, v.c(1.0)), p, v.c(_LOG_ERFC_1))
    shifted, _, r = exp_parts(v, v.at_most(y, 0.0))  # where `near` holds, y means nothing
    q = v.fma(v.mul(r, r), v.polynomial(r, v.pick(EXP_F32, EXP_F64)), r)
    scale = v.scale_normal(shifted)
    far = v.neg(v.fma(scale, q, v.sub(scale, v.c(1.0))))
    return v.copysign(v.sel(v.cmp("olt", a, v.c(1.0)), near, far), x)


# Logarithms


@dataclass(frozen=True)
class _LogParts:
    """`x = 2**e (1 + f)`, and `log(1 + f) = f + rest`, with 1 + f in [sqrt(1/2), sqrt(2))."""

    e: Value
    f: Value
    rest: Value
    exponent_shift: Value  # bits to add to a number for multiplying it by 2**-e
    square: Value  # f * f


def split(v: Lanes, x: Value, lift: Value | None) -> tuple[Value, Value, Value]:
    """The exponent as a number, the mantissa, and the bits between x and its mantissa."""
    kind = v.kind
    bits = v.bits(x)
    # Unsigned: exponents counted from the least make a non-negative number, without arithmetic
    # shifts and integer conversions, which vectors of 64-bit integers often lack.
    base = kind.log_base - (kind.bias << kind.mantissa)
    offset = v.i("sub", bits, v.ic(base))
    biased = v.i("lshr", offset, v.ic(kind.mantissa))
    big = 2.0**kind.mantissa
    spelled = v.i("or", biased, v.ic(integer_bits(big, v.single)))
    e = v.sub(v.from_bits(spelled), v.c(big + kind.bias))
    if lift is not None:
        e = v.sub(e, lift)
    low = v.i("and", offset, v.ic((1 << kind.mantissa) - 1))
    mantissa_bits = v.i("add", low, v.ic(kind.log_base))
    return e, v.from_bits(mantissa_bits), v.i("sub", mantissa_bits, bits)


def _log_parts(v: Lanes, x: Value, *, denormal: bool = True) -> _LogParts:
    kind = v.kind
    lift: Value | None = None
    if denormal:
        small = v.cmp("olt", x, v.c(kind.least_normal))
        x = v.sel(small, v.mul(x, v.c(2.0 ** (kind.mantissa + 1))), x)
        lift = v.sel(small, v.c(kind.mantissa + 1.0), v.c(0.0))
    e, m, shift = split(v, x, lift)
    f = v.sub(m, v.c(1.0))
    square = v.mul(f, f)
    if v.single:
        tail = v.mul(v.mul(f, square), v.horner(f, LOG_F32))
        rest = v.fma(square, v.c(-0.5), tail)
    else:
        s = v.div(f, v.add(f, v.c(2.0)))
        z = v.mul(s, s)
        half = v.mul(square, v.c(0.5))
        rest = v.sub(v.mul(s, v.add(half, v.mul(z, v.estrin(z, LOG_F64)))), half)
    return _LogParts(e, f, rest, shift, square)


def log_ends(v: Lanes, x: Value, y: Value, pole: float = 0.0) -> Value:
    """`y` with the values at infinity, at the pole and left of it."""
    infinity = v.c(math.inf)
    y = v.sel(v.cmp("oeq", x, infinity), infinity, y)
    y = v.sel(v.cmp("oeq", x, v.c(pole)), v.c(-math.inf), y)
    return v.sel(v.cmp("ult", x, v.c(pole)), v.c(math.nan), y)


def log(e: Emitter, width: int, ty: str, x: Value) -> Value:
    """Natural logarithm."""
    v = Lanes(e, width, ty)
    parts = _log_parts(v, x)
    high, low = v.kind.ln2
    y = v.add(parts.f, v.fma(parts.e, v.c(low), parts.rest))
    return log_ends(v, x, v.fma(parts.e, v.c(high), y))


def log1p(e: Emitter, width: int, ty: str, x: Value) -> Value:
    """log(1 + x), accurate near zero."""
    v = Lanes(e, width, ty)
    one = v.c(1.0)
    u = v.add(one, x)
    back = v.sub(u, one)
    lost = v.add(v.sub(one, v.sub(u, back)), v.sub(x, back))  # 1 + x = u + lost, exactly
    parts = _log_parts(v, u, denormal=False)
    # log(1 + x) = log(u) + lost / u, and 1 / u = 2**-e / (1 + f), nearly 2**-e (1 - f). Large x
    # need none of it, and 2**-e would leave the range.
    large = v.cmp("ogt", x, v.c(2.0**60 if not v.single else 2.0**30))
    shrink = v.from_bits(v.i("add", v.bits(one), parts.exponent_shift))
    share = v.sel(large, v.c(0.0), v.mul(lost, shrink))
    share = v.fma(v.neg(parts.f), share, share)
    high, low = v.kind.ln2
    small = v.add(v.fma(parts.e, v.c(low), parts.rest), share)
    y = v.fma(parts.e, v.c(high), v.add(parts.f, small))
    y = log_ends(v, x, y, -1.0)
    return v.sel(v.cmp("oeq", x, v.c(0.0)), x, y)


def _log_in_base(v: Lanes, x: Value, slope: tuple[float, float]) -> tuple[Value, Value]:
    """The exponent, and log(1 + f) times `slope`, whose second part is its rounding error."""
    parts = _log_parts(v, x)
    low = v.fma(parts.f, v.c(slope[1]), v.mul(parts.rest, v.c(slope[0])))
    return parts.e, v.fma(parts.f, v.c(slope[0]), low)


def log2(e: Emitter, width: int, ty: str, x: Value) -> Value:
    """Logarithm to base 2; exact for powers of two."""
    v = Lanes(e, width, ty)
    exponent, y = _log_in_base(v, x, v.kind.log2_e)
    return log_ends(v, x, v.add(exponent, y))


def log10(e: Emitter, width: int, ty: str, x: Value) -> Value:
    """Logarithm to base 10."""
    v = Lanes(e, width, ty)
    exponent, y = _log_in_base(v, x, v.kind.log10_e)
    high, low = v.kind.log10_2
    y = v.fma(exponent, v.c(high), v.fma(exponent, v.c(low), y))
    return log_ends(v, x, y)
