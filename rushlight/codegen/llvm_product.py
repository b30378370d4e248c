"""Matrix products inside plans: which kernel computes them, and the loop over a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rushlight.base.shape import numel
from rushlight.base.target import Target
from rushlight.codegen.llvm_scalar import ELEMENT
from rushlight.codegen.matmul import (
    MatmulSpec,
    emit_matmul,
    general_matmul,
    prefers_general,
)
from rushlight.codegen.text import Emitter, Value, known

if TYPE_CHECKING:
    from rushlight.compiler.loops import Product


class ProductWriter:
    """Writes the function of one product: `void @symbol(ptr a, ptr b, ptr c[, ptr work])`.

    Large products share one kernel with run-time sizes; others have a kernel of their own. A
    product that is split has tasks of its kernel's making, or one task for each batch item.
    """

    def __init__(self, product: Product, target: Target) -> None:
        p = self.p = product
        self.e = Emitter()
        self.spec = MatmulSpec(
            p.dtype, p.m, p.k, p.n, p.a[0], p.a[1], p.b[0], p.b[1], p.c[0] if p.m > 1 else p.n
        )
        self.count = numel(p.batch)
        self.checks = False
        self.whole: list[tuple[str, Value]] = []
        self.texts: list[str]
        self.general = p.tasks == 1 and prefers_general(self.spec, target)
        split = p.tasks if self.count == 1 else 1
        if self.general:
            shared = general_matmul(p.dtype, target)
            self.inner, self.texts = shared.symbol, list(shared.functions)
            self.workspace = shared.workspace(p.m, p.k, p.n)
            self.declarations = set(shared.declarations)
            self.tasks = 1
        else:
            code = emit_matmul(self.spec, target, split)
            self.inner, self.texts = code.symbol, list(code.functions)
            self.workspace, self.tasks = code.workspace, code.tasks
            self.declarations = set(code.declarations)
            self.task_symbol = code.task_symbol
            if code.tasks == 1:  # the task's function would only be compiled for nothing
                self.texts = [t for t in self.texts if f"@{code.task_symbol}(" not in _head(t)]
        self.symbol = ""

    def functions(self, name: str) -> list[str]:
        """The kernel as `@name`, and what it calls."""
        self.symbol = name
        offset = any(side[2] for side in (self.p.a, self.p.b, self.p.c))
        if self.tasks > 1 and offset:
            self.texts.append(self._shifted_task(name))
        e = self.e
        pointers = ["%a", "%b", "%c"]
        if self.count == 1:
            self._multiply(pointers, [])
        else:
            e.loop(0, self.count, 1, lambda i, _: self._multiply(pointers, self._digits(i)))
        e.emit("ret void")
        self.declarations |= e.declarations
        parameters = ["ptr noalias %a", "ptr noalias %b", "ptr noalias %c"]
        parameters += ["ptr noalias %work"] if self.workspace else []
        return [*self.texts, e.function(name, parameters, linkage="internal")]

    def _digits(self, i: Value) -> list[Value]:
        out = []
        for n in reversed(self.p.batch[1:]):
            out.append(self.e.value(f"urem i64 {i}, {n}"))
            i = self.e.value(f"udiv i64 {i}, {n}")
        return [i, *reversed(out)]

    def _at(self, e: Emitter, pointers: list[Value], index: list[Value]) -> list[Value]:
        """Where one product of the batch begins."""
        out = []
        for pointer, side in zip(pointers, (self.p.a, self.p.b, self.p.c)):
            at: Value = str(side[2])
            for x, stride in zip(index, side[3:]):
                at = e.add(at, e.multiply(x, stride))
            have = known(at)
            out.append(pointer if have == 0 else e.gep(pointer, at, ELEMENT[self.p.dtype]))
        return out

    def _multiply(self, pointers: list[Value], index: list[Value]) -> None:
        a, b, c = self._at(self.e, pointers, index)
        work = "%work" if self.workspace else "null"
        p, s = self.p, self.spec
        if not self.general:
            values = [("ptr", a), ("ptr", b), ("ptr", c), ("ptr", work)]
            self.e.call(self.inner, "void", values)
            return
        numbers = (s.a_row, s.a_column), (s.b_row, s.b_column), (s.c_row, p.m, p.k, p.n)
        values = []
        for pointer, given in zip((a, b, c), numbers):
            values += [("ptr", pointer), *(("i64", str(x)) for x in given)]
        self.e.call(self.inner, "void", [*values, ("ptr", work)])

    def _shifted_task(self, name: str) -> str:
        """A task on operands that begin inside their memory."""
        e = Emitter()
        args = [e.load(e.gep("%args", i, "ptr"), "ptr") for i in range(3)]
        moved = e.value("alloca [4 x i64], align 8")
        for i, pointer in enumerate(self._at(e, args, [])):
            e.store(pointer, e.gep(moved, i, "ptr"), "ptr")
        if self.workspace:
            e.store(e.load(e.gep("%args", 3, "ptr"), "ptr"), e.gep(moved, 3, "ptr"), "ptr")
        e.call(self.task_symbol, "void", [("ptr", moved), ("i64", "%index")])
        e.emit("ret void")
        self.task_symbol = f"{name}_task"
        return e.function(self.task_symbol, ["ptr %args", "i64 %index"], linkage="internal")


def _head(text: str) -> str:
    return text[: text.index("{")]
