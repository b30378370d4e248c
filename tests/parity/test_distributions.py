"""`torch.distributions` beside PyTorch's: draws, densities, moments, gradients, divergences."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest

import rushlight

torch = pytest.importorskip("torch")

SHAPE = (5, 3)
FAMILIES = {
    "Bernoulli": lambda t: {"probs": t([0.2, 0.7, 0.5])},
    "Bernoulli logits": lambda t: {"logits": t([-1.0, 0.3, 2.0])},
    "Beta": lambda t: {"concentration1": t([0.4, 2.0, 9.0]), "concentration0": t([0.6, 3.0, 8.0])},
    "Binomial": lambda t: {"total_count": 12, "probs": t([0.2, 0.7, 0.5])},
    "Binomial logits": lambda t: {"total_count": 60, "logits": t([-1.0, 0.3, 0.0])},
    "Categorical": lambda t: {"probs": t([[0.2, 0.3, 0.5], [1.0, 1.0, 2.0]])},
    "Categorical logits": lambda t: {"logits": t([[0.2, -0.3, 0.5], [1.0, 0.0, 2.0]])},
    "Cauchy": lambda t: {"loc": t([0.5, -1.0]), "scale": t([1.0, 2.5])},
    "Chi2": lambda t: {"df": t([1.0, 4.5])},
    "ContinuousBernoulli": lambda t: {"probs": t([0.2, 0.5, 0.9])},
    "Dirichlet": lambda t: {"concentration": t([[0.5, 1.5, 3.0], [9.0, 8.0, 7.0]])},
    "Exponential": lambda t: {"rate": t([0.5, 3.0])},
    "FisherSnedecor": lambda t: {"df1": t([3.0, 5.0]), "df2": t([5.0, 7.0])},
    "Gamma": lambda t: {"concentration": t([0.3, 2.0, 20.0]), "rate": t([1.0, 0.5, 3.0])},
    "GeneralizedPareto": lambda t: {
        "loc": t([0.0, 1.0]), "scale": t([1.0, 2.0]), "concentration": t([0.2, 0.0])
    },
    "Geometric": lambda t: {"probs": t([0.2, 0.9])},
    "Gumbel": lambda t: {"loc": t([0.5, -1.0]), "scale": t([1.0, 2.5])},
    "HalfCauchy": lambda t: {"scale": t([1.0, 2.5])},
    "HalfNormal": lambda t: {"scale": t([1.0, 2.5])},
    "InverseGamma": lambda t: {"concentration": t([2.5, 5.0]), "rate": t([1.0, 0.5])},
    "Kumaraswamy": lambda t: {"concentration1": t([1.5, 2.0]), "concentration0": t([1.2, 3.0])},
    "Laplace": lambda t: {"loc": t([0.5, -1.0]), "scale": t([1.0, 2.5])},
    "LKJCholesky": lambda t: {"dim": 3, "concentration": t([0.7, 2.0])},
    "LogNormal": lambda t: {"loc": t([0.5, -1.0]), "scale": t([0.3, 0.9])},
    "LogisticNormal": lambda t: {"loc": t([0.5, -1.0]), "scale": t([0.3, 0.9])},
    "LogitRelaxedBernoulli": lambda t: {"temperature": t(0.7), "probs": t([0.2, 0.7])},
    "LowRankMultivariateNormal": lambda t: {
        "loc": t([0.5, -1.0, 2.0]),
        "cov_factor": t([[1.0], [0.5], [0.2]]),
        "cov_diag": t([0.5, 1.0, 2.0]),
    },
    "Multinomial": lambda t: {"total_count": 7, "probs": t([[0.2, 0.3, 0.5], [1.0, 1.0, 2.0]])},
    "MultivariateNormal": lambda t: {
        "loc": t([0.5, -1.0]), "covariance_matrix": t([[2.0, 0.3], [0.3, 1.0]])
    },
    "MultivariateNormal tril": lambda t: {
        "loc": t([[0.5, -1.0], [0.0, 1.0]]), "scale_tril": t([[2.0, 0.0], [0.3, 1.0]])
    },
    "MultivariateNormal precision": lambda t: {
        "loc": t([0.5, -1.0]), "precision_matrix": t([[2.0, 0.3], [0.3, 1.0]])
    },
    "NegativeBinomial": lambda t: {"total_count": t([3.0, 8.0]), "probs": t([0.2, 0.7])},
    "Normal": lambda t: {"loc": t([0.5, -1.0]), "scale": t([1.0, 2.5])},
    "OneHotCategorical": lambda t: {"probs": t([[0.2, 0.3, 0.5], [1.0, 1.0, 2.0]])},
    "OneHotCategoricalStraightThrough": lambda t: {"logits": t([[0.2, 0.3, 0.5]])},
    "Pareto": lambda t: {"scale": t([0.5, 1.0]), "alpha": t([3.0, 1.5])},
    "Poisson": lambda t: {"rate": t([0.5, 4.0, 30.0])},
    "RelaxedBernoulli": lambda t: {"temperature": t(0.7), "logits": t([0.2, 0.7])},
    "RelaxedOneHotCategorical": lambda t: {"temperature": t(0.7), "logits": t([0.2, 0.7, 0.1])},
    "StudentT": lambda t: {"df": t([3.0, 5.5]), "loc": t([0.0, 1.0]), "scale": t([1.0, 2.0])},
    "Uniform": lambda t: {"low": t([0.5, -1.0]), "high": t([1.0, 2.5])},
    "VonMises": lambda t: {"loc": t([0.5, -1.0]), "concentration": t([1.0, 6.0])},
    "Weibull": lambda t: {"scale": t([0.5, 1.0]), "concentration": t([1.5, 2.5])},
    "Wishart": lambda t: {"df": t(4.0), "covariance_matrix": t([[2.0, 0.3], [0.3, 1.0]])},
}  # fmt: skip
# Where PyTorch's own answer is wrong: its formula takes the logarithm of a negative number.
WRONG = {("Kumaraswamy", "mode")}


def close(ours, theirs, rtol=2e-5, atol=2e-6, what=""):
    a, b = ours.detach().numpy(), theirs.detach().numpy()
    assert a.shape == b.shape and str(a.dtype) == str(b.dtype), (what, a.shape, b.shape, a.dtype)
    np.testing.assert_allclose(a, b, rtol=rtol, atol=atol, equal_nan=True, err_msg=what)


def family(module, name):
    """The class of an entry."""
    d = module.distributions
    home = d.relaxed_bernoulli if name.startswith("Logit") else d
    return getattr(home, name.split()[0])


def pair(name):
    """The same distribution of both frameworks, and the tensors it is made of."""
    found = []
    for module in (rushlight, torch):
        leaves = []

        def leaf(values, module=module, leaves=leaves):
            leaves.append(module.tensor(values, requires_grad=True))
            return leaves[-1]

        found.append((family(module, name)(**FAMILIES[name](leaf)), leaves))
    return found


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("name", FAMILIES)
def test_family(name):
    (ours, my_leaves), (theirs, their_leaves) = pair(name)
    assert repr(ours) == repr(theirs)
    for attribute in ("batch_shape", "event_shape"):
        assert tuple(getattr(ours, attribute)) == tuple(getattr(theirs, attribute))
    assert ours.has_rsample == theirs.has_rsample
    assert type(ours.support).__name__ == type(theirs.support).__name__
    samples = []
    for module, d in ((rushlight, ours), (torch, theirs)):
        module.manual_seed(3)
        samples.append(d.sample((4,)))
    close(*samples, what="sample")
    value = samples[1].numpy()
    for attribute in ("mean", "variance", "mode", "stddev"):
        if (name, attribute) in WRONG:
            continue
        expected = attempt(lambda a=attribute: getattr(theirs, a))
        found = attempt(lambda a=attribute: getattr(ours, a))
        agree(found, expected, attribute)
    agree(attempt(ours.entropy), attempt(theirs.entropy), "entropy", rtol=1e-4)
    logs = ours.log_prob(rushlight.tensor(value)), theirs.log_prob(torch.tensor(value))
    close(*logs, what="log_prob", rtol=1e-4, atol=2e-5)
    gradients(logs, my_leaves, their_leaves, "log_prob")
    for method in ("cdf", "icdf"):
        x = np.array([[0.3], [0.6]], np.float32) if method == "icdf" else value
        expected = attempt(lambda m=method, x=x: getattr(theirs, m)(torch.tensor(x)))
        found = attempt(lambda m=method, x=x: getattr(ours, m)(rushlight.tensor(x)))
        agree(found, expected, method, rtol=1e-4)
    if theirs.has_enumerate_support:
        found, expected = attempt(ours.enumerate_support), attempt(theirs.enumerate_support)
        agree(found, expected, "enumerate_support")


def attempt(f):
    """What a call gives; None where it is not implemented."""
    try:
        return f()
    except NotImplementedError:
        return None


def agree(found, expected, what, rtol=2e-5):
    assert (found is None) == (expected is None), what
    if expected is not None:
        close(found, expected, rtol=rtol, atol=5e-6, what=what)


def gradients(results, my_leaves, their_leaves, what, rtol=1e-4):
    """Both frameworks' gradients of a sum with unequal weights."""
    found = []
    for module, result, leaves in (
        (rushlight, results[0], my_leaves), (torch, results[1], their_leaves)
    ):  # fmt: skip
        if not result.requires_grad:
            found.append(None)
            continue
        weights = module.tensor(np.linspace(0.5, 1.5, result.numel(), dtype=np.float32))
        total = (result.reshape(-1) * weights).sum()
        found.append(module.autograd.grad(total, leaves, allow_unused=True, retain_graph=True))
    assert (found[0] is None) == (found[1] is None), what
    for mine, other in zip(*(f or () for f in found), strict=True):
        assert (mine is None) == (other is None), what
        if other is not None:
            close(mine, other, rtol=rtol, atol=2e-4, what=f"gradient of {what}")


@pytest.mark.parametrize("name", FAMILIES)
def test_reparameterised_samples(name):
    (ours, my_leaves), (theirs, their_leaves) = pair(name)
    if not theirs.has_rsample and not name.startswith("Logit"):
        with pytest.raises(NotImplementedError):
            ours.rsample()
        return
    samples = []
    for module, d in ((rushlight, ours), (torch, theirs)):
        module.manual_seed(5)
        samples.append(d.rsample((6,)))
    close(*samples, what="rsample")
    if name != "Wishart":  # PyTorch overwrites what its own gradient needs
        gradients(samples, my_leaves, their_leaves, "rsample", rtol=2e-3)


@pytest.mark.parametrize("name", FAMILIES)
def test_expanded(name):
    (ours, _), (theirs, _) = pair(name)
    batch = (2, *theirs.batch_shape)
    mine, other = ours.expand(batch), theirs.expand(batch)
    assert tuple(mine.batch_shape) == tuple(other.batch_shape) == batch
    for module, d in ((rushlight, mine), (torch, other)):
        module.manual_seed(1)
        d.drawn = d.sample((2,))
    close(mine.drawn, other.drawn, what="sample of the expanded")
    value = other.drawn.numpy()
    close(mine.log_prob(rushlight.tensor(value)), other.log_prob(torch.tensor(value)), 1e-4, 2e-5)


PAIRS = [
    (p, q)
    for p, q in itertools.product(FAMILIES, FAMILIES)
    if " " not in p + q
    and p != "Wishart"
    and torch.distributions.kl._dispatch_kl(family(torch, p), family(torch, q))
    is not NotImplemented
]


def test_as_many_pairs_as_pytorch():
    assert len(PAIRS) > 60
    names = {(p.__name__, q.__name__) for p, q in torch.distributions.kl._KL_REGISTRY}
    ours = {(p.__name__, q.__name__) for p, q in rushlight.distributions.kl._REGISTRY}
    assert names == ours


@pytest.mark.parametrize(("p", "q"), PAIRS)
def test_kl(p, q):
    def divergence(module):
        both = [family(module, name)(**FAMILIES[name](module.tensor)) for name in (p, q)]
        return module.distributions.kl_divergence(*both)

    try:
        expected = divergence(torch)
    except (NotImplementedError, RuntimeError, ValueError) as error:
        with pytest.raises(type(error)):
            divergence(rushlight)
        return
    close(divergence(rushlight), expected, rtol=2e-4, atol=2e-5, what=f"{p} {q}")


def test_kl_of_unlike_parameters():
    for module in (rushlight, torch):
        d, t = module.distributions, module.tensor
        module.found = [
            d.kl_divergence(d.Normal(t(0.3), t(1.2)), d.Normal(t(-1.0), t(0.4))),
            d.kl_divergence(d.Bernoulli(t([0.0, 0.4])), d.Bernoulli(t([0.3, 0.0]))),
            d.kl_divergence(
                d.Categorical(t([0.0, 1.0, 3.0])), d.Categorical(logits=t([1.0, 2.0, 0.5]))
            ),
            d.kl_divergence(
                d.Independent(d.Normal(t([0.0, 1.0]), t([1.0, 2.0])), 1),
                d.Independent(d.Normal(t([1.0, 1.0]), t([2.0, 2.0])), 1),
            ),
            *(
                d.kl_divergence(a, b)
                for a, b in itertools.product(
                    (
                        d.MultivariateNormal(t([0.5, 1.0]), t([[2.0, 0.3], [0.3, 1.0]])),
                        d.LowRankMultivariateNormal(
                            t([0.0, 0.1]), t([[1.0], [0.4]]), t([0.3, 0.9])
                        ),
                    ),
                    repeat=2,
                )
            ),
            d.kl_divergence(
                d.MultivariateNormal(t([0.5, 1.0]), t([[2.0, 0.3], [0.3, 1.0]])),
                d.MultivariateNormal(t([[0.0, 0.0], [1.0, 2.0]]), scale_tril=t([[1.0, 0], [1, 2]])),
            ),
            d.kl_divergence(d.LogNormal(t(0.0), t(1.0)), d.LogNormal(t(1.0), t(2.0))),
            d.kl_divergence(d.Uniform(t([0.0, 0.0]), t([1.0, 2.0])), d.Uniform(t(0.0), t(1.5))),
        ]
    for mine, other in zip(rushlight.found, torch.found, strict=True):
        close(mine, other)
    with pytest.raises(NotImplementedError, match="No KL"):
        d = rushlight.distributions
        d.kl_divergence(d.Normal(0.0, 1.0), d.VonMises(0.0, 1.0))


def transforms_of(module):
    d, t = module.distributions, module.tensor
    return {
        "exp": (d.ExpTransform(), t([0.3, -1.0])),
        "power": (d.PowerTransform(t(1.7)), t([0.3, 2.0])),
        "sigmoid": (d.SigmoidTransform(), t([0.3, -2.0])),
        "tanh": (d.TanhTransform(), t([0.3, -2.0])),
        "softplus": (d.SoftplusTransform(), t([0.3, -2.0])),
        "affine": (d.AffineTransform(t([1.0, 2.0]), t([0.5, -3.0])), t([0.3, -2.0])),
        "affine event": (d.AffineTransform(1.0, -2.0, event_dim=1), t([0.3, -2.0])),
        "softmax": (d.SoftmaxTransform(), t([0.3, -2.0, 1.0])),
        "sticks": (d.StickBreakingTransform(), t([[0.3, -2.0, 1.0]])),
        "corr": (d.CorrCholeskyTransform(), t([0.3, -0.2, 0.6])),
        "lower": (d.LowerCholeskyTransform(), t([[0.3, -0.2], [0.6, 1.0]])),
        "definite": (d.PositiveDefiniteTransform(), t([[0.3, -0.2], [0.6, 1.0]])),
        "reshape": (d.ReshapeTransform((4,), (2, 2)), t([[0.3, -0.2, 0.6, 1.0]])),
        "compose": (
            d.ComposeTransform([d.ExpTransform(), d.AffineTransform(1.0, 2.0)]), t([0.3, -2.0])
        ),
        "independent": (d.IndependentTransform(d.ExpTransform(), 1), t([[0.3, -2.0]])),
        "cat": (
            d.CatTransform([d.ExpTransform(), d.TanhTransform()], dim=-1, lengths=[1, 2]),
            t([0.3, -2.0, 0.1]),
        ),
        "stack": (
            d.StackTransform([d.ExpTransform(), d.TanhTransform()], dim=-1), t([[0.3, -2.0]])
        ),
        "cdf": (d.CumulativeDistributionTransform(d.Normal(t(0.0), t(1.0))), t([0.3, -2.0])),
    }  # fmt: skip


@pytest.mark.parametrize("name", transforms_of(rushlight))
def test_transform(name):
    (mine, x), (other, y) = transforms_of(rushlight)[name], transforms_of(torch)[name]
    images = mine(x), other(y)
    close(*images, what=name)
    close(mine.inv(images[0]), other.inv(images[1]), rtol=1e-4, what="inverse")
    logs = [attempt(lambda t=t, a=a, b=b: t.log_abs_det_jacobian(a, b)) for t, a, b in
            ((mine, x, images[0]), (other, y, images[1]))]  # fmt: skip
    agree(*logs, "log_abs_det_jacobian", rtol=1e-4)
    assert tuple(mine.forward_shape(x.shape)) == tuple(other.forward_shape(y.shape))
    assert mine.inv.inv is mine and mine == mine and mine != object()
    cached = attempt(lambda: mine.with_cache())
    if cached is not None:
        image = cached(x)
        assert cached.inv(image) is x


@pytest.mark.parametrize("registry", ["biject_to", "transform_to"])
def test_registries(registry):
    for name in ("real", "positive", "unit_interval", "simplex", "corr_cholesky", "nonnegative"):
        x = np.array([0.3, -0.7, 1.1], np.float32)
        found = []
        for module in (rushlight, torch):
            to = getattr(module.distributions, registry)
            found.append(to(getattr(module.distributions.constraints, name))(module.tensor(x)))
        close(*found, what=name)
    with pytest.raises(NotImplementedError, match="Cannot transform"):
        rushlight.distributions.biject_to(rushlight.distributions.constraints.boolean)


def test_wrong_parameters_and_values_say_what_pytorch_says():
    def complaint(module, f):
        with pytest.raises(ValueError) as error:
            f(module.distributions, module.tensor)
        return str(error.value)

    for f in (
        lambda d, t: d.Normal(t([0.0, 1.0]), t([1.0, -1.0])),
        lambda d, t: d.Normal(t([0.0, 1.0]), t([1.0, 1.0])).log_prob(t([0.0, math.nan])),
        lambda d, t: d.Normal(t([0.0, 1.0]), t([1.0, 1.0])).log_prob(t([0.0, 1.0, 2.0])),
        lambda d, t: d.Normal(t([0.0, 1.0]), t([1.0, 1.0])).log_prob(1.0),
        lambda d, t: d.Categorical(t([0.5, 0.5])).log_prob(t(2)),
        lambda d, t: d.Categorical(t(0.5)),
        lambda d, t: d.Categorical(),
        lambda d, t: d.Bernoulli(probs=t(0.5), logits=t(0.1)),
        lambda d, t: d.Bernoulli(t([0.5, 1.5])),
        lambda d, t: d.Uniform(t(2.0), t(1.0)),
        lambda d, t: d.MultivariateNormal(t([0.0, 0.0])),
        lambda d, t: d.MultivariateNormal(t([0.0, 0.0]), t([[1.0, 2.0], [2.0, 1.0]])),
        lambda d, t: d.Independent(d.Normal(t(0.0), t(1.0)), 1),
        lambda d, t: d.Dirichlet(t(1.0)),
        lambda d, t: d.Geometric(t(0.0)),
        lambda d, t: d.TransformedDistribution(d.Normal(t(0.0), t(1.0)), [1]),
    ):
        assert complaint(rushlight, f) == complaint(torch, f)


def test_mixtures_and_transformed():
    found = []
    for module in (rushlight, torch):
        d, t = module.distributions, module.tensor
        module.manual_seed(2)
        mixture = d.MixtureSameFamily(
            d.Categorical(t([0.3, 0.7])), d.Normal(t([-1.0, 2.0]), t([0.5, 1.0]))
        )
        wide = d.MixtureSameFamily(
            d.Categorical(t([0.3, 0.7])),
            d.Independent(d.Normal(t([[-1.0, 0.0], [2.0, 1.0]]), t([[0.5, 1.0]])), 1),
        )
        logistic = d.TransformedDistribution(
            d.Uniform(t([0.0, 0.0]), t([1.0, 1.0])),
            [d.SigmoidTransform().inv, d.AffineTransform(t(1.0), t(2.0))],
        )
        x = mixture.sample((5,))
        y = wide.sample((5,))
        z = logistic.sample((5,))
        found.append(
            [
                *(x, y, z, mixture.log_prob(x), wide.log_prob(y), logistic.log_prob(z)),
                *(mixture.mean, mixture.variance, mixture.cdf(x), wide.mean, wide.variance),
                *(logistic.cdf(z), logistic.icdf(t([0.2, 0.9]))),
            ]
        )
    for mine, other in zip(*found, strict=True):
        close(mine, other, rtol=1e-4)


def test_all_names():
    theirs = set(torch.distributions.__all__)
    assert theirs <= set(rushlight.distributions.__all__), theirs - set(
        rushlight.distributions.__all__
    )
    for name in ("normal", "categorical", "multivariate_normal", "relaxed_bernoulli", "utils"):
        expected = set(getattr(torch.distributions, name).__all__)
        module = getattr(rushlight.distributions, name)
        assert expected <= set(module.__all__)
