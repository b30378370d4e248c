"""As many windows as an output has places: adaptive pooling, averages and greatest elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ... import engine
from ...base import dtype as dt
from ...base.shape import numel
from ...engine import Tensor, apply
from ...graph.ops import elementwise as ew
from ...graph.ops import indexing, reduce, window
from ...graph.ops import normalised as rows
from ...tensor import shape as sh
from .pooling import batched_input, unbatched


def _mean_windows(x: Tensor, d: int, n: int) -> Tensor:
    """One dimension as `n` averages of its windows."""
    places = _adaptive_places(x.shape[d], n)
    seen = apply(indexing.index, x, engine.table(places, dt.int64, x.device), arg=(d,))
    counted = np.ones(places.shape, np.bool_)
    counted[:, 1:] = places[:, 1:] != places[:, :-1]
    tail = [1] * (len(x.shape) - d - 1)
    if not counted.all():  # a product with zero would keep what is not finite
        inside = engine.table(counted.reshape(*places.shape, *tail), dt.bool_, x.device)
        seen = apply(ew.where, inside, seen, 0.0)
    counts = np.ascontiguousarray(counted.sum(1).reshape(n, *tail), x.dtype.numpy)
    total = apply(reduce.sum_, seen, arg=((d + 1,), False))
    return apply(ew.div, total, engine.table(counts, x.dtype, x.device))


def _pooled(input: Tensor, output_size: Any, space: int) -> Tensor:
    name = f"adaptive_avg_pool{space}d"
    rank = len(input.shape)
    if rank <= space and not isinstance(output_size, int):
        raise ValueError(f"Input dimension should be at least {space + 1}")
    if rank not in (space + 1, space + 2):
        raise RuntimeError(
            f"{name}(): Expected {space + 1}D or {space + 2}D tensor, but got {list(input.shape)}"
        )
    given = (output_size,) * space if isinstance(output_size, int) else tuple(output_size)
    if len(given) != space:
        raise RuntimeError(f"{name}: output_size must be {space}")
    have = tuple(input.shape[rank - space :])
    want = tuple(h if n is None else int(n) for n, h in zip(given, have, strict=True))
    if any(n < 0 for n in want):
        raise RuntimeError(
            f"{name}: elements of output_size must be greater than or equal to 0 but received "
            f"{list(want)}"
        )
    if 0 in input.shape[1:]:
        raise RuntimeError(
            f"{name}(): Expected input to have non-zero size for non-batch dimensions, but input "
            f"has sizes {list(input.shape)}"
        )
    lead = tuple(input.shape[: rank - space])
    if 0 in want:
        return engine.full((*lead, *want), 0.0, input.dtype, input.device)
    if all(h % n == 0 for h, n in zip(have, want, strict=True)):
        split = tuple(v for h, n in zip(have, want, strict=True) for v in (n, h // n))
        dims = tuple(len(lead) + 2 * i + 1 for i in range(space))
        return apply(rows.mean, sh.reshaped(input, lead + split), arg=(dims, False))
    out = input
    for i in range(space - 1, -1, -1):
        out = _mean_windows(out, len(lead) + i, want[i])
    return sh.contiguous(out)


def _make(space: int) -> Callable[..., Tensor]:
    def pool(input: Tensor, output_size: Any) -> Tensor:
        return _pooled(input, output_size, space)

    pool.__name__ = pool.__qualname__ = f"adaptive_avg_pool{space}d"
    pool.__doc__ = f"Averages of (N, C, ...) over windows that give {space} output sizes."
    return pool


adaptive_avg_pool1d = _make(1)
adaptive_avg_pool2d = _make(2)
adaptive_avg_pool3d = _make(3)


# ---------------------------------------------------------------- windows given by their places
def greatest_at(x: Tensor, places: Sequence[Any]) -> tuple[Tensor, Tensor]:
    """The greatest elements of windows of (N, C, *S), and their places in the plane.

    ``places``: for each dimension an array (windows, elements) of places along it; a place that
    comes again adds nothing.
    """
    rank, n, c = len(places), x.shape[0], x.shape[1]
    space = tuple(x.shape[2:])
    at: Any = 0
    for d, p in enumerate(places):
        shape = [1] * (2 * rank)
        shape[d], shape[rank + d] = p.shape
        at = at + p.reshape(shape) * numel(space[d + 1 :])
    size = tuple(p.shape[0] for p in places)
    at = np.ascontiguousarray(at.reshape(*size, -1), np.int64)
    flat = sh.reshaped(x, (n, c, numel(space)))
    seen = apply(indexing.index, flat, engine.own_array(at, dt.int64, x.device), arg=(2,))
    won = apply(reduce.argmax, seen, arg=((len(seen.shape) - 1,), True))
    table = engine.own_array(at, dt.int64, x.device)
    wide = sh.expand(table, n, c, *at.shape)
    index = apply(indexing.gather, wide, won, arg=len(seen.shape) - 1)
    index = sh.reshaped(index, (n, c, numel(size)))
    value = apply(indexing.gather, flat, index, arg=2)
    return sh.reshaped(value, (n, c, *size)), sh.reshaped(index, (n, c, *size))


def _adaptive_places(have: int, n: int) -> Any:
    """Window i spans [i * have / n, (i + 1) * have / n), widened to whole elements."""
    ends = np.arange(n)
    first, last = ends * have // n, -(-(ends + 1) * have // n)
    longest = int((last - first).max())
    return np.minimum(first[:, None] + np.arange(longest), last[:, None] - 1)


def _adaptive(space: int, input: Tensor, output_size: Any, return_indices: bool) -> Any:
    name = f"adaptive_max_pool{space}d"
    rank = len(input.shape)
    if space == 1 and rank not in (2, 3):
        raise RuntimeError(
            f"Expected 2 to 3 dimensions, but got {rank}-dimensional tensor for argument #1 'self' "
            f"(while checking arguments for {name})"
        )
    if not isinstance(output_size, int) and rank <= len(output_size):
        raise ValueError(f"Input dimension should be at least {len(output_size) + 1}")
    given = (output_size,) * space if isinstance(output_size, int) else tuple(output_size)
    if len(given) != space:
        raise RuntimeError(f"{name}(): internal error: output_size.size() must be {space}")
    if rank not in (space + 1, space + 2):
        raise RuntimeError(
            f"{name}(): Expected {space + 1}D or {space + 2}D tensor, but got: {list(input.shape)}"
        )
    have = tuple(input.shape[rank - space :])
    if 0 in input.shape[rank - space - 1 :]:
        raise RuntimeError(
            f"{name}(): Expected input to have non-zero size for non-batch dimensions, but input "
            f"has sizes {list(input.shape)} with dimension "
            f"{next(d for d in range(rank - space - 1, rank) if not input.shape[d])} being empty"
        )
    size = tuple(h if n is None else int(n) for n, h in zip(given, have, strict=True))
    if any(n < 0 for n in size):
        raise RuntimeError(f"{name}(): elements of output_size must not be negative: {list(size)}")
    x, batched = batched_input(input, space, name)
    if 0 in size or not x.shape[0]:
        shape = (*x.shape[:2], *size)
        value = unbatched(engine.full(shape, 0.0, input.dtype, input.device), batched)
        at = unbatched(engine.full(shape, 0, dt.int64, input.device), batched)
        return (value, at) if return_indices else value
    if all(h % n == 0 for h, n in zip(have, size, strict=True)):
        kernel = tuple(h // n for h, n in zip(have, size, strict=True))
        arg = (kernel, kernel, (0,) * space, (1,) * space, size)
        value = unbatched(apply(window.max_pool, x, arg=arg), batched)
        if not return_indices:
            return value
        return value, unbatched(apply(window.max_pool_index, x, arg=arg), batched)
    value, at = greatest_at(x, [_adaptive_places(h, n) for h, n in zip(have, size, strict=True)])
    value = unbatched(value, batched)
    return (value, unbatched(at, batched)) if return_indices else value


def _make_adaptive(space: int, always: bool) -> Callable[..., Any]:
    def pool(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
        return _adaptive(space, input, output_size, return_indices or always)

    name = f"adaptive_max_pool{space}d" + ("_with_indices" if always else "")
    pool.__name__ = pool.__qualname__ = name
    pool.__doc__ = f"The greatest elements of windows that give {space} output sizes." + (
        "  Gives their places too." if always else ""
    )
    return pool


adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = (
    _make_adaptive(n, False) for n in (1, 2, 3)
)
adaptive_max_pool1d_with_indices = _make_adaptive(1, True)
adaptive_max_pool2d_with_indices = _make_adaptive(2, True)
adaptive_max_pool3d_with_indices = _make_adaptive(3, True)
