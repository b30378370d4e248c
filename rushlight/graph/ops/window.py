"""The greatest element of every window: max pooling in one to three dimensions of space.

    max_pool(x)            (N, C, *S): (N, C, *Q), the greatest element of each window
    max_pool_index(x)      its place in the plane *S, row-major, int64
    max_pool_back(g, x)    (N, C, *Q) and (N, C, *S): (N, C, *S), each g added where its window's
                           greatest element is, windows in row-major order

``arg`` = (kernel, stride, padding, dilation, sizes *Q).  Padding never wins.  Of equal elements the
first in row-major order wins; NaN wins over numbers, and the last NaN over others, as in PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...base import dtype as dt
from ...base.shape import contiguous_strides, numel
from ..op import COMPOSITE, Op, Spec, register
from ..value import Val
from .convolve import contiguous
from .core import full, iota, zeros
from .division import floor_divide, remainder
from .indexing import gather, scatter
from .movement import as_strided, reshape, write
from .reduce import argmax


def _infer(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    x = srcs[0]
    kernel, size = arg[0], arg[4]
    if len(x.shape) != len(kernel) + 2:
        raise ValueError(f"{op.name}: {x!r} does not have {len(kernel)} dimensions in space")
    kind = dt.int64 if op.name == "max_pool_index" else x.dtype
    return Spec((*x.shape[:2], *size), kind, None, x.device)


def _infer_back(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    g, x = srcs
    if g.shape != (*x.shape[:2], *arg[4]) or g.dtype is not x.dtype:
        raise ValueError(f"{op.name}: {g!r} is not what windows make of {x!r}")
    return Spec(x.shape, x.dtype, None, x.device)


def lowest(kind: dt.dtype) -> Any:
    """What no element is less than."""
    if kind.kind == "f":
        return float("-inf")
    return 0 if kind.kind in "bu" else -(1 << (8 * kind.itemsize - 1))


def _index(x: Val, arg: Any) -> Val:
    kernel, stride, padding, dilation, size = arg
    rank, space = len(kernel), x.shape[2:]
    sizes = tuple(
        max(n + p, (q - 1) * s + (k - 1) * d + 1)
        for n, p, q, s, k, d in zip(
            (n + p for n, p in zip(space, padding, strict=True)),
            padding, size, stride, kernel, dilation, strict=True,
        )
    )  # fmt: skip
    if sizes != space:
        b = x.builder
        least = Val(b, b.number(lowest(x.dtype), x))
        base = full(least, arg=((*x.shape[:2], *sizes), x.dtype))
        steps = contiguous_strides((*x.shape[:2], *sizes))
        offset = sum(p * s for p, s in zip(padding, steps[2:], strict=True))
        x = write(base, x, arg=(x.shape, steps, offset))
    x = contiguous(x)
    a, b_, *steps_in = contiguous_strides(x.shape)
    taps = tuple(s * d for s, d in zip(steps_in, dilation, strict=True))
    walk = tuple(s * d for s, d in zip(steps_in, stride, strict=True))
    seen = as_strided(x, arg=((*kernel, *x.shape[:2], *size), (*taps, a, b_, *walk), 0))
    won = argmax(seen, arg=(tuple(range(rank)), False))
    out: Val | None = None
    builder = x.builder
    for d in range(rank):
        tap = remainder(floor_divide(won, numel(kernel[d + 1 :])), kernel[d])
        shape = (1,) * (2 + d) + (size[d],) + (1,) * (rank - 1 - d)
        line = Val(builder, builder.make(iota, [], (shape, 2 + d, dt.int64)))
        place = (line * stride[d] - padding[d] + tap * dilation[d]) * numel(space[d + 1 :])
        out = place if out is None else out + place
    assert out is not None
    return out


def _planes(x: Val) -> Val:
    return reshape(x, arg=(*x.shape[:2], numel(x.shape[2:])))


def _pool(x: Val, arg: Any) -> Val:
    at = max_pool_index(x, arg=arg)
    return reshape(gather(_planes(x), _planes(at), arg=2), arg=at.shape)


def _back(g: Val, x: Val, arg: Any) -> Val:
    at = max_pool_index(x, arg=arg)
    base = zeros(g, (*x.shape[:2], numel(x.shape[2:])))
    return reshape(scatter(base, _planes(at), _planes(g), arg=(2, True)), arg=x.shape)


def _grad_back(i: int, gx: Val, out: Val, g: Val, x: Val) -> Val | None:
    if i:
        return None
    at = max_pool_index(x, arg=out.arg)
    return reshape(gather(_planes(gx), _planes(at), arg=2), arg=g.shape)


max_pool: Op = register(Op("max_pool", COMPOSITE, _infer))
max_pool.decompose = _pool
max_pool.grads = (lambda g, out, x: max_pool_back(g, x, arg=out.arg),)
max_pool_index: Op = register(Op("max_pool_index", COMPOSITE, _infer))
max_pool_index.decompose = _index
max_pool_back: Op = register(Op("max_pool_back", COMPOSITE, _infer_back))
max_pool_back.decompose = _back
max_pool_back.grads = _grad_back
