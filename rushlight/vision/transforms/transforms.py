"""The transforms by name (`torchvision.transforms.transforms`)."""

from rushlight.vision.transforms._basic import (
    Compose,
    ConvertImageDtype,
    Lambda,
    LinearTransformation,
    Normalize,
    PILToTensor,
    RandomApply,
    RandomChoice,
    RandomOrder,
    ToPILImage,
    ToTensor,
)

__all__ = [
    "Compose",
    "ConvertImageDtype",
    "Lambda",
    "LinearTransformation",
    "Normalize",
    "PILToTensor",
    "RandomApply",
    "RandomChoice",
    "RandomOrder",
    "ToPILImage",
    "ToTensor",
]
