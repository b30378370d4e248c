"""Vector mathematics: emitters of exp, log, pow and their kin on SSA values.

Owns what these functions mean, bit by bit: fixed polynomials and explicit `llvm.fma`, the same
operations for every vector width and instruction set, so the same bits everywhere. Accurate to
2.5 units in the last place for every argument; infinities, NaN, denormals and signed zeros as C99
has them. No fast-math flags, no instruction that only some machines have. Where a machine has no
fused multiply-add, `llvm.fma` is a call of the C library's: slow, the same bits.

Algorithms: Cody and Waite's reduction for exp, fdlibm's log and log1p, double-double logarithms in
pow.
"""

import math
from collections.abc import Callable
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
    POW32_EXP2,
    POW32_LOG2,
    POW64_LOG,
    TANH_F32,
    TANH_F64,
)
from rushlight.codegen.lanes import Lanes, integer_bits
from rushlight.codegen.text import (
    Emitter,
    Value,
    module_text,
    splat_integer,
    splat_literal,
    vector_type,
)
from rushlight.codegen.vectortrig import cos, sin, tan

Emit1 = Callable[[Emitter, int, str, Value], Value]
Emit2 = Callable[[Emitter, int, str, Value, Value], Value]

_LOG_ERFC_1 = -1.8496055099332482


# Exponentials


def _exp_parts(v: Lanes, x: Value) -> tuple[Value, Value, Value]:
    """`x = n ln2 + r`: n with magic added, n, r (|r| <= ln2 / 2)."""
    shifted, n = v.rounded(x, v.kind.log2_e[0])
    high, low = v.kind.ln2
    r = v.fma(n, v.c(-low), v.fma(n, v.c(-high), x))
    return shifted, n, r


def _exp_of(v: Lanes, x: Value) -> Value:
    """exp for `x` already within `exp_range` (or NaN)."""
    shifted, n, r = _exp_parts(v, x)
    tail = v.polynomial(r, v.pick(EXP_F32, EXP_F64))
    p = v.add(v.fma(v.mul(r, r), tail, r), v.c(1.0))
    return v.scale(p, shifted, n)


def exp(e: Emitter, width: int, ty: str, x: Value) -> Value:
    """e**x."""
    v = Lanes(e, width, ty)
    low, high = v.kind.exp_range
    return _exp_of(v, v.at_least(v.at_most(x, high), low))


def exp2(e: Emitter, width: int, ty: str, x: Value) -> Value:
    """2**x."""
    v = Lanes(e, width, ty)
    low, high = v.kind.exp2_range
    x = v.at_least(v.at_most(x, high), low)
    magic = v.c(v.kind.magic)
    shifted = v.add(x, magic)
    n = v.sub(shifted, magic)
    r = v.sub(x, n)
    p = v.fma(r, v.polynomial(r, v.pick(EXP2_F32, EXP2_F64)), v.c(1.0))
    return v.scale(p, shifted, n)


def _expm1_of(v: Lanes, x: Value) -> Value:
    """exp(x) - 1 for `x` from about -40 up to `exp_range[1]`."""
    shifted, _, r = _exp_parts(v, x)
    tail = v.polynomial(r, v.pick(EXPM1_F32, EXPM1_F64))
    p = v.fma(v.mul(r, r), tail, r)
    # Half of everything, doubled at the end: 2**n itself may be beyond the largest number.
    base = v.kind.bias - 1 - v.kind.magic_bits
    half = v.power_of_two(v.i("add", v.bits(shifted), v.ic(base)))
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
    z = _exp_of(v, v.at_least(v.neg(v.abs(x)), v.kind.exp_range[0]))
    top = v.sel(v.cmp("oge", x, v.c(0.0)), v.c(1.0), z)
    return v.div(top, v.add(v.c(1.0), z))


def tanh(e: Emitter, width: int, ty: str, x: Value) -> Value:
    """Hyperbolic tangent: a polynomial near zero, 1 - 2 / (e**2|x| + 1) elsewhere."""
    v = Lanes(e, width, ty)
    a = v.at_most(v.abs(x), v.kind.tanh_end)
    z = v.mul(a, a)
    tail = v.polynomial(z, v.pick(TANH_F32, TANH_F64))
    near = v.fma(v.mul(a, z), tail, a)
    shifted, _, r = _exp_parts(v, v.add(a, a))
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
    shifted, _, r = _exp_parts(v, v.at_most(y, 0.0))  # where `near` holds, y means nothing
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


def _split(v: Lanes, x: Value, lift: Value | None) -> tuple[Value, Value, Value]:
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
    e, m, shift = _split(v, x, lift)
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


def _log_ends(v: Lanes, x: Value, y: Value, pole: float = 0.0) -> Value:
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
    return _log_ends(v, x, v.fma(parts.e, v.c(high), y))


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
    y = _log_ends(v, x, y, -1.0)
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
    return _log_ends(v, x, v.add(exponent, y))


def log10(e: Emitter, width: int, ty: str, x: Value) -> Value:
    """Logarithm to base 10."""
    v = Lanes(e, width, ty)
    exponent, y = _log_in_base(v, x, v.kind.log10_e)
    high, low = v.kind.log10_2
    y = v.fma(exponent, v.c(high), v.fma(exponent, v.c(low), y))
    return _log_ends(v, x, y)


# Roots


def sqrt(e: Emitter, width: int, ty: str, x: Value) -> Value:
    """Square root, correctly rounded."""
    return Lanes(e, width, ty).intrinsic("sqrt", x)


def rsqrt(e: Emitter, width: int, ty: str, x: Value) -> Value:
    """1 / sqrt(x)."""
    v = Lanes(e, width, ty)
    return v.div(v.c(1.0), v.intrinsic("sqrt", x))


# Powers


def _pow_single(e: Emitter, width: int, ax: Value, y: Value) -> Value:
    """`ax ** y` for float and `0 <= ax`, by way of double: nearly correctly rounded."""
    v = Lanes(e, width, "double")
    narrow = vector_type("float", width)
    wide_x = e.value(f"fpext {narrow} {ax} to {v.t}")
    wide_y = e.value(f"fpext {narrow} {y} to {v.t}")
    exponent, m, _ = _split(v, wide_x, None)
    f = v.sub(m, v.c(1.0))
    log2_x = v.fma(f, v.estrin(f, POW32_LOG2), exponent)
    power = v.at_least(v.at_most(v.mul(wide_y, log2_x), 200.0), -200.0)
    magic = v.c(v.kind.magic)
    shifted = v.add(power, magic)
    r = v.sub(power, v.sub(shifted, magic))
    p = v.fma(r, v.estrin(r, POW32_EXP2), v.c(1.0))
    result = v.mul(p, v.scale_normal(shifted))
    return e.value(f"fptrunc {v.t} {result} to {narrow}")


def _pow_double(v: Lanes, ax: Value, y: Value) -> Value:
    """`ax ** y` for double and `0 <= ax`: the logarithm to about 68 bits, as high + low."""
    kind = v.kind
    small = v.cmp("olt", ax, v.c(kind.least_normal))
    lifted = v.sel(small, v.mul(ax, v.c(2.0**54)), ax)
    exponent, m, _ = _split(v, lifted, v.sel(small, v.c(54.0), v.c(0.0)))
    # s = f / (2 + f), log(1 + f) = 2 atanh(s)
    f = v.sub(m, v.c(1.0))
    d = v.add(f, v.c(2.0))
    dl = v.sub(f, v.sub(d, v.c(2.0)))
    s = v.div(f, d)
    minus = v.neg(s)
    sl = v.div(v.fma(minus, dl, v.fma(minus, d, f)), d)
    # z = s * s
    z = v.mul(s, s)
    zl = v.fma(v.add(s, s), sl, v.fma(s, s, v.neg(z)))
    # series = 1/3 + z g(z)
    third, third_low = v.c(1 / 3), v.c(1.850371707708594e-17)
    g = v.mul(z, v.estrin(z, POW64_LOG))
    a = v.add(third, g)
    al = v.add(v.add(v.sub(third, a), g), third_low)
    # u = z * series
    u = v.mul(z, a)
    ul = v.fma(zl, a, v.fma(z, al, v.fma(z, a, v.neg(u))))
    # w = s * u
    w = v.mul(s, u)
    wl = v.fma(sl, u, v.fma(s, ul, v.fma(s, u, v.neg(w))))
    # half of log(1 + f) = s + w
    h = v.add(s, w)
    hl = v.add(v.add(v.sub(s, h), w), v.add(sl, wl))
    # add e ln2, doubled
    high, low = kind.ln2
    base = v.mul(exponent, v.c(high))
    h2 = v.add(h, h)
    log_high = v.add(base, h2)
    lost = v.add(v.sub(base, log_high), h2)
    log_low = v.add(v.fma(exponent, v.c(low), v.add(hl, hl)), lost)
    # the low part of ln2 is itself rounded: its own error, 2**-86, times e stays below 2**-75
    product = v.mul(y, log_high)
    inside = v.cmp("olt", v.abs(product), v.c(800.0))
    error = v.fma(y, log_low, v.fma(y, log_high, v.neg(product)))
    error = v.sel(inside, error, v.c(0.0))
    bottom, top = kind.exp_range
    clamped = v.at_least(v.at_most(product, top + 1), bottom - 1)
    shifted, n, r = _exp_parts(v, clamped)
    r = v.add(r, error)
    p = v.add(v.fma(v.mul(r, r), v.estrin(r, EXP_F64), r), v.c(1.0))
    return v.scale(p, shifted, n)


def pow(e: Emitter, width: int, ty: str, x: Value, y: Value) -> Value:
    """x**y with C99's values at zeros, infinities, NaN and negative bases."""
    v = Lanes(e, width, ty)
    zero, one, infinity = v.c(0.0), v.c(1.0), v.c(math.inf)
    ax = v.abs(x)
    size = _pow_single(e, width, ax, y) if v.single else _pow_double(v, ax, y)
    # |x| = 1 with an infinite y; 0 and infinity, where the logarithm above means nothing
    size = v.sel(v.cmp("oeq", ax, one), one, size)
    x_zero = v.cmp("oeq", ax, zero)
    x_end = v.both(x_zero, v.cmp("oeq", ax, infinity), "or")
    falls = v.both(x_zero, v.cmp("olt", y, zero), "xor")
    size = v.sel(x_end, v.sel(falls, zero, infinity), size)
    # negative bases
    whole = v.cmp("oeq", v.intrinsic("trunc", y), y)
    half = v.mul(y, v.c(0.5))
    odd = v.both(whole, v.cmp("one", v.intrinsic("trunc", half), half))
    negative = v.e.value(f"icmp slt {v.it} {v.bits(x)}, {v.ic(0)}")
    result = v.sel(v.both(negative, odd), v.neg(size), size)
    below = v.both(v.cmp("olt", x, zero), v.cmp("olt", ax, infinity))
    fractional = v.both(whole, splat_integer(1, "i1", width), "xor")
    result = v.sel(v.both(below, fractional), v.c(math.nan), result)
    result = v.sel(v.cmp("uno", x, y), v.c(math.nan), result)
    certain = v.both(v.cmp("oeq", y, zero), v.cmp("oeq", x, one), "or")
    return v.sel(certain, one, result)


# The table

FUNCTIONS: dict[str, Emit1] = {
    "cos": cos,
    "erf": erf,
    "exp": exp,
    "exp2": exp2,
    "expm1": expm1,
    "log": log,
    "log10": log10,
    "log1p": log1p,
    "log2": log2,
    "rsqrt": rsqrt,
    "sigmoid": sigmoid,
    "sin": sin,
    "sqrt": sqrt,
    "tan": tan,
    "tanh": tanh,
}
"""The functions of one argument, by name: `emit(e, width, ty, x)`."""

BINARY: dict[str, Emit2] = {"pow": pow}
"""The functions of two arguments: `emit(e, width, ty, x, y)`."""


def kernel_text(name: str, ty: str, width: int = 8) -> str:
    """A module with `void @k(i64 n, ptr x, ptr out)` (for pow `(n, x, y, out)`).

    The arrays are contiguous, of any alignment, and `out` may be an input. `width` lanes at once;
    the rest goes through a buffer on the stack and the same code.
    """
    inputs = ["x", "y"] if name in BINARY else ["x"]
    e = Emitter()
    lanes = vector_type(ty, width)
    buffers = {at: e.value(f"alloca {lanes}, align 64") for at in [*inputs, "out"]}
    if width > 1:
        for at in inputs:
            e.emit(f"store {lanes} {splat_literal(1.0, ty, width)}, ptr {buffers[at]}")

    def move(count: Value, target: Value, source: Value) -> None:
        def one(index: Value, _: list[Value]) -> None:
            e.store(e.load(e.gep(source, index, ty), ty), e.gep(target, index, ty), ty)

        e.loop(0, count, 1, one)

    def body(index: Value, _: list[Value]) -> None:
        left = e.value(f"sub i64 %n, {index}")
        short = e.value(f"icmp ult i64 {left}, {width}")
        places = {at: e.gep(f"%{at}", index, ty) for at in [*inputs, "out"]}

        def fill() -> None:
            for at in inputs:
                move(left, buffers[at], places[at])

        if width > 1:
            e.guard(short, fill)
        used = {
            at: e.value(f"select i1 {short}, ptr {buffers[at]}, ptr {places[at]}") for at in places
        }
        values = [e.load(used[at], ty, width) for at in inputs]
        if name in BINARY:
            result = BINARY[name](e, width, ty, values[0], values[1])
        else:
            result = FUNCTIONS[name](e, width, ty, values[0])
        e.store(result, used["out"], ty, width)
        if width > 1:
            e.guard(short, lambda: move(left, places["out"], buffers["out"]))

    e.loop(0, "%n", width, body, may_be_empty=True)
    e.emit("ret void")
    parameters = ["i64 %n", *(f"ptr %{at}" for at in inputs), "ptr %out"]
    return module_text([e.function("k", parameters)], e.declarations)
