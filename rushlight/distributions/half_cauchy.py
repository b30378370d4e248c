"""The half-Cauchy distribution."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from rushlight.distributions import constraints
from rushlight.distributions import words as w
from rushlight.distributions.cauchy import Cauchy
from rushlight.distributions.transformed_distribution import Shaped, of_base
from rushlight.distributions.transforms import AbsTransform
from rushlight.distributions.words import Tensor

__all__ = ["HalfCauchy"]


class HalfCauchy(Shaped):
    """|x| of Cauchy(0, scale)."""

    arg_constraints: ClassVar = {"scale": constraints.positive}
    support: Any = constraints.nonnegative
    scale = of_base("scale")

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        base = Cauchy(0, scale, validate_args=False)
        super().__init__(base, AbsTransform(), validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        """inf."""
        return w.full(self._extended_shape(), math.inf, dtype=self.scale.dtype)

    @property
    def mode(self) -> Tensor:
        """0."""
        return w.zeros_like(self.scale)

    @property
    def variance(self) -> Tensor:
        """inf."""
        return self.base_dist.variance

    def log_prob(self, value: Tensor) -> Tensor:
        """Cauchy's, doubled; -inf below 0."""
        self._checked(value)
        log = self.base_dist.log_prob(value) + math.log(2)
        return w.where(value >= 0, log, -math.inf)

    def cdf(self, value: Tensor) -> Tensor:
        """2 · Cauchy's - 1."""
        self._checked(value)
        return 2 * self.base_dist.cdf(value) - 1

    def icdf(self, value: Tensor) -> Tensor:
        """Cauchy's at (p + 1) / 2."""
        return self.base_dist.icdf((value + 1) / 2)

    def entropy(self) -> Tensor:
        """Cauchy's, less log 2."""
        return self.base_dist.entropy() - math.log(2)
