"""The Dirichlet distribution."""

from __future__ import annotations

from typing import Any, ClassVar

from rushlight.distributions import constraints, draws
from rushlight.distributions import words as w
from rushlight.distributions.exp_family import ExponentialFamily
from rushlight.distributions.words import Tensor

__all__ = ["Dirichlet"]


class Dirichlet(ExponentialFamily):
    """Points of a simplex; `concentration`: at least one-dimensional, positive."""

    arg_constraints: ClassVar = {"concentration": constraints.independent(constraints.positive, 1)}
    support: Any = constraints.simplex
    has_rsample = True
    _parameters: ClassVar = {"concentration": 1}

    def __init__(self, concentration: Tensor, validate_args: bool | None = None) -> None:
        if concentration.dim() < 1:
            raise ValueError("`concentration` parameter must be at least one-dimensional.")
        self.concentration = concentration
        shape = concentration.shape
        super().__init__(shape[:-1], shape[-1:], validate_args=validate_args)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Gamma numbers over their sum."""
        shape = self._extended_shape(sample_shape)
        return draws.dirichlet(self.concentration.expand(shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """The density's logarithm."""
        self._checked(value)
        return (
            w.xlogy(self.concentration - 1.0, value).sum(-1)
            + self.concentration.sum(-1).lgamma()
            - self.concentration.lgamma().sum(-1)
        )

    @property
    def mean(self) -> Tensor:
        """α / Σ α."""
        return self.concentration / self.concentration.sum(-1, True)

    @property
    def mode(self) -> Tensor:
        """(α - 1) / Σ (α - 1); where all α < 1, the corner of the largest."""
        less = (self.concentration - 1).clamp(min=0.0)
        mode = less / less.sum(-1, True)
        flat = (self.concentration < 1).all(dim=-1).unsqueeze(-1)
        at = mode.argmax(dim=-1).unsqueeze(-1)
        corner = (w.arange(mode.shape[-1]) == at).to(mode.dtype)
        return w.where(flat, corner, mode)

    @property
    def variance(self) -> Tensor:
        """α (Σ α - α) / (Σ α)² / (Σ α + 1)."""
        total = self.concentration.sum(-1, True)
        return self.concentration * (total - self.concentration) / (total.pow(2) * (total + 1))

    def entropy(self) -> Tensor:
        """log B(α) + (Σ α - K) ψ(Σ α) - Σ (α - 1) ψ(α)."""
        k = self.concentration.size(-1)
        total = self.concentration.sum(-1)
        return (
            self.concentration.lgamma().sum(-1)
            - total.lgamma()
            - (k - total) * total.digamma()
            - ((self.concentration - 1.0) * self.concentration.digamma()).sum(-1)
        )

    @property
    def _natural_params(self) -> tuple[Tensor]:
        return (self.concentration,)

    def _log_normalizer(self, *natural_params: Tensor) -> Tensor:
        x = natural_params[0]
        return x.lgamma().sum(-1) - x.sum(-1).lgamma()
