"""Memory of one kernel: addresses, loads and stores of any strides, and checked indices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rushlight.base.dtype import dtype, int64
from rushlight.base.shape import Ints
from rushlight.codegen.llvm_scalar import ELEMENT, LaneBuilder
from rushlight.codegen.narrow import Narrow
from rushlight.codegen.text import Emitter, Value, known, vector_type
from rushlight.codegen.vectormath import BINARY, FUNCTIONS
from rushlight.graph.scalar import Scalar

if TYPE_CHECKING:
    from rushlight.compiler.loops import Access, Instr, Kernel

SPECIAL: dict[str, Any] = {**FUNCTIONS, **BINARY}

Env = dict[int, Scalar]
"""Values of a kernel's steps by their number."""

Index = tuple[Value, ...]
"""The outer index; or the flat inner index, of one entry, or none in a row stage."""


def memory_type(kind: dtype) -> str:
    """How an element is spelled in memory: bool is a byte, a narrow float its bits."""
    return "i8" if kind.kind == "b" else "i16" if kind.narrow else ELEMENT[kind]


class Memory:
    """How one kernel reads and writes. `width` is that of vectors across rows (`across`)."""

    def __init__(self, kernel: Kernel) -> None:
        self.k = kernel
        self.e = Emitter()
        self.b = LaneBuilder(self.e, SPECIAL)
        self.rank = len(kernel.outer)
        self.across = kernel.lanes == "outer"
        self.width = 1
        self.shift: Value = "0"  # where a row's span begins

    # Addresses

    def is_local(self, access: Access | None) -> bool:
        """Whether an access is to a row's scratch."""
        if access is None or access.param == -1:
            return False
        return access.param < -1 or self.k.params[access.param].local

    def inside(self, access: Access | None) -> Ints:
        """An access's strides over the inner index."""
        assert access is not None
        if self.k.span or len(access.strides) == len(self.k.inner):
            return access.strides
        return access.strides[self.rank :]

    def digits(self, r: Value, sizes: Ints) -> tuple[Value, ...]:
        """A flat index taken apart."""
        out: list[Value] = []
        for n in reversed(sizes[1:]):
            r, low = self.divided(r, n)
            out.append(low)
        if sizes:
            out.append(r)
        return tuple(reversed(out))

    def divided(self, r: Value, n: int) -> tuple[Value, Value]:
        """Quotient and remainder of an index."""
        have = known(r)
        if have is not None:
            return str(have // n), str(have % n)
        if n == 1:
            return r, "0"
        q = self.e.value(f"udiv i64 {r}, {n}")
        return q, self.e.value(f"urem i64 {r}, {n}")

    def least(self, x: Value, limit: int) -> Value:
        have = known(x)
        if have is not None:
            return str(min(have, limit))
        less = self.e.value(f"icmp ult i64 {x}, {limit}")
        return self.e.value(f"select i1 {less}, i64 {x}, i64 {limit}")

    def outside(self, access: Access, outer: Index) -> Value:
        """The part of an address that a row fixes."""
        total: Value = str(access.offset)
        if self.k.span:
            total = self.e.add(total, self.e.multiply(self.shift, access.strides[0]))
        else:
            for x, s in zip(outer, access.strides):
                total = self.e.add(total, self.e.multiply(x, s)) if s else total
        return total

    def place(
        self, access: Access, outer: Index, at: Index, width: int
    ) -> tuple[Value, int | None, bool]:
        """Address of the first lane and the step between lanes (None: uneven)."""
        if self.is_local(access):
            flat = at[0]
            for x, n in zip(at[1:], self.k.inner[1:]):
                flat = self.e.add(self.e.multiply(flat, n), x)
            return self.e.multiply(flat, self.width if self.across else 1), 1, True
        start = self.outside(access, outer)
        strides = self.inside(access)
        lane: int | None = access.strides[self.rank - 1] if self.across else 0
        if at:
            if len(at) == len(strides) > 1:
                for x, s in zip(at, strides):
                    start = self.e.add(start, self.e.multiply(x, s)) if s else start
                lane = strides[-1]
            elif len(strides) == 1 or (known(at[0]) == 0 and width == 1):
                start = self.e.add(start, self.e.multiply(at[0], strides[0]) if strides else "0")
                if not self.across:
                    lane = strides[0] if strides else 0
            else:
                for x, s in zip(self.digits(at[0], self.k.inner), strides):
                    start = self.e.add(start, self.e.multiply(x, s)) if s else start
                if not self.across:
                    even = self.k.inner[-1] % width == 0
                    lane = strides[-1] if even else None
        return start, lane, True

    def offset(self, access: Access, outer: Index, at: Index, lane: int) -> Value:
        """The address of one lane of an uneven access."""
        return self.place(access, outer, (*at[:-1], self.e.add(at[-1], lane)), 1)[0]

    def gathered(self, names: list[Value], element: str) -> Value:
        t = vector_type(element, len(names))
        v = "poison"
        for n, x in enumerate(names):
            v = self.e.value(f"insertelement {t} {v}, {element} {x}, i64 {n}")
        return v

    def load(
        self,
        access: Access | None,
        kind: dtype,
        outer: Index,
        at: Index,
        width: int,
    ) -> Scalar:
        """Reads one lane or a vector, whatever the strides."""
        assert access is not None
        element, pointer = memory_type(kind), f"%p{abs(access.param)}"
        start, lane, _ = self.place(access, outer, at, width)
        if width == 1 or lane == 0:
            return self.from_memory(
                self.e.load(self.e.gep(pointer, start, element), element), 1, kind
            )
        if lane == 1:
            x = self.e.load(self.e.gep(pointer, start, element), element, width)
        elif lane == -1:
            first = self.e.add(start, 1 - width)
            x = self.e.load(self.e.gep(pointer, first, element), element, width)
            x = self.e.shuffle(x, "poison", range(width - 1, -1, -1), element, width)
        else:
            names = []
            base = self.e.gep(pointer, start, element)
            for n in range(width):
                if lane is None:
                    p = self.e.gep(pointer, self.offset(access, outer, at, n), element)
                else:
                    p = self.e.gep(base, n * lane, element)
                names.append(self.e.load(p, element))
            x = self.gathered(names, element)
        return self.from_memory(x, width, kind)

    # Addresses that values say

    def indexed(self, steps: Any, indices: list[Scalar]) -> Scalar:
        """What indices add to an address; one that is out of bounds counts as 0 and is reported."""
        b = self.b
        total: Scalar | None = None
        for (stride, size, wraps), x in zip(steps, indices):
            x = b.cast(x, int64)
            if wraps:
                x = b.select(x < 0, x + size, x)
            good = (x >= 0) & (x < size)
            self.report(good)
            x = b.select(good, x, b.const(0, int64)) * stride
            total = x if total is None else total + x
        assert total is not None
        return total

    def report(self, good: Scalar) -> None:
        """Sets the plan's status where a check failed."""
        name, width = good.v.name, good.v.width
        if width > 1:
            t = vector_type("i1", width)
            name = self.e.intrinsic(f"llvm.vector.reduce.and.v{width}i1", "i1", [(t, name)])
        bad = self.e.value(f"xor i1 {name}, true")
        self.e.guard(bad, lambda: self.e.store("1", "%status", "i64"))

    def check(self, arg: Any, x: Scalar) -> None:
        """Tests values as `arg` says: (test, size, whether negative ones count from the end)."""
        test, size, wraps = arg
        if test == "unit":
            self.report((x >= 0) & (x <= 1))
        elif test == "nonzero":
            self.report(x if x.dtype.kind == "b" else x.ne(0))
        else:
            x = self.b.cast(x, int64)
            self.report((x >= (-size if wraps else 0)) & (x < size))

    def lane_addresses(
        self,
        access: Access,
        offset: Scalar,
        outer: Index,
        at: Index,
        width: int,
    ) -> list[Value]:
        """The address of each lane."""
        out = []
        t = vector_type("i64", width)
        for n in range(width):
            if at and not self.across:
                start = self.offset(access, outer, at, n)
            else:
                start, lane, _ = self.place(access, outer, at, 1)
                start = self.e.add(start, n * (lane or 0))
            more = offset.v.name
            if offset.v.width > 1:
                more = self.e.value(f"extractelement {t} {more}, i64 {n}")
            out.append(self.e.add(start, more))
        return out

    def even(self, access: Access, at: Index, width: int) -> bool:
        """Whether an access walks memory one element at a time, lane by lane."""
        if self.across:
            return access.strides[self.rank - 1] == 1
        strides = self.inside(access)
        return bool(at) and len(strides) == 1 and strides[0] == 1

    def picked(self, i: Instr, offset: Scalar, outer: Index, at: Index, width: int) -> Scalar:
        """Reads where indices say."""
        assert i.access is not None
        element, pointer = memory_type(i.dtype), f"%p{abs(i.access.param)}"
        if offset.v.width == 1 and self.even(i.access, at, width):
            moved = self.e.gep(pointer, offset.v.name, element)
            start, _, _ = self.place(i.access, outer, at, width)
            x = self.e.load(self.e.gep(moved, start, element), element, width)
            return self.from_memory(x, width, i.dtype)
        places = self.lane_addresses(i.access, offset, outer, at, width)
        found = [self.e.load(self.e.gep(pointer, p, element), element) for p in places]
        x = self.gathered(found, element) if width > 1 else found[0]
        return self.from_memory(x, width, i.dtype)

    def put(self, i: Instr, env: Env, outer: Index, at: Index, width: int) -> None:
        """Writes or adds where indices say."""
        assert i.access is not None
        accumulate, steps = i.arg
        offset = self.indexed(steps, [env[s] for s in i.srcs[1:]])
        value, kind = env[i.srcs[0]], i.dtype
        element, pointer = memory_type(kind), f"%p{abs(i.access.param)}"
        together = offset.v.width == 1 and self.even(i.access, at, width)
        start, _, _ = self.place(i.access, outer, at, width)
        if together:
            places = [self.e.add(start, offset.v.name)]
        else:
            places = self.lane_addresses(i.access, offset, outer, at, width)
        lanes = width if together else 1
        wide = self.b.wide(value, width) if value.v.width <= width else value.v.name
        for n, p in enumerate(places):
            x = self.b.make(wide, lanes, kind)
            if lanes < width:
                t = vector_type(ELEMENT[kind], width)
                x = self.b.make(self.e.value(f"extractelement {t} {wide}, i64 {n}"), 1, kind)
            address = self.e.gep(pointer, p, element)
            if accumulate:
                old = self.from_memory(self.e.load(address, element, lanes), lanes, kind)
                x = old + x
            self.e.store(self.to_memory(x, lanes), address, element, lanes)

    def to_memory(self, x: Scalar, width: int) -> Value:
        """A value as memory holds it."""
        return self.spelled(self.b.wide(x, width), width, x.dtype)

    def spelled(self, name: Value, width: int, kind: dtype) -> Value:
        """What a register holds, as memory holds it."""
        if kind.narrow:
            return Narrow(self.e, kind, width).shorten(name)
        if kind.kind != "b":
            return name
        return self.e.value(f"zext {vector_type('i1', width)} {name} to {vector_type('i8', width)}")

    def from_memory(self, x: Value, width: int, kind: dtype) -> Scalar:
        if kind.narrow:
            x = Narrow(self.e, kind, width).widen(x)
        elif kind.kind == "b":
            t = vector_type("i8", width)
            zero = "zeroinitializer" if width > 1 else "0"
            x = self.e.value(f"icmp ne {t} {x}, {zero}")
        return self.b.make(x, width, kind)

    def store(
        self,
        x: Scalar,
        access: Access | None,
        outer: Index,
        at: Index,
        width: int,
    ) -> None:
        """Writes one lane or a vector, whatever the strides."""
        assert access is not None
        kind = x.dtype
        element, pointer = memory_type(kind), f"%p{abs(access.param)}"
        start, lane, _ = self.place(access, outer, at, width)
        if self.k.partial and x.v.width > width:
            lane, width = 1, x.v.width
        if lane == 0:  # one place: what is written there last stays
            if x.v.width > 1:
                t = vector_type(ELEMENT[kind], x.v.width)
                last = f"extractelement {t} {x.v.name}, i64 {x.v.width - 1}"
                x = self.b.make(self.e.value(last), 1, kind)
            width = 1
        v = self.b.wide(x, width) if x.v.width <= width else x.v.name
        v = self.spelled(v, width, kind)
        if width == 1 or lane == 1:
            self.e.store(v, self.e.gep(pointer, start, element), element, width)
            return
        t = vector_type(element, width)
        for n in range(width):
            one = self.e.value(f"extractelement {t} {v}, i64 {n}")
            if lane is None:
                p = self.e.gep(pointer, self.offset(access, outer, at, n), element)
            else:
                p = self.e.gep(self.e.gep(pointer, start, element), n * lane, element)
            self.e.store(one, p, element)
