"""Convolutions inside plans: calls of the kernels with run-time sizes, which all plans share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rushlight.base.target import Target
from rushlight.codegen.convolve import kernels
from rushlight.codegen.text import Emitter, Value

if TYPE_CHECKING:
    from rushlight.compiler.loops import Convolution


class ConvolutionWriter:
    """Writes the function of one convolution: `void @symbol(ptr x, ptr other, ptr out, ptr work)`.

    Tasks take images, or channels for the gradient of a weight, and a workspace each.
    """

    def __init__(self, c: Convolution, target: Target) -> None:
        code = kernels(c.dtype, target)
        self.sizes = code.numbers(c.conv, c.weight)
        self.inner = f"{code.symbol}_weight" if c.weight else code.symbol
        self.units = c.conv.channels if c.weight else c.conv.images
        tasks = min(c.tasks, 2 * target.cores) if target.cores > 1 else 1
        self.share = -(-self.units // tasks)
        self.tasks = -(-self.units // self.share)
        self.workspace = self.sizes.workspace * self.tasks
        self.checks = False
        self.whole: list[tuple[str, Value]] = []
        self.declarations = code.declarations
        self.modules = [code.text]
        self.symbol = self.task_symbol = ""

    def functions(self, name: str) -> list[str]:
        """The kernel as `@name`, its numbers, and a task of it as `@name_task`."""
        self.symbol, self.task_symbol = name, f"{name}_task"
        numbers = self.sizes.numbers
        text = ", ".join(f"i64 {n}" for n in numbers)
        table = f"@{name}_sizes = internal constant [{len(numbers)} x i64] [{text}]\n"
        e = Emitter()
        self._call(e, ["%x", "%other", "%out", "%work"], "0", str(self.units))
        parameters = ["ptr noalias %x", "ptr noalias %other", "ptr noalias %out"]
        made = e.function(name, [*parameters, "ptr noalias %work"], linkage="internal")
        return [table, made, self._task()] if self.tasks > 1 else [table, made]

    def _call(self, e: Emitter, pointers: list[Value], first: Value, last: Value) -> None:
        x, other, out, work = pointers
        places = [f"@{self.symbol}_sizes", out, x, other, work]
        e.call(self.inner, "void", [*(("ptr", p) for p in places), ("i64", first), ("i64", last)])
        e.emit("ret void")

    def _task(self) -> str:
        e = Emitter()
        args = [e.load(e.gep("%args", i, "ptr"), "ptr") for i in range(4)]
        args[3] = e.gep(args[3], e.multiply("%index", self.sizes.workspace), "i8")
        first = e.multiply("%index", self.share)
        self._call(e, args, first, e.minimum(e.add(first, self.share), self.units))
        return e.function(self.task_symbol, ["ptr %args", "i64 %index"], linkage="internal")
