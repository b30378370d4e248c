"""Transforms of PIL images, with Pillow."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight.vision import _pil


def need_image(img: Any) -> None:
    """`TypeError` for what is no PIL image."""
    if not _pil.is_image(img):
        raise TypeError(f"img should be PIL Image. Got {type(img)}")


def get_dimensions(img: Any) -> list[int]:
    """[channels, height, width]"""
    if not _pil.is_image(img):
        raise TypeError(f"Unexpected type {type(img)}")
    width, height = img.size
    return [len(img.getbands()), height, width]


def hflip(img: Any) -> Any:
    """Left is right."""
    need_image(img)
    return img.transpose(_pil.images().Transpose.FLIP_LEFT_RIGHT)


def vflip(img: Any) -> Any:
    """Up is down."""
    need_image(img)
    return img.transpose(_pil.images().Transpose.FLIP_TOP_BOTTOM)


def enhance(img: Any, what: str, factor: float) -> Any:
    """Pillow's enhancer of that name: "Brightness", "Contrast", "Color" or "Sharpness"."""
    need_image(img)
    from PIL import ImageEnhance

    return getattr(ImageEnhance, what)(img).enhance(factor)


def adjust_hue(img: Any, hue_factor: float) -> Any:
    """Turn the hues by a part of the circle."""
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    need_image(img)
    if img.mode in {"L", "1", "I", "F"}:
        return img
    h, s, v = img.convert("HSV").split()
    turned = np.array(h, np.uint8) + np.int32(hue_factor * 255).astype(np.uint8)  # wraps round
    hue = _pil.from_array(turned, "L")
    return _pil.images().merge("HSV", (hue, s, v)).convert(img.mode)


def adjust_gamma(img: Any, gamma: float, gain: float = 1.0) -> Any:
    """`255 * gain * (value / 255) ** gamma`"""
    need_image(img)
    if gamma < 0:
        raise ValueError("Gamma should be a non-negative real number")
    table = [int((255 + 1 - 1e-3) * gain * pow(v / 255.0, gamma)) for v in range(256)] * 3
    return img.convert("RGB").point(table).convert(img.mode)


def pad(img: Any, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> Any:
    """More rows and columns; negative numbers cut some off."""
    need_image(img)
    if not isinstance(padding, numbers.Number | tuple | list):
        raise TypeError("Got inappropriate padding arg")
    if fill is not None and not isinstance(fill, numbers.Number | tuple | list):
        raise TypeError("Got inappropriate fill arg")
    if not isinstance(padding_mode, str):
        raise TypeError("Got inappropriate padding_mode arg")
    left, right, top, bottom = sides(padding)
    check_padding_mode(padding_mode)
    if padding_mode == "constant":
        from PIL import ImageOps

        out = ImageOps.expand(img, (left, top, right, bottom), **_fill(fill, img, "fill"))
        if img.mode == "P":
            out.putpalette(img.getpalette())
        return out
    cut = [max(-n, 0) for n in (left, top, right, bottom)]
    if any(cut):
        img = img.crop((cut[0], cut[1], img.width - cut[2], img.height - cut[3]))
    left, right, top, bottom = (max(n, 0) for n in (left, right, top, bottom))
    array = np.asarray(img)
    widths = ((top, bottom), (left, right), (0, 0))[: array.ndim]
    out = _pil.images().fromarray(np.pad(array, widths, padding_mode))  # type: ignore[call-overload]
    if img.mode == "P":
        out.putpalette(img.getpalette())
    return out


def sides(padding: Any) -> tuple[int, int, int, int]:
    """Left, right, top and bottom of one, two or four numbers."""
    numbers_ = list(padding) if isinstance(padding, Sequence) else [padding]
    if len(numbers_) not in (1, 2, 4):
        raise ValueError(
            f"Padding must be an int or a 1, 2, or 4 element tuple, not a {len(numbers_)} element "
            "tuple"
        )
    if len(numbers_) == 1:
        numbers_ *= 4
    elif len(numbers_) == 2:
        numbers_ *= 2
    left, top, right, bottom = numbers_
    return left, right, top, bottom


def check_padding_mode(mode: str) -> None:
    """`ValueError` for an unknown one."""
    if mode not in ("constant", "edge", "reflect", "symmetric"):
        raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """A part; what lies outside is black."""
    need_image(img)
    return img.crop((left, top, left + width, top + height))


def resize(img: Any, size: list[int], interpolation: int) -> Any:
    """Another height and width."""
    need_image(img)
    return img.resize((size[1], size[0]), interpolation)


def _fill(fill: Any, img: Any, name: str = "fillcolor") -> dict[str, Any]:
    """The colour of what is new, one number for each channel."""
    channels = len(img.getbands())
    if fill is None:
        fill = 0
    if isinstance(fill, int | float) and channels > 1:
        fill = (fill,) * channels
    if isinstance(fill, list | tuple):
        if len(fill) == 1:
            fill = tuple(fill) * channels
        elif len(fill) != channels:
            raise ValueError(
                "The number of elements in 'fill' does not match the number of channels of the "
                f"image ({len(fill)} != {channels})"
            )
        fill = tuple(fill)
    if img.mode != "F":
        fill = tuple(int(x) for x in fill) if isinstance(fill, tuple) else int(fill)
    return {name: fill}


def affine(img: Any, matrix: list[float], interpolation: int, fill: Any) -> Any:
    """Each pixel from where the matrix says."""
    need_image(img)
    kind = _pil.images().Transform.AFFINE
    return img.transform(img.size, kind, matrix, interpolation, **_fill(fill, img))


def perspective(img: Any, coefficients: list[float], interpolation: int, fill: Any) -> Any:
    """Each pixel from where the eight coefficients say."""
    need_image(img)
    kind = _pil.images().Transform.PERSPECTIVE
    return img.transform(img.size, kind, coefficients, interpolation, **_fill(fill, img))


def rotate(img: Any, angle: float, interpolation: int, expand: bool, center: Any, fill: Any) -> Any:
    """Turned counter-clockwise by degrees."""
    need_image(img)
    return img.rotate(angle, interpolation, expand, center, **_fill(fill, img))


def to_grayscale(img: Any, num_output_channels: int) -> Any:
    """Grey, as one channel or three equal ones."""
    need_image(img)
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    grey = img.convert("L")
    if num_output_channels == 1:
        return grey
    array = np.array(grey, np.uint8)
    return _pil.from_array(np.dstack([array] * 3), "RGB")


def operate(img: Any, what: str, *arguments: Any) -> Any:
    """The function of `PIL.ImageOps` of that name."""
    need_image(img)
    from PIL import ImageOps

    return getattr(ImageOps, what)(img, *arguments)
