"""Rows of the operation table as LLVM instructions: the scalar builder over vectors.

A value is uniform (one lane) or has a vector's lanes; operands are widened when they meet. Every
step rounds once; no instruction carries a fast-math flag.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from rushlight.base import dtype as dt
from rushlight.base.dtype import dtype
from rushlight.codegen.narrow import Narrow, rounded
from rushlight.codegen.text import Emitter, Value, float_literal, type_suffix, vector_type
from rushlight.graph.scalar import (
    EXACT_UNARY,
    SPECIAL_BINARY,
    SPECIAL_UNARY,
    Scalar,
    ScalarBuilder,
)

ELEMENT = {
    dt.bool_: "i1", dt.uint8: "i8", dt.int8: "i8", dt.int16: "i16", dt.int32: "i32",
    dt.int64: "i64", dt.float32: "float", dt.float64: "double", dt.float16: "float",
    dt.bfloat16: "float", dt.uint16: "i16", dt.uint32: "i32", dt.uint64: "i64",
}  # fmt: skip
"""LLVM's type of an element in a register: a narrow float is the float of the same value."""

_FLOAT_CALLS = {
    "abs": "llvm.fabs", "sqrt": "llvm.sqrt", "floor": "llvm.floor", "ceil": "llvm.ceil",
    "trunc": "llvm.trunc", "round": "llvm.roundeven",
}  # fmt: skip
_FLOAT_BINARY = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv", "rem": "frem"}
_INT_BINARY = {"add": "add", "sub": "sub", "mul": "mul", "and": "and", "or": "or", "xor": "xor"}
_BOOL_BINARY = {
    "add": "or", "sub": "xor", "mul": "and", "and": "and", "or": "or", "xor": "xor"
}  # fmt: skip
_ORDER = {"lt": "lt", "le": "le", "gt": "gt", "ge": "ge"}


class Lanes(NamedTuple):
    """A builder's own value: how it is spelled, its lanes, and whether it is a literal."""

    name: Value
    width: int
    literal: bool = False


def literal(value: Any, kind: dtype) -> Value:
    """A number as a literal of the type, converted as C does."""
    if kind.kind == "f":
        if kind.narrow:
            value = rounded(value, kind)
        return float_literal(float(value), ELEMENT[kind])
    if kind.kind == "b":
        return "true" if value else "false"
    bits = 8 * kind.itemsize
    whole = int(value) & ((1 << bits) - 1)
    if kind.kind == "i" and whole >> (bits - 1):
        whole -= 1 << bits
    return str(whole)


class LaneBuilder(ScalarBuilder):
    """Writes scalar expressions over vectors with an `Emitter`.

    `special` gives the functions of our vector mathematics: `f(emitter, lanes, element, *x)`.
    """

    def __init__(self, emitter: Emitter, special: dict[str, Any]) -> None:
        self.emitter = emitter
        self.special = special

    # Widths

    def make(self, name: Value, width: int, kind: dtype) -> Scalar:
        """A value already written."""
        return Scalar(self, Lanes(name, width), kind)

    def const(self, value: Any, dtype: dtype) -> Scalar:
        return Scalar(self, Lanes(literal(value, dtype), 1, True), dtype)

    def wide(self, x: Scalar, width: int) -> Value:
        """How `x` is spelled with `width` lanes."""
        name, have, is_literal = x.v
        if have == width:
            return str(name)
        element = ELEMENT[x.dtype]
        if is_literal:
            return f"splat ({element} {name})"
        return self.emitter.splat(name, element, width)

    def _meet(self, *xs: Scalar) -> tuple[int, list[Value]]:
        width = max(x.v.width for x in xs)
        return width, [self.wide(x, width) for x in xs]

    def _result(self, text: str, width: int, kind: dtype) -> Scalar:
        return self.make(self.emitter.value(text), width, kind)

    # Operations

    def unary(self, op: str, x: Scalar) -> Scalar:
        kind, (width, (a,)) = x.dtype, self._meet(x)
        element = ELEMENT[kind]
        t = vector_type(element, width)
        if op in SPECIAL_UNARY:
            return self._special(op, width, kind, [a])
        if op not in EXACT_UNARY:
            raise NotImplementedError(f"{op}: no such scalar operation")
        if op == "not":
            ones = literal(1 if kind.kind == "b" else -1, kind)
            return self._result(f"xor {t} {a}, {self._splat(ones, element, width)}", width, kind)
        if kind.kind == "f":
            if op == "neg":
                return self._result(f"fneg {t} {a}", width, kind)
            name = f"{_FLOAT_CALLS[op]}.{type_suffix(element, width)}"
            return self.make(self.emitter.intrinsic(name, t, [(t, a)]), width, kind)
        if op == "neg":
            zero = "zeroinitializer" if width > 1 else literal(0, kind)
            return self._result(f"sub {t} {zero}, {a}", width, kind)
        if op == "abs" and kind.kind == "i":
            name = f"llvm.abs.{type_suffix(element, width)}"
            found = self.emitter.intrinsic(name, t, [(t, a), ("i1 immarg", "false")])
            return self.make(found, width, kind)
        if op == "sqrt":
            raise TypeError(f"sqrt: needs a floating type, got {kind}")
        return x  # integers are whole and, where unsigned, not negative

    def binary(self, op: str, x: Scalar, y: Scalar) -> Scalar:
        kind, (width, (a, b)) = x.dtype, self._meet(x, y)
        t = vector_type(ELEMENT[kind], width)
        if op == "pow" and kind.kind in "iu":
            return self._power(x, y)
        if op in SPECIAL_BINARY:
            return self._special(op, width, kind, [a, b])
        if kind.kind == "f":
            return self._result(f"{_FLOAT_BINARY[op]} {t} {a}, {b}", width, kind)
        if kind.kind == "b" and op in _BOOL_BINARY:
            return self._result(f"{_BOOL_BINARY[op]} {t} {a}, {b}", width, kind)
        if kind.kind == "b":
            raise NotImplementedError(f"{op}: not defined for bool")
        if op in _INT_BINARY:
            return self._result(f"{_INT_BINARY[op]} {t} {a}, {b}", width, kind)
        if op in ("shl", "shr"):
            return self._shift(op, x, y)
        return self._divide(op, x, y)

    def _divide(self, op: str, x: Scalar, y: Scalar) -> Scalar:
        """Integer division that never traps: by zero gives 0; the least number by -1 wraps."""
        kind = x.dtype
        zero, one = self.const(0, kind), self.const(1, kind)
        bad = y.eq(zero)
        safe = self.select(bad, one, y)
        if kind.kind != "i":
            return self.select(bad, zero, self._plain_divide("u", op, x, safe))
        turned = y.eq(-1)
        safe = self.select(turned, one, safe)
        found = self._plain_divide("s", op, x, safe)
        if op == "div":
            found = self.select(turned, self.unary("neg", x), found)
        return self.select(bad, zero, found)

    def _plain_divide(self, sign: str, op: str, x: Scalar, y: Scalar) -> Scalar:
        width, (a, b) = self._meet(x, y)
        t = vector_type(ELEMENT[x.dtype], width)
        return self._result(f"{sign}{op} {t} {a}, {b}", width, x.dtype)

    def _shift(self, op: str, x: Scalar, y: Scalar) -> Scalar:
        """Shifts by the width or more give what shifting on and on would."""
        kind = x.dtype
        bits = 8 * kind.itemsize
        outside = (y < 0) | (y >= bits) if kind.kind == "i" else y >= bits
        amount = self.select(outside, self.const(0, kind), y)
        width, (a, b) = self._meet(x, amount)
        t = vector_type(ELEMENT[kind], width)
        word = "shl" if op == "shl" else ("ashr" if kind.kind == "i" else "lshr")
        found = self._result(f"{word} {t} {a}, {b}", width, kind)
        far = self.const(0, kind)
        if op == "shr" and kind.kind == "i":
            far = self.select(x < 0, self.const(-1, kind), far)
        return self.select(outside, far, found)

    def compare(self, op: str, x: Scalar, y: Scalar) -> Scalar:
        kind, (width, (a, b)) = x.dtype, self._meet(x, y)
        t = vector_type(ELEMENT[kind], width)
        if kind.kind == "f":
            word = {"eq": "oeq", "ne": "une"}.get(op, "o" + op)
            return self._result(f"fcmp {word} {t} {a}, {b}", width, dt.bool_)
        sign = "s" if kind.kind == "i" else "u"
        word = op if op in ("eq", "ne") else sign + _ORDER[op]
        return self._result(f"icmp {word} {t} {a}, {b}", width, dt.bool_)

    def select(self, c: Scalar, x: Scalar, y: Scalar) -> Scalar:
        kind = x.dtype
        if c.v.width == 1 and (x.v.width > 1 or y.v.width > 1):
            width, (a, b) = self._meet(x, y)
            t = vector_type(ELEMENT[kind], width)
            return self._result(f"select i1 {c.v.name}, {t} {a}, {t} {b}", width, kind)
        width, (m, a, b) = self._meet(c, x, y)
        t = vector_type(ELEMENT[kind], width)
        text = f"select {vector_type('i1', width)} {m}, {t} {a}, {t} {b}"
        return self._result(text, width, kind)

    def cast(self, x: Scalar, to: dtype) -> Scalar:
        kind = x.dtype
        if kind is to:
            return x
        if kind.narrow:
            return self.cast(Scalar(self, x.v, dt.float32), to)
        if to.narrow:
            width, (a,) = self._meet(self.cast(x, dt.float32))
            return self.make(Narrow(self.emitter, to, width).round(a), width, to)
        if to.kind == "b":
            return self.compare("ne", x, self.const(0, kind))
        width, (a,) = self._meet(x)
        have, want = vector_type(ELEMENT[kind], width), vector_type(ELEMENT[to], width)
        if kind.kind == "f":
            if to.kind == "f":
                word = "fpext" if to.itemsize > kind.itemsize else "fptrunc"
                return self._result(f"{word} {have} {a} to {want}", width, to)
            return self._to_integer(x, to)
        if to.kind == "f":
            word = "sitofp" if kind.kind == "i" else "uitofp"
            return self._result(f"{word} {have} {a} to {want}", width, to)
        size = 1 if kind.kind == "b" else 8 * kind.itemsize
        if 8 * to.itemsize == size:
            return self.make(a, width, to)
        word = "trunc" if 8 * to.itemsize < size else "sext" if kind.kind == "i" else "zext"
        return self._result(f"{word} {have} {a} to {want}", width, to)

    def _to_integer(self, x: Scalar, to: dtype) -> Scalar:
        """Truncates; out of range and NaN give the least number of the register that converts."""
        register = dt.int64 if to.itemsize == 8 else dt.int32
        bits = 8 * register.itemsize
        edge = float(1 << (bits - 1))
        inside = x < edge
        # the first number below the range; float32 has none between -2**31 - 1 and -2**31
        exact = x.dtype is dt.float64 and bits == 32
        inside = inside & ((x > -edge - 1.0) if exact else (x >= -edge))
        safe = self.select(inside, x, self.const(0, x.dtype))
        width, (a,) = self._meet(safe)
        have = vector_type(ELEMENT[x.dtype], width)
        want = vector_type(ELEMENT[register], width)
        found = self._result(f"fptosi {have} {a} to {want}", width, register)
        least = self.const(-(1 << (bits - 1)), register)
        return self.cast(self.select(inside, found, least), to)

    def _power(self, x: Scalar, y: Scalar) -> Scalar:
        """Integer powers, wrapping; a negative exponent gives 0, unless the base is 1 or -1."""
        kind = x.dtype
        result, square, left = self.const(1, kind), x, y
        bits = 8 * kind.itemsize
        for bit in range(bits - (kind.kind == "i")):
            odd = self.compare("ne", left & 1, self.const(0, kind))
            result = self.select(odd, result * square, result)
            if bit < bits - 1:
                square = square * square
                left = self.binary("shr", left, self.const(1, kind))
        if kind.kind == "u":
            return result
        sign = self.select((y & 1).eq(0), self.const(1, kind), x)
        unit = x.eq(1) | x.eq(-1)
        below = self.select(unit, sign, self.const(0, kind))
        return self.select(y < 0, below, result)

    def _special(self, op: str, width: int, kind: dtype, xs: list[Value]) -> Scalar:
        function = self.special.get(op)
        if function is None:
            raise NotImplementedError(f"{op}: vector mathematics has no such function")
        return self.make(function(self.emitter, width, ELEMENT[kind], *xs), width, kind)

    @staticmethod
    def _splat(name: Value, element: str, width: int) -> Value:
        return name if width == 1 else f"splat ({element} {name})"
