"""Between PIL images, arrays and tensors, and from one range of values to another."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.base.device import CPU
from rushlight.base.dtype import dtype
from rushlight.engine import Tensor
from rushlight.tensor.creation import as_tensor
from rushlight.tensor.install import FUNCTIONS
from rushlight.tensor.kinds import get_default_dtype
from rushlight.vision import _pil

_LARGEST: Final = {k: int(np.iinfo(k.numpy).max) for k in dt.ALL if k.kind in "iu"}
_MODES: Final = {"I": np.int32, "I;16": np.int16, "F": np.float32}


def largest(kind: dtype) -> int:
    """The value of white in a dtype: 1 for floating ones."""
    return _LARGEST.get(kind, 1)


def need_tensor(image: Any, words: str) -> None:
    """`TypeError` with these words for what is no tensor."""
    if not isinstance(image, Tensor):
        raise TypeError(words)


# ------------------------------------------------------------------------ to tensors


def to_tensor(pic: Any) -> Any:
    """A PIL image or an array [H, W] or [H, W, C] as a tensor [C, H, W].

    Bytes become floats within 0 to 1, other types keep their values.
    """
    if isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
        array = pic[:, :, None] if pic.ndim == 2 else pic
    elif _pil.is_image(pic):
        array = _pixels(pic, _MODES.get(pic.mode, np.uint8))
        if pic.mode == "1":
            array = 255 * array
    else:
        raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}")
    planes = array.transpose(2, 0, 1)
    if planes.dtype == np.uint8:
        kind = get_default_dtype()
        if kind is dt.float32:
            return engine.own_array(np.divide(planes, np.float32(255), order="C"), kind, CPU)
        return _owned(planes).to(kind).div(255)
    return _owned(planes)


def pil_to_tensor(pic: Any) -> Any:
    """A PIL image as a tensor [C, H, W] of its own type."""
    if not _pil.is_image(pic):
        raise TypeError(f"pic should be PIL Image. Got {type(pic)}")
    return _owned_as_is(_pixels(pic, None)).permute(2, 0, 1)


def _pixels(image: Any, kind: Any) -> Any:
    """A fresh array [H, W, C] of an image's pixels."""
    array = np.array(image, kind, copy=True)
    return array.reshape(image.size[1], image.size[0], len(image.getbands()))


def _owned(planes: Any) -> Any:
    return _owned_as_is(np.array(planes, order="C"))


def _owned_as_is(array: Any) -> Any:
    return engine.own_array(array, dt.from_numpy(array.dtype), CPU)


# ------------------------------------------------------------------------- to images

_BY_CHANNELS: Final = {
    2: ("LA", ["LA"], "Only modes {} are supported for 2D inputs"),
    3: ("RGB", ["RGB", "YCbCr", "HSV"], "Only modes {} are supported for 3D inputs"),
    4: ("RGBA", ["RGBA", "CMYK", "RGBX"], "Only modes {} are supported for 4D inputs"),
}
_OF_ONE: Final = {"uint8": "L", "int16": "I;16", "int32": "I", "float32": "F"}


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """A tensor [C, H, W] or [H, W], or an array [H, W, C] or [H, W], as a PIL image.

    Floating values within 0 to 1 become bytes, except in mode "F".
    """
    if isinstance(pic, Tensor):
        array = engine.read(pic)
        if array.ndim == 3:
            array = array.transpose(1, 2, 0)
    elif isinstance(pic, np.ndarray):
        array = pic
    else:
        raise TypeError(f"pic should be Tensor or ndarray. Got {type(pic)}.")
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3:
        raise ValueError(f"pic should be 2/3 dimensional. Got {array.ndim} dimensions.")
    if array.shape[-1] > 4:
        raise ValueError(f"pic should not have > 4 channels. Got {array.shape[-1]} channels.")
    if array.dtype.kind == "f" and mode != "F":
        array = (array * 255).astype(np.uint8)
    channels = array.shape[2]
    if channels == 1:
        array = array[:, :, 0]
        expected = _OF_ONE.get(array.dtype.name)
        if mode is not None and mode != expected:
            raise ValueError(
                f"Incorrect mode ({mode}) supplied for input type {array.dtype}. "
                f"Should be {expected}"
            )
        mode = expected
    else:
        usual, permitted, words = _BY_CHANNELS[channels]
        if mode is not None and mode not in permitted:
            raise ValueError(words.format(permitted))
        if mode is None and array.dtype == np.uint8:
            mode = usual
    if mode is None:
        raise TypeError(f"Input type {array.dtype} is not supported")
    return _pil.from_array(array, mode)


# ---------------------------------------------------------------------------- values


def convert_image_dtype(image: Any, dtype: dtype = dt.float32) -> Any:
    """A tensor image in another dtype, its values scaled from one range to the other.

    `RuntimeError` where floats cannot hold the range of the integers.
    """
    need_tensor(image, "Input img should be Tensor Image")
    own = image.dtype
    if own is dtype:
        return image
    if own.kind == "f":
        if dtype.kind == "f":
            return image.to(dtype)
        if (own is dt.float32 and dtype in (dt.int32, dt.int64)) or (
            own is dt.float64 and dtype is dt.int64
        ):
            raise RuntimeError(f"The cast from {own} to {dtype} cannot be performed safely.")
        # Slightly less than the number of values: each integer gets an equal share of the range.
        return image.mul(largest(dtype) + 1.0 - 1e-3).to(dtype)
    if dtype.kind == "f":
        return image.to(dtype) / float(largest(own))
    if largest(own) > largest(dtype):
        factor = (largest(own) + 1) // (largest(dtype) + 1)
        return FUNCTIONS["div"](image, factor, rounding_mode="floor").to(dtype)
    return image.to(dtype) * ((largest(dtype) + 1) // (largest(own) + 1))


def normalize(tensor: Any, mean: Any, std: Any, inplace: bool = False) -> Any:
    """`(channel - mean) / std` of a float tensor [..., C, H, W]."""
    need_tensor(tensor, f"img should be Tensor Image. Got {type(tensor)}")
    if tensor.dtype.kind != "f":
        raise TypeError(f"Input tensor should be a float tensor. Got {tensor.dtype}.")
    if len(tensor.shape) < 3:
        raise ValueError(
            "Expected tensor to be a tensor image of size (..., C, H, W). Got tensor.size() = "
            f"{tensor.size()}"
        )
    middle, width = (_per_channel(v, tensor) for v in (mean, std))
    if not np.all(engine.read(width)):
        raise ValueError(
            f"std evaluated to zero after conversion to {tensor.dtype}, leading to division by "
            "zero."
        )
    if inplace:
        return tensor.sub_(middle).div_(width)
    return (tensor - middle) / width


def _per_channel(values: Any, like: Any) -> Any:
    out: Any = as_tensor(values, dtype=like.dtype, device=like.device)
    return out.view(-1, 1, 1) if len(out.shape) == 1 else out
