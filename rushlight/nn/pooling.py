"""Layers that pool: the greatest element or an average of windows, and the way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ..engine import Tensor
from . import functional as F
from .conv import repeated
from .module import Module

Sizes = int | Sequence[int]


# ---------------------------------------------------------------- the greatest element
class _MaxPoolNd(Module):
    """The greatest element of each window; ``return_indices`` gives its place as well."""

    __constants__: ClassVar[list[str]] = [
        "kernel_size", "stride", "padding", "dilation", "return_indices", "ceil_mode",
    ]  # fmt: skip
    _space = 1

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Any:
        """The pooled input."""
        f: Any = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[self._space - 1]
        return f(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
            self.return_indices,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """The settings."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPoolNd):
    """The greatest element of each window of (N, C, L), or (C, L)."""

    _space = 1


class MaxPool2d(_MaxPoolNd):
    """The greatest element of each window of (N, C, H, W), or (C, H, W)."""

    _space = 2


class MaxPool3d(_MaxPoolNd):
    """The greatest element of each window of (N, C, D, H, W), or (C, D, H, W)."""

    _space = 3


class _MaxUnpoolNd(Module):
    """Zeros with each element put where max pooling had found it."""

    _space = 1

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> None:
        super().__init__()
        self.kernel_size = repeated(kernel_size, self._space)
        self.stride = repeated(kernel_size if stride is None else stride, self._space)
        self.padding = repeated(padding, self._space)

    def forward(
        self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None
    ) -> Tensor:
        """The larger tensor."""
        f: Any = (F.max_unpool1d, F.max_unpool2d, F.max_unpool3d)[self._space - 1]
        made: Tensor = f(input, indices, self.kernel_size, self.stride, self.padding, output_size)
        return made

    def extra_repr(self) -> str:
        """The settings."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpoolNd):
    """The way back from ``MaxPool1d``."""

    _space = 1


class MaxUnpool2d(_MaxUnpoolNd):
    """The way back from ``MaxPool2d``."""

    _space = 2


class MaxUnpool3d(_MaxUnpoolNd):
    """The way back from ``MaxPool3d``."""

    _space = 3


# ---------------------------------------------------------------- averages
class _AvgPoolNd(Module):
    """The average of each window."""

    __constants__: ClassVar[list[str]] = [
        "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad",
    ]  # fmt: skip
    kernel_size: Any
    stride: Any
    padding: Any

    def extra_repr(self) -> str:
        """The settings."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPoolNd):
    """The average of each window of (N, C, L), or (C, L)."""

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = repeated(kernel_size, 1)
        self.stride = repeated(kernel_size if stride is None else stride, 1)
        self.padding = repeated(padding, 1)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        """The pooled input."""
        return F.avg_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad,
        )  # fmt: skip


class _AvgPoolPlanes(_AvgPoolNd):
    """The average of each window; ``divisor_override`` is what its sum is divided by instead."""

    __constants__: ClassVar[list[str]] = [*_AvgPoolNd.__constants__, "divisor_override"]
    _space = 2

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        """The pooled input."""
        f: Any = F.avg_pool2d if self._space == 2 else F.avg_pool3d
        made: Tensor = f(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad, self.divisor_override,
        )  # fmt: skip
        return made


class AvgPool2d(_AvgPoolPlanes):
    """The average of each window of (N, C, H, W), or (C, H, W)."""

    _space = 2


class AvgPool3d(_AvgPoolPlanes):
    """The average of each window of (N, C, D, H, W), or (C, D, H, W)."""

    _space = 3

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        super().__setstate__(state)
        self.__dict__.setdefault("padding", 0)
        self.__dict__.setdefault("ceil_mode", False)
        self.__dict__.setdefault("count_include_pad", True)


class _LPPoolNd(Module):
    """The ``norm_type``-norm of each window."""

    __constants__: ClassVar[list[str]] = ["norm_type", "kernel_size", "stride", "ceil_mode"]
    _space = 1

    def __init__(
        self,
        norm_type: float,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        """The pooled input."""
        f: Any = (F.lp_pool1d, F.lp_pool2d, F.lp_pool3d)[self._space - 1]
        made: Tensor = f(
            input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode
        )
        return made

    def extra_repr(self) -> str:
        """The settings."""
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPoolNd):
    """The ``norm_type``-norm of each window of (N, C, L), or (C, L)."""

    _space = 1


class LPPool2d(_LPPoolNd):
    """The ``norm_type``-norm of each window of (N, C, H, W), or (C, H, W)."""

    _space = 2


class LPPool3d(_LPPoolNd):
    """The ``norm_type``-norm of each window of (N, C, D, H, W), or (C, D, H, W)."""

    _space = 3


# ---------------------------------------------------------------- windows that fit the output
class _AdaptiveAvgPoolNd(Module):
    """Averages over as many windows as the output has places."""

    __constants__: ClassVar[list[str]] = ["output_size"]

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        """The output's size."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPoolNd):
    """Averages of (N, C, L)."""

    def forward(self, input: Any) -> Any:
        """Apply it."""
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_AdaptiveAvgPoolNd):
    """Averages of (N, C, H, W)."""

    def forward(self, input: Any) -> Any:
        """Apply it."""
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool3d(_AdaptiveAvgPoolNd):
    """Averages of (N, C, D, H, W)."""

    def forward(self, input: Any) -> Any:
        """Apply it."""
        return F.adaptive_avg_pool3d(input, self.output_size)


class _AdaptiveMaxPoolNd(Module):
    """The greatest elements of as many windows as the output has places."""

    __constants__: ClassVar[list[str]] = ["output_size", "return_indices"]

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices

    def extra_repr(self) -> str:
        """The output's size."""
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPoolNd):
    """Greatest elements of (N, C, L)."""

    def forward(self, input: Any) -> Any:
        """Apply it."""
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMaxPoolNd):
    """Greatest elements of (N, C, H, W)."""

    def forward(self, input: Any) -> Any:
        """Apply it."""
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool3d(_AdaptiveMaxPoolNd):
    """Greatest elements of (N, C, D, H, W)."""

    def forward(self, input: Any) -> Any:
        """Apply it."""
        return F.adaptive_max_pool3d(input, self.output_size, self.return_indices)


# ---------------------------------------------------------------- windows that are drawn
class _FractionalMaxPoolNd(Module):
    """The greatest elements of windows whose places are drawn."""

    __constants__: ClassVar[list[str]] = [
        "kernel_size", "return_indices", "output_size", "output_ratio",
    ]  # fmt: skip
    _space = 2
    _random_samples: Tensor | None

    def __init__(
        self,
        kernel_size: Sizes,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        super().__init__()
        n, name = self._space, type(self).__name__
        self.kernel_size = repeated(kernel_size, n)
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = None if output_size is None else repeated(output_size, n)
        ratio = (output_ratio,) * n if isinstance(output_ratio, float) else output_ratio
        self.output_ratio = None if ratio is None else tuple(ratio)
        if output_size is None and output_ratio is None:
            raise ValueError(
                f"{name} requires specifying either an output size, or a pooling ratio"
            )
        if output_size is not None and output_ratio is not None:
            raise ValueError("only one of output_size and output_ratio may be specified")
        if self.output_ratio is not None and not all(0 < r < 1 for r in self.output_ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")

    def forward(self, input: Tensor) -> Any:
        """The pooled input."""
        f: Any = F.fractional_max_pool2d if self._space == 2 else F.fractional_max_pool3d
        return f(
            input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices,
            _random_samples=self._random_samples,
        )  # fmt: skip


class FractionalMaxPool2d(_FractionalMaxPoolNd):
    """The greatest elements of drawn windows of (N, C, H, W), or (C, H, W)."""

    _space = 2


class FractionalMaxPool3d(_FractionalMaxPoolNd):
    """The greatest elements of drawn windows of (N, C, D, H, W), or (C, D, H, W)."""

    _space = 3
