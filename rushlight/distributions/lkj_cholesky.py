"""The LKJ distribution of Cholesky factors of correlation matrices."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from rushlight.autograd import no_grad
from rushlight.base.size import Size
from rushlight.distributions import constraints
from rushlight.distributions import words as w
from rushlight.distributions.beta import Beta
from rushlight.distributions.distribution import Distribution
from rushlight.distributions.utils import broadcast_all
from rushlight.distributions.words import Tensor
from rushlight.tensor.kinds import finfo

__all__ = ["LKJCholesky"]


class LKJCholesky(Distribution):
    """Factors of correlation matrices M of density ∝ |M|^(concentration - 1), by the onion method.

    ValueError: `dim` is less than 2.
    """

    arg_constraints: ClassVar = {"concentration": constraints.positive}
    support: Any = constraints.corr_cholesky
    _parameters: ClassVar = {"concentration": 0}

    def __init__(
        self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        if dim < 2:
            raise ValueError(
                f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}."
            )
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        marginal = self.concentration + 0.5 * (dim - 2)
        offset = w.arange(dim - 1, dtype=self.concentration.dtype)
        offset = w.cat([w.zeros((1,), dtype=offset.dtype), offset])
        self._beta = Beta(offset + 0.5, marginal.unsqueeze(-1) - 0.5 * offset)
        super().__init__(self.concentration.size(), (dim, dim), validate_args=validate_args)

    def _expand_rest(self, new: Any, batch_shape: Size) -> None:
        new.dim = self.dim
        new._beta = self._beta.expand((*batch_shape, self.dim))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Row by row: a direction, and how much of the length lies off the diagonal."""
        with no_grad():
            y = self._beta.sample(sample_shape).unsqueeze(-1)
            normal = w.randn(self._extended_shape(sample_shape), dtype=y.dtype).tril(-1)
            length = normal.norm(dim=-1, keepdim=True)
            direction = w.where(length > 0, normal / length, 0.0)
            rows = y.sqrt() * direction
            rest = (1 - (rows**2).sum(dim=-1)).clamp(min=finfo(rows.dtype).tiny)
            return rows + w.diag_embed(rest.sqrt())

    def log_prob(self, value: Tensor) -> Tensor:
        """The density's logarithm."""
        self._checked(value)
        diagonal = value.diagonal(dim1=-1, dim2=-2)[..., 1:]
        order = 2 * (self.concentration - 1).unsqueeze(-1) + self.dim - w.arange(2, self.dim + 1)
        plain = (order * diagonal.log()).sum(dim=-1)
        less = self.dim - 1
        alpha = self.concentration + 0.5 * less
        normalizer = 0.5 * less * math.log(math.pi) + w.mvlgamma(alpha - 0.5, less)
        return plain - (normalizer - alpha.lgamma() * less)
