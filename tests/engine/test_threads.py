"""A recorder for each thread: what one thread computes does not depend on the others."""

from __future__ import annotations

import concurrent.futures
import itertools
import os
import pickle
import queue
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rushlight as T
from rushlight import engine
from rushlight.engine import core, stretch, turns

PATIENCE = 60.0  # seconds after which a thread counts as hanging


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

    threads = [threading.Thread(target=go, args=(k, f), daemon=True) for k, f in enumerate(work)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(PATIENCE)
        assert not t.is_alive(), "a thread hangs"
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


def test_a_history_through_many_threads() -> None:
    """Every thread goes on with what the one before has pending: gradients go back through all of
    them, the last first, whichever thread ran what."""

    def chain(turn: Callable[[Callable[[], Any]], Any]) -> list[Any]:
        w = T.tensor([0.5, -0.25], requires_grad=True)
        y = z = w * 1.0
        for k in range(5):
            y, z = turn(lambda y=y, z=z, k=k: ((y * (k + 1)).tanh() + z, (y * z).sin() + w))
        (g,) = T.autograd.grad((y * z).sum(), [w], retain_graph=True)
        (y + z).sum().backward()
        assert w.grad is not None
        return [g.tolist(), w.grad.tolist()]

    assert chain(lambda f: in_threads(f)[0]) == chain(lambda f: f())


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
    shown: list[T.Tensor] = []
    out: list[list[float]] = []
    recorders: list[core.Engine] = []
    made, go = threading.Event(), threading.Event()

    def work() -> None:
        theirs = (T.full((4,), 5.0) * 2).relu()  # pending there
        shown.append(theirs)
        recorders.append(core.mine())
        made.set()
        go.wait(PATIENCE)
        out.append((theirs - shown[1]).tolist())  # waits for this thread's with a slot in hand

    def hook(g: T.Tensor) -> None:
        shown.append(T.full((4,), 2.0) + 1)  # pending here, in the middle of a backward
        me = core.mine()
        me.busy += 1  # says so to compiled threads
        go.set()
        until(lambda: rests(t, recorders[0]))
        assert shown[0].tolist() == [10.0] * 4
        me.busy -= 1

    t = threading.Thread(target=work, daemon=True)
    t.start()
    assert made.wait(PATIENCE)
    w = T.ones(2, requires_grad=True)
    w.register_hook(hook)
    (w * 3).sum().backward()
    t.join(PATIENCE)
    assert not t.is_alive()
    assert out == [[7.0] * 4]


def rests(t: threading.Thread, recorder: core.Engine) -> bool:
    """Does the thread wait for what another one has pending?"""
    if turns.COMPILED:
        return recorder.busy < 0
    return bool(turns.look_at(t.ident or 0, resting))


def resting(frame: Any) -> bool:
    while frame is not None and frame.f_code is not turns.RESTS:
        frame = frame.f_back
    return frame is not None


def until(holds: Callable[[], bool]) -> None:
    """Wait for something that another thread does."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "it does not come about"
        time.sleep(0.001)


def test_a_hook_may_wait_for_other_threads() -> None:
    """What the engine calls is outside: others record and run meanwhile."""
    seen: list[Any] = []

    def hook(g: T.Tensor) -> None:
        seen.extend(in_threads(lambda: train(4, 3), lambda: (T.ones(3) * 2).tolist()))

    w = T.ones(2, requires_grad=True)
    w.register_hook(hook)
    w.register_post_accumulate_grad_hook(lambda p: seen.append(in_threads(T.ones(1).tolist)))
    (w * w).sum().backward()
    assert w.grad is not None and w.grad.tolist() == [2.0, 2.0]
    assert seen == [train(4, 3), [2.0] * 3, [[1.0]]]


def test_a_custom_function_may_wait_for_other_threads() -> None:
    class Twice(T.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: T.Tensor) -> T.Tensor:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: T.Tensor) -> T.Tensor:
            (two,) = in_threads(lambda: T.full((), 1.0) + 1)  # pending there
            return g * two

    w = T.ones(3, requires_grad=True)
    Twice.apply(w * 3).sum().backward()
    assert w.grad is not None and w.grad.tolist() == [6.0] * 3


@pytest.fixture(params=[1e-6, 1e-5, 1e-4, 5e-3])
def switching(request: pytest.FixtureRequest) -> Iterator[None]:
    """Threads take turns often, or as usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(request.param)
    yield
    sys.setswitchinterval(before)


many = pytest.mark.parametrize("count", [2, 4])


@many
@pytest.mark.usefixtures("switching")
def test_shared_values_are_read_by_all(count: int) -> None:
    """Nobody writes: every thread enters the same memory into its own stretches."""
    rng = np.random.default_rng(5)
    w = T.tensor(rng.normal(size=(4, 4)).astype(np.float32), requires_grad=True)
    b = T.tensor(rng.normal(size=4).astype(np.float32))
    row = b.view(2, 2)[1]
    deep = w.detach() * 3 + b  # pending here, until a thread asks for it

    def work(k: int) -> list[Any]:
        out: list[Any] = []
        for n in range(8):
            x = T.full((2, 4), float(k + n))
            y = ((x @ w + b).tanh() @ deep).relu() * row.sum()
            out.append(y.tolist())
            (g,) = T.autograd.grad((y * y).sum(), [w])
            out.append(g.tolist())
        return out

    assert in_threads(*[lambda k=k: work(k) for k in range(count)]) == [  # type: ignore[misc]
        work(k) for k in range(count)
    ]


@many
@pytest.mark.usefixtures("switching")
def test_shared_parameters_are_trained_in_turn(count: int) -> None:
    """With a lock around the step, as with PyTorch: every step is one of a chain."""
    rng = np.random.default_rng(6)
    start = rng.normal(size=(3, 2)).astype(np.float32)
    x = T.tensor(rng.normal(size=(8, 3)).astype(np.float32))

    def model() -> tuple[T.Tensor, Any]:
        w = T.tensor(start, requires_grad=True)
        return w, T.optim.Adam([w], lr=0.05)

    def step(w: T.Tensor, o: Any) -> bytes:
        o.zero_grad()
        loss = ((x @ w).tanh() ** 2).mean()
        loss.backward()
        o.step()
        return np.float64(loss.item()).tobytes()

    w, o = model()
    want = [step(w, o) for _ in range(8 * count)]
    shared, lock, got = model(), threading.Lock(), []

    def work() -> None:
        for _ in range(8):
            with lock:
                got.append(step(*shared))

    in_threads(*[work] * count)
    assert got == want
    assert shared[0].tolist() == w.tolist()


@many
@pytest.mark.usefixtures("switching")
def test_a_queue_of_pending_tensors(count: int) -> None:
    """Batches made elsewhere, still pending when they are trained on, as with a data loader."""

    def batch(n: int) -> T.Tensor:
        x = T.full((4, 3), float(n)) / 7
        return (x.sin() + x[:, :1]).view(2, 6)

    def learn(batches: Iterable[T.Tensor]) -> list[Any]:
        w = T.full((6, 1), 0.25, requires_grad=True)
        out: list[Any] = []
        for x in batches:
            loss = ((x @ w) ** 2).sum()
            loss.backward()
            with T.no_grad():
                w -= 0.001 * w.grad
            w.grad = None
            out.append(loss.item())
        return [*out, w.tolist()]

    total = 12
    boxes: list[queue.Queue[T.Tensor]] = [queue.Queue(2) for _ in range(count)]

    def produce(k: int) -> None:
        for n in range(k, total, count):
            boxes[k].put(batch(n), timeout=PATIENCE)

    def consume() -> list[Any]:
        return learn(boxes[n % count].get(timeout=PATIENCE) for n in range(total))

    makers = [lambda k=k: produce(k) for k in range(count)]  # type: ignore[misc]
    assert in_threads(consume, *makers)[0] == learn(batch(n) for n in range(total))


@many
@pytest.mark.usefixtures("switching")
def test_threads_that_die(count: int) -> None:
    """Each ends with a value pending, made from the one before; new threads get their numbers."""
    x = T.zeros(2)
    for _ in range(8):
        x = sum(in_threads(*[lambda x=x: (x + 1) * 2] * count), T.zeros(2))  # type: ignore[misc]
    want = 0.0
    for _ in range(8):
        want = (want + 1) * 2 * count
    assert x.tolist() == [want] * 2


@many
@pytest.mark.usefixtures("switching")
def test_exceptions_in_the_middle(count: int) -> None:
    """Operations that are refused, and some that fail when they run, in every thread."""
    shared = T.full((3,), 2.0) * 1.5

    def work(k: int) -> list[Any]:
        out: list[Any] = []
        for n in range(6):
            x = shared + (k + n)
            engine.flush()  # who runs a stretch gets its errors: what fails is its own
            with pytest.raises(RuntimeError):
                x @ T.ones(2)
            with pytest.raises(IndexError):
                x[T.tensor([n, 99])].sum().item()
            out.append((x * x).tolist())
        return out

    assert in_threads(*[lambda k=k: work(k) for k in range(count)]) == [  # type: ignore[misc]
        work(k) for k in range(count)
    ]


@many
@pytest.mark.usefixtures("switching")
def test_futures(count: int) -> None:
    """Results come back pending and go on in other threads."""
    inputs = [T.full((2, 2), float(n)) + n for n in range(10)]  # pending here
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        first = [pool.submit(lambda x=x: (x * 2).tanh() + x) for x in inputs]  # type: ignore[misc]
        second = [
            pool.submit(lambda f=f, g=g: f.result(PATIENCE) @ g.result(PATIENCE))  # type: ignore[misc]
            for f, g in itertools.pairwise(first)
        ]
        got = [f.result(PATIENCE).tolist() for f in second]
    done = [(x * 2).tanh() + x for x in inputs]
    assert got == [(f @ g).tolist() for f, g in itertools.pairwise(done)]


@pytest.mark.usefixtures("switching")
def test_pickling_what_another_thread_has_pending() -> None:
    """What `multiprocessing.Pool` does: a thread of its own pickles the arguments of `map`."""
    for n in range(6):
        x = T.full((3,), float(n)) * 2 + 1
        (text,) = in_threads(lambda: pickle.dumps([x, x[1:]]))
        whole, part = pickle.loads(text)
        assert whole.tolist() == x.tolist() and part.tolist() == x.tolist()[1:]


HERE = os.path.dirname(core.__file__) + os.sep


@pytest.fixture(params=range(3))
def anywhere(request: pytest.FixtureRequest) -> Iterator[None]:
    """Other threads are let in between any two lines of the engine, every now and then."""
    chance = random.Random(request.param)

    def lines(frame: Any, event: str, arg: Any) -> Any:
        if chance.random() < 0.02:
            time.sleep(0)
        return lines

    def calls(frame: Any, event: str, arg: Any) -> Any:
        return lines if frame.f_code.co_filename.startswith(HERE) else None

    threading.settrace(calls)
    yield
    threading.settrace(None)  # type: ignore[arg-type]


@pytest.mark.usefixtures("anywhere")
@pytest.mark.parametrize(
    "shared",
    [
        test_shared_values_are_read_by_all,
        test_a_queue_of_pending_tensors,
        test_exceptions_in_the_middle,
        test_futures,
    ],
    ids=lambda f: f.__name__[5:],
)
def test_let_in_anywhere(shared: Callable[[int], None]) -> None:
    shared(2)


@pytest.mark.skipif(turns.COMPILED, reason="what is compiled calls what is compiled")
def test_nobody_is_let_in_while_a_stretch_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes between the look at a thread and the end of taking over."""
    taken: list[bool] = []
    really = stretch.take

    def slowly(owner: core.Engine, epoch: int) -> core.Engine:
        was = (owner.epoch, owner.cur, len(owner.live))
        time.sleep(0.01)
        taken.append(was == (owner.epoch, owner.cur, len(owner.live)))
        return really(owner, epoch)

    monkeypatch.setattr(stretch, "take", slowly)
    box: queue.Queue[Any] = queue.Queue()
    stop = threading.Event()

    def record() -> None:
        n = 0
        while not stop.is_set():
            y = T.full((2,), float(n)) + 1
            if box.empty():
                box.put((n, y))
            n += 1

    def read() -> None:
        try:
            end = time.monotonic() + PATIENCE
            while len(taken) < 5 and time.monotonic() < end:
                n, y = box.get(timeout=PATIENCE)
                assert y.tolist() == [n + 1.0] * 2
        finally:
            stop.set()

    in_threads(record, read)
    assert taken and all(taken)


def test_one_recorder_is_found_at_a_time() -> None:
    """In plain Python: who has the turn is found at once, the others are not found."""
    in_threads(lambda: T.ones(1).tolist())
    e = core.mine()
    assert core.PRESENT[threading.get_ident()] is e
    if not turns.COMPILED:
        assert list(core.PRESENT) == [threading.get_ident()]
        (found,) = in_threads(lambda: [core.mine() is not e, list(core.PRESENT)])
        assert found[0] and threading.get_ident() not in found[1]


def test_nothing_is_collected_while_another_threads_frames_are_looked_at(tmp_path: Path) -> None:
    """Before Python 3.12 a finaliser could let that thread go on while its frame's object is made:
    the walk then ended in memory that had become something else, a few times in a million."""
    program = tmp_path / "program.py"
    program.write_text(LOOKING)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(q for q in sys.path if q)}
    done = subprocess.run(
        [sys.executable, str(program)], check=False, capture_output=True, text=True, env=env
    )
    assert done.returncode == 0, done.stderr


LOOKING = """
import gc, sys, threading
from rushlight.engine import turns

seen = []

def judge(frame):
    seen.append((gc.isenabled(), frame is None))
    return 1 // (0 if frame is None else 1)

me = threading.get_ident()
assert gc.isenabled() and turns.look_at(me, judge) == 1
try:
    turns.look_at(0, judge)  # no such thread
except ZeroDivisionError:
    pass
assert gc.isenabled()
gc.disable()
turns.look_at(me, judge)
assert not gc.isenabled()
collects = sys.version_info >= (3, 12)
assert seen == [(collects, False), (collects, True), (False, False)], seen
"""
