"""Convolution and pooling layers: state, repr, first draws, refusals, training."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight as torch
from rushlight import nn
from rushlight.nn import functional as F


def test_state_and_repr() -> None:
    layer = nn.Conv2d(4, 6, (3, 5), padding=(1, 2), stride=2, groups=2, padding_mode="circular")
    assert {k: tuple(v.shape) for k, v in layer.state_dict().items()} == {
        "weight": (6, 2, 3, 5), "bias": (6,),
    }  # fmt: skip
    assert repr(layer) == (
        "Conv2d(4, 6, kernel_size=(3, 5), stride=(2, 2), padding=(1, 2), groups=2, "
        "padding_mode=circular)"
    )
    layer = nn.ConvTranspose1d(4, 6, 3, 2, 1, 1, bias=False)
    assert tuple(layer.weight.shape) == (4, 6, 3) and layer.bias is None
    assert repr(layer) == (
        "ConvTranspose1d(4, 6, kernel_size=(3,), stride=(2,), padding=(1,), output_padding=(1,), "
        "bias=False)"
    )
    assert repr(nn.Conv2d(3, 4, 3, padding="same", dilation=2)) == (
        "Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1), padding=same, dilation=(2, 2))"
    )
    assert repr(nn.MaxPool2d((2, 3), 2, 1)) == (
        "MaxPool2d(kernel_size=(2, 3), stride=2, padding=1, dilation=1, ceil_mode=False)"
    )
    assert repr(nn.AvgPool1d(2)) == "AvgPool1d(kernel_size=(2,), stride=(2,), padding=(0,))"


def test_first_draws() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(1, 2, 2)
    # PyTorch's for this seed
    assert layer.weight.flatten().tolist() == pytest.approx(
        [-0.0037, 0.2682, -0.4115, -0.3680, -0.1926, 0.1341, -0.0099, 0.3964], abs=1e-4
    )
    assert layer.bias is not None
    assert layer.bias.tolist() == pytest.approx([-0.0444, 0.1323], abs=1e-4)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "in_channels must be divisible by groups"),
        (lambda: nn.Conv2d(3, 4, 3, padding="round"), "Invalid padding string 'round'"),
        (lambda: nn.Conv2d(3, 4, 3, 2, "same"), "not supported for strided convolutions"),
        (lambda: nn.Conv2d(3, 4, 3, padding_mode="odd"), "padding_mode must be one of"),
        (lambda: nn.ConvTranspose2d(3, 4, 3, padding_mode="reflect"), 'Only "zeros" padding mode'),
        (lambda: nn.ConvTranspose2d(3, 4, 3, 2)(torch.ones(1, 3, 4, 4), (99, 99)), "valid sizes"),
    ],
)
def test_layers_refuse(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: F.conv2d(x[0, 0], torch.ones(2, 3, 2, 2)), "Expected 3D .unbatched. or 4D"),
        (lambda x: F.conv2d(x, torch.ones(2, 4, 2, 2)), "to have 4 channels, but got 3 channels"),
        (lambda x: F.conv2d(x, torch.ones(2, 3, 9, 2)), "Kernel size can't be greater than actual"),
        (lambda x: F.conv2d(x, torch.ones(2, 3, 2, 2), torch.ones(3)), "expected bias to be 1-dim"),
        (lambda x: F.conv2d(x, torch.ones(2, 3, 2, 2), stride=0), "non-positive stride"),
        (lambda x: F.conv2d(x, torch.ones(2, 3, 2, 2), padding=-1), "negative padding"),
        (lambda x: F.conv2d(x.double(), torch.ones(2, 3, 2, 2)), "expected scalar type Double"),
        (lambda x: F.max_pool2d(x, 2, padding=2), "pad should be at most half"),
        (lambda x: F.max_pool2d(x, 9), "Output size is too small"),
        (lambda x: F.max_pool2d(x, 2, stride=0), "stride should not be zero"),
        (lambda x: F.avg_pool2d(x, 2, divisor_override=0), "divisor must be not zero"),
    ],
)
def test_functions_refuse(call: Any, words: str) -> None:
    with pytest.raises(RuntimeError, match=words):
        call(torch.ones(1, 3, 4, 4))


def test_unbatched_and_same() -> None:
    torch.manual_seed(1)
    layer = nn.Conv2d(3, 5, (3, 4), padding="same")
    x = torch.randn(3, 6, 7)
    assert layer(x).shape == (5, 6, 7)
    assert torch.equal(layer(x), layer(x[None])[0])
    assert nn.MaxPool2d(2)(x).shape == (3, 3, 3)


def test_unpooling() -> None:
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    value, at = nn.MaxPool2d(2, return_indices=True)(x)
    assert at.flatten().tolist() == [5, 7, 13, 15]
    back = nn.MaxUnpool2d(2)(value, at)
    assert back.flatten().tolist() == [n if n in (5, 7, 13, 15) else 0 for n in range(16)]


def test_averages_count_what_is_asked() -> None:
    x = torch.ones(1, 1, 3, 3)
    assert F.avg_pool2d(x, 2, padding=1)[0, 0, 0, 0].item() == 0.25
    assert F.avg_pool2d(x, 2, padding=1, count_include_pad=False)[0, 0, 0, 0].item() == 1
    assert F.avg_pool2d(x, 2, divisor_override=3)[0, 0, 0, 0].item() == pytest.approx(4 / 3)
    assert F.avg_pool2d(x, 2, ceil_mode=True).tolist() == [[[[1, 1], [1, 1]]]]


def test_a_small_net_learns() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 8, 3), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 2),
    )  # fmt: skip
    x = torch.randn(16, 1, 8, 8)
    y = (x[:, 0, :4].mean((1, 2)) > x[:, 0, 4:].mean((1, 2))).long()
    opt = torch.optim.Adam(net.parameters(), lr=0.02)
    first = last = 0.0
    for _ in range(60):
        opt.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        opt.step()
        last = loss.item()
        first = first or last
    assert last < 0.1 * first


def test_first_and_later_runs_agree() -> None:
    torch.manual_seed(3)
    layer = nn.Conv2d(4, 3, 3)
    x = torch.randn(1, 4, 5, 5)
    runs = [(layer(x) * 1.0).tolist() for _ in range(4)]
    assert all(run == runs[0] for run in runs)
    seen = F.unfold(x, 3)[0]
    want = (layer.weight.reshape(3, -1) @ seen).reshape(1, 3, 3, 3) + layer.bias.reshape(3, 1, 1)
    assert torch.allclose(layer(x), want, atol=1e-5)
