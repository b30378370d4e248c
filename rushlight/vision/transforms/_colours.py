"""Transforms that change colours: jitter, grey, blur, erasing and their kind."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from typing import Any

from rushlight import nn
from rushlight.tensor.creation import tensor
from rushlight.tensor.install import FUNCTIONS
from rushlight.vision.transforms import functional as F
from rushlight.vision.transforms._arguments import size_pair
from rushlight.vision.transforms._crops import area_and_ratio, check_ranges
from rushlight.vision.transforms._draws import below, integer, permutation, uniform

Range = tuple[float, float] | None


class ColorJitter(nn.Module):
    """Brightness, contrast, saturation and hue changed at random, in random order."""

    def __init__(
        self, brightness: Any = 0, contrast: Any = 0, saturation: Any = 0, hue: Any = 0
    ) -> None:
        super().__init__()
        self.brightness = self._check_input(brightness, "brightness")
        self.contrast = self._check_input(contrast, "contrast")
        self.saturation = self._check_input(saturation, "saturation")
        self.hue = self._check_input(hue, "hue", center=0, bound=(-0.5, 0.5), clip=False)

    @staticmethod
    def _check_input(
        value: Any,
        name: str,
        center: float = 1,
        bound: tuple[float, float] = (0, float("inf")),
        clip: bool = True,
    ) -> Range:
        if isinstance(value, numbers.Number):
            if value < 0:  # type: ignore[operator]
                raise ValueError(f"If {name} is a single number, it must be non negative.")
            low, high = center - float(value), center + float(value)  # type: ignore[arg-type]
            if clip:
                low = max(low, 0.0)
        elif isinstance(value, tuple | list) and len(value) == 2:
            low, high = float(value[0]), float(value[1])
        else:
            raise TypeError(f"{name} should be a single number or a list/tuple with length 2.")
        if not bound[0] <= low <= high <= bound[1]:
            raise ValueError(f"{name} values should be between {bound}, but got {[low, high]}.")
        return None if low == high == center else (low, high)

    @staticmethod
    def get_params(brightness: Range, contrast: Range, saturation: Range, hue: Range) -> Any:
        """The order, and a factor for each that has a range."""
        order = FUNCTIONS["randperm"](4)
        ranges = (brightness, contrast, saturation, hue)
        return order, *(None if r is None else uniform(r[0], r[1]) for r in ranges)

    def forward(self, img: Any) -> Any:
        """The changed image."""
        order = permutation(4)
        ranges = (self.brightness, self.contrast, self.saturation, self.hue)
        factors = [None if r is None else uniform(r[0], r[1]) for r in ranges]
        for i in order:
            factor = factors[i]
            if factor is not None:
                img = _ADJUST[i](img, factor)
        return img

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(brightness={self.brightness}, contrast={self.contrast}, "
            f"saturation={self.saturation}, hue={self.hue})"
        )


_ADJUST = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)


class Grayscale(nn.Module):
    """Grey, as one channel or three equal ones."""

    def __init__(self, num_output_channels: int = 1) -> None:
        super().__init__()
        self.num_output_channels = num_output_channels

    def forward(self, img: Any) -> Any:
        """The grey image."""
        return F.rgb_to_grayscale(img, num_output_channels=self.num_output_channels)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(num_output_channels={self.num_output_channels})"


class RandomGrayscale(nn.Module):
    """Grey with probability `p`, with as many channels as before."""

    def __init__(self, p: float = 0.1) -> None:
        super().__init__()
        self.p = p

    def forward(self, img: Any) -> Any:
        """The image, grey or as it is."""
        channels = F.get_dimensions(img)[0]
        if below(self.p):
            return F.rgb_to_grayscale(img, num_output_channels=channels)
        return img

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class RandomErasing(nn.Module):
    """A random rectangle of a tensor image set to a number, a colour or "random", with `p`."""

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: Any = 0,
        inplace: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(value, numbers.Number | str | tuple | list):
            raise TypeError("Argument value should be either a number or str or a sequence")
        if isinstance(value, str) and value != "random":
            raise ValueError("If value is str, it should be 'random'")
        check_ranges(scale, ratio)
        if scale[0] < 0 or scale[1] > 1:
            raise ValueError("Scale should be between 0 and 1")
        if p < 0 or p > 1:
            raise ValueError("Random erasing probability should be between 0 and 1")
        self.p = p
        self.scale = scale
        self.ratio = ratio
        self.value = value
        self.inplace = inplace

    @staticmethod
    def get_params(
        img: Any,
        scale: Sequence[float],
        ratio: Sequence[float],
        value: Sequence[float] | None = None,
    ) -> tuple[int, int, int, int, Any]:
        """Row, column, height, width and the values of a random rectangle."""
        channels, height, width = img.shape[-3:]
        for _ in range(10):
            h, w = area_and_ratio(height * width, scale, ratio)
            if not (h < height and w < width):
                continue
            if value is None:
                v = FUNCTIONS["empty"]([channels, h, w]).normal_()
            else:
                v = tensor(value)[:, None, None]
            return integer(0, height - h + 1), integer(0, width - w + 1), h, w, v
        return 0, 0, height, width, img

    def forward(self, img: Any) -> Any:
        """The image, with a rectangle erased or as it is."""
        if not below(self.p):
            return img
        value: Any = self.value
        if isinstance(value, str):
            value = None
        else:
            value = [float(v) for v in (value if isinstance(value, list | tuple) else [value])]
        channels = img.shape[-3]
        if value is not None and len(value) not in (1, channels):
            raise ValueError(
                f"If value is a sequence, it should have either a single value or {channels} "
                "(number of input channels)"
            )
        i, j, h, w, v = self.get_params(img, self.scale, self.ratio, value)
        return F.erase(img, i, j, h, w, v, self.inplace)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(p={self.p}, scale={self.scale}, ratio={self.ratio}, "
            f"value={self.value}, inplace={self.inplace})"
        )


class GaussianBlur(nn.Module):
    """Blurred with Gaussian weights, of a width within `sigma`."""

    def __init__(self, kernel_size: Any, sigma: Any = (0.1, 2.0)) -> None:
        super().__init__()
        words = "Kernel size should be a tuple/list of two integers"
        self.kernel_size = size_pair(kernel_size, words)
        if any(k <= 0 or k % 2 == 0 for k in self.kernel_size):
            raise ValueError("Kernel size value should be an odd and positive number.")
        if isinstance(sigma, numbers.Number):
            if sigma <= 0:  # type: ignore[operator]
                raise ValueError("If sigma is a single number, it must be positive.")
            sigma = (sigma, sigma)
        elif isinstance(sigma, Sequence) and len(sigma) == 2:
            if not 0.0 < sigma[0] <= sigma[1]:
                raise ValueError("sigma values should be positive and of the form (min, max).")
        else:
            raise ValueError("sigma should be a single number or a list/tuple with length 2.")
        self.sigma = sigma

    @staticmethod
    def get_params(sigma_min: float, sigma_max: float) -> float:
        """A random width."""
        return uniform(sigma_min, sigma_max)

    def forward(self, img: Any) -> Any:
        """The blurred image."""
        sigma = self.get_params(self.sigma[0], self.sigma[1])
        return F.gaussian_blur(img, list(self.kernel_size), [sigma, sigma])

    def __repr__(self) -> str:
        return f"{type(self).__name__}(kernel_size={self.kernel_size}, sigma={self.sigma})"


class _Sometimes(nn.Module):
    """A function of the image with probability `p`."""

    def __init__(self, function: Callable[..., Any], p: float, **options: Any) -> None:
        super().__init__()
        self.p = p
        self._function = function
        self._options = options
        for name, value in options.items():
            setattr(self, name, value)

    def forward(self, img: Any) -> Any:
        """The image, changed or as it is."""
        if uniform() < self.p:
            return self._function(img, *(getattr(self, name) for name in self._options))
        return img

    def __repr__(self) -> str:
        given = "".join(f"{name}={getattr(self, name)}," for name in self._options)
        return f"{type(self).__name__}({given}p={self.p})"


class RandomInvert(_Sometimes):
    """White is black, with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(F.invert, p)


class RandomPosterize(_Sometimes):
    """Only the upper bits of each value, with probability `p`."""

    def __init__(self, bits: int, p: float = 0.5) -> None:
        super().__init__(F.posterize, p, bits=bits)


class RandomSolarize(_Sometimes):
    """Values from the threshold on inverted, with probability `p`."""

    def __init__(self, threshold: float, p: float = 0.5) -> None:
        super().__init__(F.solarize, p, threshold=threshold)


class RandomAdjustSharpness(_Sometimes):
    """Sharper or softer, with probability `p`."""

    def __init__(self, sharpness_factor: float, p: float = 0.5) -> None:
        super().__init__(F.adjust_sharpness, p, sharpness_factor=sharpness_factor)


class RandomAutocontrast(_Sometimes):
    """Each channel stretched to the whole range, with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(F.autocontrast, p)


class RandomEqualize(_Sometimes):
    """As many pixels of each value, with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(F.equalize, p)
