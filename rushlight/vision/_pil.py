"""Pillow, loaded when the first image needs it."""

from __future__ import annotations

import functools
import sys
from types import ModuleType
from typing import Any

import numpy as np


@functools.cache
def images() -> ModuleType:
    """`PIL.Image`; `ModuleNotFoundError` that says what to install where there is none."""
    try:
        import PIL.Image
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "images need Pillow, which is not installed: pip install pillow", name=error.name
        ) from None
    module: ModuleType = PIL.Image
    return module


def is_image(value: object) -> bool:
    """Whether a value is a PIL image; nothing is loaded to find out."""
    module: Any = sys.modules.get("PIL.Image")
    return module is not None and isinstance(value, module.Image)


def from_array(array: Any, mode: str | None = None) -> Any:
    """The image of an array: [height, width] or [height, width, channels]."""
    image = images().fromarray(np.ascontiguousarray(array))
    return image if mode is None or image.mode == mode else _as_mode(image, mode)


def _as_mode(image: Any, mode: str) -> Any:
    """The same bytes, taken as pixels of another mode."""
    return images().frombytes(mode, image.size, image.tobytes())
