"""SqueezeNet: few parameters, by squeezing channels before 3x3 convolutions (Iandola, 2016)."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from rushlight import nn
from rushlight.tensor.install import FUNCTIONS
from rushlight.vision.models._registry import model


class Fire(nn.Module):
    """Squeezed channels, expanded by 1x1 and by 3x3 convolutions."""

    def __init__(
        self, inplanes: int, squeeze_planes: int, expand1x1_planes: int, expand3x3_planes: int
    ) -> None:
        super().__init__()
        self.inplanes = inplanes
        self.squeeze = nn.Conv2d(inplanes, squeeze_planes, kernel_size=1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeeze_planes, expand1x1_planes, kernel_size=1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeeze_planes, expand3x3_planes, kernel_size=3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: Any) -> Any:
        """[N, inplanes, H, W] to [N, expanded, H, W]."""
        x = self.squeeze_activation(self.squeeze(x))
        wide = self.expand1x1_activation(self.expand1x1(x))
        return FUNCTIONS["cat"]([wide, self.expand3x3_activation(self.expand3x3(x))], 1)


#: The first convolution's channels and kernel; then squeezed and expanded channels, "M" a pooling.
_VERSIONS: Final[dict[str, tuple[int, int, list[Any]]]] = {
    "1_0": (96, 7, ["M", (16, 64), (16, 64), (32, 128), "M", (32, 128), (48, 192), (48, 192),
                    (64, 256), "M", (64, 256)]),
    "1_1": (64, 3, ["M", (16, 64), (16, 64), "M", (32, 128), (32, 128), "M", (48, 192), (48, 192),
                    (64, 256), (64, 256)]),
}  # fmt: skip


class SqueezeNet(nn.Module):
    """Images [N, 3, H, W] to classes [N, num_classes]."""

    def __init__(self, version: str = "1_0", num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.num_classes = num_classes
        if version not in _VERSIONS:
            raise ValueError(f"Unsupported SqueezeNet version {version}: 1_0 or 1_1 expected")
        width, kernel, rest = _VERSIONS[version]
        layers: list[nn.Module] = [
            nn.Conv2d(3, width, kernel_size=kernel, stride=2),
            nn.ReLU(inplace=True),
        ]
        for entry in rest:
            if entry == "M":
                layers.append(nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True))
                continue
            squeezed, expanded = entry
            layers.append(Fire(width, squeezed, expanded, expanded))
            width = 2 * expanded
        self.features = nn.Sequential(*layers)
        last = nn.Conv2d(512, num_classes, kernel_size=1)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout), last, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d((1, 1))
        )
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                if m is last:
                    nn.init.normal_(m.weight, mean=0.0, std=0.01)
                else:
                    nn.init.kaiming_uniform_(m.weight)
                if m.bias is not None:
                    nn.init.constant_(m.bias, 0)

    def forward(self, x: Any) -> Any:
        """[N, 3, H, W] to [N, num_classes]."""
        return self.classifier(self.features(x)).flatten(1)


squeezenet1_0 = model("squeezenet1_0", partial(SqueezeNet, "1_0"))
squeezenet1_1 = model("squeezenet1_1", partial(SqueezeNet, "1_1"))

__all__ = ["SqueezeNet", "squeezenet1_0", "squeezenet1_1"]
