"""Leaves that are views with gaps: columns of a table, every other row."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as torch
from rushlight.base.settings import override


def table(*shape: int) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.rand(*shape)


@pytest.mark.parametrize("eager", [False, True])
def test_columns_and_their_derivatives(eager: bool) -> None:
    with override(eager=eager):
        for _ in range(3):
            data = table(6, 2)
            a = data.numpy().astype(np.float64)
            x, t = data[:, 0:1].requires_grad_(), data[:, 1:2].requires_grad_()
            u = (x * t).sin()
            (ux,) = torch.autograd.grad(u.sum(), x, create_graph=True)
            (uxx,) = torch.autograd.grad(ux.sum(), x, create_graph=True)
            uxx.sum().backward()
            p, q = a[:, :1], a[:, 1:]
            assert np.allclose(ux.detach().numpy(), q * np.cos(p * q), atol=1e-6)
            assert np.allclose(uxx.detach().numpy(), -q * q * np.sin(p * q), atol=1e-6)
            assert np.allclose(x.grad.numpy(), -(q**3) * np.cos(p * q), atol=1e-5)
            assert x.is_leaf and x.stride() == (2, 1) and x.grad.is_contiguous()


def test_views_of_such_a_leaf_that_outlive_a_stretch() -> None:
    x = table(6, 4)[:, 1:3].requires_grad_()
    part, turned, places = x[1:4], x.t(), x[::2, 1]
    for _ in range(4):
        loss = (part**2).sum() + (turned * torch.arange(2.0)[:, None]).sum() + (places**3).sum()
        loss.item()
        (g,) = torch.autograd.grad(loss, x)
        a = x.detach().numpy()
        want = np.zeros_like(a)
        want[1:4] += 2 * a[1:4]
        want[:, 1] += 1
        want[::2, 1] += 3 * a[::2, 1] ** 2
        assert np.allclose(g.numpy(), want, atol=1e-6)


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.Adam])
def test_optimisers_step_them_where_they_lie(make) -> None:
    data = table(5, 4)
    before = data.clone()
    x = data[:, 1::2].requires_grad_()
    plain = x.detach().clone().requires_grad_()
    for p in (x, plain):
        opt = make([p], lr=0.1)
        for _ in range(4):
            opt.zero_grad()
            ((p - 1) ** 2).sum().backward()
            opt.step()
    assert torch.equal(x, plain)
    assert torch.equal(data[:, 1::2], plain) and torch.equal(data[:, ::2], before[:, ::2])


def test_writes_from_both_sides() -> None:
    data = table(4, 4)
    x = data[:, 0].requires_grad_()
    with torch.no_grad():
        x[1] = 7.0
        data[0] = 9.0
    (x**2).sum().backward()
    assert torch.equal(x.grad, 2 * data[:, 0]) and x.tolist()[:2] == [9.0, 7.0]
    with pytest.raises(RuntimeError, match="leaf Variable"):
        x.add_(1)


def test_parameters_with_gaps() -> None:
    layer = torch.nn.Linear(3, 2)
    layer.weight = torch.nn.Parameter(table(2, 6)[:, ::2])
    x = table(4, 3)
    layer(x).sum().backward()
    assert np.allclose(layer.weight.grad.numpy(), x.sum(0).expand(2, 3).numpy(), atol=1e-6)
    assert layer.weight.stride() == (6, 2)
