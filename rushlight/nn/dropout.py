"""Layers that drop values at random in training."""

from __future__ import annotations

from typing import Any

from ..engine import Tensor
from . import functional as F
from .module import Module


class _Dropout(Module):
    """What all share: the probability, whether in place."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if p < 0 or p > 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        """The settings."""
        return f"p={self.p}, inplace={self.inplace}"


_DropoutNd: Any = _Dropout


class Dropout(_Dropout):
    """Each value dropped with probability ``p``, the others divided by ``1 - p``."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply it."""
        return F.dropout(input, self.p, self.training, self.inplace) if self.training else input


class Dropout1d(_Dropout):
    """Whole channels of (N, C, L) dropped."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply it."""
        return F.dropout1d(input, self.p, self.training, self.inplace)  # type: ignore[no-any-return]


class Dropout2d(_Dropout):
    """Whole channels of (N, C, H, W) dropped."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply it."""
        return F.dropout2d(input, self.p, self.training, self.inplace)  # type: ignore[no-any-return]


class Dropout3d(_Dropout):
    """Whole channels of (N, C, D, H, W) dropped."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply it."""
        return F.dropout3d(input, self.p, self.training, self.inplace)  # type: ignore[no-any-return]


class AlphaDropout(_Dropout):
    """Dropout that keeps mean and variance behind a SELU."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply it."""
        return F.alpha_dropout(input, self.p, self.training)


class FeatureAlphaDropout(_Dropout):
    """``AlphaDropout`` of whole channels."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply it."""
        return F.feature_alpha_dropout(input, self.p, self.training)
