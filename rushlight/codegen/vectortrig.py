"""Sine, cosine and tangent on SSA values, right for every finite argument.

Owns the reduction of angles: Cody and Waite's with compensation for ordinary arguments, Payne and
Hanek's, in integers and one lane at a time, for large ones. A vector without a large lane jumps
over the second; a lane's result never depends on the other lanes.
"""

import math
from collections.abc import Sequence

from rushlight.codegen.coefficients import COS_F32, COS_F64, SIN_F32, SIN_F64
from rushlight.codegen.lanes import F64, Lanes
from rushlight.codegen.text import Emitter, Value, float_literal

# 2/pi in words of 64 bits, after a word of zeros: enough for the largest double.
_TWO_OVER_PI = (
    0, 11743562013128004905, 18169587780923219392, 15808362127397457985, 18325537948574664033,
    13196794004601950944, 452944820249399836, 18311050168422213438, 16754012890938950788,
    16833452818741296705, 4148332274289687028, 11278244420634880059, 2303758334597371919,
    17235013589178936607, 7869616827067468215, 5712322887342352941, 8441921394348257659,
    4397547296490951402, 7780917995555872008, 6197850593633725355, 17352294737506481693,
)  # fmt: skip

_REDUCE = f"""
@rl_two_over_pi = private constant [{len(_TWO_OVER_PI)} x i64] [{
    ", ".join(f"i64 {word}" for word in _TWO_OVER_PI)
}]

define internal {{ double, double, i64 }} @rl_reduce(double %x) nounwind noinline {{
entry:
  %bits = bitcast double %x to i64
  %raised = lshr i64 %bits, 52
  %e = and i64 %raised, 2047
  %fraction = and i64 %bits, 4503599627370495
  %m = or i64 %fraction, 4503599627370496
  %offset = sub i64 %e, 1013
  %below = icmp slt i64 %offset, 0
  %o = select i1 %below, i64 0, i64 %offset
  %word = lshr i64 %o, 6
  %shift = and i64 %o, 63
  %w0.at = getelementptr i64, ptr @rl_two_over_pi, i64 %word
  %w0 = load i64, ptr %w0.at
  %w1.at = getelementptr i64, ptr %w0.at, i64 1
  %w1 = load i64, ptr %w1.at
  %w2.at = getelementptr i64, ptr %w0.at, i64 2
  %w2 = load i64, ptr %w2.at
  %w3.at = getelementptr i64, ptr %w0.at, i64 3
  %w3 = load i64, ptr %w3.at
  %a0 = call i64 @llvm.fshl.i64(i64 %w0, i64 %w1, i64 %shift)
  %a1 = call i64 @llvm.fshl.i64(i64 %w1, i64 %w2, i64 %shift)
  %a2 = call i64 @llvm.fshl.i64(i64 %w2, i64 %w3, i64 %shift)
  %wide.m = zext i64 %m to i128
  %wide.a2 = zext i64 %a2 to i128
  %p2 = mul i128 %wide.m, %wide.a2
  %p2.high = lshr i128 %p2, 64
  %wide.a1 = zext i64 %a1 to i128
  %p1.product = mul i128 %wide.m, %wide.a1
  %p1 = add i128 %p1.product, %p2.high
  %p1.high = lshr i128 %p1, 64
  %low = trunc i128 %p1 to i64
  %carry = trunc i128 %p1.high to i64
  %p0 = mul i64 %m, %a0
  %high = add i64 %p0, %carry
  %up = add i64 %high, 2305843009213693952
  %quadrant = lshr i64 %up, 62
  %turn = call i64 @llvm.fshl.i64(i64 %high, i64 %low, i64 2)
  %turn.low = shl i64 %low, 2
  %sign = ashr i64 %turn, 63
  %size = xor i64 %turn, %sign
  %size.low = xor i64 %turn.low, %sign
  %zeros = call i64 @llvm.ctlz.i64(i64 %size, i1 false)
  %top = call i64 @llvm.fshl.i64(i64 %size, i64 %size.low, i64 %zeros)
  %rest.shift = shl i64 %size.low, %zeros
  %h.bits = lshr i64 %top, 11
  %h = uitofp i64 %h.bits to double
  %l.bits = call i64 @llvm.fshl.i64(i64 %top, i64 %rest.shift, i64 53)
  %l.kept = lshr i64 %l.bits, 11
  %l.whole = uitofp i64 %l.kept to double
  %l = fmul double %l.whole, {float_literal(2.0**-53, "double")}
  %r0 = fmul double %h, {float_literal(F64.half_pi[0], "double")}
  %h.minus = fneg double %r0
  %error = call double @llvm.fma.f64(double %h, double {
    float_literal(F64.half_pi[0], "double")
}, double %h.minus)
  %error1 = call double @llvm.fma.f64(double %h, double {
    float_literal(F64.half_pi[1], "double")
}, double %error)
  %error2 = call double @llvm.fma.f64(double %l, double {
    float_literal(F64.half_pi[0], "double")
}, double %error1)
  %sum = fadd double %r0, %error2
  %lost = fsub double %r0, %sum
  %tail = fadd double %lost, %error2
  %place = sub i64 970, %zeros
  %place.bits = shl i64 %place, 52
  %negative = xor i64 %sign, %bits
  %sign.bit = and i64 %negative, -9223372036854775808
  %factor.bits = or i64 %place.bits, %sign.bit
  %factor = bitcast i64 %factor.bits to double
  %r = fmul double %sum, %factor
  %rl = fmul double %tail, %factor
  %minus.q = sub i64 0, %quadrant
  %x.negative = icmp slt i64 %bits, 0
  %q = select i1 %x.negative, i64 %minus.q, i64 %quadrant
  %special = icmp eq i64 %e, 2047
  %bad = fsub double %x, %x
  %answer = select i1 %special, double %bad, double %r
  %result.0 = insertvalue {{ double, double, i64 }} poison, double %answer, 0
  %result.1 = insertvalue {{ double, double, i64 }} %result.0, double %rl, 1
  %result = insertvalue {{ double, double, i64 }} %result.1, i64 %q, 2
  ret {{ double, double, i64 }} %result
}}
"""


def _reduce_large(v: Lanes, x: Value, before: Sequence[Value]) -> list[Value]:
    """`before` (r, rl, quadrant) with the lanes of large `x` exchanged for exact ones."""
    e = v.e
    e.declare(_REDUCE)
    e.declare("declare double @llvm.fma.f64(double, double, double)")
    e.declare("declare i64 @llvm.fshl.i64(i64, i64, i64)")
    e.declare("declare i64 @llvm.ctlz.i64(i64, i1 immarg)")

    def lane(index: Value, held: list[Value]) -> list[Value]:
        scalar = x if v.width == 1 else e.value(f"extractelement {v.t} {x}, i64 {index}")
        wide = e.value(f"fpext float {scalar} to double") if v.single else scalar
        answer = e.value(f"call {{ double, double, i64 }} @rl_reduce(double {wide})")
        pieces = [
            e.value(f"extractvalue {{ double, double, i64 }} {answer}, {k}") for k in range(3)
        ]
        if v.single:
            high = e.value(f"fptrunc double {pieces[0]} to float")
            again = e.value(f"fpext float {high} to double")
            rest = e.value(f"fsub double {pieces[0]}, {again}")
            low = e.value(f"fptrunc double {rest} to float")
            pieces = [high, low, e.value(f"trunc i64 {pieces[2]} to i32")]
        if v.width == 1:
            return pieces
        kinds = ((v.t, v.ty), (v.t, v.ty), (v.it, v.int))
        return [
            e.value(f"insertelement {vector} {old}, {scalar_type} {new}, i64 {index}")
            for (vector, scalar_type), old, new in zip(kinds, held, pieces, strict=True)
        ]

    if v.width == 1:
        return lane("0", list(before))
    carry = list(zip((v.t, v.t, v.it), before, strict=True))
    return e.loop(0, v.width, 1, lane, carry)


def _reduce_angle(v: Lanes, x: Value) -> tuple[Value, Value, Value]:
    """`x = q pi/2 + r + rl` with |r| <= pi/4: r, rl and an integer equal to q modulo 4."""
    kind, e = v.kind, v.e
    shifted, n = v.rounded(x, 2 / math.pi)
    minus = v.neg(n)
    first = v.fma(minus, v.c(kind.half_pi[0]), x)  # exact
    # n times the second part, as a sum: its high part may cancel nearly all of `first`
    t = v.mul(n, v.c(kind.half_pi[1]))
    t_low = v.fma(n, v.c(kind.half_pi[1]), v.neg(t))
    r = v.sub(first, t)
    rl = v.sub(v.sub(v.sub(first, r), t), t_low)
    rl = v.fma(minus, v.c(kind.half_pi[2]), rl)
    q = v.bits(shifted)
    large = v.cmp("oge", v.abs(x), v.c(kind.trig_end))
    some = large
    if v.width > 1:
        name = f"llvm.vector.reduce.or.v{v.width}i1"
        some = e.intrinsic(name, "i1", [(v.mask, large)])
    before, inside, after = e.block, e.new("large"), e.new("angle")
    e.emit(f"br i1 {some}, label %{inside}, label %{after}")
    e.label(inside)
    exact = _reduce_large(v, x, (r, rl, q))
    pick = (v.sel, v.sel, v.isel)
    chosen = [choose(large, new, old) for choose, new, old in zip(pick, exact, (r, rl, q))]
    leaving = e.block
    e.emit(f"br label %{after}")
    e.label(after)
    joined = [
        e.value(f"phi {kind_} [ {old}, %{before} ], [ {new}, %{leaving} ]")
        for kind_, old, new in zip((v.t, v.t, v.it), (r, rl, q), chosen, strict=True)
    ]
    return joined[0], joined[1], joined[2]


def _sin_parts(v: Lanes, r: Value, rl: Value, z: Value) -> tuple[Value, Value]:
    """sin(r + rl) as a value and what its rounding lost."""
    rest = v.fma(v.mul(r, z), v.polynomial(z, v.pick(SIN_F32, SIN_F64)), rl)
    y = v.add(r, rest)
    return y, v.add(v.sub(r, y), rest)


def _cos_parts(v: Lanes, r: Value, rl: Value, z: Value) -> tuple[Value, Value]:
    """cos(r + rl) as a value and what its rounding lost."""
    half = v.mul(z, v.c(0.5))
    w = v.sub(v.c(1.0), half)
    lost = v.sub(v.sub(v.c(1.0), w), half)
    tail = v.polynomial(z, v.pick(COS_F32, COS_F64))
    rest = v.fma(v.mul(z, z), tail, v.fma(v.neg(r), rl, lost))
    y = v.add(w, rest)
    return y, v.add(v.sub(w, y), rest)


def _sine(v: Lanes, x: Value, quarter: int) -> Value:
    r, rl, q = _reduce_angle(v, x)
    if quarter:
        q = v.i("add", q, v.ic(quarter))
    z = v.mul(r, r)
    odd = v.e.value(f"trunc {v.it} {q} to {v.mask}")
    y = v.sel(odd, _cos_parts(v, r, rl, z)[0], _sin_parts(v, r, rl, z)[0])
    sign = v.i("shl", v.i("and", q, v.ic(2)), v.ic(v.kind.bits - 2))
    y = v.from_bits(v.i("xor", v.bits(y), sign))
    # sin(-0) is -0; everywhere else adding zero changes nothing
    return y if quarter else v.sel(v.cmp("oeq", x, v.c(0.0)), x, y)


def sin(e: Emitter, width: int, ty: str, x: Value) -> Value:
    """Sine of radians, right for every finite argument. Writes blocks."""
    return _sine(Lanes(e, width, ty), x, 0)


def cos(e: Emitter, width: int, ty: str, x: Value) -> Value:
    """Cosine of radians, right for every finite argument. Writes blocks."""
    return _sine(Lanes(e, width, ty), x, 1)


def tan(e: Emitter, width: int, ty: str, x: Value) -> Value:
    """Tangent of radians, right for every finite argument. Writes blocks."""
    v = Lanes(e, width, ty)
    r, rl, q = _reduce_angle(v, x)
    z = v.mul(r, r)
    (s, sl), (c, cl) = _sin_parts(v, r, rl, z), _cos_parts(v, r, rl, z)
    odd = v.e.value(f"trunc {v.it} {q} to {v.mask}")
    top, top_low = v.sel(odd, c, s), v.sel(odd, cl, sl)
    bottom, bottom_low = v.sel(odd, s, c), v.sel(odd, sl, cl)
    # the quotient of the high parts, and what it leaves of both
    inverse = v.div(v.c(1.0), bottom)
    y = v.mul(top, inverse)
    minus = v.neg(y)
    left = v.add(v.fma(minus, bottom, top), v.fma(minus, bottom_low, top_low))
    y = v.fma(left, inverse, y)
    sign = v.i("shl", q, v.ic(v.kind.bits - 1))
    y = v.from_bits(v.i("xor", v.bits(y), sign))
    return v.sel(v.cmp("oeq", x, v.c(0.0)), x, y)
