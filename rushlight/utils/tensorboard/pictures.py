"""Pictures for TensorBoard: arrays of any layout become PNG, batches one grid."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from ...engine import Tensor


def array(x: Any) -> Any:
    """The values of a tensor, array, number or list as an array."""
    if isinstance(x, Tensor):
        value: Any = x
        return value.detach().cpu().numpy()
    return np.asarray(x)


def laid_out(x: Any, formats: str) -> Any:
    """An array as height, width, colours; ``formats`` names its dimensions.

    Raises:
        AssertionError: for a layout that does not fit.
    """
    formats = formats.upper()
    if len(set(formats)) != len(formats):
        raise AssertionError(
            f"You can not use the same dimension shordhand twice. input_format: {formats}"
        )
    if len(x.shape) != len(formats):
        raise AssertionError(
            "size of input tensor and input format are different. "
            f"tensor shape: {x.shape}, input_format: {formats}"
        )
    if len(formats) == 4:
        return grid(x.transpose([formats.find(c) for c in "NCHW"]))
    if len(formats) == 3:
        out = x.transpose([formats.find(c) for c in "HWC"])
        return np.concatenate([out] * 3, 2) if out.shape[2] == 1 else out
    if len(formats) == 2:
        out = x.transpose([formats.find(c) for c in "HW"])
        return np.stack([out] * 3, 2)
    raise AssertionError(f"a picture has 2, 3 or 4 dimensions, not {len(formats)}")


def grid(x: Any, columns: int = 8) -> Any:
    """A batch of pictures (number, colours, height, width) in rows of eight."""
    if x.ndim != 4 or x.shape[1] not in (1, 3):
        raise AssertionError(f"a batch of pictures has 1 or 3 colours: {x.shape}")
    if x.shape[1] == 1:
        x = np.concatenate([x] * 3, 1)
    count, _, h, w = x.shape
    across = min(count, columns)
    down = -(-count // across)
    out = np.zeros((down * h, across * w, 3), x.dtype)
    for i in range(count):
        top, left = i // across * h, i % across * w
        out[top : top + h, left : left + w] = x[i].transpose(1, 2, 0)
    return out


def bytes_of(x: Any) -> Any:
    """Values in 0 ... 1 (floats) or 0 ... 255 (uint8) as bytes."""
    scale = 1 if x.dtype == np.uint8 else 255
    return (x.astype(np.float32) * scale).clip(0, 255).astype(np.uint8)


def boxed(x: Any, boxes: Any, colour: tuple[int, int, int] = (255, 0, 0)) -> Any:
    """A picture of bytes with rectangles (left, top, right, bottom) drawn on it."""
    out = np.array(x[..., :3])
    h, w = out.shape[:2]
    for box in np.asarray(boxes).reshape(-1, 4):
        left, top, right, bottom = (int(v) for v in box)
        left, right = np.clip([left, right], 0, w - 1)
        top, bottom = np.clip([top, bottom], 0, h - 1)
        out[top : bottom + 1, [left, right]] = colour
        out[[top, bottom], left : right + 1] = colour
    return out


def png(x: Any) -> bytes:
    """A PNG file of bytes in (height, width, colours), 1, 3 or 4 colours."""
    import zlib

    h, w, colours = x.shape
    kind = {1: 0, 3: 2, 4: 6}[colours]
    lines = np.empty((h, 1 + w * colours), np.uint8)
    lines[:, 0] = 0  # no filter
    lines[:, 1:] = x.reshape(h, -1)

    def chunk(name: bytes, data: bytes) -> bytes:
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", w, h, 8, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(lines.tobytes(), 6))
        + chunk(b"IEND", b"")
    )


def figures(figure: Any, close: bool) -> Any:
    """A matplotlib figure, or several, as one array (height, width, 3) or a batch."""
    if isinstance(figure, list):
        return np.stack([figures(f, close) for f in figure]).transpose(0, 3, 1, 2)
    import matplotlib.backends.backend_agg as agg

    canvas = agg.FigureCanvasAgg(figure)
    canvas.draw()
    out = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    if close:
        import matplotlib.pyplot as plt

        plt.close(figure)
    return out
