"""Programs that never repeat: what is new is kept out of the trie, until the program repeats."""

from __future__ import annotations

import gc
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import rushlight as T
from rushlight import engine
from rushlight.engine import core, stretch, trie
from rushlight.engine.records import CREDIT, Rec, follower, followers, key_of


@pytest.fixture(autouse=True)
def afresh() -> Iterator[Any]:
    """A recorder that knows nothing and takes the program for one that does not repeat."""
    e = core.mine()
    engine.flush()
    e.roots = trie.new_root()
    e.nrec = 0
    e.met = set()
    stretch.clear(e)
    e.credit = -1
    yield e
    engine.flush()
    e.credit = CREDIT


def chain(x: Any, kinds: list[int]) -> Any:
    """A value made as ``kinds`` says."""
    y = x
    for k in kinds:
        y = (y + x, y * 0.5, y.tanh(), (y * x).relu() + 1, y - x.sum())[k]
    return y


def drawn(n: int) -> list[list[int]]:
    """Different programs."""
    r = random.Random(1)
    return [[r.randrange(5) for _ in range(12)] for _ in range(n)]


def test_nothing_is_kept() -> None:
    e = core.mine()
    x = T.ones(3, 2)
    engine.flush()
    before, misses = e.nrec, e.misses
    for kinds in drawn(30):
        chain(x, kinds).sum().item()
    assert e.nrec == before
    assert e.misses > misses + 300


def test_credit_runs_out_and_comes_back() -> None:
    e = core.mine()
    e.credit = 100
    x = T.ones(3, 2)
    for kinds in drawn(20):
        chain(x, kinds).sum().item()
    assert e.credit < 0
    kept = e.nrec
    assert 50 <= kept < 200
    for _ in range(4):
        chain(x, [0, 1, 2, 3, 4]).sum().item()
    misses = e.misses
    for _ in range(20):
        chain(x, [0, 1, 2, 3, 4]).sum().item()
    assert e.misses == misses  # known: the program repeats
    assert e.credit > 0


def test_a_program_that_repeats_is_noticed_whatever_it_holds() -> None:
    e = core.mine()
    w = T.full((2, 2), 0.5, requires_grad=True)
    held = []
    for i in range(12):
        w.grad = None
        y = chain(w, [1, 2, 3])
        loss = y.sum()
        loss.backward()
        held.append((y, loss.item()))
        if i == 8:
            misses = e.misses
    assert e.misses == misses
    assert len({v for _, v in held}) == 1


@pytest.mark.parametrize("kind", ["plain", "retained", "second", "part"])
def test_gradients_over_stretches(kind: str) -> None:
    """A stretch kept apart is differentiated after it was run, as any other."""

    def run() -> list[Any]:
        w = T.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
        v = T.tensor([0.5, -1.0], requires_grad=True)
        y = chain(w * v, [0, 3, 2])
        out = [y.tolist()]  # ends the stretch
        z = (y * w).sum()
        out.append(z.item())
        if kind == "plain":
            z.backward()
        elif kind == "retained":
            z.backward(retain_graph=True)
            z.backward()
        elif kind == "second":
            (g,) = T.autograd.grad(z, [w], create_graph=True)
            out.append(g.tolist())
            (g * g).sum().backward()
        else:
            out.append(T.autograd.grad(z, [v])[0].tolist())
            return out
        return [*out, w.grad.tolist(), None if v.grad is None else v.grad.tolist()]

    e = core.mine()
    apart = run()
    e.credit = CREDIT
    assert run() == apart


def test_history_of_a_stretch_kept_apart() -> None:
    x = T.ones(2, requires_grad=True)
    y = (x * 3).tanh()
    z = y.sum()
    z.item()
    names = []
    at = z.grad_fn
    while at is not None:
        names.append(at.name())
        below = [n for n, _ in at.next_functions if n is not None]
        at = below[0] if below else None
    assert names == [
        "SumBackward0",
        "TanhBackward0",
        "MulBackward0",
        "torch::autograd::AccumulateGrad",
    ]


def test_paths_are_cut() -> None:
    """A handle that outlives a stretch without history does not hold the stretch's records."""
    x = T.ones(3)
    y = x
    for _ in range(20):
        y = y + x
    y.sum().item()
    r = engine.records(y)
    assert r.apart
    assert r.parent is None


def test_a_trie_is_taken_apart() -> None:
    e = core.mine()
    e.credit = CREDIT
    x = T.ones(3)
    (x + 1).sum().item()
    old = e.roots[1]
    assert followers(old)
    e.nrec = stretch.MAX_RECORDS + 1
    engine.flush()
    assert (x * 2).tolist() == [2.0, 2.0, 2.0]
    assert e.roots[1] is not old
    assert not followers(old)


def test_errors_and_threads() -> None:
    x = T.ones(3)
    with pytest.raises(RuntimeError, match="size"):
        chain(x, [0, 1]) + T.ones(4)
    assert (x + 1).tolist() == [2.0, 2.0, 2.0]
    pending = chain(x, [0, 3, 1])
    seen: list[Any] = []
    t = threading.Thread(target=lambda: seen.append((pending + 1).tolist()))
    t.start()
    t.join()
    assert seen == [(pending + 1).tolist()]


@pytest.mark.skipif(not hasattr(core.record1, "__code__"), reason="untracked when compiled")
def test_records_do_not_pile_up() -> None:
    """Without the collector: what is kept apart goes by itself."""

    def count(f: Callable[[], Any]) -> int:
        f()
        gc.collect()
        before = sum(isinstance(o, Rec) for o in gc.get_objects())
        gc.disable()
        try:
            for kinds in drawn(25):
                chain(x, kinds).sum().item()
            return sum(isinstance(o, Rec) for o in gc.get_objects()) - before
        finally:
            gc.enable()

    x = T.ones(3, 2)
    assert count(lambda: chain(x, [0, 1]).sum().item()) < 60


def test_followers_of_a_record() -> None:
    """The first that follows takes no dictionary, the second brings one with both."""
    e = core.mine()
    e.credit = CREDIT
    x = T.ones(3)
    x.tolist()
    e.roots = trie.new_root()
    stretch.clear(e)
    for f in (lambda: x + 1, lambda: x * 2, lambda: x * 3, lambda: x.exp()):
        for _ in range(2):
            f().tolist()
    (leaf,) = followers(e.roots[1])
    assert not e.roots[1].alts
    assert len(followers(leaf)) == 3 and followers(leaf) == list(leaf.alts.values())
    for q in followers(leaf):
        assert follower(leaf, key_of(q)) is q
        (flush,) = followers(q)
        assert follower(q, flush.mask) is flush and follower(q, flush.mask + b"x") is None
        assert followers(flush) == []
    misses = e.misses
    for f in (lambda: x + 4, lambda: x * 5, lambda: x.exp()):
        f().tolist()
    assert e.misses == misses
