"""Layers that convolve: ``Conv1d`` to ``Conv3d`` and the transposed ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ..base.shape import Ints
from ..engine import Tensor
from ..tensor.creation import empty
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter

Sizes = int | Sequence[int]
MODES = ("zeros", "reflect", "replicate", "circular")


def repeated(value: Any, space: int) -> Any:
    """A number for every dimension in space; what has several already, as a tuple."""
    return (value,) * space if isinstance(value, int) else tuple(value)


class _ConvNd(Module):
    """What convolutions share: sizes, weight (O, C / groups, *kernel) or transposed, and bias.

    Both start uniform within ``1 / sqrt(C / groups * kernel elements)``.
    """

    __constants__: ClassVar[list[str]] = [
        "stride", "padding", "dilation", "groups", "padding_mode", "output_padding", "in_channels",
        "out_channels", "kernel_size",
    ]  # fmt: skip
    in_channels: int
    out_channels: int
    kernel_size: Ints
    stride: Ints
    padding: str | Ints
    dilation: Ints
    output_padding: Ints
    groups: int
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints,
        padding: str | Ints,
        dilation: Ints,
        transposed: bool,
        output_padding: Ints,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if groups <= 0:
            raise ValueError("groups must be a positive integer")
        if in_channels % groups:
            raise ValueError("in_channels must be divisible by groups")
        if out_channels % groups:
            raise ValueError("out_channels must be divisible by groups")
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ValueError(
                    f"Invalid padding string {padding!r}, should be one of {{'valid', 'same'}}"
                )
            if padding == "same" and any(s != 1 for s in stride):
                raise ValueError("padding='same' is not supported for strided convolutions")
        if padding_mode not in MODES:
            raise ValueError(
                f"padding_mode must be one of {set(MODES)}, but got padding_mode='{padding_mode}'"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.transposed = transposed
        self.output_padding = output_padding
        self.groups = groups
        self.padding_mode = padding_mode
        self._reversed_padding_repeated_twice = self._edges()
        ends = (in_channels, out_channels) if transposed else (out_channels, in_channels)
        shape = (ends[0], ends[1] // groups, *kernel_size)
        self.weight = Parameter(empty(shape, device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(empty((out_channels,), device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def _edges(self) -> list[int]:
        """The padding as ``F.pad`` takes it: the last dimension first, both sides."""
        if not isinstance(self.padding, str):
            return [n for n in reversed(self.padding) for _ in range(2)]
        out: list[int] = []
        for d, k in zip(reversed(self.dilation), reversed(self.kernel_size), strict=True):
            total = d * (k - 1) if self.padding == "same" else 0
            out += [total // 2, total - total // 2]
        return out

    def reset_parameters(self) -> None:
        """Draw new values."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in, _ = init._calculate_fan_in_and_fan_out(self.weight)
            bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        """The sizes, and what differs from the defaults."""
        out = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}"
        )
        if self.padding != (0,) * len(self.padding):
            out += f", padding={self.padding}"
        if self.dilation != (1,) * len(self.dilation):
            out += f", dilation={self.dilation}"
        if self.output_padding != (0,) * len(self.output_padding):
            out += f", output_padding={self.output_padding}"
        if self.groups != 1:
            out += f", groups={self.groups}"
        if self.bias is None:
            out += ", bias=False"
        if self.padding_mode != "zeros":
            out += f", padding_mode={self.padding_mode}"
        return out

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        super().__setstate__(state)
        if not hasattr(self, "padding_mode"):
            self.padding_mode = "zeros"


class _Conv(_ConvNd):
    """A convolution over ``_space`` dimensions."""

    _space = 1

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        n = self._space
        around = padding if isinstance(padding, str) else repeated(padding, n)
        super().__init__(
            in_channels, out_channels, repeated(kernel_size, n), repeated(stride, n), around,
            repeated(dilation, n), False, (0,) * n, groups, bias, padding_mode, device, dtype,
        )  # fmt: skip

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        f: Any = (F.conv1d, F.conv2d, F.conv3d)[self._space - 1]
        if self.padding_mode == "zeros":
            around: Any = self.padding
        else:
            input = F.pad(input, self._reversed_padding_repeated_twice, self.padding_mode)
            around = 0
        made: Tensor = f(input, weight, bias, self.stride, around, self.dilation, self.groups)
        return made

    def forward(self, input: Tensor) -> Tensor:
        """The convolution, with the edges that ``padding_mode`` says."""
        return self._conv_forward(input, self.weight, self.bias)


class Conv1d(_Conv):
    """A convolution of (N, C, L), or (C, L)."""

    _space = 1


class Conv2d(_Conv):
    """A convolution of (N, C, H, W), or (C, H, W)."""

    _space = 2


class Conv3d(_Conv):
    """A convolution of (N, C, D, H, W), or (C, D, H, W)."""

    _space = 3


class _ConvTransposeNd(_ConvNd):
    """A transposed convolution over ``_space`` dimensions: what ``Conv``'s gradient does."""

    _space = 1

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(
                f'Only "zeros" padding mode is supported for {self.__class__.__name__}'
            )
        n = self._space
        super().__init__(
            in_channels, out_channels, repeated(kernel_size, n), repeated(stride, n),
            repeated(padding, n), repeated(dilation, n), True, repeated(output_padding, n), groups,
            bias, padding_mode, device, dtype,
        )  # fmt: skip

    def _output_padding(
        self,
        input: Tensor,
        output_size: Sequence[int] | None,
        stride: Ints,
        padding: Ints,
        kernel_size: Ints,
        num_spatial_dims: int,
        dilation: Ints | None = None,
    ) -> Ints:
        """How much larger than the least size ``output_size`` is."""
        if output_size is None:
            return self.output_padding
        n = num_spatial_dims
        lead = 2 if len(input.shape) == n + 2 else 1
        wanted = list(output_size)
        if len(wanted) == lead + n:
            wanted = wanted[lead:]
        if len(wanted) != n:
            raise ValueError(
                f"ConvTranspose{n}D: for {len(input.shape)}D input, output_size must have {n} or "
                f"{lead + n} elements (got {len(wanted)})"
            )
        wide = dilation or (1,) * n
        least = [
            (input.shape[d + lead] - 1) * stride[d]
            - 2 * padding[d]
            + wide[d] * (kernel_size[d] - 1)
            + 1
            for d in range(n)
        ]
        most = [size + step - 1 for size, step in zip(least, stride, strict=True)]
        for size, low, high in zip(wanted, least, most, strict=True):
            if not low <= size <= high:
                raise ValueError(
                    f"requested an output size of {output_size}, but valid sizes range from "
                    f"{least} to {most} (for an input of {input.shape[2:]})"
                )
        return tuple(size - low for size, low in zip(wanted, least, strict=True))

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """The transposed convolution; ``output_size`` chooses among the sizes that fit."""
        assert not isinstance(self.padding, str)
        n = self._space
        more = self._output_padding(
            input, output_size, self.stride, self.padding, self.kernel_size, n, self.dilation
        )
        f: Any = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[n - 1]
        made: Tensor = f(
            input, self.weight, self.bias, self.stride, self.padding, more, self.groups,
            self.dilation,
        )  # fmt: skip
        return made


class ConvTranspose1d(_ConvTransposeNd):
    """A transposed convolution of (N, C, L), or (C, L)."""

    _space = 1


class ConvTranspose2d(_ConvTransposeNd):
    """A transposed convolution of (N, C, H, W), or (C, H, W)."""

    _space = 2


class ConvTranspose3d(_ConvTransposeNd):
    """A transposed convolution of (N, C, D, H, W), or (C, D, H, W)."""

    _space = 3
