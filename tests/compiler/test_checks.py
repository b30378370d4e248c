"""Values that operations refuse: the plan says so, whatever else it computes, and writes on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rushlight.base import dtype as dt

NO = np.float32("nan")


def bce_plan(kit: Any, shape: tuple[int, ...], kind: str) -> Any:
    """A loss alone, beside its own gradient, or with nobody reading it."""
    p = kit.Program()
    x, t, other = kit.leaf(p, shape), kit.leaf(p, shape), kit.leaf(p, (1,))
    loss = kit.make("bce", x, t)
    total = kit.make("sum", loss, arg=(tuple(range(len(shape))), False))
    gradient = kit.make("sub", x, t)
    p.outputs = {
        "loss": [loss.slot, gradient.slot],
        "sum": [total.slot, kit.make("mul", gradient, total).slot],
        "rows": [kit.make("sum", loss, arg=((len(shape) - 1,), True)).slot],
        "columns": [kit.make("sum", loss, arg=((0,), True)).slot],
        "nobody": [gradient.slot],
        "nothing": [kit.make("neg", other).slot],
    }[kind]
    return kit.Plan(p)


@pytest.mark.parametrize("kind", ["loss", "sum", "rows", "columns", "nobody", "nothing"])
@pytest.mark.parametrize("shape", [(1,), (13,), (100, 1), (9, 20), (70_000,), (300, 200)])
def test_between_zero_and_one(kit: Any, shape: tuple[int, ...], kind: str) -> None:
    plan = bce_plan(kit, shape, kind)
    rng = np.random.default_rng(0)
    n = int(np.prod(shape))
    more = [np.ones(1, np.float32)]
    x, t = (rng.random(n).astype(np.float32) for _ in range(2))
    x[0], x[-1] = 0, 1
    plan.run([x, t, *more])
    for at in {0, n // 2, n - 1}:
        for bad in (-1e-6, 1.0001, NO, np.inf):
            y = x.copy()
            y[at] = bad
            plan.run([y, t, *more], status=1)
    plan.run([x, t, *more])  # the status is of one run only


@pytest.mark.parametrize("name", ["floor_divide", "trunc_divide", "remainder", "fmod"])
@pytest.mark.parametrize("kind", [dt.int64, dt.int32, dt.uint8])
def test_division_by_zero(kit: Any, name: str, kind: Any) -> None:
    p = kit.Program()
    x, y = kit.leaf(p, (7, 5), kind), kit.leaf(p, (5,), kind)
    p.outputs = [kit.make("add", kit.make(name, x, y), x).slot]
    plan = kit.Plan(p)
    a, b = np.arange(35).astype(kind.numpy), np.arange(1, 6).astype(kind.numpy)
    (got,) = plan.run([a, b])
    assert np.array_equal(got, (a.reshape(7, 5) // b if "div" in name else a.reshape(7, 5) % b)
                          + a.reshape(7, 5))  # fmt: skip
    b[3] = 0
    plan.run([a, b], status=1)


def test_numbers_and_floats(kit: Any) -> None:
    """A run-time number is checked too; floats divide by zero as IEEE says."""
    p = kit.Program()
    x, k = kit.leaf(p, (5,), dt.int64), kit.number(p, "q")
    p.outputs = [kit.make("remainder", x, k).slot]
    plan = kit.Plan(p)
    a = np.arange(5)
    assert plan.run([a], [3])[0].tolist() == [0, 1, 2, 0, 1]
    plan.run([a], [0], status=1)
    p = kit.Program()
    p.outputs = [kit.make("floor_divide", kit.leaf(p, (2,)), kit.leaf(p, (2,))).slot]
    assert np.isinf(kit.Plan(p).run([np.ones(2, np.float32), np.zeros(2, np.float32)])[0]).all()


def test_empty(kit: Any) -> None:
    p = kit.Program()
    x = kit.leaf(p, (0, 3), dt.int64)
    p.outputs = [kit.make("remainder", x, x).slot]
    assert kit.Plan(p).run([np.zeros(1, np.int64)])[0].shape == (0, 3)


@pytest.mark.parametrize("bad", [-6, 5])
def test_places_that_nobody_reads(kit: Any, bad: int) -> None:
    """As one at a time: an index is checked even where its result is not used."""
    p = kit.Program()
    x, i = kit.leaf(p, (5, 2)), kit.leaf(p, (3,), dt.int64)
    kit.make("index", x, i, arg=(0,))
    p.outputs = [kit.make("neg", x).slot]
    plan = kit.Plan(p)
    a, index = np.ones(10, np.float32), np.array([-5, 0, 4])
    assert (plan.run([a, index])[0] == -1).all()
    index[1] = bad
    plan.run([a, index], status=1)
