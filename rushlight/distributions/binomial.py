"""The binomial distribution."""

from __future__ import annotations

from typing import Any, ClassVar

from rushlight.autograd import no_grad
from rushlight.base.size import Size
from rushlight.distributions import constraints, draws
from rushlight.distributions import words as w
from rushlight.distributions.distribution import Distribution, either
from rushlight.distributions.utils import (
    broadcast_all,
    lazy_property,
    logits_to_probs,
    probs_to_logits,
)
from rushlight.distributions.words import Tensor

__all__ = ["Binomial"]


class Binomial(Distribution):
    """Successes in `total_count` trials of probability `probs` (or of log-odds `logits`)."""

    arg_constraints: ClassVar = {
        "total_count": constraints.nonnegative_integer,
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    has_enumerate_support = True
    _parameters: ClassVar = {"total_count": 0, "probs": 0, "logits": 0}

    def __init__(
        self,
        total_count: Any = 1,
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

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        """0 ... n."""
        return constraints.integer_interval(0, self.total_count)

    @lazy_property
    def logits(self) -> Tensor:
        """Log-odds of success."""
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Tensor:
        """The probability of success."""
        return logits_to_probs(self.logits, is_binary=True)

    @property
    def param_shape(self) -> Any:
        """The parameter's shape."""
        return self._param.size()

    @property
    def mean(self) -> Tensor:
        """n p."""
        return self.total_count * self.probs

    @property
    def mode(self) -> Tensor:
        """(n + 1) p rounded down, at most n."""
        return ((self.total_count + 1) * self.probs).floor().minimum(self.total_count)

    @property
    def variance(self) -> Tensor:
        """n p (1 - p)."""
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Counts."""
        shape = self._extended_shape(sample_shape)
        with no_grad():
            return draws.binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """log C(n, k) + k log p + (n - k) log(1 - p)."""
        self._checked(value)
        n = self.total_count
        # max(x, 0), with half a slope at 0
        positive = (self.logits + self.logits.abs()) / 2
        normalizer = n * positive + n * (-self.logits.abs()).exp().log1p() - (n + 1).lgamma()
        return value * self.logits - (value + 1).lgamma() - (n - value + 1).lgamma() - normalizer

    def _count(self, what: str) -> int:
        """The one total count.  NotImplementedError: there are several."""
        count = int(self.total_count.max().item())
        if int(self.total_count.min().item()) != count:
            raise NotImplementedError(f"Inhomogeneous total count not supported by `{what}`.")
        return count

    def entropy(self) -> Tensor:
        """-Σ p log p over all counts."""
        self._count("entropy")
        log = self.log_prob(self.enumerate_support(False))
        return -(log.exp() * log).sum(0)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """0 ... n."""
        count = self._count("enumerate_support")
        return self._enumerated(w.arange(1 + count, dtype=self._param.dtype), expand)
