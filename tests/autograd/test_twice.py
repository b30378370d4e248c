"""A second backward through one graph: allowed where PyTorch's nodes have saved nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import rushlight as torch
from rushlight import engine

F = torch.nn.functional
A = torch.arange(12.0).reshape(3, 4) + 1
W = A @ A.t()
Make = Callable[[Any], Any]

ALLOWED: dict[str, Make] = {
    "add": lambda x: x + 2,
    "add, alpha": lambda x: A.add(x, alpha=2),
    "add_, alpha": lambda x: A.clone().add_(x, alpha=2.5),
    "rsub": lambda x: torch.rsub(x, A, alpha=2),
    "lerp": lambda x: torch.lerp(x, A, 0.3),
    "addmm": lambda x: torch.addmm(x, W, A, beta=0.5),
    "baddbmm": lambda x: torch.baddbmm(x[None], W[None], A[None], beta=2.0),
    "trapezoid": lambda x: torch.trapezoid(x, dx=0.5),
    "cumulative_trapezoid": lambda x: torch.cumulative_trapezoid(x),
    "gradient": lambda x: torch.gradient(x, spacing=2.0)[0],
    "round": lambda x: x.round(decimals=1),
    "tril": torch.tril,
    "triu": lambda x: x.triu(1),
    "nearest": lambda x: F.interpolate(x[None], scale_factor=2),
    "linear": lambda x: F.interpolate(x[None], scale_factor=2, mode="linear"),
    "bilinear": lambda x: F.interpolate(x[None, None], scale_factor=2, mode="bilinear"),
    "bicubic": lambda x: F.interpolate(x[None, None], size=(5, 5), mode="bicubic"),
    "fold": lambda x: F.fold(x.reshape(1, 4, 3), (2, 4), (2, 2)),
    "unfold": lambda x: F.unfold(x[None, None], 2),
    "repeat_interleave": lambda x: x.repeat_interleave(2, 0),
    "affine_grid": lambda x: F.affine_grid(x[:2].reshape(1, 2, 4)[:, :, :3], [1, 1, 2, 2], False),
    "mean": lambda x: x.mean(1),
    "cat": lambda x: torch.cat([x, A]),
    "pad": lambda x: F.pad(x, (1, 1)),
}
REFUSED: dict[str, Make] = {
    "a number": lambda x: x * 2,
    "a number before": lambda x: 2 * x,
    "a quotient": lambda x: x / 2,
    "in place": lambda x: (x + 1).mul_(3),
    "a tensor": lambda x: x * A,
    "tensor of a number": lambda x: x * torch.tensor(2.0),
    "ones": lambda x: x * torch.ones(4),
    "square": lambda x: x**2,
    "index": lambda x: x[torch.tensor([0, 2])],
    "where": lambda x: torch.where(A > 2, x, A),
    "reflect": lambda x: F.pad(x[None], (1, 1), mode="reflect"),
    "relu": torch.relu,
}


def leaf() -> Any:
    return (A / 7).requires_grad_()


@pytest.mark.parametrize("run", [False, True])
@pytest.mark.parametrize("name", ALLOWED)
def test_what_saves_nothing_is_differentiated_again(name: str, run: bool) -> None:
    for _ in range(3):
        x = leaf()
        y = ALLOWED[name](x).sum()
        if run:
            engine.flush()
        y.backward()
        once = x.grad.clone()
        if run:
            assert once.isfinite().all()
        y.backward()
        assert torch.equal(x.grad, once * 2)


@pytest.mark.parametrize("run", [False, True])
@pytest.mark.parametrize("name", REFUSED)
def test_what_was_saved_is_gone(name: str, run: bool) -> None:
    for _ in range(3):
        x = leaf()
        y = REFUSED[name](x).sum()
        if run:
            engine.flush()
        y.backward()
        if run:
            assert x.grad.isfinite().all()
        with pytest.raises(RuntimeError, match="backward through the graph a second time"):
            y.backward()
        z = REFUSED[name](x).sum()
        z.backward(retain_graph=True)
        z.backward()


def test_values_like_a_table_are_no_tables() -> None:
    """What a table's operation looks up has the shape and type of values that are saved."""
    x = torch.rand(7, 9, requires_grad=True)
    torch.tril(x).sum().backward()
    mask = torch.rand(7, 9) > 0.5
    y = torch.where(mask, x, 0.0).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="a second time"):
        y.backward()


@pytest.mark.parametrize("run", [False, True])
def test_nodes_that_lead_to_nothing_asked_for_are_not_asked(run: bool) -> None:
    """What they saved is gone, yet nobody wants it."""
    for _ in range(3):
        x, y = leaf(), leaf()
        found = F.smooth_l1_loss(x, A)
        found.backward()
        if run:
            engine.flush()
        assert torch.autograd.grad(found, [y], allow_unused=True) == (None,)
        with pytest.raises(RuntimeError, match="a second time"):
            torch.autograd.grad(found, [x])


C = torch.tensor([0.5, 2.0, 3.0])
OPERANDS: dict[str, Make] = {
    "batch_norm": lambda x: F.batch_norm(x, None, None, C, C, True),
    "batch_norm, running": lambda x: F.batch_norm(x, C.clone(), C.clone(), None, C, True),
    "instance_norm": lambda x: F.instance_norm(x, weight=C),
    "layer_norm": lambda x: F.layer_norm(x, (4,), A[0], A[1]),
    "glu": F.glu,
    "soft_margin_loss": lambda x: F.soft_margin_loss(x, x.detach().sign(), reduction="none"),
    "sinc": torch.sinc,
    "logaddexp": lambda x: torch.logaddexp(x, x + 1),
}


@pytest.mark.parametrize("run", [False, True])
@pytest.mark.parametrize("name", OPERANDS)
def test_a_gradient_of_a_gradient_is_not_that_of_the_value(name: str, run: bool) -> None:
    """These save their operands: a derivative's derivative leads to these, and releases
    nothing that the value's node saved."""
    for _ in range(3):
        x = ((torch.arange(24.0).reshape(2, 3, 4) * 0.7).sin()).requires_grad_()
        y = OPERANDS[name](x)
        v = torch.arange(float(y.numel())).reshape(y.shape).cos()
        if run:
            engine.flush()
        (g,) = torch.autograd.grad((y * v).sum(), [x], create_graph=True)
        if run:
            engine.flush()
        (g * g).sum().backward()
        once = torch.autograd.grad(y.exp().sum(), [x])[0]
        assert torch.equal(once, torch.autograd.grad(OPERANDS[name](x).exp().sum(), [x])[0])
        with pytest.raises(RuntimeError, match="a second time"):
            torch.autograd.grad(y.exp().sum(), [x])
