"""Convolutions and pooling in plans: calls of kernels with run-time sizes that all plans share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rushlight.base.target import Target
from rushlight.codegen import convolve, window
from rushlight.codegen.convolve_image import Prepared
from rushlight.codegen.text import Emitter, Value

if TYPE_CHECKING:
    from rushlight.compiler.loops import Convolution, Pooling


class WholeWriter:
    """Writes a function that calls a shared kernel: `void @symbol(operands, ptr out[, ptr work])`.

    The kernel takes its numbers, out, operands, work if it needs any, and which units to do; tasks
    share those, and have a workspace each.
    """

    operands = 2
    checks = False

    def __init__(self, prepared: Prepared, units: int, tasks: int, target: Target) -> None:
        tasks = min(tasks, 2 * target.cores) if target.cores > 1 else 1
        self.inner, self.numbers = prepared.kernel.symbol, prepared.numbers
        self.units, self.share = units, -(-units // tasks)
        self.tasks = -(-units // self.share)
        self.share_bytes = prepared.workspace
        self.workspace = prepared.workspace * self.tasks
        self.whole: list[tuple[str, Value]] = []
        self.declarations = {prepared.kernel.declaration}
        self.modules = [prepared.kernel.text]
        self.symbol = self.task_symbol = ""

    def functions(self, name: str) -> list[str]:
        """The kernel as `@name`, its numbers, and a task of it as `@name_task`."""
        self.symbol, self.task_symbol = name, f"{name}_task"
        text = ", ".join(f"i64 {n}" for n in self.numbers)
        table = f"@{name}_sizes = internal constant [{len(self.numbers)} x i64] [{text}]\n"
        e = Emitter()
        pointers = [f"%x{i}" for i in range(self.operands)] + ["%out"]
        pointers += ["%work"] if self.workspace else []
        self._call(e, pointers, "0", str(self.units))
        made = e.function(name, [f"ptr noalias {p}" for p in pointers], linkage="internal")
        return [table, made, self._task()] if self.tasks > 1 else [table, made]

    def _call(self, e: Emitter, pointers: list[Value], first: Value, last: Value) -> None:
        n = self.operands
        places = [f"@{self.symbol}_sizes", pointers[n], *pointers[:n], *pointers[n + 1 :]]
        e.call(self.inner, "void", [*(("ptr", p) for p in places), ("i64", first), ("i64", last)])
        e.emit("ret void")

    def _task(self) -> str:
        e = Emitter()
        count = self.operands + (2 if self.workspace else 1)
        args = [e.load(e.gep("%args", i, "ptr"), "ptr") for i in range(count)]
        if self.workspace:
            args[-1] = e.gep(args[-1], e.multiply("%index", self.share_bytes), "i8")
        first = e.multiply("%index", self.share)
        self._call(e, args, first, e.minimum(e.add(first, self.share), self.units))
        return e.function(self.task_symbol, ["ptr %args", "i64 %index"], linkage="internal")


class ConvolutionWriter(WholeWriter):
    """A convolution: tasks take images, or channels for the gradient of a weight."""

    def __init__(self, c: Convolution, target: Target) -> None:
        units = c.conv.channels if c.weight else c.conv.images
        prepared = convolve.prepared(c.conv, c.dtype, target, c.weight)
        super().__init__(prepared, units, c.tasks, target)


class PoolingWriter(WholeWriter):
    """Max pooling: tasks take planes."""

    def __init__(self, p: Pooling, target: Target) -> None:
        self.operands = 2 if p.job == "back" else 1
        prepared = window.prepared(p.windows, p.dtype, target, p.job)
        super().__init__(prepared, p.planes, p.tasks, target)
