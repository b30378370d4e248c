"""What is kept while a program runs is bounded, whatever the program does."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rushlight as T
from rushlight import engine
from rushlight.engine import core, stretch, trie
from rushlight.runtime import disk_cache, jit


@pytest.fixture(autouse=True)
def afresh() -> Iterator[None]:
    """A recorder that knows nothing."""
    engine.flush()
    stretch.clear(core.MAIN)
    core.MAIN.roots = trie.new_root()
    core.MAIN.nrec = 0
    stretch.clear(core.MAIN)
    yield
    engine.flush()


def step(net: list[Any], o: Any, n: int) -> float:
    """A training step on a batch of ``n``."""
    x = T.ones(n, 3)
    o.zero_grad()
    loss = ((x @ net[0]).tanh() @ net[1]).pow(2).mean()
    loss.backward()
    o.step()
    return float(loss.item())


def network() -> tuple[list[Any], Any]:
    """Two weights and their optimiser."""
    net = [T.full((3, 4), 0.1, requires_grad=True), T.full((4, 1), 0.2, requires_grad=True)]
    return net, T.optim.SGD(net, lr=0.01)


def test_alternating_batch_sizes_settle() -> None:
    """40 sizes in turn: once each was met a few times, nothing new is kept or compiled."""
    net, o = network()
    for _ in range(3):
        for n in range(1, 41):
            step(net, o, n)
    e = core.MAIN
    before = (e.nrec, e.nplan, e.misses, len(jit._PASSING))
    for _ in range(5):
        for n in range(1, 41):
            step(net, o, n)
    assert (e.nrec, e.nplan, e.misses, len(jit._PASSING)) == before


def test_records_start_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that never repeat keep at most as many records as a thread may."""
    most = int(stretch.MAX_RECORDS)
    x = T.ones(4)
    engine.flush()
    e = core.MAIN
    e.nrec = most - 20
    old = e.roots[1]
    for n in range(12):
        y = x
        for _ in range(n % 3 + 1):
            y = y * 2 + n
        y.view(1, -1, 1)[:, n % 4].sum().item()
        assert e.nrec <= most + 50
    assert e.roots[1] is not old
    assert e.nrec < 200


def test_a_thread_takes_its_records_along() -> None:
    """A hundred threads, each with records and something pending at its end: no recorder stays."""
    kept: list[Any] = []

    def work() -> None:
        x = T.ones(3)
        kept.append((x * 2 + 1).tanh())  # pending when the thread ends

    for _ in range(100):
        t = threading.Thread(target=work)
        t.start()
        t.join()
    gc.collect()
    assert len(core.RECORDERS) <= 3
    want = engine.read((T.ones(3) * 2 + 1).tanh()).tobytes()
    assert {engine.read(y).tobytes() for y in kept} == {want}
    assert len(core.RECORDERS) <= 3


def test_taking_stretches_over_leaves_nothing() -> None:
    """A thread whose pending values another one reads, again and again."""
    box: list[Any] = []
    go, done = threading.Semaphore(0), threading.Semaphore(0)

    def work() -> None:
        for n in range(200):
            go.acquire()
            box.append(T.ones(2) * n)
            done.release()

    t = threading.Thread(target=work)
    t.start()
    for n in range(200):
        go.release()
        done.acquire()
        assert engine.read(box.pop()).tolist() == [n, n]
    t.join()
    gc.collect()
    assert len(core.RECORDERS) <= 3


def test_disk_cache_stays_below_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUSHLIGHT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(disk_cache, "SIZE_LIMIT", 1 << 20)
    rng = np.random.default_rng(0)
    for n in range(400):
        disk_cache.store(rng.bytes(32).hex(), bytes(8 << 10))
        if n % 100 == 99:
            size = sum(p.stat().st_size for p in (tmp_path / "cache").rglob("*") if p.is_file())
            # between two looks at a folder it may grow by a few entries
            assert size <= (1 << 20) + 16 * disk_cache._CHECK_EVERY * (9 << 10)
