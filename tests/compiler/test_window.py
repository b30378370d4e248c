"""Max pooling in plans: kernels against loops over windows, and shared out among tasks."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

from rushlight.base import dtype as dt
from rushlight.base.target import host
from tests.compiler.test_parallel import PFOR, TASK
from tests.graph.test_window import CASES, argument, pooled


def program(kit: Any, shape: Any, how: Any, kind: Any) -> tuple[Any, list[Any], list[Any]]:
    """Values, places and the way back; flat leaves, what comes out."""
    rng = np.random.default_rng(3)
    x = rng.integers(0, 6, shape).astype(kind.numpy)
    if kind.kind == "f":
        x = np.where(rng.random(shape) < 0.1, -np.inf, x).astype(kind.numpy)
        x = np.where(rng.random(shape) < 0.05, np.nan, x).astype(kind.numpy)
    arg = argument(x, **how)
    value, place = pooled(x, arg)
    g = rng.integers(0, 9, value.shape).astype(kind.numpy)
    back = np.zeros((*shape[:2], int(np.prod(shape[2:]))), kind.numpy)
    for at in np.ndindex(*value.shape):
        back[(*at[:2], place[at])] += g[at]
    p = kit.Program()
    xs, gs = kit.leaf(p, shape, kind), kit.leaf(p, g.shape, kind)
    made = [kit.make(name, xs, arg=arg) for name in ("max_pool", "max_pool_index")]
    made.append(kit.make("max_pool_back", gs, xs, arg=arg))
    p.outputs = [v.slot for v in made]
    return p, [x.reshape(-1), g.reshape(-1)], [value, place, back.reshape(shape)]


@pytest.mark.parametrize("kind", [dt.float32, dt.float64, dt.int32, dt.uint8])
@pytest.mark.parametrize(("shape", "how"), CASES)
def test_bits(kit: Any, shape: Any, how: Any, kind: Any) -> None:
    p, leaves, want = program(kit, shape, how, kind)
    for got, right in zip(kit.Plan(p).run(leaves), want, strict=True):
        assert kit.same_bits(np.ascontiguousarray(got), right)


def test_tasks(kit: Any) -> None:
    """Planes may be taken in any order."""
    p, leaves, want = program(kit, (9, 7, 40, 40), {"kernel": (3, 3), "stride": (2, 2)}, dt.float32)
    plan = kit.Plan(p, host()._replace(cores=4))
    ran: list[int] = []

    def share(_: Any, function: Any, args: Any, count: int) -> None:
        for i in reversed(range(count)):
            ran.append(i)
            TASK(function)(args, i)

    callback = PFOR(share)
    outs = plan.fill(leaves)
    plan.table[-2] = 1  # any pool that is not null
    plan.table[-1] = ctypes.cast(callback, ctypes.c_void_p).value or 0
    assert plan.call(plan.table.ctypes.data) == 0
    assert max(ran) > 2
    for got, right in zip(outs, want, strict=True):
        assert kit.same_bits(got.reshape(right.shape), right)
