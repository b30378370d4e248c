"""`torch._utils`: the few of PyTorch's helpers that public programs import."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rushlight.engine import Tensor
from rushlight.tensor.install import FUNCTIONS
from rushlight.utils.data._utils.worker import ExceptionWrapper

__all__ = ["ExceptionWrapper"]


def _accumulate(iterable: Iterable[Any], fn: Any = lambda x, y: x + y) -> Iterator[Any]:
    """The running totals."""
    total: Any = None
    for i, value in enumerate(iterable):
        total = value if i == 0 else fn(total, value)
        yield total


def _flatten_dense_tensors(tensors: Sequence[Tensor]) -> Tensor:
    """All elements one after the other in one dimension."""
    made: Tensor = FUNCTIONS["cat"]([t.reshape(-1) for t in tensors])  # type: ignore[attr-defined]
    return made


def _unflatten_dense_tensors(flat: Any, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The parts of `flat` in the shapes of `tensors`."""
    parts = flat.split([t.numel() for t in tensors])  # type: ignore[attr-defined]
    return tuple(p.view(t.shape) for p, t in zip(parts, tensors, strict=True))


def _take_tensors(tensors: Iterable[Any], size_limit: int) -> Iterator[list[Tensor]]:
    """Tensors of one type gathered to at most `size_limit` bytes each time."""
    held: dict[str, tuple[list[Tensor], int]] = {}
    for t in tensors:
        size = t.numel() * t.element_size()
        found, total = held.get(t.type(), ([], 0))
        if total + size > size_limit and total > 0:
            yield found
            found, total = [], 0
        held[t.type()] = ([*found, t], total + size)
    for found, _ in held.values():
        if found:
            yield found
