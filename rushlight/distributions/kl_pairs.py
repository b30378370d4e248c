"""Kullback-Leibler divergences between distributions of different families."""

from __future__ import annotations

import math
from typing import Any

from rushlight.distributions import words as w
from rushlight.distributions.bernoulli import Bernoulli
from rushlight.distributions.beta import Beta
from rushlight.distributions.binomial import Binomial
from rushlight.distributions.continuous_bernoulli import ContinuousBernoulli
from rushlight.distributions.exponential import Exponential
from rushlight.distributions.gamma import Gamma
from rushlight.distributions.gumbel import Gumbel
from rushlight.distributions.kl import register_kl
from rushlight.distributions.laplace import Laplace
from rushlight.distributions.normal import Normal
from rushlight.distributions.pareto import Pareto
from rushlight.distributions.poisson import Poisson
from rushlight.distributions.uniform import Uniform
from rushlight.distributions.utils import euler_constant
from rushlight.distributions.words import Tensor

__all__: list[str] = []


# ------------------------------------------------------------------- p reaches where q does not
def _infinite(p: Any, q: Any) -> Tensor:
    first = next(iter(p._parameters), "concentration1")
    return w.full_like(getattr(p, first), math.inf)


_BOUNDED = (Beta, ContinuousBernoulli, Uniform)
_HALF = (Exponential, Gamma, Pareto)
for _p, _qs in {
    Beta: (Pareto,),
    ContinuousBernoulli: (Pareto,),
    Exponential: (Beta, ContinuousBernoulli, Pareto, Uniform),
    Gamma: (Beta, ContinuousBernoulli, Pareto, Uniform),
    Gumbel: (*_BOUNDED, *_HALF),
    Laplace: (*_BOUNDED, *_HALF),
    Normal: (*_BOUNDED, *_HALF),
    Pareto: _BOUNDED,
    Poisson: (Bernoulli, Binomial),
}.items():
    for _q in _qs:
        register_kl(_p, _q)(_infinite)


def _less_entropy(p: Any, expected_log_q: Any) -> Tensor:
    """-H(p) - E_p[log q]."""
    return -p.entropy() - expected_log_q


def _normal_log(mean: Any, variance: Any, q: Any) -> Any:
    """E[log N(x; q)] for x of a mean and a variance."""
    var = q.scale.pow(2)
    away = variance + (mean - q.loc).pow(2)
    return -0.5 * (2 * math.pi * var).log() - 0.5 * away / var


def _exponential_log(mean: Any, q: Any) -> Any:
    """E[log density] of an exponential q."""
    return q.rate.log() - q.rate * mean


def _gamma_log(mean: Any, mean_log: Any, q: Any) -> Any:
    """E[log density] of a gamma q."""
    a, rate = q.concentration, q.rate
    return a * rate.log() - a.lgamma() + (a - 1) * mean_log - rate * mean


# ------------------------------------------------------------------- by moments
@register_kl(Bernoulli, Poisson)
def _bernoulli_poisson(p: Any, q: Any) -> Tensor:
    return _less_entropy(p, p.probs * q.rate.log() - q.rate)


for _p in (Beta, ContinuousBernoulli, Exponential, Gamma, Uniform):

    @register_kl(_p, Normal)
    def _to_normal(p: Any, q: Any) -> Tensor:
        return _less_entropy(p, _normal_log(p.mean, p.variance, q))


for _p in (Beta, ContinuousBernoulli, Gamma):

    @register_kl(_p, Exponential)
    def _to_exponential(p: Any, q: Any) -> Tensor:
        return _less_entropy(p, _exponential_log(p.mean, q))


@register_kl(Laplace, Normal)
def _laplace_normal(p: Any, q: Any) -> Tensor:
    return _less_entropy(p, _normal_log(p.loc, p.variance, q))


@register_kl(Gumbel, Normal)
def _gumbel_normal(p: Any, q: Any) -> Tensor:
    return _less_entropy(p, _normal_log(p.mean, p.variance, q))


@register_kl(Beta, ContinuousBernoulli)
def _beta_continuous(p: Any, q: Any) -> Tensor:
    log = p.mean * q.logits + (-q.probs).log1p() + q._cont_bern_log_norm()
    return _less_entropy(p, log)


@register_kl(Beta, Gamma)
def _beta_gamma(p: Any, q: Any) -> Tensor:
    total = p.concentration1 + p.concentration0
    mean_log = p.concentration1.digamma() - total.digamma()
    return _less_entropy(p, _gamma_log(p.mean, mean_log, q))


@register_kl(Exponential, Gamma)
def _exponential_gamma(p: Any, q: Any) -> Tensor:
    return _less_entropy(p, _gamma_log(p.mean, -p.rate.log() - euler_constant, q))


# ------------------------------------------------------------------- to Gumbel: E[exp(-x / scale)]
def _gumbel_log(mean: Any, mean_exp: Any, q: Any) -> Any:
    """E[log density] of a Gumbel q, from E[x] and E[exp(-x / q.scale)]."""
    return (q.loc - mean) / q.scale - (q.loc / q.scale).exp() * mean_exp - q.scale.log()


@register_kl(Exponential, Gumbel)
def _exponential_gumbel(p: Any, q: Any) -> Tensor:
    product = p.rate * q.scale
    return _less_entropy(p, _gumbel_log(p.mean, product / (product + 1), q))


@register_kl(Gamma, Gumbel)
def _gamma_gumbel(p: Any, q: Any) -> Tensor:
    mean_exp = (1 + (p.rate * q.scale).reciprocal()).pow(-p.concentration)
    return _less_entropy(p, _gumbel_log(p.mean, mean_exp, q))


@register_kl(Normal, Gumbel)
def _normal_gumbel(p: Any, q: Any) -> Tensor:
    mean_exp = (-p.loc / q.scale + 0.5 * (p.scale / q.scale).pow(2)).exp()
    return _less_entropy(p, _gumbel_log(p.loc, mean_exp, q))


@register_kl(Uniform, Gumbel)
def _uniform_gumbel(p: Any, q: Any) -> Tensor:
    ends = (-p.low / q.scale).exp() - (-p.high / q.scale).exp()
    mean_exp = q.scale * ends / (p.high - p.low)
    return _less_entropy(p, _gumbel_log(p.mean, mean_exp, q))


@register_kl(Normal, Laplace)
def _normal_laplace(p: Any, q: Any) -> Tensor:
    away = (p.loc - q.loc) / p.scale
    spread = math.sqrt(2 / math.pi) * p.scale * (-0.5 * away.pow(2)).exp()
    distance = spread + (p.loc - q.loc) * (math.sqrt(0.5) * away).erf()
    return _less_entropy(p, -(2 * q.scale).log() - distance / q.scale)


# ------------------------------------------------------------------- of Pareto
def _pareto_mean_log(p: Any) -> Any:
    return p.scale.log() + p.alpha.reciprocal()


@register_kl(Pareto, Exponential)
def _pareto_exponential(p: Any, q: Any) -> Tensor:
    mean = p.alpha * p.scale / (p.alpha - 1)
    whole = _less_entropy(p, _exponential_log(mean, q))
    return whole.masked_fill(p.alpha <= 1, math.inf)


@register_kl(Pareto, Gamma)
def _pareto_gamma(p: Any, q: Any) -> Tensor:
    mean = p.alpha * p.scale / (p.alpha - 1)
    whole = _less_entropy(p, _gamma_log(mean, _pareto_mean_log(p), q))
    return whole.masked_fill(p.alpha <= 1, math.inf)


@register_kl(Pareto, Normal)
def _pareto_normal(p: Any, q: Any) -> Tensor:
    share = p.scale / (p.alpha - 1)
    variance = p.alpha * share.pow(2) / (p.alpha - 2)
    whole = _less_entropy(p, _normal_log(p.alpha * share, variance, q))
    return whole.masked_fill(p.alpha <= 2, math.inf)


# ------------------------------------------------------------------- of and to Uniform
def _mean_log(p: Any) -> Any:
    """E[log x] of a uniform p."""
    width = p.high - p.low
    return (w.xlogy(p.high, p.high) - w.xlogy(p.low, p.low)) / width - 1


@register_kl(Beta, Uniform)
def _beta_uniform(p: Any, q: Any) -> Tensor:
    whole = _less_entropy(p, -(q.high - q.low).log())
    return whole.masked_fill((q.low > 0) | (q.high < 1), math.inf)


@register_kl(ContinuousBernoulli, Uniform)
def _continuous_uniform(p: Any, q: Any) -> Tensor:
    whole = _less_entropy(p, -(q.high - q.low).log())
    return whole.masked_fill((q.low > 0) | (q.high < 1), math.inf)


@register_kl(Uniform, Beta)
def _uniform_beta(p: Any, q: Any) -> Tensor:
    one, zero = q.concentration1, q.concentration0
    width = p.high - p.low
    left, right = 1 - p.low, 1 - p.high
    mean_log_rest = (w.xlogy(left, left) - w.xlogy(right, right)) / width - 1
    normalizer = one.lgamma() + zero.lgamma() - (one + zero).lgamma()
    log = (one - 1) * _mean_log(p) + (zero - 1) * mean_log_rest - normalizer
    return _less_entropy(p, log).masked_fill((p.high > 1) | (p.low < 0), math.inf)


@register_kl(Uniform, ContinuousBernoulli)
def _uniform_continuous(p: Any, q: Any) -> Tensor:
    log = p.mean * q.logits + (-q.probs).log1p() + q._cont_bern_log_norm()
    return _less_entropy(p, log).masked_fill((p.high > 1) | (p.low < 0), math.inf)


@register_kl(Uniform, Exponential)
def _uniform_exponential(p: Any, q: Any) -> Tensor:
    return _less_entropy(p, _exponential_log(p.mean, q)).masked_fill(p.low < 0, math.inf)


@register_kl(Uniform, Gamma)
def _uniform_gamma(p: Any, q: Any) -> Tensor:
    whole = _less_entropy(p, _gamma_log(p.mean, _mean_log(p), q))
    return whole.masked_fill(p.low < 0, math.inf)


@register_kl(Uniform, Pareto)
def _uniform_pareto(p: Any, q: Any) -> Tensor:
    log = q.alpha.log() + q.alpha * q.scale.log() - (q.alpha + 1) * _mean_log(p)
    return _less_entropy(p, log).masked_fill(p.low < q.scale, math.inf)
