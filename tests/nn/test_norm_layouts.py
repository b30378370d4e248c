"""How the results of normalisations lie in memory, as in PyTorch: in order, or channels last."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight as torch

F = torch.nn.functional
NORMS: dict[str, Any] = {
    "batch": lambda x: F.batch_norm(x, None, None, training=True),
    "batch, running": lambda x: F.batch_norm(x, torch.zeros(4), torch.ones(4)),
    "group": lambda x: F.group_norm(x, 2, torch.ones(4), torch.ones(4)),
    "root mean square": lambda x: F.rms_norm(x, x.shape[-1:]),
}
ORDERS = [(2, 1, 0), (1, 0, 2), (0, 2, 1)]


@pytest.mark.parametrize("name", NORMS)
def test_results_are_in_order_whatever_the_input_is(name: str) -> None:
    for order in ORDERS:
        x = torch.arange(24.0).sin().reshape(*[(3, 4, 2)[d] for d in order])
        x = x.permute(*[order.index(d) for d in range(3)])
        y = NORMS[name](x)
        assert y.stride() == (8, 2, 1)
        assert torch.equal(y, NORMS[name](x.contiguous()))


@pytest.mark.parametrize("name", NORMS)
def test_channels_stay_last(name: str) -> None:
    x = torch.arange(48.0).sin().reshape(2, 4, 3, 2)
    y = NORMS[name](x.contiguous(memory_format=torch.channels_last))
    assert y.stride() == (24, 1, 8, 4)
    torch.testing.assert_close(y, NORMS[name](x))


def test_a_group_that_can_be_had_as_a_view_is_no_layout() -> None:
    """A reshape of the result is a copy: a write into it leaves the result alone."""
    x = torch.arange(123.0).sin().as_strided((3, 40, 1), (1, 3, 0), 1)
    y = F.group_norm(x, 2)
    assert y.stride() == (40, 1, 1)
    first = y.clone()
    y.transpose(0, -1).reshape(2, 60).fill_(0.5)
    assert torch.equal(y, first)


def test_what_is_channels_last_but_for_dimensions_of_one_stays() -> None:
    x = torch.arange(14.0).sin().reshape(7, 1, 1, 2).permute(1, 3, 2, 0)
    y = F.batch_norm(x, None, None, training=True)
    assert (y.stride(1), y.stride(3)) == (1, 2)
    x = torch.arange(48.0).sin().reshape(2, 1, 2, 3, 4).permute(0, 4, 1, 2, 3)
    assert F.batch_norm(x, None, None, training=True).stride()[3:] == (12, 4)
