"""Transforms of samples: an image and what belongs to it (`torchvision.transforms.v2`).

`transform(image, label)` and `transform((image, label))` change the image and give the rest back
as it came.  The image is the PIL image among the inputs, or the first tensor of two dimensions or
more where there is none.  What is here draws and computes as torchvision's does; boxes, masks and
videos as inputs of their own (`tv_tensors`) are not in Rushlight yet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rushlight import nn
from rushlight.base import dtype as dt
from rushlight.engine import Tensor
from rushlight.tensor.creation import from_numpy
from rushlight.vision import _pil
from rushlight.vision.transforms import _basic, _colours, _crops, _turns, functional
from rushlight.vision.transforms import functional as F
from rushlight.vision.transforms._modes import InterpolationMode


def _parts(inputs: tuple[Any, ...]) -> tuple[Any, list[Any]]:
    """The sample, and the values in it."""
    sample = inputs[0] if len(inputs) == 1 else inputs
    if isinstance(sample, dict):
        return sample, list(sample.values())
    return sample, list(sample) if isinstance(sample, tuple | list) else [sample]


def _place(values: list[Any]) -> int:
    """Which of the values is the image."""
    images = [i for i, v in enumerate(values) if _pil.is_image(v)]
    images = images or [i for i, v in enumerate(values) if isinstance(v, Tensor) and v.shape[1:]]
    images = images or [i for i, v in enumerate(values) if isinstance(v, np.ndarray)]
    if not images:
        raise TypeError(
            f"{[type(v).__name__ for v in values]} has no image: a PIL image, a tensor or an array"
        )
    if len(images) > 1 and _pil.is_image(values[images[0]]):
        raise NotImplementedError("several images in one sample are not in Rushlight yet")
    return images[0]


def _put(sample: Any, values: list[Any]) -> Any:
    if isinstance(sample, dict):
        return dict(zip(sample, values))
    if isinstance(sample, tuple) and hasattr(sample, "_fields"):
        return type(sample)(*values)
    return type(sample)(values) if isinstance(sample, tuple | list) else values[0]


class Transform(nn.Module):
    """A transform of the image in a sample; subclasses define `transform(inpt, params)`."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """The changed image."""
        change: Callable[[Any], Any] = super().forward
        return change(inpt)

    def forward(self, *inputs: Any) -> Any:
        """The sample with its image changed."""
        sample, values = _parts(inputs)
        at = _place(values)
        values[at] = self.transform(values[at], {})
        return _put(sample, values)


class Compose(Transform):
    """One transform after the other."""

    def __init__(self, transforms: Sequence[Callable[..., Any]]) -> None:
        super().__init__()
        if not isinstance(transforms, Sequence):
            raise TypeError("Argument transforms should be a sequence of callables")
        if not transforms:
            raise ValueError("Pass at least one transform")
        self.transforms = transforms

    def forward(self, *inputs: Any) -> Any:
        """The sample after all of them."""
        several = len(inputs) > 1
        for t in self.transforms:
            out = t(*inputs)
            inputs = out if several else (out,)
        return inputs if several else inputs[0]

    def extra_repr(self) -> str:
        """The transforms, one on a line."""
        return "\n".join(f"      {t}" for t in self.transforms)


class Identity(Transform):
    """The sample as it is."""

    def forward(self, *inputs: Any) -> Any:
        """The sample."""
        return inputs if len(inputs) > 1 else inputs[0]


class Lambda(Transform):
    """A function of the image."""

    def __init__(self, lambd: Callable[[Any], Any], *types: type) -> None:
        super().__init__()
        self.lambd = lambd
        self.types = types or (object,)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """What the function makes of it, where it is of the types given."""
        return self.lambd(inpt) if isinstance(inpt, self.types) else inpt


class ToImage(Transform):
    """A PIL image or an array [H, W, C] as a tensor [C, H, W] of the same values."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """The tensor."""
        return to_image(inpt)


class PILToTensor(Transform):
    """A PIL image as a tensor [C, H, W] of the same values."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """The tensor."""
        return F.pil_to_tensor(inpt)


class ToPILImage(Transform):
    """A tensor [C, H, W] or an array [H, W, C] as a PIL image."""

    def __init__(self, mode: str | None = None) -> None:
        super().__init__()
        self.mode = mode

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """The image."""
        return F.to_pil_image(inpt, self.mode)


class ToTensor(Transform):
    """A PIL image or an array of bytes as a float tensor [C, H, W] within 0 to 1."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """The tensor."""
        return F.to_tensor(inpt)


class ToDtype(Transform):
    """A tensor in another dtype; with `scale`, its values in that dtype's range."""

    def __init__(self, dtype: dt.dtype, scale: bool = False) -> None:
        super().__init__()
        if not isinstance(dtype, dt.dtype):
            raise ValueError(f"dtype must be a torch.dtype, got {type(dtype)} instead")
        self.dtype = dtype
        self.scale = scale

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """The tensor; PIL images stay as they are."""
        return to_dtype(inpt, self.dtype, self.scale) if isinstance(inpt, Tensor) else inpt


def to_image(inpt: Any) -> Any:
    """A PIL image or an array [H, W, C] as a tensor [C, H, W] of the same values."""
    if isinstance(inpt, Tensor):
        return inpt
    if isinstance(inpt, np.ndarray):
        planes = inpt[:, :, None] if inpt.ndim == 2 else inpt
        return from_numpy(np.ascontiguousarray(planes.transpose(2, 0, 1)))
    return F.pil_to_tensor(inpt)


def to_dtype(inpt: Any, dtype: dt.dtype = dt.float32, scale: bool = False) -> Any:
    """A tensor in another dtype; with `scale`, its values in that dtype's range."""
    return F.convert_image_dtype(inpt, dtype) if scale else inpt.to(dtype)


class ConvertImageDtype(Transform, _basic.ConvertImageDtype):
    """A tensor image in another dtype, its values scaled to that dtype's range."""


class Normalize(Transform, _basic.Normalize):
    """`(channel - mean) / std` of each channel of a float tensor image."""


class Resize(Transform, _crops.Resize):
    """To (height, width), or the smaller edge to a number."""


class CenterCrop(Transform, _crops.CenterCrop):
    """The middle, with a border of 0 where the image is smaller."""


class Pad(Transform, _crops.Pad):
    """More rows and columns."""


class RandomResizedCrop(Transform, _crops.RandomResizedCrop):
    """A part of random area and aspect ratio, resized."""


class RandomHorizontalFlip(Transform, _turns.RandomHorizontalFlip):
    """The mirror image, left for right, with probability `p`."""


class RandomVerticalFlip(Transform, _turns.RandomVerticalFlip):
    """The mirror image, up for down, with probability `p`."""


class RandomRotation(Transform, _turns.RandomRotation):
    """Turned by degrees within a range."""


class ColorJitter(Transform, _colours.ColorJitter):
    """Brightness, contrast, saturation and hue changed at random, in random order."""


class Grayscale(Transform, _colours.Grayscale):
    """Grey, as one channel or three equal ones."""


class RandomGrayscale(Transform, _colours.RandomGrayscale):
    """Grey with probability `p`."""


class GaussianBlur(Transform, _colours.GaussianBlur):
    """Blurred with Gaussian weights."""


class RandomErasing(Transform, _colours.RandomErasing):
    """A random rectangle of a tensor image set to a value, with probability `p`."""


__all__ = [
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "ConvertImageDtype",
    "GaussianBlur",
    "Grayscale",
    "Identity",
    "InterpolationMode",
    "Lambda",
    "Normalize",
    "PILToTensor",
    "Pad",
    "RandomErasing",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomVerticalFlip",
    "Resize",
    "ToDtype",
    "ToImage",
    "ToPILImage",
    "ToTensor",
    "Transform",
    "functional",
    "to_dtype",
    "to_image",
]
