"""Convolutions that take ``in_channels`` from their first input."""

from __future__ import annotations

from typing import Any

from .. import engine
from ..engine import Tensor
from .conv import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    Sizes,
    _Conv,
    _ConvNd,
    _ConvTransposeNd,
)
from .lazy import LazyModuleMixin
from .parameter import UninitializedParameter


class _LazyConvNd(LazyModuleMixin, _ConvNd):
    """What lazy convolutions share."""

    _space = 1
    weight: UninitializedParameter
    bias: UninitializedParameter | None

    def _leave_open(self, out_channels: int, bias: bool, device: Any, dtype: Any) -> None:
        """Parameters without a shape."""
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        self.out_channels = out_channels
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Draw new values, once there are sizes."""
        if self.in_channels != 0 and not self.has_uninitialized_params():
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor, *args: Any, **kwargs: Any) -> None:
        """Take the channels from ``input``."""
        if not self.has_uninitialized_params():
            return
        self.in_channels = self._get_in_channels(input)
        if self.in_channels % self.groups:
            raise ValueError("in_channels must be divisible by groups")
        ends = (self.out_channels, self.in_channels)
        first, second = ends[::-1] if self.transposed else ends
        before = engine.set_grad_enabled(False)
        try:
            self.weight.materialize((first, second // self.groups, *self.kernel_size))
            if self.bias is not None:
                self.bias.materialize((self.out_channels,))
            self.reset_parameters()
        finally:
            engine.set_grad_enabled(before)

    def _get_in_channels(self, input: Tensor) -> int:
        """Channels of an input, with or without a batch."""
        n, rank = self._space, len(input.shape)
        if rank not in (n + 1, n + 2):
            raise RuntimeError(
                f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to "
                f"{self.__class__.__name__}, but got input of size: {input.shape}"
            )
        return int(input.shape[1] if rank == n + 2 else input.shape[0])


class _LazyConv(_LazyConvNd, _Conv):
    def __init__(
        self,
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
        super().__init__(
            0, 0, kernel_size, stride, padding, dilation, groups, False, padding_mode, device, dtype
        )
        self._leave_open(out_channels, bias, device, dtype)


class _LazyConvTranspose(_LazyConvNd, _ConvTransposeNd):
    def __init__(
        self,
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
        super().__init__(
            0, 0, kernel_size, stride, padding, output_padding, groups, False, dilation,
            padding_mode, device, dtype,
        )  # fmt: skip
        self._leave_open(out_channels, bias, device, dtype)


class LazyConv1d(_LazyConv):
    """A ``Conv1d`` that takes its channels from the first input."""

    _space = 1
    cls_to_become = Conv1d


class LazyConv2d(_LazyConv):
    """A ``Conv2d`` that takes its channels from the first input."""

    _space = 2
    cls_to_become = Conv2d


class LazyConv3d(_LazyConv):
    """A ``Conv3d`` that takes its channels from the first input."""

    _space = 3
    cls_to_become = Conv3d


class LazyConvTranspose1d(_LazyConvTranspose):
    """A ``ConvTranspose1d`` that takes its channels from the first input."""

    _space = 1
    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyConvTranspose):
    """A ``ConvTranspose2d`` that takes its channels from the first input."""

    _space = 2
    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_LazyConvTranspose):
    """A ``ConvTranspose3d`` that takes its channels from the first input."""

    _space = 3
    cls_to_become = ConvTranspose3d
