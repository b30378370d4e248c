"""Arguments that several transforms share, checked."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

from rushlight.engine import Tensor


def size_pair(size: Any, error_msg: str) -> Sequence[int]:
    """(height, width) of those two or of one number."""
    if isinstance(size, numbers.Number):
        return int(size), int(size)  # type: ignore[call-overload]
    if isinstance(size, Sequence) and len(size) == 1:
        return size[0], size[0]
    if len(size) != 2:
        raise ValueError(error_msg)
    pair: Sequence[int] = size
    return pair


CROP_SIZE = "Please provide only two dimensions (h, w) for size."


def check_sequence(x: Any, name: str, lengths: tuple[int, ...]) -> None:
    """`x` must be a sequence of one of the lengths."""
    words = f"{name} should be a sequence of length {' or '.join(map(str, lengths))}."
    if not isinstance(x, Sequence):
        raise TypeError(words)
    if len(x) not in lengths:
        raise ValueError(words)


def angles(x: Any, name: str, lengths: tuple[int, ...] = (2,)) -> list[float]:
    """A range of degrees: two numbers, or one for both sides of 0."""
    if isinstance(x, numbers.Number):
        if x < 0:  # type: ignore[operator]
            raise ValueError(f"If {name} is a single number, it must be positive.")
        x = [-x, x]  # type: ignore[operator]
    else:
        check_sequence(x, name, lengths)
    return [float(d) for d in x]


def fill_colour(fill: Any) -> Any:
    """A number or a sequence of them; None is 0."""
    if fill is None:
        return 0
    if not isinstance(fill, Sequence | numbers.Number):
        raise TypeError("Fill should be either a sequence or a number.")
    return fill


def fill_for(img: Any, fill: Any, channels: int) -> Any:
    """The colour, as tensors want it where the image is one."""
    if not isinstance(img, Tensor):
        return fill
    if isinstance(fill, int | float):
        return [float(fill)] * channels
    return [float(f) for f in fill]
