"""`backward`, `grad`, hooks and what is a leaf."""

import pytest

import rushlight as torch


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
