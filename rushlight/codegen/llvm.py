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
from rushlight.codegen.llvm_product import ProductWriter
from rushlight.codegen.llvm_whole import ConvolutionWriter, PoolingWriter, WholeWriter
from rushlight.codegen.text import Emitter, Value, module_text

if TYPE_CHECKING:
    from rushlight.compiler.loops import AnyKernel, Call, LoopProgram

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


AnyWriter = KernelWriter | ProductWriter | WholeWriter


def kernel_writer(kernel: AnyKernel, target: Target) -> AnyWriter:
    """What spells a kernel."""
    if kernel.kind == "loops":
        return KernelWriter(kernel, target)
    if kernel.kind == "convolution":
        return ConvolutionWriter(kernel, target)
    if kernel.kind == "pooling":
        return PoolingWriter(kernel, target)
    return ProductWriter(kernel, target)


class Renderer:
    """Writes kernels and the plan."""

    def __init__(self, program: LoopProgram, target: Target) -> None:
        self.program, self.target = program, target
        self.e = Emitter()
        self.functions: dict[str, None] = {}  # in order, each once
        self.declarations: set[str] = set()
        self.writers: list[AnyWriter] = []
        self.slots: dict[int, Value] = {}
        self.arguments = 0  # slots for the arguments of shared kernels

    def run(self) -> Code:
        p = self.program
        for n, kernel in enumerate(p.kernels):
            writer = kernel_writer(kernel, self.target)
            self.functions.update(dict.fromkeys(writer.functions(f"k{n}")))
            self.declarations |= writer.declarations
            self.writers.append(writer)
        self.outputs_at = p.leaves + len(p.numbers)
        self.work_at = self.outputs_at + len(p.outputs)
        status = self.pointer(("work", p.status, 0)) if p.status >= 0 else ""
        if status:
            self.e.store("0", status, "i64")
        for call in p.calls:
            self.call(call)
        self.e.emit(f"ret i64 {self.e.load(status, 'i64') if status else 0}")
        if self.arguments:
            self.e.lines.insert(0, f"  %args = alloca [{self.arguments} x i64], align 8")
        plan = self.e.function(SYMBOL, ["ptr %table"], returns="i64")
        modules = dict.fromkeys(m for w in self.writers for m in w.modules)
        declarations = self.declarations | self.e.declarations
        text = module_text([*self.functions, plan], declarations, modules)
        scratch = max([w.workspace for w in self.writers], default=0)
        size = p.workspace + -(-scratch // 64) * 64
        return Code(text, p.leaves, "".join(p.numbers), len(p.outputs), size)

    def slot(self, n: int, element: str) -> Value:
        """A slot of the table, read once."""
        found = self.slots.get(n)
        if found is None:
            found = self.slots[n] = self.e.load(self.e.gep("%table", n, "i64"), element)
        return found

    def pointer(self, place: tuple[str, int, int]) -> Value:
        kind, n, start = place
        if kind == "work":
            return self.e.gep(self.slot(self.work_at, "ptr"), n + start, "i8")
        found = self.slot(n if kind == "leaf" else self.outputs_at + n, "ptr")
        return self.e.gep(found, start, "i8") if start else found

    def call(self, call: Call) -> None:
        """One call, shared out by the pool where there is one and the kernel is worth it."""
        writer, e = self.writers[call.kernel], self.e
        arguments = [("ptr", self.pointer(place)) for place in call.places]
        for n in call.numbers:
            element = "double" if self.program.numbers[n] == "d" else "i64"
            arguments.append((element, self.slot(self.program.leaves + n, element)))
        if writer.checks:
            arguments.append(("ptr", self.pointer(("work", self.program.status, 0))))
        if writer.workspace:
            arguments.append(("ptr", self.pointer(("work", self.program.workspace, 0))))
        if writer.tasks == 1:
            e.call(writer.symbol, "void", [*arguments, *writer.whole])
            return
        pool, loop = self.slot(self.work_at + 1, "ptr"), self.slot(self.work_at + 2, "ptr")
        self.arguments = max(self.arguments, len(arguments))

        def shared() -> None:
            for i, (element, value) in enumerate(arguments):
                e.store(value, e.gep("%args", i, "ptr"), element)
            e.emit(
                f"call void {loop}(ptr {pool}, ptr @{writer.task_symbol}, ptr %args, "
                f"i64 {writer.tasks})"
            )

        e.choose(
            e.value(f"icmp eq ptr {pool}, null"),
            lambda: e.call(writer.symbol, "void", [*arguments, *writer.whole]) and None,
            shared,
        )
