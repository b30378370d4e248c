"""Addresses stay where they were asked for, and what was read before stays what it was."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight as torch
from rushlight.base.settings import override


@pytest.fixture(params=[False, True], ids=["recorded", "eager"], autouse=True)
def mode(request: pytest.FixtureRequest) -> Any:
    with override(eager=request.param):
        yield


WRITES: dict[str, Any] = {
    "add_": lambda x: x.add_(1),
    "mul_": lambda x: x.mul_(2),
    "whole": lambda x: x.__setitem__(slice(None), 3),
    "element": lambda x: x.__setitem__(1, 5),
    "copy_": lambda x: x.copy_(torch.arange(4.0)),
    "zero_": lambda x: x.zero_(),
    "view": lambda x: x[1:3].sub_(1),
    "normal_": lambda x: x.normal_(),
    "data": lambda x: x.data.sigmoid_(),
    "read before": lambda x: (x + 1, x.add_(1)),
}


@pytest.mark.parametrize("name", WRITES)
def test_an_address_outlives_a_write(name: str) -> None:
    x = torch.ones(4)
    at = x.data_ptr()
    for _ in range(4):  # first seen, then recognised and compiled
        WRITES[name](x)
        assert x.data_ptr() == at and x[1:].data_ptr() == at + 4


def test_copies_and_saved_values_stay() -> None:
    x = torch.ones(4)
    x.data_ptr()
    copies = []
    for _ in range(6):
        copies.append(x.clone())
        x.mul_(2)
    assert [c.tolist() for c in copies] == [[2.0**k] * 4 for k in range(6)]
    w = torch.ones(4, requires_grad=True)
    w.data_ptr()
    for _ in range(6):
        part = (w[1:3] * w[1:3]).sum()
        whole = (w * w).sum()
        part.item()
        with torch.no_grad():
            w.mul_(2)
        (g,) = torch.autograd.grad(part + whole, w)
        with torch.no_grad():
            assert (w / g).tolist() == [1, 0.5, 0.5, 1]


def test_parameters_stay_through_steps() -> None:
    w = torch.ones(3, requires_grad=True)
    at = w.data_ptr()
    optimizer = torch.optim.SGD([w], lr=0.1, momentum=0.9)
    values = []
    for _ in range(8):
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()
        values.append(w.sum().item())
        assert w.data_ptr() == at
    other = torch.ones(3, requires_grad=True)
    optimizer = torch.optim.SGD([other], lr=0.1, momentum=0.9)
    for value in values:
        optimizer.zero_grad()
        (other * other).sum().backward()
        optimizer.step()
        assert other.sum().item() == value


def test_arrays_go_on_sharing_the_memory() -> None:
    x = torch.ones(3)
    a = x.numpy()
    at = x.data_ptr()
    x.add_(1)
    assert a.tolist() == [2, 2, 2] and x.data_ptr() == at == a.__array_interface__["data"][0]
    y = torch.zeros(3)
    at = y.data_ptr()
    y.add_(1)
    b = y.numpy()
    y.add_(1)
    assert b.tolist() == [2, 2, 2] and b.__array_interface__["data"][0] == y.data_ptr()


def test_an_array_shares_the_memory_whose_address_was_asked_for() -> None:
    for first in (torch.ones(4), torch.ones(4) + 1, torch.arange(4.0).reshape(2, 2)[1]):
        at = first.data_ptr()
        a = first.numpy()
        assert a.__array_interface__["data"][0] == at == first.data_ptr()
        first.add_(1)
        a[0] = 9
        assert first.tolist() == a.tolist() and first[0].item() == 9
        part = a[1:]
        del a
        first.mul_(2)
        assert part.tolist() == first.tolist()[1:] and first.data_ptr() == at
        del part
        for _ in range(3):
            first.mul_(2)
            assert first.data_ptr() == at
        assert first.numpy().__array_interface__["data"][0] == at


def test_the_array_outlives_the_tensor() -> None:
    x = torch.ones(1000)
    x.data_ptr()
    a = x.numpy()
    del x
    others = [torch.zeros(1000) + k for k in range(8)]
    assert sum(o.sum().item() for o in others) == 28000 and (a == 1).all()


def test_an_array_does_not_write_into_what_was_copied() -> None:
    x = torch.ones(4)
    x.data_ptr()
    y, w = x.clone(), torch.ones(4, requires_grad=True)
    loss = (x * w).sum()
    assert y.sum().item() == 4 and loss.item() == 4
    x.numpy()[:] = 5
    assert y.tolist() == [1.0] * 4 and x.tolist() == [5.0] * 4
    loss.backward()
    assert w.grad.tolist() == [1.0] * 4


def test_an_address_asked_for_while_an_array_is_alive() -> None:
    x = torch.ones(4) + 1
    a = x.numpy()
    at = x.data_ptr()
    assert a.__array_interface__["data"][0] == at
    del a
    for _ in range(3):
        x.mul_(2)
        assert x.data_ptr() == at
    assert x.tolist() == [16.0] * 4


def test_versions_count_what_a_history_hears_of() -> None:
    x = torch.ones(3)
    x.data.add_(1)
    assert x._version == 0
    x.data.mul_(2)
    x.add_(1)
    assert x._version == 1
    x.detach().add_(1)
    assert x._version == 2
    y = x.data
    y.zero_()
    y[1:] += 1
    assert (x._version, y._version) == (2, 2)
    x.numpy()
    x.sum().item()
    x.add_(1)
    assert x._version == 3


def test_views_know_their_base() -> None:
    w = torch.arange(4.0, requires_grad=True)
    x = w * 2
    v = x[1:]
    assert x._base is None and not x._is_view() and w._base is None
    assert v._is_view() and v._base.tolist() == x.tolist() and v._base._base is None
    assert v[1:]._base.shape == x.shape
    v._base.sum().backward()
    assert w.grad.tolist() == [2.0] * 4
