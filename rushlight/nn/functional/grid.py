"""Images read at places that a grid says: ``grid_sample``, ``affine_grid``."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import engine
from ...base import dtype as dt
from ...base.shape import contiguous_strides, numel
from ...engine import Tensor, apply
from ...graph.ops import elementwise as ew
from ...graph.ops import indexing
from ...tensor import shape as sh


def choose(mask: Tensor, x: Any, y: Any) -> Any:
    """Of two values, the one that ``mask`` says."""
    return apply(ew.where, mask, x, y)


MODES = ("bilinear", "nearest", "bicubic")
EDGES = ("zeros", "border", "reflection")
CUBIC = -0.75


def _old_default() -> bool:
    warnings.warn(
        "Default grid_sample and affine_grid behavior has changed to align_corners=False since "
        "1.3.0. Please specify align_corners=True if the old behavior is desired. See the "
        "documentation of grid_sample for details.",
        stacklevel=3,
    )
    return False


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """(N, C, H, W) read at the places (N, H', W', 2) of ``grid``, x before y, from -1 to 1.

    Or (N, C, D, H, W) at (N, D', H', W', 3).  Gives (N, C, H', W').
    """
    if mode not in MODES:
        raise ValueError(
            "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', "
            f"but got: '{mode}'"
        )
    if padding_mode not in EDGES:
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or "
            f"'reflection', but got: '{padding_mode}'"
        )
    if align_corners is None:
        align_corners = _old_default()
    return sampled(input, grid, mode, padding_mode, bool(align_corners))


def _check(x: Tensor, grid: Tensor, mode: str) -> None:
    rank = len(x.shape)
    if rank not in (4, 5) or len(grid.shape) != rank:
        raise RuntimeError(
            f"grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but "
            f"got input with sizes {list(x.shape)} and grid with sizes {list(grid.shape)}"
        )
    if x.shape[0] != grid.shape[0]:
        raise RuntimeError(
            "grid_sampler(): expected grid and input to have same batch size, but got input with "
            f"sizes {list(x.shape)} and grid with sizes {list(grid.shape)}"
        )
    if grid.shape[-1] != rank - 2:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {rank - 2} in last dimension, but got "
            f"grid with sizes {list(grid.shape)}"
        )
    if 0 in x.shape[2:]:
        raise RuntimeError(
            "grid_sampler(): expected input to have non-empty spatial dimensions, but input has "
            f"sizes {list(x.shape)}"
        )
    if x.dtype is not grid.dtype:
        raise RuntimeError(
            f"grid_sampler(): expected input and grid to have same dtype, but input has "
            f"{x.dtype} and grid has {grid.dtype}"
        )
    if mode == "bicubic" and rank == 5:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")


def sampled(x: Tensor, grid: Tensor, mode: str, edges: str, corners: bool) -> Tensor:
    """The same with everything said."""
    _check(x, grid, mode)
    space = len(x.shape) - 2
    places = [
        _unnormalised(sh.select(grid, -1, space - 1 - d), x.shape[2 + d], corners)
        for d in range(space)
    ]
    if mode == "bicubic":
        return _cubic(x, places, edges, corners)
    at = [_kept(p, n, edges, corners) for p, n in zip(places, x.shape[2:], strict=True)]
    if mode == "nearest":
        near = [p.detach().round() for p in at]
        nearest: Tensor = _read(x, near, edges == "zeros")
        return nearest
    low = [p.detach().floor() for p in at]
    part = [p - q for p, q in zip(at, low, strict=True)]
    out: Any = None
    for corner in itertools.product((0, 1), repeat=space):
        weight: Any = None
        for f, upper in zip(part, corner, strict=True):
            w = f if upper else 1 - f
            weight = w if weight is None else weight * w
        value: Any = _read(x, [q + u for q, u in zip(low, corner, strict=True)], edges == "zeros")
        term = value * weight.unsqueeze(1)
        out = term if out is None else out + term
    return out  # type: ignore[no-any-return]


def _unnormalised(g: Any, n: int, corners: bool) -> Any:
    """A place from -1 to 1 as one from 0 to n - 1 (or -1/2 to n - 1/2)."""
    if corners:
        return (g + 1) / 2 * (n - 1)
    return ((g + 1) * n - 1) / 2


def _kept(p: Any, n: int, edges: str, corners: bool) -> Any:
    """A place brought inside, as the edges say."""
    if edges == "reflection":
        low, high = (0.0, n - 1.0) if corners else (-0.5, n - 0.5)
        span = high - low
        if span == 0:
            return p * 0
        away = (p - low).abs()
        turns = (away / span).detach().floor()
        extra = away - turns * span
        p = choose((turns % 2) == 0, extra + low, span - extra + low)
    if edges == "zeros":
        return p
    inside = (p > 0) & (p < n - 1)  # no slope at the edges themselves
    return choose(inside, p, p.detach().clamp(0, n - 1))


def _read(x: Tensor, at: Sequence[Any], zeros: bool) -> Any:
    """Elements of every channel at whole places (N, *Q); with ``zeros``, 0 outside."""
    n, c, *space = x.shape
    size = tuple(at[0].shape[1:])
    flat = sh.reshaped(x, (n, c, numel(tuple(space))))
    where: Any = None
    inside: Any = None
    for p, m, step in zip(at, space, contiguous_strides(tuple(space)), strict=True):
        if zeros:
            good = (p >= 0) & (p <= m - 1)
            inside = good if inside is None else inside & good
        line = p.clamp(0, m - 1).to(dt.int64) * step
        where = line if where is None else where + line
    where = sh.expand(sh.reshaped(where, (n, 1, numel(size))), n, c, numel(size))
    found: Any = sh.reshaped(apply(indexing.gather, flat, where, arg=2), (n, c, *size))
    return choose(inside.unsqueeze(1), found, 0.0) if zeros else found


def _cubic(x: Tensor, places: Sequence[Any], edges: str, corners: bool) -> Tensor:
    low = [p.detach().floor() for p in places]
    weights = [_weights(p - q) for p, q in zip(places, low, strict=True)]
    out: Any = None
    for i, j in itertools.product(range(4), repeat=2):
        steps = (i - 1, j - 1)
        at = [
            _kept(q + s, n, edges, corners) for q, s, n in zip(low, steps, x.shape[2:], strict=True)
        ]
        value = _read(x, at, edges == "zeros")
        term = value * (weights[0][i] * weights[1][j]).unsqueeze(1)
        out = term if out is None else out + term
    return out  # type: ignore[no-any-return]


def _weights(t: Any) -> tuple[Any, Any, Any, Any]:
    """Weights of the four neighbours of a place between the middle two."""
    a = CUBIC

    def near(v: Any) -> Any:
        return ((a + 2) * v - (a + 3)) * v * v + 1

    def far(v: Any) -> Any:
        return ((a * v - 5 * a) * v + 8 * a) * v - 4 * a

    return far(t + 1), near(t), near(1 - t), far(2 - t)


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The grid (N, H, W, 2) of the affine maps (N, 2, 3), for an output of ``size`` (N, C, H, W).

    Or (N, D, H, W, 3) of (N, 3, 4).
    """
    if align_corners is None:
        align_corners = _old_default()
    if theta.dtype.rank < 2:
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    space = len(size) - 2
    if space not in (2, 3):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, "
            f"respectively. Got size {size}."
        )
    if len(theta.shape) != 3 or tuple(theta.shape[1:]) != (space, space + 1):
        raise ValueError(
            f"Expected a batch of {space}D affine matrices of shape Nx{space}x{space + 1} for size "
            f"{size}. Got {theta.shape}."
        )
    if min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    return affine_places(theta, size, bool(align_corners))


def affine_places(theta: Any, size: Sequence[int], align_corners: bool) -> Tensor:
    """The same with everything said."""
    places = [int(n) for n in size[2:]]
    kind = theta.dtype.numpy
    lines = []
    for n in places:
        line = np.linspace(-1.0, 1.0, n) if n > 1 else np.zeros(1)
        lines.append(line if align_corners else line * (n - 1) / n)
    mesh = np.meshgrid(*lines, indexing="ij")
    base = np.stack([*reversed(mesh), np.ones_like(mesh[0])], axis=-1).reshape(-1, len(places) + 1)
    table: Any = engine.table(np.ascontiguousarray(base, kind), theta.dtype, theta.device)
    made: Tensor = (table @ theta.transpose(1, 2)).reshape(size[0], *places, len(places))
    return made
