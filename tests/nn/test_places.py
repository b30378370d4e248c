"""Lazy convolutions, drawn windows, folds, grids: what stands around convolutions and pooling."""

from __future__ import annotations

import pytest

import rushlight as torch
from rushlight import nn
from rushlight.nn import functional as F


def test_lazy_convolutions_take_channels() -> None:
    torch.manual_seed(0)
    layer = nn.LazyConv2d(4, 3, groups=2)
    assert repr(layer) == ("LazyConv2d(0, 4, kernel_size=(3, 3), stride=(1, 1), groups=2)")
    assert layer(torch.randn(2, 6, 5, 5)).shape == (2, 4, 3, 3)
    assert type(layer) is nn.Conv2d and layer.in_channels == 6
    assert tuple(layer.weight.shape) == (4, 3, 3, 3)
    back = nn.LazyConvTranspose1d(4, 3)
    assert back(torch.randn(6, 5)).shape == (4, 7)
    assert tuple(back.weight.shape) == (6, 4, 3)
    with pytest.raises(ValueError, match="in_channels must be divisible by groups"):
        nn.LazyConv1d(4, 3, groups=2)(torch.randn(1, 5, 8))


def test_fold_is_the_adjoint_of_unfold() -> None:
    torch.manual_seed(1)
    x = torch.randn(2, 3, 6, 7)
    how = {"kernel_size": (2, 3), "dilation": (1, 2), "padding": (1, 0), "stride": (2, 1)}
    columns = F.unfold(x, **how)
    g = torch.randn(*columns.shape)
    back = F.fold(g, (6, 7), **how)
    assert back.shape == x.shape
    assert (columns * g).sum().item() == pytest.approx((x * back).sum().item(), rel=1e-4)
    with pytest.raises(RuntimeError, match="calculated number of sliding blocks"):
        F.fold(g[:, :, 1:], (6, 7), **how)


def test_drawn_windows() -> None:
    x = torch.arange(49.0).reshape(1, 1, 7, 7)
    samples = torch.tensor([[[0.1, 0.9]]])
    value, at = F.fractional_max_pool2d(
        x, 2, output_size=(3, 3), return_indices=True, _random_samples=samples
    )
    assert torch.equal(value, at.float())
    assert value[0, 0, -1, -1].item() == 48
    torch.manual_seed(0)
    first = F.fractional_max_pool2d(x, 2, output_ratio=0.5)
    torch.manual_seed(0)
    assert torch.equal(first, F.fractional_max_pool2d(x, 2, output_ratio=0.5))
    with pytest.raises(ValueError, match="requires specifying either"):
        F.fractional_max_pool2d(x, 2)


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("edges", ["zeros", "border", "reflection"])
def test_a_grid_of_the_identity_gives_the_image(mode: str, edges: str) -> None:
    x = torch.randn(1, 2, 4, 5)
    theta = torch.eye(2, 3)[None]
    for corners in (False, True):
        grid = F.affine_grid(theta, (1, 2, 4, 5), align_corners=corners)
        assert grid.shape == (1, 4, 5, 2)
        got = F.grid_sample(x, grid, mode, edges, corners)
        assert torch.allclose(got, x, atol=1e-5)
    outside = F.grid_sample(x, torch.full((1, 1, 1, 2), 9.0), mode, edges, True)
    assert bool((outside == 0).all()) is (edges == "zeros")


def test_response_norm_and_uneven_windows() -> None:
    x = torch.ones(1, 4, 2, 2)
    got = nn.LocalResponseNorm(2, alpha=1.0, beta=1.0, k=0.0)(x)
    assert got[0, :, 0, 0].tolist() == [2.0, 1.0, 1.0, 1.0]
    value, at = F.adaptive_max_pool1d(torch.arange(7.0).reshape(1, 1, 7), 3, return_indices=True)
    assert value.tolist() == [[[2.0, 4.0, 6.0]]] and at.tolist() == [[[2, 4, 6]]]
    assert torch.adaptive_max_pool1d(torch.arange(7.0).reshape(1, 7), 3)[1].tolist() == [[2, 4, 6]]
