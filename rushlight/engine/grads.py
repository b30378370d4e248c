"""The gradients of many tensors at once, for those who have lists of parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .core import Tensor


def gradient(p: Tensor) -> Tensor | None:
    """``p.grad``."""
    f = p.fam
    if f is None:
        return None
    h = f.hist
    if h is None or (p.rec.region is not None and p.rec.region != f.root):
        return None
    return h.grad


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
            f = p.fam
            if f is not None:
                h = f.hist
                if h is not None and (p.rec.region is None or p.rec.region == f.root):
                    h.grad = None
