"""One kernel of the loop form as one LLVM function.

Vectors lie along a row or across rows; lengths that are no multiple of a vector end with a vector
moved back, so that it overlaps the one before: what is written twice is written with equal bits,
and no memory outside an operand is touched.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from rushlight.base.dtype import bool_, int64
from rushlight.base.shape import numel
from rushlight.base.target import Target
from rushlight.codegen.llvm_access import Env, Index, Memory, memory_type
from rushlight.codegen.llvm_reduce import Reducer
from rushlight.codegen.llvm_tile import Tile, tile_of, transpose
from rushlight.codegen.text import Emitter, Value, vector_type
from rushlight.graph.scalar import Scalar

if TYPE_CHECKING:
    from rushlight.compiler.loops import Instr, Kernel, Stage

MOST = 32  # lanes of the widest vector
MOST_SCRATCH = 48 << 10  # bytes of a row kept on the stack
MOST_GATHERED = 512 << 10  # the same where the row lies in pieces
LOCAL = -1000  # numbers of scratch that loops do not know of count down from here
UNROLL = 4  # loops of so few rounds are written out


def power_below(n: int) -> int:
    """The largest power of two that is not above `n`."""
    return 1 << (n.bit_length() - 1)


class KernelWriter(Memory):
    """Writes one kernel. `rows` is how many rows it has: pieces of columns count as rows too."""

    def __init__(self, kernel: Kernel, target: Target) -> None:
        super().__init__(kernel)
        self.count = numel(kernel.inner)
        self.scratches: dict[int, int] = {}
        self.head: list[str] = []  # lines at the function's start
        self.made: Env = {}  # what the last round made
        self.widest = self._widest(target)
        self.e.scalef = target.isa == "avx512"
        self.rows = numel(kernel.outer)
        if self.across:
            self.columns = kernel.outer[-1]
            self.width = power_below(min(self.columns, self.widest))
            self.blocks = -(-self.columns // self.width)
            self.rows = numel(kernel.outer[:-1]) * self.blocks
        self.tile = tile_of(kernel, self.heavy)
        self.sizes = kernel.outer  # how a row's number is taken apart
        if self.tile is not None:
            d, n = self.tile.dim, self.tile.size
            blocks = -(-kernel.outer[d] // n)
            self.sizes = (*kernel.outer[:d], blocks, *kernel.outer[d + 1 :])
            self.rows = numel(self.sizes)
        # vectors along a row of several pieces would lie in two of them
        self.torn = len(kernel.inner) > 1 and kernel.inner[-1] % MOST != 0
        self.turned: Env = {}  # loads of a block that are already in registers
        self.parallel = kernel.tasks > 1 and self.rows > 1
        self.tasks = min(kernel.tasks, self.rows) if self.parallel else 1
        self.workspace = 0
        self.modules: list[str] = []
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
            ("ptr", e.load(e.gep("%args", i, "ptr"), "ptr"))
            for i in range(sum(not p.local for p in kernel.params))
        ]
        for kind in kernel.numbers:
            element = "double" if kind == "d" else "i64"
            at = e.gep("%args", len(arguments), "ptr")
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
        loops = [s.body for s in self.k.stages if s.over == "inner"]
        inner = [i for body in loops for i in body]
        widest = max(
            [4 if i.dtype.narrow else i.dtype.itemsize for i in inner if i.dtype.kind != "b"],
            default=1,
        )
        costly = max([sum(i.cost for i in body) for body in loops], default=0)
        self.heavy = costly > 0 or max(map(len, loops), default=0) > 12
        register = max(16, target.vector_bits // 8)
        # several registers hide each other's latency, until what they hold has to be spilled
        lanes = (1 if costly > 2 else 2 if self.heavy else 4) * register // widest
        along = self.rank - 1 if self.across else -1
        made = {i.id for i in inner}
        strided = any(
            (i.kind == "index" and not made.isdisjoint(i.srcs))  # every lane has its own address
            or (i.access is not None and abs(i.access.strides[along]) > 1)
            for i in inner
        )
        return max(4, min(MOST, lanes, 8 if strided else MOST))

    # The function

    def parameters(self) -> list[str]:
        """Pointers, numbers, and the range of rows where rows are shared out."""
        out = [f"ptr noalias %p{i}" for i, p in enumerate(self.k.params) if not p.local]
        out += [f"{'double' if n == 'd' else 'i64'} %n{i}" for i, n in enumerate(self.k.numbers)]
        if self.k.checks:
            out.append("ptr %status")
        if self.parallel:
            out += ["i64 %lo", "i64 %hi"]
        return out

    def write(self, name: str) -> str:
        """The function's text."""
        env: Env = {}
        for n, p in enumerate(self.k.params):
            if p.local:
                size = self.count * (self.width if self.across else 1)
                self.e.emit(f"%p{n} = alloca [{size} x {memory_type(p.dtype)}], align 64")
        for s in self.k.stages:
            if s.over == "once":
                self.steps(s.body, env, ("0",) * self.rank, ("0",), 1)
        if self.parallel:
            self.e.loop("%lo", "%hi", 1, lambda r, _: self.row(r, dict(env)))
        elif self.rows <= 1:
            self.row("0", env)
        else:
            self.e.loop(0, self.rows, 1, lambda r, _: self.row(r, dict(env)))
        self.e.emit("ret void")
        self.e.lines[:0] = self.head
        return self.e.function(name, self.parameters(), linkage="internal")

    def row(self, r: Value, env: Env) -> None:
        """All stages of one row."""
        outer: Index
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
            outer = self.digits(r, self.sizes)
        if self.tile is not None:
            self.block(self.tile, env, outer)
            return
        for s in self.k.stages:
            if s.over == "row":
                self.steps(s.body, env, outer, (), self.width)
            elif s.over == "inner":
                self.inner(s, env, outer)

    def block(self, tile: Tile, env: Env, outer: Index) -> None:
        """A block of rows: what lies across them is read once and turned over."""
        body = next(s.body for s in self.k.stages if s.over == "inner")
        d, size = tile.dim, tile.size
        first = self.e.multiply(outer[d], size)
        if self.k.outer[d] % size:
            first = self.least(first, self.k.outer[d] - size)
        loads = [i for i in body if i.id in tile.loads]

        def at_row(t: int) -> Index:
            return (*outer[:d], self.e.add(first, t), *outer[d + 1 :])

        def round_at(j: Value) -> None:
            columns: dict[int, list[Value]] = {}
            for i in loads:
                assert i.access is not None
                element, rows = memory_type(i.dtype), []
                for lane in range(size):
                    at = (self.e.add(j, lane),)
                    start, _, _ = self.place(i.access, at_row(0), at, 1)
                    p = self.e.gep(f"%p{i.access.param}", start, element)
                    rows.append(self.e.load(p, element, size))
                columns[i.id] = transpose(self.e, rows, element)
            for t in range(size):
                self.turned = {
                    i.id: self.from_memory(columns[i.id][t], size, i.dtype) for i in loads
                }
                self.run(list(body), env, at_row(t), j, size)
            self.turned = {}

        whole = self.count // size * size
        self.e.loop(0, whole, size, lambda j, _: round_at(j))
        if self.count % size:
            round_at(str(self.count - size))

    def inner(self, s: Stage, env: Env, outer: Index) -> None:
        """The inner loop of a stage; reductions are in `env` afterwards."""
        reductions = [i for i in s.body if i.kind in ("reduce", "dot")]
        body = [i for i in s.body if i.kind not in ("reduce", "dot")]
        still = [
            i for i in body
            if i.kind == "load" and not any(self.inside(i.access)) and not self.is_local(i.access)
        ]  # fmt: skip
        self.steps(still, env, outer, (), self.width)
        moving = [i for i in body if i not in still]
        if reductions:
            size = self.count * sum(i.dtype.itemsize for i in reductions)
            long = self.heavy and self.count >= 2 * MOST and size <= MOST_SCRATCH
            torn = self.torn and size <= MOST_GATHERED
            if (long or torn) and not self.across:
                moving = self.first(moving, reductions, env, outer)
            Reducer(self, moving, reductions, env, outer).run()
        elif self.across:
            self.e.loop(0, self.count, 1, lambda k, _: self.run(moving, env, outer, k, self.width))
        else:
            self.sweep(moving, env, outer)

    def first(
        self, body: list[Instr], reductions: list[Instr], env: Env, outer: Index
    ) -> list[Instr]:
        """Computes what reductions take into scratch; the steps that read it back.

        Long bodies are then written once and not for every kind of piece of a row.
        """
        taken = {s: i for i in body for r in reductions for s in r.srcs if i.id == s}
        if all(i.kind == "load" for i in taken.values()) and not self.torn:
            return body
        for i in body:  # what is kept for later stages can be read from there
            if i.kind == "store" and i.access is not None and self.is_local(i.access):
                self.scratches[i.srcs[0]] = i.access.param
        more = [self.scratch(i, "store") for i in taken.values() if i.id not in self.scratches]
        self.sweep([*body, *more], env, outer)
        return [self.scratch(i, "load") for i in taken.values()]

    def scratch(self, i: Instr, kind: Literal["load", "store"]) -> Instr:
        """A step that writes a value to scratch, or reads it back."""
        at = self.scratches.get(i.id)
        if at is None:
            at = self.scratches[i.id] = LOCAL - len(self.scratches)
            element = memory_type(i.dtype)
            self.head.append(f"  %p{-at} = alloca [{self.count} x {element}], align 64")
        access = i.access_of(at, self.rank + len(self.k.inner))
        if kind == "store":
            return replace(i, id=-1, kind="store", srcs=(i.id,), op=None, arg=None, access=access)
        return replace(i, kind="load", srcs=(), op=None, arg=None, access=access)

    def sweep(self, body: list[Instr], env: Env, outer: Index) -> None:
        """A loop over the inner index with vectors along it."""
        if self.torn:
            self.in_pieces(body, env, outer)
            return
        width = power_below(min(self.count, self.widest))
        if self.k.ordered:
            self.in_order(body, env, outer, width)
            return
        whole = self.count // width
        if self.heavy and self.count > 2 * width:
            last = self.count - width

            def step(j: Value, _: list[Value]) -> None:
                at = j if not self.count % width else self.least(j, last)
                self.run(body, env, outer, at, width)

            self.e.loop(0, self.count, width, step)
            return
        if whole <= UNROLL and (whole == 1 or len(body) <= 12):
            for j in range(whole):
                self.run(body, env, outer, str(j * width), width)
        else:
            self.e.loop(0, whole * width, width, lambda j, _: self.run(body, env, outer, j, width))
        if self.count % width:
            self.run(body, env, outer, str(self.count - width), width)

    def in_pieces(self, body: list[Instr], env: Env, outer: Index) -> None:
        """A loop over a row that lies in pieces, with vectors along each."""
        *lead, n = self.k.inner
        width = power_below(min(n, self.widest))

        def piece(r: Value, _: list[Value]) -> None:
            index = self.digits(r, tuple(lead))

            def step(j: Value, _: list[Value]) -> None:
                at = j if not n % width else self.least(j, n - width)
                self.run(body, env, outer, (*index, at), width)

            self.e.loop(0, n, width, step)

        self.e.loop(0, numel(tuple(lead)), 1, piece)

    def in_order(self, body: list[Instr], env: Env, outer: Index, width: int) -> None:
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

    def run(self, body: list[Instr], env: Env, outer: Index, j: Value | Index, width: int) -> None:
        """One round of the inner loop; the values it made."""
        self.made = dict(env)
        self.steps(body, self.made, outer, j if isinstance(j, tuple) else (j,), width)

    # Steps

    def steps(
        self,
        body: Iterable[Instr],
        env: Env,
        outer: Index,
        at: Index,
        width: int,
    ) -> None:
        """Writes steps at an index: `at` is the flat inner index, or nothing in a row."""
        for i in body:
            if i.id in self.turned:
                env[i.id] = self.turned[i.id]
            elif i.kind == "load":
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
                assert i.op is not None and i.op.lower is not None and i.ctype is not None
                xs = [self.b.cast(env[x], i.ctype) for x in i.srcs]
                if i.op.types == "where":
                    xs[0] = self.b.cast(env[i.srcs[0]], bool_)
                env[i.id] = self.b.cast(i.op.lower(self.b, *xs), i.dtype)
            elif i.kind == "check":
                self.check(i.arg, env[i.srcs[0]])
            elif i.kind == "const":
                env[i.id] = self.b.const(i.arg, i.dtype)
            elif i.kind == "number":
                env[i.id] = self.b.make(f"%n{i.arg}", 1, i.dtype)
            else:
                env[i.id] = self.iota(i, outer, at, width)

    def iota(self, i: Instr, outer: Index, at: Index, width: int) -> Scalar:
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
