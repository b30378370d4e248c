"""Shapes, blocks and the order of memory: how a flat draw becomes an array.

A filling runs in the order of the memory, not of the indices: a transposed array takes its values
along its own storage.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Shape = int | Sequence[int]

_BLOCK: Final = 16384

AT_ONCE: Final = 1 << 16
"""Values that native code draws at a time: what is made of them finds them in the second cache."""


def size_of(shape: Shape) -> tuple[int, tuple[int, ...]]:
    """(number of elements, dimensions) of a shape or a length."""
    if isinstance(shape, int):
        return shape, (shape,)
    dims = tuple(shape) if isinstance(shape, Sequence) else (int(shape),)
    return math.prod(dims), dims


def in_blocks(shape: Shape, draw: Callable[[int], Array]) -> Array:
    """draw(n), in blocks that stay in the cache; for draws that go value by value."""
    count, dims = size_of(shape)
    if count <= _BLOCK:
        out = draw(count)
        return out if len(dims) == 1 else out.reshape(dims)
    first = draw(_BLOCK)
    out = np.empty(count, first.dtype)
    out[:_BLOCK] = first
    for at in range(_BLOCK, count, _BLOCK):
        out[at : at + _BLOCK] = draw(min(_BLOCK, count - at))
    return out.reshape(dims)


def memory_order(shape: Sequence[int], strides: Sequence[int]) -> list[int]:
    """The axes from the outermost in memory to the innermost."""
    return sorted(range(len(shape)), key=lambda d: -abs(strides[d]) if shape[d] > 1 else 1)


def flat_memory(out: Array) -> Array | None:
    """All of an array's elements in the order of its memory, a view; None where it has gaps."""
    view = out.transpose(memory_order(out.shape, out.strides))
    return view.reshape(-1) if view.flags.c_contiguous else None


def fill(out: Array, draw: Callable[[int], Array]) -> Array:
    """Fill `out`, of any strides, with draw(out.size) in the order of its memory."""
    view = out.transpose(memory_order(out.shape, out.strides))
    view[...] = draw(out.size).reshape(view.shape)
    return out
