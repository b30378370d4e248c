"""Reading and writing image files, with Pillow."""

from __future__ import annotations

import io
from enum import Enum
from pathlib import Path
from typing import Any, Final

import numpy as np

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.base.device import CPU
from rushlight.engine import Tensor
from rushlight.vision import _pil
from rushlight.vision.transforms.functional import to_pil_image


class ImageReadMode(Enum):
    """The colours an image is read in; `UNCHANGED`: those of the file."""

    UNCHANGED = 0
    GRAY = 1
    GRAY_ALPHA = 2
    RGB = 3
    RGB_ALPHA = 4


_MODES: Final = {
    ImageReadMode.GRAY: "L",
    ImageReadMode.GRAY_ALPHA: "LA",
    ImageReadMode.RGB: "RGB",
    ImageReadMode.RGB_ALPHA: "RGBA",
}


def _mode(mode: Any) -> ImageReadMode:
    return ImageReadMode[mode.upper()] if isinstance(mode, str) else ImageReadMode(mode)


def _decoded(image: Any, mode: Any, apply_exif_orientation: bool) -> Any:
    if apply_exif_orientation:
        from PIL import ImageOps

        image = ImageOps.exif_transpose(image)
    wanted = _MODES.get(_mode(mode))
    if wanted is not None:
        image = image.convert(wanted)
    elif image.mode == "P":
        image = image.convert("RGB")
    array = np.array(image)
    array = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    array = np.array(array * 255 if array.dtype == bool else array, np.uint8, order="C")
    return engine.own_array(array, dt.uint8, CPU)


def read_image(
    path: str | Path,
    mode: Any = ImageReadMode.UNCHANGED,
    apply_exif_orientation: bool = False,
) -> Any:
    """An image file as a uint8 tensor [channels, height, width]."""
    with _pil.images().open(path) as image:
        return _decoded(image, mode, apply_exif_orientation)


def decode_image(
    input: Any,
    mode: Any = ImageReadMode.UNCHANGED,
    apply_exif_orientation: bool = False,
) -> Any:
    """The bytes of an image file (a uint8 tensor, or a path) as a tensor [C, H, W]."""
    if not isinstance(input, Tensor):
        return read_image(input, mode, apply_exif_orientation)
    with _pil.images().open(io.BytesIO(engine.read(input).tobytes())) as image:
        return _decoded(image, mode, apply_exif_orientation)


def read_file(path: str | Path) -> Any:
    """The bytes of a file as a uint8 tensor."""
    return engine.from_array(np.fromfile(path, np.uint8), dt.uint8, CPU)


def write_file(filename: str | Path, data: Any) -> None:
    """A uint8 tensor as the bytes of a file."""
    Path(filename).write_bytes(engine.read(data).tobytes())


def write_png(input: Any, filename: str | Path, compression_level: int = 6) -> None:
    """A uint8 tensor [1 or 3, H, W] as a PNG file."""
    to_pil_image(input).save(filename, format="PNG", compress_level=compression_level)


def write_jpeg(input: Any, filename: str | Path, quality: int = 75) -> None:
    """A uint8 tensor [1 or 3, H, W] as a JPEG file."""
    to_pil_image(input).save(filename, format="JPEG", quality=quality)


__all__ = [
    "ImageReadMode",
    "decode_image",
    "read_file",
    "read_image",
    "write_file",
    "write_jpeg",
    "write_png",
]
