"""Max pooling: values and places against loops over windows, ties, NaN, gradients, layouts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rushlight.graph.ops import window
from rushlight.nn.functional.pooling import output_size
from tests.graph.rows import check_gradients, evaluate

RNG = np.random.default_rng(9)


def pooled(x: Any, arg: Any) -> tuple[Any, Any]:
    """Values and places in the plane, one window after the other."""
    kernel, stride, padding, dilation, size = arg
    space = x.shape[2:]
    value, place = np.empty((*x.shape[:2], *size), x.dtype), np.empty((*x.shape[:2], *size), int)
    for at in np.ndindex(*value.shape):
        best, where = None, -1
        for k in np.ndindex(*kernel):
            i = [q * s - p + t * d for q, s, p, t, d in zip(at[2:], stride, padding, k, dilation)]
            if any(not 0 <= a < n for a, n in zip(i, space)):
                continue
            v = x[(*at[:2], *i)]
            if best is None or v > best or v != v:
                best, where = v, int(np.ravel_multi_index(i, space))
        value[at], place[at] = best, where
    return value, place


def argument(
    x: Any, kernel: Any, stride: Any = None, padding: Any = None, dilation: Any = None,
    ceil: bool = False,
) -> Any:  # fmt: skip
    n = len(kernel)
    stride, padding = stride or kernel, padding or (0,) * n
    dilation = dilation or (1,) * n
    size = output_size(x.shape[2:], kernel, stride, padding, dilation, ceil)
    return kernel, stride, padding, dilation, size


CASES: list[Any] = [
    ((2, 3, 8, 8), {"kernel": (2, 2)}),
    ((1, 2, 7, 9), {"kernel": (2, 2)}),
    ((2, 2, 9, 8), {"kernel": (3, 2), "stride": (2, 2), "padding": (1, 1)}),
    ((1, 1, 9, 11), {"kernel": (3, 3), "stride": (1, 1), "padding": (1, 1)}),
    ((1, 2, 10, 9), {"kernel": (2, 3), "stride": (1, 2), "dilation": (2, 2), "padding": (1, 0)}),
    ((1, 2, 6, 7), {"kernel": (3, 3), "stride": (2, 2), "ceil": True}),
    ((2, 2, 11), {"kernel": (3,), "stride": (2,), "padding": (1,)}),
    ((1, 2, 5, 6, 7), {"kernel": (2, 3, 2), "stride": (2, 1, 2), "padding": (1, 1, 0)}),
    ((1, 2, 40, 70), {"kernel": (2, 2)}),
    ((1, 2, 41, 71), {"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1)}),
]


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, np.uint8])
@pytest.mark.parametrize(("shape", "how"), CASES)
def test_values_places_and_back(shape: Any, how: Any, kind: Any) -> None:
    x = RNG.integers(0, 6, shape).astype(kind)  # many ties
    if np.dtype(kind).kind == "f":
        x = np.where(RNG.random(shape) < 0.1, -np.inf, x).astype(kind)
        x = np.where(RNG.random(shape) < 0.05, np.nan, x).astype(kind)
    arg = argument(x, **how)
    want, place = pooled(x, arg)
    got = evaluate(lambda v: window.max_pool(v, arg=arg), x)
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(evaluate(lambda v: window.max_pool_index(v, arg=arg), x), place)
    g = RNG.integers(0, 9, want.shape).astype(kind) / kind(1 if kind in (np.int64, np.uint8) else 7)
    g = g.astype(kind)
    back = np.zeros((*shape[:2], int(np.prod(shape[2:]))), kind)
    for at in np.ndindex(*want.shape):
        back[(*at[:2], place[at])] += g[at]
    made = evaluate(lambda p, v: window.max_pool_back(p, v, arg=arg), g, x)
    assert made.tobytes() == back.reshape(shape).tobytes()


@pytest.mark.parametrize(("shape", "how"), [CASES[1], CASES[3], CASES[6]])
def test_gradients(shape: Any, how: Any) -> None:
    x = RNG.permutation(int(np.prod(shape))).reshape(shape) / 7.0  # no ties: differences are smooth
    arg = argument(x, **how)
    check_gradients(lambda v: window.max_pool(v * v, arg=arg), [x], [0])
    g = RNG.standard_normal((*shape[:2], *arg[4]))
    check_gradients(lambda p: window.max_pool_back(p, p.builder.leaf(x), arg=arg), [g], [0])


@pytest.mark.parametrize("order", ["C", "F"])
def test_layout_changes_nothing(order: Any) -> None:
    x = RNG.standard_normal((2, 3, 6, 8)).astype(np.float32)
    arg = argument(x, kernel=(2, 2))
    got = evaluate(lambda v: window.max_pool(v, arg=arg), np.asarray(x, order=order))
    np.testing.assert_array_equal(got, pooled(x, arg)[0])
