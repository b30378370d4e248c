"""Sizes that vary: what is compiled when, where a step's stretch begins, and the same bits."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import rushlight as T
from rushlight import engine
from rushlight.base.settings import override
from rushlight.engine import budget, core

execute: Any = importlib.import_module("rushlight.engine.execute")
step: Any = importlib.import_module("rushlight.engine.step")
flush: Any = importlib.import_module("rushlight.engine.flush")
records: Any = importlib.import_module("rushlight.engine.records")


@pytest.fixture(autouse=True)
def afresh() -> Iterator[None]:
    was = (budget.SPENT.start, budget.SPENT.seconds, budget.SPENT.nodes)
    step.STEPS.clear()
    yield
    budget.SPENT.start, budget.SPENT.seconds, budget.SPENT.nodes = was
    step.STEPS.clear()


def info_with(nodes: int, alone: float) -> Any:
    made = execute.FlushInfo()
    made.recs = [records.NO_RECS] * nodes
    made.last = budget.SPENT.runs
    made.alone = alone
    return made


def test_compiling_is_free_at_first_then_has_to_pay() -> None:
    budget.SPENT.start = budget.time.perf_counter()
    budget.SPENT.seconds, budget.SPENT.nodes = 0.5, 100  # 5 ms a node
    with override(compile_free=1.0):
        assert budget.pays(info_with(10, 0.0))
        budget.SPENT.seconds, budget.SPENT.nodes = 2.0, 400
        assert not budget.pays(info_with(10, 0.04))
        assert budget.pays(info_with(10, 0.06))
        assert not budget.pays(info_with(20, 0.06))
        budget.SPENT.start -= 60  # three more seconds have become free
        assert budget.pays(info_with(10, 0.0))
        rare = info_with(10, 0.04)
        rare.last -= budget.SOON + 1  # it comes again, but many others come between
        assert not budget.pays(rare)
        rare.alone = 0.06
        assert budget.pays(rare)
        budget.SPENT.nodes = 0  # nothing was compiled yet
        assert budget.pays(info_with(1000, 0.0))
        assert not budget.pays(rare)
        rare.alone = 0.2
        assert budget.pays(rare)
    with override(compile_free=float("inf")):
        assert budget.pays(info_with(1000, 0.0))
        rare.alone = 0.0
        assert budget.pays(rare)


def test_a_chance_meeting_is_no_repetition() -> None:
    budget.SPENT.start = budget.time.perf_counter()
    budget.SPENT.seconds, budget.SPENT.nodes = 1e6, 100  # so dear that it pays for none
    x = T.tensor([1.0, 2.0])
    y = T.tensor([[3.0]])

    def ran(first: Any) -> int:
        """How many plans were compiled while these were done."""
        before = budget.SPENT.nodes
        first()
        return budget.SPENT.nodes - before

    def work(k: int) -> None:
        (T.cat([x] * k) * 3).sum().item()

    def program() -> None:
        for k in range(1, budget.NEAR + 4):
            work(k)

    with override(compile_free=1e9):
        assert ran(program) == 0
        assert ran(lambda: work(1)) == 0  # once more, but what came before it was new
        assert ran(lambda: work(2)) > 0  # two in a row: the program repeats
        assert ran(lambda: work(1)) > 0
        assert ran(lambda: (y.exp().sum().item(), y.exp().sum().item())) > 0  # at once


def test_time_is_counted() -> None:
    x = T.tensor([1.0, 2.0])
    before = budget.SPENT.nodes
    with override(compile_free=float("inf"), fuse_after=3):
        for _ in range(4):
            (x * 3).exp().sum().item()
    assert budget.SPENT.nodes > before and budget.SPENT.seconds > 0
    e = core.mine()
    infos = [r.info for r in flushes(e) if r.info.code is not None]
    assert any(i.alone > 0 for i in infos)


def flushes(e: Any) -> list[Any]:
    """Every FLUSH record of a recorder's tries."""
    out: list[Any] = []
    todo = list(e.roots)
    while todo:
        r = todo.pop()
        if r.op == records.FLUSH:
            out.append(r)
        todo.extend(records.followers(r))
    return out


def train(sizes: list[int], optimiser: str = "Adam") -> list[bytes]:
    """A step for each batch size: losses, gradients and parameters, as bytes."""
    T.manual_seed(1)
    m = T.nn.Sequential(T.nn.Linear(4, 6), T.nn.Tanh(), T.nn.Linear(6, 3))
    o = getattr(T.optim, optimiser)(m.parameters(), lr=0.05)
    out = []
    for n in sizes:
        loss = T.nn.functional.cross_entropy(m(T.randn(n, 4)), T.randint(0, 3, (n,)))
        o.zero_grad()
        loss.backward()
        o.step()
        out.append(np.float64(loss.item()).tobytes())
        out.extend(engine.read(p.grad).tobytes() for p in m.parameters())
    return out + [engine.read(p).tobytes() for p in m.parameters()]


@pytest.mark.parametrize("optimiser", ["SGD", "Adam"])
def test_steps_after_many_sizes_share_a_record(optimiser: str) -> None:
    e = core.mine()
    sizes = [*range(3, 20), *range(3, 20)]

    def count() -> int:
        return sum(1 for r in walk(e) if r.op == records.STEP)

    with override(fuse_after=1 << 40):
        before = count()
        train(sizes, optimiser)
        first = count()
        assert first - before <= step.SIZES + 3
        train([*sizes, 40, 41, 42], optimiser)
        assert count() == first  # a size that is new makes no new step


def walk(e: Any) -> list[Any]:
    """Every record of a recorder's tries."""
    out: list[Any] = []
    todo = list(e.roots)
    while todo:
        r = todo.pop()
        out.append(r)
        todo.extend(records.followers(r))
    return out


@pytest.mark.parametrize("fuse_after", [1, 2, 1 << 40])
def test_varying_sizes_have_the_bits_of_one_operation_at_a_time(fuse_after: int) -> None:
    sizes = [3, 5, 4, 7, 6, 3, 8, 9, 5, 3, 10, 4] if fuse_after > 9 else [3, 5, 4, 7, 6, 3, 8, 3, 6]
    with override(eager=True):
        want = train(sizes)
    was = flush.CHECKING[0]
    flush.CHECKING[0] = True
    try:
        with override(fuse_after=fuse_after):
            assert train(sizes) == want
    finally:
        flush.CHECKING[0] = was


def test_steady_sizes_keep_their_one_stretch() -> None:
    """A batch and a smaller last one: forward, backward and step stay together."""
    e = core.mine()
    with override(fuse_after=1 << 40):
        train([8, 8, 8, 5] * 3)
        plans, misses = e.nplan, e.misses
        runs = e.nflush
        train([8, 8, 8, 5] * 3)
        assert (e.nplan, e.misses) == (plans, misses)
        first = e.nflush - runs
        runs = e.nflush
        train([8] * 12)
        assert e.nflush - runs == first


def test_accumulating_by_rows_is_in_order() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3)).astype(np.float32) * 1e3
    i = rng.integers(0, 4, 200)
    want = np.zeros((4, 3), np.float32)
    for k, row in zip(i, x):
        want[k] += row
    with override(fuse_after=1 << 40):
        base = T.zeros(4, 3)
        got = base.index_put((T.tensor(i - 4),), T.tensor(x), accumulate=True)
        assert engine.read(got).tobytes() == want.tobytes()
        w = T.zeros(4, 3, requires_grad=True)
        (T.nn.functional.embedding(T.tensor(i), w) * T.tensor(x)).sum().backward()
        assert engine.read(w.grad).tobytes() == want.tobytes()
