"""Gather and scatter: values against NumPy, repeated places, gradients, bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rushlight.graph.ops import indexing as ix
from tests.graph.rows import check_gradients, evaluate, first_order, spec_of

RNG = np.random.default_rng(11)
X = RNG.standard_normal((3, 4, 5))


def loop_gather(x: Any, i: Any, dim: int) -> Any:
    out = np.empty(i.shape, x.dtype)
    for at in np.ndindex(*i.shape):
        place = list(at)
        place[dim] = i[at]
        out[at] = x[tuple(place)]
    return out


def loop_scatter(base: Any, i: Any, v: Any, dim: int, accumulate: bool) -> Any:
    out = base.copy()
    for at in np.ndindex(*i.shape):
        place = list(at)
        place[dim] = i[at]
        out[tuple(place)] = out[tuple(place)] + v[at] if accumulate else v[at]
    return out


@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("kind", [np.int64, np.int32])
def test_gather(dim: int, kind: Any) -> None:
    i = RNG.integers(0, X.shape[dim], (2, 3, 4)).astype(kind)
    f = lambda x, p: ix.gather(x, p, arg=dim)  # noqa: E731
    assert evaluate(f, X, i).tobytes() == loop_gather(X, i, dim).tobytes()
    small = X[:2, :2, :2]
    check_gradients(f, [small, RNG.integers(0, 2, (2, 2, 2))], [0])


@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("accumulate", [False, True])
def test_scatter(dim: int, accumulate: bool) -> None:
    """Places repeat: the last stays, or all are added in order."""
    i = RNG.integers(0, X.shape[dim], (3, 4, 5))
    v = RNG.standard_normal(i.shape)
    f = lambda b, p, w: ix.scatter(b, p, w, arg=(dim, accumulate))  # noqa: E731
    assert evaluate(f, X, i, v).tobytes() == loop_scatter(X, i, v, dim, accumulate).tobytes()
    j = (
        RNG.integers(0, 2, (2, 2, 2))
        if accumulate
        else np.stack([np.zeros((2, 2), int), np.ones((2, 2), int)], dim)
    )
    check_gradients(f, [X[:2, :2, :2], j, v[:2, :2, :2]], [0, 2])


@pytest.mark.parametrize(
    ("dims", "places"),
    [
        ((0,), [(6,)]),
        ((1,), [(2, 3)]),
        ((2,), [()]),
        ((0, 1), [(2, 1), (3,)]),
        ((1, 2), [(4,), (4,)]),
        ((0, 2), [(2, 3), (3,)]),
        ((0, 1, 2), [(5,), (1,), (5,)]),
    ],
)
def test_index(dims: tuple[int, ...], places: list[tuple[int, ...]]) -> None:
    given = [RNG.integers(-X.shape[d], X.shape[d], s) for d, s in zip(dims, places, strict=True)]
    key: list[Any] = [slice(None)] * 3
    for d, p in zip(dims, given, strict=True):
        key[d] = p
    want = X[tuple(key)]
    f = lambda x, *p: ix.index(x, *p, arg=dims)  # noqa: E731
    got = evaluate(f, X, *given)
    assert got.shape == want.shape and got.tobytes() == want.tobytes()
    check_gradients(f, [X, *given], [0], second=False)

    v = RNG.standard_normal(want.shape)
    for accumulate in (False, True):
        put = lambda b, w, *p: ix.index_put(b, w, *p, arg=(dims, accumulate))  # noqa: E731
        after = X.copy()
        if accumulate:
            np.add.at(after, tuple(key), v)
        else:
            after[tuple(key)] = v
        assert evaluate(put, X, v, *given).tobytes() == after.tobytes()
        if accumulate:
            check_gradients(put, [X, v, *given], [0, 1], second=False)


def test_put_gradients() -> None:
    base, places = RNG.standard_normal((4, 2)), np.array([2, 0])
    for accumulate in (False, True):
        put = lambda b, w, p: ix.index_put(b, w * w, p, arg=((0,), accumulate))  # noqa: E731
        check_gradients(put, [base, RNG.standard_normal((2, 2)), places], [0, 1])
        check_gradients(put, [base, RNG.standard_normal((1, 2)), places], [0, 1])


def test_accumulation_is_in_order() -> None:
    """Repeated places are added one after the other.

    These values give another sum in another order.
    """
    v = np.array([1e8, 1.0, -1e8, 1.0], np.float32)
    got = evaluate(
        lambda b, w, p: ix.index_put(b, w, p, arg=((0,), True)),
        np.zeros(1, np.float32),
        v,
        np.zeros(4, int),
    )
    assert got[0] == ((np.float32(0) + v[0] + v[1]) + v[2]) + v[3] == 1.0


def test_embedding() -> None:
    w, i = RNG.standard_normal((5, 3)), np.array([[0, 2], [2, 4]])
    assert evaluate(lambda a, p: ix.embedding(a, p), w, i).tobytes() == w[i].tobytes()
    check_gradients(lambda a, p: ix.embedding(a * a, p), [w, i], [0])

    (g,) = first_order(lambda a, p: ix.embedding(a, p, arg=2), [w, i], [0])
    assert (g[2] == 0).all() and (g[0] != 0).all()


@pytest.mark.parametrize(
    ("f", "operands", "error", "words"),
    [
        (
            lambda x, i: ix.index(x, i, arg=(0,)),
            (np.zeros(5), [7]),
            IndexError,
            "^index 7 is out of bounds for dimension 0 with size 5$",
        ),
        (
            lambda x, i: ix.index(x, i, arg=(0,)),
            (np.zeros(5), [-6]),
            IndexError,
            "^index -6 is out of bounds for dimension 0 with size 5$",
        ),
        (
            lambda x, i: ix.index(x, i, arg=(1,)),
            (np.zeros((2, 3)), [0, 4, 9]),
            IndexError,
            "^index 4 is out of bounds for dimension 1 with size 3$",
        ),
        (
            lambda x, i: ix.gather(x, i, arg=0),
            (np.zeros(5), [-1]),
            RuntimeError,
            "^index -1 is out of bounds for dimension 0 with size 5$",
        ),
        (
            lambda x, i: ix.scatter(x, i, x, arg=(0, True)),
            (np.zeros(2), [2, 0]),
            RuntimeError,
            "^index 2 is out of bounds for dimension 0 with size 2$",
        ),
        (
            lambda x, i: ix.index_put(x, x, i, arg=((0,), False)),
            (np.zeros(2), [2, 0]),
            IndexError,
            "^index 2 is out of bounds for dimension 0 with size 2$",
        ),
        (
            lambda x, i: ix.embedding(x, i),
            (np.zeros((2, 1)), [3]),
            IndexError,
            "^index out of range in self$",
        ),
    ],
)
def test_bounds(f: Any, operands: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        evaluate(f, operands[0], np.array(operands[1]))


def test_shape_errors() -> None:
    x = np.zeros((2, 3))
    i = np.zeros((2, 2), int)
    with pytest.raises(RuntimeError, match="same number of dimensions as input"):
        spec_of(lambda v, p: ix.gather(v, p, arg=0), x, i[0])
    with pytest.raises(
        RuntimeError, match=r"expected index \[2, 4\] to be no larger than self \[2, 3\]"
    ):
        spec_of(lambda v, p: ix.gather(v, p, arg=0), x, np.zeros((2, 4), int))
    with pytest.raises(RuntimeError, match="Expected dtype int32/int64 for index"):
        spec_of(lambda v, p: ix.gather(v, p, arg=0), x, x)
    with pytest.raises(
        IndexError, match=r"could not be broadcast together with shapes \[2, 2\], \[3\]"
    ):
        spec_of(lambda v, p, q: ix.index(v, p, q, arg=(0, 1)), x, i, np.zeros(3, int))
    with pytest.raises(
        RuntimeError, match=r"value tensor of shape \[3\] cannot be broadcast .* shape \[2\]"
    ):
        spec_of(lambda v, w, p: ix.index_put(v, w, p, arg=((0,), False)), x[0], np.zeros(3), i[0])
    with pytest.raises(
        RuntimeError, match="got Double for the destination and Float for the source"
    ):
        spec_of(
            lambda v, w, p: ix.index_put(v, w, p, arg=((0,), False)),
            x[0],
            np.zeros(2, np.float32),
            i[0],
        )


def test_nothing_is_read_out_of_nothing() -> None:
    assert evaluate(
        lambda x, i: ix.index(x, i, arg=(0,)), np.zeros((0, 3)), np.zeros(0, int)
    ).shape == (0, 3)
    assert evaluate(lambda x, i: ix.gather(x, i, arg=0), np.array(2.5), np.array(0)) == 2.5
    put = evaluate(
        lambda b, i, v: ix.scatter(b, i, v, arg=(0, False)),
        np.array(1.0),
        np.array(0),
        np.array(4.0),
    )
    assert put == 4.0
