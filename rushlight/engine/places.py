"""Reading and adding at places that values say, as steps of a native program.

A place that is outside ends the program: the operation's own check then says what is wrong.
Compiled by mypyc: plain typed code.
"""

from __future__ import annotations

from typing import Any, Final

from mypy_extensions import i64

from ..base import dtype as dt
from ..base.lazy import later
from ..graph.node import Node
from ..graph.op import Op, Spec
from .products import Products
from .steps import DEEP, Cell, count, eager_steps, row_major

eager_index: Final[Any] = later("rushlight.engine.eager_index")


class Placing(Products):
    """Steps that read indices, and what is told when one is not allowed."""

    def __init__(self) -> None:
        super().__init__()
        self.slot: i64 = 0  # of the record that is being run
        self.failed: i64 = -1  # of the record that a value stopped
        self.checks: list[tuple[Op, list[Cell], Any, Spec, int]] = []  # in this program

    def stopped(self) -> None:
        """The program was ended by a value: raise what its operation says."""
        checks = self.checks
        self.checks = []
        for op, xs, arg, spec, slot in checks:
            self.failed = slot
            specs = [x.spec for x in xs]
            eager_index.check(Node(op, (), arg, spec, None), specs, [self.array(x) for x in xs])
        raise AssertionError("a first run was stopped by a value that is allowed")

    def passed(self) -> None:
        """The program ran to its end."""
        self.checks = []

    def gather(self, op: Op, xs: list[Cell], dim: Any, spec: Spec, own: bool, out: Cell) -> bool:
        """``out[i, j] = x[index[i, j], j]``."""
        x = xs[0]
        index = xs[1]
        s = x.spec
        at = index.spec
        rank = len(s.shape)
        if rank == 0 or rank > DEEP or len(at.shape) != rank:
            return False
        size = s.dtype.itemsize
        address = self.reader(size, at.dtype.code)
        if address == 0:
            return False
        self.room()
        if self.place(out, spec, own) == 0:
            return True
        width = at.dtype.itemsize
        order = [d for d in range(rank) if at.shape[d] != 1]
        inner = order.pop() if order else rank - 1
        words = self.words
        if order:
            words.extend([self.nest, address, at.shape[inner], 3, 7, len(order)])
        else:
            words.extend([address, at.shape[inner]])
        words.extend([self.reach(out), self.reach(x), self.reach(index)])
        words.extend([spec.strides[inner] * size, 0 if inner == dim else s.strides[inner] * size])
        words.extend([at.strides[inner] * width, s.strides[dim] * size, s.shape[dim], 0, size])
        for d in reversed(order):
            words.extend([at.shape[d], spec.strides[d] * size])
            words.extend([0 if d == dim else s.strides[d] * size, at.strides[d] * width])
        self.checks.append((op, held(xs), dim, spec, int(self.slot)))
        return True

    def index(self, op: Op, xs: list[Cell], dims: Any, spec: Spec, own: bool, out: Cell) -> bool:
        """``out[..., p, ...] = x[..., place[p], ...]`` with one place."""
        if len(xs) != 2 or count(spec.shape) == 0:  # nothing is read, yet places are looked at
            return False
        dim: int = dims[0]
        at = xs[1].spec
        block = int(count(xs[0].spec.shape[dim + 1 :])) * spec.dtype.itemsize
        size = block if block in (1, 2, 4, 8) else 0
        address = self.reader(size, at.dtype.code)
        if address == 0:
            return False
        x = self.contiguous(xs[0])
        index = self.contiguous(xs[1])
        self.room()
        self.place(out, spec, own)
        shape = x.spec.shape
        n = int(count(at.shape))
        lead = int(count(shape[:dim]))
        words = self.words
        if lead > 1:
            words.extend([self.nest, address, n, 3, 7, 1])
        else:
            words.extend([address, n])
        words.extend(
            [self.reach(out), self.reach(x), self.reach(index), block, 0, at.dtype.itemsize]
        )
        words.extend([block, shape[dim], shape[dim] if op.name == "index" else 0, block])
        if lead > 1:
            words.extend([lead, n * block, shape[dim] * block, 0])
        self.checks.append((op, held(xs), dims, spec, int(self.slot)))
        return True

    def put(self, op: Op, xs: list[Cell], arg: Any, spec: Spec, own: bool, out: Cell) -> bool:
        """``base[place[p]] += value[p]`` for rows of floats."""
        dims, accumulate = arg
        if len(xs) != 3 or not accumulate or tuple(dims) != (0,):
            return False
        kind = spec.dtype
        at = xs[2].spec
        value = xs[1].spec
        if kind is not dt.float32 and kind is not dt.float64:
            return False
        if value.shape != at.shape + spec.shape[1:] or not row_major(spec.shape, spec.strides):
            return False
        if count(spec.shape) == 0:
            return False
        key = (kind.code, at.dtype.code)
        address = ADDERS.get(key, 0)
        if address == 0:
            address = eager_steps.added(kind.code, at.dtype.code)
            if address == 0:
                return False
            ADDERS[key] = address
        index = self.contiguous(xs[2])
        x = self.contiguous(xs[1])
        self.place(out, spec, own)
        self.copy(out.at, spec.strides, spec.shape, xs[0])
        block = int(count(spec.shape[1:])) * kind.itemsize
        n = int(count(at.shape))
        if n:
            self.room()
            self.words.extend(
                [address, n, self.reach(out), self.reach(x), self.reach(index), 0, block]
            )
            size = spec.shape[0]
            wrap = size if op.name == "index_put" else 0
            self.words.extend([at.dtype.itemsize, block, size, wrap, block])
        self.checks.append((op, held(xs), arg, spec, int(self.slot)))
        return True

    def reader(self, size: int, kind: int) -> int:
        """The kernel that reads at places, 0 when there is none."""
        key = (size, kind)
        address = READERS.get(key, 0)
        if address == 0:
            address = eager_steps.places(size, kind)
            if address:
                READERS[key] = address
        return address


def held(xs: list[Cell]) -> list[Cell]:
    """Operands as they are now, for as long as a check may ask for them."""
    out: list[Cell] = []
    for x in xs:
        c = Cell()
        c.at = x.at
        c.mem = x.mem
        c.spec = x.spec
        out.append(c)
    return out


READERS: Final[dict[tuple[int, int], int]] = {}
ADDERS: Final[dict[tuple[int, int], int]] = {}
