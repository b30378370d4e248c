"""Blocks of rows for kernels that read along a column what they write along a row.

Where an operand lies side by side along an outer dimension, a block of as many rows as a vector has
lanes is read with vectors along that dimension and turned over in registers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rushlight.codegen.text import Emitter, Value

if TYPE_CHECKING:
    from rushlight.compiler.loops import Instr, Kernel

MOST_STEPS = 12  # longer bodies are not written once for every row of a block


@dataclass(frozen=True)
class Tile:
    """Loads to turn over: rows are taken in blocks of `size` along outer dimension `dim`."""

    dim: int
    size: int
    loads: tuple[int, ...]


def tile_of(kernel: Kernel, heavy: bool) -> Tile | None:
    """How a kernel is taken in blocks, or None where nothing is to be turned over."""
    if kernel.lanes == "outer" or kernel.span or kernel.ordered or heavy or len(kernel.inner) != 1:
        return None
    loops = [s for s in kernel.stages if s.over != "once"]
    if len(loops) != 1 or loops[0].over != "inner" or len(loops[0].body) > MOST_STEPS:
        return None
    body = loops[0].body
    if any(i.kind in ("reduce", "dot", "index") for i in body):
        return None
    loads = [i for i in body if i.kind == "load" and _turned(i)]
    if not loads:
        return None
    size = 32 // max(8 if i.dtype.itemsize == 8 else 4 for i in body)
    sides = [_side(i, kernel) for i in loads]
    dim = max(set(sides), key=sides.count)
    if dim < 0 or kernel.outer[dim] < size or kernel.inner[0] < size:
        return None
    return Tile(dim, size, tuple(i.id for i, side in zip(loads, sides) if side == dim))


def _turned(i: Instr) -> bool:
    """Whether a load's lanes would lie apart."""
    return i.access is not None and abs(i.access.strides[-1]) > 1


def _side(i: Instr, kernel: Kernel) -> int:
    """The outer dimension along which a load's elements lie side by side, or -1."""
    assert i.access is not None
    ones = [d for d, s in enumerate(i.access.strides[: len(kernel.outer)]) if s == 1]
    return ones[-1] if ones else -1


def transpose(e: Emitter, rows: list[Value], element: str) -> list[Value]:
    """The columns of a square block given as rows, by exchanging ever smaller blocks."""
    width = len(rows)
    out, half = list(rows), width // 2
    while half:
        for i in range(width):
            if i & half:
                continue
            a, b = out[i], out[i + half]
            low = [n if not n & half else width + n - half for n in range(width)]
            high = [n + half if not n & half else width + n for n in range(width)]
            out[i] = e.shuffle(a, b, low, element, width)
            out[i + half] = e.shuffle(a, b, high, element, width)
        half //= 2
    return out
