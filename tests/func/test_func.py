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
    with pytest.raises(RuntimeError, match="scalar Tensor"):
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
    assert_close(vmap(lambda a: {"d": a * 2, "e": 1.0}, 1, {"d": 1, "e": None})(M)["d"], M * 2)
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


def test_rows_that_draw():
    def draws(randomness):
        torch.manual_seed(0)
        return vmap(lambda a: a + torch.randn(2), randomness=randomness)(torch.zeros(3, 2))

    torch.manual_seed(0)
    apart = draws("different")
    torch.manual_seed(0)
    assert_close(apart, torch.randn(3, 2))
    assert_close(draws("same"), apart[:1].expand(3, 2))
    before = torch.get_rng_state()
    for f in (torch.rand_like, lambda a: torch.nn.functional.dropout(a, 0.5)):
        with pytest.raises(RuntimeError, match="randomness error mode"):
            vmap(f)(torch.zeros(3, 2))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: vmap(lambda a: a, in_dims=None)(M), "expected `in_dims` to be int or a"),
        (lambda: vmap(lambda a, b: a, in_dims=(0,))(M, M), "structure of `inputs`"),
        (lambda: vmap(lambda d: d["b"], in_dims=({"a": 0},))({"b": M}), "structure of `inputs`"),
        (lambda: vmap(lambda a: a, in_dims=(3,))(M), "dimensionality 2 so expected in_dim"),
        (lambda: vmap(lambda a: a)(1), "cannot vmap over non-Tensor arguments"),
        (lambda: vmap(lambda: 1)(), "got no inputs"),
        (lambda: vmap(lambda a: 1.0)(M), "must only return Tensors, got type <class 'float'>"),
        (lambda: vmap(lambda a: a, out_dims=None)(M), "can not return a BatchedTensor"),
        (lambda: vmap(lambda a: [a], out_dims=(0, 0))(M), "structure of `outputs`"),
        (lambda: vmap(lambda a: a, chunk_size=0)(M), "chunk_size should be None or greater"),
    ],
)
def test_what_vmap_refuses(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_nests_and_empty_batches():
    both = vmap(lambda d: d["a"] + d["b"], in_dims=({"a": 0, "b": None},))({"a": M, "b": X})
    assert_close(both, M + X)
    whole, const = vmap(lambda a: (a * 2, X), out_dims=(1, None))(M)
    assert_close(whole, 2 * M.t())
    assert_close(const, X)
    assert tuple(vmap(lambda a: a.sum() * torch.ones(4))(torch.ones(0, 2)).shape) == (0, 4)


def test_tied_names_and_unknown_ones():
    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a = torch.nn.Linear(2, 2, bias=False)
            self.b = torch.nn.Linear(2, 2, bias=False)
            self.b.weight = self.a.weight

        def forward(self, x):
            return self.b(self.a(x))

    call, twice = torch.func.functional_call, {"a.weight": 2 * torch.eye(2)}
    assert call(Tied(), {**twice, "c": X}, torch.ones(2)).tolist() == [4.0, 4.0]
    with pytest.raises(ValueError, match=r"keys \['a.weight', 'b.weight'\], which are tied"):
        call(Tied(), {**twice, "b.weight": torch.eye(2)}, torch.ones(2))
    (slope,) = torch.func.grad(lambda p: call(Tied(), p, torch.ones(2)).sum())(twice).values()
    assert slope.tolist() == [[4.0, 4.0], [4.0, 4.0]]


def test_batch_norms_without_statistics():
    net = torch.nn.Sequential(torch.nn.BatchNorm1d(2), torch.nn.Linear(2, 2))
    assert torch.func.replace_all_batch_norm_modules_(net) is net
    assert net[0].running_mean is None and not net[0].track_running_stats
    assert tuple(net(torch.ones(3, 2)).shape) == (3, 2)


def test_integers_have_no_gradient():
    with pytest.raises(RuntimeError, match="only Tensors of floating point dtype"):
        grad(lambda a: (a * 2.0).sum())(torch.arange(3))
