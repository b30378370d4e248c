"""Augmentations chosen at random: AutoAugment, RandAugment and TrivialAugment."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from rushlight import nn
from rushlight.engine import Tensor
from rushlight.tensor.install import FUNCTIONS
from rushlight.vision.transforms import functional as F
from rushlight.vision.transforms._draws import integer
from rushlight.vision.transforms._modes import InterpolationMode

_NEAREST = InterpolationMode.NEAREST


class AutoAugmentPolicy(Enum):
    """For which data the policies of `AutoAugment` were found."""

    IMAGENET = "imagenet"
    CIFAR10 = "cifar10"
    SVHN = "svhn"


#: Two steps to a policy, each an operation, its probability in tenths and its strength, 0 to 9.
_POLICIES: Final = {
    AutoAugmentPolicy.IMAGENET: (
        "Posterize48 Rotate69,Solarize65 AutoContrast6,Equalize8 Equalize6,Posterize67 Posterize66,"
        "Equalize4 Solarize24,Equalize4 Rotate88,Solarize63 Equalize6,Posterize85 Equalize10,"
        "Rotate23 Solarize68,Equalize6 Posterize46,Rotate88 Color40,Rotate49 Equalize6,"
        "Equalize0 Equalize8,Invert6 Equalize10,Color64 Contrast108,Rotate88 Color102,"
        "Color88 Solarize87,Sharpness47 Invert6,ShearX65 Equalize10,Color40 Equalize6,"
        "Equalize4 Solarize24,Solarize65 AutoContrast6,Invert6 Equalize10,Color64 Contrast108,"
        "Equalize8 Equalize6"
    ),
    AutoAugmentPolicy.CIFAR10: (
        "Invert1 Contrast26,Rotate72 TranslateX39,Sharpness81 Sharpness93,ShearY58 TranslateY79,"
        "AutoContrast5 Equalize9,ShearY27 Posterize37,Color43 Brightness67,Sharpness39 "
        "Brightness79,Equalize6 Equalize5,Contrast67 Sharpness65,Color77 TranslateX58,"
        "Equalize3 AutoContrast4,TranslateY43 Sharpness26,Brightness96 Color28,Solarize52 Invert0,"
        "Equalize2 AutoContrast6,Equalize2 Equalize6,Color99 Equalize6,AutoContrast8 Solarize28,"
        "Brightness13 Color70,Solarize45 AutoContrast9,TranslateY99 TranslateY79,"
        "AutoContrast9 Solarize83,Equalize8 Invert1,TranslateY79 AutoContrast9"
    ),
    AutoAugmentPolicy.SVHN: (
        "ShearX94 Invert2,ShearY98 Invert7,Equalize6 Solarize66,Invert9 Equalize6,"
        "Equalize6 Rotate93,ShearX94 AutoContrast8,ShearY98 Invert4,ShearY95 Solarize26,"
        "Invert9 AutoContrast8,Equalize6 Rotate93,ShearX94 Solarize33,ShearY88 Invert7,"
        "Equalize9 TranslateY66,Invert9 Equalize6,Contrast33 Rotate84,Invert8 TranslateY02,"
        "ShearY76 Solarize48,Invert6 Rotate84,ShearY37 TranslateX93,ShearX16 Invert6,"
        "Solarize72 TranslateY67,ShearY84 Invert8,ShearX79 TranslateY83,ShearY85 AutoContrast7,"
        "ShearX72 Invert1"
    ),
}
_WITHOUT_STRENGTH: Final = ("AutoContrast", "Equalize", "Invert")
Step = tuple[str, float, int | None]


def _step(text: str) -> Step:
    name = text.rstrip("0123456789")
    digits = text[len(name) :]
    if name in _WITHOUT_STRENGTH:
        return name, int(digits) / 10, None
    return name, int(digits[:-1]) / 10, int(digits[-1])


def _policies(policy: AutoAugmentPolicy) -> list[tuple[Step, Step]]:
    if policy not in _POLICIES:
        raise ValueError(f"The provided policy {policy} is not recognized.")
    pairs = [entry.split() for entry in _POLICIES[policy].split(",")]
    return [(_step(first), _step(second)) for first, second in pairs]


# -------------------------------------------------------------------------- operations


def _sheared(img: Any, shear: list[float], options: dict[str, Any]) -> Any:
    return F.affine(img, 0.0, [0, 0], 1.0, shear, center=[0, 0], **options)


def _moved(img: Any, by: list[int], options: dict[str, Any]) -> Any:
    return F.affine(img, 0.0, by, 1.0, [0.0, 0.0], **options)


def _degrees(slope: float) -> float:
    return math.degrees(math.atan(slope))


_OPERATIONS: Final[dict[str, Callable[[Any, float, dict[str, Any]], Any]]] = {
    "Identity": lambda img, m, o: img,
    "ShearX": lambda img, m, o: _sheared(img, [_degrees(m), 0.0], o),
    "ShearY": lambda img, m, o: _sheared(img, [0.0, _degrees(m)], o),
    "TranslateX": lambda img, m, o: _moved(img, [int(m), 0], o),
    "TranslateY": lambda img, m, o: _moved(img, [0, int(m)], o),
    "Rotate": lambda img, m, o: F.rotate(img, m, **o),
    "Brightness": lambda img, m, o: F.adjust_brightness(img, 1.0 + m),
    "Color": lambda img, m, o: F.adjust_saturation(img, 1.0 + m),
    "Contrast": lambda img, m, o: F.adjust_contrast(img, 1.0 + m),
    "Sharpness": lambda img, m, o: F.adjust_sharpness(img, 1.0 + m),
    "Posterize": lambda img, m, o: F.posterize(img, int(m)),
    "Solarize": lambda img, m, o: F.solarize(img, m),
    "AutoContrast": lambda img, m, o: F.autocontrast(img),
    "Equalize": lambda img, m, o: F.equalize(img),
    "Invert": lambda img, m, o: F.invert(img),
}
_SIGNED: Final = frozenset(
    {
        *("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate"),
        *("Brightness", "Color", "Contrast", "Sharpness"),
    }
)


def _strengths(
    bins: int, shear: float, moves: tuple[float, float], turn: float, colour: float, bits: int
) -> dict[str, list[float]]:
    """The strengths of each operation, weakest first; none where there is only one."""
    line = FUNCTIONS["linspace"]

    def up_to(most: float) -> list[float]:
        found: list[float] = line(0.0, most, bins).tolist()
        return found

    steps = (FUNCTIONS["arange"](bins) / ((bins - 1) / bits)).round()
    return {
        "ShearX": up_to(shear),
        "ShearY": up_to(shear),
        "TranslateX": up_to(moves[0]),
        "TranslateY": up_to(moves[1]),
        "Rotate": up_to(turn),
        **dict.fromkeys(("Brightness", "Color", "Contrast", "Sharpness"), up_to(colour)),
        "Posterize": [8 - s for s in steps.tolist()],
        "Solarize": line(255.0, 0.0, bins).tolist(),
        "AutoContrast": [],
        "Equalize": [],
    }


class _Augment(nn.Module):
    """What the augmentations have in common."""

    def __init__(self, interpolation: InterpolationMode, fill: Any) -> None:
        super().__init__()
        self.interpolation = interpolation
        self.fill = fill

    def _options(self, img: Any) -> dict[str, Any]:
        fill = self.fill
        if isinstance(img, Tensor) and fill is not None:
            channels = F.get_dimensions(img)[0]
            values = [fill] * channels if isinstance(fill, int | float) else fill
            fill = [float(f) for f in values]
        return {"interpolation": self.interpolation, "fill": fill}


class AutoAugment(_Augment):
    """One of the policies found for a kind of data: two operations with their probabilities."""

    def __init__(
        self,
        policy: AutoAugmentPolicy = AutoAugmentPolicy.IMAGENET,
        interpolation: InterpolationMode = _NEAREST,
        fill: Any = None,
    ) -> None:
        super().__init__(interpolation, fill)
        self.policy = policy
        self.policies = _policies(policy)

    @staticmethod
    def get_params(transform_num: int) -> tuple[int, Any, Any]:
        """Which policy, two draws for the probabilities and two for the signs."""
        which = integer(0, transform_num)
        return which, FUNCTIONS["rand"]((2,)), FUNCTIONS["randint"](2, (2,))

    def forward(self, img: Any) -> Any:
        """The augmented image."""
        _, height, width = F.get_dimensions(img)
        which, probabilities, signs = self.get_params(len(self.policies))
        moves = (150.0 / 331.0 * width, 150.0 / 331.0 * height)
        strengths = _strengths(10, 0.3, moves, 30.0, 0.9, 4)
        for i, (name, p, level) in enumerate(self.policies[which]):
            if not bool(probabilities[i] <= p):
                continue
            strength = 0.0 if level is None else strengths[name][level]
            if name in _SIGNED and int(signs[i]) == 0:
                strength *= -1.0
            img = _OPERATIONS[name](img, strength, self._options(img))
        return img

    def __repr__(self) -> str:
        return f"{type(self).__name__}(policy={self.policy}, fill={self.fill})"


class RandAugment(_Augment):
    """Some operations, one after the other, all of one strength."""

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: int = 9,
        num_magnitude_bins: int = 31,
        interpolation: InterpolationMode = _NEAREST,
        fill: Any = None,
    ) -> None:
        super().__init__(interpolation, fill)
        self.num_ops = num_ops
        self.magnitude = magnitude
        self.num_magnitude_bins = num_magnitude_bins

    def forward(self, img: Any) -> Any:
        """The augmented image."""
        _, height, width = F.get_dimensions(img)
        moves = (150.0 / 331.0 * width, 150.0 / 331.0 * height)
        strengths = {"Identity": [], **_strengths(self.num_magnitude_bins, 0.3, moves, 30, 0.9, 4)}
        for _ in range(self.num_ops):
            name = list(strengths)[integer(0, len(strengths))]
            strength = strengths[name][self.magnitude] if strengths[name] else 0.0
            if name in _SIGNED and integer(0, 2):
                strength *= -1.0
            img = _OPERATIONS[name](img, strength, self._options(img))
        return img

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(num_ops={self.num_ops}, magnitude={self.magnitude}, "
            f"num_magnitude_bins={self.num_magnitude_bins}, interpolation={self.interpolation}, "
            f"fill={self.fill})"
        )


class TrivialAugmentWide(_Augment):
    """One operation of any strength."""

    def __init__(
        self,
        num_magnitude_bins: int = 31,
        interpolation: InterpolationMode = _NEAREST,
        fill: Any = None,
    ) -> None:
        super().__init__(interpolation, fill)
        self.num_magnitude_bins = num_magnitude_bins

    def forward(self, img: Any) -> Any:
        """The augmented image."""
        bins = self.num_magnitude_bins
        strengths = {"Identity": [], **_strengths(bins, 0.99, (32.0, 32.0), 135.0, 0.99, 6)}
        name = list(strengths)[integer(0, len(strengths))]
        strength = strengths[name][integer(0, bins)] if strengths[name] else 0.0
        if name in _SIGNED and integer(0, 2):
            strength *= -1.0
        return _OPERATIONS[name](img, strength, self._options(img))

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(num_magnitude_bins={self.num_magnitude_bins}, "
            f"interpolation={self.interpolation}, fill={self.fill})"
        )


__all__ = ["AutoAugment", "AutoAugmentPolicy", "RandAugment", "TrivialAugmentWide"]
