"""Image files as tensors (`torchvision.io`)."""

from rushlight.vision.io.image import (
    ImageReadMode,
    decode_image,
    read_file,
    read_image,
    write_file,
    write_jpeg,
    write_png,
)

__all__ = [
    "ImageReadMode",
    "decode_image",
    "read_file",
    "read_image",
    "write_file",
    "write_jpeg",
    "write_png",
]
