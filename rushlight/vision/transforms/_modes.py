"""How pixels between pixels are found, under PyTorch's names and Pillow's numbers."""

from __future__ import annotations

from enum import Enum
from typing import Any, Final


class InterpolationMode(Enum):
    """How values between pixels are found; the last three are for PIL images only."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


_PILLOW: Final = {
    InterpolationMode.NEAREST: 0,
    InterpolationMode.NEAREST_EXACT: 0,
    InterpolationMode.LANCZOS: 1,
    InterpolationMode.BILINEAR: 2,
    InterpolationMode.BICUBIC: 3,
    InterpolationMode.BOX: 4,
    InterpolationMode.HAMMING: 5,
}
_OF_NUMBER: Final = {
    n: mode for mode, n in _PILLOW.items() if mode is not InterpolationMode.NEAREST_EXACT
}


def pillow(mode: InterpolationMode) -> int:
    """Pillow's number of a mode."""
    return _PILLOW[mode]


def chosen(interpolation: Any) -> InterpolationMode:
    """A mode, given as such or as Pillow's number; `TypeError` for anything else."""
    if isinstance(interpolation, InterpolationMode):
        return interpolation
    if isinstance(interpolation, int):
        return _OF_NUMBER[int(interpolation)]
    raise TypeError(
        "Argument interpolation should be a InterpolationMode or a corresponding Pillow integer "
        "constant"
    )
