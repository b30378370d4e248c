"""Reductions: shapes, values, the law of order, gradients, errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from rushlight.base import dtype as dt
from rushlight.engine import eager_fold
from rushlight.graph.op import TABLE, Spec
from rushlight.graph.ops import normalised as nm
from rushlight.graph.ops import reduce as rd
from tests.graph.rows import Expression, check_gradients, evaluate, gradients, spec_of

RNG = np.random.default_rng(5)
X = RNG.uniform(-3, 3, (2, 3, 4))
DIMS: list[tuple[int, ...]] = [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2), ()]
REFERENCE: dict[str, Any] = {
    "sum": np.sum,
    "prod": np.prod,
    "amax": np.max,
    "amin": np.min,
    "any": np.any,
    "all": np.all,
    "mean": np.mean,
    "logsumexp": lambda x, axis, keepdims: np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims)),
}


def exact_chain(values: list[float], kind: Any) -> Any:
    """The law of ``graph/ops/reduce.py`` for one lane, word by word, on NumPy scalars."""
    levels: dict[int, tuple[Any, int]] = {}
    group: list[Any] = []

    def enter(level: int, v: Any) -> None:
        have = levels.get(level)
        total, n = (v, 1) if have is None else (have[0] + v, have[1] + 1)
        if n == rd.GROUP:
            levels.pop(level, None)
            enter(level + 1, total)
        else:
            levels[level] = (total, n)

    def closed() -> Any:
        acc = group[0]
        for v in group[1:]:
            acc = acc + v
        group.clear()
        return acc

    for v in values:
        group.append(kind(v))
        if len(group) == rd.GROUP:
            enter(1, closed())
    carry = closed() if group else None
    for level in range(1, max(levels, default=0) + 1):
        if level in levels:
            carry = levels[level][0] if carry is None else levels[level][0] + carry
    return carry


@pytest.mark.parametrize("name", REFERENCE)
@pytest.mark.parametrize("dims", DIMS)
@pytest.mark.parametrize("keepdim", [False, True])
def test_value(name: str, dims: tuple[int, ...], keepdim: bool) -> None:
    op = TABLE[name]
    got = evaluate(lambda x: op(x, arg=(dims, keepdim)), X)
    want = REFERENCE[name](X, axis=dims, keepdims=keepdim)
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=1e-13)
    spec = spec_of(lambda x: op(x, arg=(dims, keepdim)), np.asfortranarray(X))
    assert spec.shape == want.shape
    assert spec.strides == Spec(want.shape, dt.float64).strides


@pytest.mark.parametrize("k", [1, 2, 15, 16, 17, 31, 32, 33, 255, 256, 257, 4096, 4097, 5000])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_law_of_order_one_lane(k: int, kind: Any) -> None:
    x = RNG.standard_normal((k, 3)).astype(kind)
    got = evaluate(lambda v: rd.sum_(v, arg=((0,), False)), x)
    for j in range(3):
        assert got[j] == exact_chain(list(x[:, j]), kind)


@pytest.mark.parametrize("k", [2, 3, 5, 6, 7, 8, 9, 10, 11, 31, 32, 33, 100, 512, 513, 8192, 9000])
def test_law_of_order_lanes(k: int) -> None:
    x = RNG.standard_normal((2, k)).astype(np.float32)
    got = evaluate(lambda v: rd.sum_(v, arg=((1,), False)), x)
    for i in range(2):
        padded = np.full(-(-k // rd.LANES) * rd.LANES, -0.0, np.float32)
        padded[:k] = x[i]
        lanes = [exact_chain(list(padded[j :: rd.LANES]), np.float32) for j in range(rd.LANES)]
        while len(lanes) > 1:
            half = len(lanes) // 2
            lanes = [lanes[j] + lanes[j + half] for j in range(half)]
        assert got[i] == lanes[0]


@pytest.mark.parametrize("name", ["sum", "prod", "amax", "amin"])
@pytest.mark.parametrize("dims", DIMS)
@pytest.mark.parametrize(
    "shape", [(3, 70, 5), (2, 3, 600), (40, 1, 1), (1, 37, 1), (9, 2, 3), (4, 5, 7), (5, 1, 10)]
)
def test_kernels_keep_the_law(name: str, dims: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """The native kernels against the plain NumPy statement, bit for bit, zeros' signs included."""
    x = RNG.standard_normal(shape).astype(np.float32)
    if name in ("amax", "amin"):
        x = np.round(x)
        x[RNG.random(shape) < 0.3] = -0.0
    if name == "prod":
        x = np.float32(1) + x * np.float32(0.01)
    got = evaluate(lambda v: TABLE[name](v, arg=(dims, False)), x)
    assert got.tobytes() == np.asarray(eager_fold.fold(name, x, dims)).tobytes()
    turned = np.asfortranarray(x)
    assert evaluate(lambda v: TABLE[name](v, arg=(dims, False)), turned).tobytes() == got.tobytes()


@pytest.mark.parametrize("name", ["amax", "amin"])
@pytest.mark.parametrize("at", [0, 3, 40, 69])
def test_nan_wins(name: str, at: int) -> None:
    x = RNG.standard_normal(70).astype(np.float32)
    x[at] = np.nan
    assert math.isnan(evaluate(lambda v: TABLE[name](v, arg=((0,), False)), x))
    found = evaluate(lambda v: TABLE["arg" + name[1:]](v, arg=((0,), False)), x)
    assert found == at and found.dtype == np.int64


def test_first_winner() -> None:
    x = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 0.0]])
    assert evaluate(lambda v: rd.argmax(v, arg=((1,), False)), x).tolist() == [1, 0]
    assert evaluate(lambda v: rd.argmin(v, arg=((0, 1), False)), x) == 5
    assert evaluate(lambda v: rd.argmax(v, arg=((0,), True)), x).tolist() == [[1, 0, 0]]


def test_integers_and_bools() -> None:
    for kind in (np.bool_, np.uint8, np.int8, np.int32, np.int64):
        x = np.array([[1, 0, 1], [1, 1, 1]]).astype(kind)
        s = evaluate(lambda v: rd.sum_(v, arg=((0,), False)), x)
        assert s.dtype == np.int64 and s.tolist() == [2, 1, 2]
        p = evaluate(lambda v: rd.prod(v, arg=((1,), False)), x)
        assert p.dtype == np.int64 and p.tolist() == [0, 1]
        top = evaluate(lambda v: rd.amax(v, arg=((1,), False)), x)
        assert top.dtype == kind
        some = evaluate(lambda v: rd.any_(v, arg=((1,), False)), x)
        assert some.dtype == (np.uint8 if kind is np.uint8 else np.bool_)
    wide = np.full(3, 2**62)
    assert evaluate(lambda v: rd.sum_(v, arg=((0,), False)), wide) == 3 * 2**62 - 2**64


@pytest.mark.parametrize("name", ["sum", "prod", "amax", "amin", "mean", "logsumexp"])
@pytest.mark.parametrize("dims", [(0,), (1,), (0, 1)])
@pytest.mark.parametrize("keepdim", [False, True])
def test_gradients(name: str, dims: tuple[int, ...], keepdim: bool) -> None:
    check_gradients(lambda x: TABLE[name](x, arg=(dims, keepdim)), [X[0]], [0])


@pytest.mark.parametrize("zeros", [1, 2, 3])
def test_prod_gradient_at_zeros(zeros: int) -> None:
    x = np.array([1.5, -2.0, 0.5, 3.0])
    x[:zeros] = 0
    check_gradients(lambda v: rd.prod(v, arg=((0,), False)), [x], [0])


def test_winner_gradient_is_shared() -> None:
    e = Expression([np.array([1.0, 3.0, 3.0])])
    root = rd.amax(e.vals[0], arg=((0,), False))
    (g,) = gradients(root, e.vals)
    assert g is not None
    assert e.value(g)[0].tolist() == [0.0, 0.5, 0.5]


@pytest.mark.parametrize("name", ["var", "std"])
@pytest.mark.parametrize("correction", [0, 1, 2])
def test_variance(name: str, correction: int) -> None:
    op = TABLE[name]
    for dims, keepdim in (((0,), False), ((1,), True), ((0, 1), False)):
        got = evaluate(lambda v: op(v, arg=(dims, keepdim, correction)), X[0])
        want = getattr(np, name)(X[0], axis=dims, keepdims=keepdim, ddof=correction)
        np.testing.assert_allclose(got, want, rtol=1e-13)
        check_gradients(lambda v: op(v, arg=(dims, keepdim, correction)), [X[0]], [0])


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dim", [0, 1])
def test_softmax(name: str, dim: int) -> None:
    op = TABLE[name]
    x = X[0]
    want = np.exp(x) / np.exp(x).sum(axis=dim, keepdims=True)
    got = evaluate(lambda v: op(v, arg=dim), x)
    np.testing.assert_allclose(got, want if name == "softmax" else np.log(want), rtol=1e-13)
    check_gradients(lambda v: op(v, arg=dim), [x], [0])
    huge = evaluate(lambda v: op(v, arg=1), np.array([[1e4, -1e4, 0.0]]))
    assert np.isfinite(huge).all()


def test_softmax_of_no_dimensions() -> None:
    assert evaluate(lambda v: nm.softmax(v, arg=0), np.array(3.0)) == 1.0
    assert evaluate(lambda v: nm.log_softmax(v, arg=0), np.array(3.0)) == 0.0


def test_logsumexp_of_infinities() -> None:
    f = lambda v: nm.logsumexp(v, arg=((0,), False))  # noqa: E731
    assert evaluate(f, np.array([-np.inf, -np.inf])) == -np.inf
    assert evaluate(f, np.array([np.inf, 1.0])) == np.inf
    assert evaluate(f, np.array([1000.0, 1000.0])) == pytest.approx(1000 + math.log(2))


def test_nothing_to_reduce() -> None:
    x = np.zeros((0, 3))
    assert evaluate(lambda v: rd.sum_(v, arg=((0,), False)), x).tolist() == [0, 0, 0]
    assert evaluate(lambda v: rd.prod(v, arg=((0, 1), False)), x) == 1
    assert evaluate(lambda v: rd.sum_(v, arg=((1,), False)), x).shape == (0,)
    assert evaluate(lambda v: rd.all_(v, arg=((0, 1), False)), x)


@pytest.mark.parametrize(
    ("name", "shape", "dims", "error", "words"),
    [
        (
            "amax",
            (2, 0, 3),
            (1,),
            IndexError,
            r"amax\(\): Expected reduction dim 1 to have non-zero size.",
        ),
        (
            "amax",
            (0,),
            (0,),
            RuntimeError,
            r"amax\(\): Expected reduction dim to be specified for input.numel\(\) == 0. S",
        ),
        ("argmin", (0,), (0,), IndexError, r"argmin\(\): Expected reduction dim to be specified"),
        ("mean", None, (0,), RuntimeError, "Got: Long"),
        ("var", None, (0, False, 1), RuntimeError, "std and var only support floating point"),
    ],
)
def test_errors(name: str, shape: Any, dims: Any, error: Any, words: str) -> None:
    x = np.array([1, 2]) if shape is None else np.zeros(shape)
    arg = (dims, False, 1) if name == "var" else (dims, False)
    with pytest.raises(error, match=words):
        spec_of(lambda v: TABLE[name](v, arg=arg), x)


def test_bool_has_no_argmax() -> None:
    with pytest.raises(RuntimeError, match="does not support bool input"):
        spec_of(lambda v: rd.argmax(v, arg=((0,), False)), np.array([True]))
