"""Tensor images whose pixels come from elsewhere: turned, sheared, in perspective, elastic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight.base import dtype as dt
from rushlight.tensor.creation import tensor
from rushlight.tensor.install import FUNCTIONS
from rushlight.vision.transforms._functional_tensor import (
    cast_in,
    get_dimensions,
    need_image,
    working_dtype,
)


def inverse_affine_matrix(
    center: Sequence[float],
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: Sequence[float],
) -> list[float]:
    """From a pixel to where it comes from: the six numbers of a matrix, row by row.

    The image is sheared, turned by degrees, scaled around its centre, and moved.
    """
    rot, (sx, sy) = math.radians(angle), (math.radians(s) for s in shear)
    (cx, cy), (tx, ty) = center, translate
    a = math.cos(rot - sy) / math.cos(sy)
    b = -math.cos(rot - sy) * math.tan(sx) / math.cos(sy) - math.sin(rot)
    c = math.sin(rot - sy) / math.cos(sy)
    d = -math.sin(rot - sy) * math.tan(sx) / math.cos(sy) + math.cos(rot)
    m = [x / scale for x in (d, -b, 0.0, -c, a, 0.0)]
    m[2] += m[0] * (-cx - tx) + m[1] * (-cy - ty)
    m[5] += m[3] * (-cx - tx) + m[4] * (-cy - ty)
    m[2] += cx
    m[5] += cy
    return m


def perspective_coefficients(startpoints: Any, endpoints: Any) -> list[float]:
    """The eight numbers that take the end points back to the start points."""
    if len(startpoints) != 4 or len(endpoints) != 4:
        raise ValueError(
            f"Please provide exactly four corners, got {len(startpoints)} startpoints and "
            f"{len(endpoints)} endpoints."
        )
    rows = []
    for (x, y), (u, v) in zip(endpoints, startpoints):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    goal = np.array(startpoints, np.float64).reshape(8)
    found = np.linalg.lstsq(np.array(rows, np.float64), goal, rcond=None)[0]
    return [float(c) for c in found.astype(np.float32)]


def _check(img: Any, interpolation: str, fill: Any) -> None:
    need_image(img)
    channels = get_dimensions(img)[0]
    if isinstance(fill, tuple | list) and len(fill) > 1 and len(fill) != channels:
        raise ValueError(
            "The number of elements in 'fill' cannot broadcast to match the number of channels of "
            f"the image ({len(fill)} != {channels})"
        )
    if interpolation not in ("nearest", "bilinear"):
        raise ValueError(f"Interpolation mode '{interpolation}' is unsupported with Tensor input")


def _base_grid(xs: tuple[float, float, int], ys: tuple[float, float, int], kind: Any) -> Any:
    """Homogeneous coordinates of pixels, [1, H * W, 3]."""
    x = FUNCTIONS["linspace"](xs[0], xs[1], steps=xs[2], dtype=kind)
    y = FUNCTIONS["linspace"](ys[0], ys[1], steps=ys[2], dtype=kind)
    gy, gx = FUNCTIONS["meshgrid"](y, x, indexing="ij")
    return FUNCTIONS["stack"]([gx, gy, FUNCTIONS["ones_like"](gx)], -1).view(1, -1, 3)


def affine(
    img: Any,
    matrix: list[float],
    interpolation: str = "nearest",
    fill: Any = None,
    size: tuple[int, int] | None = None,
) -> Any:
    """Each pixel from where the matrix says, in an image of another (width, height) if given."""
    _check(img, interpolation, fill)
    h, w = img.shape[-2:]
    ow, oh = size or (w, h)
    kind = working_dtype(img)
    flat: Any = tensor(matrix, dtype=kind)
    theta = flat.reshape(1, 2, 3)
    base = _base_grid(
        (-ow * 0.5 + 0.5, ow * 0.5 + 0.5 - 1, ow), (-oh * 0.5 + 0.5, oh * 0.5 + 0.5 - 1, oh), kind
    )
    scaled = theta.transpose(1, 2) / tensor([0.5 * w, 0.5 * h], dtype=kind)
    return sampled(img, base.bmm(scaled).view(1, oh, ow, 2), interpolation, fill)


def rotated_size(matrix: list[float], w: int, h: int) -> tuple[int, int]:
    """Width and height that hold all of the turned image."""
    half = np.array(
        [[-0.5 * w, -0.5 * h, 1], [-0.5 * w, 0.5 * h, 1], [0.5 * w, 0.5 * h, 1],
         [0.5 * w, -0.5 * h, 1]], np.float32,
    )  # fmt: skip
    points = half @ np.array(matrix, np.float32).reshape(2, 3).T
    shift = np.array([w * 0.5, h * 0.5], np.float32)
    # To four decimals, so that rounding errors do not add a row.
    least, most = points.min(0) + shift, points.max(0) + shift
    tol = np.float32(1e-4)
    size = np.ceil(np.trunc(most / tol) * tol) - np.floor(np.trunc(least / tol) * tol)
    return int(size[0]), int(size[1])


def perspective(img: Any, coefficients: list[float], interpolation: str, fill: Any) -> Any:
    """Each pixel from where the eight coefficients say."""
    _check(img, interpolation, fill)
    oh, ow = img.shape[-2:]
    c, kind = coefficients, working_dtype(img)
    base = _base_grid((0.5, ow + 0.5 - 1.0, ow), (0.5, oh + 0.5 - 1.0, oh), kind)
    above: Any = tensor([[c[0:3], c[3:6]]], dtype=kind)
    below: Any = tensor([[[c[6], c[7], 1.0], [c[6], c[7], 1.0]]], dtype=kind)
    scaled = above.transpose(1, 2) / tensor([0.5 * ow, 0.5 * oh], dtype=kind)
    grid = base.bmm(scaled) / base.bmm(below.transpose(1, 2)) - 1.0
    return sampled(img, grid.view(1, oh, ow, 2), interpolation, fill)


def elastic_transform(img: Any, displacement: Any, interpolation: str, fill: Any) -> Any:
    """Each pixel from its own place, moved by `displacement` [1, H, W, 2]."""
    h, w = img.shape[-2:]
    y, x = (FUNCTIONS["linspace"]((-s + 1) / s, (s - 1) / s, s) for s in (h, w))
    gy, gx = FUNCTIONS["meshgrid"](y, x, indexing="ij")
    grid = FUNCTIONS["stack"]([gx, gy], -1).unsqueeze(0) + displacement
    return sampled(img, grid, interpolation, fill)


# -------------------------------------------------------------------------- sampling


def sampled(img: Any, grid: Any, mode: str, fill: Any) -> Any:
    """The image at the places of a grid [1, H, W, 2] of (x, y) within -1 to 1; `fill` outside."""
    batch, undo = cast_in(img, (grid.dtype,))
    out, inside = _sample(batch, grid, mode)
    if fill is not None:
        values = fill if isinstance(fill, tuple | list) else [float(fill)]
        colour = tensor([float(v) for v in values], dtype=batch.dtype).view(1, -1, 1, 1)
        if mode == "nearest":
            out = FUNCTIONS["where"](inside < 0.5, colour, out)
        else:
            out = out * inside + (1.0 - inside) * colour
    return undo(out)


def _sample(batch: Any, grid: Any, mode: str) -> tuple[Any, Any]:
    """Values [N, C, H, W] at the places, 0 outside; and how much of each lies inside."""
    h, w = batch.shape[-2:]
    x = ((grid[0, :, :, 0] + 1) * w - 1) / 2
    y = ((grid[0, :, :, 1] + 1) * h - 1) / 2
    if mode == "nearest":
        return _corner(batch, x.round(), y.round())
    x0, y0 = x.floor(), y.floor()
    right, below = x - x0, y - y0
    left, above = 1 - right, 1 - below
    corners = [
        (x0, y0, left * above),
        (x0 + 1, y0, right * above),
        (x0, y0 + 1, left * below),
        (x0 + 1, y0 + 1, right * below),
    ]
    total: Any = 0
    share: Any = 0
    for cx, cy, weight in corners:
        values, inside = _corner(batch, cx, cy)
        total = total + values * weight
        share = share + inside * weight
    return total, share


def _corner(batch: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """The pixels at whole-numbered places, 0 outside of the image; and 1 inside, 0 outside."""
    h, w = batch.shape[-2:]
    there = (x >= 0) & (x < w) & (y >= 0) & (y < h)  # not where a place is NaN
    inside = there.to(batch.dtype)
    column, row = (FUNCTIONS["where"](there, v, v.new_zeros(())).to(dt.int64) for v in (x, y))
    flat = batch.reshape(*batch.shape[:2], h * w)
    values = flat.index_select(2, (row * w + column).reshape(-1))
    return values.reshape(*batch.shape[:2], *x.shape) * inside, inside
