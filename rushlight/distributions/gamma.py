"""The gamma distribution."""

from __future__ import annotations

from typing import Any, ClassVar

from rushlight.distributions import constraints, draws
from rushlight.distributions import words as w
from rushlight.distributions.exp_family import ExponentialFamily
from rushlight.distributions.utils import broadcast_all
from rushlight.distributions.words import Tensor
from rushlight.tensor import FUNCTIONS
from rushlight.tensor.kinds import finfo

__all__ = ["Gamma"]


class Gamma(ExponentialFamily):
    """Gamma(concentration, rate): density rate^α x^(α-1) exp(-rate x) / Γ(α)."""

    arg_constraints: ClassVar[Any] = {
        "concentration": constraints.positive,
        "rate": constraints.positive,
    }
    support: Any = constraints.nonnegative
    has_rsample = True
    _parameters: ClassVar = {"concentration": 0, "rate": 0}
    _mean_carrier_measure: Any = 0

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = broadcast_all(concentration, rate)
        super().__init__(self.concentration.size(), validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        """α / rate."""
        return self.concentration / self.rate

    @property
    def mode(self) -> Tensor:
        """(α - 1) / rate, at least 0."""
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self) -> Tensor:
        """α / rate²."""
        return self.concentration / self.rate.pow(2)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Gamma(α, 1) / rate, kept above 0."""
        shape = self._extended_shape(sample_shape)
        value = draws.standard_gamma(self.concentration.expand(shape)) / self.rate.expand(shape)
        # the gradient goes past the bound
        low = value.detach().clamp(min=finfo(value.dtype).tiny)
        return value + (low - value.detach())

    def log_prob(self, value: Tensor) -> Tensor:
        """The density's logarithm."""
        if not w.is_tensor(value):
            value = w.tensor(value, dtype=self.rate.dtype)
        self._checked(value)
        return (
            w.xlogy(self.concentration, self.rate)
            + w.xlogy(self.concentration - 1, value)
            - self.rate * value
            - self.concentration.lgamma()
        )

    def cdf(self, value: Tensor) -> Tensor:
        """The regularised lower incomplete gamma function."""
        self._checked(value)
        return FUNCTIONS["igamma"](self.concentration, self.rate * value)

    def entropy(self) -> Tensor:
        """α - log rate + log Γ(α) + (1 - α) ψ(α)."""
        a = self.concentration
        return a - self.rate.log() + a.lgamma() + (1.0 - a) * a.digamma()

    @property
    def _natural_params(self) -> tuple[Tensor, Tensor]:
        return self.concentration - 1, -self.rate

    def _log_normalizer(self, *natural_params: Tensor) -> Tensor:
        x, y = natural_params
        return (x + 1).lgamma() + (x + 1) * (-y.reciprocal()).log()
