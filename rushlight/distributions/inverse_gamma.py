"""The inverse gamma distribution."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from rushlight.distributions import constraints
from rushlight.distributions import words as w
from rushlight.distributions.gamma import Gamma
from rushlight.distributions.transformed_distribution import Shaped, of_base
from rushlight.distributions.transforms import PowerTransform
from rushlight.distributions.words import Tensor

__all__ = ["InverseGamma"]


class InverseGamma(Shaped):
    """1 / x of Gamma(concentration, rate)."""

    arg_constraints: ClassVar = {
        "concentration": constraints.positive,
        "rate": constraints.positive,
    }
    support: Any = constraints.positive
    concentration = of_base("concentration")
    rate = of_base("rate")

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        base = Gamma(concentration, rate, validate_args=validate_args)
        minus_one = -w.full((), 1.0, dtype=base.rate.dtype)
        super().__init__(base, PowerTransform(minus_one), validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        """rate / (α - 1); inf where α <= 1."""
        return w.where(self.concentration > 1, self.rate / (self.concentration - 1), math.inf)

    @property
    def mode(self) -> Tensor:
        """rate / (α + 1)."""
        return self.rate / (self.concentration + 1)

    @property
    def variance(self) -> Tensor:
        """rate² / ((α - 1)² (α - 2)); inf where α <= 2."""
        a = self.concentration
        return w.where(a > 2, self.rate.square() / ((a - 1).square() * (a - 2)), math.inf)

    def entropy(self) -> Tensor:
        """α + log rate + log Γ(α) - (1 + α) ψ(α)."""
        a = self.concentration
        return a + self.rate.log() + a.lgamma() - (1 + a) * a.digamma()
