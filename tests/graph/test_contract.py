"""Matrix products, linear, joining: shapes, the fma chain, gradients, errors."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from rushlight.graph.ops import contract as ct
from rushlight.graph.ops import join
from tests.graph.rows import check_gradients, evaluate, spec_of

RNG = np.random.default_rng(3)


def normal(*shape: int, kind: Any = np.float64) -> Any:
    return RNG.standard_normal(shape).astype(kind)


def chain(a: Any, b: Any) -> Any:
    """One fused chain in k from +0, each step rounded once: in rationals."""
    kind = a.dtype.type
    out = np.zeros((a.shape[0], b.shape[1]), kind)
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            acc = kind(0)
            for k in range(a.shape[1]):
                exact = Fraction(float(a[i, k])) * Fraction(float(b[k, j])) + Fraction(float(acc))
                acc = rounded(exact, kind)
            out[i, j] = acc
    return out


def rounded(x: Fraction, kind: Any) -> Any:
    """The nearest number of a type.

    Python rounds rationals to doubles rightly; floats are checked by neighbours.
    """
    near = kind(float(x))
    options = [np.nextafter(near, kind(-np.inf)), near, np.nextafter(near, kind(np.inf))]
    return min(options, key=lambda v: abs(Fraction(float(v)) - x))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 7, 2), (5, 40, 9)])
def test_chain(kind: Any, shape: tuple[int, int, int]) -> None:
    m, k, n = shape
    a, b = normal(m, k, kind=kind), normal(k, n, kind=kind)
    want = chain(a, b)
    assert evaluate(ct.matmul, a, b).tobytes() == want.tobytes()
    assert (
        evaluate(ct.matmul, np.asfortranarray(a), np.asfortranarray(b)).tobytes() == want.tobytes()
    )


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ((2, 3), (3, 4)),
        ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)),
        ((5, 2, 3), (5, 3, 4)),
        ((5, 1, 2, 3), (6, 3, 4)),
    ],
)
def test_batches(x: tuple[int, ...], y: tuple[int, ...]) -> None:
    a, b = normal(*x), normal(*y)
    np.testing.assert_allclose(evaluate(ct.matmul, a, b), a @ b, rtol=1e-12, atol=1e-14)
    if a.size * b.size < 1000:
        check_gradients(ct.matmul, [a, b], [0, 1])
    assert spec_of(ct.matmul, a, b).shape == (a @ b).shape


def test_sizes_of_zero_and_integers() -> None:
    assert evaluate(ct.matmul, normal(2, 0), normal(0, 3)).tolist() == [[0] * 3] * 2
    assert evaluate(ct.matmul, normal(0, 2), normal(2, 3)).shape == (0, 3)
    a = np.arange(6).reshape(2, 3) + 2**62
    assert evaluate(ct.matmul, a, a.T.copy()).tolist() == (a @ a.T).tolist()


@pytest.mark.parametrize("x", [(3,), (2, 3), (2, 2, 3)])
@pytest.mark.parametrize("bias", [False, True])
def test_linear(x: tuple[int, ...], bias: bool) -> None:
    operands = [normal(*x), normal(4, 3), normal(4)][: 3 if bias else 2]
    want = operands[0] @ operands[1].T + (operands[2] if bias else 0)
    np.testing.assert_allclose(evaluate(ct.linear, *operands), want, rtol=1e-13)
    assert spec_of(ct.linear, *operands).shape == want.shape
    check_gradients(ct.linear, operands, list(range(len(operands))))


def test_addmm() -> None:
    c, x, y = normal(4), normal(2, 3), normal(3, 4)
    np.testing.assert_allclose(evaluate(ct.addmm, c, x, y), c + x @ y, rtol=1e-13)
    check_gradients(ct.addmm, [c, x, y], [0, 1, 2])


@pytest.mark.parametrize(
    ("op", "operands", "error", "words"),
    [
        (
            ct.matmul,
            (normal(2, 3), normal(4, 5)),
            RuntimeError,
            r"cannot be multiplied \(2x3 and 4x5\)",
        ),
        (
            ct.matmul,
            (normal(2, 2, 3), normal(4, 5)),
            RuntimeError,
            r"cannot be multiplied \(4x3 and 4x5\)",
        ),
        (
            ct.matmul,
            (normal(2, 3), normal(3, 4, kind=np.float32)),
            RuntimeError,
            "got: double != float",
        ),
        (
            ct.matmul,
            (normal(2, 2, 3), normal(2, 4, 5)),
            RuntimeError,
            r"to be: \[2, 3\] but got: \[2, 4\]",
        ),
        (
            ct.matmul,
            (normal(2, 2, 3), normal(3, 3, 5)),
            RuntimeError,
            r"tensor a \(2\) must match .* b \(3\)",
        ),
        (
            ct.linear,
            (normal(2, 3), normal(4, 5)),
            RuntimeError,
            r"cannot be multiplied \(2x3 and 5x4\)",
        ),
        (
            ct.linear,
            (normal(2, 3), normal(4, 3), normal(5)),
            RuntimeError,
            r"expanded size of the tensor \(4\)",
        ),
    ],
)
def test_errors(op: Any, operands: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        spec_of(op, *operands)


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_cat(dim: int) -> None:
    shapes = [(2, 3), (2, 3), (2, 3)]
    shapes[1] = (1, 3) if dim == 0 else (2, 1)
    parts = [normal(*s) for s in shapes]
    f = lambda *v: join.cat(*v, arg=dim)  # noqa: E731
    assert evaluate(f, *parts).tobytes() == np.concatenate(parts, axis=dim).tobytes()
    check_gradients(f, parts, [0, 1, 2])


def test_stack_and_layout() -> None:
    parts = [normal(2, 3), normal(2, 3)]
    f = lambda *v: join.stack(v, 1)  # noqa: E731
    assert evaluate(f, *parts).tobytes() == np.stack(parts, axis=1).tobytes()
    image = np.ascontiguousarray(normal(2, 4, 5, 3)).transpose(0, 3, 1, 2)
    assert spec_of(lambda *v: join.cat(*v, arg=1), image, image).strides == (120, 1, 30, 6)
    assert spec_of(lambda *v: join.cat(*v, arg=0), parts[0].T, parts[1].T).strides == (2, 1)


def test_cat_errors() -> None:
    f = lambda *v: join.cat(*v, arg=0)  # noqa: E731
    with pytest.raises(RuntimeError, match="Expected size 3 but got size 4 for tensor number 1"):
        spec_of(f, normal(2, 3), normal(2, 4))
    with pytest.raises(RuntimeError, match="same number of dimensions: got 2 and 1"):
        spec_of(f, normal(2, 3), normal(2))
    with pytest.raises(IndexError, match="Dimension out of range"):
        spec_of(lambda *v: join.cat(*v, arg=5), normal(2), normal(2))
