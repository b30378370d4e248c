"""Values that an operation refuses: at the call where they are known, else when it is run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import rushlight as torch
from rushlight import engine
from rushlight.base.settings import override
from rushlight.engine.core import MAIN

F = torch.nn.functional
X = torch.arange(6.0).reshape(2, 3)
BAD = torch.tensor([0, 5])
BELOW = torch.tensor([0, -1])
TARGET = "Target 5 is out of bounds."
SELF = "index out of range in self"
BOUNDS = "index 5 is out of bounds for dimension 0 with size 2"

CALLS: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    "cross_entropy": (lambda i: F.cross_entropy(X, i), IndexError, TARGET),
    "smoothed": (lambda i: F.cross_entropy(X, i, label_smoothing=0.1), IndexError, TARGET),
    "planes": (lambda i: F.cross_entropy(torch.ones(2, 3, 1), i[:, None]), IndexError, TARGET),
    "nll_loss": (lambda i: F.nll_loss(X, i), IndexError, TARGET),
    "embedding": (lambda i: F.embedding(i, X), IndexError, SELF),
    "index": (lambda i: X[i], IndexError, BOUNDS),
    "index_select": (lambda i: X.index_select(0, i), IndexError, SELF),
    "gather": (lambda i: X.gather(0, i[None]), RuntimeError, BOUNDS),
    "scatter": (lambda i: X.scatter(0, i[None], 1.0), RuntimeError, BOUNDS),
    "scatter_reduce": (
        lambda i: X.scatter_reduce(0, i[None], X, "prod"), RuntimeError, BOUNDS,
    ),
    "index_add": (lambda i: X.index_add(0, i, X), RuntimeError, BOUNDS),
    "index_copy": (lambda i: X.index_copy(0, i, X), IndexError, f"index_copy_(): {BOUNDS}"),
    "index_put": (lambda i: X.index_put((i,), torch.ones(3)), IndexError, BOUNDS),
    "index_fill": (lambda i: X.index_fill(0, i, 1.0), IndexError, BOUNDS),
    "index_reduce": (lambda i: X.index_reduce(0, i, X, "amax"), IndexError, SELF),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_a_known_index_is_refused_at_the_call(name: str) -> None:
    call, error, words = CALLS[name]
    for _ in range(3):  # nobody reads a result
        with pytest.raises(error) as told:
            call(BAD)
        assert str(told.value) == words
        with pytest.raises(error):
            call(torch.tensor([[0, 5]])[0])  # a view of what is known
    engine.flush()
    assert call(torch.tensor([0, 1])) is not None


@pytest.mark.parametrize("fuse_after", [1, 2, 1 << 40])
@pytest.mark.parametrize("name", CALLS)
def test_an_index_that_is_computed_is_refused_when_it_is_run(name: str, fuse_after: int) -> None:
    """Though nobody reads the result, and nothing else of the stretch is read."""
    call, error, _ = CALLS[name]
    engine.flush()
    with override(fuse_after=fuse_after):
        for _ in range(3):
            call(BAD * 1)
            with pytest.raises(error, match="out of"):
                engine.flush()
            call(BAD.remainder(2))
            engine.flush()


@pytest.mark.parametrize("fuse_after", [1, 1 << 40])
@pytest.mark.parametrize("name", CALLS)
def test_a_recognised_index_is_refused_at_the_call(name: str, fuse_after: int) -> None:
    call, error, words = CALLS[name]
    engine.flush()
    batches = torch.tensor([0, 1, 1, 0, 0, 1, 0, 1, 1, 1, 0, 5])
    with override(fuse_after=fuse_after):
        for make in (
            lambda n: torch.tensor([0, 1 if n < 5 else 5]),
            lambda n: batches[2 * n :][:2],
        ):
            for n in range(5):
                call(make(n))
                engine.flush()
            for _ in range(2):
                with pytest.raises(error) as told:
                    call(make(5))
                assert str(told.value) == words
            call(make(0))
            engine.flush()
    assert (X * 2).sum().item() == 30.0


def test_an_index_is_looked_at_again_when_it_was_written() -> None:
    i = torch.tensor([0, 1])
    for n in range(8):
        if n == 6:
            i[1] = 5
            engine.flush()
        if n < 6:
            F.embedding(i, X)
            engine.flush()
        else:
            with pytest.raises(IndexError):
                F.embedding(i, X)
    i[:] = 1
    array = i.numpy()
    for _ in range(4):
        F.embedding(i, X)
        engine.flush()
    array[0] = 7
    with pytest.raises(IndexError):
        F.embedding(i, X)


def test_one_index_for_two_tables() -> None:
    small, large = torch.ones(3, 2), torch.ones(9, 2)
    for n in range(8):
        i = torch.tensor([0, 2 if n < 5 else 5])
        assert F.embedding(i, large).sum().item() == 4.0
        if n < 5:
            assert F.embedding(i, small).sum().item() == 4.0
        else:
            with pytest.raises(IndexError):
                F.embedding(i, small)
    i = torch.tensor([0, 8])
    for _ in range(3):
        assert (i + 1).tolist() == [1, 9]


def test_what_is_ignored_is_no_class() -> None:
    t = torch.tensor([1, -100])
    assert F.cross_entropy(X, t).item() == F.cross_entropy(X[:1], t[:1]).item()
    with pytest.raises(IndexError, match="Target -100"):
        F.cross_entropy(X, t, ignore_index=7)
    assert F.cross_entropy(X, torch.tensor([1, 7]), ignore_index=7).item() > 0


def test_values_beside_indices() -> None:
    half = torch.full((2,), 0.5)
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        F.binary_cross_entropy(torch.tensor([0.5, 1.5]), half)
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        F.binary_cross_entropy(torch.tensor([0.5, 1.5]), half, weight=half)
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        torch.tensor([1, 2]) // torch.tensor([1, 0])
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        torch.tensor([1, 2]) % torch.tensor([1, 0])


def test_the_program_goes_on_after_a_refusal() -> None:
    w = torch.ones(2, 3, requires_grad=True)
    y = w * 2
    for n in range(4):
        with pytest.raises(IndexError):
            F.embedding(BAD, w)
        z = (y + n).sum()
    z.backward()
    assert z.item() == 30.0 and torch.equal(w.grad, torch.full((2, 3), 2.0))


def test_a_stretch_without_a_value_to_make_is_not_run() -> None:
    engine.flush()
    X * 3
    runs = MAIN.cur
    engine.flush()
    assert runs.nxt.info.idle


@pytest.mark.parametrize(
    "call",
    [
        lambda: torch.linalg.cholesky(-torch.eye(2)),
        lambda: torch.cholesky(-torch.eye(2), upper=True),
        lambda: torch.linalg.inv(torch.zeros(2, 2)),
        lambda: torch.zeros(2, 2).inverse(),
        lambda: torch.linalg.solve(torch.zeros(2, 2), torch.ones(2)),
        lambda: torch.linalg.solve(torch.zeros(2, 2), torch.ones(1, 2), left=False),
    ],
)
def test_a_factorisation_that_does_not_exist_is_refused_at_the_call(call: Any) -> None:
    for _ in range(3):
        with pytest.raises(torch.linalg.LinAlgError):
            call()


def test_jitter_until_there_is_a_factor() -> None:
    a = torch.ones(3, 3, requires_grad=True)
    tried = 0
    for _ in range(4):
        try:
            root = torch.linalg.cholesky(a + tried * 0.5 * torch.eye(3))
            break
        except torch.linalg.LinAlgError:
            tried += 1
    root.sum().backward()
    assert tried == 1 and a.grad.isfinite().all()
