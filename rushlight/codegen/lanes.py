"""Floating-point arithmetic on values of any number of lanes, for emitters of mathematics.

Owns `Lanes`, which writes one instruction per method, and `Kind`, the constants of a type.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from rushlight.codegen.text import (
    Emitter,
    Value,
    splat_integer,
    splat_literal,
    type_suffix,
    vector_type,
)


def integer_bits(number: float, single: bool) -> int:
    """The bits of a float or double, as an unsigned integer."""
    packed = struct.pack("<f" if single else "<d", number)
    return int.from_bytes(packed, "little")


SCALEF_BITS = 512
NEAREST = ("i32 immarg", "4")  # round as the processor is set to


@dataclass(frozen=True)
class Kind:
    """Constants of one floating-point type."""

    bits: int
    mantissa: int
    bias: int
    magic: float  # adding it rounds to an integer, which stands in the low bits
    least_normal: float
    log_base: int  # bits of sqrt(1/2): mantissas are taken from [sqrt(1/2), sqrt(2))
    ln2: tuple[float, float]  # the first with trailing zeros: its integer multiples are exact
    log2_e: tuple[float, float]
    log10_e: tuple[float, float]
    log10_2: tuple[float, float]
    half_pi: tuple[float, float, float]
    exp_range: tuple[float, float]  # beyond these the result is 0 or infinity
    exp2_range: tuple[float, float]
    tanh_end: float  # from here on the result is 1
    erf_far: tuple[float, float, float]  # 1/half, -middle/half, from where on the result is 1
    trig_end: float  # from here on arguments are reduced by Payne and Hanek's way

    @property
    def lift(self) -> float:
        """`magic` for exponents: two powers of two can be spelled from what stands in the low bits
        without a further addition."""
        return self.magic + 2 * self.bias


F32 = Kind(
    bits=32,
    mantissa=23,
    bias=127,
    magic=12582912.0,
    least_normal=2.0**-126,
    log_base=0x3F3504F3,
    ln2=(0.693359375, -2.12194440e-4),
    log2_e=(1.4426950216293335, 1.925963033500011e-08),
    log10_e=(0.4342944920063019, -1.0103049952192578e-08),
    log10_2=(0.301025390625, 4.605038981195214e-06),
    half_pi=(1.5707963705062866, -4.371138828673793e-08, -1.7151245100058819e-15),
    exp_range=(-104.5, 89.0),
    exp2_range=(-151.0, 129.0),
    tanh_end=10.0,
    erf_far=(1 / 1.5, -2.5 / 1.5, 4.0),
    trig_end=1e5,
)

F64 = Kind(
    bits=64,
    mantissa=52,
    bias=1023,
    magic=6755399441055744.0,
    least_normal=2.0**-1022,
    log_base=0x3FE6A09E667F3BCD,
    ln2=(6.93147180369123816490e-01, 1.90821492927058770002e-10),
    log2_e=(1.4426950408889634, 2.0355273740931033e-17),
    log10_e=(0.4342944819032518, 1.098319650216765e-17),
    log10_2=(0.30102999566361177, 3.694239077158931e-13),
    half_pi=(1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33),
    exp_range=(-746.0, 710.0),
    exp2_range=(-1076.0, 1025.0),
    tanh_end=20.0,
    erf_far=(1 / 2.5, -3.5 / 2.5, 6.0),
    trig_end=1e6,
)


class Lanes:
    """Arithmetic on `<width x ty>` values: every method writes one instruction."""

    def __init__(self, e: Emitter, width: int, ty: str) -> None:
        if ty not in ("float", "double"):
            raise ValueError(f"vector mathematics is for float and double, not {ty}")
        self.e, self.width, self.ty = e, width, ty
        self.kind = F32 if ty == "float" else F64
        self.single = ty == "float"
        self.int = f"i{self.kind.bits}"
        self.t, self.it = vector_type(ty, width), vector_type(self.int, width)
        self.mask = vector_type("i1", width)
        self.suffix = type_suffix(ty, width)

    def c(self, number: float) -> Value:
        return splat_literal(number, self.ty, self.width)

    def ic(self, number: int) -> Value:
        return splat_integer(number, self.int, self.width)

    def op(self, name: str, x: Value, y: Value) -> Value:
        return self.e.value(f"{name} {self.t} {x}, {y}")

    def add(self, x: Value, y: Value) -> Value:
        return self.op("fadd", x, y)

    def sub(self, x: Value, y: Value) -> Value:
        return self.op("fsub", x, y)

    def mul(self, x: Value, y: Value) -> Value:
        return self.op("fmul", x, y)

    def div(self, x: Value, y: Value) -> Value:
        return self.op("fdiv", x, y)

    def neg(self, x: Value) -> Value:
        return self.e.value(f"fneg {self.t} {x}")

    def fma(self, x: Value, y: Value, z: Value) -> Value:
        return self.e.fma(x, y, z, self.ty, self.width)

    def intrinsic(self, name: str, *arguments: Value) -> Value:
        pairs = [(self.t, argument) for argument in arguments]
        return self.e.intrinsic(f"llvm.{name}.{self.suffix}", self.t, pairs)

    def abs(self, x: Value) -> Value:
        return self.intrinsic("fabs", x)

    def copysign(self, x: Value, sign: Value) -> Value:
        return self.intrinsic("copysign", x, sign)

    def cmp(self, predicate: str, x: Value, y: Value) -> Value:
        return self.e.value(f"fcmp {predicate} {self.t} {x}, {y}")

    def both(self, x: Value, y: Value, op: str = "and") -> Value:
        return self.e.value(f"{op} {self.mask} {x}, {y}")

    def sel(self, mask: Value, x: Value, y: Value) -> Value:
        return self.e.value(f"select {self.mask} {mask}, {self.t} {x}, {self.t} {y}")

    def isel(self, mask: Value, x: Value, y: Value) -> Value:
        return self.e.value(f"select {self.mask} {mask}, {self.it} {x}, {self.it} {y}")

    def at_most(self, x: Value, limit: float) -> Value:
        """`min(x, limit)`; NaN stays NaN."""
        return self.sel(self.cmp("ogt", x, self.c(limit)), self.c(limit), x)

    def at_least(self, x: Value, limit: float) -> Value:
        """`max(x, limit)`; NaN stays NaN."""
        return self.sel(self.cmp("olt", x, self.c(limit)), self.c(limit), x)

    def bits(self, x: Value) -> Value:
        return self.e.value(f"bitcast {self.t} {x} to {self.it}")

    def from_bits(self, x: Value) -> Value:
        return self.e.value(f"bitcast {self.it} {x} to {self.t}")

    def i(self, op: str, x: Value, y: Value) -> Value:
        return self.e.value(f"{op} {self.it} {x}, {y}")

    def pick(self, single: Sequence[float], double: Sequence[float]) -> Sequence[float]:
        """The coefficients for this type."""
        return single if self.single else double

    def horner(self, x: Value, coefficients: Sequence[float]) -> Value:
        result = self.c(coefficients[-1])
        for number in reversed(coefficients[:-1]):
            result = self.fma(result, x, self.c(number))
        return result

    def estrin(self, x: Value, coefficients: Sequence[float]) -> Value:
        """The polynomial by halves: more multiplications than Horner's, a shorter chain."""
        parts = [self.c(number) for number in coefficients]
        power = x
        while len(parts) > 1:
            paired = [
                self.fma(parts[k + 1], power, parts[k]) if k + 1 < len(parts) else parts[k]
                for k in range(0, len(parts), 2)
            ]
            parts = paired
            if len(parts) > 1:
                power = self.mul(power, power)
        return parts[0]

    def polynomial(self, x: Value, coefficients: Sequence[float]) -> Value:
        """Horner's rule for float (short polynomials), Estrin's for double."""
        rule = self.horner if self.single else self.estrin
        return rule(x, coefficients)

    def rounded(self, x: Value, scale: float, more: int = 0) -> tuple[Value, Value]:
        """The integer next to `x * scale`: with `magic` and `more` added, and alone."""
        magic = self.c(self.kind.magic + more)
        shifted = self.fma(x, self.c(scale), magic)
        return shifted, self.sub(shifted, magic)

    def power_of_two(self, exponent: Value) -> Value:
        """`2**n` for the integer `n + bias` that stands in the low bits, a normal number."""
        return self.from_bits(self.i("shl", exponent, self.ic(self.kind.mantissa)))

    def scale(self, x: Value, shifted: Value, n: Value, kept: Value | None = None) -> Value:
        """`x * 2**n`, rounded once, over the whole range; `shifted` is `n` with `lift` added.

        Zero in lanes that are not `kept`; where `scalef` holds, those may have any `x` and `n`.
        """
        if self.scalef:
            return self._scalef(x, n, kept)
        # Two factors: one would leave the exponent's range before the product does.
        kind = self.kind
        half = self.bits(self.fma(n, self.c(0.5), self.c(kind.magic + kind.bias)))
        first = self.power_of_two(half)
        second = self.power_of_two(self.i("sub", self.bits(shifted), half))
        y = self.mul(self.mul(x, first), second)
        return y if kept is None else self.sel(kept, y, self.c(0.0))

    @property
    def scalef(self) -> bool:
        """Whether `scale` is one instruction, which leaves out lanes that are not kept."""
        return self.e.scalef and self.width % (SCALEF_BITS // self.kind.bits) == 0

    def _scalef(self, x: Value, n: Value, kept: Value | None) -> Value:
        lanes = SCALEF_BITS // self.kind.bits
        t, mask = vector_type(self.ty, lanes), f"i{lanes}"
        name = f"llvm.x86.avx512.mask.scalef.p{'s' if self.single else 'd'}.{SCALEF_BITS}"
        parts: list[Value] = []
        for first in range(0, self.width, lanes):
            a, b = (self.part(y, first, lanes, self.ty) for y in (x, n))
            chosen = "-1"
            if kept is not None:
                some = self.part(kept, first, lanes, "i1")
                chosen = self.e.value(f"bitcast {vector_type('i1', lanes)} {some} to {mask}")
            arguments = [(t, a), (t, b), (t, "zeroinitializer"), (mask, chosen), NEAREST]
            parts.append(self.e.intrinsic(name, t, arguments))
        while len(parts) > 1:
            whole, pairs = range(2 * lanes), zip(parts[::2], parts[1::2])
            parts = [self.e.shuffle(a, b, whole, self.ty, lanes) for a, b in pairs]
            lanes *= 2
        return parts[0]

    def part(self, x: Value, first: int, count: int, element: str) -> Value:
        """`count` lanes of a vector, from lane `first`."""
        if count == self.width:
            return x
        return self.e.shuffle(x, "poison", range(first, first + count), element, self.width)

    def scale_normal(self, shifted: Value, less: int = 0) -> Value:
        """`2**(n - less)` where that is a normal number; `shifted` is `n` with `lift` added."""
        return self.power_of_two(self.i("sub", self.bits(shifted), self.ic(self.kind.bias + less)))
