"""The gradients of many tensors at once, for those who have lists of parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .core import Tensor, grad_place


def gradient(p: Tensor) -> Tensor | None:
    """``p.grad``, without the look at a subclass that an attribute costs."""
    h = grad_place(p)
    return None if h is None else h.grad


def gradients_of(params: Iterable[Any]) -> list[Any]:
    """The gradients that there are."""
    out: list[Any] = []
    for p in params:
        g = gradient(p)
        if g is not None:
            out.append(g)
    return out


def forget(params: Iterable[Any]) -> None:
    """``p.grad = None`` for every one."""
    for p in params:
        if isinstance(p, Tensor):
            h = grad_place(p)
            if h is not None:
                h.grad = None
