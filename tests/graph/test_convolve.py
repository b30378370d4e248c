"""Convolutions: values against loops over taps, the fma chain, gradients of two orders, errors."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest

from rushlight.graph.ops import convolve as cv
from tests.graph.rows import check_gradients, evaluate, spec_of
from tests.graph.test_contract import rounded

RNG = np.random.default_rng(5)


def normal(*shape: int, kind: Any = np.float64) -> Any:
    return RNG.standard_normal(shape).astype(kind)


def terms(x: Any, w: Any, arg: Any) -> list[list[tuple[Any, Any]]]:
    """For every element of the convolution the factors of its chain, in order."""
    stride, pads, dilation, groups = arg
    wide = np.pad(x, ((0, 0), (0, 0), *((max(a, 0), max(b, 0)) for a, b in pads)))
    cut = tuple(
        slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(wide.shape[2:], pads, strict=True)
    )
    wide = wide[(slice(None), slice(None), *cut)]
    size = tuple(map(cv.places, x.shape[2:], w.shape[2:], stride, pads, dilation))
    out = []
    for n, o in np.ndindex(x.shape[0], w.shape[0]):
        first = o // (w.shape[0] // groups) * w.shape[1]
        for q in np.ndindex(*size):
            chain = []
            for c in range(w.shape[1]):
                for k in np.ndindex(*w.shape[2:]):
                    at = tuple(
                        i * s + t * d for i, s, t, d in zip(q, stride, k, dilation, strict=True)
                    )
                    chain.append((wide[(n, first + c, *at)], w[(o, c, *k)]))
            out.append(chain)
    return out


def plain(x: Any, w: Any, arg: Any) -> Any:
    size = tuple(map(cv.places, x.shape[2:], w.shape[2:], *arg[:3]))
    values = [sum(a * b for a, b in chain) for chain in terms(x, w, arg)]
    return np.array(values).reshape(x.shape[0], w.shape[0], *size)


CASES: list[Any] = [
    ((1, 1, 5), (1, 1, 3), ((1,), ((0, 0),), (1,), 1)),
    ((2, 4, 7), (6, 2, 3), ((2,), ((1, 2),), (2,), 2)),
    ((2, 3, 6, 5), (4, 3, 3, 2), ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)),
    ((2, 3, 6, 5), (2, 3, 3, 3), ((1, 1), ((1, 1), (1, 1)), (1, 1), 1)),
    ((1, 4, 8, 7), (4, 2, 3, 2), ((2, 3), ((1, 0), (2, 1)), (1, 2), 2)),
    ((1, 2, 9, 9), (3, 2, 2, 3), ((3, 2), ((-1, 0), (-2, 1)), (2, 1), 1)),
    ((1, 3, 6, 6), (5, 3, 1, 1), ((2, 2), ((0, 0), (0, 0)), (1, 1), 1)),
    ((1, 4, 5, 5), (4, 1, 3, 3), ((1, 1), ((1, 1), (1, 1)), (1, 1), 4)),
    ((1, 2, 4, 5, 3), (2, 2, 2, 3, 2), ((1, 2, 1), ((0, 1), (1, 1), (0, 0)), (1, 1, 2), 1)),
]


@pytest.mark.parametrize(("x", "w", "arg"), CASES)
def test_values_and_adjoints(x: Any, w: Any, arg: Any) -> None:
    """The other rows are the adjoints: <conv(x, w), g> = <x, input(g, w)> = <w, weight(x, g)>."""
    a, b = normal(*x), normal(*w)
    got = evaluate(lambda p, q: cv.convolve(p, q, arg=arg), a, b)
    np.testing.assert_allclose(got, plain(a, b, arg), rtol=1e-11, atol=1e-12)
    assert spec_of(lambda p, q: cv.convolve(p, q, arg=arg), a, b).shape == got.shape
    g = normal(*got.shape)
    back = evaluate(lambda p, q: cv.convolve_input(p, q, arg=(*arg, x[2:])), g, b)
    weight = evaluate(lambda p, q: cv.convolve_weight(p, q, arg=(*arg, w[2:])), a, g)
    assert back.shape == x and weight.shape == w
    want = (got * g).sum()
    assert (back * a).sum() == pytest.approx(want, rel=1e-10)
    assert (weight * b).sum() == pytest.approx(want, rel=1e-10)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_one_chain_of_fused_steps(kind: Any) -> None:
    arg = ((1, 2), ((1, 1), (0, 1)), (1, 1), 1)
    x, w = normal(1, 2, 4, 5, kind=kind), normal(3, 2, 3, 2, kind=kind)
    got = evaluate(lambda p, q: cv.convolve(p, q, arg=arg), x, w)
    want = []
    for chain in terms(x, w, arg):
        acc = kind(0)
        for a, b in chain:
            acc = rounded(Fraction(float(a)) * Fraction(float(b)) + Fraction(float(acc)), kind)
        want.append(acc)
    assert got.tobytes() == np.array(want, kind).tobytes()


@pytest.mark.parametrize("order", ["C", "F"])
def test_layout_changes_no_bit(order: Any) -> None:
    arg = ((2, 1), ((1, 1), (1, 1)), (1, 1), 1)
    x, w = normal(2, 3, 6, 5, kind=np.float32), normal(4, 3, 3, 3, kind=np.float32)
    want = evaluate(lambda p, q: cv.convolve(p, q, arg=arg), x, w)
    other = [np.asarray(v, order=order) for v in (x, w)]
    assert evaluate(lambda p, q: cv.convolve(p, q, arg=arg), *other).tobytes() == want.tobytes()


@pytest.mark.parametrize(
    ("x", "w", "arg"),
    [
        ((2, 2, 4), (2, 1, 2), ((2,), ((1, 0),), (1,), 2)),
        ((1, 2, 3, 4), (2, 2, 2, 2), ((1, 1), ((1, 0), (0, 0)), (1, 2), 1)),
        ((1, 1, 4, 4), (2, 1, 3, 3), ((2, 3), ((1, 1), (1, 1)), (1, 1), 1)),
    ],
)
def test_gradients(x: Any, w: Any, arg: Any) -> None:
    a, b = normal(*x), normal(*w)
    check_gradients(lambda p, q: cv.convolve(p, q, arg=arg), [a, b], [0, 1])
    g = normal(*evaluate(lambda p, q: cv.convolve(p, q, arg=arg), a, b).shape)
    check_gradients(lambda p, q: cv.convolve_input(p, q, arg=(*arg, x[2:])), [g, b], [0, 1])
    check_gradients(lambda p, q: cv.convolve_weight(p, q, arg=(*arg, w[2:])), [a, g], [0, 1])
    bias = normal(w[0])
    check_gradients(lambda p, q, r: cv.convolution(p, q, r, arg=arg), [a, b, bias], [0, 1, 2])


def test_strides_and_dilations_that_leave_places_without_taps() -> None:
    for s, d, k in product((2, 3, 4), (1, 2, 3), (1, 2)):
        arg = ((s,), ((0, 0),), (d,), 1)
        x, w = normal(1, 1, 13), normal(1, 1, k)
        got = evaluate(lambda p, q, arg=arg: cv.convolve(p, q, arg=arg), x, w)
        g = normal(*got.shape)
        back = evaluate(lambda p, q, arg=arg: cv.convolve_input(p, q, arg=(*arg, (13,))), g, w)
        assert (back * x).sum() == pytest.approx((got * g).sum(), rel=1e-10)


def test_integers_and_no_elements() -> None:
    arg = ((1,), ((1, 1),), (1,), 1)
    x, w = np.arange(6).reshape(1, 2, 3), np.arange(8).reshape(2, 2, 2)
    got = evaluate(lambda p, q: cv.convolve(p, q, arg=arg), x, w)
    assert got.dtype == np.int64 and got.tolist() == plain(x, w, arg).tolist()
    none = evaluate(lambda p, q: cv.convolve(p, q, arg=arg), np.zeros((0, 2, 3)), normal(2, 2, 2))
    assert none.shape == (0, 2, 4)


def test_refused() -> None:
    arg = ((1,), ((0, 0),), (1,), 1)
    for x, w, error in [
        (normal(1, 2, 3), normal(1, 3, 2), ValueError),
        (normal(1, 2, 3), normal(1, 2, 5), ValueError),
        (normal(1, 2, 3), normal(1, 2, 2, kind=np.float32), RuntimeError),
    ]:
        with pytest.raises(error, match="convolve"):
            evaluate(lambda p, q: cv.convolve(p, q, arg=arg), x, w)
