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
    "i0": (1.0, 1.2660658777520082),
    "i1": (1.0, 0.5651591039924850),
    "i0e": (1.0, 1.2660658777520082 / math.e),
    "i1e": (1.0, 0.5651591039924850 / math.e),
    "ndtri": (0.975, 1.959963984540054),
    "erfcx": (0.5, math.exp(0.25) * (1 - math.erf(0.5))),
    "ndtr": (1.0, 0.5 * (1 + math.erf(math.sqrt(0.5)))),
    "log_ndtr": (0.0, -math.log(2.0)),
    "bessel_j0": (1.0, 0.7651976865579666),
    "bessel_j1": (1.0, 0.4400505857449335),
    "bessel_y0": (1.0, 0.08825696421567696),
    "bessel_y1": (1.0, -0.7812128213002887),
    "modified_bessel_i0": (1.0, 1.2660658777520082),
    "modified_bessel_i1": (1.0, 0.5651591039924850),
    "modified_bessel_k0": (1.0, 0.42102443824070834),
    "modified_bessel_k1": (1.0, 0.6019072301972346),
    "scaled_modified_bessel_k0": (1.0, 0.42102443824070834 * math.e),
    "scaled_modified_bessel_k1": (1.0, 0.6019072301972346 * math.e),
    "airy_ai": (0.0, 0.3550280538878172),
    "spherical_bessel_j0": (1.0, math.sin(1.0)),
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


# of two operands: what is known on paper
TWO = {
    "zeta": (2.0, 1.0, math.pi**2 / 6),
    "igamma": (1.0, 2.0, 1 - math.exp(-2.0)),
    "igammac": (1.0, 2.0, math.exp(-2.0)),
    "gcd": (12, -18, 6),
    "lcm": (4, 6, 12),
    "nextafter": (1.0, 2.0, 1.0 + 2.0**-52),
    "chebyshev_polynomial_t": (0.5, 3.0, 4 * 0.125 - 1.5),
    "chebyshev_polynomial_u": (0.5, 2.0, 0.0),
    "chebyshev_polynomial_v": (0.5, 1.0, 0.0),
    "chebyshev_polynomial_w": (0.5, 1.0, 2.0),
    "shifted_chebyshev_polynomial_t": (0.75, 2.0, -0.5),
    "shifted_chebyshev_polynomial_u": (0.75, 1.0, 1.0),
    "shifted_chebyshev_polynomial_v": (0.75, 1.0, 0.0),
    "shifted_chebyshev_polynomial_w": (0.75, 1.0, 2.0),
    "hermite_polynomial_h": (0.5, 2.0, -1.0),
    "hermite_polynomial_he": (0.5, 2.0, -0.75),
    "laguerre_polynomial_l": (0.5, 1.0, 0.5),
    "legendre_polynomial_p": (0.5, 2.0, -0.125),
}


@pytest.mark.parametrize("name", TWO)
def test_two_operands(name: str) -> None:
    x, y, want = TWO[name]
    op = TABLE[name]
    a, b = np.full((2, 1), x), np.full((3,), y)
    got = evaluate(op, a, b)
    assert got.shape == (2, 3) and spec_of(op, a, b).shape == (2, 3)
    np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-15)
    if name.endswith(("_t", "_u", "_v", "_w", "_h", "_he", "_l", "_p")):
        assert not evaluate(op, a, -b).any()  # below order 0


def test_gradients_of_two() -> None:
    q = np.array([1.5, 2.5])
    check_gradients(lambda v: special.zeta(v * 0.0 + 3.0, v), [q], [0])
    check_gradients(lambda v: special.igamma(v * 0.0 + 1.5, v), [q], [0])
    check_gradients(lambda v: special.igammac(v * 0.0 + 1.5, v), [q], [0])
    for order in (0, 1, 2, 3):
        check_gradients(lambda v, n=order: special.polygamma(v, arg=n), [q], [0])


def test_parts_of_a_float() -> None:
    x = np.array([0.0, 6.0, -0.3, 1e-310])
    m, e = np.frexp(x)
    assert evaluate(special.mantissa, x).tolist() == m.tolist()
    assert evaluate(special.exponent, x).tolist() == e.tolist()
    check_gradients(special.mantissa, [np.array([3.0, -0.7])], [0], second=False)


NO_GRADIENT = ("bessel", "airy")


@pytest.mark.parametrize("name", [n for n in NAMES if not any(w in n for w in NO_GRADIENT)])
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
