"""`torch.distributions` without PyTorch: draws follow the densities, gradients the draws."""

import math
import pickle

import numpy as np
import pytest

import rushlight as torch
from rushlight import distributions as d
from rushlight.distributions import constraints, draws

t = torch.tensor
FAMILIES = {
    "Bernoulli": d.Bernoulli(t([0.3, 0.8])),
    "Beta": d.Beta(t([0.7, 5.0]), t([2.0, 9.0])),
    "Binomial": d.Binomial(20, t([0.3, 0.8])),
    "ContinuousBernoulli": d.ContinuousBernoulli(t([0.2, 0.5])),
    "Dirichlet": d.Dirichlet(t([0.5, 1.5, 7.0])),
    "Exponential": d.Exponential(t([0.5, 2.0])),
    "FisherSnedecor": d.FisherSnedecor(t([3.0]), t([30.0])),
    "Gamma": d.Gamma(t([0.5, 9.0]), t([1.0, 2.0])),
    "GeneralizedPareto": d.GeneralizedPareto(t(1.0), t(2.0), t(0.1)),
    "Geometric": d.Geometric(t([0.3, 0.8])),
    "Gumbel": d.Gumbel(t([0.5, -1.0]), t([1.0, 2.0])),
    "HalfNormal": d.HalfNormal(t([1.0, 3.0])),
    "InverseGamma": d.InverseGamma(t([9.0]), t([2.0])),
    "Kumaraswamy": d.Kumaraswamy(t([1.5, 2.0]), t([1.2, 3.0])),
    "Laplace": d.Laplace(t([0.5]), t([2.0])),
    "LogNormal": d.LogNormal(t([0.5]), t([0.4])),
    "LowRank": d.LowRankMultivariateNormal(t([1.0, 2.0]), t([[1.0], [0.3]]), t([0.5, 1.0])),
    "Mixture": d.MixtureSameFamily(
        d.Categorical(t([0.3, 0.7])), d.Normal(t([-1.0, 2.0]), t([0.5, 1.0]))
    ),
    "Multinomial": d.Multinomial(7, t([0.2, 0.8])),
    "MultivariateNormal": d.MultivariateNormal(t([1.0, 2.0]), t([[2.0, 0.5], [0.5, 1.0]])),
    "NegativeBinomial": d.NegativeBinomial(t(6.0), t(0.4)),
    "Normal": d.Normal(t([0.5, -1.0]), t([1.0, 2.0])),
    "OneHotCategorical": d.OneHotCategorical(t([0.2, 0.5, 0.3])),
    "Poisson": d.Poisson(t([0.5, 20.0])),
    "StudentT": d.StudentT(t([9.0]), t([1.0]), t([2.0])),
    "Uniform": d.Uniform(t([1.0]), t([4.0])),
    "Weibull": d.Weibull(t([2.0]), t([1.5])),
    "Wishart": d.Wishart(t(6.0), t([[2.0, 0.5], [0.5, 1.0]])),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_draws_have_the_moments_and_lie_in_the_support(name):
    family, n = FAMILIES[name], 1500
    torch.manual_seed(0)
    x = family.sample((n,))
    assert tuple(x.shape) == (n, *family.batch_shape, *family.event_shape)
    assert bool(family.support.check(x).all())
    mean, spread = family.mean, family.stddev
    assert bool(((x.mean(0) - mean).abs() < 6 * spread / math.sqrt(n) + 1e-6).all())
    assert bool(((x.std(0) / spread - 1).abs() < 0.25).all())


# fmt: off
CONTINUOUS = ("Beta", "Exponential", "Gumbel", "HalfNormal", "Kumaraswamy", "Laplace", "LogNormal",
              "Normal", "StudentT", "Uniform", "Weibull", "ContinuousBernoulli", "InverseGamma")
# fmt: on


@pytest.mark.parametrize("name", CONTINUOUS)
def test_densities_add_up_to_one(name):
    family = FAMILIES[name]
    torch.manual_seed(0)
    draws_ = family.sample((3000,))
    low, high = draws_.amin().item(), draws_.amax().item()
    x = torch.linspace(low, high, 20001, dtype=torch.float64)
    inside = family.support.check(x.unsqueeze(-1).expand((-1, *family.batch_shape)).float())
    log = family.log_prob(
        torch.where(inside, x.unsqueeze(-1).expand(inside.shape), draws_[:1].double()).float()
    )
    total = torch.where(inside, log.exp(), 0.0).sum(0) * (high - low) / 20000
    assert bool(((total - 1).abs() < 0.05).all()), total


@pytest.mark.parametrize(
    "name", ["Exponential", "Gumbel", "Laplace", "Normal", "Uniform", "Weibull"]
)
def test_quantiles_invert(name):
    family = FAMILIES[name]
    p = t([[0.1], [0.5], [0.9]])
    assert torch.allclose(family.cdf(family.icdf(p)), p.expand(3, *family.batch_shape), atol=1e-5)


@pytest.mark.parametrize("name", ["Bernoulli", "Binomial", "OneHotCategorical"])
def test_all_values_have_probability_one(name):
    family = FAMILIES[name]
    values = family.enumerate_support()
    assert torch.allclose(family.log_prob(values).exp().sum(0), torch.ones(family.batch_shape))


def test_the_entropy_is_the_mean_of_minus_log_prob():
    for name in ("Normal", "Beta", "Gamma", "MultivariateNormal", "Gumbel", "Weibull", "Dirichlet"):
        torch.manual_seed(1)
        family = FAMILIES[name]
        found = -family.log_prob(family.sample((2500,))).mean(0)
        assert torch.allclose(found, family.entropy(), atol=0.15), name


def test_gradients_through_draws():
    """d E[f(x)] / dθ by `rsample` is the derivative of the mean, which is known."""
    for make, mean in (
        (lambda p: d.Normal(p, 2.0), lambda p: p),
        (lambda p: d.Gamma(p, 2.0), lambda p: p / 2),
        (lambda p: d.Beta(p, 3.0), lambda p: p / (p + 3)),
        (lambda p: d.Exponential(p), lambda p: 1 / p),
        (lambda p: d.Uniform(0.0, p), lambda p: p / 2),
        (lambda p: d.Laplace(p, 2.0), lambda p: p),
    ):
        for value in (0.4, 1.7, 12.0):
            p = t(value, requires_grad=True)
            torch.manual_seed(0)
            x = make(p).rsample((2500,))
            (found,) = torch.autograd.grad(x.mean(), p)
            q = t(value, requires_grad=True)
            (expected,) = torch.autograd.grad(mean(q), q)
            assert found.item() == pytest.approx(expected.item(), rel=0.15, abs=0.04)


def test_slopes_of_gamma_and_beta_draws():
    """Against -dF/dα / pdf by finite differences of SciPy's distribution functions."""
    from scipy import stats

    h = 1e-4
    alpha = np.array([0.2, 0.9, 3.0, 7.0, 9.0, 30.0, 200.0])
    for q in (0.05, 0.4, 0.5, 0.9):
        x = stats.gamma.ppf(q, alpha)
        slope = (stats.gamma.cdf(x, alpha - h) - stats.gamma.cdf(x, alpha + h)) / (2 * h)
        expected = slope / stats.gamma.pdf(x, alpha)
        found = draws.gamma_slope(torch.from_numpy(alpha), torch.from_numpy(x)).numpy()
        np.testing.assert_allclose(found, expected, rtol=5e-3)
        for b in (0.5, 2.0, 8.0, 40.0):
            x = stats.beta.ppf(q, alpha, b)
            slope = (stats.beta.cdf(x, alpha - h, b) - stats.beta.cdf(x, alpha + h, b)) / (2 * h)
            expected = slope / stats.beta.pdf(x, alpha, b) / (1 - x)
            total = torch.from_numpy(alpha + b)
            found = draws.beta_slope(torch.from_numpy(x), torch.from_numpy(alpha), total).numpy()
            np.testing.assert_allclose(found, expected, rtol=3e-2)


def test_policy_gradient_of_a_categorical():
    logits = t([0.1, 0.5, -0.3], requires_grad=True)
    d.Categorical(logits=logits).log_prob(t(1)).backward()
    p = torch.softmax(logits.detach(), -1)
    assert torch.allclose(logits.grad, t([0.0, 1.0, 0.0]) - p)


def test_validation_can_be_turned_off():
    with pytest.raises(ValueError, match="to satisfy the constraint"):
        d.Normal(0.0, -1.0)
    d.Normal(0.0, -1.0, validate_args=False)
    d.Distribution.set_default_validate_args(False)
    try:
        d.Normal(0.0, -1.0)
    finally:
        d.Distribution.set_default_validate_args(True)
    with pytest.raises(ValueError):
        d.Distribution.set_default_validate_args("no")


def test_constraints():
    assert constraints.simplex.check(t([[0.5, 0.5], [0.5, 0.6]])).tolist() == [True, False]
    assert constraints.positive_definite.check(t([[1.0, 2.0], [2.0, 1.0]])).item() is False
    assert constraints.lower_cholesky.check(t([[1.0, 0.0], [2.0, 1.0]])).item() is True
    assert constraints.integer_interval(0, 2).check(t([0.0, 1.5, 3.0])).tolist() == [1, 0, 0]
    assert constraints.one_hot.check(t([[0, 1], [1, 1]])).tolist() == [True, False]
    cat = constraints.cat([constraints.positive, constraints.real], dim=-1, lengths=[1, 2])
    assert cat.check(t([-1.0, -1.0, 2.0])).tolist() == [False, True, True]
    stack = constraints.stack([constraints.positive, constraints.real], dim=-1)
    assert stack.check(t([-1.0, -1.0])).tolist() == [False, True]
    assert constraints.is_dependent(constraints.dependent)
    with pytest.raises(ValueError, match="dependent constraint"):
        constraints.dependent.check(t(1.0))
    with pytest.raises(NotImplementedError):
        constraints.dependent.event_dim


def test_the_register_of_divergences():
    class Special(d.Normal):
        pass

    p, q = Special(t(0.0), t(1.0)), d.Normal(t(1.0), t(1.0))
    assert d.kl_divergence(p, q).item() == 0.5
    before = dict(d.kl._REGISTRY)
    try:

        @d.register_kl(Special, d.Normal)
        def special(p, q):
            return t(7.0)

        assert d.kl_divergence(p, q).item() == 7.0 and d.kl_divergence(q, p).item() == 0.5
    finally:
        d.kl._REGISTRY.clear()
        d.kl._REGISTRY.update(before)
        d.kl._FOUND.clear()
    with pytest.raises(TypeError, match="Distribution subclass"):
        d.register_kl(int, d.Normal)


def test_cached_transforms_keep_the_pair():
    transform = d.TanhTransform(cache_size=1)
    x = t([9.0, -20.0])
    y = transform(x)
    assert transform.inv(y) is x and transform(x) is y
    with pytest.raises(ValueError, match="cache_size must be 0 or 1"):
        d.ExpTransform(cache_size=2)
    assert pickle.loads(pickle.dumps(transform)).inv(t([0.0])).item() == 0


def test_subclasses_have_to_say_how_they_expand():
    class Mine(d.Normal):
        def __init__(self):
            super().__init__(t(0.0), t(1.0))

    with pytest.raises(NotImplementedError, match=r"must also define a custom .expand\(\) method"):
        Mine().expand((2,))
