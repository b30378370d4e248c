"""Kullback-Leibler divergences: which formula is for which pair, and those within a family.

Pairs of different families are in `kl_pairs`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, Final

from rushlight.autograd import grad
from rushlight.distributions import words as w
from rushlight.distributions.bernoulli import Bernoulli
from rushlight.distributions.beta import Beta
from rushlight.distributions.binomial import Binomial
from rushlight.distributions.categorical import Categorical
from rushlight.distributions.cauchy import Cauchy
from rushlight.distributions.continuous_bernoulli import ContinuousBernoulli
from rushlight.distributions.dirichlet import Dirichlet
from rushlight.distributions.distribution import Distribution
from rushlight.distributions.exp_family import ExponentialFamily
from rushlight.distributions.exponential import Exponential
from rushlight.distributions.gamma import Gamma
from rushlight.distributions.geometric import Geometric
from rushlight.distributions.gumbel import Gumbel
from rushlight.distributions.half_normal import HalfNormal
from rushlight.distributions.independent import Independent
from rushlight.distributions.laplace import Laplace
from rushlight.distributions.lowrank_multivariate_normal import (
    LowRankMultivariateNormal,
    low_rank_log_det,
    low_rank_mahalanobis,
)
from rushlight.distributions.multivariate_normal import (
    MultivariateNormal,
    half_log_det,
    mahalanobis,
)
from rushlight.distributions.normal import Normal
from rushlight.distributions.one_hot_categorical import OneHotCategorical
from rushlight.distributions.pareto import Pareto
from rushlight.distributions.poisson import Poisson
from rushlight.distributions.transformed_distribution import TransformedDistribution
from rushlight.distributions.uniform import Uniform
from rushlight.distributions.utils import euler_constant, sum_rightmost
from rushlight.distributions.words import Tensor
from rushlight.tensor import FUNCTIONS

__all__ = ["kl_divergence", "register_kl"]

Formula = Callable[[Any, Any], Tensor]
_REGISTRY: Final[dict[tuple[type, type], Formula]] = {}
_FOUND: Final[dict[tuple[type, type], Formula | None]] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Formula], Formula]:
    """A decorator that enters a formula for a pair of classes and what is derived from them.

    Where several fit, the closest in the order of (p, q) counts; if the order of (q, p) says
    otherwise, `kl_divergence` warns.  TypeError: no class of distributions.
    """
    for name, kind in (("p", type_p), ("q", type_q)):
        if not (isinstance(kind, type) and issubclass(kind, Distribution)):
            raise TypeError(f"Expected type_{name} to be a Distribution subclass but got {kind}")

    def enter(formula: Formula) -> Formula:
        _REGISTRY[type_p, type_q] = formula
        _FOUND.clear()
        return formula

    return enter


def _closer(a: tuple[type, ...], b: tuple[type, ...]) -> bool:
    """Whether a pair is at least as special as another, the first of the pair counting most."""
    for x, y in zip(a, b, strict=True):
        if not issubclass(x, y):
            return False
        if x is not y:
            break
    return True


def _closest(pairs: list[tuple[type, ...]]) -> tuple[type, ...]:
    best = pairs[0]
    for pair in pairs[1:]:
        if not _closer(best, pair):
            best = pair
    return best


def _dispatch(p: type, q: type) -> Formula | None:
    fits = [pair for pair in _REGISTRY if issubclass(p, pair[0]) and issubclass(q, pair[1])]
    if not fits:
        return None
    left_p, left_q = _closest(list(fits))
    right_q, right_p = _closest([pair[::-1] for pair in fits])
    formula = _REGISTRY[left_p, left_q]
    if formula is not _REGISTRY[right_p, right_q]:
        warnings.warn(
            f"Ambiguous kl_divergence({p.__name__}, {q.__name__}). Please register_kl("
            f"{left_p.__name__}, {right_q.__name__})",
            RuntimeWarning,
            stacklevel=3,
        )
    return formula


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """KL(p ‖ q) = E_p[log p(x) - log q(x)], for every element of the batch.

    NotImplementedError: there is no formula for the pair (`register_kl` enters one).
    """
    pair = type(p), type(q)
    if pair not in _FOUND:
        _FOUND[pair] = _dispatch(*pair)
    formula = _FOUND[pair]
    if formula is None:
        raise NotImplementedError(
            f"No KL(p || q) is implemented for p type {p.__class__.__name__} and q type "
            f"{q.__class__.__name__}"
        )
    return formula(p, q)


# ------------------------------------------------------------------- discrete
@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Any, q: Any) -> Tensor:
    one = p.probs * (w.softplus(-q.logits) - w.softplus(-p.logits))
    one = one.masked_fill(q.probs == 0, math.inf).masked_fill(p.probs == 0, 0)
    zero = (1 - p.probs) * (w.softplus(q.logits) - w.softplus(p.logits))
    return one + zero.masked_fill(q.probs == 1, math.inf).masked_fill(p.probs == 1, 0)


@register_kl(Binomial, Binomial)
def _binomial(p: Any, q: Any) -> Tensor:
    if bool((p.total_count < q.total_count).any()):
        raise NotImplementedError(
            "KL between Binomials where q.total_count > p.total_count is not implemented"
        )
    each = p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p()
    return (p.total_count * each).masked_fill(p.total_count > q.total_count, math.inf)


@register_kl(Categorical, Categorical)
def _categorical(p: Any, q: Any) -> Tensor:
    each = p.probs * (p.logits - q.logits)
    each = each.masked_fill(q.probs == 0, math.inf).masked_fill(p.probs == 0, 0)
    return each.sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot(p: Any, q: Any) -> Tensor:
    return _categorical(p._categorical, q._categorical)


@register_kl(Geometric, Geometric)
def _geometric(p: Any, q: Any) -> Tensor:
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(Poisson, Poisson)
def _poisson(p: Any, q: Any) -> Tensor:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


# ------------------------------------------------------------------- continuous
@register_kl(Normal, Normal)
def _normal(p: Any, q: Any) -> Tensor:
    ratio = (p.scale / q.scale).pow(2)
    away = ((p.loc - q.loc) / q.scale).pow(2)
    return 0.5 * (ratio + away - 1 - ratio.log())


@register_kl(HalfNormal, HalfNormal)
def _half_normal(p: Any, q: Any) -> Tensor:
    return _normal(p.base_dist, q.base_dist)


@register_kl(Cauchy, Cauchy)
def _cauchy(p: Any, q: Any) -> Tensor:
    above = ((p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)).log()
    return above - (4 * p.scale * q.scale).log()


@register_kl(Laplace, Laplace)
def _laplace(p: Any, q: Any) -> Tensor:
    ratio, away = p.scale / q.scale, (p.loc - q.loc).abs()
    return -ratio.log() + away / q.scale + ratio * (-away / p.scale).exp() - 1


@register_kl(Gumbel, Gumbel)
def _gumbel(p: Any, q: Any) -> Tensor:
    ratio = p.scale / q.scale
    there, here = q.loc / q.scale, p.loc / q.scale
    rest = (there + (1 + ratio).lgamma() - here).exp()
    return -ratio.log() - there + here + ratio * euler_constant + rest - (1 + euler_constant)


@register_kl(Exponential, Exponential)
def _exponential(p: Any, q: Any) -> Tensor:
    ratio = q.rate / p.rate
    return -ratio.log() + ratio - 1


@register_kl(Gamma, Gamma)
def _gamma(p: Any, q: Any) -> Tensor:
    a, b = p.concentration, q.concentration
    return (
        b * (p.rate / q.rate).log()
        + b.lgamma()
        - a.lgamma()
        + (a - b) * a.digamma()
        + (q.rate - p.rate) * (a / p.rate)
    )


@register_kl(Beta, Beta)
def _beta(p: Any, q: Any) -> Tensor:
    p1, p0, q1, q0 = p.concentration1, p.concentration0, q.concentration1, q.concentration0
    return (
        (q1.lgamma() + q0.lgamma() + (p1 + p0).lgamma())
        - (p1.lgamma() + p0.lgamma() + (q1 + q0).lgamma())
        + (p1 - q1) * p1.digamma()
        + (p0 - q0) * p0.digamma()
        + ((q1 + q0) - (p1 + p0)) * (p1 + p0).digamma()
    )


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Any, q: Any) -> Tensor:
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    slopes = a.digamma() - total.digamma().unsqueeze(-1)
    return (
        total.lgamma()
        - b.sum(-1).lgamma()
        - (a.lgamma() - b.lgamma()).sum(-1)
        + ((a - b) * slopes).sum(-1)
    )


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _continuous_bernoulli(p: Any, q: Any) -> Tensor:
    here = p._cont_bern_log_norm() + (-p.probs).log1p()
    there = q._cont_bern_log_norm() + (-q.probs).log1p()
    return p.mean * (p.logits - q.logits) + here - there


@register_kl(Pareto, Pareto)
def _pareto(p: Any, q: Any) -> Tensor:
    ratio = q.alpha / p.alpha
    whole = q.alpha * (p.scale / q.scale).log() - ratio.log() + ratio - 1
    return whole.masked_fill(p.scale < q.scale, math.inf)


@register_kl(Uniform, Uniform)
def _uniform(p: Any, q: Any) -> Tensor:
    whole = ((q.high - q.low) / (p.high - p.low)).log()
    return whole.masked_fill((q.low > p.low) | (q.high < p.high), math.inf)


# ------------------------------------------------------------------- vectors
def _same_size(p: Any, q: Any) -> int:
    if tuple(p.event_shape) != tuple(q.event_shape):
        raise ValueError(
            "KL-divergence between two (Low Rank) Multivariate Normals with different event "
            "shapes cannot be computed"
        )
    return int(p.event_shape[0])


def _square_sum(matrix: Tensor) -> Tensor:
    """The sum of a matrix's squares: the trace of M Mᵀ."""
    return matrix.pow(2).sum((-2, -1))


def _solved(tril: Tensor, matrix: Tensor) -> Tensor:
    """L⁻¹ M, batches broadcast."""
    batch = FUNCTIONS["broadcast_shapes"](tril.shape[:-2], matrix.shape[:-2])
    factor = tril.expand((*batch, *tril.shape[-2:]))
    return w.solve_triangular(factor, matrix.expand((*batch, *matrix.shape[-2:])), upper=False)


@register_kl(MultivariateNormal, MultivariateNormal)
def _multivariate(p: Any, q: Any) -> Tensor:
    n = _same_size(p, q)
    mine, other = p._unbroadcasted_scale_tril, q._unbroadcasted_scale_tril
    trace = _square_sum(_solved(other, mine))
    squared = mahalanobis(other, q.loc - p.loc)
    return half_log_det(other) - half_log_det(mine) + 0.5 * (trace + squared - n)


def _low_rank_terms(p: Any, q: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Of a low-rank q: log-determinant, Mahalanobis distance, and L⁻¹ Wᵀ D⁻¹."""
    factor, diagonal = q._unbroadcasted_cov_factor, q._unbroadcasted_cov_diag
    tril = q._capacitance_tril
    scaled = factor.transpose(-2, -1) / diagonal.unsqueeze(-2)
    squared = low_rank_mahalanobis(factor, diagonal, q.loc - p.loc, tril)
    return low_rank_log_det(diagonal, tril), squared, _solved(tril, scaled)


@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _low_rank(p: Any, q: Any) -> Tensor:
    n = _same_size(p, q)
    log_det, squared, a = _low_rank_terms(p, q)
    mine, diagonal = p._unbroadcasted_cov_diag, q._unbroadcasted_cov_diag
    trace = (
        (mine / diagonal).sum(-1)
        + _square_sum(p._unbroadcasted_cov_factor * diagonal.rsqrt().unsqueeze(-1))
        - _square_sum(a * mine.sqrt().unsqueeze(-2))
        - _square_sum(a.matmul(p._unbroadcasted_cov_factor))
    )
    own = low_rank_log_det(mine, p._capacitance_tril)
    return 0.5 * (log_det - own + trace + squared - n)


@register_kl(MultivariateNormal, LowRankMultivariateNormal)
def _full_low(p: Any, q: Any) -> Tensor:
    n = _same_size(p, q)
    log_det, squared, a = _low_rank_terms(p, q)
    tril = p._unbroadcasted_scale_tril
    root = q._unbroadcasted_cov_diag.rsqrt().unsqueeze(-1)
    trace = _square_sum(tril * root) - _square_sum(a.matmul(tril))
    return 0.5 * (log_det - 2 * half_log_det(tril) + trace + squared - n)


@register_kl(LowRankMultivariateNormal, MultivariateNormal)
def _low_full(p: Any, q: Any) -> Tensor:
    n = _same_size(p, q)
    tril = q._unbroadcasted_scale_tril
    own = low_rank_log_det(p._unbroadcasted_cov_diag, p._capacitance_tril)
    diagonal = w.diag_embed(p._unbroadcasted_cov_diag.sqrt())
    trace = _square_sum(_solved(tril, p._unbroadcasted_cov_factor))
    trace = trace + _square_sum(_solved(tril, diagonal))
    squared = mahalanobis(tril, q.loc - p.loc)
    return 0.5 * (2 * half_log_det(tril) - own + trace + squared - n)


# ------------------------------------------------------------------- any
@register_kl(ExponentialFamily, ExponentialFamily)
def _family(p: Any, q: Any) -> Tensor:
    """Bregman's divergence of the log-normaliser."""
    if type(p) is not type(q):
        raise NotImplementedError(
            "The cross KL-divergence between different exponential families cannot be computed "
            "using Bregman divergences"
        )
    mine = [x.detach().requires_grad_() for x in p._natural_params]
    normalizer = p._log_normalizer(*mine)
    slopes = grad(normalizer.sum(), mine, create_graph=True)
    result = q._log_normalizer(*q._natural_params) - normalizer
    for x, y, slope in zip(mine, q._natural_params, slopes, strict=True):
        result = result - sum_rightmost((y - x) * slope, len(q.event_shape))
    return result


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: Any, q: Any) -> Tensor:
    if p.transforms != q.transforms or tuple(p.event_shape) != tuple(q.event_shape):
        raise NotImplementedError
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(Independent, Independent)
def _independent(p: Any, q: Any) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)
