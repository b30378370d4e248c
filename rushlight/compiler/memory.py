"""The pass that places buffers: outputs, leaves, and a workspace whose memory is used again."""

from __future__ import annotations

from dataclasses import replace

from ..base.shape import numel
from .group import Grouping
from .loops import AnyKernel, Call, Instr, Kernel, LoopProgram, Place, Product, Stage
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
        kernel, starts = from_first_element(launch)
        text = str(kernel)
        index = known.get(text)
        if index is None:
            index = known[text] = len(result.kernels)
            result.kernels.append(kernel)
        places = tuple(
            roots[b]._replace(start=n) for b, n in zip(launch.buffers, starts, strict=True)
        )
        result.calls.append(Call(index, places, tuple(launch.numbers)))
        for b in set(launch.buffers):
            if last[b] == at and roots[b].kind == "work":
                _give(free, roots[b].n, bytes_of(items[b]))
    result.workspace = top


def from_first_element(launch: Launch) -> tuple[AnyKernel, list[int]]:
    """A kernel whose parameters are read from the first element that it touches, and how many bytes
    after each buffer's start that is: the steps of a loop over slices are one kernel."""
    kernel = launch.kernel
    if isinstance(kernel, Product):
        sides = (kernel.a, kernel.b, kernel.c)
        starts = [side[2] * kernel.dtype.itemsize for side in sides]
        a, b, c = ((*side[:2], 0, *side[3:]) for side in sides)
        return replace(kernel, a=a, b=b, c=c), starts
    if not isinstance(kernel, Kernel):
        return kernel, [0] * len(launch.buffers)
    least: dict[int, int] = {}
    for stage in kernel.stages:
        for i in stage.body:
            if i.access is not None and i.access.param >= 0:
                n = i.access.param
                least[n] = min(least.get(n, i.access.offset), i.access.offset)
    for n, p in enumerate(kernel.params):
        if p.local:
            least[n] = 0
    starts = [
        least.get(n, 0) * p.dtype.itemsize for n, p in enumerate(kernel.params) if not p.local
    ]
    if not any(starts):
        return kernel, starts

    def moved(i: Instr) -> Instr:
        a = i.access
        if a is None or a.param < 0:
            return i
        return i.at(a._replace(offset=a.offset - least[a.param]))

    stages = [Stage(s.over, tuple(map(moved, s.body))) for s in kernel.stages]
    return replace(kernel, stages=stages), starts


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
