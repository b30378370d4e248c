"""The negative binomial distribution."""

from __future__ import annotations

from typing import Any, ClassVar

from rushlight.autograd import no_grad
from rushlight.base.size import Size
from rushlight.distributions import constraints
from rushlight.distributions import words as w
from rushlight.distributions.distribution import Distribution, either
from rushlight.distributions.gamma import Gamma
from rushlight.distributions.utils import (
    broadcast_all,
    lazy_property,
    logits_to_probs,
    probs_to_logits,
)
from rushlight.distributions.words import Tensor

__all__ = ["NegativeBinomial"]


class NegativeBinomial(Distribution):
    """Successes, of probability p, before `total_count` failures."""

    arg_constraints: ClassVar = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support: Any = constraints.nonnegative_integer
    _parameters: ClassVar = {"total_count": 0, "probs": 0, "logits": 0}

    def __init__(
        self,
        total_count: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        either(probs, logits)
        if probs is not None:
            count, self.probs = broadcast_all(total_count, probs)
            self._param = self.probs
        else:
            count, self.logits = broadcast_all(total_count, logits)
            self._param = self.logits
        self.total_count = count.type_as(self._param)
        super().__init__(self._param.size(), validate_args=validate_args)

    def _expand_rest(self, new: Any, batch_shape: Size) -> None:
        new._param = self._param.expand(batch_shape)

    @lazy_property
    def logits(self) -> Tensor:
        """Log-odds of success."""
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Tensor:
        """The probability of success."""
        return logits_to_probs(self.logits, is_binary=True)

    @lazy_property
    def _gamma(self) -> Gamma:
        rate = (-self.logits).exp()
        return Gamma(concentration=self.total_count, rate=rate, validate_args=False)

    @property
    def param_shape(self) -> Any:
        """The parameter's shape."""
        return self._param.size()

    @property
    def mean(self) -> Tensor:
        """n p / (1 - p)."""
        return self.total_count * self.logits.exp()

    @property
    def mode(self) -> Tensor:
        """(n - 1) p / (1 - p) rounded down, at least 0."""
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0)

    @property
    def variance(self) -> Tensor:
        """mean / (1 - p)."""
        return self.mean / (-self.logits).sigmoid()

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Poisson counts of gamma rates."""
        with no_grad():
            return w.poisson(self._gamma.sample(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """log C(n + k - 1, k) + n log(1 - p) + k log p."""
        self._checked(value)
        n = self.total_count
        plain = n * w.log_sigmoid(-self.logits) + value * w.log_sigmoid(self.logits)
        normalizer = -(n + value).lgamma() + (1.0 + value).lgamma() + n.lgamma()
        return plain - normalizer.masked_fill(n + value == 0.0, 0.0)
