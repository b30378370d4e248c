"""Joining: operands one after the other along a dimension."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...base.shape import Ints, wrap_dim
from ..op import JOIN, Op, Spec, register
from ..value import Val
from .movement import slice_, unsqueeze


def _infer(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    first = srcs[0]
    if not first.shape:
        raise RuntimeError("zero-dimensional tensor (at position 0) cannot be concatenated")
    dim = wrap_dim(arg, len(first.shape))
    total = 0
    for i, s in enumerate(srcs):
        if len(s.shape) != len(first.shape):
            raise RuntimeError(
                f"Tensors must have same number of dimensions: got {len(first.shape)} and "
                f"{len(s.shape)}"
            )
        for d, (a, b) in enumerate(zip(first.shape, s.shape, strict=True)):
            if a != b and d != dim:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {dim}. Expected size {a} "
                    f"but got size {b} for "
                    f"tensor number {i} in the list."
                )
        if s.dtype is not first.dtype:
            raise RuntimeError(
                f"cat: operands of {first.dtype} and {s.dtype}; convert them to one type first"
            )
        total += s.shape[dim]
    shape = (*first.shape[:dim], total, *first.shape[dim + 1 :])
    last = all(is_channels_last(s.shape, s.strides) for s in srcs)
    return Spec(shape, first.dtype, channels_last_strides(shape) if last else None, first.device)


def is_channels_last(shape: Ints, strides: Ints) -> bool:
    """Four dimensions laid out as batch, height, width, channel (and not row-major as well)."""
    if len(shape) != 4:
        return False
    want = 0
    if strides[1] == 0:
        return False
    for d in (1, 3, 2, 0):
        if shape[d] == 0 or strides[d] < want:
            return False
        if d == 0 and want == strides[1]:
            return False
        want = strides[d] * max(shape[d], 1)
    return True


def channels_last_strides(shape: Ints) -> Ints:
    """Dense strides of a batch of images with the channel innermost."""
    _, c, h, w = shape
    return (h * w * c, 1, w * c, c)


def _grad(i: int, g: Val, out: Val, *parts: Val) -> Val:
    dim = out.arg % len(out.shape)
    start = sum(p.shape[dim] for p in parts[:i])
    return slice_(g, arg=(dim, start, start + parts[i].shape[dim], 1))


cat: Op = register(Op("cat", JOIN, _infer))  # any number of operands of one dtype, arg = dim
cat.grads = _grad
cat.domain = ((-3.0, 3.0), (-3.0, 3.0))


def stack(parts: Sequence[Val], dim: int) -> Val:
    """``cat`` along a new dimension."""
    return cat(*[unsqueeze(p, arg=dim) for p in parts], arg=dim)
