"""Images and signals of other sizes: nearest, linear and cubic interpolation."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import engine
from ...base import dtype as dt
from ...engine import Tensor, apply
from ...graph.ops import elementwise as ew
from ...graph.ops import indexing
from .adaptive import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d

SMOOTH = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}  # mode -> dimensions in space
CUBIC = -0.75  # the slope that PyTorch's bicubic takes


def interpolate(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """(N, C, ...) at another size of the dimensions after C.

    ``mode``: ``nearest``, ``nearest-exact``, ``area``, ``linear`` (one dimension), ``bilinear`` and
    ``bicubic`` (two), ``trilinear`` (three).
    """
    space = len(input.shape) - 2
    if mode in ("nearest", "nearest-exact", "area"):
        if align_corners is not None:
            raise ValueError(
                "align_corners option can only be set with the interpolating modes: linear | "
                "bilinear | bicubic | trilinear"
            )
    elif mode in SMOOTH:
        if space != SMOOTH[mode]:
            raise NotImplementedError(
                f"Got {space + 2}D input, but {mode} mode needs {SMOOTH[mode] + 2}D input"
            )
    else:
        raise NotImplementedError(
            f"interpolate: mode {mode!r} is not supported; use nearest, nearest-exact, area, "
            "linear, bilinear, bicubic or trilinear"
        )
    if mode == "area":
        sizes, _ = _sizes(input, size, scale_factor, space)
        return (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)[space - 1](
            input, sizes
        )
    if antialias:
        raise NotImplementedError("interpolate: antialias=True is not supported")
    if not 1 <= space <= 3:
        raise NotImplementedError(
            "Input Error: Only 3D, 4D and 5D input Tensors supported (got "
            f"{space + 2}D) for the modes: nearest | linear | bilinear | bicubic | trilinear"
        )
    sizes, scales = _sizes(input, size, scale_factor, space)
    if recompute_scale_factor:
        if size is not None:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        scales = [None] * space
    for n in (*sizes, *input.shape[1:]):
        if n <= 0:
            raise RuntimeError(
                "Input and output sizes should be greater than 0, but got input "
                f"{list(input.shape)} and output {list(sizes)}"
            )
    out = input
    for i in range(space - 1, -1, -1):
        out = _along(out, i + 2, sizes[i], scales[i], mode, bool(align_corners))
    return out if out is not input else apply(ew.copy, input)


def _sizes(x: Tensor, size: Any, scale: Any, space: int) -> tuple[list[int], list[float | None]]:
    if (size is None) is (scale is None):
        raise ValueError("only one of size or scale_factor should be defined")
    if size is not None:
        sizes = [size] * space if isinstance(size, int) else [int(n) for n in size]
        if len(sizes) != space:
            raise ValueError(
                f"Input and output must have the same number of spatial dimensions, but got input "
                f"with spatial dimensions of {list(x.shape[2:])} and output size of {size}."
            )
        return sizes, [None] * space
    factors = [scale] * space if isinstance(scale, int | float) else list(scale)
    if len(factors) != space:
        raise ValueError(
            f"Input and scale_factor must have the same number of spatial dimensions, but got "
            f"input with spatial dimensions of {list(x.shape[2:])} and scale_factor of shape "
            f"{scale}."
        )
    found = [math.floor(float(n) * float(f)) for n, f in zip(x.shape[2:], factors, strict=True)]
    return found, [float(f) for f in factors]


def _along(x: Tensor, d: int, n: int, factor: float | None, mode: str, corners: bool) -> Tensor:
    """One dimension at its new size: places read, and weights of what is read."""
    have = x.shape[d]
    kind: Any = np.float64 if x.dtype is dt.float64 else np.float32
    step = kind(1.0 / factor) if factor else kind(have) / kind(n)
    at = np.arange(n).astype(kind)
    if mode == "nearest":
        return _read(x, d, np.floor(at * step), have)
    if mode == "nearest-exact":
        return _read(x, d, np.floor((at + kind(0.5)) * step), have)
    if corners:
        source = at * (kind(have - 1) / kind(n - 1) if n > 1 else kind(0))
    else:
        source = (at + kind(0.5)) * step - kind(0.5)
    if mode != "bicubic":
        if not corners:
            source = np.maximum(source, kind(0))
        if have == n and not (source != at).any():
            return x
        low = np.minimum(np.floor(source), have - 1)
        part = np.clip(source - low, 0, 1).astype(kind)
        first: Any = _read(x, d, low, have)
        second: Any = _read(x, d, low + 1, have)
        made: Tensor = first * _weights(x, d, 1 - part) + second * _weights(x, d, part)
        return made
    low = np.floor(source)
    out: Any = None
    for i, w in enumerate(_cubic((source - low).astype(kind))):
        term = _read(x, d, low + (i - 1), have) * _weights(x, d, w)
        out = term if out is None else out + term
    return out  # type: ignore[no-any-return]


def _cubic(t: Any) -> tuple[Any, ...]:
    """Weights of the four neighbours of a place between the middle two."""
    a = CUBIC

    def near(v: Any) -> Any:
        return ((a + 2) * v - (a + 3)) * v * v + 1

    def far(v: Any) -> Any:
        return ((a * v - 5 * a) * v + 8 * a) * v - 4 * a

    return far(t + 1), near(t), near(1 - t), far(2 - t)


def _read(x: Tensor, d: int, at: Any, have: int) -> Tensor:
    places = np.clip(at, 0, have - 1).astype(np.int64)
    return apply(indexing.index, x, engine.table(places, dt.int64, x.device), arg=(d,))


def _weights(x: Tensor, d: int, w: Any) -> Tensor:
    shape = [1] * len(x.shape)
    shape[d] = len(w)
    kind = x.dtype if x.dtype.rank > 1 else dt.Defaults.float
    return engine.table(np.ascontiguousarray(w, kind.numpy).reshape(shape), kind, x.device)


def upsample(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """The older ``interpolate``."""
    warnings.warn(
        "`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """The older ``interpolate`` of mode ``nearest``."""
    warnings.warn(
        "`nn.functional.upsample_nearest` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """The older ``interpolate`` of mode ``bilinear``, corners aligned."""
    warnings.warn(
        "`nn.functional.upsample_bilinear` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)
