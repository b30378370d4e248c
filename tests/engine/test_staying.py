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
