"""Writing where several values come to one place: values against NumPy, gradients, ties, zeros."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rushlight.graph.ops import combine as cb
from tests.graph.rows import check_gradients, evaluate

RNG = np.random.default_rng(2)
BASE = RNG.uniform(0.5, 2, (3, 4))
INDEX = np.array([[0, 1, 1, 0], [2, 1, 0, 0]])
VALUE = RNG.uniform(0.5, 2, (2, 4))


@pytest.mark.parametrize("how", cb.UFUNCS)
@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64])
def test_values(how: str, kind: Any) -> None:
    base, value = (BASE * 10).astype(kind), (VALUE * 10).astype(kind)
    want = base.copy()
    for i, j in np.ndindex(INDEX.shape):
        at = (INDEX[i, j], j)
        want[at] = cb.UFUNCS[how](want[at], value[i, j])
    got = evaluate(lambda b, i, v: cb.combine(b, i, v, arg=(0, how)), base, INDEX, value)
    assert got.dtype == kind and got.tolist() == want.tolist()


@pytest.mark.parametrize("how", cb.UFUNCS)
def test_gradients(how: str) -> None:
    check_gradients(
        lambda b, v: cb.combine(b, b.builder.leaf(INDEX), v, arg=(0, how)), [BASE, VALUE], [0, 1]
    )


def test_gradient_of_products_with_zeros() -> None:
    base, value = BASE.copy(), VALUE.copy()
    value[0, 0] = value[1, 1] = 0.0
    check_gradients(
        lambda b, v: cb.combine(b, b.builder.leaf(INDEX), v, arg=(0, "prod")),
        [base, value], [0, 1], second=False,
    )  # fmt: skip


def test_places_are_checked() -> None:
    for bad in (3, -1):
        with pytest.raises(RuntimeError, match=rf"index {bad} is out of bounds .* size 3"):
            evaluate(
                lambda b, i, v: cb.combine(b, i, v, arg=(0, "amax")),
                BASE,
                np.full((2, 4), bad),
                VALUE,
            )
