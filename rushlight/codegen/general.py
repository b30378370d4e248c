"""General kernels: one operation whose sizes are known only when it runs, as a step of a program.

A program is a row of 64-bit words.  A step is the address of its kernel and the words that the
kernel reads; ``ptr kernel(ptr step)`` gives the step after it, or null where a value is not
allowed.  An address of zero ends the program.  ``nest`` runs another kernel over the rows of
operands with any strides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rushlight.base.dtype import bool_, dtype, float64, int64
from rushlight.base.lazy import later
from rushlight.base.target import Target
from rushlight.codegen.text import Emitter, Value, module_text, vector_type
from rushlight.graph.op import Op
from rushlight.graph.scalar import Scalar

if TYPE_CHECKING:
    from rushlight.codegen.llvm_scalar import LaneBuilder

# What only elementwise rows need, with all of vector mathematics.
access: Any = later("rushlight.codegen.llvm_access")
scalars: Any = later("rushlight.codegen.llvm_scalar")

POINTERS = 2  # where a step's pointers begin: behind its kernel and its length
MOST_RANK = 24  # dimensions that `nest` walks
MOST_WORDS = 24  # words of a step that `nest` runs


def _word(e: Emitter, step: Value, i: int, kind: str = "i64") -> Value:
    return e.load(e.gep(step, i, "i64"), kind)


# ---------------------------------------------------------------- one elementwise row
VECTOR, UNIFORM, FLOAT_NUMBER, INT_NUMBER = "v", "s", "d", "q"


class _Row:
    """Writes one elementwise kernel; ``reads`` is (mode, dtype in memory) of each operand."""

    def __init__(
        self, op: Op | None, reads: Sequence[tuple[str, dtype]], ctype: dtype, result: dtype
    ) -> None:
        self.op, self.reads, self.ctype, self.result = op, reads, ctype, result

    def converted(self, b: LaneBuilder, x: Scalar, i: int) -> Scalar:
        """An operand in the type that the row works in."""
        truth = self.op is not None and self.op.types == "where" and i == 0
        return b.cast(x, bool_ if truth else self.ctype)

    def uniform(self, e: Emitter, b: LaneBuilder, pointer: Value, i: int) -> Scalar:
        """One element or number, read once."""
        mode, kind = self.reads[i]
        if mode == FLOAT_NUMBER:
            return b.make(e.load(pointer, "double"), 1, float64)
        if mode == INT_NUMBER:
            return b.make(e.load(pointer, "i64"), 1, int64)
        return self.from_memory(e, b, e.load(pointer, access.memory_type(kind)), kind, 1)

    @staticmethod
    def from_memory(e: Emitter, b: LaneBuilder, x: Value, kind: dtype, width: int) -> Scalar:
        if kind.kind == "b":
            zero = "zeroinitializer" if width > 1 else "0"
            x = e.value(f"icmp ne {vector_type('i8', width)} {x}, {zero}")
        return b.make(x, width, kind)

    def text(self, symbol: str, width: int) -> tuple[str, set[str], int]:
        """The function, what it needs declared, and how long the loop's body is.

        Words: kernel, n, out, operands.  The end of a row is computed with the vector before it,
        moved back; a row shorter than a vector goes through room on the stack.
        """
        e = Emitter()
        b = scalars.LaneBuilder(e, access.SPECIAL)
        step = "%step"
        n = _word(e, step, 1)
        out = _word(e, step, POINTERS, "ptr")
        at = [_word(e, step, POINTERS + 1 + i, "ptr") for i in range(len(self.reads))]
        vectors = [i for i, (mode, _) in enumerate(self.reads) if mode == VECTOR]
        still = {
            i: self.converted(b, self.uniform(e, b, at[i], i), i)
            for i in range(len(self.reads))
            if i not in vectors
        }
        small = e.value(f"icmp ult i64 {n}, {width}")
        rooms = {}
        for i in vectors:
            element = access.memory_type(self.reads[i][1])
            rooms[i] = e.stack(f"[{width} x {element}]", 64)
            e.guard(small, _copies(e, at[i], rooms[i], n, element))
            at[i] = e.value(f"select i1 {small}, ptr {rooms[i]}, ptr {at[i]}")
        final = access.memory_type(self.result)
        room = e.stack(f"[{width} x {final}]", 64)
        to = e.value(f"select i1 {small}, ptr {room}, ptr {out}")
        count = e.value(f"select i1 {small}, i64 {width}, i64 {n}")
        last = e.subtract(count, width)
        before = len(e.lines)

        def body(j: Value, _: list[Value]) -> None:
            start = e.minimum(j, last)
            xs: list[Scalar] = []
            for i, (_mode, kind) in enumerate(self.reads):
                if i in still:
                    xs.append(still[i])
                    continue
                element = access.memory_type(kind)
                x = e.load(e.gep(at[i], start, element), element, width)
                xs.append(self.converted(b, self.from_memory(e, b, x, kind, width), i))
            lower = None if self.op is None else self.op.lower
            made = xs[0] if lower is None else lower(b, *xs)
            value = b.wide(b.cast(made, self.result), width)
            if self.result.kind == "b":
                t = vector_type("i1", width)
                value = e.value(f"zext {t} {value} to {vector_type('i8', width)}")
            e.store(value, e.gep(to, start, final), final, width)

        e.loop(0, count, width, body)
        length = len(e.lines) - before
        e.guard(small, _copies(e, room, out, n, final))
        e.emit(f"ret ptr {e.gep(step, POINTERS + 1 + len(self.reads), 'i64')}")
        return e.function(symbol, ["ptr %step"], returns="ptr"), e.declarations, length


def _copies(e: Emitter, source: Value, to: Value, n: Value, element: str) -> Callable[[], object]:
    def one(i: Value, _: list[Value]) -> None:
        e.store(e.load(e.gep(source, i, element), element), e.gep(to, i, element), element)

    return lambda: e.loop(0, n, 1, one, may_be_empty=True)


LONG = 40  # lines of a body from which on one register's width is taken


def elementwise_text(
    symbol: str,
    op: Op | None,
    reads: Sequence[tuple[str, dtype]],
    ctype: dtype,
    result: dtype,
    target: Target,
) -> str:
    """A row of elements; ``reads`` gives each operand's mode and type, ``op`` None converts only.

    Raises:
        NotImplementedError: the row has no meaning in native code.
    """
    widest = max([k.itemsize for m, k in reads if m == VECTOR], default=1)
    widest = max(widest, result.itemsize, ctype.itemsize)
    lanes = max(4, min(32, max(16, target.vector_bits // 8) // widest))
    row = _Row(op, reads, ctype, result)
    text, declarations, length = row.text(symbol, min(32, 2 * lanes))
    if length > LONG:
        text, declarations, _ = row.text(symbol, lanes)
    return module_text([text], declarations)


# ---------------------------------------------------------------- copies
def copy_text(symbol: str) -> str:
    """A row of bytes: words kernel, n, out, x."""
    e = Emitter()
    width = 32
    n, out, x = (_word(e, "%step", i, kind) for i, kind in ((1, "i64"), (2, "ptr"), (3, "ptr")))
    whole = e.multiply(e.divide(n, width), width)

    def vector(i: Value, _: list[Value]) -> None:
        e.store(e.load(e.gep(x, i, "i8"), "i8", width), e.gep(out, i, "i8"), "i8", width)

    def rest(i: Value, _: list[Value]) -> None:
        e.store(e.load(e.gep(x, i, "i8"), "i8"), e.gep(out, i, "i8"), "i8")

    e.loop(0, whole, width, vector, may_be_empty=True)
    e.loop(whole, n, 1, rest, may_be_empty=True)
    e.emit(f"ret ptr {e.gep('%step', 4, 'i64')}")
    return module_text([e.function(symbol, ["ptr %step"], returns="ptr")], e.declarations)


def strided_copy_text(symbol: str, size: int) -> str:
    """A row of elements of ``size`` bytes: words kernel, n, out, x, their strides in bytes."""
    e = Emitter()
    element = f"i{8 * size}"
    n, out, x = (_word(e, "%step", i, kind) for i, kind in ((1, "i64"), (2, "ptr"), (3, "ptr")))
    to, step = _word(e, "%step", 4), _word(e, "%step", 5)

    def one(i: Value, _: list[Value]) -> None:
        v = e.load(e.gep(x, e.multiply(i, step), "i8"), element)
        e.store(v, e.gep(out, e.multiply(i, to), "i8"), element)

    e.loop(0, n, 1, one, may_be_empty=True)
    e.emit(f"ret ptr {e.gep('%step', 6, 'i64')}")
    return module_text([e.function(symbol, ["ptr %step"], returns="ptr")], e.declarations)


# ---------------------------------------------------------------- reading and adding at places
def place_text(symbol: str, size: int, bits: int, element: str = "") -> str:
    """Elements at places that values say: words kernel, n, out, x, index, the byte strides of out,
    x and index from one place to the next, the byte stride along the indexed dimension, its size,
    what is added to a negative index, bytes of a block (where ``size`` is 0).

    ``out = x[index]`` of elements of ``size`` bytes, or of blocks; with ``element`` blocks of such
    are added to ``out[index]``.  An index that is outside ends the program.
    """
    e = Emitter()
    words = [_word(e, "%step", i, "ptr" if 1 < i < 5 else "i64") for i in range(1, 12)]
    n, out, x, index, to, step, next_index, along, limit, shift, block = words

    def one(i: Value, _: list[Value]) -> None:
        at = e.load(e.gep(index, e.multiply(i, next_index), "i8"), f"i{bits}")
        if bits < 64:
            at = e.value(f"sext i{bits} {at} to i64")
        below = e.value(f"icmp slt i64 {at}, 0")
        more = e.value(f"select i1 {below}, i64 {shift}, i64 0")
        at = e.add(at, more)
        inside = e.value(f"icmp ult i64 {at}, {limit}")
        go = e.new("inside")
        e.emit(f"br i1 {inside}, label %{go}, label %outside")
        e.label(go)
        place = e.multiply(at, along)
        target = e.gep(out, e.multiply(i, to), "i8")
        source = e.gep(x, e.multiply(i, step), "i8")
        if element:
            target = e.gep(target, place, "i8")
        else:
            source = e.gep(source, place, "i8")
        if size:
            e.store(e.load(source, f"i{8 * size}"), target, f"i{8 * size}")
        else:
            _block(e, source, target, block, element)

    e.loop(0, n, 1, one, may_be_empty=True)
    e.emit(f"ret ptr {e.gep('%step', 12, 'i64')}")
    e.label("outside")
    e.emit("ret ptr null")
    return module_text([e.function(symbol, ["ptr %step"], returns="ptr")], e.declarations)


def _block(e: Emitter, source: Value, target: Value, length: Value, element: str) -> None:
    """Copies ``length`` bytes, or adds so many bytes of elements."""
    kind = element or "i8"
    size = {"": 1, "float": 4, "double": 8}[element]
    count = e.divide(length, size)
    width = 32 // size
    whole = e.multiply(e.divide(count, width), width)

    def lanes(many: int) -> Callable[[Value, list[Value]], None]:
        def some(j: Value, _: list[Value]) -> None:
            have = e.load(e.gep(source, j, kind), kind, many)
            place = e.gep(target, j, kind)
            if element:
                old = e.load(place, kind, many)
                have = e.value(f"fadd {vector_type(kind, many)} {old}, {have}")
            e.store(have, place, kind, many)

        return some

    e.loop(0, whole, width, lanes(width), may_be_empty=True)
    e.loop(whole, count, 1, lanes(1), may_be_empty=True)


# ---------------------------------------------------------------- kernels written for a geometry
def step_text(symbol: str, inner: str, pointers: int, work: int, sizes: int) -> str:
    """``@symbol``: the step of a function ``void inner(ptr sizes, pointers..., work...)``.

    Words: kernel, unused, pointers, work, sizes.
    """
    e = Emitter()
    total = pointers + work
    given = [("ptr", e.gep("%step", POINTERS + total, "i64"))]
    given += [("ptr", _word(e, "%step", POINTERS + i, "ptr")) for i in range(total)]
    e.call(inner, "void", given)
    e.emit(f"ret ptr {e.gep('%step', POINTERS + total + sizes, 'i64')}")
    return e.function(symbol, ["ptr %step"], returns="ptr")


# ---------------------------------------------------------------- programs and nests
def program_text(run: str, nest: str) -> str:
    """``i64 run(ptr table)`` runs the program that a table holds; ``nest`` is a step.

    ``run`` gives 1 when a value ended the program.

    Words of a nest: kernel, the row's kernel, its length, its pointers, its further words, outer
    dimensions; then the pointers, the further words, and for each outer dimension, the innermost
    first, its size and the byte stride of every pointer.
    """
    return f"""\
define i64 @{run}(ptr %table) nounwind {{
entry:
  br label %head
head:
  %step = phi ptr [ %table, %entry ], [ %next, %body ]
  %kernel = load ptr, ptr %step
  %end = icmp eq ptr %kernel, null
  br i1 %end, label %done, label %body
body:
  %next = call ptr %kernel(ptr %step)
  %failed = icmp eq ptr %next, null
  br i1 %failed, label %stop, label %head
stop:
  ret i64 1
done:
  ret i64 0
}}

define ptr @{nest}(ptr %step) nounwind {{
entry:
  %row = alloca [{MOST_WORDS} x i64], align 16
  %counts = alloca [{MOST_RANK} x i64], align 16
  %kernel.at = getelementptr i64, ptr %step, i64 1
  %kernel = load ptr, ptr %kernel.at
  %n.at = getelementptr i64, ptr %step, i64 2
  %n = load i64, ptr %n.at
  %pointers.at = getelementptr i64, ptr %step, i64 3
  %pointers = load i64, ptr %pointers.at
  %more.at = getelementptr i64, ptr %step, i64 4
  %more = load i64, ptr %more.at
  %rank.at = getelementptr i64, ptr %step, i64 5
  %rank = load i64, ptr %rank.at
  %words = add i64 %pointers, %more
  %given = getelementptr i64, ptr %step, i64 6
  %dims = getelementptr i64, ptr %given, i64 %words
  %each = add i64 %pointers, 1
  %all = mul i64 %each, %rank
  %after = getelementptr i64, ptr %dims, i64 %all
  store ptr %kernel, ptr %row
  %row.n = getelementptr i64, ptr %row, i64 1
  store i64 %n, ptr %row.n
  %places = getelementptr i64, ptr %row, i64 {POINTERS}
  br label %give
give:
  %g = phi i64 [ 0, %entry ], [ %g.next, %give.body ]
  %g.more = icmp ult i64 %g, %words
  br i1 %g.more, label %give.body, label %clear
give.body:
  %g.from = getelementptr i64, ptr %given, i64 %g
  %g.value = load i64, ptr %g.from
  %g.to = getelementptr i64, ptr %places, i64 %g
  store i64 %g.value, ptr %g.to
  %g.next = add i64 %g, 1
  br label %give
clear:
  %z = phi i64 [ 0, %give ], [ %z.next, %clear.body ]
  %z.more = icmp ult i64 %z, %rank
  br i1 %z.more, label %clear.body, label %one
clear.body:
  %z.to = getelementptr i64, ptr %counts, i64 %z
  store i64 0, ptr %z.to
  %z.next = add i64 %z, 1
  br label %clear
one:
  %came = call ptr %kernel(ptr %row)
  %failed = icmp eq ptr %came, null
  br i1 %failed, label %stop, label %turn
turn:
  %d = phi i64 [ 0, %one ], [ %d.next, %back.done ]
  %d.more = icmp ult i64 %d, %rank
  br i1 %d.more, label %turn.body, label %done
turn.body:
  %dim.word = mul i64 %d, %each
  %dim = getelementptr i64, ptr %dims, i64 %dim.word
  %size = load i64, ptr %dim
  %count.at = getelementptr i64, ptr %counts, i64 %d
  %count = load i64, ptr %count.at
  %count.next = add i64 %count, 1
  %wraps = icmp eq i64 %count.next, %size
  %factor.back = sub i64 1, %size
  %factor = select i1 %wraps, i64 %factor.back, i64 1
  %count.new = select i1 %wraps, i64 0, i64 %count.next
  store i64 %count.new, ptr %count.at
  br label %move
move:
  %m = phi i64 [ 0, %turn.body ], [ %m.next, %move.body ]
  %m.more = icmp ult i64 %m, %pointers
  br i1 %m.more, label %move.body, label %moved
move.body:
  %m.next = add i64 %m, 1
  %stride.at = getelementptr i64, ptr %dim, i64 %m.next
  %stride = load i64, ptr %stride.at
  %by = mul i64 %stride, %factor
  %place = getelementptr i64, ptr %places, i64 %m
  %old = load i64, ptr %place
  %new = add i64 %old, %by
  store i64 %new, ptr %place
  br label %move
moved:
  br i1 %wraps, label %back.done, label %one
back.done:
  %d.next = add i64 %d, 1
  br label %turn
stop:
  ret ptr null
done:
  ret ptr %after
}}
"""


def module_of(functions: Sequence[str], before: Sequence[str] = ()) -> str:
    """Functions in one module, behind the text of others."""
    return module_text(functions, set(), before)


__all__ = [
    "FLOAT_NUMBER", "INT_NUMBER", "UNIFORM", "VECTOR", "copy_text", "elementwise_text",
    "module_of", "place_text", "program_text", "step_text", "strided_copy_text",
]  # fmt: skip
