"""Max pooling over windows whose places are drawn: fractional max pooling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ... import engine
from ...base import dtype as dt
from ...base.shape import Ints, numel
from ...engine import Tensor, apply
from ...graph.ops import indexing, reduce
from ...tensor import shape as sh
from ...tensor.random import rand
from .pooling import per_dimension, unbatched

_NAMES = {2: ("height", "width"), 3: ("time", "height", "width")}


def _sizes(name: str, x: Tensor, space: int, size: Any, ratio: Any) -> Ints:
    if size is None and ratio is None:
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    if size is not None:
        return per_dimension(size, name, "output_size", space)
    if not isinstance(ratio, float | int):
        if len(ratio) > space:
            raise ValueError(
                f"{name} requires output_ratio to either be a single Int or tuple of Ints."
            )
        ratios = tuple(ratio)
    else:
        ratios = (ratio,) * space
    have = x.shape[len(x.shape) - space :]
    return tuple(int(n * r) for n, r in zip(have, ratios, strict=True))


def _starts(sample: Any, have: int, size: int, kernel: int) -> Any:
    """Where the windows along one dimension begin, for each drawn number: (N, C, size)."""
    kind = sample.dtype.type
    if size == 1:
        return np.full((*sample.shape, 1), have - kernel, np.int64)
    alpha = kind(have - kernel) / kind(size - 1)
    steps = np.arange(size).astype(kind)
    at = ((steps + sample[..., None]) * alpha).astype(np.int64)
    at -= (sample[..., None] * alpha).astype(np.int64)
    at[..., -1] = have - kernel
    return at


def _places(starts: Sequence[Any], kernel: Ints, space: Ints) -> Any:
    """Places in the plane: (N, C, windows, elements of a window)."""
    rank = len(kernel)
    at: Any = 0
    for d, (first, k) in enumerate(zip(starts, kernel, strict=True)):
        line = first[..., None] + np.arange(k)
        shape = [1] * (2 * rank)
        shape[d], shape[rank + d] = line.shape[2:]
        at = at + line.reshape(*line.shape[:2], *shape) * numel(space[d + 1 :])
    n, c = at.shape[:2]
    return np.ascontiguousarray(at.reshape(n, c, -1, numel(kernel)), np.int64)


def _fractional(
    space: int, input: Tensor, kernel_size: Any, output_size: Any, output_ratio: Any, samples: Any
) -> tuple[Tensor, Tensor]:
    name = f"fractional_max_pool{space}d"
    rank = len(input.shape)
    if rank not in (space + 1, space + 2) or 0 in input.shape[rank - space - 1 :]:
        raise RuntimeError(
            f"{name}: Expected {space + 1}D or {space + 2}D (batch mode) tensor with optional 0 "
            f"dim batch size for input, but got: {list(input.shape)}"
        )
    kernel = per_dimension(kernel_size, name, "kernel_size", space)
    size = _sizes(name, input, space, output_size, output_ratio)
    have = tuple(input.shape[rank - space :])
    for n, q, k, side in zip(have, size, kernel, _NAMES[space], strict=True):
        if k <= 0 or q <= 0:
            raise RuntimeError(
                f"{name}: kernel_size and output_size must be greater than zero, but got {kernel} "
                f"and {size}"
            )
        if q + k - 1 > n:
            raise RuntimeError(f"{name}(): pool {side} {k} too large relative to input {side} {n}")
    batched = rank == space + 2
    x = input if batched else sh.unsqueeze(input, 0)
    n, c = x.shape[:2]
    if samples is None:
        samples = rand(n, c, space, dtype=input.dtype, device=input.device)
    drawn = engine.read(samples)
    if drawn.shape[0] < n or drawn.shape[1:] != (c, space):
        raise RuntimeError(
            f"{name}: Expect _random_samples to have shape {[n, c, space]}, but got "
            f"{list(drawn.shape)}"
        )
    drawn = drawn[:n]
    # of two dimensions the last is drawn first
    order = (1, 0) if space == 2 else (0, 1, 2)
    starts = [
        _starts(drawn[..., i], h, q, k)
        for i, h, q, k in zip(order, have, size, kernel, strict=True)
    ]
    at = engine.own_array(_places(starts, kernel, have), dt.int64, x.device)
    flat = sh.reshaped(x, (n, c, numel(have)))
    count = numel(size)
    seen = apply(indexing.gather, flat, sh.reshaped(at, (n, c, count * numel(kernel))), arg=2)
    won = apply(reduce.argmax, sh.reshaped(seen, tuple(at.shape)), arg=((3,), True))
    place = sh.reshaped(apply(indexing.gather, at, won, arg=3), (n, c, count))
    value = apply(indexing.gather, flat, place, arg=2)
    shape = (n, c, *size)
    return (
        unbatched(sh.reshaped(value, shape), batched),
        unbatched(sh.reshaped(place, shape), batched),
    )


def _make(space: int, always: bool) -> Callable[..., Any]:
    def pool(
        input: Tensor,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> Any:
        made = _fractional(space, input, kernel_size, output_size, output_ratio, _random_samples)
        return made if return_indices or always else made[0]

    name = f"fractional_max_pool{space}d" + ("_with_indices" if always else "")
    pool.__name__ = pool.__qualname__ = name
    pool.__doc__ = (
        "The greatest elements of windows of one size whose places are drawn, so that there are "
        f"``output_size`` (or ``output_ratio`` of the input's) in each of {space} dimensions."
    )
    return pool


fractional_max_pool2d, fractional_max_pool3d = (_make(n, False) for n in (2, 3))
fractional_max_pool2d_with_indices = _make(2, True)
fractional_max_pool3d_with_indices = _make(3, True)
