"""`requires_grad` taken away and given back, and memory exchanged, while a graph is alive."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight as torch
from rushlight.base.settings import override


@pytest.fixture(params=[False, True], ids=["recorded", "eager"], autouse=True)
def mode(request: pytest.FixtureRequest) -> Any:
    with override(eager=request.param):
        yield


def leaf(view: bool) -> Any:
    return (torch.ones(5)[1:4] if view else torch.ones(3)).requires_grad_()


@pytest.mark.parametrize("view", [False, True])
@pytest.mark.parametrize("looked", [False, True])
def test_a_graph_goes_on_when_the_flag_is_back(view: bool, looked: bool) -> None:
    x = leaf(view)
    seen: list[Any] = []
    x.register_hook(lambda g: (seen.append(g.tolist()), None)[1])
    early = (x * x).sum()
    if looked:
        early.item()
    x.requires_grad_(False)
    between = x * 4
    x.requires_grad_()
    (early + (x * between).sum()).backward()
    assert x.grad.tolist() == [6, 6, 6] and seen == [[6, 6, 6]]
    assert not between.requires_grad and between.grad is None


@pytest.mark.parametrize("view", [False, True])
def test_nothing_is_added_while_the_flag_is_off(view: bool) -> None:
    x = leaf(view)
    (x * 2).sum().backward()
    early = (x * 3).sum()
    x.requires_grad_(False)
    early.backward()
    assert x.grad.tolist() == [2, 2, 2] and x.is_leaf
    x.grad = None
    assert x.grad is None
    x.requires_grad_()
    (x * 5).sum().backward()
    assert x.grad.tolist() == [5, 5, 5]


def test_what_is_written_while_the_flag_is_off() -> None:
    x = torch.ones(3, requires_grad=True)
    early = (x * x).sum()
    x.requires_grad_(False)
    x.mul_(4)
    x.requires_grad_()
    (early + (x * x).sum()).backward()
    assert x.grad.tolist() == [10, 10, 10]


@pytest.mark.parametrize("off", [False, True])
@pytest.mark.parametrize("looked", [False, True])
def test_other_memory_has_the_same_gradient(off: bool, looked: bool) -> None:
    x = torch.ones(3, requires_grad=True)
    early = (x * 2).sum()
    if looked:
        early.item()
    x.requires_grad_(not off)
    x.data = torch.zeros(3)
    x.requires_grad_()
    (early + (x * 3).sum()).backward()
    assert x.grad.tolist() == [5, 5, 5] and x.tolist() == [0, 0, 0]


def test_a_network_that_is_frozen_and_thawed() -> None:
    torch.manual_seed(0)
    net = torch.nn.Linear(2, 2)
    x = torch.ones(1, 2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for step in range(8):
        before = net.weight.tolist()
        for p in net.parameters():
            p.requires_grad_(step % 2 == 0)
        loss = net(x).sum()
        assert loss.requires_grad == (step % 2 == 0)
        optimizer.zero_grad()
        if loss.requires_grad:
            loss.backward()
        optimizer.step()
        assert (net.weight.tolist() == before) == (step % 2 == 1)


def test_parameters_of_another_type_have_gradients_of_that_type() -> None:
    net = torch.nn.Linear(2, 1)
    net.weight.sum()
    net.to(torch.float64)
    x = torch.full((1, 2), 1 / 3, dtype=torch.float64)
    net(x).sum().backward()
    assert net.weight.grad.dtype is torch.float64 and net.weight.grad.tolist() == x.tolist()
