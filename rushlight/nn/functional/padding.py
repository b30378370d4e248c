"""Edges added to tensors, channels traded for pixels, windows as columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import engine
from ...base import dtype as dt
from ...base.shape import contiguous_strides
from ...engine import Tensor, apply
from ...graph.ops import elementwise as ew
from ...graph.ops import indexing, movement
from ...tensor import shape as sh

MODES = ("constant", "reflect", "replicate", "circular")


def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """``input`` with edges: ``pad`` has (before, after) for the last dimension first; negative ones
    cut.

    ``constant`` (of ``value``), ``reflect``, ``replicate`` or ``circular``; all but the first pad
    the last 1, 2 or 3 dimensions.
    """
    widths = [int(n) for n in pad]
    if len(widths) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    rank = len(input.shape)
    if len(widths) // 2 > rank:
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got "
            f"padding length {len(widths)} and input of dimension {rank}"
        )
    if mode not in MODES:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    # (dimension, before, after), the first dimension first
    sides: list[tuple[int, int, int]] = []
    for i in range(len(widths) // 2):
        sides.insert(0, (rank - 1 - i, widths[2 * i], widths[2 * i + 1]))
    if mode == "constant":
        return _constant(input, sides, 0.0 if value is None else value)
    if value is not None and value != 0:
        raise ValueError(f'Padding mode "{mode}" doesn\'t take in value argument')
    if not (len(sides) in (1, 2, 3) and rank in (len(sides) + 1, len(sides) + 2)):
        raise NotImplementedError(
            "Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now"
        )
    out = input
    for d, before, after in sides:
        out = _repeated(out, d, before, after, mode)
    return out if out is not input else apply(ew.copy, input)


def _resized(shape: Sequence[int], sides: Sequence[tuple[int, int, int]]) -> tuple[int, ...]:
    size = list(shape)
    for d, before, after in sides:
        size[d] += before + after
        if size[d] < 0:
            raise RuntimeError(
                f"The input size {shape[d]}, plus negative padding {before} and {after} resulted "
                "in a negative output size, which is invalid. Check dimension "
                f"{d} of your input."
            )
    return tuple(size)


def _cut(x: Tensor, sides: Sequence[tuple[int, int, int]]) -> Tensor:
    """Without what negative widths take away: a view."""
    for d, before, after in sides:
        start, end = max(-before, 0), x.shape[d] - max(-after, 0)
        if (start, end) != (0, x.shape[d]):
            x = engine.view(movement.slice_, x, (d, start, max(start, end), 1))
    return x


def _constant(x: Tensor, sides: Sequence[tuple[int, int, int]], value: float) -> Tensor:
    size = _resized(tuple(x.shape), sides)
    inner = _cut(x, sides)
    if all(before <= 0 and after <= 0 for _, before, after in sides):
        return apply(ew.copy, inner)
    kind = x.dtype
    fill: Any = value if kind.rank > 1 else bool(value) if kind.kind == "b" else int(value)
    made = engine.full(size, fill, kind, x.device)
    place = made
    for d, before, _ in sides:
        start = max(before, 0)
        place = engine.view(movement.slice_, place, (d, start, start + inner.shape[d], 1))
    engine.assign(place, inner)
    return made


def _repeated(x: Tensor, d: int, before: int, after: int, mode: str) -> Tensor:
    """Other elements of the line as its edges, read by index."""
    if not before and not after:
        return x
    n = x.shape[d]
    _resized(tuple(x.shape), [(d, before, after)])
    if mode == "reflect" and (before >= n or after >= n):
        raise RuntimeError(
            "Argument #4: Padding size should be less than the corresponding input dimension, but "
            f"got: padding ({before}, {after}) at dimension {d} of input {list(x.shape)}"
        )
    if mode == "circular" and (before > n or after > n):
        raise RuntimeError("Padding value causes wrapping around more than once.")
    if not n:
        raise RuntimeError(
            f"Expected a non-empty dimension {d} to pad in mode {mode}, but got input of size "
            f"{list(x.shape)}"
        )
    at = np.arange(-before, n + after)
    if mode == "reflect":
        at = np.abs(at)
        at = n - 1 - np.abs(n - 1 - at)
    elif mode == "replicate":
        at = np.clip(at, 0, n - 1)
    else:
        at %= n
    places = engine.own_array(np.ascontiguousarray(at, np.int64), dt.int64, x.device)
    return apply(indexing.index, x, places, arg=(d,))


# ---------------------------------------------------------------- channels and pixels
def _need(x: Tensor, rank: int, name: str) -> None:
    if len(x.shape) < rank:
        raise RuntimeError(
            f"{name} expects input to have at least {rank} dimensions, but got input with "
            f"{len(x.shape)} dimension(s)"
        )


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """(..., C * r * r, H, W) as (..., C, H * r, W * r)."""
    _need(input, 3, "pixel_shuffle")
    r = int(upscale_factor)
    if r <= 0:
        raise RuntimeError(
            f"pixel_shuffle expects a positive upscale_factor, but got {upscale_factor}"
        )
    *batch, c, h, w = input.shape
    if c % (r * r):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square "
            f"of upscale_factor, but input.size(-3)={c} is not divisible by {r * r}"
        )
    n = len(batch)
    x = sh.reshaped(input, (*batch, c // (r * r), r, r, h, w))
    x = sh.permuted(x, (*range(n), n, n + 3, n + 1, n + 4, n + 2))
    return apply(movement.reshape, x, arg=(*batch, c // (r * r), h * r, w * r))


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """(..., C, H * r, W * r) as (..., C * r * r, H, W)."""
    _need(input, 3, "pixel_unshuffle")
    r = int(downscale_factor)
    if r <= 0:
        raise RuntimeError(
            f"pixel_unshuffle expects a positive downscale_factor, but got {downscale_factor}"
        )
    *batch, c, h, w = input.shape
    for name, size, at in (("height", h, -2), ("width", w, -1)):
        if size % r:
            raise RuntimeError(
                f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but "
                f"input.size({at})={size} is not divisible by {r}"
            )
    n = len(batch)
    x = sh.reshaped(input, (*batch, c, h // r, r, w // r, r))
    x = sh.permuted(x, (*range(n), n, n + 2, n + 4, n + 1, n + 3))
    return apply(movement.reshape, x, arg=(*batch, c * r * r, h // r, w // r))


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """(N, g * C, ...) with the groups interleaved."""
    _need(input, 3, "channel_shuffle")
    n, c, *rest = input.shape
    if groups <= 0:
        raise RuntimeError(f"Number of groups to divide channels in must be positive. Value of "
                           f"groups:{groups}")  # fmt: skip
    if c % groups:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {c} channels and {groups} groups."
        )
    x = sh.reshaped(input, (n, groups, c // groups, *rest))
    x = sh.transpose(x, 1, 2)
    return apply(movement.reshape, x, arg=(n, c, *rest))


# ---------------------------------------------------------------- windows as columns
def _pair(v: Any) -> tuple[int, int]:
    if isinstance(v, int):
        return v, v
    a, b = (*v, *v) if len(v) == 1 else v
    return int(a), int(b)


def _need_windows(kernel: Any, dilation: Any, padding: Any, stride: Any) -> None:
    sizes = {"kernel size": ("kernel", kernel), "stride": ("stride", stride),
             "dilation": ("dilation", dilation)}  # fmt: skip
    for what, (short, (height, width)) in sizes.items():
        if min(height, width) <= 0:
            raise RuntimeError(
                f"{what} should be greater than zero, but got {short}_height: {height} "
                f"{short}_width: {width}"
            )
    if min(padding) < 0:
        raise RuntimeError(
            f"padding should be non-negative, but got pad_height: {padding[0]} pad_width: "
            f"{padding[1]}"
        )


def unfold(
    input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """Every window of (N, C, H, W) as a column: (N, C * kernel elements, windows)."""
    (kh, kw), (dh, dw) = _pair(kernel_size), _pair(dilation)
    (ph, pw), (sh_, sw) = _pair(padding), _pair(stride)
    _need_windows((kh, kw), (dh, dw), (ph, pw), (sh_, sw))
    if len(input.shape) not in (3, 4) or 0 in input.shape[1:]:
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero "
            f"dimensions for input, but got: {list(input.shape)}"
        )
    x = input if len(input.shape) == 4 else engine.view(movement.unsqueeze, input, 0)
    if ph or pw:
        x = _constant(x, [(2, ph, ph), (3, pw, pw)], 0.0)
    n, c, h, w = x.shape
    rows, columns = (h - dh * (kh - 1) - 1) // sh_ + 1, (w - dw * (kw - 1) - 1) // sw + 1
    if rows < 1 or columns < 1:
        raise RuntimeError(
            f"Given input with spatial size ({input.shape[-2]}, {input.shape[-1]}), "
            f"kernel_size=({kh}, {kw}), dilation=({dh}, {dw}), padding=({ph}, {pw}), calculated "
            f"shape of the array of sliding blocks as ({rows}, {columns}), but its components must "
            "be at least one."
        )
    x = sh.contiguous(x)
    a, b, e, f = contiguous_strides(tuple(x.shape))
    view = sh.as_strided(x, (n, c, kh, kw, rows, columns), (a, b, e * dh, f * dw, e * sh_, f * sw))
    made = apply(movement.reshape, view, arg=(n, c * kh * kw, rows * columns))
    return made if len(input.shape) == 4 else engine.view(movement.squeeze, made, (0,))


def fold(
    input: Tensor,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Tensor:
    """Columns (N, C * kernel elements, windows) added up where ``unfold`` read: (N, C, H, W)."""
    (h, w), (kh, kw), (dh, dw) = _pair(output_size), _pair(kernel_size), _pair(dilation)
    (ph, pw), (sh_, sw) = _pair(padding), _pair(stride)
    _need_windows((kh, kw), (dh, dw), (ph, pw), (sh_, sw))
    if len(input.shape) not in (2, 3) or 0 in input.shape[-2:]:
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and "
            f"non-zero dimensions for input, but got: {list(input.shape)}"
        )
    columns, count = input.shape[-2:]
    if columns % (kh * kw):
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, "
            f"but got input.size(1)={columns} and kernel_size=({kh}, {kw})."
        )
    rows = (h + 2 * ph - dh * (kh - 1) - 1) // sh_ + 1
    across = (w + 2 * pw - dw * (kw - 1) - 1) // sw + 1
    if count != rows * across or rows < 1 or across < 1:
        raise RuntimeError(
            f"Given output_size=({h}, {w}), kernel_size=({kh}, {kw}), dilation=({dh}, {dw}), "
            f"padding=({ph}, {pw}), stride=({sh_}, {sw}), expected size of input's dimension 2 to "
            f"match the calculated number of sliding blocks {rows} * {across} = {rows * across}, "
            f"but got input.size(2)={count}."
        )
    n, c = (input.shape[0] if len(input.shape) == 3 else 1), columns // (kh * kw)
    high, wide = h + 2 * ph, w + 2 * pw
    y = np.arange(kh)[:, None] * dh + np.arange(rows)[None, :] * sh_
    x = np.arange(kw)[:, None] * dw + np.arange(across)[None, :] * sw
    at = (y[:, None, :, None] * wide + x[None, :, None, :]).reshape(-1)
    places = engine.table(np.ascontiguousarray(at, np.int64), dt.int64, input.device)
    value = sh.reshaped(input, (n, c, kh * kw * count))
    base = engine.full((n, c, high * wide), 0, input.dtype, input.device)
    made = apply(indexing.index_put, base, value, places, arg=((2,), True))
    made = _cut(sh.reshaped(made, (n, c, high, wide)), [(2, -ph, -ph), (3, -pw, -pw)])
    made = sh.contiguous(made)
    return made if len(input.shape) == 3 else engine.view(movement.squeeze, made, (0,))
