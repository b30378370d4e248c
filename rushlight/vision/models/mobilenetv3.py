"""MobileNetV3: MobileNetV2's blocks with squeeze-and-excitation and hard swish (Howard, 2019)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from rushlight import nn
from rushlight.vision.models._registry import model
from rushlight.vision.models.mobilenetv2 import init_mobile, make_divisible
from rushlight.vision.ops.misc import Conv2dNormActivation, SqueezeExcitation

Layer = Callable[..., nn.Module]


class InvertedResidualConfig:
    """One block: channels in, kernel, channels inside and out, and what it is made of."""

    def __init__(
        self,
        input_channels: int,
        kernel: int,
        expanded_channels: int,
        out_channels: int,
        use_se: bool,
        activation: str,
        stride: int,
        dilation: int,
        width_mult: float,
    ) -> None:
        self.input_channels = self.adjust_channels(input_channels, width_mult)
        self.kernel = kernel
        self.expanded_channels = self.adjust_channels(expanded_channels, width_mult)
        self.out_channels = self.adjust_channels(out_channels, width_mult)
        self.use_se = use_se
        self.use_hs = activation == "HS"
        self.stride = stride
        self.dilation = dilation

    @staticmethod
    def adjust_channels(channels: int, width_mult: float) -> int:
        """Channels of a wider or narrower network."""
        return make_divisible(channels * width_mult, 8)


class InvertedResidual(nn.Module):
    """Channels expanded, filtered one by one, weighted and narrowed again."""

    def __init__(
        self,
        cnf: InvertedResidualConfig,
        norm_layer: Layer,
        se_layer: Layer = partial(SqueezeExcitation, scale_activation=nn.Hardsigmoid),
    ) -> None:
        super().__init__()
        if not 1 <= cnf.stride <= 2:
            raise ValueError("illegal stride value")
        self.use_res_connect = cnf.stride == 1 and cnf.input_channels == cnf.out_channels
        wide = cnf.expanded_channels
        shared: dict[str, Any] = {
            "norm_layer": norm_layer,
            "activation_layer": nn.Hardswish if cnf.use_hs else nn.ReLU,
        }
        layers: list[nn.Module] = []
        if wide != cnf.input_channels:
            layers.append(Conv2dNormActivation(cnf.input_channels, wide, kernel_size=1, **shared))
        layers.append(
            Conv2dNormActivation(
                wide,
                wide,
                kernel_size=cnf.kernel,
                stride=1 if cnf.dilation > 1 else cnf.stride,
                dilation=cnf.dilation,
                groups=wide,
                **shared,
            )
        )
        if cnf.use_se:
            layers.append(se_layer(wide, make_divisible(wide // 4, 8)))
        layers.append(
            Conv2dNormActivation(
                wide, cnf.out_channels, kernel_size=1, norm_layer=norm_layer, activation_layer=None
            )
        )
        self.block = nn.Sequential(*layers)
        self.out_channels = cnf.out_channels

    def forward(self, input: Any) -> Any:
        """[N, C, H, W] to [N, out_channels, H / stride, W / stride]."""
        result = self.block(input)
        if self.use_res_connect:
            result += input
        return result


class MobileNetV3(nn.Module):
    """Images [N, 3, H, W] to classes [N, num_classes]."""

    def __init__(
        self,
        inverted_residual_setting: Sequence[InvertedResidualConfig],
        last_channel: int,
        num_classes: int = 1000,
        block: Layer | None = None,
        norm_layer: Layer | None = None,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        settings = inverted_residual_setting
        if not settings:
            raise ValueError("The inverted_residual_setting should not be empty")
        if not all(isinstance(s, InvertedResidualConfig) for s in settings):
            raise TypeError("The inverted_residual_setting should be List[InvertedResidualConfig]")
        block = block or InvertedResidual
        norm = norm_layer or partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)
        shared: dict[str, Any] = {"norm_layer": norm, "activation_layer": nn.Hardswish}
        first, last = settings[0].input_channels, settings[-1].out_channels
        layers: list[nn.Module] = [
            Conv2dNormActivation(3, first, kernel_size=3, stride=2, **shared)
        ]
        layers += [block(cnf, norm) for cnf in settings]
        layers.append(Conv2dNormActivation(last, 6 * last, kernel_size=1, **shared))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(6 * last, last_channel),
            nn.Hardswish(inplace=True),
            nn.Dropout(p=dropout, inplace=True),
            nn.Linear(last_channel, num_classes),
        )
        init_mobile(self)

    def forward(self, x: Any) -> Any:
        """[N, 3, H, W] to [N, num_classes]."""
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


#: Kernel, channels inside and out, squeeze-and-excitation, activation and stride of each block.
_LARGE: Final = (
    (3, 16, 16, False, "RE", 1), (3, 64, 24, False, "RE", 2), (3, 72, 24, False, "RE", 1),
    (5, 72, 40, True, "RE", 2), (5, 120, 40, True, "RE", 1), (5, 120, 40, True, "RE", 1),
    (3, 240, 80, False, "HS", 2), (3, 200, 80, False, "HS", 1), (3, 184, 80, False, "HS", 1),
    (3, 184, 80, False, "HS", 1), (3, 480, 112, True, "HS", 1), (3, 672, 112, True, "HS", 1),
    (5, 672, 160, True, "HS", 2), (5, 960, 160, True, "HS", 1), (5, 960, 160, True, "HS", 1),
)  # fmt: skip
_SMALL: Final = (
    (3, 16, 16, True, "RE", 2), (3, 72, 24, False, "RE", 2), (3, 88, 24, False, "RE", 1),
    (5, 96, 40, True, "HS", 2), (5, 240, 40, True, "HS", 1), (5, 240, 40, True, "HS", 1),
    (5, 120, 48, True, "HS", 1), (5, 144, 48, True, "HS", 1), (5, 288, 96, True, "HS", 2),
    (5, 576, 96, True, "HS", 1), (5, 576, 96, True, "HS", 1),
)  # fmt: skip


def _mobilenet_v3(
    blocks: Sequence[tuple[int, int, int, bool, str, int]],
    last_channel: int,
    width_mult: float = 1.0,
    reduced_tail: bool = False,
    dilated: bool = False,
    **kwargs: Any,
) -> MobileNetV3:
    less = 2 if reduced_tail else 1
    settings = []
    width = 16
    for i, (kernel, inside, out, squeeze, activation, stride) in enumerate(blocks):
        tail = i >= len(blocks) - 3
        if tail:  # the last three blocks may be narrower, and dilated
            out //= less
            inside = inside // less if i > len(blocks) - 3 else inside
        settings.append(
            InvertedResidualConfig(
                width,
                kernel,
                inside,
                out,
                squeeze,
                activation,
                stride,
                2 if tail and dilated else 1,
                width_mult,
            )
        )
        width = out
    last = InvertedResidualConfig.adjust_channels(last_channel // less, width_mult)
    return MobileNetV3(settings, last, **kwargs)


mobilenet_v3_large = model("mobilenet_v3_large", partial(_mobilenet_v3, _LARGE, 1280))
mobilenet_v3_small = model("mobilenet_v3_small", partial(_mobilenet_v3, _SMALL, 1024))

__all__ = ["MobileNetV3", "mobilenet_v3_large", "mobilenet_v3_small"]
