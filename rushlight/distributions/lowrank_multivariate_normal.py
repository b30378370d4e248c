"""The multivariate normal distribution of a covariance of low rank and a diagonal."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from rushlight.base.size import Size
from rushlight.distributions import constraints
from rushlight.distributions import words as w
from rushlight.distributions.distribution import Distribution
from rushlight.distributions.multivariate_normal import batch_mv, half_log_det, mahalanobis
from rushlight.distributions.utils import lazy_property, standard_normal
from rushlight.distributions.words import Tensor

__all__ = ["LowRankMultivariateNormal"]


def capacitance(factor: Tensor, diagonal: Tensor) -> Tensor:
    """Cholesky's factor of I + Wᵀ D⁻¹ W."""
    scaled = factor.transpose(-2, -1) / diagonal.unsqueeze(-2)
    return w.cholesky(scaled.matmul(factor) + w.eye(factor.size(-1), dtype=factor.dtype))


def low_rank_log_det(diagonal: Tensor, capacitance_tril: Tensor) -> Tensor:
    """log |W Wᵀ + D|, by the matrix determinant lemma."""
    return 2 * half_log_det(capacitance_tril) + diagonal.log().sum(-1)


def low_rank_mahalanobis(
    factor: Tensor, diagonal: Tensor, x: Tensor, capacitance_tril: Tensor
) -> Tensor:
    """xᵀ (W Wᵀ + D)⁻¹ x, by the Woodbury identity."""
    scaled = factor.transpose(-2, -1) / diagonal.unsqueeze(-2)
    return (x.pow(2) / diagonal).sum(-1) - mahalanobis(capacitance_tril, batch_mv(scaled, x))


class LowRankMultivariateNormal(Distribution):
    """N(loc, W Wᵀ + diag(d)): `cov_factor` W of n × m, `cov_diag` d of n."""

    arg_constraints: ClassVar = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support: Any = constraints.real_vector
    has_rsample = True
    _parameters: ClassVar = {"loc": 1, "cov_factor": 2, "cov_diag": 1}

    def __init__(
        self,
        loc: Tensor,
        cov_factor: Tensor,
        cov_diag: Tensor,
        validate_args: bool | None = None,
    ) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        event = loc.shape[-1:]
        if cov_factor.dim() < 2:
            raise ValueError(
                "cov_factor must be at least two-dimensional, with optional leading batch "
                "dimensions"
            )
        if tuple(cov_factor.shape[-2:-1]) != tuple(event):
            raise ValueError(f"cov_factor must be a batch of matrices with shape {event[0]} x m")
        if tuple(cov_diag.shape[-1:]) != tuple(event):
            raise ValueError(f"cov_diag must be a batch of vectors with shape {event}")
        try:
            wide, self.cov_factor, diagonal = w.broadcast_tensors(
                loc.unsqueeze(-1), cov_factor, cov_diag.unsqueeze(-1)
            )
        except RuntimeError as error:
            raise ValueError(
                f"Incompatible batch shapes: loc {loc.shape}, cov_factor {cov_factor.shape}, "
                f"cov_diag {cov_diag.shape}"
            ) from error
        self.loc, self.cov_diag = wide[..., 0], diagonal[..., 0]
        self._unbroadcasted_cov_factor = cov_factor
        self._unbroadcasted_cov_diag = cov_diag
        self._capacitance_tril = capacitance(cov_factor, cov_diag)
        super().__init__(self.loc.shape[:-1], event, validate_args=validate_args)

    def _expand_rest(self, new: Any, batch_shape: Size) -> None:
        new._unbroadcasted_cov_factor = self._unbroadcasted_cov_factor
        new._unbroadcasted_cov_diag = self._unbroadcasted_cov_diag
        new._capacitance_tril = self._capacitance_tril

    def _matrix(self, matrix: Tensor) -> Tensor:
        return matrix.expand((*self._batch_shape, *self._event_shape, *self._event_shape))

    @property
    def mean(self) -> Tensor:
        """loc."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        """loc."""
        return self.loc

    @lazy_property
    def variance(self) -> Tensor:
        """The covariance's diagonal."""
        diagonal = self._unbroadcasted_cov_factor.pow(2).sum(-1) + self._unbroadcasted_cov_diag
        return diagonal.expand((*self._batch_shape, *self._event_shape))

    @lazy_property
    def scale_tril(self) -> Tensor:
        """Cholesky's factor of the covariance."""
        root = self._unbroadcasted_cov_diag.sqrt().unsqueeze(-1)
        scaled = self._unbroadcasted_cov_factor / root
        inner = scaled.matmul(scaled.transpose(-2, -1))
        identity = w.eye(self._event_shape[0], dtype=inner.dtype)
        return self._matrix(root * w.cholesky(inner + identity))

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """The covariance."""
        factor = self._unbroadcasted_cov_factor
        square = factor.matmul(factor.transpose(-2, -1))
        return self._matrix(square + w.diag_embed(self._unbroadcasted_cov_diag))

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariance."""
        factor, diagonal = self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag
        scaled = factor.transpose(-2, -1) / diagonal.unsqueeze(-2)
        a = w.solve_triangular(self._capacitance_tril, scaled, upper=False)
        return self._matrix(w.diag_embed(diagonal.reciprocal()) - a.transpose(-2, -1).matmul(a))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """loc + W · N(0, 1) + √d · N(0, 1)."""
        shape = self._extended_shape(sample_shape)
        inner = standard_normal((*shape[:-1], self.cov_factor.shape[-1]), self.loc.dtype)
        outer = standard_normal(shape, self.loc.dtype)
        low = batch_mv(self._unbroadcasted_cov_factor, inner)
        return self.loc + low + self._unbroadcasted_cov_diag.sqrt() * outer

    def _log_det(self) -> Tensor:
        return low_rank_log_det(self._unbroadcasted_cov_diag, self._capacitance_tril)

    def log_prob(self, value: Tensor) -> Tensor:
        """The density's logarithm."""
        self._checked(value)
        squared = low_rank_mahalanobis(
            self._unbroadcasted_cov_factor,
            self._unbroadcasted_cov_diag,
            value - self.loc,
            self._capacitance_tril,
        )
        constant = self._event_shape[0] * math.log(2 * math.pi)
        return -0.5 * (constant + self._log_det() + squared)

    def entropy(self) -> Tensor:
        """½ n (1 + log 2π) + ½ log |Σ|."""
        made = 0.5 * (self._event_shape[0] * (1.0 + math.log(2 * math.pi)) + self._log_det())
        return made.expand(self._batch_shape) if self._batch_shape else made
