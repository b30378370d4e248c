"""The generalised Pareto distribution."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from rushlight.distributions import constraints
from rushlight.distributions import words as w
from rushlight.distributions.distribution import Distribution
from rushlight.distributions.utils import broadcast_all
from rushlight.distributions.words import Tensor

__all__ = ["GeneralizedPareto"]


class GeneralizedPareto(Distribution):
    """Tails beyond loc: survival (1 + c z)^(-1/c) of z = (x - loc) / scale; exp(-z) for c = 0."""

    arg_constraints: ClassVar = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "concentration": constraints.real,
    }
    has_rsample = True
    _parameters: ClassVar = {"loc": 0, "scale": 0, "concentration": 0}

    def __init__(
        self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None
    ) -> None:
        self.loc, self.scale, self.concentration = broadcast_all(loc, scale, concentration)
        super().__init__(self.loc.size(), validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        """From loc; for c < 0 up to loc - scale / c."""
        end = self.loc - self.scale / self.concentration
        return constraints.interval(self.loc, w.where(self.concentration < 0, end, math.inf))

    def _split(self) -> tuple[Tensor, Tensor]:
        """Whether c is 0 (to 1e-8), and a c to divide by."""
        zero = self.concentration.abs() <= 1e-8
        return zero, w.where(zero, w.ones_like(self.concentration), self.concentration)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """By the inverse of the cumulative function."""
        return self.icdf(w.rand(self._extended_shape(sample_shape), dtype=self.loc.dtype))

    def log_prob(self, value: Tensor) -> Tensor:
        """The density's logarithm."""
        self._checked(value)
        z = (value - self.loc) / self.scale
        zero, c = self._split()
        y = 1 / c + w.ones_like(z)
        tail = w.where(y == 0, y, y * (c * z).log1p())
        return -self.scale.log() - w.where(zero, z, tail)

    def log_survival_function(self, value: Tensor) -> Tensor:
        """log(1 - cdf)."""
        self._checked(value)
        z = (value - self.loc) / self.scale
        zero, c = self._split()
        return w.where(zero, -z, -(c * z).log1p() / c)

    def log_cdf(self, value: Tensor) -> Tensor:
        """log cdf."""
        return (-self.log_survival_function(value).exp()).log1p()

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most a value."""
        return self.log_cdf(value).exp()

    def icdf(self, value: Tensor) -> Tensor:
        """The value at which `cdf` is that."""
        zero, c = self._split()
        log = (-value).log1p()
        far = self.loc + self.scale / c * (-c * log).expm1()
        return w.where(zero, self.loc - self.scale * log, far)

    @property
    def mean(self) -> Tensor:
        """loc + scale / (1 - c); NaN where c >= 1."""
        fits = self.concentration < 1
        mean = self.loc + self.scale / (1 - w.where(fits, self.concentration, 0.5))
        return w.where(fits, mean, math.nan)

    @property
    def variance(self) -> Tensor:
        """scale² / ((1 - c)² (1 - 2c)); NaN where c >= ½."""
        fits = self.concentration < 0.5
        c = w.where(fits, self.concentration, 0.25)
        return w.where(fits, self.scale**2 / ((1 - c) ** 2 * (1 - 2 * c)), math.nan)

    @property
    def mode(self) -> Tensor:
        """loc."""
        return self.loc

    def entropy(self) -> Tensor:
        """log scale + c + 1."""
        return self.scale.log() + self.concentration + 1
