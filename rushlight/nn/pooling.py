"""Layers that average over windows: adaptive pooling."""

from __future__ import annotations

from typing import Any

from . import functional as F
from .module import Module


class _AdaptiveAvgPool(Module):
    """Averages over as many windows as the output has places."""

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        """The output's size."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Averages of (N, C, L)."""

    def forward(self, input: Any) -> Any:
        """Apply it."""
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Averages of (N, C, H, W)."""

    def forward(self, input: Any) -> Any:
        """Apply it."""
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """Averages of (N, C, D, H, W)."""

    def forward(self, input: Any) -> Any:
        """Apply it."""
        return F.adaptive_avg_pool3d(input, self.output_size)
