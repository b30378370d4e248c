"""What is done to images before a model sees them (`torchvision.transforms`)."""

from rushlight.vision.transforms import functional, transforms
from rushlight.vision.transforms.transforms import *  # noqa: F403
from rushlight.vision.transforms.transforms import __all__ as _names

__all__ = ["functional", "transforms", *_names]  # noqa: PLE0604
