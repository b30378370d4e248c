"""Matrix products inside plans: which kernel computes them, and the loop over a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rushlight.base.shape import numel
from rushlight.base.target import Target
from rushlight.codegen.llvm_scalar import ELEMENT
from rushlight.codegen.matmul import (
    MatmulSpec,
    Split,
    choose,
    emit_matmul,
    general_matmul,
    prefers_general,
)
from rushlight.codegen.text import Emitter, Value, known

if TYPE_CHECKING:
    from rushlight.compiler.loops import Product


def spec_of(p: Product) -> MatmulSpec:
    """One product of a batch as the kernels take it."""
    c_row = p.c[0] if p.m > 1 else p.n
    return MatmulSpec(p.dtype, p.m, p.k, p.n, p.a[0], p.a[1], p.b[0], p.b[1], c_row)


class ProductWriter:
    """Writes the function of one product: `void @symbol(ptr a, ptr b, ptr c[, ptr work])`.

    Large products call one kernel with run-time sizes, which all plans share: it is long to
    compile. Others have a kernel of their own. A product that is split has tasks of its kernel's
    making.
    """

    def __init__(self, product: Product, target: Target) -> None:
        p = self.p = product
        self.e = Emitter()
        self.spec = spec_of(p)
        self.count = numel(p.batch)
        self.checks = False
        self.whole: list[tuple[str, Value]] = []
        self.texts: list[str]
        self.modules: list[str] = []  # what it calls and shares
        packed = choose(self.spec, target).direct is None
        self.general = packed or prefers_general(self.spec, target)
        # a product is worth a few tasks for each core: every one packs what it reads
        split = min(p.tasks, 2 * target.cores) if self.count == 1 and target.cores > 1 else 1
        if self.general:
            kernel = general_matmul(p.dtype, target)
            self.inner, self.texts = kernel.symbol, []
            self.declarations = {kernel.declaration}
            self.modules = [kernel.text]
            self.split: Split = kernel.split(p.m, p.k, p.n, split)
            self.tasks = self.split.tasks
            self.workspace = max(kernel.workspace(p.m, p.k, p.n), self.split.workspace)
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
        if self.tasks > 1 and self.general:
            self.texts.append(self._block_task(name))
        elif self.tasks > 1 and offset:
            self.texts.append(self._shifted_task(name))
        if self.count == 1 and not offset and not self.general:
            # the plan calls the product itself: a function costs half a millisecond to compile
            self.symbol = self.inner
            self.whole = [] if self.workspace else [("ptr", "null")]
            return self.texts
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
        places = self._at(self.e, pointers, index)
        work = "%work" if self.workspace else "null"
        if self.general:
            self._general(self.e, places, self.p.m, self.p.n, work)
            return
        self.e.call(self.inner, "void", [*(("ptr", x) for x in places), ("ptr", work)])

    def _general(
        self, e: Emitter, places: list[Value], rows: Value | int, columns: Value | int, work: Value
    ) -> None:
        """A call of the kernel with run-time sizes."""
        s, p = self.spec, self.p
        numbers: list[tuple[int | Value, ...]] = [
            (s.a_row, s.a_column), (s.b_row, s.b_column), (s.c_row, rows, p.k, columns)
        ]  # fmt: skip
        values: list[tuple[str, Value]] = []
        for pointer, given in zip(places, numbers):
            values += [("ptr", pointer), *(("i64", str(x)) for x in given)]
        e.call(self.inner, "void", [*values, ("ptr", work)])

    def _block_task(self, name: str) -> str:
        """A task of the kernel with run-time sizes: a block of the result."""
        e, element, split, s = Emitter(), ELEMENT[self.p.dtype], self.split, self.spec
        args = [e.load(e.gep("%args", i, "ptr"), "ptr") for i in range(4)]
        a, b, c = self._at(e, args[:3], [])
        down = e.divide("%index", split.across)
        row = e.multiply(down, split.rows)
        column = e.multiply(e.subtract("%index", e.multiply(down, split.across)), split.columns)
        a = e.gep(a, e.multiply(row, s.a_row), element)
        b = e.gep(b, e.multiply(column, s.b_column), element)
        c = e.gep(c, e.add(e.multiply(row, s.c_row), column), element)
        rows = e.minimum(e.subtract(self.p.m, row), split.rows)
        columns = e.minimum(e.subtract(self.p.n, column), split.columns)
        work = e.gep(args[3], e.multiply("%index", split.share), "i8")
        self._general(e, [a, b, c], rows, columns, work)
        e.emit("ret void")
        self.task_symbol = f"{name}_task"
        return e.function(self.task_symbol, ["ptr %args", "i64 %index"], linkage="internal")

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
