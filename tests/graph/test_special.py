"""Special functions: types, known values, gradients; SciPy loads with the first call only."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from rushlight.base import dtype as dt
from rushlight.graph.op import LIBRARY, OPS, TABLE
from rushlight.graph.ops import special
from tests.graph.rows import check_gradients, evaluate, spec_of

NAMES = [op.name for op in OPS if op.kind == LIBRARY and op.domain]
# What is known on paper.
KNOWN = {
    "erfc": (0.5, 1 - math.erf(0.5)),
    "erfinv": (math.erf(0.75), 0.75),
    "lgamma": (5.0, math.log(24.0)),
    "digamma": (1.0, -0.5772156649015329),
    "trigamma": (1.0, math.pi**2 / 6),
    "tetragamma": (1.0, -2 * 1.2020569031595942),
    "i0": (1.0, 1.2660658777520082),
    "i1": (1.0, 0.5651591039924850),
    "i0e": (1.0, 1.2660658777520082 / math.e),
    "i1e": (1.0, 0.5651591039924850 / math.e),
    "ndtri": (0.975, 1.959963984540054),
}


def test_all_are_tested() -> None:
    assert set(NAMES) == set(KNOWN)


@pytest.mark.parametrize("name", NAMES)
def test_values_and_types(name: str) -> None:
    op = TABLE[name]
    at, want = KNOWN[name]
    for kind, close in ((np.float64, 1e-13), (np.float32, 3e-6)):
        x = np.full((2, 3), at, kind)
        got = evaluate(op, x)
        assert spec_of(op, x).dtype is dt.from_numpy(x.dtype)
        assert got.dtype == kind and got.shape == (2, 3)
        np.testing.assert_allclose(got, want, rtol=close)
    whole = np.ones(3, np.int64)
    assert spec_of(op, whole).dtype is dt.float32
    assert evaluate(op, whole).dtype == np.float32
    assert evaluate(op, np.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "tetragamma"])
def test_gradients(name: str) -> None:
    op = TABLE[name]
    ((low, high),) = op.domain
    x = np.random.default_rng(3).uniform(low, high, 5)
    check_gradients(op, [x], [0], second=name != "trigamma")


def test_gradient_at_nought() -> None:
    check_gradients(special.i1, [np.zeros(1)], [0], second=False)


def test_scipy_loads_when_first_needed() -> None:
    text = (
        "import sys, rushlight; a = 'scipy' in sys.modules; rushlight.ones(2).erfc().tolist(); "
        "print(a, 'scipy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
