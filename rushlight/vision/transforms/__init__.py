"""What is done to images before a model sees them (`torchvision.transforms`)."""

from rushlight.vision.transforms import autoaugment, functional, transforms
from rushlight.vision.transforms.autoaugment import *  # noqa: F403
from rushlight.vision.transforms.autoaugment import __all__ as _of_autoaugment
from rushlight.vision.transforms.transforms import *  # noqa: F403
from rushlight.vision.transforms.transforms import __all__ as _names

__all__ = ["autoaugment", "functional", "transforms", *_of_autoaugment, *_names]  # noqa: PLE0604
