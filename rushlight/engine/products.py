"""Matrix products as steps of a native program.

Compiled by mypyc: plain typed code.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from ..base import dtype as dt
from ..graph.op import Spec
from ..runtime.buffer import Buffer
from .steps import DEEP, Cell, Steps, count, eager_steps, row_major

FLAT: Final = 1 << 16  # elements of a matrix up to which a product with one row does not pack it


def bench_of(kind: i64, m: i64, k: i64, n: i64) -> i64:
    """Bytes that are enough for a product to work in."""
    blocks = BLOCKS.get(kind)
    if blocks is None:
        blocks = BLOCKS[kind] = eager_steps.product_blocks(int(kind))
    columns: i64 = blocks[0]
    wide: i64 = blocks[1]
    rows: i64 = blocks[2]
    high: i64 = blocks[3]
    depth: i64 = blocks[4]
    wide = min(wide, n)
    high = min(high, m)
    depth = min(depth, k)
    panels = (wide + columns - 1) // columns * columns + (high + rows - 1) // rows * rows
    return (panels * depth + blocks[5] + 128) * blocks[6]


BLOCKS: Final[dict[i64, tuple[int, int, int, int, int, int, int]]] = {}


class Products(Steps):
    """Steps that multiply matrices, and the memory that they work in."""

    def __init__(self) -> None:
        super().__init__()
        self.bench: Buffer = Buffer(1 << 16)  # where products work
        # the type and sizes of products that it is enough for
        self.most_kind: i64 = -1
        self.most_m: i64 = 0
        self.most_k: i64 = 0
        self.most_n: i64 = 0

    def product(self, x: Cell, y: Cell, spec: Spec, leaves: bool, out: Cell) -> bool:
        """A product of matrices of floats, or of batches of them."""
        kind = spec.dtype.code
        if kind != dt.float32.code and kind != dt.float64.code:
            return False
        a = x.spec
        b = y.spec
        m = a.shape[-2]
        k = a.shape[-1]
        n = b.shape[-1]
        if k == 0 or len(spec.shape) > DEEP:
            return False
        one_row = len(b.shape) == 2 and k * n <= FLAT and count(spec.shape) == n
        if one_row and self.row_product(x, y, spec, leaves, out):
            return True
        address = PRODUCTS.get(kind, 0)
        if address == 0:
            address = eager_steps.product(kind)
            if address == 0:
                return False
            PRODUCTS[kind] = address
        self.room()
        total = self.place(out, spec, leaves)
        if total == 0:
            return True
        rows = total // n
        if rows > self.most_m or k > self.most_k or n > self.most_n or kind != self.most_kind:
            self.enlarge(kind, rows, k, n)
        words = self.words
        b_row = b.strides[-2]
        b_column = b.strides[-1]
        if len(b.shape) == 2 and (rows == 1 or row_major(a.shape, a.strides)):
            # One long product over all rows; a dimension of one row may have any stride.
            a_column = a.strides[-1] if rows == 1 else 1
            words.extend([address, 0, self.reach(out), self.reach(x), self.reach(y)])
            words.extend([self.bench.address, k, a_column, b_row, b_column, n, int(rows), k, n])
            return True
        batch = spec.shape[:-2]
        sizes = [self.bench.address, a.strides[-2], a.strides[-1], b_row, b_column, n, m, k, n]
        if count(batch) == 1:
            words.extend([address, 0, self.reach(out), self.reach(x), self.reach(y)])
            words.extend(sizes)
            return True
        words.extend(
            [self.nest, address, 0, 3, 9, len(batch), self.reach(out), self.reach(x), self.reach(y)]
        )
        words.extend(sizes)
        size = spec.dtype.itemsize
        rank = len(batch)
        for d in range(rank - 1, -1, -1):
            words.append(batch[d])
            words.append(spec.strides[d] * size)
            for s in (a, b):
                at = d - rank + len(s.shape) - 2
                words.append(0 if at < 0 or s.shape[at] == 1 else s.strides[at] * size)
        return True

    def row_product(self, x: Cell, y: Cell, spec: Spec, leaves: bool, out: Cell) -> bool:
        """A product of one row and a matrix: packing that would take longer."""
        kind = spec.dtype.code
        s = y.spec
        n = s.shape[1]
        by_rows = s.strides[1] == 1 or n == 1
        if not by_rows and s.strides[0] != 1:
            return False
        key = kind << 1 | (1 if by_rows else 0)
        address = ROW_PRODUCTS.get(key, 0)
        if address == 0:
            address = eager_steps.row_product(kind, by_rows)
            if address == 0:
                return False
            ROW_PRODUCTS[key] = address
        self.room()
        if self.place(out, spec, leaves):
            step = x.spec.strides[-1]
            stride = s.strides[0 if by_rows else 1]
            self.words.extend(
                [
                    address, self.reach(out), self.reach(x), self.reach(y),
                    step, stride, s.shape[0], n,
                ]
            )  # fmt: skip
        return True

    def enlarge(self, kind: int, m: i64, k: i64, n: i64) -> None:
        """Make the bench enough for products of these sizes, and of those of the type before."""
        if kind == self.most_kind:
            m = max(m, self.most_m)
            k = max(k, self.most_k)
            n = max(n, self.most_n)
        self.most_kind = kind
        self.most_m = m
        self.most_k = (k + 63) & -64  # often a size that grows
        self.most_n = (n + 63) & -64
        need = bench_of(kind, m, self.most_k, self.most_n)
        if need > self.bench.nbytes:
            self.waiting.append(self.bench)
            self.bench = Buffer(int(2 * need))


PRODUCTS: Final[dict[int, int]] = {}
ROW_PRODUCTS: Final[dict[int, int]] = {}
