"""What random programs found, made small: each test is one defect that was."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as torch
from rushlight.base.settings import override


def filled(*shape: int) -> torch.Tensor:
    n = int(np.prod(shape))
    return torch.tensor(np.arange(1.0, n + 1, dtype=np.float32).reshape(shape))


@pytest.mark.parametrize("limit", range(2, 9))
def test_views_and_aliases_made_where_a_stretch_ends(limit: int) -> None:
    """The end comes after the memory was looked at: it stands still by then."""
    with override(limit=limit):
        for _ in range(3):
            x = filled(2, 3) * 2
            part = x[::2, 1:]
            none = part[:, 2:2]
            assert none.detach().tolist() == [[]]
            again = part[:, :1]
            assert again.detach().tolist() == [[4.0]]
            assert again.t().tolist() == [[4.0]]
            x.fill_(0.5)
            assert again.tolist() == [[0.5]]


@pytest.mark.parametrize("limit", range(2, 12))
def test_grad_where_a_stretch_ends(limit: int) -> None:
    """Slots of what is asked for are taken after the stretch's last chance to end."""
    with override(limit=limit):
        for _ in range(2):
            x = filled(3).requires_grad_()
            y = x.tanh()
            z = y * x
            (a, b) = torch.autograd.grad([z, z], [y, x], [torch.ones(3), torch.ones(3)])
            assert a.tolist() == (2 * x).tolist()
            assert b.shape == (3,)


def test_a_hook_on_a_value_whose_data_was_written() -> None:
    for _ in range(2):
        x = filled(3).requires_grad_()
        y = x * 3
        y.data.mul_(0.5)
        y.register_hook(lambda g: g * 2)
        (y * 5).sum().backward()
        assert x.grad.tolist() == [30.0] * 3


@pytest.mark.parametrize("eager", [False, True])
def test_asking_for_what_leads_nowhere_releases_nothing(eager: bool) -> None:
    """A leaf that was only looked at without gradient mode beside the value is not on the way."""
    with override(eager=eager):
        x, w = filled(3).requires_grad_(), filled(3).requires_grad_()
        y = x.tanh() * x
        with torch.no_grad():
            z = w * y
        assert z.tolist()
        loss = y.sum()
        (g,) = torch.autograd.grad((loss * 0.5).tanh(), [w], allow_unused=True)
        assert g is None
        loss.backward()
        assert w.grad is None and x.grad is not None
