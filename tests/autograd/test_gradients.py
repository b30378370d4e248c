"""`backward`, `grad`, hooks and what is a leaf."""

import math
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest

import rushlight as torch
from rushlight.base.settings import override

F = torch.nn.functional


def test_backward_adds_up():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    (x * 3).sum().backward()
    assert x.grad.tolist() == [5, 7]


def test_backward_wants_a_scalar_or_a_gradient():
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="scalar outputs"):
        (x * 2).backward()
    (x * 2).backward(torch.tensor([1.0, 10.0]))
    assert x.grad.tolist() == [2, 20]
    with pytest.raises(RuntimeError, match="Mismatch in shape"):
        (x * 2).backward(torch.ones(3))
    with pytest.raises(RuntimeError, match="does not require grad"):
        torch.ones(1).backward()


def test_a_second_time_needs_retain_graph():
    x = torch.ones(2, requires_grad=True)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()
    assert x.grad.tolist() == [4, 4]


def test_grad_leaves_grad_alone():
    x = torch.tensor(3.0, requires_grad=True)
    (g,) = torch.autograd.grad(x**3, x, create_graph=True)
    (h,) = torch.autograd.grad(g, x)
    assert (g.item(), h.item()) == (27, 18)
    assert x.grad is None


def test_grad_of_what_was_not_used():
    x, y = torch.ones(1, requires_grad=True), torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError):
        torch.autograd.grad(x.sum(), y)
    assert torch.autograd.grad(x.sum(), y, allow_unused=True) == (None,)
    (z,) = torch.autograd.grad(x.sum(), y, materialize_grads=True)
    assert z.tolist() == [0, 0]


def test_several_roots():
    x = torch.ones(2, requires_grad=True)
    torch.autograd.backward([x.sum(), (x * 2)], [None, torch.tensor([1.0, 2.0])])
    assert x.grad.tolist() == [3, 5]


def test_only_the_inputs_asked_for():
    x, y = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    (x * y).sum().backward(inputs=[x])
    assert x.grad.tolist() == [1]
    assert y.grad is None


def test_a_layer_is_reached_as_in_pytorch():
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    loss = torch.nn.functional.mse_loss(net(torch.ones(2, 3)), torch.zeros(2, 2))
    (last, _), *_ = loss.grad_fn.next_functions
    assert last.name() == "AddmmBackward0"
    names = [node.name() for node, _ in last.next_functions]
    assert names == [
        "torch::autograd::AccumulateGrad",
        "ReluBackward0",
        "torch::autograd::AccumulateGrad",
    ]


def test_numbers_first_are_second_in_the_history():
    """`2 * x` is `x * 2` to PyTorch, and `1 - x` a node of its own."""
    x = torch.ones(2, requires_grad=True).sin()
    for y, name in ((2 * x, "MulBackward0"), (2 + x, "AddBackward0"), (x * 2, "MulBackward0")):
        (below, _), (number, _) = y.grad_fn.next_functions
        assert (y.grad_fn.name(), below.name(), number) == (name, "SinBackward0", None)
    ((below, _),) = (1 - x).grad_fn.next_functions
    assert (below.name(), (1 - x).grad_fn.name()) == ("SinBackward0", "RsubBackward1")


def test_leaves():
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    assert x.is_leaf and x.grad_fn is None
    assert not y.is_leaf
    assert y.grad_fn.name() == "MulBackward0"
    assert type(y.grad_fn.next_functions[0][0]).__name__ == "AccumulateGrad"
    assert torch.ones(1).is_leaf
    with pytest.raises(RuntimeError, match="leaf"):
        x.add_(1)
    with pytest.raises(RuntimeError, match="leaf variables"):
        y.requires_grad_(False)


def test_detach_and_data_share_memory_without_history():
    x = torch.ones(2, requires_grad=True)
    x.data.mul_(3)
    assert x.tolist() == [3, 3]
    assert not x.detach().requires_grad
    x.data = torch.zeros(2)
    assert x.tolist() == [0, 0] and x.requires_grad
    y = (x * 2).detach_()
    assert y.is_leaf and not y.requires_grad


def test_hooks_see_and_change_gradients():
    x = torch.ones(2, requires_grad=True)
    seen = []
    y = x * 2
    y.register_hook(lambda g: g * 10)
    handle = x.register_hook(lambda g: seen.append(g))
    y.sum().backward()
    assert x.grad.tolist() == [20, 20]
    assert [g.tolist() for g in seen] == [[20, 20]]
    handle.remove()
    (x * 1).sum().backward()
    assert len(seen) == 1


def test_hooks_after_accumulation():
    x = torch.ones(2, requires_grad=True)
    seen = []
    x.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.tolist()))
    (x * 2).sum().backward()
    assert seen == [[2, 2]]


def test_retain_grad():
    x = torch.ones(2, requires_grad=True)
    y = x * 3
    y.retain_grad()
    (y * y).sum().backward()
    assert y.grad.tolist() == [6, 6]
    assert y.retains_grad and not x.retains_grad


def test_variable_is_a_tensor():
    v = torch.autograd.Variable(torch.ones(2), requires_grad=True)
    assert isinstance(v, torch.Tensor) and v.requires_grad
    assert isinstance(v, torch.autograd.Variable)


def test_hooks_after_accumulation_go_with_their_leaf() -> None:
    seen: list[int] = []
    for n in range(50):
        x = torch.zeros(2, requires_grad=True)
        if n == 0:
            x.register_post_accumulate_grad_hook(lambda p: seen.append(0))
        x.sum().backward()
        del x
    assert seen == [0]


def test_a_frozen_parameter_keeps_its_gradient_for_optimisers() -> None:
    p = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([p], lr=0.5)
    (p * 2).sum().backward()
    p.requires_grad_(False)
    optimizer.step()  # PyTorch steps whatever has a gradient
    assert p.tolist() == [0.0, 0.0]
    optimizer.zero_grad()
    assert p.grad is None


def test_gradients_by_the_row():
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    other = torch.ones(2, requires_grad=True)
    y = x**2
    (rows,) = torch.autograd.grad(y, x, torch.eye(3), is_grads_batched=True, retain_graph=True)
    assert rows.tolist() == [[2, 0, 0], [0, 4, 0], [0, 0, 6]]
    v = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 2.0]])
    found = torch.autograd.grad(
        y, (x, other), v, is_grads_batched=True, allow_unused=True, create_graph=True
    )
    assert found[0].tolist() == [[2, 4, 6], [0, 0, 12]] and found[1] is None
    assert torch.autograd.grad(found[0].sum(), x)[0].tolist() == [2, 2, 6]
    y = x * 2
    with pytest.raises(RuntimeError, match="first dimension of each grad_output as the batch"):
        torch.autograd.grad(y, x, torch.ones(3), is_grads_batched=True)
    with pytest.raises(RuntimeError, match="needs a gradient for each output"):
        torch.autograd.grad(y, x, [None], is_grads_batched=True)
    with pytest.raises(ValueError, match="one or more"):
        torch.autograd.grad(y, x, torch.ones(0, 3), is_grads_batched=True)
    y = x**2
    torch.autograd.grad(y, x, torch.eye(3), is_grads_batched=True)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(y, x, torch.eye(3), is_grads_batched=True)


def test_the_gradient_of_what_is_no_leaf_is_warned_of():
    x = torch.ones(2, requires_grad=True)
    kept = x * 3
    kept.retain_grad()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert x.grad is None and torch.ones(2).grad is None and kept.grad is None
        assert x.detach().grad is None
    y = kept * 2
    with pytest.warns(UserWarning, match="not a leaf Tensor is being accessed") as told:
        assert y.grad is None
    assert told[0].filename == __file__
    y.sum().backward()
    with pytest.warns(UserWarning, match="not a leaf"):
        assert y.grad is None
    assert kept.grad.tolist() == [2, 2]


def test_numbers_of_what_requires_grad_are_warned_of_once():
    text = (
        "import warnings, rushlight as torch\n"
        "w = torch.ones(1, requires_grad=True)\n"
        "with warnings.catch_warnings(record=True) as told:\n"
        "    warnings.simplefilter('always')\n"
        "    assert float(w.detach()) == 1.0 and w.item() == 1.0 and not told\n"
        "    assert float(w * 2) == 2.0 and int(w) == 1\n"
        "(one,) = told\n"
        "assert 'requires_grad=True to a scalar' in str(one.message)\n"
    )
    done = subprocess.run([sys.executable, "-c", text], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_nodes_of_own_functions_print_as_pytorchs():
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x = torch.ones(2, requires_grad=True)
    y = Double.apply(x)
    assert repr(y.grad_fn).startswith("<torch.autograd.function.DoubleBackward object at 0x")
    assert y.grad_fn.name() == "DoubleBackward" and "grad_fn=<DoubleBackward>" in repr(y)
    assert repr((x * 2).grad_fn).startswith("<MulBackward0 object at 0x")


HIGHER: dict[str, Any] = {
    "sum and element": lambda x: x.square().sum() * x[0],
    "product of sums": lambda x: (x * x).sum() * x.sum(),
    "square of a sum": lambda x: x.square().sum() ** 2,
    "norm": lambda x: x.norm(),
    "logsumexp": lambda x: x.exp().sum().log(),
    "cosine": lambda x: torch.nn.functional.cosine_similarity(x, x.sin(), 0),
    "normalised": lambda x: torch.nn.functional.normalize(x, dim=0).sum(),
    "expanded": lambda x: (x[:, None].expand(4, 3).sin() * x[:3]).sum(),
}


@pytest.mark.parametrize("name", HIGHER)
def test_third_derivatives_are_the_same_wherever_values_are_read(name: str) -> None:
    """A gradient that went to a saved value was laid out in that value's one place for all."""

    def derivatives(reads: tuple[int, ...]) -> list[Any]:
        x = (torch.arange(4.0) * 0.3 + 1).requires_grad_()
        y = HIGHER[name](x)
        out = []
        for order in range(3):
            if order in reads:
                y.item()
            (g,) = torch.autograd.grad(y, x, create_graph=True)
            out.append(g)
            y = (g * g * g).sum()
        return [g.detach().numpy().copy() for g in out]

    with override(eager=True):
        want = derivatives(())
    for reads in ((), (0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)):
        for _ in range(3):
            for a, b in zip(derivatives(reads), want, strict=True):
                np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-6 * abs(b).max())


def test_third_derivatives_one_operation_at_a_time() -> None:
    """A part of a gradient counts as dense; what it shows was read with other strides."""

    def third() -> Any:
        x = (torch.arange(6.0).double().reshape(3, 2) * 0.3 + 1).requires_grad_()
        y = (x[:, 1:] * x * x).sum()
        for _ in range(2):
            (g,) = torch.autograd.grad(y, x, create_graph=True)
            y = (g * g).sum()
        return torch.autograd.grad(y, x)[0].detach().numpy().copy()

    want = third()
    with override(eager=True):
        np.testing.assert_array_equal(third(), want)
    with override(verify=True, fuse_after=1):
        np.testing.assert_array_equal(third(), want)


def test_an_element_of_a_gradient_one_operation_at_a_time() -> None:
    """What is read of a moved gradient starts where it does, not where its source does."""
    x = (torch.arange(6.0).reshape(3, 2) * 0.3 + 1).requires_grad_()
    with override(eager=True):
        s = x[:, 1:]
        (g,) = torch.autograd.grad((s * s[:1]).mean(), x, create_graph=True)
        (h,) = torch.autograd.grad(g[0, 0] * g.sum(), x)
        assert h.tolist() == [[0.0, 0.0]] * 3  # g[0, 0] is zero wherever x is


def test_third_derivatives_of_a_product_of_zeros() -> None:
    x = torch.tensor([0.0, 2.0], dtype=torch.float64, requires_grad=True)
    cube = x.unsqueeze(-1).expand(2, 3).prod(-1).sum()
    found = []
    for _ in range(3):
        (cube,) = torch.autograd.grad(cube.sum(), x, create_graph=True)
        found.append(cube.tolist())
    assert found == [[0.0, 12.0], [0.0, 12.0], [6.0, 6.0]]


def running(x: Any) -> list[Any]:
    """The running product of a line, multiplied out."""
    made = [x[0]]
    for i in range(1, len(x)):
        made.append(made[-1] * x[i])
    return made


@pytest.mark.parametrize("name", ["cumprod", "prod"])
@pytest.mark.parametrize(
    "line", [[0, 0, 0, 0, 2], [0, 0, 2, 0, 3], [1, 0, 2, 0, 3], [0, 3, 2], [1.5, -2, 0.5, 3]]
)
def test_four_orders_of_a_product_with_zeros(name: str, line: list[float]) -> None:
    def orders(values: Any) -> list[Any]:
        x = torch.tensor(line, dtype=torch.float64, requires_grad=True)
        value = values(x)
        value = (value * value + value * 0.5).sum()
        found = []
        for k in range(4):
            (g,) = torch.autograd.grad(value, x, create_graph=True)
            found.append(g.detach().numpy().copy())
            value = (g * (torch.arange(len(line)) * 1.7 + k).cos()).sum()
        x.grad = None
        values(x).sum().backward()  # which is not differentiated again
        return [*found, x.grad.numpy().copy()]

    if name == "cumprod":
        got, want = orders(lambda x: x.cumprod(0)), orders(lambda x: torch.stack(running(x)))
    else:
        got, want = orders(lambda x: x.prod()), orders(lambda x: running(x)[-1])
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["layer_norm", "batch_norm"])
def test_third_derivatives_of_normalisations_are_those_of_their_formula(name: str) -> None:
    """PyTorch 2.13's are not."""

    def third(written_out: bool) -> np.ndarray:
        x = (torch.arange(12.0, dtype=torch.float64).reshape(4, 3) * 0.7).sin().requires_grad_()
        dim = 1 if name == "layer_norm" else 0
        if written_out:
            c = x - x.mean(dim, keepdim=True)
            y = c / ((c * c).mean(dim, keepdim=True) + 1e-5).sqrt()
        elif name == "layer_norm":
            y = torch.nn.functional.layer_norm(x, (3,))
        else:
            y = torch.nn.functional.batch_norm(x, None, None, training=True)
        value = (y * x * x).sum()
        for _ in range(3):
            (g,) = torch.autograd.grad(value, x, create_graph=True)
            value = (g * g).sum() * 0.1
        return np.asarray(g.detach().numpy())

    np.testing.assert_allclose(third(False), third(True), rtol=1e-7, atol=1e-9)


def slopes(f: Any, *values: Any, orders: int = 1) -> list[Any]:
    """Gradients of the sum of ``f`` at float64 values, of that order."""
    xs = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in values]
    total = f(*xs).sum()
    found: Any = ()
    for _ in range(orders):
        found = torch.autograd.grad(total, xs, create_graph=True)
        total = sum((g.sum() for g in found), torch.zeros(()))
    return [g.tolist() for g in found]


def test_gradients_where_a_formula_is_not_defined() -> None:
    assert slopes(torch.atan2, [0.0, 0.0], [0.0, 1.0]) == [[0.0, 1.0], [0.0, 0.0]]
    (gx, gy) = slopes(torch.xlogy, [0.0, 0.0, 2.0], [0.0, 3.0, 1.0])
    assert gx == pytest.approx([0.0, np.log(3.0), 0.0]) and gy[1:] == [0.0, 2.0]
    assert slopes(torch.special.xlog1py, [0.0, 0.0], [-1.0, 1.0])[0] == pytest.approx(
        [0, np.log(2.0)]
    )
    assert slopes(lambda x: torch.vander(x, 3), [0.0, 2.0], orders=2) == [[2.0, 2.0]]
    assert slopes(lambda x: x**0.0, [0.0, 2.0], orders=2) == [[0.0, 0.0]]
    near = slopes(lambda x: torch.cosine_similarity(x, torch.tensor([3.0, 4.0]), 0), [0.0, 0.0])
    np.testing.assert_allclose(near, [[0.6e8, 0.8e8]])


@pytest.mark.parametrize("name", ["elu", "celu", "selu"])
def test_exponential_units_have_no_second_slope_at_zero(name: str) -> None:
    f = getattr(torch.nn.functional, name)
    (got,) = slopes(f, [0.0, -0.0, 1.0, -1.0], orders=2)
    assert got[:3] == [0.0, 0.0, 0.0] and got[3] > 0


def test_gradients_by_a_symmetric_matrix_are_symmetric() -> None:
    """Also where the eigenvectors' own gradient turns them out of what is orthogonal."""

    def f(a: Any) -> Any:
        w, v = torch.linalg.eigh(a)
        return v.abs() * torch.arange(9.0).reshape(3, 3) + w

    a = [[2.0, 0.3, -0.2], [0.7, 1.0, 0.5], [-0.4, 0.1, 0.5]]  # one triangle is read
    for k in (1, 2):
        (g,) = np.array(slopes(f, a, orders=k))
        np.testing.assert_allclose(g, g.T, rtol=1e-9, atol=1e-9)


def test_the_median_of_all_is_shared_by_its_equals() -> None:
    assert slopes(torch.median, [1.0, 2.0, 1.0, 1.0, 0.0, 3.0, 1.0]) == [
        [0.25, 0.0, 0.25, 0.25, 0.0, 0.0, 0.25]
    ]
    assert slopes(torch.nanmedian, [1.0, float("nan"), 1.0]) == [[0.5, 0.0, 0.5]]


def test_gamma_functions_of_four_orders() -> None:
    x = 1.7
    for k in range(1, 5):
        (got,) = slopes(torch.lgamma, [x], orders=k)
        np.testing.assert_allclose(
            got[0], torch.polygamma(k - 1, torch.tensor(x, dtype=torch.float64)).item()
        )


@pytest.mark.parametrize("dim", [0, 1])
def test_an_empty_line_between_others_has_a_gradient(dim: int) -> None:
    empty = torch.zeros(0, requires_grad=True)
    x = torch.ones(2, 3, requires_grad=True)
    torch.cat([x, empty, x], dim).sum().backward()
    assert empty.grad.shape == (0,) and x.grad.tolist() == [[2.0] * 3] * 2


BENT = {
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "relu6": F.relu6,
    "hardtanh": F.hardtanh,
    "hardshrink": F.hardshrink,
    "softshrink": F.softshrink,
    "threshold": lambda x: F.threshold(x, 0.1, 0.2),
    "max_pool1d": lambda x: F.max_pool1d(x[None], 2),
}


@pytest.mark.parametrize("name", BENT)
@pytest.mark.parametrize("flushed", [False, True])
def test_second_slopes_of_bent_lines_are_zeros(name: str, flushed: bool) -> None:
    """They are there, as PyTorch's: a loss of them has gradients for the layers before."""
    for _ in range(3):
        layer = torch.nn.Linear(2, 4)
        x = torch.tensor([[1.0, -1.0]], requires_grad=True)
        y = BENT[name](layer(x))
        if flushed:
            y.tolist()
        (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        assert g.requires_grad
        by_x, by_bias = torch.autograd.grad(g.sum(), [x, layer.bias])
        assert by_x.tolist() == [[0.0, 0.0]] and by_bias.tolist() == [0.0] * 4
        y = BENT[name](layer(x))
        (g,) = torch.autograd.grad(y.sum(), x)
        assert not g.requires_grad


def test_logaddexp_beside_infinity() -> None:
    x = torch.tensor([3.0, math.inf], requires_grad=True)
    y = torch.tensor([math.inf, -math.inf], requires_grad=True)
    for f in (torch.logaddexp, torch.logaddexp2):
        a, b = torch.autograd.grad(f(x, y).sum(), [x, y])
        assert a.tolist() == [0.0, 1.0]
        assert b.tolist() == [1.0, 0.0]
