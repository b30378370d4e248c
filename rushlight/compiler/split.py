"""The pass that cuts kernels into tasks: long lines into spans, rows into shares, long sums in two.

Nothing here changes a bit: a span only says which elements a task computes, and a long reduction
is cut where its cascade has finished groups.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..base.shape import Ints, numel
from .loops import Kernel, Product
from .values import Values

TASK = 1 << 15  # elements for which another thread is worth waking
SPAN = 1 << 12


@dataclass
class Launch:
    """A kernel with the values whose memory it works on."""

    kernel: Kernel | Product
    buffers: list[int]
    numbers: Ints | list[int]


def split(kernel: Kernel, buffers: list[int], numbers: list[int], values: Values) -> list[Launch]:
    """The launches that do a kernel's work."""
    total = numel(kernel.outer) * numel(kernel.inner)
    reduces = any(i.kind in ("reduce", "dot") for s in kernel.stages for i in s.body)
    if kernel.ordered:
        return [Launch(kernel, buffers, numbers)]
    if not kernel.outer and not reduces and len(kernel.inner) == 1 and total > TASK:
        n = kernel.inner[0]
        kernel.outer, kernel.inner = (-(-n // SPAN),), (SPAN,)
        kernel.span, kernel.extent = SPAN, n
    if total > TASK and kernel.outer:
        kernel.tasks = max(1, min(64, total // (TASK // 2), numel(kernel.outer)))
    return [Launch(kernel, buffers, numbers)]
