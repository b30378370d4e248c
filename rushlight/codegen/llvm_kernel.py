"""One kernel of the loop form as one LLVM function.

Vectors lie along a row or across rows; lengths that are no multiple of a vector end with a vector
moved back, so that it overlaps the one before: what is written twice is written with equal bits,
and no memory outside an operand is touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rushlight.base.dtype import bool_, int64
from rushlight.base.shape import Ints, contiguous_strides, numel
from rushlight.base.target import Target
from rushlight.codegen.llvm_reduce import Reducer
from rushlight.codegen.llvm_scalar import ELEMENT, LaneBuilder
from rushlight.codegen.text import Emitter, Value, known, vector_type
from rushlight.codegen.vectormath import BINARY, FUNCTIONS
from rushlight.graph.scalar import Scalar

if TYPE_CHECKING:
    from rushlight.compiler.loops import Access, Instr, Kernel, Stage

SPECIAL: dict[str, Any] = {**FUNCTIONS, **BINARY}
HEAVY = frozenset(
    {"exp", "exp2", "expm1", "log", "log2", "log1p", "tanh", "sigmoid", "erf", "sin", "cos", "tan",
     "pow", "atan2"}
)  # fmt: skip
MOST = 32  # lanes of the widest vector
UNROLL = 4  # loops of so few rounds are written out

Env = dict[int, Scalar]


def memory_type(kind: Any) -> str:
    """How an element is spelled in memory: bool is a byte."""
    return "i8" if kind.kind == "b" else ELEMENT[kind]


def power_below(n: int) -> int:
    """The largest power of two that is not above `n`."""
    return 1 << (n.bit_length() - 1)


class KernelWriter:
    """Writes one kernel. `rows` is how many rows it has: pieces of columns count as rows too."""

    def __init__(self, kernel: Kernel, target: Target) -> None:
        self.k = kernel
        self.e = Emitter()
        self.b = LaneBuilder(self.e, SPECIAL)
        self.count = numel(kernel.inner)
        self.rank = len(kernel.outer)
        self.widest = self._widest(target)
        self.across = kernel.lanes == "outer"
        self.width = 1
        self.rows = numel(kernel.outer)
        if self.across:
            self.columns = kernel.outer[-1]
            self.width = power_below(min(self.columns, self.widest))
            self.blocks = -(-self.columns // self.width)
            self.rows = numel(kernel.outer[:-1]) * self.blocks
        self.parallel = kernel.tasks > 1 and self.rows > 1
        self.tasks = min(kernel.tasks, self.rows) if self.parallel else 1
        self.workspace = 0
        self.checks = kernel.checks
        self.symbol = ""

    # What the plan needs to know

    @property
    def task_symbol(self) -> str:
        """`void @task_symbol(ptr args, i64 index)`, for the pool."""
        return f"{self.symbol}_task"

    @property
    def whole(self) -> list[tuple[str, Value]]:
        """The arguments that ask for all rows."""
        return [("i64", "0"), ("i64", str(self.rows))] if self.parallel else []

    @property
    def declarations(self) -> set[str]:
        """Lines that the module needs."""
        return self.e.declarations

    def functions(self, name: str) -> list[str]:
        """The kernel as `@name`, and its task where rows are shared out."""
        self.symbol = name
        out = [self.write(name)]
        if self.parallel:
            out.append(self.task())
        return out

    def task(self) -> str:
        """The function that the pool calls: its share of the rows."""
        e, kernel = Emitter(), self.k
        arguments = [
            ("ptr", e.load(e.gep("%args", i, "ptr"), "ptr")) for i in range(len(kernel.params))
        ]
        for i, kind in enumerate(kernel.numbers):
            element = "double" if kind == "d" else "i64"
            at = e.gep("%args", len(kernel.params) + i, "ptr")
            arguments.append((element, e.load(at, element)))
        if kernel.checks:
            at = e.gep("%args", len(arguments), "ptr")
            arguments.append(("ptr", e.load(at, "ptr")))
        share = -(-self.rows // self.tasks)
        lo = e.multiply("%index", share)
        hi = e.minimum(e.add(lo, share), self.rows)
        some = e.value(f"icmp ult i64 {lo}, {hi}")
        whole = [*arguments, ("i64", lo), ("i64", hi)]
        e.guard(some, lambda: e.call(self.symbol, "void", whole) and None)
        e.emit("ret void")
        return e.function(self.task_symbol, ["ptr %args", "i64 %index"], linkage="internal")

    def _widest(self, target: Target) -> int:
        """Lanes that keep the registers busy without spilling."""
        steps = [i for s in self.k.stages for i in s.body]
        widest = max([i.dtype.itemsize for i in steps if i.dtype.kind != "b"], default=1)
        inner = [i for s in self.k.stages if s.over == "inner" for i in s.body]
        heavy = any(i.op is not None and i.op.name in HEAVY for i in steps) or len(inner) > 12
        register = max(16, target.vector_bits // 8)
        lanes = (2 if heavy else 4) * register // widest
        strided = any(i.access is not None and abs(i.access.strides[-1]) > 1 for i in inner)
        return max(4, min(MOST, lanes, 8 if strided else MOST))

    # The function

    def parameters(self) -> list[str]:
        """Pointers, numbers, and the range of rows where rows are shared out."""
        out = [f"ptr noalias %p{i}" for i in range(len(self.k.params))]
        out += [f"{'double' if n == 'd' else 'i64'} %n{i}" for i, n in enumerate(self.k.numbers)]
        if self.k.checks:
            out.append("ptr %status")
        if self.parallel:
            out += ["i64 %lo", "i64 %hi"]
        return out

    def write(self, name: str) -> str:
        """The function's text."""
        env: Env = {}
        for s in self.k.stages:
            if s.over == "once":
                self.steps(s.body, env, self.k.outer and ("0",) * self.rank, ("0",), 1)
        if self.parallel:
            self.e.loop("%lo", "%hi", 1, lambda r, _: self.row(r, dict(env)))
        elif self.rows <= 1:
            self.row("0", env)
        else:
            self.e.loop(0, self.rows, 1, lambda r, _: self.row(r, dict(env)))
        self.e.emit("ret void")
        return self.e.function(name, self.parameters(), linkage="internal")

    def row(self, r: Value, env: Env) -> None:
        """All stages of one row."""
        self.bases: dict[Any, Value] = {}
        self.shift: Value = "0"
        outer: tuple[Value, ...]
        if self.across:
            lead, block = self.divided(r, self.blocks)
            at = self.e.multiply(block, self.width)
            if self.columns % self.width:
                at = self.least(at, self.columns - self.width)
            outer = (*self.digits(lead, self.k.outer[:-1]), at)
        elif self.k.span:
            self.shift = self.least(self.e.multiply(r, self.k.span), self.k.extent - self.k.span)
            outer = ("0",)
        else:
            outer = self.digits(r, self.k.outer)
        for s in self.k.stages:
            if s.over == "row":
                self.steps(s.body, env, outer, (), self.width)
            elif s.over == "inner":
                self.inner(s, env, outer)

    def inner(self, s: Stage, env: Env, outer: tuple[Value, ...]) -> None:
        """The inner loop of a stage; reductions are in `env` afterwards."""
        reductions = [i for i in s.body if i.kind in ("reduce", "dot")]
        body = [i for i in s.body if i.kind not in ("reduce", "dot")]
        still = [i for i in body if i.kind == "load" and not any(self.inside(i.access))]
        self.steps(still, env, outer, (), self.width)
        moving = [i for i in body if i not in still]
        if reductions:
            Reducer(self, moving, reductions, env, outer).run()
        elif self.across:
            self.e.loop(0, self.count, 1, lambda k, _: self.run(moving, env, outer, k, self.width))
        else:
            self.sweep(moving, env, outer)

    def sweep(self, body: list[Instr], env: Env, outer: tuple[Value, ...]) -> None:
        """A loop over the inner index with vectors along it."""
        width = power_below(min(self.count, self.widest))
        if self.k.ordered:
            self.in_order(body, env, outer, width)
            return
        whole = self.count // width
        if whole <= UNROLL and (whole == 1 or len(body) <= 12):
            for j in range(whole):
                self.run(body, env, outer, str(j * width), width)
        else:
            self.e.loop(0, whole * width, width, lambda j, _: self.run(body, env, outer, j, width))
        if self.count % width:
            self.run(body, env, outer, str(self.count - width), width)

    def in_order(self, body: list[Instr], env: Env, outer: tuple[Value, ...], width: int) -> None:
        """A loop that writes every place in turn: vectors only where they are apart."""
        moving = any(
            i.kind in ("load", "iota", "index") and i.id in self.index_of(body) for i in body
        )
        width = 1 if moving else width
        whole = self.count // width * width
        self.e.loop(0, whole, width, lambda j, _: self.run(body, env, outer, j, width))
        self.e.loop(whole, self.count, 1, lambda j, _: self.run(body, env, outer, j, 1))

    @staticmethod
    def index_of(body: list[Instr]) -> set[int]:
        """The steps that indices of a store rest on."""
        need = {s for i in body if i.kind == "store" for s in i.srcs[1:]}
        for i in reversed(body):
            if i.id in need and i.kind != "store":
                need.update(i.srcs)
        return need

    def run(
        self, body: list[Instr], env: Env, outer: tuple[Value, ...], j: Value, width: int
    ) -> Env | None:
        """One round of the inner loop; the values it made."""
        made = dict(env)
        self.steps(body, made, outer, (j,), width)
        self.made = made
        return None

    # Steps

    def steps(
        self,
        body: Any,
        env: Env,
        outer: tuple[Value, ...],
        at: tuple[Value, ...],
        width: int,
    ) -> None:
        """Writes steps at an index: `at` is the flat inner index, or nothing in a row."""
        for i in body:
            if i.kind == "load":
                env[i.id] = self.load(i.access, i.dtype, outer, at, width)
            elif i.kind == "store":
                if i.srcs[1:]:
                    self.put(i, env, outer, at, width)
                else:
                    self.store(env[i.srcs[0]], i.access, outer, at, width)
            elif i.kind == "index":
                offset = self.indexed(i.arg, [env[s] for s in i.srcs])
                env[i.id] = self.picked(i, offset, outer, at, width)
            elif i.kind == "row":
                xs = [self.b.cast(env[x], i.ctype) for x in i.srcs]
                if i.op.types == "where":
                    xs[0] = self.b.cast(env[i.srcs[0]], bool_)
                env[i.id] = self.b.cast(i.op.lower(self.b, *xs), i.dtype)
            elif i.kind == "const":
                env[i.id] = self.b.const(i.arg, i.dtype)
            elif i.kind == "number":
                env[i.id] = self.b.make(f"%n{i.arg}", 1, i.dtype)
            else:
                env[i.id] = self.iota(i, outer, at, width)

    def iota(self, i: Instr, outer: tuple[Value, ...], at: tuple[Value, ...], width: int) -> Scalar:
        """The index itself, computed in 64 bits and converted."""
        assert i.access is not None
        start, lane, _ = self.place(i.access, outer, at, width)
        x = self.b.make(start, 1, int64)
        if width > 1 and lane is None:
            names = [self.offset(i.access, outer, at, n) for n in range(width)]
            x = self.b.make(self.gathered(names, "i64"), width, int64)
        elif width > 1 and lane:
            steps = ", ".join(f"i64 {n * lane}" for n in range(width))
            t = vector_type("i64", width)
            wide = self.b.wide(x, width)
            x = self.b.make(self.e.value(f"add {t} {wide}, <{steps}>"), width, int64)
        return self.b.cast(x, i.dtype)

    # Addresses

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

    def outside(self, access: Access, outer: tuple[Value, ...]) -> Value:
        """The part of an address that a row fixes."""
        key = (access, outer)
        found = self.bases.get(key) if hasattr(self, "bases") else None
        if found is not None:
            return found
        total: Value = str(access.offset)
        if self.k.span:
            total = self.e.add(total, self.e.multiply(self.shift, access.strides[0]))
        else:
            for x, s in zip(outer, access.strides):
                total = self.e.add(total, self.e.multiply(x, s)) if s else total
        return total

    def place(
        self, access: Access, outer: tuple[Value, ...], at: tuple[Value, ...], width: int
    ) -> tuple[Value, int | None, bool]:
        """Address of the first lane and the step between lanes (None: uneven)."""
        start = self.outside(access, outer)
        strides = self.inside(access)
        lane: int | None = access.strides[self.rank - 1] if self.across else 0
        if at:
            if len(strides) == 1 or known(at[0]) == 0 and width == 1:
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

    def offset(
        self, access: Access, outer: tuple[Value, ...], at: tuple[Value, ...], lane: int
    ) -> Value:
        """The address of one lane of an uneven access."""
        return self.place(access, outer, (self.e.add(at[0], lane),), 1)[0]

    def gathered(self, names: list[Value], element: str) -> Value:
        t = vector_type(element, len(names))
        v = "poison"
        for n, x in enumerate(names):
            v = self.e.value(f"insertelement {t} {v}, {element} {x}, i64 {n}")
        return v

    def load(
        self,
        access: Access | None,
        kind: Any,
        outer: tuple[Value, ...],
        at: tuple[Value, ...],
        width: int,
    ) -> Scalar:
        """Reads one lane or a vector, whatever the strides."""
        assert access is not None
        element, pointer = memory_type(kind), f"%p{access.param}"
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

    def lane_addresses(
        self,
        access: Access,
        offset: Scalar,
        outer: tuple[Value, ...],
        at: tuple[Value, ...],
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

    def even(self, access: Access, at: tuple[Value, ...], width: int) -> bool:
        """Whether an access walks memory one element at a time, lane by lane."""
        if self.across:
            return access.strides[self.rank - 1] == 1
        strides = self.inside(access)
        return bool(at) and len(strides) == 1 and strides[0] == 1

    def picked(
        self, i: Instr, offset: Scalar, outer: tuple[Value, ...], at: tuple[Value, ...], width: int
    ) -> Scalar:
        """Reads where indices say."""
        assert i.access is not None
        element, pointer = memory_type(i.dtype), f"%p{i.access.param}"
        if offset.v.width == 1 and self.even(i.access, at, width):
            moved = self.e.gep(pointer, offset.v.name, element)
            start, _, _ = self.place(i.access, outer, at, width)
            x = self.e.load(self.e.gep(moved, start, element), element, width)
            return self.from_memory(x, width, i.dtype)
        places = self.lane_addresses(i.access, offset, outer, at, width)
        found = [self.e.load(self.e.gep(pointer, p, element), element) for p in places]
        x = self.gathered(found, element) if width > 1 else found[0]
        return self.from_memory(x, width, i.dtype)

    def put(
        self, i: Instr, env: Env, outer: tuple[Value, ...], at: tuple[Value, ...], width: int
    ) -> None:
        """Writes or adds where indices say."""
        assert i.access is not None
        accumulate, steps = i.arg
        offset = self.indexed(steps, [env[s] for s in i.srcs[1:]])
        value, kind = env[i.srcs[0]], i.dtype
        element, pointer = memory_type(kind), f"%p{i.access.param}"
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
        name = self.b.wide(x, width)
        if x.dtype.kind != "b":
            return name
        return self.e.value(f"zext {vector_type('i1', width)} {name} to {vector_type('i8', width)}")

    def from_memory(self, x: Value, width: int, kind: Any) -> Scalar:
        if kind.kind == "b":
            t = vector_type("i8", width)
            zero = "zeroinitializer" if width > 1 else "0"
            x = self.e.value(f"icmp ne {t} {x}, {zero}")
        return self.b.make(x, width, kind)

    def store(
        self,
        x: Scalar,
        access: Access | None,
        outer: tuple[Value, ...],
        at: tuple[Value, ...],
        width: int,
    ) -> None:
        """Writes one lane or a vector, whatever the strides."""
        assert access is not None
        kind = x.dtype
        element, pointer = memory_type(kind), f"%p{access.param}"
        start, lane, _ = self.place(access, outer, at, width)
        if lane == 0:
            width = 1
        v = self.b.wide(x, width) if x.v.width <= width else x.v.name
        if kind.kind == "b":
            v = self.e.value(f"zext {vector_type('i1', width)} {v} to {vector_type('i8', width)}")
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
