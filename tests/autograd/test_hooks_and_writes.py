"""Hooks on tensors that are written afterwards: which place in history they belong to."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight as torch
from rushlight.base.settings import override


@pytest.fixture(params=[False, True], ids=["recorded", "eager"], autouse=True)
def mode(request: pytest.FixtureRequest) -> Any:
    with override(eager=request.param):
        yield


def made() -> tuple[Any, Any, Any, list[Any]]:
    """A leaf, what is made of it, a view of that with a hook, and what the hook sees."""
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    v = y[1:]
    seen: list[Any] = []
    v.register_hook(lambda g: (seen.append(g.tolist()), g * 3)[1])
    return x, y, v, seen


def half(t: Any) -> None:
    with torch.no_grad():
        t.mul_(0.5)


@pytest.mark.parametrize("looked", [False, True])
@pytest.mark.parametrize("through", [lambda y, v: v, lambda y, v: y, lambda y, v: y[:]])
def test_data_is_written_unheard(through: Any, looked: bool) -> None:
    x, y, v, seen = made()
    if looked:
        assert v.tolist() == [2, 2]
    through(y, v).data.mul_(0.5)
    (v * v).sum().backward()
    assert seen == [[2, 2]] and x.grad.tolist() == [0, 12, 12]


@pytest.mark.parametrize("looked", [False, True])
@pytest.mark.parametrize("write", [lambda y, v: half(v), lambda y, v: half(y.detach())])
def test_other_writes_end_the_place_of_a_view(write: Any, looked: bool) -> None:
    x, y, v, seen = made()
    early = v.sum()
    if looked:
        assert v.tolist() == [2, 2]
    write(y, v)
    ((v * v).sum() + early).backward()
    assert seen == [[1, 1]]  # of `early` alone
    assert x.grad.tolist() == [0, 2 * (3 + 2), 2 * (3 + 2)]


@pytest.mark.parametrize("looked", [False, True])
def test_what_is_written_through_a_view_goes_round_its_hooks(looked: bool) -> None:
    x, _, v, seen = made()
    if looked:
        assert v.tolist() == [2, 2]
    v.mul_(0.5)
    v.register_hook(lambda g: (seen.append(("after", g.tolist())), None)[1])
    (v * v).sum().backward()
    assert seen == [("after", [2, 2])] and x.grad.tolist() == [0, 2, 2]


@pytest.mark.parametrize("view", [False, True])
def test_a_kept_gradient_is_that_of_the_place_after_the_write(view: bool) -> None:
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    v = y[:] if view else y
    v.retain_grad()
    v.sum().backward(retain_graph=True)
    v.add_(1)
    assert v.retains_grad and v.grad.tolist() == [1, 1, 1]
    (v * v).sum().backward(retain_graph=True)
    assert v.grad.tolist() == [7, 7, 7] and x.grad.tolist() == [14, 14, 14]
    v.grad = None
    v.mul_(2)
    v.grad = torch.full((3,), 5.0)
    v.sum().backward(retain_graph=True)
    assert v.grad.tolist() == [6, 6, 6]
    half(v)
    v.sum().backward(retain_graph=True)
    assert v.grad.tolist() == [7, 7, 7]


def test_a_view_that_is_not_used_after_the_write_keeps_no_gradient() -> None:
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    v = y[:]
    v.retain_grad()
    v.mul_(0.5)
    (y * 3).sum().backward()
    assert v.grad is None and v.retains_grad and x.grad.tolist() == [3, 3, 3]


def test_a_kept_gradient_is_what_the_hooks_left() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda g: g * 3)
    y.sum().backward()
    assert y.grad.tolist() == [3, 3] and x.grad.tolist() == [6, 6]
