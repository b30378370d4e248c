"""Decompositions, solutions, determinants: values against NumPy, gradients of two orders."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rushlight.base.errors import LinAlgError
from rushlight.graph.ops import matrices as mx
from rushlight.graph.value import Val
from tests.graph.rows import check_gradients, evaluate, spec_of

RNG = np.random.default_rng(11)
SQUARE = RNG.uniform(-1, 1, (2, 3, 3)) + 2 * np.eye(3)
POSITIVE = SQUARE @ SQUARE.swapaxes(-1, -2)
TALL, WIDE = RNG.uniform(-1, 1, (4, 3)), RNG.uniform(-1, 1, (2, 4))
RIGHT = RNG.uniform(-1, 1, (2, 3, 2))


def symmetric(x: Val) -> Val:
    """A symmetric matrix of any, so that differences move both triangles."""
    return (x + mx.transpose(x)) * 0.5


def fixed(parts: list[Val]) -> Val:
    """Vectors squared: their signs are a choice."""
    a, *rest = parts
    total = a * a
    for p in rest:
        total = total + p * p if p.shape == total.shape else total
    return total


def test_inverses_and_determinants() -> None:
    for kind, close in ((np.float64, 1e-12), (np.float32, 2e-5)):
        a = SQUARE.astype(kind)
        assert evaluate(mx.inv, a).dtype == kind
        np.testing.assert_allclose(evaluate(mx.inv, a) @ a, np.broadcast_to(np.eye(3), a.shape),
                                   atol=close)  # fmt: skip
        np.testing.assert_allclose(evaluate(mx.det, a), np.linalg.det(a), rtol=close)
        sign, size = np.linalg.slogdet(a)
        np.testing.assert_allclose(evaluate(mx.signdet, a), sign)
        np.testing.assert_allclose(evaluate(mx.logabsdet, a), size, rtol=close)
    assert evaluate(mx.det, np.zeros((0, 0))).item() == 1.0
    assert spec_of(mx.inv, SQUARE).strides == (9, 1, 3)
    with pytest.raises(LinAlgError, match="singular"):
        evaluate(mx.inv, np.zeros((2, 2)))


def test_pseudo_inverse() -> None:
    low = TALL.copy()
    low[:, 2] = low[:, 0]
    for a in (TALL, WIDE, low):
        bounds = (0.0, 1e-10, False)
        got = evaluate(lambda v, b=bounds: mx.pinv(v, arg=b), a)
        np.testing.assert_allclose(got, np.linalg.pinv(a), atol=1e-12)


def test_equations() -> None:
    got = evaluate(mx.solve, SQUARE, RIGHT)
    np.testing.assert_allclose(SQUARE @ got, RIGHT, atol=1e-12)
    wide = evaluate(mx.solve, SQUARE[0], RIGHT)
    np.testing.assert_allclose(SQUARE[0] @ wide, RIGHT, atol=1e-12)
    for upper in (True, False):
        for unit in (True, False):
            t = np.triu(SQUARE) if upper else np.tril(SQUARE)
            if unit:
                t = t * (1 - np.eye(3)) + np.eye(3)
            arg = (upper, unit)
            got = evaluate(lambda a, b, v=arg: mx.solve_triangular(a, b, arg=v), SQUARE, RIGHT)
            np.testing.assert_allclose(t @ got, RIGHT, atol=1e-12)


def test_factors() -> None:
    low = evaluate(lambda v: mx.cholesky(v, arg=True), POSITIVE)
    np.testing.assert_allclose(low, np.linalg.cholesky(POSITIVE), atol=1e-12)
    broken = POSITIVE.copy()
    broken[1, 1, 1] = -1.0
    assert evaluate(mx.cholesky_info, broken).tolist() == [0, 2]
    with pytest.raises(LinAlgError, match=r"Batch element 1.*order 2"):
        evaluate(lambda v: mx.cholesky(v, arg=True), broken)
    for a in (TALL, WIDE, SQUARE):
        for full in (False, True):
            q, r = (evaluate(lambda v, i=i, f=full: both_qr(v, f)[i], a) for i in (0, 1))
            np.testing.assert_allclose(q @ r, a, atol=1e-12)
            u, s, vh = (evaluate(lambda v, i=i, f=full: both_svd(v, f)[i], a) for i in range(3))
            k = s.shape[-1]
            got = (u[..., :k] * s[..., None, :]) @ vh[..., :k, :]
            np.testing.assert_allclose(got, a, atol=1e-12)
        order = evaluate(mx.lu_order, a)
        rows = np.take_along_axis(a, order[..., None], -2)
        low, up = (evaluate(lambda v, i=i: both_lu(v)[i], rows) for i in (0, 1))
        np.testing.assert_allclose(low @ up, rows, atol=1e-12)
        assert np.all(np.abs(low) <= 1)


def both_qr(v: Val, full: bool) -> list[Val]:
    return mx.parts(mx.qr(v, arg=full), mx.qr_sizes(v.shape[-2:], full))


def both_svd(v: Val, full: bool = False) -> list[Val]:
    return mx.parts(mx.svd(v, arg=full), mx.svd_sizes(v.shape[-2:], full))


def both_lu(v: Val) -> list[Val]:
    return mx.parts(mx.lu(v), mx.lu_sizes(v.shape[-2:], None))


def both_eigh(v: Val) -> list[Val]:
    return mx.parts(mx.eigh(symmetric(v), arg=False), mx.eigh_sizes(v.shape[-2:], None))


@pytest.mark.parametrize(
    "build",
    [
        mx.inv,
        mx.det,
        mx.logabsdet,
        mx.expm,
        lambda v: mx.cholesky(mx.matmul(v, mx.transpose(v)), arg=True),
        lambda v: both_eigh(v)[0],
        lambda v: fixed(both_eigh(v)[1:]),
        lambda v: both_lu(v)[0],
        lambda v: both_lu(v)[1],
    ],
)
def test_gradients(build: Any) -> None:
    check_gradients(build, [SQUARE + np.diag([0.0, 1.0, 3.0])], [0])


@pytest.mark.parametrize("a", [TALL, WIDE, SQUARE])
def test_gradients_of_any_shape(a: Any) -> None:
    check_gradients(lambda v: mx.pinv(v, arg=(0.0, 1e-10, False)), [a], [0])
    for i in (0, 1):
        check_gradients(lambda v, i=i: both_qr(v, False)[i], [a], [0])
    for i in (0, 1, 2):
        check_gradients(lambda v, i=i: fixed(both_svd(v)[i : i + 1]), [a], [0])
    order = np.take_along_axis(a, evaluate(mx.lu_order, a)[..., None], -2)
    for i in (0, 1):
        check_gradients(lambda v, i=i: both_lu(v)[i], [order], [0])


def test_gradients_of_equations() -> None:
    check_gradients(mx.solve, [SQUARE, RIGHT], [0, 1])
    check_gradients(mx.solve, [SQUARE[0], RIGHT], [0, 1])
    for arg in ((True, False), (False, True)):
        check_gradients(
            lambda a, b, v=arg: mx.solve_triangular(a, b, arg=v), [SQUARE, RIGHT], [0, 1]
        )


def test_gradient_of_the_determinant_of_a_singular_matrix() -> None:
    a = np.array([[1.0, 2.0], [2.0, 4.0]])
    check_gradients(mx.det, [a], [0], second=False)
    assert evaluate(mx.cofactor, np.zeros((2, 2))).tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_singular_values_that_coincide() -> None:
    check_gradients(lambda v: mx.det(v) * 1.0, [np.eye(2)], [0])
    e = evaluate(lambda v: both_svd(v)[1], np.eye(2))
    assert e.tolist() == [1.0, 1.0]
