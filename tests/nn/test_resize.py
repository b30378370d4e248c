"""Interpolation: what is known on paper, sizes, gradients, errors."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight as torch
from rushlight import nn
from rushlight.nn import functional as F


def test_nearest() -> None:
    x = torch.arange(4.0).reshape(1, 1, 2, 2)
    assert F.interpolate(x, scale_factor=2)[0, 0].tolist() == [
        [0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3],
    ]  # fmt: skip
    assert F.interpolate(x[0], size=3).tolist() == [[[0, 0, 1], [2, 2, 3]]]
    assert F.interpolate(x[0], size=3, mode="nearest-exact").tolist() == [[[0, 1, 1], [2, 3, 3]]]
    assert torch.equal(nn.Upsample(scale_factor=2)(x), F.interpolate(x, scale_factor=2))


def test_linear() -> None:
    x = torch.tensor([[[0.0, 1.0, 2.0]]])
    assert F.interpolate(x, 5, mode="linear", align_corners=True).tolist() == [
        [[0, 0.5, 1, 1.5, 2]]
    ]
    got = F.interpolate(x, scale_factor=2, mode="linear")
    assert got.tolist() == [[[0.0, 0.25, 0.75, 1.25, 1.75, 2.0]]]
    plane = torch.tensor([[0.0, 1.0], [2.0, 3.0]]).reshape(1, 1, 2, 2)
    made = nn.UpsamplingBilinear2d(size=(3, 3))(plane)
    assert made[0, 0].tolist() == [[0, 0.5, 1], [1, 1.5, 2], [2, 2.5, 3]]


def test_cubic_keeps_straight_lines() -> None:
    x = torch.arange(8.0, dtype=torch.float64).reshape(1, 1, 1, 8).expand(1, 1, 4, 8)
    made = F.interpolate(x, size=(4, 15), mode="bicubic", align_corners=True)
    assert made[0, 0, 1, 4:11].tolist() == pytest.approx([2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0])


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
def test_gradients(mode: Any) -> None:
    x = torch.arange(6.0, dtype=torch.float64).reshape(1, 1, 2, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: F.interpolate(v * v, (3, 4), mode=mode), (x,))


def test_errors() -> None:
    x = torch.ones(1, 1, 2, 2)
    with pytest.raises(ValueError, match="only one of size or scale_factor"):
        F.interpolate(x)
    with pytest.raises(ValueError, match="align_corners option"):
        F.interpolate(x, 3, align_corners=True)
    with pytest.raises(NotImplementedError, match="4D input, but linear"):
        F.interpolate(x, 3, mode="linear")
    with pytest.raises(ValueError, match="number of spatial dimensions"):
        F.interpolate(x, (3, 3, 3))


def test_adaptive_averages() -> None:
    x = torch.arange(12.0).reshape(1, 1, 3, 4)
    assert F.adaptive_avg_pool2d(x, 1).tolist() == [[[[5.5]]]]
    assert nn.AdaptiveAvgPool2d((3, 2))(x)[0, 0].tolist() == [[0.5, 2.5], [4.5, 6.5], [8.5, 10.5]]
    assert nn.AdaptiveAvgPool2d((None, 4))(x).shape == (1, 1, 3, 4)
    line = torch.arange(5.0, dtype=torch.float64).reshape(1, 1, 5)
    assert F.adaptive_avg_pool1d(line, 3)[0, 0].tolist() == pytest.approx([0.5, 2.0, 3.5])
    assert F.interpolate(line, 3, mode="area")[0, 0].tolist() == pytest.approx([0.5, 2.0, 3.5])
    assert torch.autograd.gradcheck(
        lambda v: F.adaptive_avg_pool1d(v * v, 3), (line.clone().requires_grad_(),)
    )
    with pytest.raises(RuntimeError, match="Expected 3D or 4D"):
        F.adaptive_avg_pool2d(line[0], 1)


def test_adaptive_averages_keep_what_is_not_finite_in_its_windows() -> None:
    nan, inf = float("nan"), float("inf")
    line = torch.tensor([[1.0, 2.0, 3.0, 4.0, inf, 6.0, 7.0]], requires_grad=True)
    out = F.adaptive_avg_pool1d(line, 4)  # windows of two, three, three and two
    assert out.tolist() == [[1.5, 3.0, inf, 6.5]]
    out.backward(torch.tensor([[2.0, nan, 3.0, 4.0]]))
    assert line.grad is not None
    assert str(line.grad.tolist()) == f"[[1.0, {nan}, {nan}, {nan}, 1.0, 3.0, 2.0]]"
    plane = torch.ones(1, 5, 5)
    plane[0, 0, 4] = nan
    assert F.adaptive_avg_pool2d(plane, (2, 3)).isnan().tolist() == [
        [[False, False, True], [False] * 3]
    ]
