"""DenseNet: each layer sees what all layers before it have made (Huang, 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from rushlight import nn
from rushlight.nn import functional as F
from rushlight.tensor.install import FUNCTIONS
from rushlight.vision.models._registry import model


class _DenseLayer(nn.Module):
    """A bottleneck and a 3x3 convolution of `growth_rate` new channels."""

    def __init__(
        self,
        num_input_features: int,
        growth_rate: int,
        bn_size: int,
        drop_rate: float,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        wide = bn_size * growth_rate
        self.norm1 = nn.BatchNorm2d(num_input_features)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(num_input_features, wide, kernel_size=1, stride=1, bias=False)
        self.norm2 = nn.BatchNorm2d(wide)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(wide, growth_rate, kernel_size=3, stride=1, padding=1, bias=False)
        self.drop_rate = float(drop_rate)
        self.memory_efficient = memory_efficient

    def forward(self, input: Any) -> Any:
        """A tensor or a list of them, side by side, to the new channels."""
        x = FUNCTIONS["cat"](input, 1) if isinstance(input, list) else input
        x = self.conv1(self.relu1(self.norm1(x)))
        x = self.conv2(self.relu2(self.norm2(x)))
        return F.dropout(x, p=self.drop_rate, training=self.training) if self.drop_rate else x


class _DenseBlock(nn.ModuleDict):
    """Layers that each add their channels."""

    def __init__(
        self,
        num_layers: int,
        num_input_features: int,
        bn_size: int,
        growth_rate: int,
        drop_rate: float,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        for i in range(num_layers):
            layer = _DenseLayer(
                num_input_features + i * growth_rate,
                growth_rate,
                bn_size,
                drop_rate,
                memory_efficient,
            )
            self.add_module(f"denselayer{i + 1}", layer)

    def forward(self, init_features: Any) -> Any:
        """[N, C, H, W] to [N, C + layers * growth_rate, H, W]."""
        features = [init_features]
        for layer in self.values():
            features.append(layer(features))
        return FUNCTIONS["cat"](features, 1)


class _Transition(nn.Sequential):
    """Fewer channels, half the height and width."""

    def __init__(self, num_input_features: int, num_output_features: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(num_input_features)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(
            num_input_features, num_output_features, kernel_size=1, stride=1, bias=False
        )
        self.pool = nn.AvgPool2d(kernel_size=2, stride=2)


class DenseNet(nn.Module):
    """Four dense blocks: images [N, 3, H, W] to classes [N, num_classes]."""

    def __init__(
        self,
        growth_rate: int = 32,
        block_config: Sequence[int] = (6, 12, 24, 16),
        num_init_features: int = 64,
        bn_size: int = 4,
        drop_rate: float = 0,
        num_classes: int = 1000,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        width = num_init_features
        self.features = nn.Sequential()
        first = nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.features.add_module("conv0", first)
        self.features.add_module("norm0", nn.BatchNorm2d(width))
        self.features.add_module("relu0", nn.ReLU(inplace=True))
        self.features.add_module("pool0", nn.MaxPool2d(kernel_size=3, stride=2, padding=1))
        for i, count in enumerate(block_config):
            block = _DenseBlock(count, width, bn_size, growth_rate, drop_rate, memory_efficient)
            self.features.add_module(f"denseblock{i + 1}", block)
            width += count * growth_rate
            if i != len(block_config) - 1:
                self.features.add_module(f"transition{i + 1}", _Transition(width, width // 2))
                width //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(width))
        self.classifier = nn.Linear(width, num_classes)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight)
            elif isinstance(m, nn.BatchNorm2d):
                nn.init.constant_(m.weight, 1)
                nn.init.constant_(m.bias, 0)
            elif isinstance(m, nn.Linear):
                nn.init.constant_(m.bias, 0)

    def forward(self, x: Any) -> Any:
        """[N, 3, H, W] to [N, num_classes]."""
        out: Any = F.relu(self.features(x), inplace=True)
        out = F.adaptive_avg_pool2d(out, (1, 1))
        return self.classifier(out.flatten(1))


def _densenet(growth: int, blocks: Sequence[int], first: int, **kwargs: Any) -> DenseNet:
    return DenseNet(growth, blocks, first, **kwargs)


densenet121 = model("densenet121", partial(_densenet, 32, (6, 12, 24, 16), 64))
densenet161 = model("densenet161", partial(_densenet, 48, (6, 12, 36, 24), 96))
densenet169 = model("densenet169", partial(_densenet, 32, (6, 12, 32, 32), 64))
densenet201 = model("densenet201", partial(_densenet, 32, (6, 12, 48, 32), 64))

__all__ = ["DenseNet", "densenet121", "densenet161", "densenet169", "densenet201"]
