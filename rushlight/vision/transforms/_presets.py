"""What trained weights expect of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight import nn
from rushlight.base import dtype as dt
from rushlight.engine import Tensor
from rushlight.vision.transforms import functional as F
from rushlight.vision.transforms._modes import InterpolationMode


class ImageClassification(nn.Module):
    """Resized, cut to the middle, within 0 to 1 and normalised."""

    def __init__(
        self,
        *,
        crop_size: int,
        resize_size: int = 256,
        mean: Sequence[float] = (0.485, 0.456, 0.406),
        std: Sequence[float] = (0.229, 0.224, 0.225),
        interpolation: InterpolationMode = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.crop_size = [crop_size]
        self.resize_size = [resize_size]
        self.mean = list(mean)
        self.std = list(std)
        self.interpolation = interpolation
        self.antialias = antialias

    def forward(self, img: Any) -> Any:
        """A PIL image or a tensor [..., 3, H, W] to the model's input."""
        img = F.resize(img, self.resize_size, self.interpolation, antialias=self.antialias)
        img = F.center_crop(img, self.crop_size)
        if not isinstance(img, Tensor):
            img = F.pil_to_tensor(img)
        return F.normalize(F.convert_image_dtype(img, dt.float32), self.mean, self.std)

    def __repr__(self) -> str:
        lines = "".join(
            f"\n    {name}={getattr(self, name)}"
            for name in ("crop_size", "resize_size", "mean", "std", "interpolation")
        )
        return f"{type(self).__name__}({lines}\n)"
