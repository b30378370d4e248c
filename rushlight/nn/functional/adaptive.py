"""Averages over as many windows as an output has places: adaptive pooling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import engine
from ...engine import Tensor, apply
from ...graph.ops import contract
from ...graph.ops import normalised as rows
from ...tensor import shape as sh


def _mean_windows(x: Tensor, d: int, n: int) -> Tensor:
    """One dimension as `n` averages: window i spans [i * size / n, (i + 1) * size / n), widened to
    whole elements.
    """
    have = x.shape[d]
    ends = np.arange(n)
    first, last = ends * have // n, -(-(ends + 1) * have // n)
    weights = np.zeros((have, n), x.dtype.numpy)
    for i, (a, b) in enumerate(zip(first, last, strict=True)):
        weights[a:b, i] = 1 / (b - a)
    w = engine.own_array(weights, x.dtype, x.device)
    return sh.movedim(apply(contract.matmul, sh.movedim(x, d, -1), w), -1, d)


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
