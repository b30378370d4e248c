"""The pass that places buffers: outputs, leaves, and a workspace whose memory is used again."""

from __future__ import annotations

from ..base.shape import numel
from .group import Grouping
from .loops import Call, Kernel, LoopProgram, Place
from .split import Launch
from .values import Value

ALIGN = 64


def bytes_of(v: Value) -> int:
    """Bytes of a value's memory, rounded up to whole cache lines."""
    return -(-numel(v.shape) * v.dtype.itemsize // ALIGN) * ALIGN


def place_memory(result: LoopProgram, launches: list[Launch], grouping: Grouping) -> None:
    """Gives every buffer its place; workspace is used again once its last reader is done."""
    items = grouping.values.items
    roots: dict[int, Place] = {}
    for k, o in enumerate(grouping.values.outputs):
        while items[o].base >= 0:
            o = items[o].base
        roots[o] = Place("out", k)
    last: dict[int, int] = {}
    for at, launch in enumerate(launches):
        for i, b in enumerate(launch.buffers):
            while items[b].base >= 0:
                b = items[b].base
            launch.buffers[i] = b
            last[b] = at
    known: dict[str, int] = {}
    free: list[tuple[int, int]] = []  # (offset, size), sorted
    top = 0
    if any(isinstance(x.kernel, Kernel) and x.kernel.checks for x in launches):
        result.status, top = 0, ALIGN
    for at, launch in enumerate(launches):
        for b in launch.buffers:
            if b in roots:
                continue
            if items[b].kind == "leaf":
                roots[b] = Place("leaf", items[b].arg)
                continue
            size = bytes_of(items[b])
            offset, top = _take(free, size, top)
            roots[b] = Place("work", offset)
        text = str(launch.kernel)
        index = known.get(text)
        if index is None:
            index = known[text] = len(result.kernels)
            result.kernels.append(launch.kernel)
        places = tuple(roots[b] for b in launch.buffers)
        result.calls.append(Call(index, places, tuple(launch.numbers)))
        for b in set(launch.buffers):
            if last[b] == at and roots[b].kind == "work":
                _give(free, roots[b].n, bytes_of(items[b]))
    result.workspace = top


def _take(free: list[tuple[int, int]], size: int, top: int) -> tuple[int, int]:
    for i, (offset, have) in enumerate(free):
        if have >= size:
            if have == size:
                del free[i]
            else:
                free[i] = (offset + size, have - size)
            return offset, top
    return top, top + size


def _give(free: list[tuple[int, int]], offset: int, size: int) -> None:
    if not size:
        return
    free.append((offset, size))
    free.sort()
    merged: list[tuple[int, int]] = []
    for o, n in free:
        if merged and merged[-1][0] + merged[-1][1] == o:
            merged[-1] = (merged[-1][0], merged[-1][1] + n)
        else:
            merged.append((o, n))
    free[:] = merged
