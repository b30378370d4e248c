"""Vector mathematics: emitters of exp, log, pow and their kin on SSA values.

Owns what these functions mean, bit by bit: fixed polynomials and explicit `llvm.fma`, the same
operations for every vector width and instruction set, so the same bits everywhere. Accurate to
2.5 units in the last place for every argument; infinities, NaN, denormals and signed zeros as C99
has them. No fast-math flags. One instruction that only some machines have: AVX-512's product with a
power of two, rounded once as `Lanes.scale` is elsewhere. Where a machine has no fused
multiply-add, `llvm.fma` is a call of the C library's: slow, the same bits.

Here are roots, powers (with double-double logarithms) and the table; vectorexp.py, vectortrig.py
and vectorarc.py have the other families.
"""

import math
from collections.abc import Callable

from rushlight.codegen.coefficients import EXP_F64, POW32_EXP2, POW32_LOG2, POW64_LOG
from rushlight.codegen.lanes import Lanes
from rushlight.codegen.text import (
    Emitter,
    Value,
    module_text,
    splat_integer,
    splat_literal,
    vector_type,
)
from rushlight.codegen.vectorarc import acos, acosh, asin, asinh, atan, atan2, atanh, cosh, sinh
from rushlight.codegen.vectorexp import (
    erf,
    exp,
    exp2,
    exp_parts,
    expm1,
    log,
    log1p,
    log2,
    log10,
    sigmoid,
    split,
    tanh,
)
from rushlight.codegen.vectortrig import cos, sin, tan

Emit1 = Callable[[Emitter, int, str, Value], Value]
Emit2 = Callable[[Emitter, int, str, Value, Value], Value]


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
    exponent, m, _ = split(v, wide_x, None)
    f = v.sub(m, v.c(1.0))
    log2_x = v.fma(f, v.estrin(f, POW32_LOG2), exponent)
    power = v.at_least(v.at_most(v.mul(wide_y, log2_x), 200.0), -200.0)
    magic = v.c(v.kind.lift)
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
    exponent, m, _ = split(v, lifted, v.sel(small, v.c(54.0), v.c(0.0)))
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
    shifted, n, r = exp_parts(v, clamped)
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
    "acos": acos,
    "acosh": acosh,
    "asin": asin,
    "asinh": asinh,
    "atan": atan,
    "atanh": atanh,
    "cos": cos,
    "cosh": cosh,
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
    "sinh": sinh,
    "sqrt": sqrt,
    "tan": tan,
    "tanh": tanh,
}
"""The functions of one argument, by name: `emit(e, width, ty, x)`."""

BINARY: dict[str, Emit2] = {"atan2": atan2, "pow": pow}
"""The functions of two arguments: `emit(e, width, ty, x, y)`."""


def kernel_text(name: str, ty: str, width: int = 8, *, scalef: bool = False) -> str:
    """A module with `void @k(i64 n, ptr x, ptr out)` (for two arguments `(n, x, y, out)`).

    The arrays are contiguous, of any alignment, and `out` may be an input. `width` lanes at once;
    the rest goes through a buffer on the stack and the same code. `scalef`: for AVX-512 only.
    """
    inputs = ["x", "y"] if name in BINARY else ["x"]
    e = Emitter()
    e.scalef = scalef
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
