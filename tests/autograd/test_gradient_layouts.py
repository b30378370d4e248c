"""How gradients lie in memory: those that `autograd.grad` returns as the rules have them, as in
PyTorch, wherever stretches end; a leaf's `.grad` as the leaf."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import rushlight as torch
from rushlight import engine

F = torch.nn.functional
Step = Callable[[Any], Any]


def turned() -> Any:
    return torch.arange(24.0).sin().reshape(2, 4, 3).permute(2, 1, 0).detach().requires_grad_()


def dense() -> Any:
    return torch.arange(24.0).sin().reshape(3, 4, 2).requires_grad_()


# What is differentiated, step by step, and PyTorch's strides of the gradient of (3, 4, 2) where
# the leaf is dense, and where it is turned (1, 3, 12).
CASES: dict[str, tuple[list[Step], tuple[int, ...], tuple[int, ...]]] = {
    "product": ([lambda x: x * x, torch.sum], (8, 2, 1), (1, 3, 12)),
    "mean": ([torch.square, torch.mean], (8, 2, 1), (8, 2, 1)),
    "mean, turned": (
        [lambda x: x.transpose(0, -1), torch.square, torch.mean],
        (1, 3, 12),
        (1, 3, 12),
    ),
    "slice": ([lambda x: x[1:], torch.square, torch.sum], (8, 2, 1), (8, 2, 1)),
    "softmax": ([lambda x: x.softmax(-1), torch.square, torch.sum], (8, 2, 1), (8, 2, 1)),
    "flat": ([torch.flatten, torch.square, torch.sum], (8, 2, 1), (8, 2, 1)),
    "flat, turned": (
        [lambda x: x.transpose(0, -1), torch.flatten, torch.square, torch.sum],
        (1, 3, 12),
        (1, 3, 12),
    ),
    "layer norm": (
        [lambda x: F.layer_norm(x, (2,)), torch.square, torch.sum],
        (8, 2, 1),
        (8, 2, 1),
    ),
    "attention": (
        [
            lambda x: x.transpose(0, -1),
            lambda x: F.scaled_dot_product_attention(x.cos().detach(), x, x.sin().detach()),
            torch.square,
            torch.sum,
        ],
        (4, 1, 12),
        (4, 1, 12),
    ),
    "repeated": (
        [
            lambda x: x.reshape(-1)[None].expand(2, -1) * x.reshape(-1),
            lambda x: x.sum(0).reshape(3, 4, 2),
            torch.square,
            torch.sum,
        ],
        (8, 2, 1),
        (8, 2, 1),
    ),
    "a sum that is shared": (
        [lambda x: (x.transpose(0, 1), x), lambda p: p[0].sum() + p[1].exp().sum()],
        (8, 2, 1),
        (1, 3, 12),
    ),
}


@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_gradients_lie_as_in_pytorch_wherever_stretches_end(name: str, create: bool) -> None:
    steps, of_dense, of_turned = CASES[name]
    for make, want in ((dense, of_dense), (turned, of_turned)):
        values = []
        for cut in range(-1, len(steps)):
            x = y = make()
            for k, step in enumerate(steps):
                y = step(y)
                if k == cut:
                    engine.flush()
            (g,) = torch.autograd.grad(y, [x], create_graph=create)
            assert g.stride() == want, cut
            values.append(g.detach())
        assert all(torch.equal(v, values[0]) for v in values)


@pytest.mark.parametrize("cut", [False, True])
def test_a_repeated_gradient_that_another_is_added_to(cut: bool) -> None:
    """Where a stretch ends the repeated one is memory; the sum lies as the other does."""
    x = dense()
    y = x.permute(2, 1, 0)
    if cut:
        engine.flush()
    a = y.mean()
    if cut:
        engine.flush()
    (g,) = torch.autograd.grad(a + (y * y).sum(), [x])
    assert g.stride() == (8, 2, 1)


@pytest.mark.parametrize("create", [False, True])
def test_a_grad_lies_as_its_leaf(create: bool) -> None:
    for name, (steps, _, _) in CASES.items():
        for make in (dense, turned):
            for inputs in (False, True):
                x = y = make()
                for step in steps:
                    y = step(y)
                y.backward(create_graph=create, inputs=[x] if inputs else None)
                assert x.grad.stride() == x.stride(), name


def test_a_gradient_that_is_a_view_is_not_shared() -> None:
    """A reshape of a gradient copies where PyTorch's does."""
    x = turned()
    (g,) = torch.autograd.grad(torch.flatten(x).square().sum(), [x])
    g.reshape(2, 12).fill_(1.0)
    assert g.tolist() == torch.ones(3, 4, 2).tolist()
    x = dense()
    (g,) = torch.autograd.grad(x.transpose(0, -1).flatten().square().sum(), [x])
    before = g.clone()
    g.reshape(2, 12).fill_(1.0)
    assert torch.equal(g, before)
