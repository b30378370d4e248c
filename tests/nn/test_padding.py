"""Padding against NumPy's, negative widths, gradients; pixels, windows and attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import rushlight as torch
from rushlight import nn
from rushlight.nn import functional as F

NUMPY = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@pytest.mark.parametrize("mode", NUMPY)
def test_against_numpy(mode: Any) -> None:
    x = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    got = F.pad(torch.from_numpy(x), (1, 2, 3, 0), mode)
    want = np.pad(x, ((0, 0), (0, 0), (3, 0), (1, 2)), NUMPY[mode])
    assert got.numpy().tolist() == want.tolist()


def test_values_kinds_and_negative_widths() -> None:
    x = torch.arange(6).reshape(2, 3)
    assert F.pad(x, (1, -1), value=7).tolist() == [[7, 0, 1], [7, 3, 4]]
    assert F.pad(x, (-1, -1)).tolist() == [[1], [4]]
    assert F.pad(x > 2, (1, 0)).dtype is torch.bool
    y = torch.arange(8.0).reshape(1, 2, 4)
    assert F.pad(y, (-1, 1), "replicate").tolist() == [[[1, 2, 3, 3], [5, 6, 7, 7]]]


@pytest.mark.parametrize("mode", NUMPY)
def test_gradients(mode: str) -> None:
    x = torch.arange(4.0, dtype=torch.float64).reshape(1, 1, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: F.pad(v * v, (2, 1), mode), (x,))


def test_errors() -> None:
    x = torch.ones(1, 2, 3)
    with pytest.raises(RuntimeError, match="divisible by 2"):
        F.pad(x, (1,))
    with pytest.raises(RuntimeError, match="less than the corresponding input dimension"):
        F.pad(x, (3, 0), "reflect")
    with pytest.raises(RuntimeError, match="negative output size"):
        F.pad(x, (-2, -2))
    with pytest.raises(NotImplementedError, match="Only 2D, 3D, 4D, 5D"):
        F.pad(torch.ones(3), (1, 1), "reflect")
    with pytest.raises(ValueError, match="expected 2D or 3D"):
        nn.CircularPad1d(1)(torch.ones(1, 1, 1, 1))


def test_layers() -> None:
    x = torch.ones(1, 1, 2, 2)
    assert nn.ZeroPad2d(1)(x).sum().item() == 4.0 and nn.ZeroPad2d(1)(x).shape == (1, 1, 4, 4)
    assert nn.ConstantPad2d((0, 1, 0, 0), 5.0)(x)[0, 0].tolist() == [[1, 1, 5], [1, 1, 5]]
    assert repr(nn.ReflectionPad2d(1)) == "ReflectionPad2d((1, 1, 1, 1))"
    assert nn.ReplicationPad1d((1, 2))(x[0]).shape == (1, 2, 5)


def test_pixels_and_back() -> None:
    x = torch.arange(2 * 8 * 2 * 3.0).reshape(2, 8, 2, 3)
    y = nn.PixelShuffle(2)(x)
    assert y.shape == (2, 2, 4, 6) and y[0, 0, 0, :2].tolist() == [x[0, 0, 0, 0], x[0, 1, 0, 0]]
    assert torch.equal(F.pixel_unshuffle(y, 2), x)
    assert F.channel_shuffle(x, 2)[0, :4, 0, 0].tolist() == [0.0, 24.0, 6.0, 30.0]
    with pytest.raises(RuntimeError, match="divisible by the square"):
        F.pixel_shuffle(x, 3)


def test_windows_as_columns() -> None:
    x = torch.arange(16.0).reshape(1, 1, 4, 4).requires_grad_()
    made = F.unfold(x, 2, stride=2)
    assert made.shape == (1, 4, 4) and made[0, :, 0].tolist() == [0.0, 1.0, 4.0, 5.0]
    F.unfold(x, 3, padding=1).sum().backward()
    assert x.grad[0, 0].tolist() == [[4, 6, 6, 4], [6, 9, 9, 6], [6, 9, 9, 6], [4, 6, 6, 4]]
    assert F.unfold(x, (2, 2), dilation=2).shape == (1, 4, 4)


def test_attention() -> None:
    q, k, v = (torch.sin(torch.arange(24.0) * s).reshape(1, 2, 3, 4) for s in (1, 2, 3))
    plain = torch.softmax(q @ k.mT / math.sqrt(4), -1) @ v
    assert torch.allclose(F.scaled_dot_product_attention(q, k, v), plain, atol=1e-6)
    first = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    assert torch.allclose(first[..., 0, :], v[..., 0, :])
    seen = torch.ones(3, 3, dtype=torch.bool).tril()
    assert torch.allclose(F.scaled_dot_product_attention(q, k, v, seen), first)
    seen = seen & False
    assert not F.scaled_dot_product_attention(q, k, v, seen).any()
    with pytest.raises(RuntimeError, match="should not be set when is_causal"):
        F.scaled_dot_product_attention(q, k, v, seen, is_causal=True)
