"""A recorder for each thread: what one thread computes does not depend on the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import rushlight as T
from rushlight import engine
from rushlight.engine import core, stretch


def train(seed: int, width: int, steps: int = 12) -> list[bytes]:
    """A small model trained on its own data: every loss and the last parameters, as bytes."""
    rng = np.random.default_rng(seed)
    w = T.tensor(rng.normal(size=(5, width)).astype(np.float32), requires_grad=True)
    v = T.tensor(rng.normal(size=(width, 1)).astype(np.float32), requires_grad=True)
    o = T.optim.SGD([w, v], lr=0.05, momentum=0.9)
    out = []
    for _ in range(steps):
        x = T.tensor(rng.normal(size=(16, 5)).astype(np.float32))
        o.zero_grad()
        loss = (((x @ w).tanh() @ v) ** 2).mean()
        loss.backward()
        o.step()
        out.append(np.float64(loss.item()).tobytes())
    return [*out, engine.read(w).tobytes(), engine.read(v).tobytes()]


def in_threads(*work: Callable[[], Any]) -> list[Any]:
    """Each piece of work in a thread of its own, all at once; their results."""
    out: list[Any] = [None] * len(work)
    start = threading.Barrier(len(work))

    def go(k: int, f: Callable[[], Any]) -> None:
        start.wait()
        try:
            out[k] = f()
        except BaseException as error:
            out[k] = error

    threads = [threading.Thread(target=go, args=(k, f)) for k, f in enumerate(work)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    for r in out:
        if isinstance(r, BaseException):
            raise r
    return out


def test_two_models_give_their_own_bits() -> None:
    alone = [train(1, 4), train(2, 6)]
    assert in_threads(lambda: train(1, 4), lambda: train(2, 6)) == alone
    assert in_threads(lambda: train(2, 6), lambda: train(1, 4)) == alone[::-1]
    assert train(1, 4) == alone[0]


def test_the_same_model_in_three_threads() -> None:
    alone = train(3, 3)
    assert in_threads(*[lambda: train(3, 3)] * 3) == [alone] * 3


def test_pending_tensor_used_in_another_thread() -> None:
    x = T.tensor([1.0, 2.0, 3.0])
    y = x * 2 + 1  # pending here
    assert in_threads(lambda: (y * y).tolist()) == [[9.0, 25.0, 49.0]]
    assert y.tolist() == [3.0, 5.0, 7.0]


def test_result_of_another_thread_used_here() -> None:
    x = T.tensor([1.0, 2.0])
    (y,) = in_threads(lambda: (x + 1) * 3)  # pending there
    assert (y - x).tolist() == [5.0, 7.0]


def test_gradient_across_threads() -> None:
    w = T.tensor([2.0, 3.0], requires_grad=True)
    loss = (w * w).sum()
    in_threads(loss.backward)
    assert w.grad is not None and w.grad.tolist() == [4.0, 6.0]
    (again,) = in_threads(lambda: (w * w * w).sum())
    again.backward()
    assert w.grad.tolist() == [16.0, 33.0]


def test_write_in_one_thread_is_seen_in_the_other() -> None:
    x = T.zeros(4)
    view = x[1:3]
    in_threads(lambda: x.add_(2))
    assert view.tolist() == [2.0, 2.0]
    view.mul_(3)
    assert in_threads(x.tolist) == [[2.0, 6.0, 6.0, 2.0]]


def test_gradient_mode_is_a_thread_s_own() -> None:
    seen: list[bool] = []
    with T.no_grad():
        in_threads(lambda: seen.append(T.is_grad_enabled()))
        assert not T.is_grad_enabled()
    assert seen == [True]
    assert T.is_grad_enabled()


def test_handed_to_and_fro() -> None:
    """A value that goes through threads in turn, written and read in each."""
    x = T.ones(3)

    def turn() -> None:
        x.mul_(2)
        x.add_(1)

    for _ in range(6):
        in_threads(turn)
        x.sub_(0.5)
    want = np.ones(3, np.float32)
    for _ in range(6):
        want = want * 2 + 1 - np.float32(0.5)
    assert x.tolist() == want.tolist()


def test_two_threads_that_want_each_others_stretch() -> None:
    """One waits for the other in the middle of an operation, and has its own stretch taken over:
    neither hangs, and the slots it held are asked for again."""
    mine = T.full((4,), 2.0) + 1  # pending here
    shown: list[T.Tensor] = []
    out: list[list[float]] = []
    recorders: list[core.Engine] = []
    made, go = threading.Event(), threading.Event()

    def work() -> None:
        theirs = (T.full((4,), 5.0) * 2).relu()  # pending there
        shown.append(theirs)
        recorders.append(core.mine())
        made.set()
        go.wait(30)
        out.append((theirs - mine).tolist())  # waits for this thread's with a slot in hand

    t = threading.Thread(target=work, daemon=True)
    t.start()
    mine = T.full((4,), 2.0) + 1  # once more: what was pending ran when the thread started
    assert made.wait(30)
    with stretch.TAKING:
        go.set()
        end = time.monotonic() + 30
        while recorders[0].busy >= 0 and time.monotonic() < end:
            time.sleep(0.001)
        assert recorders[0].busy < 0
        assert shown[0].tolist() == [10.0] * 4
    t.join(30)
    assert not t.is_alive()
    assert out == [[7.0] * 4]
