"""Transforms that move pixels at random: flips, rotations, affine, perspective, elastic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight import nn
from rushlight.tensor.install import FUNCTIONS
from rushlight.vision.transforms import functional as F
from rushlight.vision.transforms._arguments import angles, check_sequence, fill_colour, fill_for
from rushlight.vision.transforms._draws import below, integer, uniform
from rushlight.vision.transforms._modes import InterpolationMode, chosen

_NEAREST, _BILINEAR = InterpolationMode.NEAREST, InterpolationMode.BILINEAR


class RandomHorizontalFlip(nn.Module):
    """The mirror image, left for right, with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, img: Any) -> Any:
        """The image or its mirror image."""
        return F.hflip(img) if below(self.p) else img

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class RandomVerticalFlip(nn.Module):
    """The mirror image, up for down, with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, img: Any) -> Any:
        """The image or its mirror image."""
        return F.vflip(img) if below(self.p) else img

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class RandomRotation(nn.Module):
    """Turned by degrees within a range, or up to a number either way."""

    def __init__(
        self,
        degrees: Any,
        interpolation: Any = _NEAREST,
        expand: bool = False,
        center: Any = None,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.interpolation = chosen(interpolation)
        self.degrees = angles(degrees, "degrees")
        if center is not None:
            check_sequence(center, "center", (2,))
        self.center = center
        self.expand = expand
        self.fill = fill_colour(fill)

    @staticmethod
    def get_params(degrees: Sequence[float]) -> float:
        """A random angle."""
        return uniform(float(degrees[0]), float(degrees[1]))

    def forward(self, img: Any) -> Any:
        """The turned image."""
        fill = fill_for(img, self.fill, F.get_dimensions(img)[0])
        angle = self.get_params(self.degrees)
        return F.rotate(img, angle, self.interpolation, self.expand, self.center, fill)

    def __repr__(self) -> str:
        center = "" if self.center is None else f", center={self.center}"
        return (
            f"{type(self).__name__}(degrees={self.degrees}, "
            f"interpolation={self.interpolation.value}, expand={self.expand}{center}, "
            f"fill={self.fill})"
        )


class RandomAffine(nn.Module):
    """Turned, moved (by up to a part of the size), scaled and sheared at random."""

    def __init__(
        self,
        degrees: Any,
        translate: Any = None,
        scale: Any = None,
        shear: Any = None,
        interpolation: Any = _NEAREST,
        fill: Any = 0,
        center: Any = None,
    ) -> None:
        super().__init__()
        self.interpolation = chosen(interpolation)
        self.degrees = angles(degrees, "degrees")
        if translate is not None:
            check_sequence(translate, "translate", (2,))
            if any(not 0.0 <= t <= 1.0 for t in translate):
                raise ValueError("translation values should be between 0 and 1")
        self.translate = translate
        if scale is not None:
            check_sequence(scale, "scale", (2,))
            if any(s <= 0 for s in scale):
                raise ValueError("scale values should be positive")
        self.scale = scale
        self.shear = None if shear is None else angles(shear, "shear", (2, 4))
        self.fill = fill_colour(fill)
        if center is not None:
            check_sequence(center, "center", (2,))
        self.center = center

    @staticmethod
    def get_params(
        degrees: Sequence[float],
        translate: Sequence[float] | None,
        scale_ranges: Sequence[float] | None,
        shears: Sequence[float] | None,
        img_size: Sequence[int],
    ) -> tuple[float, tuple[int, int], float, tuple[float, float]]:
        """Random angle, (x, y) in pixels, scale and (x, y) of the shear in degrees."""
        angle = uniform(float(degrees[0]), float(degrees[1]))
        moved = (0, 0)
        if translate is not None:
            far = [float(t * s) for t, s in zip(translate, img_size)]
            tx, ty = (round(uniform(-d, d)) for d in far)
            moved = (tx, ty)
        scale = 1.0 if scale_ranges is None else uniform(scale_ranges[0], scale_ranges[1])
        shear_x = shear_y = 0.0
        if shears is not None:
            shear_x = uniform(shears[0], shears[1])
            if len(shears) == 4:
                shear_y = uniform(shears[2], shears[3])
        return angle, moved, scale, (shear_x, shear_y)

    def forward(self, img: Any) -> Any:
        """The transformed image."""
        channels, height, width = F.get_dimensions(img)
        fill = fill_for(img, self.fill, channels)
        found = self.get_params(
            self.degrees, self.translate, self.scale, self.shear, [width, height]
        )
        return F.affine(
            img, *found, interpolation=self.interpolation, fill=fill, center=self.center
        )

    def __repr__(self) -> str:
        given = {
            "translate": self.translate,
            "scale": self.scale,
            "shear": self.shear,
            "interpolation": None if self.interpolation is _NEAREST else self.interpolation.value,
            "fill": self.fill if self.fill != 0 else None,
            "center": self.center,
        }
        rest = "".join(f", {k}={v}" for k, v in given.items() if v is not None)
        return f"{type(self).__name__}(degrees={self.degrees}{rest})"


class RandomPerspective(nn.Module):
    """Seen from a random side, with probability `p`."""

    def __init__(
        self,
        distortion_scale: float = 0.5,
        p: float = 0.5,
        interpolation: Any = _BILINEAR,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.p = p
        self.interpolation = chosen(interpolation)
        self.distortion_scale = distortion_scale
        self.fill = fill_colour(fill)

    @staticmethod
    def get_params(
        width: int, height: int, distortion_scale: float
    ) -> tuple[list[list[int]], list[list[int]]]:
        """The corners, and random places for them."""
        dx = int(distortion_scale * (width // 2))
        dy = int(distortion_scale * (height // 2))
        left, right = (0, dx + 1), (width - dx - 1, width)
        top, bottom = (0, dy + 1), (height - dy - 1, height)
        start = [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]]
        corners = ((left, top), (right, top), (right, bottom), (left, bottom))
        return start, [[integer(*xs), integer(*ys)] for xs, ys in corners]

    def forward(self, img: Any) -> Any:
        """The image, distorted or as it is."""
        channels, height, width = F.get_dimensions(img)
        fill = fill_for(img, self.fill, channels)
        if not below(self.p):
            return img
        start, end = self.get_params(width, height, self.distortion_scale)
        return F.perspective(img, start, end, self.interpolation, fill)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


def _pair(value: Any, name: str) -> list[float]:
    if not isinstance(value, float | Sequence):
        raise TypeError(f"{name} should be float or a sequence of floats. Got {type(value)}")
    if isinstance(value, float):
        return [value, value]
    if len(value) != 2:
        raise ValueError(f"If {name} is a sequence its length should be 2. Got {len(value)}")
    for element in value:
        if not isinstance(element, float):
            raise TypeError(f"{name} should be a sequence of floats. Got {type(element)}")
    return list(value)


class ElasticTransform(nn.Module):
    """As seen through water: each pixel from nearby, by smooth random displacements."""

    def __init__(
        self,
        alpha: Any = 50.0,
        sigma: Any = 5.0,
        interpolation: Any = _BILINEAR,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.alpha = _pair(alpha, "alpha")
        self.sigma = _pair(sigma, "sigma")
        self.interpolation = chosen(interpolation)
        if not isinstance(fill, int | float | list | tuple):
            raise TypeError(
                f"fill should be int or float or a list or tuple of them. Got {type(fill)}"
            )
        self.fill = [float(f) for f in (fill if isinstance(fill, list | tuple) else [fill])]

    @staticmethod
    def get_params(alpha: Sequence[float], sigma: Sequence[float], size: Sequence[int]) -> Any:
        """Random displacements, [1, H, W, 2]."""
        parts = []
        for i in (0, 1):
            moved = FUNCTIONS["rand"]([1, 1, *size]) * 2 - 1
            if sigma[i] > 0.0:
                k = int(8 * sigma[i] + 1)
                k += k % 2 == 0
                moved = F.gaussian_blur(moved, [k, k], list(sigma))
            parts.append(moved * alpha[i] / size[1 - i])
        return FUNCTIONS["cat"](parts, 1).permute(0, 2, 3, 1)

    def forward(self, tensor: Any) -> Any:
        """The distorted image."""
        _, height, width = F.get_dimensions(tensor)
        displacement = self.get_params(self.alpha, self.sigma, [height, width])
        return F.elastic_transform(tensor, displacement, self.interpolation, self.fill)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(alpha={self.alpha}, sigma={self.sigma}, "
            f"interpolation={self.interpolation}, fill={self.fill})"
        )
