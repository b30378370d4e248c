"""Losses of margins, distances of pairs of rows."""

from __future__ import annotations

import pytest

import rushlight as torch
from rushlight import nn
from rushlight.nn import functional as F


def test_several_classes_a_row() -> None:
    x = torch.tensor([0.1, 0.2, 0.4, 0.8])
    y = torch.tensor([3, 0, -1, 1])
    want = ((1 - (0.1 - 0.2)) + (1 - (0.1 - 0.4)) + (1 - (0.8 - 0.2)) + (1 - (0.8 - 0.4))) / 4
    assert nn.MultiLabelMarginLoss()(x, y).item() == pytest.approx(want)
    both = F.multilabel_margin_loss(torch.stack([x, x]), torch.stack([y, y]), reduction="none")
    assert both.tolist() == pytest.approx([want, want])
    with pytest.raises(RuntimeError, match="inconsistent target size"):
        F.multilabel_margin_loss(x, y[:2])


def test_a_distance_of_ones_own() -> None:
    a, p, n = torch.zeros(2, 3), torch.ones(2, 3), torch.full((2, 3), 3.0)
    made = F.triplet_margin_with_distance_loss(
        a, p, n, distance_function=lambda x, y: (x - y).abs().sum(-1), margin=10.0
    )
    assert made.item() == 3.0 - 9.0 + 10.0
    plain = F.triplet_margin_loss(a, p, n)
    assert F.triplet_margin_with_distance_loss(a, p, n).item() == pytest.approx(plain.item())


def test_pairs_of_rows() -> None:
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]], requires_grad=True)
    assert F.pdist(x).tolist() == pytest.approx([5.0, 1.0, 18.0**0.5])
    F.pdist(x, 1.0).sum().backward()
    assert x.grad.tolist() == [[-1.0, -2.0], [2.0, 2.0], [-1.0, 0.0]]


def test_soft_margins_have_the_inputs_type_and_shape() -> None:
    x, t = torch.tensor([0.5, 1.0]), torch.tensor([1.0, -1.0])
    assert F.soft_margin_loss(x, t.double()).dtype is torch.float32
    assert F.soft_margin_loss(x.double(), t).dtype is torch.float64
    with pytest.raises(RuntimeError, match=r"\[2\] doesn't match the broadcast shape \[1, 2\]"):
        F.soft_margin_loss(x, t[None])
    with pytest.raises(RuntimeError, match="Float can't be cast to the desired output type Long"):
        F.soft_margin_loss(t.long(), x)
