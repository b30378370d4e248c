"""Large tensors are drawn into where they lie: the same numbers, and what else reads the memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rushlight as torch
from rushlight.tensor import random as drawing

SHAPE = (500, 301)  # more than is drawn in one block, and no whole number of groups of 16


def normal(x: Any) -> Any:
    return x.normal_(0.5, 2.0)


def uniform(x: Any) -> Any:
    return x.uniform_(-1.0, 3.0)


DRAWS = pytest.mark.parametrize("draw", [normal, uniform])


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], Any]:
    """Runs something with all numbers drawn into new memory, after the seed 3."""

    def run(work: Callable[[], Any]) -> Any:
        with monkeypatch.context() as m:
            m.setattr(drawing, "_MUCH", 1 << 60)
            torch.manual_seed(3)
            return work()

    return run


def bits(x: Any) -> Any:
    return x.detach().contiguous().clone().numpy().view(np.uint8)


@DRAWS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.complex64])
@pytest.mark.parametrize("make", ["new", "used", "turned", "part"])
def test_the_same_numbers(draw: Any, dtype: Any, make: str, elsewhere: Any) -> None:
    def work() -> Any:
        x = torch.empty(SHAPE, dtype=dtype)
        if make == "used":
            x = torch.ones(SHAPE, dtype=dtype) + 1
            x.sum().item()
        elif make == "turned":
            x = torch.empty_strided(SHAPE, (1, SHAPE[0]), dtype=dtype)
        elif make == "part":
            x = torch.zeros(SHAPE[0] * 2, SHAPE[1], dtype=dtype)[::2]
        assert draw(x) is x
        return x, torch.rand(3)

    wanted = elsewhere(work)
    torch.manual_seed(3)
    for a, b in zip(work(), wanted, strict=True):
        assert np.array_equal(bits(a), bits(b))


@DRAWS
def test_numbers_of_a_seed(draw: Any) -> None:
    """Blocks end where they may: the numbers are those of one draw."""
    torch.manual_seed(3)
    x = draw(torch.empty(SHAPE))
    torch.manual_seed(3)
    y = draw(torch.empty(SHAPE[0] * SHAPE[1])[:70_000])
    assert np.array_equal(bits(x.reshape(-1)[:69_984]), bits(y[:69_984]))


@DRAWS
def test_aliases_see_them(draw: Any) -> None:
    x = torch.zeros(SHAPE)
    other, part = x.detach(), x[7]
    x.sum().item()
    for _ in range(4):
        draw(x)
        assert np.array_equal(bits(other), bits(x))
        assert np.array_equal(bits(part), bits(x[7]))


# A process of its own: where several threads have recorded, memory is always new.
SHARED = """
import numpy as np
import rushlight as torch
from rushlight import engine

x = torch.ones(300, 301)
first = engine.overwritten(x)
again = engine.overwritten(x)
assert not np.shares_memory(first, again)  # an array has it, and keeps what it shows
del first
again[...] = 7.0
assert bool((x == 7.0).all())
y = x.detach()
del again
x.sum().item()
assert np.shares_memory(engine.overwritten(y), engine.read(x))
print("same")
"""


def test_nobody_elses_memory_is_used_as_it_is() -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(q for q in sys.path if q)}
    done = subprocess.run(
        [sys.executable, "-c", SHARED],
        check=False,
        capture_output=True,
        text=True,
        env=env,
        timeout=120,
    )
    assert done.stdout == "same\n", done.stderr[-2000:]


@DRAWS
def test_pending_readers_have_the_old_values(draw: Any) -> None:
    x = torch.ones(SHAPE)
    sums = []
    for _ in range(4):
        x.fill_(2.0)
        twice = x * 2
        draw(x)
        sums.append(twice.sum().item())
        part = x[0] + 1
        draw(x)
        assert float(part.sum()) != float((x[0] + 1).sum())
    assert sums == [4.0 * SHAPE[0] * SHAPE[1]] * 4


@DRAWS
def test_values_saved_for_a_gradient_stay(draw: Any) -> None:
    w = torch.full(SHAPE, 3.0, requires_grad=True)
    for run in range(4):
        w.grad = None
        with torch.no_grad():
            w.fill_(3.0)
        loss = (w * w).sum()
        if run % 2:
            loss.item()
        with torch.no_grad():
            draw(w)
        loss.backward()
        assert w.grad is not None
        assert bool((w.grad == 6.0).all())
        assert w.requires_grad
        assert w.is_leaf


@DRAWS
def test_shared_with_numpy(draw: Any) -> None:
    x = torch.zeros(SHAPE)
    a = x.numpy()
    draw(x)
    assert np.array_equal(a, x.clone().numpy())
    array = np.zeros(SHAPE, np.float32)
    y = torch.from_numpy(array)
    draw(y)
    assert np.array_equal(array, y.clone().numpy())
    assert array.any()


@DRAWS
def test_parameters_are_drawn_anew(draw: Any) -> None:
    """Training goes on with what was drawn into a parameter."""
    net = torch.nn.Linear(400, 300)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    for _ in range(4):
        optimizer.zero_grad()
        net(torch.ones(2, 400)).sum().backward()
        optimizer.step()
        kept = net.weight.detach().clone()
        draw(net.weight.data)
        assert not torch.equal(kept, net.weight)
        assert net(torch.ones(1, 400)).requires_grad


def test_a_leaf_is_refused() -> None:
    w = torch.ones(SHAPE, requires_grad=True)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        w.normal_()
    assert bool((w == 1.0).all())


def test_refused_arguments_change_nothing() -> None:
    x = torch.ones(SHAPE)
    torch.manual_seed(3)
    with pytest.raises(RuntimeError, match="std >= 0"):
        x.normal_(0.0, -1.0)
    with pytest.raises(RuntimeError, match="from"):
        x.uniform_(2.0, 1.0)
    with pytest.raises(TypeError):
        x.uniform_("a")
    assert bool((x == 1.0).all())
    after = torch.rand(2)
    torch.manual_seed(3)
    assert torch.equal(after, torch.rand(2))


def test_arguments_of_the_tensor_itself(elsewhere: Any) -> None:
    def work() -> Any:
        x = torch.full(SHAPE, 4.0)
        x.sum().item()
        return x.normal_(x[0, 0], x[1, 1])

    wanted = elsewhere(work)
    torch.manual_seed(3)
    assert np.array_equal(bits(work()), bits(wanted))


def test_draws_inside_a_graph() -> None:
    """What is drawn between the operations of a graph leaves their gradients alone."""
    w = torch.full((300,), 2.0, requires_grad=True)
    noise = torch.empty(SHAPE[0], 300)
    for _ in range(4):
        w.grad = None
        a = w * 3
        noise.normal_()
        loss = (a + noise).sum()
        loss.backward()
        assert w.grad is not None
        assert bool((w.grad == 3.0 * SHAPE[0]).all())
