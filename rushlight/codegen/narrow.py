"""Half and bfloat16 in LLVM: 16 bits in memory, the float of the same value in a register.

Written with integer operations, so that every target, with conversion instructions or without, has
the same bits: rounding is to nearest, ties to even.
"""

from __future__ import annotations

import struct

from rushlight.base import dtype as dt
from rushlight.base.dtype import dtype
from rushlight.codegen.text import Emitter, Value, splat_integer, splat_literal, vector_type

HALF_END = 65536.0  # numbers that round to this or more are infinite
HALF_NORMAL = 2.0**-14  # the least normal half; below it, halves are 2**-24 apart


def rounded(value: float, kind: dtype) -> float:
    """A Python number rounded to float32 and then to a narrow type."""
    import numpy as np

    with np.errstate(over="ignore"):
        return float(dt.array_type(kind).type(np.float32(value)))


class Narrow:
    """Conversions of `width` lanes of a narrow type."""

    def __init__(self, e: Emitter, kind: dtype, width: int) -> None:
        if kind not in (dt.float16, dt.bfloat16):
            raise NotImplementedError(f"{kind}: plans do not hold this type")
        self.e, self.width, self.half = e, width, kind is dt.float16
        self.short = vector_type("i16", width)
        self.int = vector_type("i32", width)
        self.float = vector_type("float", width)
        self.mask = vector_type("i1", width)

    def _i(self, op: str, x: Value, number: int) -> Value:
        return self.e.value(f"{op} {self.int} {x}, {splat_integer(number, 'i32', self.width)}")

    def _bits(self, x: Value) -> Value:
        return self.e.value(f"bitcast {self.float} {x} to {self.int}")

    def _float(self, x: Value) -> Value:
        return self.e.value(f"bitcast {self.int} {x} to {self.float}")

    def _f(self, op: str, x: Value, number: float) -> Value:
        return self.e.value(f"{op} {self.float} {x}, {splat_literal(number, 'float', self.width)}")

    def _either(self, mask: Value, x: Value, y: Value) -> Value:
        return self.e.value(f"select {self.mask} {mask}, {self.int} {x}, {self.int} {y}")

    def _or(self, x: Value, y: Value) -> Value:
        return self.e.value(f"or {self.int} {x}, {y}")

    def widen(self, x: Value) -> Value:
        """The floats of 16-bit patterns: exact."""
        bits = self.e.value(f"zext {self.short} {x} to {self.int}")
        if not self.half:
            return self._float(self._i("shl", bits, 16))
        sign = self._i("shl", self._i("and", bits, 0x8000), 16)
        size = self._i("shl", self._i("and", bits, 0x7FFF), 13)
        # the exponent's bias is 112 higher: a product mends it, for denormals too
        scaled = self._bits(self._f("fmul", self._float(size), 2.0**112))
        special = self._i("icmp uge", size, 0x7C00 << 13)
        whole = self._either(special, self._i("or", size, 0x7F800000), scaled)
        return self._float(self._or(whole, sign))

    def round(self, x: Value) -> Value:
        """Floats rounded to the type's values."""
        bits = self._bits(x)
        dropped = 13 if self.half else 16
        last = self._i("and", self._i("lshr", bits, dropped), 1)
        up = self._i("add", last, (1 << (dropped - 1)) - 1)
        near = self.e.value(f"add {self.int} {bits}, {up}")
        near = self._i("and", near, -(1 << dropped))
        nan = self.e.value(f"fcmp uno {self.float} {x}, {x}")
        if not self.half:
            return self._float(self._either(nan, self._i("or", bits, 0x7FC00000), near))
        sign = self._i("and", bits, -(1 << 31))
        size = self._float(self._i("and", bits, 0x7FFFFFFF))
        # below the normal range a sum with 1/2 rounds to multiples of 2**-24
        small = self._bits(self._f("fsub", self._f("fadd", size, 0.5), 0.5))
        is_small = self._f("fcmp olt", size, HALF_NORMAL)
        near = self._i("and", near, 0x7FFFFFFF)
        far = self._f("fcmp oge", self._float(near), HALF_END)
        near = self._either(far, splat_integer(0x7F800000, "i32", self.width), near)
        whole = self._either(is_small, small, near)
        whole = self._either(nan, splat_integer(0x7FC00000, "i32", self.width), whole)
        return self._float(self._or(whole, sign))

    def shorten(self, x: Value) -> Value:
        """The 16-bit patterns of floats that are values of the type."""
        bits = self._bits(x)
        if not self.half:
            top = self._i("lshr", bits, 16)
            return self.e.value(f"trunc {self.int} {top} to {self.short}")
        sign = self._i("and", self._i("lshr", bits, 16), 0x8000)
        size = self._i("and", bits, 0x7FFFFFFF)
        normal = self._i("sub", self._i("lshr", size, 13), 112 << 10)
        lifted = self._bits(self._f("fadd", self._float(size), 0.5))
        small = self._i("sub", lifted, int.from_bytes(struct.pack("<f", 0.5), "little"))
        is_small = self._i("icmp ult", size, 113 << 23)
        whole = self._either(is_small, small, normal)
        special = self._i("icmp uge", size, 0x7F800000)
        kept = self._i("or", self._i("and", self._i("lshr", size, 13), 0x3FF), 0x7C00)
        whole = self._either(special, kept, whole)
        return self.e.value(f"trunc {self.int} {self._or(whole, sign)} to {self.short}")
