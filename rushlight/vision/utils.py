"""Grids of images, image files, boxes drawn into images (`torchvision.utils`)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from rushlight import engine
from rushlight.autograd import no_grad
from rushlight.base import dtype as dt
from rushlight.engine import Tensor
from rushlight.tensor.creation import tensor as make
from rushlight.tensor.install import FUNCTIONS
from rushlight.vision import _pil


@no_grad()
def make_grid(
    tensor: Any,
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: tuple[float, float] | None = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
    **old: Any,
) -> Any:
    """Images [N, C, H, W], or a list of them, as one image with `nrow` of them in a row.

    `normalize`: to 0 to 1, from `value_range` or from the values there are (of each image with
    `scale_each`).
    """
    if "range" in old:
        value_range = old.pop("range")  # its name of old
    if old:
        raise TypeError(f"make_grid() got an unexpected keyword argument {next(iter(old))!r}")
    if isinstance(tensor, list | tuple):
        for t in tensor:
            if not isinstance(t, Tensor):
                raise TypeError(
                    f"tensor or list of tensors expected, got a list containing {type(t)}"
                )
        tensor = FUNCTIONS["stack"](tensor, 0)
    elif not isinstance(tensor, Tensor):
        raise TypeError(f"tensor or list of tensors expected, got {type(tensor)}")
    images: Any = tensor
    if len(images.shape) == 2:
        images = images.unsqueeze(0)
    if len(images.shape) == 3:
        images = images.unsqueeze(0)
    if images.shape[1] == 1:
        images = FUNCTIONS["cat"]((images, images, images), 1)
    if normalize:
        if value_range is not None and not isinstance(value_range, tuple):
            raise TypeError(
                "value_range has to be a tuple (min, max) if specified. min and max are numbers"
            )
        if scale_each:
            scaled = [_scaled(t, value_range) for t in images.unbind(0)]
            images = FUNCTIONS["stack"](scaled, 0)
        else:
            images = _scaled(images, value_range)
    if not isinstance(images, Tensor):
        raise TypeError("tensor should be of type torch.Tensor")
    return _laid_out(images, nrow, padding, pad_value)


def _scaled(images: Any, value_range: tuple[float, float] | None) -> Any:
    low, high = value_range or (float(images.min()), float(images.max()))
    return images.clamp(min=low, max=high).sub(low).div(max(high - low, 1e-5))


def _laid_out(images: Any, nrow: int, padding: int, pad_value: float) -> Any:
    count, channels, h, w = images.shape
    if count == 1:
        return images.squeeze(0)
    columns = min(nrow, count)
    rows = math.ceil(count / columns)
    height, width = h + padding, w + padding
    grid = FUNCTIONS["full"](
        (channels, height * rows + padding, width * columns + padding),
        pad_value,
        dtype=images.dtype,
    )
    for k in range(count):
        y, x = divmod(k, columns)
        top, left = y * height + padding, x * width + padding
        grid[:, top : top + h, left : left + w] = images[k]
    return grid


@no_grad()
def save_image(
    tensor: Any, fp: str | Path | BinaryIO, format: str | None = None, **kwargs: Any
) -> None:
    """`make_grid` of the images, written to an image file.

    Values within 0 to 1 become bytes; `format` is needed where `fp` is no file name.
    """
    grid = make_grid(tensor, **kwargs)
    bytes_ = grid.mul(255).add_(0.5).clamp_(0, 255).permute(1, 2, 0).to(dt.uint8)
    _pil.from_array(np.array(engine.read(bytes_))).save(fp, format=format)


# ----------------------------------------------------------------------------- drawing


def _canvas(image: Any, name: str) -> tuple[Any, bool]:
    """A tensor image as a PIL image to draw on, and whether its values were floats."""
    if not isinstance(image, Tensor):
        raise TypeError(f"Tensor expected, got {type(image)}")
    if image.dtype is not dt.uint8 and image.dtype.kind != "f":
        raise ValueError(f"The image dtype must be uint8 or float, got {image.dtype}")
    if len(image.shape) != 3:
        raise ValueError("Pass individual images, not batches")
    if image.shape[0] not in (1, 3):
        raise ValueError("Only grayscale and RGB images are supported")
    values = engine.read(image)
    if values.shape[0] == 1:
        values = np.tile(values, (3, 1, 1))
    floats = values.dtype.kind == "f"
    if floats:
        values = (values * (255 + 1.0 - 1e-3)).astype(np.uint8)
    return _pil.from_array(values.transpose(1, 2, 0)), floats


def _back(canvas: Any, like: Any, floats: bool) -> Any:
    out: Any = make(np.array(canvas))
    out = out.permute(2, 0, 1)
    return out.to(like.dtype) / 255.0 if floats else out


def _colours(colors: Any, count: int) -> list[Any]:
    from PIL import ImageColor

    if colors is None:
        base = [2**25 - 1, 2**15 - 1, 2**21 - 1]
        found: list[Any] = [tuple((i * b) % 255 for b in base) for i in range(count)]
    elif isinstance(colors, list):
        if len(colors) < count:
            raise ValueError(
                f"Number of colors must be equal or larger than the number of objects, but got "
                f"{len(colors)} < {count}."
            )
        found = colors[:count]
    else:
        found = [colors] * count
    return [ImageColor.getrgb(c) if isinstance(c, str) else tuple(c) for c in found]


@no_grad()
def draw_bounding_boxes(
    image: Any,
    boxes: Any,
    labels: list[str | None] | None = None,
    colors: Any = None,
    fill: bool | None = False,
    width: int = 1,
    font: str | None = None,
    font_size: int | None = None,
) -> Any:
    """A copy of an image [C, H, W] with boxes [N, 4] of (x1, y1, x2, y2) and their labels."""
    from PIL import ImageDraw, ImageFont

    canvas, floats = _canvas(image, "draw_bounding_boxes")
    corners = engine.read(boxes).tolist()
    for x1, y1, x2, y2 in corners:
        if x1 > x2 or y1 > y2:
            raise ValueError(
                "Boxes need to be in (xmin, ymin, xmax, ymax) format. Use "
                "torchvision.ops.box_convert to convert them"
            )
    texts = labels or [None] * len(corners)
    if len(texts) != len(corners):
        raise ValueError(
            f"Number of boxes ({len(corners)}) and labels ({len(texts)}) mismatch. Please specify "
            "labels for each box."
        )
    draw = ImageDraw.Draw(canvas, "RGBA" if fill else None)
    written = ImageFont.truetype(font, font_size or 10) if font else ImageFont.load_default()
    for box, text, colour in zip(corners, texts, _colours(colors, len(corners))):
        inside = (*colour, 100) if fill else None
        draw.rectangle(box, width=width, outline=colour, fill=inside)
        if text is not None:
            draw.text((box[0] + width + 1, box[1] + width + 1), text, fill=colour, font=written)
    return _back(canvas, image, floats)


@no_grad()
def draw_segmentation_masks(image: Any, masks: Any, alpha: float = 0.8, colors: Any = None) -> Any:
    """A uint8 or float image [C, H, W] with boolean masks [H, W] or [N, H, W] laid over it."""
    canvas, floats = _canvas(image, "draw_segmentation_masks")
    if masks.dtype is not dt.bool_:
        raise ValueError(f"The masks must be of dtype bool. Got {masks.dtype}")
    planes = engine.read(masks)
    planes = planes[None] if planes.ndim == 2 else planes
    if planes.shape[-2:] != tuple(image.shape[-2:]):
        raise ValueError("The image and the masks must have the same height and width")
    base = np.array(canvas)
    over = base.copy()
    for plane, colour in zip(planes, _colours(colors, len(planes))):
        over[plane] = colour
    mixed = base * (1 - alpha) + over * alpha
    return _back(np.asarray(mixed, np.uint8), image, floats)


__all__ = ["draw_bounding_boxes", "draw_segmentation_masks", "make_grid", "save_image"]
