"""The LLVM IR text builder that every kernel generator writes with.

LLVM types, values and pointers are plain strings as they are spelled in IR (`"<8 x float>"`,
`"%v12"`, `"0"`). An `Emitter` collects the lines of one function body and the declarations it
needs; `function` wraps them. No pass pipeline runs afterwards, so what is emitted should already
be the code wanted.
"""

import math
import struct
from collections.abc import Callable, Iterable, Sequence

Value = str
"""An SSA name (`%v3`) or a literal (`7`, `0x3FF0000000000000`), as spelled in IR."""

LoopBody = Callable[[Value, list[Value]], Sequence[Value] | None]

_FLOAT_BYTES = {"half": 2, "bfloat": 2, "float": 4, "double": 8}


def vector_type(element: str, lanes: int) -> str:
    """`<lanes x element>`, or the element type itself for one lane."""
    return element if lanes == 1 else f"<{lanes} x {element}>"


def type_bytes(element: str) -> int:
    """Bytes of a scalar type (`float`, `double`, `half`, `bfloat`, `iN`, `ptr`)."""
    if element in _FLOAT_BYTES:
        return _FLOAT_BYTES[element]
    if element == "ptr":
        return 8
    return (int(element[1:]) + 7) // 8


def type_suffix(element: str, lanes: int = 1) -> str:
    """The spelling of a type inside an intrinsic's name: `f32`, `v8f64`, `v4i32`."""
    short = {"half": "f16", "bfloat": "bf16", "float": "f32", "double": "f64", "ptr": "p0"}
    scalar = short.get(element, element)
    return scalar if lanes == 1 else f"v{lanes}{scalar}"


def float_literal(value: float, element: str = "float") -> Value:
    """The exact hexadecimal literal of `value` rounded to `float` or `double`.

    IR spells a float as the double of the same value. A NaN becomes the default quiet NaN.
    """
    if math.isnan(value):
        return "0x7FF8000000000000"
    if element == "float":
        try:
            value = struct.unpack("<f", struct.pack("<f", value))[0]
        except OverflowError:  # beyond the largest float32: rounds to infinity
            value = float("inf") if value > 0 else float("-inf")
    bits = struct.unpack("<Q", struct.pack("<d", value))[0]
    return f"0x{bits:016X}"


def splat_literal(value: float, element: str = "float", lanes: int = 1) -> Value:
    """A constant with `value` in every lane (the scalar literal for one lane)."""
    scalar = float_literal(value, element)
    return scalar if lanes == 1 else f"splat ({element} {scalar})"


def splat_integer(value: int, element: str = "i32", lanes: int = 1) -> Value:
    """An integer constant with `value` in every lane (the scalar literal for one lane)."""
    return str(value) if lanes == 1 else f"splat ({element} {value})"


def lane_mask(active: int, lanes: int) -> Value:
    """The `<lanes x i1>` constant whose first `active` lanes are true."""
    return "<" + ", ".join(f"i1 {str(lane < active).lower()}" for lane in range(lanes)) + ">"


def known(value: Value | int) -> int | None:
    """The integer that `value` spells, or None for a run-time value."""
    if isinstance(value, int):
        return value
    return None if value.startswith("%") else int(value)


class Emitter:
    """Builds the body of one function as text, with structured loops and branches.

    `block` is the label of the block being written: phis that leave it must name it. `scalef` says
    that the code is for AVX-512, whose instruction of that name vector mathematics may use.
    """

    def __init__(self) -> None:
        self.scalef = False
        self.lines: list[str] = []
        self.declarations: set[str] = set()
        self.block = "entry"
        self._count = 0
        self._allocas: list[str] = []

    # Lines, names and labels

    def new(self, prefix: str = "b") -> str:
        """A name not used before in this function (without `%`)."""
        self._count += 1
        return f"{prefix}{self._count}"

    def emit(self, line: str) -> None:
        """Writes one instruction that has no result."""
        self.lines.append(f"  {line}")

    def value(self, rhs: str) -> Value:
        """Writes `%vN = rhs` and returns `%vN`."""
        self._count += 1
        name = f"%v{self._count}"
        self.lines.append(f"  {name} = {rhs}")
        return name

    def label(self, name: str) -> None:
        """Starts the block `name`; the block before must already have its terminator."""
        self.lines.append(f"{name}:")
        self.block = name

    def declare(self, declaration: str) -> None:
        """Adds a `declare ...` line that the module needs."""
        self.declarations.add(declaration)

    def call(self, name: str, returns: str, arguments: Iterable[tuple[str, Value]]) -> Value:
        """Calls a function defined in the same module; returns its value (`""` for void)."""
        text = ", ".join(f"{kind} {argument}" for kind, argument in arguments)
        if returns == "void":
            self.emit(f"call void @{name}({text})")
            return ""
        return self.value(f"call {returns} @{name}({text})")

    def intrinsic(self, name: str, returns: str, arguments: Sequence[tuple[str, Value]]) -> Value:
        """Calls an intrinsic or external function and collects its declaration.

        A type may carry parameter attributes after a space (`"i32 immarg"`): they go into the
        declaration only.
        """
        self.declare(f"declare {returns} @{name}({', '.join(kind for kind, _ in arguments)})")
        bare = [(kind.removesuffix(" immarg"), argument) for kind, argument in arguments]
        return self.call(name, returns, bare)

    # Integer arithmetic on addresses (i64, no overflow)

    def add(self, left: Value | int, right: Value | int) -> Value:
        """`left + right` as i64; folds when both are known or one is zero."""
        known_left, known_right = known(left), known(right)
        if known_left is not None and known_right is not None:
            return str(known_left + known_right)
        if known_left == 0:
            return str(right)
        if known_right == 0:
            return str(left)
        return self.value(f"add nsw i64 {left}, {right}")

    def multiply(self, left: Value | int, right: Value | int) -> Value:
        """`left * right` as i64; folds when both are known or one is zero or one."""
        known_left, known_right = known(left), known(right)
        if known_left is not None and known_right is not None:
            return str(known_left * known_right)
        for factor, other in ((known_left, right), (known_right, left)):
            if factor == 0:
                return "0"
            if factor == 1:
                return str(other)
        return self.value(f"mul nsw i64 {left}, {right}")

    def subtract(self, left: Value | int, right: Value | int) -> Value:
        """`left - right` as i64; folds when both are known."""
        known_left, known_right = known(left), known(right)
        if known_left is not None and known_right is not None:
            return str(known_left - known_right)
        return str(left) if known_right == 0 else self.value(f"sub nsw i64 {left}, {right}")

    def divide(self, left: Value | int, right: Value | int) -> Value:
        """`left // right` of numbers that are not negative, as i64; folds when both are known."""
        known_left, known_right = known(left), known(right)
        if known_left is not None and known_right is not None:
            return str(known_left // known_right)
        return str(left) if known_right == 1 else self.value(f"udiv i64 {left}, {right}")

    def minimum(self, left: Value | int, right: Value | int) -> Value:
        """The smaller of two numbers that are not negative, as i64; folds when both are known."""
        known_left, known_right = known(left), known(right)
        if known_left is not None and known_right is not None:
            return str(min(known_left, known_right))
        less = self.value(f"icmp ult i64 {left}, {right}")
        return self.value(f"select i1 {less}, i64 {left}, i64 {right}")

    # Memory

    def gep(self, pointer: Value, index: Value | int, element: str = "float") -> Value:
        """The address of element `index` of an array of `element` at `pointer`."""
        if known(index) == 0:
            return pointer
        return self.value(f"getelementptr inbounds {element}, ptr {pointer}, i64 {index}")

    def stack(self, kind: str, align: int = 16) -> Value:
        """Room for a value of type `kind` on the stack, made once on entry to the function."""
        name = f"%{self.new('room')}"
        self._allocas.append(f"  {name} = alloca {kind}, align {align}")
        return name

    def load(
        self, pointer: Value, element: str = "float", lanes: int = 1, align: int | None = None
    ) -> Value:
        """Loads a scalar or vector; the alignment is the element's unless given."""
        kind = vector_type(element, lanes)
        return self.value(f"load {kind}, ptr {pointer}, align {align or type_bytes(element)}")

    def store(
        self,
        stored: Value,
        pointer: Value,
        element: str = "float",
        lanes: int = 1,
        align: int | None = None,
    ) -> None:
        """Stores a scalar or vector; the alignment is the element's unless given."""
        kind = vector_type(element, lanes)
        self.emit(f"store {kind} {stored}, ptr {pointer}, align {align or type_bytes(element)}")

    def load_masked(
        self, pointer: Value, mask: Value, other: Value, element: str = "float", lanes: int = 8
    ) -> Value:
        """Loads the lanes where `mask` (`<lanes x i1>`) holds, `other` elsewhere.

        Memory of the lanes left out is not touched.
        """
        kind, bits = vector_type(element, lanes), f"<{lanes} x i1>"
        name = f"llvm.masked.load.{type_suffix(element, lanes)}.p0"
        align = str(type_bytes(element))
        arguments = [("ptr", pointer), ("i32 immarg", align), (bits, mask), (kind, other)]
        return self.intrinsic(name, kind, arguments)

    def store_masked(
        self, stored: Value, pointer: Value, mask: Value, element: str = "float", lanes: int = 8
    ) -> None:
        """Stores the lanes where `mask` holds; memory of the others is not touched."""
        kind, bits = vector_type(element, lanes), f"<{lanes} x i1>"
        name = f"llvm.masked.store.{type_suffix(element, lanes)}.p0"
        align = str(type_bytes(element))
        arguments = [(kind, stored), ("ptr", pointer), ("i32 immarg", align), (bits, mask)]
        self.intrinsic(name, "void", arguments)

    def prefetch(self, pointer: Value, *, write: bool = False, locality: int = 3) -> None:
        """Asks for the cache line at `pointer` (a hint: any address is allowed)."""
        arguments = [("ptr", pointer), ("i32 immarg", str(int(write)))]
        arguments += [("i32 immarg", str(locality)), ("i32 immarg", "1")]
        self.intrinsic("llvm.prefetch.p0", "void", arguments)

    # Vectors

    def splat(self, scalar: Value, element: str = "float", lanes: int = 8) -> Value:
        """`scalar` in every lane (the scalar itself for one lane)."""
        if lanes == 1:
            return scalar
        kind = vector_type(element, lanes)
        first = self.value(f"insertelement {kind} poison, {element} {scalar}, i64 0")
        return self.value(
            f"shufflevector {kind} {first}, {kind} poison, <{lanes} x i32> zeroinitializer"
        )

    def shuffle(
        self, left: Value, right: Value, lanes: Sequence[int], element: str, width: int
    ) -> Value:
        """Picks `lanes` out of the concatenation of two `width`-lane vectors."""
        kind = vector_type(element, width)
        picks = ", ".join(f"i32 {lane}" for lane in lanes)
        return self.value(
            f"shufflevector {kind} {left}, {kind} {right}, <{len(lanes)} x i32> <{picks}>"
        )

    def fma(
        self, left: Value, right: Value, addend: Value, element: str = "float", lanes: int = 1
    ) -> Value:
        """`left * right + addend` rounded once."""
        kind = vector_type(element, lanes)
        arguments = [(kind, left), (kind, right), (kind, addend)]
        return self.intrinsic(f"llvm.fma.{type_suffix(element, lanes)}", kind, arguments)

    # Control flow

    def loop(
        self,
        lo: Value | int,
        hi: Value | int,
        step: Value | int,
        body: LoopBody,
        carry: Sequence[tuple[str, Value]] = (),
        *,
        may_be_empty: bool = False,
    ) -> list[Value]:
        """`for i in range(lo, hi, step)` over i64, with carried values.

        `carry` holds (type, initial value) pairs; `body(i, values)` writes one round and returns
        the values of the next. Returns the values after the last round. Unless `may_be_empty`,
        the caller vouches that the range is not empty. `0 <= lo`, `0 < step`.
        """
        if isinstance(lo, int) and isinstance(hi, int):
            if lo >= hi:
                return [initial for _, initial in carry]
            may_be_empty = False
        head, leave = self.new("loop"), self.new("done")
        before = self.block
        if may_be_empty:
            enter = self.value(f"icmp ult i64 {lo}, {hi}")
            self.emit(f"br i1 {enter}, label %{head}, label %{leave}")
        else:
            self.emit(f"br label %{head}")
        self.label(head)
        index = f"%i.{head}"
        names = [f"%c{position}.{head}" for position in range(len(carry))]
        place = len(self.lines)
        self.lines.append("")  # the phis, known once the body is written
        results = list(body(index, list(names)) or ())
        if len(results) != len(carry):
            raise ValueError(f"loop body returned {len(results)} values for {len(carry)} carried")
        following = self.value(f"add nuw nsw i64 {index}, {step}")
        again = self.value(f"icmp ult i64 {following}, {hi}")
        latch = self.block
        self.emit(f"br i1 {again}, label %{head}, label %{leave}")
        phis = [f"  {index} = phi i64 [ {lo}, %{before} ], [ {following}, %{latch} ]"]
        for name, (kind, initial), result in zip(names, carry, results, strict=True):
            phis.append(f"  {name} = phi {kind} [ {initial}, %{before} ], [ {result}, %{latch} ]")
        self.lines[place] = "\n".join(phis)
        self.label(leave)
        if not may_be_empty:
            return results
        return [
            self.value(f"phi {kind} [ {initial}, %{before} ], [ {result}, %{latch} ]")
            for (kind, initial), result in zip(carry, results, strict=True)
        ]

    def guard(self, condition: Value, body: Callable[[], object]) -> None:
        """`if condition: body()`; nothing is carried out of it."""
        inside, leave = self.new("then"), self.new("end")
        self.emit(f"br i1 {condition}, label %{inside}, label %{leave}")
        self.label(inside)
        body()
        self.emit(f"br label %{leave}")
        self.label(leave)

    def choose(
        self, condition: Value, then: Callable[[], object], otherwise: Callable[[], object]
    ) -> None:
        """`if condition: then() else: otherwise()`; nothing is carried out of either."""
        inside, other, leave = self.new("then"), self.new("else"), self.new("end")
        self.emit(f"br i1 {condition}, label %{inside}, label %{other}")
        for name, body in ((inside, then), (other, otherwise)):
            self.label(name)
            body()
            self.emit(f"br label %{leave}")
        self.label(leave)

    # The finished function

    def function(
        self,
        name: str,
        parameters: Sequence[str],
        *,
        returns: str = "void",
        linkage: str = "",
        attributes: str = "nounwind",
    ) -> str:
        """The text of `define ... @name(parameters) { lines }`.

        `parameters` are spelled in full (`"ptr noalias %a"`, `"i64 %n"`). The body must end in a
        terminator (`ret void`). Attributes are written inline, so texts can be joined freely.
        """
        head = f"define {linkage} {returns} @{name}({', '.join(parameters)}) {attributes} {{"
        return "\n".join([head.replace("  ", " "), "entry:", *self._allocas, *self.lines, "}", ""])


MODULE = "; ---- module\n"
"""Stands between the modules of one text: each may call functions of those before it.

All but the last are compiled once for all texts that have them (`runtime.jit`).
"""


def module_text(
    functions: Iterable[str], declarations: Iterable[str], before: Iterable[str] = ()
) -> str:
    """One module: the functions in order, then the declarations, sorted.

    `before`: modules whose functions it calls; equal ones are shared by all plans of a machine.
    """
    own = "\n".join([*functions, *sorted(set(declarations)), ""])
    return MODULE.join([*before, own])
