"""Transforms of functions; checkpoints; comparisons for tests."""

import pytest

import rushlight as torch
from rushlight.func import (
    functional_call,
    grad,
    grad_and_value,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    stack_module_state,
    vjp,
    vmap,
)
from rushlight.testing import assert_close, make_tensor
from rushlight.utils.checkpoint import checkpoint, checkpoint_sequential

X = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
M = torch.arange(6.0, dtype=torch.float64).reshape(2, 3)


def test_gradients_nest():
    third = grad(grad(grad(lambda x: x**4)))
    assert third(torch.tensor(2.0)).item() == 48
    assert not third(torch.tensor(2.0)).requires_grad
    x = torch.tensor(2.0, requires_grad=True)
    grad(lambda v: v**3)(x).backward()
    assert x.grad.item() == 12
    slope, (value, aux) = grad_and_value(lambda v: (v.sum(), v * 2), has_aux=True)(X)
    assert (slope.tolist(), value.item(), aux.tolist()) == ([1, 1, 1], 6, [2, 4, 6])
    both = grad(lambda a, b: (a * b["c"]).sum(), argnums=(0, 1))(X, {"c": X})
    assert both[0].tolist() == both[1]["c"].tolist() == X.tolist()
    with pytest.raises(RuntimeError, match="scalar tensor"):
        grad(lambda v: v)(X)


def test_jacobians():
    def f(x):
        return x.exp() * x.sum()

    whole = jacrev(f)(X)
    assert_close(jacfwd(f)(X), whole)
    assert_close(jvp(f, (X,), (X,))[1], whole @ X)
    assert_close(vjp(f, X)[1](X)[0], X @ whole)
    assert_close(linearize(f, X)[1](X), whole @ X)
    assert_close(hessian(lambda x: (x**3).sum())(X), torch.diag(6 * X))


def test_vmap():
    assert_close(vmap(torch.dot, in_dims=(0, None))(M, X), M @ X)
    assert_close(vmap(lambda a: {"d": a * 2, "e": 1.0}, 1, {"d": 1, "e": 0})(M)["d"], M * 2)
    each = vmap(grad(lambda w, a: (w * a).sum() ** 2), in_dims=(None, 0))(X, M)
    assert_close(each, 2 * (M @ X)[:, None] * M)
    with pytest.raises(ValueError, match="same size"):
        vmap(torch.add)(M, X)


def test_modules_as_functions():
    net = torch.nn.Linear(3, 2).double()
    parameters = {k: v.detach() for k, v in net.named_parameters()}
    double = {k: 2 * v for k, v in parameters.items()}
    assert_close(functional_call(net, double, (X,)), 2 * net(X).detach(), check_dtype=True)
    assert_close(net(X).detach(), functional_call(net, parameters, X))
    slopes = grad(lambda p: functional_call(net, p, (M,)).sum())(parameters)
    assert_close(slopes["weight"], M.sum(0).expand(2, 3))
    stacked, _ = stack_module_state([torch.nn.Linear(3, 2) for _ in range(4)])
    assert stacked["weight"].shape == (4, 2, 3) and stacked["weight"].requires_grad


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoint(reentrant):
    """The same values and gradients, random numbers included."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1))
    x = torch.randn(16, 4, requires_grad=True)
    calls = []

    def part(v):
        calls.append(1)
        return net(v)

    found = []
    for again in (False, True):
        torch.manual_seed(1)
        net.zero_grad()
        x.grad = None
        out = checkpoint(part, x, use_reentrant=reentrant) if again else part(x)
        out.square().sum().backward()
        found.append([out.detach(), x.grad, *[p.grad.clone() for p in net.parameters()]])
    assert len(calls) == 3
    assert_close(found[0], found[1])
    assert_close(checkpoint_sequential(net.eval(), 2, x), net(x))


def test_assert_close():
    assert_close([1, 2.0, torch.ones(2)], [1, 2.0, torch.ones(2)])
    assert_close(torch.tensor(float("nan")), torch.tensor(float("nan")), equal_nan=True)
    for a, b, words in (
        (torch.ones(2), torch.tensor([1.0, 1.1]), r"Mismatched elements: 1 / 2 \(50.0%\)"),
        (torch.ones(2), torch.ones(2).double(), "dtype"),
        (torch.ones(2), torch.ones(3), "shape"),
        ({"a": 1}, {"a": 2}, r"item \['a'\]"),
        ([1], [1, 2], "length"),
    ):
        with pytest.raises(AssertionError, match=words):
            assert_close(a, b)
    assert make_tensor(3, 2, dtype=torch.int64, low=1, high=3).min() >= 1
