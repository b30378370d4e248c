"""`ExponentialFamily`: entropy from the derivative of the log-normaliser."""

from __future__ import annotations

from typing import Any

from rushlight.autograd import grad
from rushlight.distributions.distribution import Distribution
from rushlight.distributions.words import Tensor

__all__ = ["ExponentialFamily"]


class ExponentialFamily(Distribution):
    """Densities h(x) exp(t(x) · θ - F(θ)), with natural parameters θ and log-normaliser F."""

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        """θ."""
        raise NotImplementedError

    def _log_normalizer(self, *natural_params: Tensor) -> Tensor:
        """F(θ)."""
        raise NotImplementedError

    @property
    def _mean_carrier_measure(self) -> Any:
        """E[log h(x)]."""
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """F(θ) - θ · F'(θ) - E[log h(x)]."""
        params = [p.detach().requires_grad_() for p in self._natural_params]
        normalizer = self._log_normalizer(*params)
        slopes = grad(normalizer.sum(), params, create_graph=True)
        result = -self._mean_carrier_measure + normalizer
        for p, slope in zip(params, slopes, strict=True):
            result = result - (p * slope).reshape((*self._batch_shape, -1)).sum(-1)
        return result
