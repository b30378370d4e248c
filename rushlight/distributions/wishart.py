"""The Wishart distribution."""

from __future__ import annotations

import math
import warnings
from typing import Any, ClassVar

from rushlight.base.size import Size
from rushlight.distributions import constraints
from rushlight.distributions import words as w
from rushlight.distributions.chi2 import Chi2
from rushlight.distributions.exp_family import ExponentialFamily
from rushlight.distributions.multivariate_normal import half_log_det, precision_to_scale_tril
from rushlight.distributions.utils import lazy_property, vec_to_tril_matrix
from rushlight.distributions.words import Tensor
from rushlight.tensor import FUNCTIONS
from rushlight.tensor.kinds import finfo

__all__ = ["Wishart"]

_TRIES = 10


class Wishart(ExponentialFamily):
    """Σ x xᵀ of `df` normal vectors of covariance Σ; given Σ, its inverse or its factor."""

    support: Any = constraints.positive_definite
    has_rsample = True
    _parameters: ClassVar = {
        "df": 0,
        "covariance_matrix": 2,
        "scale_tril": 2,
        "precision_matrix": 2,
    }
    _mean_carrier_measure: Any = 0

    @property
    def arg_constraints(self) -> Any:
        """df > n - 1, and a matrix of its kind."""
        return {
            "covariance_matrix": constraints.positive_definite,
            "precision_matrix": constraints.positive_definite,
            "scale_tril": constraints.lower_cholesky,
            "df": constraints.greater_than(self.event_shape[-1] - 1),
        }

    def __init__(
        self,
        df: Any,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        given = {
            "scale_tril": scale_tril,
            "covariance_matrix": covariance_matrix,
            "precision_matrix": precision_matrix,
        }
        names = [name for name, matrix in given.items() if matrix is not None]
        assert len(names) == 1, (
            "Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified."
        )
        matrix = given[names[0]]
        assert matrix is not None
        if matrix.dim() < 2:
            raise ValueError(
                "scale_tril must be at least two-dimensional, with optional leading batch "
                "dimensions"
            )
        if w.is_tensor(df):
            batch = FUNCTIONS["broadcast_shapes"](matrix.shape[:-2], df.shape)
            self.df = df.expand(batch)
        else:
            batch = Size(matrix.shape[:-2])
            self.df = w.tensor(float(df), dtype=matrix.dtype).expand(batch)
        event = matrix.shape[-2:]
        if bool((self.df <= event[-1] - 1).any()):
            raise ValueError(
                f"Value of df={df} expected to be greater than ndim - 1 = {event[-1] - 1}."
            )
        if bool((self.df < event[-1]).any()):
            warnings.warn(
                "Low df values detected. Singular samples are highly likely to occur for "
                "ndim - 1 < df < ndim.",
                stacklevel=2,
            )
        setattr(self, names[0], matrix.expand((*batch, -1, -1)))
        super().__init__(batch, event, validate_args=validate_args)
        if scale_tril is not None:
            self._unbroadcasted_scale_tril = matrix
        elif covariance_matrix is not None:
            self._unbroadcasted_scale_tril = w.cholesky(matrix)
        else:
            self._unbroadcasted_scale_tril = precision_to_scale_tril(matrix)
        self._dist_chi2 = self._diagonals(self.df)

    def _diagonals(self, df: Tensor) -> Chi2:
        steps = w.arange(self._event_shape[-1], dtype=self._unbroadcasted_scale_tril.dtype)
        return Chi2(df=df.unsqueeze(-1) - steps)

    def _expand_rest(self, new: Any, batch_shape: Size) -> None:
        new._unbroadcasted_scale_tril = self._unbroadcasted_scale_tril
        new._dist_chi2 = self._diagonals(new.df)

    def _whole(self, matrix: Tensor) -> Tensor:
        return matrix.expand((*self._batch_shape, *self._event_shape))

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

    def _scaled(self, factor: Tensor) -> Tensor:
        return factor.reshape((*self._batch_shape, 1, 1)) * self.covariance_matrix

    @property
    def mean(self) -> Tensor:
        """df Σ."""
        return self._scaled(self.df)

    @property
    def mode(self) -> Tensor:
        """(df - n - 1) Σ; NaN where that is not positive."""
        factor = self.df - self._event_shape[-1] - 1
        return self._scaled(factor.masked_fill(factor <= 0, math.nan))

    @property
    def variance(self) -> Tensor:
        """df (Σᵢⱼ² + Σᵢᵢ Σⱼⱼ)."""
        v = self.covariance_matrix
        diagonal = v.diagonal(dim1=-2, dim2=-1)
        square = v.pow(2) + diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2)
        return self.df.reshape((*self._batch_shape, 1, 1)) * square

    def _bartlett(self, sample_shape: Any) -> Tensor:
        """Bartlett's decomposition: chi-squared diagonals, normal numbers below."""
        n = self._event_shape[-1]
        roots = self._dist_chi2.rsample(sample_shape).sqrt()
        noise = w.diag_embed(roots.clamp(min=finfo(roots.dtype).eps))
        if n > 1:
            count = n * (n - 1) // 2
            below = w.randn((*sample_shape, *self._batch_shape, count), dtype=noise.dtype)
            noise = noise + vec_to_tril_matrix(below, diag=-1)
        factor = self._unbroadcasted_scale_tril.matmul(noise)
        return factor.matmul(factor.transpose(-2, -1))

    def rsample(self, sample_shape: Any = (), max_try_correction: int | None = None) -> Tensor:
        """Positive definite matrices.

        What comes out singular is drawn again; the first time, so is what does not, as PyTorch's
        draws do.
        """
        sample = self._bartlett(tuple(sample_shape))
        again = self._definite(sample)
        for _ in range(_TRIES if max_try_correction is None else max_try_correction):
            count = int(again.sum().item())
            if not count:
                break
            drawn = self._bartlett((count,))
            sample = sample.clone()
            sample[again] = drawn
            rest = again.clone()
            rest[again] = ~self._definite(drawn)
            again = rest
        return sample

    def _definite(self, sample: Tensor) -> Tensor:
        """For every draw, whether one of its batch is positive definite."""
        fits = constraints.positive_definite.check(sample)
        for _ in self._batch_shape:
            fits = fits.any(-1)
        return fits

    def log_prob(self, value: Tensor) -> Tensor:
        """The density's logarithm."""
        self._checked(value)
        n, nu, factor = self._event_shape[-1], self.df, self._unbroadcasted_scale_tril
        solved = w.solve_triangular(factor, value.expand((*value.shape[:-2], n, n)), upper=False)
        trace = (w.solve_triangular(factor, solved.transpose(-2, -1), upper=False)).diagonal(
            dim1=-2, dim2=-1
        )
        return (
            -nu * (n * math.log(2) / 2 + half_log_det(factor))
            - w.mvlgamma(nu / 2, n)
            + (nu - n - 1) / 2 * w.slogdet(value).logabsdet
            - trace.sum(-1) / 2
        )

    def _psi(self, x: Tensor) -> Tensor:
        """The multivariate digamma function."""
        steps = w.arange(self._event_shape[-1], dtype=x.dtype) / 2
        return (x.unsqueeze(-1) - steps).digamma().sum(-1)

    def entropy(self) -> Tensor:
        """From the determinant and the multivariate gamma function."""
        n, nu = self._event_shape[-1], self.df
        return (
            (n + 1) * (n * math.log(2) / 2 + half_log_det(self._unbroadcasted_scale_tril))
            + w.mvlgamma(nu / 2, n)
            - (nu - n - 1) / 2 * self._psi(nu / 2)
            + nu * n / 2
        )

    @property
    def _natural_params(self) -> tuple[Tensor, Tensor]:
        return -self.precision_matrix / 2, (self.df - self._event_shape[-1] - 1) / 2

    def _log_normalizer(self, *natural_params: Tensor) -> Tensor:
        x, y = natural_params
        n = self._event_shape[-1]
        half = y + (n + 1) / 2
        log = -w.slogdet(-2 * x).logabsdet + math.log(2) * n
        return half * log + w.mvlgamma(half, n)
