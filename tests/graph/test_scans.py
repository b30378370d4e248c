"""Running sums and products, and orders: values against NumPy, gradients, zeros, NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rushlight.base import dtype as dt
from rushlight.graph.ops import scans
from tests.graph.rows import check_gradients, evaluate, spec_of


@pytest.mark.parametrize("op", [scans.cumsum, scans.cumprod])
@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int32, bool])
@pytest.mark.parametrize("dim", [0, 1])
def test_running(op: Any, kind: Any, dim: int) -> None:
    x = (np.random.default_rng(0).uniform(-2, 2, (3, 4))).astype(kind)
    want = op.reference(x, axis=dim)
    got = evaluate(lambda v: op(v, arg=dim), x)
    spec = spec_of(lambda v: op(v, arg=dim), x)
    assert spec.dtype is (dt.from_numpy(x.dtype) if x.dtype.kind == "f" else dt.int64)
    assert got.dtype == np.dtype(spec.dtype.numpy)
    np.testing.assert_allclose(got, want, rtol=1e-6 if kind is np.float32 else 1e-15)


@pytest.mark.parametrize("op", [scans.cumsum, scans.cumprod])
def test_running_of_nothing_and_of_one(op: Any) -> None:
    assert evaluate(lambda v: op(v, arg=0), np.float64(3.0).reshape(())).item() == 3.0
    assert evaluate(lambda v: op(v, arg=0), np.zeros((0, 2))).shape == (0, 2)


def test_sums_of_float32_are_kept_in_float64() -> None:
    x = np.full(1 << 20, 0.1, np.float32)
    got = evaluate(lambda v: scans.cumsum(v, arg=0), x)
    assert got[-1] == np.float32(np.cumsum(x, dtype=np.float64)[-1])


@pytest.mark.parametrize("dim", [0, 1])
def test_gradients(dim: int) -> None:
    x = np.random.default_rng(1).uniform(0.5, 2, (3, 4))
    check_gradients(lambda v: scans.cumsum(v * v, arg=dim), [x], [0])
    check_gradients(lambda v: scans.cumprod(v, arg=dim), [x], [0])


def test_gradient_of_products_with_zeros() -> None:
    x = np.array([[0.0, 2.0, 3.0], [2.0, 0.0, 0.5], [1.5, 0.0, 0.0], [2.0, 3.0, 0.0]])
    check_gradients(lambda v: scans.cumprod(v, arg=1), [x], [0])
    check_gradients(lambda v: scans.cumprod(v, arg=0), [x], [0])


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("shape, dim", [((5,), 0), ((3, 4), 1), ((4, 3, 3), 0), ((2, 1), 1)])
def test_recurrence(shape: tuple[int, ...], dim: int, back: bool) -> None:
    draw = np.random.default_rng(3)
    b, a = draw.uniform(-2, 2, shape), draw.uniform(-2, 2, shape)
    a.flat[1] = 0.0
    want = np.moveaxis(b.copy(), dim, 0)
    factor = np.moveaxis(a, dim, 0)
    for i in range(1, shape[dim]):
        if back:
            want[-1 - i] += factor[-i] * want[-i]
        else:
            want[i] += factor[i] * want[i - 1]
    got = evaluate(lambda p, q: scans.recur(p, q, arg=(dim, back)), b, a)
    np.testing.assert_allclose(got, np.moveaxis(want, 0, dim), rtol=1e-14)
    check_gradients(lambda p, q: scans.recur(p, q, arg=(dim, back)), [b, a], [0, 1])


def test_recurrence_of_few_and_of_many_lines() -> None:
    """Python's numbers or NumPy's lines: the same bits."""
    draw = np.random.default_rng(4)
    b, a = draw.uniform(-2, 2, (2, 6, 20)).astype(np.float32)
    many = evaluate(lambda p, q: scans.recur(p, q, arg=(0, True)), b, a)
    few = evaluate(lambda p, q: scans.recur(p, q, arg=(0, True)), b[:, :3], a[:, :3])
    np.testing.assert_array_equal(many[:, :3], few)


@pytest.mark.parametrize("descending", [False, True])
def test_order(descending: bool) -> None:
    x = np.array([[3.0, np.nan, 1.0, 3.0, 1.0], [0.0, -0.0, np.inf, -np.inf, 2.0]])
    got = evaluate(lambda v: scans.argsort(v, arg=(1, descending)), x)
    want = [[1, 0, 3, 2, 4], [2, 4, 0, 1, 3]] if descending else [[2, 4, 0, 3, 1], [3, 0, 1, 4, 2]]
    assert got.dtype == np.int64 and got.tolist() == want


def test_running_logarithms() -> None:
    x = np.array([[1.0, 1000.0, -2.0, 3.0], [-np.inf, 0.5, -1.0, 2.0]])
    got = evaluate(lambda v: scans.logcumsumexp(v, arg=1), x)
    np.testing.assert_allclose(got, np.logaddexp.accumulate(x, axis=1))
    x = np.random.default_rng(5).uniform(-2, 2, (3, 4))
    check_gradients(lambda v: scans.logcumsumexp(v, arg=1), [x], [0])
    check_gradients(lambda v: scans.logcumsumexp(v, arg=0) * -1.0, [x], [0])
