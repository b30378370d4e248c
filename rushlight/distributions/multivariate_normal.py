"""The multivariate normal distribution."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from rushlight.base.size import Size
from rushlight.distributions import constraints
from rushlight.distributions import words as w
from rushlight.distributions.distribution import Distribution
from rushlight.distributions.utils import lazy_property, standard_normal
from rushlight.distributions.words import Tensor
from rushlight.tensor import FUNCTIONS

__all__ = ["MultivariateNormal"]


def batch_mv(matrix: Tensor, vector: Tensor) -> Tensor:
    """Matrices times vectors, batches broadcast."""
    return matrix.matmul(vector.unsqueeze(-1)).squeeze(-1)


def half_log_det(scale_tril: Tensor) -> Tensor:
    """½ log |L Lᵀ|."""
    return scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def mahalanobis(scale_tril: Tensor, difference: Tensor) -> Tensor:
    """|L⁻¹ d|², batches broadcast."""
    n = difference.size(-1)
    batch = FUNCTIONS["broadcast_shapes"](scale_tril.shape[:-2], difference.shape[:-1])
    factor = scale_tril.expand((*batch, n, n))
    column = difference.expand((*batch, n)).unsqueeze(-1)
    return w.solve_triangular(factor, column, upper=False).pow(2).sum((-2, -1))


def precision_to_scale_tril(precision: Tensor) -> Tensor:
    """Cholesky's factor of a matrix's inverse, from the factor of the matrix turned around."""
    factor = w.cholesky(precision.flip((-2, -1)))
    upper = factor.flip((-2, -1)).transpose(-2, -1)
    identity = w.eye(precision.shape[-1], dtype=precision.dtype)
    return w.solve_triangular(upper, identity.expand(upper.shape), upper=False)


class MultivariateNormal(Distribution):
    """N(loc, Σ), with Σ, its inverse, or its Cholesky factor; exactly one of the three."""

    arg_constraints: ClassVar = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support: Any = constraints.real_vector
    has_rsample = True
    _parameters: ClassVar = {
        "loc": 1,
        "covariance_matrix": 2,
        "scale_tril": 2,
        "precision_matrix": 2,
    }

    def __init__(
        self,
        loc: Tensor,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        given = {
            "scale_tril": scale_tril,
            "covariance_matrix": covariance_matrix,
            "precision_matrix": precision_matrix,
        }
        names = [name for name, matrix in given.items() if matrix is not None]
        if len(names) != 1:
            raise ValueError(
                "Exactly one of covariance_matrix or precision_matrix or scale_tril may be "
                "specified."
            )
        matrix = given[names[0]]
        assert matrix is not None
        if matrix.dim() < 2:
            raise ValueError(
                f"{names[0]} must be at least two-dimensional, with optional leading batch "
                "dimensions"
            )
        batch = FUNCTIONS["broadcast_shapes"](matrix.shape[:-2], loc.shape[:-1])
        setattr(self, names[0], matrix.expand((*batch, -1, -1)))
        self.loc = loc.expand((*batch, -1))
        super().__init__(batch, self.loc.shape[-1:], validate_args=validate_args)
        if scale_tril is not None:
            self._unbroadcasted_scale_tril = matrix
        elif covariance_matrix is not None:
            self._unbroadcasted_scale_tril = w.cholesky(matrix)
        else:
            self._unbroadcasted_scale_tril = precision_to_scale_tril(matrix)

    def _expand_rest(self, new: Any, batch_shape: Size) -> None:
        new._unbroadcasted_scale_tril = self._unbroadcasted_scale_tril

    def _whole(self, matrix: Tensor) -> Tensor:
        return matrix.expand((*self._batch_shape, *self._event_shape, *self._event_shape))

    @lazy_property
    def scale_tril(self) -> Tensor:
        """Cholesky's factor of the covariance."""
        return self._whole(self._unbroadcasted_scale_tril)

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """The covariance."""
        factor = self._unbroadcasted_scale_tril
        return self._whole(factor.matmul(factor.transpose(-2, -1)))

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariance."""
        made: Tensor = FUNCTIONS["cholesky_inverse"](self._unbroadcasted_scale_tril)
        return self._whole(made)

    @property
    def mean(self) -> Tensor:
        """loc."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        """loc."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """The covariance's diagonal."""
        return (
            self._unbroadcasted_scale_tril.pow(2)
            .sum(-1)
            .expand((*self._batch_shape, *self._event_shape))
        )

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """loc + L · N(0, 1)."""
        noise = standard_normal(self._extended_shape(sample_shape), self.loc.dtype)
        return self.loc + batch_mv(self._unbroadcasted_scale_tril, noise)

    def log_prob(self, value: Tensor) -> Tensor:
        """The density's logarithm."""
        self._checked(value)
        squared = mahalanobis(self._unbroadcasted_scale_tril, value - self.loc)
        half = half_log_det(self._unbroadcasted_scale_tril)
        return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + squared) - half

    def entropy(self) -> Tensor:
        """½ n (1 + log 2π) + ½ log |Σ|."""
        half = half_log_det(self._unbroadcasted_scale_tril)
        made = 0.5 * self._event_shape[0] * (1.0 + math.log(2 * math.pi)) + half
        return made.expand(self._batch_shape) if self._batch_shape else made
