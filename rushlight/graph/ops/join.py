"""Joining: operands one after the other along a dimension."""

from __future__ import annotations

from collections.abc import Sequence

from ..op import JOIN, Op, register
from ..shaping_layers import joined
from ..value import Val
from .movement import slice_, unsqueeze


def _grad(i: int, g: Val, out: Val, *parts: Val) -> Val:
    dim = out.arg % len(out.shape)
    start = sum(p.shape[dim] for p in parts[:i])
    return slice_(g, arg=(dim, start, start + parts[i].shape[dim], 1))


cat: Op = register(Op("cat", JOIN, joined))  # any number of operands of one dtype, arg = dim
cat.grads = _grad
cat.domain = ((-3.0, 3.0), (-3.0, 3.0))


def stack(parts: Sequence[Val], dim: int) -> Val:
    """``cat`` along a new dimension."""
    return cat(*[unsqueeze(p, arg=dim) for p in parts], arg=dim)
