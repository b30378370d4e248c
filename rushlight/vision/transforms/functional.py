"""Transforms as functions, of PIL images and of tensors (`torchvision.transforms.functional`)."""

from rushlight.vision.transforms._conversions import (
    convert_image_dtype,
    normalize,
    pil_to_tensor,
    to_pil_image,
    to_tensor,
)

__all__ = ["convert_image_dtype", "normalize", "pil_to_tensor", "to_pil_image", "to_tensor"]
