"""Transforms as functions, of PIL images and of tensors (`torchvision.transforms.functional`)."""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from rushlight.engine import Tensor
from rushlight.vision import _pil
from rushlight.vision.transforms import _functional_pil as fp
from rushlight.vision.transforms import _functional_tensor as ft
from rushlight.vision.transforms import _geometry as geometry
from rushlight.vision.transforms._conversions import (
    convert_image_dtype,
    need_tensor,
    normalize,
    pil_to_tensor,
    to_pil_image,
    to_tensor,
)
from rushlight.vision.transforms._modes import InterpolationMode, chosen, pillow

_BILINEAR, _NEAREST = InterpolationMode.BILINEAR, InterpolationMode.NEAREST


def get_dimensions(img: Any) -> list[int]:
    """[channels, height, width]"""
    return ft.get_dimensions(img) if isinstance(img, Tensor) else fp.get_dimensions(img)


def get_image_size(img: Any) -> list[int]:
    """[width, height]"""
    return get_dimensions(img)[:0:-1]


def get_image_num_channels(img: Any) -> int:
    """How many channels an image has."""
    return get_dimensions(img)[0]


def _both(name: str, doc: str, of_images: Callable[..., Any]) -> Callable[..., Any]:
    of_tensors = getattr(ft, name)

    def function(img: Any, *args: Any, **kwargs: Any) -> Any:
        return (of_tensors if isinstance(img, Tensor) else of_images)(img, *args, **kwargs)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


# ------------------------------------------------------------------ sizes and borders


def output_size(height: int, width: int, size: Sequence[int], max_size: int | None) -> list[int]:
    """Height and width of an image resized to `size`: both, or the smaller edge alone."""
    if len(size) == 2:
        return [size[0], size[1]]
    short, long = sorted((height, width))
    new_short, new_long = size[0], int(size[0] * long / short)
    if max_size is not None:
        if max_size <= size[0]:
            raise ValueError(
                f"max_size = {max_size} must be strictly greater than the requested size for the "
                f"smaller edge size = {size}"
            )
        if new_long > max_size:
            new_short, new_long = int(max_size * new_short / new_long), max_size
    return [new_long, new_short] if width <= height else [new_short, new_long]


def resize(
    img: Any,
    size: Any,
    interpolation: Any = _BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """An image of another size: (height, width), or a number for the smaller edge."""
    mode = chosen(interpolation)
    sizes = [size] if isinstance(size, int) else list(size)
    if len(sizes) not in (1, 2):
        raise ValueError(
            f"Size must be an int or a 1 or 2 element tuple/list, not a {len(sizes)} element "
            "tuple/list"
        )
    if max_size is not None and len(sizes) != 1:
        raise ValueError(
            "max_size should only be passed if size specifies the length of the smaller edge, "
            "i.e. size should be an int or a sequence of length 1 in torchscript mode."
        )
    _, height, width = get_dimensions(img)
    wanted = output_size(height, width, sizes, max_size)
    if [height, width] == wanted:
        return img
    if isinstance(img, Tensor):
        return ft.resize(img, wanted, mode.value, antialias)
    if antialias is False:
        warnings.warn(
            "Anti-alias option is always applied for PIL Image input. Argument antialias is "
            "ignored.",
            stacklevel=2,
        )
    return fp.resize(img, wanted, pillow(mode))


def pad(img: Any, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> Any:
    """More rows and columns: one number, (x, y), or (left, top, right, bottom)."""
    return (ft if isinstance(img, Tensor) else fp).pad(img, padding, fill, padding_mode)


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """A part of an image; what lies outside of it is 0."""
    return (ft if isinstance(img, Tensor) else fp).crop(img, top, left, height, width)


def two_sizes(size: Any) -> tuple[int, int]:
    """(height, width) of those two or of one number."""
    if isinstance(size, numbers.Number):
        return int(size), int(size)  # type: ignore[call-overload]
    if len(size) == 1:
        return size[0], size[0]
    if len(size) != 2:
        raise ValueError("Please provide only two dimensions (h, w) for size.")
    return size[0], size[1]


def center_crop(img: Any, output_size: Any) -> Any:
    """The middle of an image, with a border of 0 where the image is smaller."""
    ch, cw = two_sizes(output_size)
    _, h, w = get_dimensions(img)
    if cw > w or ch > h:
        x, y = max(cw - w, 0), max(ch - h, 0)
        img = pad(img, [x // 2, y // 2, (x + 1) // 2, (y + 1) // 2], fill=0)
        _, h, w = get_dimensions(img)
        if (cw, ch) == (w, h):
            return img
    return crop(img, round((h - ch) / 2.0), round((w - cw) / 2.0), ch, cw)


def resized_crop(
    img: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Any,
    interpolation: Any = _BILINEAR,
    antialias: bool | None = True,
) -> Any:
    """A part of an image, resized."""
    return resize(crop(img, top, left, height, width), size, interpolation, antialias=antialias)


def five_crop(img: Any, size: Any) -> tuple[Any, Any, Any, Any, Any]:
    """The four corners and the middle."""
    ch, cw = two_sizes(size)
    _, h, w = get_dimensions(img)
    if cw > w or ch > h:
        raise ValueError(f"Requested crop size {(ch, cw)} is bigger than input size {(h, w)}")
    return (
        crop(img, 0, 0, ch, cw),
        crop(img, 0, w - cw, ch, cw),
        crop(img, h - ch, 0, ch, cw),
        crop(img, h - ch, w - cw, ch, cw),
        center_crop(img, [ch, cw]),
    )


def ten_crop(img: Any, size: Any, vertical_flip: bool = False) -> tuple[Any, ...]:
    """`five_crop` of the image and of its mirror image."""
    return five_crop(img, size) + five_crop(vflip(img) if vertical_flip else hflip(img), size)


def hflip(img: Any) -> Any:
    """The mirror image: left is right."""
    if not isinstance(img, Tensor):
        return fp.hflip(img)
    return _flipped(img, -1)


def vflip(img: Any) -> Any:
    """The mirror image: up is down."""
    if not isinstance(img, Tensor):
        return fp.vflip(img)
    return _flipped(img, -2)


def _flipped(img: Any, dim: int) -> Any:
    ft.need_image(img)
    return img.flip(dim)


# ----------------------------------------------------------------------------- colours

adjust_brightness = _both(
    "adjust_brightness",
    "Towards black (0), as it is (1), or brighter.",
    lambda img, brightness_factor: fp.enhance(img, "Brightness", brightness_factor),
)
adjust_contrast = _both(
    "adjust_contrast",
    "Towards the mean grey (0), as it is (1), or stronger.",
    lambda img, contrast_factor: fp.enhance(img, "Contrast", contrast_factor),
)
adjust_saturation = _both(
    "adjust_saturation",
    "Towards grey (0), as it is (1), or more colourful.",
    lambda img, saturation_factor: fp.enhance(img, "Color", saturation_factor),
)
adjust_sharpness = _both(
    "adjust_sharpness",
    "Towards blurred (0), as it is (1), or sharper.",
    lambda img, sharpness_factor: fp.enhance(img, "Sharpness", sharpness_factor),
)
adjust_hue = _both(
    "adjust_hue", "Turn the hues by a part of the circle, -0.5 to 0.5.", fp.adjust_hue
)
adjust_gamma = _both("adjust_gamma", "`gain * value ** gamma`", fp.adjust_gamma)
invert = _both("invert", "White is black.", lambda img: fp.operate(img, "invert"))
posterize = _both(
    "posterize",
    "Only the upper bits of each value.",
    lambda img, bits: fp.operate(img, "posterize", bits),
)
solarize = _both(
    "solarize",
    "Values from the threshold on, inverted.",
    lambda img, threshold: fp.operate(img, "solarize", threshold),
)
autocontrast = _both(
    "autocontrast",
    "Each channel stretched to the whole range.",
    lambda img: fp.operate(img, "autocontrast"),
)
equalize = _both(
    "equalize",
    "Each channel with as many pixels of each value, as far as that goes.",
    lambda img: fp.operate(img, "equalize"),
)
rgb_to_grayscale = _both(
    "rgb_to_grayscale",
    "Grey, as one channel or three equal ones.",
    lambda img, num_output_channels=1: fp.to_grayscale(img, num_output_channels),
)


def to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """A PIL image in grey, as one channel or three equal ones."""
    if _pil.is_image(img):
        return fp.to_grayscale(img, num_output_channels)
    raise TypeError("Input should be PIL Image")


def gaussian_blur(img: Any, kernel_size: Any, sigma: Any = None) -> Any:
    """Each pixel a mean of those around it, with Gaussian weights; sizes and widths as (x, y)."""
    if not isinstance(kernel_size, int | list | tuple):
        raise TypeError(
            f"kernel_size should be int or a sequence of integers. Got {type(kernel_size)}"
        )
    sizes = [kernel_size] * 2 if isinstance(kernel_size, int) else list(kernel_size)
    if len(sizes) != 2:
        raise ValueError(f"If kernel_size is a sequence its length should be 2. Got {len(sizes)}")
    if any(k % 2 == 0 or k < 0 for k in sizes):
        raise ValueError(f"kernel_size should have odd and positive integers. Got {sizes}")
    if sigma is None:
        sigma = [k * 0.15 + 0.35 for k in sizes]
    if not isinstance(sigma, int | float | list | tuple):
        raise TypeError(f"sigma should be either float or sequence of floats. Got {type(sigma)}")
    widths = [float(sigma)] * 2 if isinstance(sigma, int | float) else list(sigma)
    if len(widths) == 1:
        widths *= 2
    if len(widths) != 2:
        raise ValueError(f"If sigma is a sequence, its length should be 2. Got {len(widths)}")
    if any(s <= 0.0 for s in widths):
        raise ValueError(f"sigma should have positive values. Got {widths}")
    return _as_tensor(img, lambda x: ft.gaussian_blur(x, sizes, widths))


def _as_tensor(img: Any, function: Callable[[Any], Any]) -> Any:
    """The function of a tensor, of a PIL image too."""
    if isinstance(img, Tensor):
        return function(img)
    if not _pil.is_image(img):
        raise TypeError(f"img should be PIL Image or Tensor. Got {type(img)}")
    return to_pil_image(function(pil_to_tensor(img)), mode=img.mode)


def erase(img: Any, i: int, j: int, h: int, w: int, v: Any, inplace: bool = False) -> Any:
    """A rectangle of a tensor image set to `v`: from row i and column j, h high and w wide."""
    need_tensor(img, f"img should be Tensor Image. Got {type(img)}")
    return ft.erase(img, i, j, h, w, v, inplace)


# ---------------------------------------------------------------------------- geometry


def _middle(img: Any, center: Any) -> list[float]:
    """The centre of rotation, from the middle of the image."""
    if center is None:
        return [0.0, 0.0]
    _, h, w = get_dimensions(img)
    return [c - s * 0.5 for c, s in zip(center, (w, h))]


def _check_turn(angle: Any, center: Any) -> None:
    if not isinstance(angle, int | float):
        raise TypeError("Argument angle should be int or float")
    if center is not None and not isinstance(center, list | tuple):
        raise TypeError("Argument center should be a sequence")


def rotate(
    img: Any,
    angle: float,
    interpolation: Any = _NEAREST,
    expand: bool = False,
    center: Any = None,
    fill: Any = None,
) -> Any:
    """Turned counter-clockwise by degrees; `expand`: the result holds all of the image."""
    mode = chosen(interpolation)
    _check_turn(angle, center)
    if not isinstance(img, Tensor):
        return fp.rotate(img, angle, pillow(mode), expand, center, fill)
    matrix = geometry.inverse_affine_matrix(
        _middle(img, center), -angle, [0.0, 0.0], 1.0, [0.0, 0.0]
    )
    _, h, w = get_dimensions(img)
    size = geometry.rotated_size(matrix, w, h) if expand else (w, h)
    return geometry.affine(img, matrix, mode.value, fill, size)


def affine(
    img: Any,
    angle: float,
    translate: Any,
    scale: float,
    shear: Any,
    interpolation: Any = _NEAREST,
    fill: Any = None,
    center: Any = None,
) -> Any:
    """Turned clockwise by degrees, moved by (x, y) pixels, scaled, and sheared by degrees."""
    mode = chosen(interpolation)
    _check_turn(angle, center)
    if not isinstance(translate, list | tuple):
        raise TypeError("Argument translate should be a sequence")
    if len(translate) != 2:
        raise ValueError("Argument translate should be a sequence of length 2")
    if scale <= 0.0:
        raise ValueError("Argument scale should be positive")
    if not isinstance(shear, numbers.Number | list | tuple):
        raise TypeError("Shear should be either a single value or a sequence of two values")
    angles: list[Any] = [shear, 0.0] if isinstance(shear, numbers.Number) else list(shear)
    if len(angles) == 1:
        angles *= 2
    if len(angles) != 2:
        raise ValueError(f"Shear should be a sequence containing two values. Got {shear}")
    if isinstance(img, Tensor):
        matrix = geometry.inverse_affine_matrix(
            _middle(img, center), angle, translate, scale, angles
        )
        return geometry.affine(img, matrix, mode.value, fill)
    _, h, w = get_dimensions(img)
    middle = [w * 0.5, h * 0.5] if center is None else center
    matrix = geometry.inverse_affine_matrix(middle, float(angle), translate, scale, angles)
    return fp.affine(img, matrix, pillow(mode), fill)


def perspective(
    img: Any,
    startpoints: Any,
    endpoints: Any,
    interpolation: Any = _BILINEAR,
    fill: Any = None,
) -> Any:
    """The four start points, (x, y) each, moved to the end points."""
    coefficients = geometry.perspective_coefficients(startpoints, endpoints)
    mode = chosen(interpolation)
    if isinstance(img, Tensor):
        return geometry.perspective(img, coefficients, mode.value, fill)
    return fp.perspective(img, coefficients, pillow(mode), fill)


def elastic_transform(
    img: Any, displacement: Any, interpolation: Any = _BILINEAR, fill: Any = None
) -> Any:
    """Each pixel from its own place, moved by `displacement` [1, H, W, 2]."""
    mode = chosen(interpolation)
    need_tensor(displacement, "Argument displacement should be a Tensor")

    def moved(x: Any) -> Any:
        wanted = (1, *x.shape[-2:], 2)
        if tuple(displacement.shape) != wanted:
            raise ValueError(
                f"Argument displacement shape should be {wanted}, but given {displacement.shape}"
            )
        return geometry.elastic_transform(x, displacement, mode.value, fill)

    return _as_tensor(img, moved)


__all__ = [
    "InterpolationMode",
    "adjust_brightness",
    "adjust_contrast",
    "adjust_gamma",
    "adjust_hue",
    "adjust_saturation",
    "adjust_sharpness",
    "affine",
    "autocontrast",
    "center_crop",
    "convert_image_dtype",
    "crop",
    "elastic_transform",
    "equalize",
    "erase",
    "five_crop",
    "gaussian_blur",
    "get_dimensions",
    "get_image_num_channels",
    "get_image_size",
    "hflip",
    "invert",
    "normalize",
    "pad",
    "perspective",
    "pil_to_tensor",
    "posterize",
    "resize",
    "resized_crop",
    "rgb_to_grayscale",
    "rotate",
    "solarize",
    "ten_crop",
    "to_grayscale",
    "to_pil_image",
    "to_tensor",
    "vflip",
]
