"""The continuous Bernoulli distribution."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from rushlight.autograd import no_grad
from rushlight.base.size import Size
from rushlight.distributions import constraints
from rushlight.distributions import words as w
from rushlight.distributions.bernoulli import log_likelihood
from rushlight.distributions.distribution import either
from rushlight.distributions.exp_family import ExponentialFamily
from rushlight.distributions.utils import (
    broadcast_all,
    clamp_probs,
    lazy_property,
    logits_to_probs,
    probs_to_logits,
)
from rushlight.distributions.words import Tensor

__all__ = ["ContinuousBernoulli"]


class ContinuousBernoulli(ExponentialFamily):
    """Numbers between 0 and 1, of density C p^x (1 - p)^(1 - x).

    Near p = ½ (`lims`) the formulas divide 0 by 0; Taylor's series take over there.
    """

    arg_constraints: ClassVar = {"probs": constraints.unit_interval, "logits": constraints.real}
    support: Any = constraints.unit_interval
    has_rsample = True
    _parameters: ClassVar = {"probs": 0, "logits": 0}
    _mean_carrier_measure: Any = 0

    def __init__(
        self,
        probs: Any = None,
        logits: Any = None,
        lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ) -> None:
        either(probs, logits)
        if probs is not None:
            (given,) = broadcast_all(probs)
            if validate_args and not bool(constraints.unit_interval.check(given).all()):
                raise ValueError("The parameter probs has invalid values")
            self.probs = self._param = clamp_probs(given)
        else:
            (self.logits,) = broadcast_all(logits)
            self._param = self.logits
        self._lims = lims
        super().__init__(self._param.size(), validate_args=validate_args)

    def _expand_rest(self, new: Any, batch_shape: Size) -> None:
        new._lims = self._lims
        new._param = self._param.expand(batch_shape)

    @lazy_property
    def logits(self) -> Tensor:
        """log(p / (1 - p))."""
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Tensor:
        """p."""
        return clamp_probs(logits_to_probs(self.logits, is_binary=True))

    @property
    def param_shape(self) -> Any:
        """The parameter's shape."""
        return self._param.size()

    def _stable(self) -> Tensor:
        """Whether p is far enough from ½."""
        return (self.probs <= self._lims[0]) | (self.probs > self._lims[1])

    def _cut(self) -> Tensor:
        """p, or where that is near ½ a p that is not."""
        return w.where(self._stable(), self.probs, self._lims[0] * w.ones_like(self.probs))

    def _cont_bern_log_norm(self) -> Tensor:
        """log C."""
        p = self._cut()
        low, high = p <= 0.5, p >= 0.5
        below = w.where(low, p, w.zeros_like(p))
        above = w.where(high, p, w.ones_like(p))
        denominator = w.where(low, (-2.0 * below).log1p(), (2.0 * above - 1.0).log())
        far = ((-p).log1p() - p.log()).abs().log() - denominator
        x = (self.probs - 0.5) ** 2
        near = math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * x) * x
        return w.where(self._stable(), far, near)

    @property
    def mean(self) -> Tensor:
        """p / (2p - 1) + 1 / (2 artanh(1 - 2p))."""
        p = self._cut()
        far = p / (2.0 * p - 1.0) + 1.0 / ((-p).log1p() - p.log())
        x = self.probs - 0.5
        near = 0.5 + (1.0 / 3.0 + 16.0 / 45.0 * x**2) * x
        return w.where(self._stable(), far, near)

    @property
    def variance(self) -> Tensor:
        """p (p - 1) / (1 - 2p)² + 1 / (2 artanh(1 - 2p))²."""
        p = self._cut()
        far = p * (p - 1.0) / (1.0 - 2.0 * p) ** 2 + 1.0 / ((-p).log1p() - p.log()) ** 2
        x = (self.probs - 0.5) ** 2
        near = 1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * x) * x
        return w.where(self._stable(), far, near)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Numbers, without a gradient."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """By the inverse of the cumulative function."""
        return self.icdf(w.rand(self._extended_shape(sample_shape), dtype=self.probs.dtype))

    def log_prob(self, value: Tensor) -> Tensor:
        """The density's logarithm."""
        self._checked(value)
        return log_likelihood(self.logits, value) + self._cont_bern_log_norm()

    def cdf(self, value: Tensor) -> Tensor:
        """The part below a value."""
        self._checked(value)
        p = self._cut()
        far = (p.pow(value) * (1.0 - p).pow(1.0 - value) + p - 1.0) / (2.0 * p - 1.0)
        inside = w.where(self._stable(), far, value)
        capped = w.where(value >= 1.0, w.ones_like(value), inside)
        return w.where(value <= 0.0, w.zeros_like(value), capped)

    def icdf(self, value: Tensor) -> Tensor:
        """The value below which a part is."""
        p = self._cut()
        rest = (-p).log1p()
        far = ((-p + value * (2.0 * p - 1.0)).log1p() - rest) / (p.log() - rest)
        return w.where(self._stable(), far, value)

    def entropy(self) -> Tensor:
        """-E[log density]."""
        zero, one = (-self.probs).log1p(), self.probs.log()
        return self.mean * (zero - one) - self._cont_bern_log_norm() - zero

    @property
    def _natural_params(self) -> tuple[Tensor]:
        return (self.logits,)

    def _log_normalizer(self, *natural_params: Tensor) -> Tensor:
        x = natural_params[0]
        stable = (x <= self._lims[0] - 0.5) | (x > self._lims[1] - 0.5)
        cut = w.where(stable, x, (self._lims[0] - 0.5) * w.ones_like(x))
        far = cut.expm1().abs().log() - cut.abs().log()
        near = 0.5 * x + x**2 / 24.0 - x**4 / 2880.0
        return w.where(stable, far, near)
