"""Threads that hand tensors to each other while they record: what each of them sees.

    python -m tests.bits.crowd 600      # every scenario in turn, for ten minutes

A scenario runs once and raises AssertionError where a value is not what one thread would have got.
"""

from __future__ import annotations

import gc
import queue
import random
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import rushlight as T
from rushlight import engine
from rushlight.engine import core


def join(threads: list[threading.Thread], seconds: float = 120.0) -> None:
    """Waits for all; one that hangs is a failure."""
    end = time.monotonic() + seconds
    for t in threads:
        t.join(max(0.1, end - time.monotonic()))
        assert not t.is_alive(), f"{t.name} hangs"


def together(*work: Callable[[], Any]) -> list[Any]:
    """Each in a thread, all at once; their results; an exception is raised here."""
    out: list[Any] = [None] * len(work)

    def go(k: int) -> None:
        try:
            out[k] = work[k]()
        except BaseException as error:
            out[k] = error

    threads = [
        threading.Thread(target=go, args=(k,), name=f"crowd-{k}", daemon=True)
        for k in range(len(work))
    ]
    for t in threads:
        t.start()
    join(threads)
    for r in out:
        if isinstance(r, BaseException):
            raise r
    return out


def item_of(n: int) -> Any:
    """What producer threads make, still pending: a function of n alone."""
    x = T.tensor(np.random.default_rng(n).standard_normal((8, 3)).astype(np.float32))
    return ((x * 2 + n).tanh() + x).relu() * (n % 5 + 1)


def model(seed: int) -> tuple[Any, Any, Any]:
    """Weights and an optimiser."""
    rng = np.random.default_rng(seed)
    w = T.tensor(rng.normal(size=(3, 4)).astype(np.float32), requires_grad=True)
    v = T.tensor(rng.normal(size=(4, 1)).astype(np.float32), requires_grad=True)
    return w, v, T.optim.Adam([w, v], lr=0.02)


def learn(m: tuple[Any, Any, Any], x: Any) -> bytes:
    """One step; the loss."""
    w, v, o = m
    o.zero_grad()
    loss = (((x @ w).tanh() @ v) ** 2).mean()
    loss.backward()
    o.step()
    return np.float64(loss.item()).tobytes()


def producers(r: random.Random) -> None:
    """Batches made in three threads, trained on in this one while they go on recording."""
    count = 30
    alone = model(1)
    want = [learn(alone, item_of(n)) for n in range(count)]
    ready: list[queue.Queue[Any]] = [queue.Queue(2) for _ in range(3)]

    def produce(k: int) -> None:
        for n in range(k, count, 3):
            ready[k].put(item_of(n))  # pending in that thread

    threads = [threading.Thread(target=produce, args=(k,), daemon=True) for k in range(3)]
    for t in threads:
        t.start()
    mine = model(1)
    got = [learn(mine, ready[n % 3].get(timeout=60)) for n in range(count)]
    join(threads)
    assert got == want


def to_and_fro(r: random.Random) -> None:
    """A pending value goes through four threads, each of which goes on with it and its own."""
    turns = [r.randrange(4) for _ in range(24)]

    def step(y: Any, k: int) -> Any:
        return (y * (1 + k / 8) - k).tanh() + y

    y: Any = T.ones(5)
    for k in turns:
        y = step(y, k)
    want = engine.read(y).tobytes()
    boxes: list[queue.Queue[Any]] = [queue.Queue() for _ in range(4)]

    def work(k: int) -> None:
        mine = T.zeros(3)
        while True:
            got = boxes[k].get(timeout=60)
            if got is None:
                assert engine.read(mine)[0] == mine.tolist()[0]
                return
            i, y = got
            mine = mine + 1  # pending of its own on both sides of the hand-over
            y = step(y, k)
            boxes[turns[i + 1] if i + 1 < len(turns) else 4].put((i + 1, y))

    boxes.append(queue.Queue())
    threads = [threading.Thread(target=work, args=(k,), daemon=True) for k in range(4)]
    for t in threads:
        t.start()
    boxes[turns[0]].put((0, T.ones(5)))
    _, y = boxes[4].get(timeout=60)
    for k in range(4):
        boxes[k].put(None)
    join(threads)
    assert engine.read(y).tobytes() == want


def errors(r: random.Random) -> None:
    """Threads whose operations fail, when recorded and when run, beside one that trains."""
    alone = model(2)
    want = [learn(alone, item_of(n)) for n in range(12)]

    def fails() -> int:
        seen = 0
        for n in range(20):
            x = item_of(n)
            try:
                if n % 2:
                    (x + T.zeros(7, 7)).sum().item()
                else:
                    x[T.tensor([0, 99])].sum().item()
            except (RuntimeError, IndexError):
                seen += 1
            assert np.array_equal(engine.read(x), engine.read(item_of(n)))
        return seen

    mine = model(2)
    got = together(lambda: [learn(mine, item_of(n)) for n in range(12)], fails, fails)
    assert got == [want, 20, 20]


def deaths(r: random.Random) -> None:
    """Threads that end with work pending: what they made is read later, or never."""
    made: list[Any] = []

    def die(n: int) -> None:
        made.append((n, item_of(n)))

    gc.collect()
    before = len(core.RECORDERS)
    for n in range(30):
        t = threading.Thread(target=die, args=(n,), daemon=True)
        t.start()
        join([t])
    for n, x in made:
        if n % 2:
            assert engine.read(x).tobytes() == engine.read(item_of(n)).tobytes()
    made.clear()
    gc.collect()
    together(lambda: None)
    assert len(core.RECORDERS) <= before + 1, len(core.RECORDERS)


def watcher(r: random.Random) -> None:
    """A thread reads the weights while they are trained: always those of some step."""
    alone = model(3)
    states = {engine.read(alone[0]).tobytes()}
    for n in range(25):
        learn(alone, item_of(n))
        states.add(engine.read(alone[0]).tobytes())
    mine = model(3)
    done = threading.Event()
    odd: list[int] = []

    def watch() -> None:
        while not done.is_set():
            if np.array(engine.read(mine[0])).tobytes() not in states:
                odd.append(1)
            time.sleep(0.0005)

    t = threading.Thread(target=watch, daemon=True)
    t.start()
    try:
        for n in range(25):
            learn(mine, item_of(n))
    finally:
        done.set()
        join([t])
    assert not odd, f"{len(odd)} torn readings"
    assert engine.read(mine[0]).tobytes() == engine.read(alone[0]).tobytes()


def shared_weights(r: random.Random) -> None:
    """Three threads read one network, whose weights are still pending here."""
    w, v, _ = model(4)
    w2, v2 = (w * 2).detach(), (v + 1).detach()  # pending in this thread

    def infer(first: int) -> list[bytes]:
        with T.no_grad():
            return [
                engine.read(((item_of(n) @ w2).relu() @ v2).sigmoid()).tobytes()
                for n in range(first, first + 10)
            ]

    got = together(lambda: infer(0), lambda: infer(10), lambda: infer(0))
    assert got == [infer(0), infer(10), infer(0)]


def crossed(r: random.Random) -> None:
    """Two threads take the same two tensors in opposite orders: each holds what the other wants."""
    a, b = T.full((3, 3), 0.5), T.full((3, 3), 0.25)
    a, b = a + 0, b + 0
    engine.flush()

    def work(p: Any, q: Any) -> list[bytes]:
        out = []
        for n in range(60):
            x = item_of(n % 7)
            out.append(engine.read(((x @ p).relu() * (x @ q)).tanh() @ (p + q)).tobytes())
        return out

    got = together(lambda: work(a, b), lambda: work(b, a), lambda: work(a, b))
    assert got == [work(a, b), work(b, a), work(a, b)]


def writes(r: random.Random) -> None:
    """Writes through a view in another thread, in turn with reads here."""
    x = T.zeros(6)
    view = x[2:5]
    want = np.zeros(6, np.float32)
    go, back = queue.Queue(), queue.Queue()  # type: ignore[var-annotated]

    def write() -> None:
        while True:
            k = go.get(timeout=60)
            if k is None:
                return
            view.add_(k)
            view.mul_(0.5)  # pending there
            back.put(k)

    t = threading.Thread(target=write, daemon=True)
    t.start()
    for k in range(20):
        go.put(k)
        back.get(timeout=60)
        want[2:5] = (want[2:5] + np.float32(k)) * np.float32(0.5)
        if r.random() < 0.5:
            assert x.tolist() == want.tolist()
        x.add_(1)
        want += np.float32(1)
    go.put(None)
    join([t])
    assert x.tolist() == want.tolist()


def dropped(r: random.Random) -> None:
    """The last reference to a pending value goes away in another thread."""
    for n in range(15):
        x = item_of(n)
        y = x + 1
        box = [x]
        del x
        together(box.clear, gc.collect)
        assert engine.read(y).shape == (8, 3)


SCENARIOS = [
    producers, to_and_fro, errors, deaths, watcher, shared_weights, crossed, writes, dropped,
]  # fmt: skip


def main() -> None:
    """Every scenario in turn until the time is over."""
    end = time.monotonic() + float(sys.argv[1])
    counts = dict.fromkeys([f.__name__ for f in SCENARIOS], 0)
    turn = 0
    while time.monotonic() < end:
        sys.setswitchinterval((1e-6, 1e-5, 1e-4, 5e-3)[turn % 4])
        for f in SCENARIOS:
            try:
                f(random.Random(turn))
            except BaseException as error:
                print(f"{f.__name__}, turn {turn}: {type(error).__name__}: {error}", flush=True)
                raise
            counts[f.__name__] += 1
        turn += 1
    print(counts)


if __name__ == "__main__":
    main()
