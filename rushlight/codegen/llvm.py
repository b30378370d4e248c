"""Loop programs as LLVM text: one function for each kernel, and the plan that calls them.

`i64 @plan(ptr %table)` reads slots of 8 bytes: leaf pointers, run-time numbers, output pointers,
workspace, pool, the pool's parallel loop. It returns 0, or not 0 where a value was refused before
anything but fresh memory was touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rushlight.base.target import Target
from rushlight.codegen.llvm_kernel import KernelWriter
from rushlight.codegen.text import Emitter, Value, module_text

if TYPE_CHECKING:
    from rushlight.compiler.loops import Call, Kernel, LoopProgram

SYMBOL = "plan"


@dataclass(frozen=True)
class Code:
    """A plan's text and what its table holds.

    Slots: `leaves` pointers, `numbers` (d: double, q: int64), `outputs` pointers, the workspace
    (`workspace` bytes, aligned to 64), the pool, the pool's parallel loop
    (`void pfor(ptr pool, ptr fn, ptr args, i64 n)`); a null pool runs everything on this thread.
    Equal texts do the same.
    """

    text: str
    leaves: int
    numbers: str
    outputs: int
    workspace: int
    symbol: str = SYMBOL

    @property
    def slots(self) -> int:
        """Slots of the table."""
        return self.leaves + len(self.numbers) + self.outputs + 3


def render(program: LoopProgram, target: Target) -> Code:
    """The plan's text for a target; the same program and target give the same text."""
    return Renderer(program, target).run()


class Renderer:
    """Writes kernels and the plan."""

    def __init__(self, program: LoopProgram, target: Target) -> None:
        self.program, self.target = program, target
        self.e = Emitter()
        self.functions: list[str] = []
        self.declarations: set[str] = set()
        self.writers: list[KernelWriter] = []
        self.slots: dict[int, Value] = {}

    def run(self) -> Code:
        p = self.program
        for n, kernel in enumerate(p.kernels):
            self.kernel(n, kernel)
        self.outputs_at = p.leaves + len(p.numbers)
        self.work_at = self.outputs_at + len(p.outputs)
        for call in p.calls:
            self.call(call)
        self.e.emit("ret i64 0")
        most = max([len(w.k.params) + len(w.k.numbers) for w in self.writers if w.parallel] or [0])
        if most:
            self.e.lines.insert(0, f"  %args = alloca [{most} x i64], align 8")
        plan = self.e.function(SYMBOL, ["ptr %table"], returns="i64")
        text = module_text([*self.functions, plan], self.declarations | self.e.declarations)
        return Code(text, p.leaves, "".join(p.numbers), len(p.outputs), p.workspace)

    def kernel(self, n: int, kernel: Kernel) -> None:
        writer = KernelWriter(kernel, self.target)
        self.functions.append(writer.write(f"k{n}"))
        self.declarations |= writer.e.declarations
        self.writers.append(writer)
        if writer.parallel:
            self.functions.append(self.task(n, writer))

    def task(self, n: int, writer: KernelWriter) -> str:
        """The function that the pool calls: its share of a kernel's rows."""
        e, kernel = Emitter(), writer.k
        arguments = [
            ("ptr", e.load(e.gep("%args", i, "ptr"), "ptr")) for i in range(len(kernel.params))
        ]
        for i, kind in enumerate(kernel.numbers):
            element = "double" if kind == "d" else "i64"
            at = e.gep("%args", len(kernel.params) + i, "ptr")
            arguments.append((element, e.load(at, element)))
        share = -(-writer.rows // kernel.tasks)
        lo = e.multiply("%index", share)
        hi = writer_least(e, e.add(lo, share), writer.rows)
        some = e.value(f"icmp ult i64 {lo}, {hi}")
        whole = [*arguments, ("i64", lo), ("i64", hi)]
        e.guard(some, lambda: e.call(f"k{n}", "void", whole) and None)
        e.emit("ret void")
        return e.function(f"k{n}_task", ["ptr %args", "i64 %index"], linkage="internal")

    def slot(self, n: int, element: str) -> Value:
        """A slot of the table, read once."""
        found = self.slots.get(n)
        if found is None:
            found = self.slots[n] = self.e.load(self.e.gep("%table", n, "i64"), element)
        return found

    def pointer(self, place: tuple[str, int]) -> Value:
        kind, n = place
        if kind == "leaf":
            return self.slot(n, "ptr")
        if kind == "out":
            return self.slot(self.outputs_at + n, "ptr")
        return self.e.gep(self.slot(self.work_at, "ptr"), n, "i8")

    def call(self, call: Call) -> None:
        writer = self.writers[call.kernel]
        arguments = [("ptr", self.pointer(place)) for place in call.places]
        for n in call.numbers:
            element = "double" if self.program.numbers[n] == "d" else "i64"
            arguments.append((element, self.slot(self.program.leaves + n, element)))
        if not writer.parallel:
            self.e.call(f"k{call.kernel}", "void", arguments)
            return
        pool, loop = self.slot(self.work_at + 1, "ptr"), self.slot(self.work_at + 2, "ptr")
        alone = self.e.value(f"icmp eq ptr {pool}, null")
        self.e.choose(
            alone,
            lambda: self.serial(call, writer, arguments),
            lambda: self.shared(call, writer, arguments, pool, loop),
        )

    def serial(self, call: Call, writer: KernelWriter, arguments: list[tuple[str, Value]]) -> None:
        whole = [*arguments, ("i64", "0"), ("i64", str(writer.rows))]
        self.e.call(f"k{call.kernel}", "void", whole)

    def shared(
        self,
        call: Call,
        writer: KernelWriter,
        arguments: list[tuple[str, Value]],
        pool: Value,
        loop: Value,
    ) -> None:
        e = self.e
        args = "%args"
        for i, (element, value) in enumerate(arguments):
            e.store(value, e.gep(args, i, "ptr"), element)
        tasks = writer.k.tasks
        e.emit(f"call void {loop}(ptr {pool}, ptr @k{call.kernel}_task, ptr {args}, i64 {tasks})")


def writer_least(e: Emitter, x: Value, limit: int) -> Value:
    """The smaller of an index and a limit."""
    less = e.value(f"icmp ult i64 {x}, {limit}")
    return e.value(f"select i1 {less}, i64 {x}, i64 {limit}")
