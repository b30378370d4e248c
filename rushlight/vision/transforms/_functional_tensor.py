"""Transforms of tensor images, [..., C, H, W]: colours, borders and sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight.base import dtype as dt
from rushlight.nn import functional as nf
from rushlight.tensor.creation import tensor
from rushlight.tensor.install import FUNCTIONS
from rushlight.vision.transforms import _antialias
from rushlight.vision.transforms._conversions import convert_image_dtype, largest
from rushlight.vision.transforms._functional_pil import check_padding_mode, sides


def need_image(img: Any) -> None:
    """`TypeError` for what has no height and width."""
    if len(img.shape) < 2:
        raise TypeError("Tensor is not a torch image.")


def get_dimensions(img: Any) -> list[int]:
    """[channels, height, width]"""
    need_image(img)
    return [1 if len(img.shape) == 2 else img.shape[-3], img.shape[-2], img.shape[-1]]


def _need_channels(img: Any, *permitted: int) -> None:
    found = get_dimensions(img)[0]
    if found not in permitted:
        raise TypeError(
            f"Input image tensor permitted channel values are {list(permitted)}, but found {found}"
        )


def _need_planes(img: Any) -> None:
    need_image(img)
    if len(img.shape) < 3:
        raise TypeError(
            f"Input image tensor should have at least 3 dimensions, but found {len(img.shape)}"
        )
    _need_channels(img, 1, 3)


def working_dtype(img: Any) -> dt.dtype:
    """The image's own if that is floating, else float32."""
    kind: dt.dtype = img.dtype if img.dtype.kind == "f" else dt.float32
    return kind


# --------------------------------------------------------------------------- borders


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """A part; what lies outside is 0."""
    need_image(img)
    h, w = img.shape[-2:]
    right, bottom = left + width, top + height
    if left >= 0 and top >= 0 and right <= w and bottom <= h:
        return img[..., top:bottom, left:right]
    outside = [
        max(-left + min(0, right), 0),
        max(-top + min(0, bottom), 0),
        max(right - max(w, left), 0),
        max(bottom - max(h, top), 0),
    ]
    return pad(img[..., max(top, 0) : bottom, max(left, 0) : right], outside, fill=0)


def pad(img: Any, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> Any:
    """More rows and columns; negative numbers cut some off."""
    need_image(img)
    if fill is None:
        fill = 0
    if not isinstance(padding, int | tuple | list):
        raise TypeError("Got inappropriate padding arg")
    if not isinstance(fill, int | float):
        raise TypeError("Got inappropriate fill arg")
    if not isinstance(padding_mode, str):
        raise TypeError("Got inappropriate padding_mode arg")
    around = sides(padding)
    check_padding_mode(padding_mode)
    if padding_mode == "symmetric":
        return _pad_symmetric(img, around)
    own = img.dtype
    flat = len(img.shape) < 4
    if flat:
        img = img.unsqueeze(0)
    if padding_mode == "constant":
        img = nf.pad(img, around, "constant", float(fill))
    else:
        cast = own not in (dt.float32, dt.float64)
        img = nf.pad(
            img.to(dt.float32) if cast else img,
            around,
            "replicate" if padding_mode == "edge" else "reflect",
        )
        img = img.to(own) if cast else img
    return img.squeeze(0) if flat else img


def _pad_symmetric(img: Any, around: Sequence[int]) -> Any:
    left, right, top, bottom = around
    h, w = img.shape[-2:]
    img = img[..., max(-top, 0) : h - max(-bottom, 0), max(-left, 0) : w - max(-right, 0)]
    if len(img.shape) not in (3, 4):
        raise RuntimeError("Symmetric padding of N-D tensors are not supported yet")
    for dim, before, after in ((-1, left, right), (-2, top, bottom)):
        n = img.shape[dim]
        order = [*range(max(before, 0) - 1, -1, -1), *range(n)]
        order += range(n - 1, n - 1 - max(after, 0), -1)
        img = img.index_select(dim, tensor(order))
    return img


def resize(img: Any, size: Sequence[int], interpolation: str, antialias: bool | None) -> Any:
    """Another height and width."""
    need_image(img)
    smooth = interpolation in ("bilinear", "bicubic")
    img, undo = cast_in(img, (dt.float32, dt.float64))
    out: Any
    if antialias and smooth:
        out = _antialias.resize(img, size, interpolation)
    else:
        corners = False if smooth else None
        out = nf.interpolate(img, size=list(size), mode=interpolation, align_corners=corners)
    if interpolation == "bicubic" and undo.own is dt.uint8:
        out = out.clamp(min=0, max=255)
    return undo(out)


class _Undo:
    """What brings a batch of one float image back to the image it was made of."""

    def __init__(self, own: dt.dtype, cast: bool, flat: bool) -> None:
        self.own = own
        self._cast = cast
        self._flat = flat

    def __call__(self, img: Any) -> Any:
        if self._flat:
            img = img.squeeze(0)
        if not self._cast:
            return img
        return (img.round() if self.own.kind in "iu" else img).to(self.own)


def cast_in(img: Any, kinds: Sequence[dt.dtype]) -> tuple[Any, _Undo]:
    """The image as a batch in one of the dtypes, the first if it is of none; and the way back."""
    flat = len(img.shape) < 4
    cast = img.dtype not in kinds
    undo = _Undo(img.dtype, cast, flat)
    img = img.unsqueeze(0) if flat else img
    return (img.to(kinds[0]) if cast else img), undo


# --------------------------------------------------------------------------- colours


def rgb_to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """Grey, as one channel or three equal ones."""
    if len(img.shape) < 3:
        raise TypeError(
            f"Input image tensor should have at least 3 dimensions, but found {len(img.shape)}"
        )
    _need_channels(img, 1, 3)
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    if img.shape[-3] == 3:
        r, g, b = img.unbind(-3)
        grey = (0.2989 * r + 0.587 * g + 0.114 * b).to(img.dtype).unsqueeze(-3)
    else:
        grey = img.clone()
    if num_output_channels == 1:
        return grey
    return grey.expand(*img.shape[:-3], 3, *img.shape[-2:])


def _blend(first: Any, second: Any, ratio: float) -> Any:
    """`ratio` parts of the first image and `1 - ratio` of the second, within the range."""
    mixed = float(ratio) * first + (1.0 - float(ratio)) * second
    return mixed.clamp(0, largest(first.dtype)).to(first.dtype)


def _need_factor(name: str, factor: float) -> None:
    if factor < 0:
        raise ValueError(f"{name} ({factor}) is not non-negative.")


def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """Towards black (0), as it is (1), or brighter."""
    _need_factor("brightness_factor", brightness_factor)
    need_image(img)
    _need_channels(img, 1, 3)
    return _blend(img, FUNCTIONS["zeros_like"](img), brightness_factor)


def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """Towards the mean grey (0), as it is (1), or stronger."""
    _need_factor("contrast_factor", contrast_factor)
    need_image(img)
    _need_channels(img, 3, 1)
    grey = rgb_to_grayscale(img) if get_dimensions(img)[0] == 3 else img
    mean = grey.to(working_dtype(img)).mean(dim=(-3, -2, -1), keepdim=True)
    return _blend(img, mean, contrast_factor)


def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """Towards grey (0), as it is (1), or more colourful."""
    _need_factor("saturation_factor", saturation_factor)
    need_image(img)
    _need_channels(img, 1, 3)
    if get_dimensions(img)[0] == 1:
        return img
    return _blend(img, rgb_to_grayscale(img), saturation_factor)


def adjust_hue(img: Any, hue_factor: float) -> Any:
    """Turn the hues by a part of the circle."""
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    need_image(img)
    _need_channels(img, 1, 3)
    if get_dimensions(img)[0] == 1:
        return img
    own = img.dtype
    h, s, v = _rgb_to_hsv(convert_image_dtype(img, dt.float32))
    return convert_image_dtype(_hsv_to_rgb((h + hue_factor) % 1.0, s, v), own)


def _rgb_to_hsv(img: Any) -> tuple[Any, Any, Any]:
    where = FUNCTIONS["where"]
    r, g, b = img.unbind(-3)
    top, bottom = img.amax(-3), img.amin(-3)
    grey = top == bottom
    spread = top - bottom
    ones = FUNCTIONS["ones_like"](top)
    s = spread / where(grey, ones, top)
    divisor = where(grey, ones, spread)
    rc, gc, bc = (top - r) / divisor, (top - g) / divisor, (top - b) / divisor
    hr = (top == r) * (bc - gc)
    hg = ((top == g) & (top != r)) * (2.0 + rc - bc)
    hb = ((top != g) & (top != r)) * (4.0 + gc - rc)
    h = FUNCTIONS["fmod"]((hr + hg + hb) / 6.0 + 1.0, 1.0)
    return h, s, top


def _hsv_to_rgb(h: Any, s: Any, v: Any) -> Any:
    sixth = (h * 6.0).floor()
    f = h * 6.0 - sixth
    sixth = sixth.to(dt.int32) % 6
    p = (v * (1.0 - s)).clamp(0.0, 1.0)
    q = (v * (1.0 - s * f)).clamp(0.0, 1.0)
    t = (v * (1.0 - s * (1.0 - f))).clamp(0.0, 1.0)

    def of(*choices: Any) -> Any:
        out = choices[5]
        for i in range(5):
            out = FUNCTIONS["where"](sixth == i, choices[i], out)
        return out

    planes = [of(v, q, p, p, t, v), of(t, v, v, q, p, p), of(p, p, t, v, v, q)]
    return FUNCTIONS["stack"](planes, -3)


def adjust_gamma(img: Any, gamma: float, gain: float = 1.0) -> Any:
    """`gain * value ** gamma` of values within 0 to 1."""
    _need_channels(img, 1, 3)
    if gamma < 0:
        raise ValueError("Gamma should be a non-negative real number")
    own = img.dtype
    values = img if own.kind == "f" else convert_image_dtype(img, dt.float32)
    return convert_image_dtype((gain * values.pow(gamma)).clamp(0, 1), own)


def invert(img: Any) -> Any:
    """White is black."""
    _need_planes(img)
    return largest(img.dtype) - img


def _need_bytes(img: Any) -> None:
    if img.dtype is not dt.uint8:
        raise TypeError(f"Only torch.uint8 image tensors are supported, but found {img.dtype}")


def posterize(img: Any, bits: int) -> Any:
    """Only the upper bits of each value."""
    _need_planes(img)
    _need_bytes(img)
    return img & (256 - 2 ** (8 - bits))


def solarize(img: Any, threshold: float) -> Any:
    """Values from the threshold on, inverted."""
    _need_planes(img)
    if threshold > largest(img.dtype):
        raise TypeError("Threshold should be less than bound of img.")
    return FUNCTIONS["where"](img >= threshold, invert(img), img)


def autocontrast(img: Any) -> Any:
    """Each channel stretched to the whole range."""
    _need_planes(img)
    bound, kind = largest(img.dtype), working_dtype(img)
    least = img.amin(dim=(-2, -1), keepdim=True).to(kind)
    most = img.amax(dim=(-2, -1), keepdim=True).to(kind)
    scale = bound / (most - least)
    flat = FUNCTIONS["isfinite"](scale).logical_not()
    where, zeros = FUNCTIONS["where"], FUNCTIONS["zeros_like"](scale)
    least, scale = where(flat, zeros, least), where(flat, zeros + 1, scale)
    return ((img - least) * scale).clamp(0, bound).to(img.dtype)


def equalize(img: Any) -> Any:
    """Each channel with as many pixels of each value, as far as that goes."""
    need_image(img)
    if not 3 <= len(img.shape) <= 4:
        raise TypeError(
            f"Input image tensor should have 3 or 4 dimensions, but found {len(img.shape)}"
        )
    _need_bytes(img)
    _need_channels(img, 1, 3)
    planes = [_equalized(p) for p in img.reshape(-1, *img.shape[-2:]).unbind(0)]
    return FUNCTIONS["stack"](planes).reshape(img.shape)


def _equalized(plane: Any) -> Any:
    counts = plane.reshape(-1).bincount(minlength=256)
    present = counts[counts != 0]
    step = int(present[:-1].sum()) // 255
    if step == 0:
        return plane
    table = (counts.cumsum(0) + step // 2) // step
    table = nf.pad(table, [1, 0])[:-1].clamp(0, 255)
    return table[plane.to(dt.int64)].to(dt.uint8)


# --------------------------------------------------------------------------- filters


def gaussian_blur(img: Any, kernel_size: Sequence[int], sigma: Sequence[float]) -> Any:
    """Each pixel a mean of those around it, with Gaussian weights; (x, y) sizes and widths."""
    need_image(img)
    kind = working_dtype(img)
    across, down = (_gaussian(k, s, kind) for k, s in zip(kernel_size, sigma))
    kernel = FUNCTIONS["mm"](down[:, None], across[None, :])
    batch, undo = cast_in(img, (kind,))
    kx, ky = (k // 2 for k in kernel_size)
    batch = nf.pad(batch, [kx, kx, ky, ky], "reflect")
    return undo(_filtered(batch, kernel))


def _gaussian(size: int, sigma: float, kind: dt.dtype) -> Any:
    half = (size - 1) * 0.5
    x = FUNCTIONS["linspace"](-half, half, steps=size, dtype=kind)
    weights = FUNCTIONS["exp"](-0.5 * (x / sigma).pow(2))
    return weights / weights.sum()


def _filtered(batch: Any, kernel: Any) -> Any:
    channels = batch.shape[-3]
    weights = kernel.expand(channels, 1, *kernel.shape)
    return nf.conv2d(batch, weights, groups=channels)


def adjust_sharpness(img: Any, sharpness_factor: float) -> Any:
    """Towards blurred (0), as it is (1), or sharper."""
    _need_factor("sharpness_factor", sharpness_factor)
    need_image(img)
    _need_channels(img, 1, 3)
    if img.shape[-1] <= 2 or img.shape[-2] <= 2:
        return img
    kind = working_dtype(img)
    kernel = tensor([[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0]], dtype=kind) / 13.0
    batch, undo = cast_in(img, (kind,))
    soft = img.clone()
    soft[..., 1:-1, 1:-1] = undo(_filtered(batch, kernel))
    return _blend(img, soft, sharpness_factor)


def erase(img: Any, i: int, j: int, h: int, w: int, v: Any, inplace: bool = False) -> Any:
    """A rectangle set to `v`."""
    need_image(img)
    if not inplace:
        img = img.clone()
    img[..., i : i + h, j : j + w] = v
    return img
