"""Shapes changed in place, with a history too; overlapping views; tensors of one element."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight as torch

CHANGES: dict[str, Any] = {
    "squeeze_": lambda y: y.squeeze_(),
    "unsqueeze_": lambda y: y.unsqueeze_(0),
    "transpose_": lambda y: y.transpose_(0, 1),
    "t_": lambda y: y.t_(),
    "as_strided_": lambda y: y.as_strided_((3,), (1,), storage_offset=0),
}


@pytest.mark.parametrize("name", CHANGES)
def test_shape_changes_in_place_keep_the_history(name: str) -> None:
    for _ in range(3):
        x = torch.arange(3.0).reshape(3, 1).requires_grad_()
        y = x * 2
        z = CHANGES[name](y)
        assert z is y
        (y * y).sum().backward()
        assert x.grad.tolist() == [[0.0], [8.0], [16.0]]
    with pytest.raises(RuntimeError, match="leaf Variable"):
        CHANGES[name](torch.ones(3, 1, requires_grad=True))


def test_written_through_after_a_change_of_shape() -> None:
    x = torch.ones(2, 3, requires_grad=True)
    y = x * 3
    y.t_()
    assert y.shape == (3, 2) and y.stride() == (1, 3)
    y.mul_(2.0)
    (y * torch.arange(6.0).reshape(3, 2)).sum().backward()
    assert x.grad.tolist() == [[0.0, 12.0, 24.0], [6.0, 18.0, 30.0]]


def test_overlapping_views_add_their_gradients() -> None:
    for _ in range(3):
        x = torch.arange(6.0).requires_grad_()
        w = x.unfold(0, 3, 1)
        assert w.stride() == (1, 1) and w._is_view()
        (w**2).sum().backward()
        assert x.grad.tolist() == [0.0, 4.0, 12.0, 18.0, 16.0, 10.0]
        x = torch.arange(4.0).requires_grad_()
        torch.as_strided(x, (2, 2, 2), (1, 1, 0), 1).sum().backward()
        assert x.grad.tolist() == [0.0, 2.0, 4.0, 2.0]


def test_one_element_without_dimensions() -> None:
    x, i = torch.tensor(1.5), torch.tensor([0])
    assert torch.index_fill(x, 0, i, 2.0).tolist() == 2.0
    assert torch.index_copy(x, 0, i, torch.tensor(3.0)).tolist() == 3.0
    assert torch.index_add(x, 0, i, torch.tensor(3.0), alpha=2).tolist() == 7.5
    assert torch.quantile(x, 0.5, dim=0).tolist() == 1.5
    assert torch.gather(torch.ones(5), 0, torch.zeros(0)).shape == (0,)


def test_integers_stay_integers() -> None:
    i, b = torch.arange(4), torch.tensor([True, False])
    assert torch.square(b).dtype is torch.int64
    with pytest.raises(RuntimeError, match="can't be cast"):
        b.clone().square_()
    assert torch.nn.functional.relu6(i).dtype is torch.int64
    assert torch.nn.functional.threshold(torch.arange(4), 1, 9, True).tolist() == [9, 9, 2, 3]
    assert torch.addmv(i[:2], i.reshape(2, 2), i[:2], beta=0.2, alpha=1.6).tolist() == [1, 3]
    assert torch.addr(torch.ones(2, 2, dtype=torch.bool), b, b, beta=0, alpha=2).tolist() == [
        [True, False],
        [False, False],
    ]


def test_covariance_with_weights() -> None:
    x = torch.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 4.0]], dtype=torch.float64)
    twice = torch.tensor([1, 2, 1])
    again = x[:, [0, 1, 1, 2]]
    assert torch.allclose(torch.cov(x, fweights=twice), torch.cov(again))
    assert torch.corrcoef(torch.ones(1, 2)).shape == ()
    assert torch.corrcoef(torch.arange(3)).item() == pytest.approx(1.0)


def test_what_is_drawn_has_a_history_and_no_gradient() -> None:
    p = torch.full((3,), 0.5, requires_grad=True)
    for made in (torch.bernoulli(p), torch.normal(p, 1.0), torch.norm(p, 0)):
        assert made.requires_grad
        p.grad = None
        made.sum().backward()
        assert p.grad.tolist() == [0.0, 0.0, 0.0]
