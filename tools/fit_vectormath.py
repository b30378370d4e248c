"""Fits the polynomials of rushlight/codegen/coefficients.py and prints their coefficients.

Each fit is a weighted minimax polynomial (Lawson's iteration on Chebyshev points, in extended
precision, against mpmath). The weight turns an error of the polynomial into a relative error of
the function. Coefficients are rounded to their type from the lowest up, refitting the rest each
time. The output is pasted into that file: results must not depend on who runs this script, so the
library itself never fits anything.

Run: python tools/fit_vectormath.py [name ...]     (needs mpmath)
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np

mp = mpmath.mp
mp.dps = 50

Real = Any  # mpmath's numbers have no types

HALF_LN2 = float(mp.log(2) / 2) * 1.0005
SQRT2_LOW, SQRT2_HIGH = float(mp.sqrt(0.5)) - 1, float(mp.sqrt(2)) - 1


@dataclass(frozen=True)
class Fit:
    """`function` on [low, high] by a polynomial of `degree`; `weight` scales its error."""

    function: Callable[[Real], Real]
    low: float
    high: float
    degree: int
    weight: Callable[[Real], Real]
    single: bool = False  # round the coefficients to float32


def near_zero(value: Real, limit: Real, formula: Callable[[Real], Real]) -> Callable[[Real], Real]:
    """`formula`, with its `limit` where the argument is too small to divide by."""
    return lambda x: mp.mpf(limit) if abs(x) < value else formula(x)


def exp_tail(r: Real) -> Real:
    """(exp(r) - 1 - r) / r**2."""
    return mp.mpf(0.5) if abs(r) < 1e-15 else (mp.expm1(r) - r) / (r * r)


def exp2_tail(r: Real) -> Real:
    """(2**r - 1) / r."""
    return mp.log(2) if abs(r) < 1e-20 else mp.expm1(r * mp.log(2)) / r


def log_tail(f: Real) -> Real:
    """(log(1 + f) - f + f**2 / 2) / f**3."""
    return mp.mpf(1) / 3 if abs(f) < 1e-12 else (mp.log1p(f) - f + f * f / 2) / f**3


def atanh_series(z: Real) -> Real:
    """atanh(s) / s for z = s**2."""
    return mp.atanh(mp.sqrt(z)) / mp.sqrt(z)


def log_ratio(z: Real) -> Real:
    """(2 atanh(s) / s - 2) / z."""
    return mp.mpf(2) / 3 if z < 1e-20 else 2 * (atanh_series(z) - 1) / z


def pow_series(z: Real) -> Real:
    """((atanh(s) / s - 1) / z - 1/3) / z."""
    return mp.mpf(1) / 5 if z < 1e-12 else ((atanh_series(z) - 1) / z - mp.mpf(1) / 3) / z


def sin_tail(z: Real) -> Real:
    """(sin(r) / r - 1) / z."""
    return mp.mpf(-1) / 6 if z < 1e-15 else (mp.sin(mp.sqrt(z)) / mp.sqrt(z) - 1) / z


def cos_tail(z: Real) -> Real:
    """(cos(r) - 1 + z / 2) / z**2."""
    return mp.mpf(1) / 24 if z < 1e-10 else (mp.cos(mp.sqrt(z)) - 1 + z / 2) / (z * z)


def tanh_tail(z: Real) -> Real:
    """(tanh(x) / x - 1) / z."""
    return mp.mpf(-1) / 3 if z < 1e-15 else (mp.tanh(mp.sqrt(z)) / mp.sqrt(z) - 1) / z


def erf_near(z: Real) -> Real:
    """erf(x) / x - 1."""
    return 2 / mp.sqrt(mp.pi) - 1 if z < 1e-30 else mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1


def erf_far(middle: Real, half: Real) -> tuple[Callable[[Real], Real], Callable[[Real], Real]]:
    """The slope of log(erfc) from 1 to middle + half t, and what its error does to erf."""

    def x_of(t: Real) -> Real:
        return mp.mpf(middle) + mp.mpf(half) * t

    def slope(t: Real) -> Real:
        return (mp.log(mp.erfc(x_of(t))) - mp.log(mp.erfc(1))) / (x_of(t) - 1)

    return slope, lambda t: (x_of(t) - 1) * mp.erfc(x_of(t)) / mp.erf(x_of(t))


def log2_slope(f: Real) -> Real:
    """log2(1 + f) / f."""
    return 1 / mp.log(2) if abs(f) < 1e-20 else mp.log1p(f) / (f * mp.log(2))


def atan_tail(z: Real) -> Real:
    """(atan(x) / x - 1) / z."""
    return mp.mpf(-1) / 3 if z < 1e-15 else (mp.atan(mp.sqrt(z)) / mp.sqrt(z) - 1) / z


def asin_tail(z: Real) -> Real:
    """(asin(x) / x - 1) / z."""
    return mp.mpf(1) / 6 if z < 1e-15 else (mp.asin(mp.sqrt(z)) / mp.sqrt(z) - 1) / z


def sinh_tail(z: Real) -> Real:
    """(sinh(x) / x - 1) / z."""
    return mp.mpf(1) / 6 if z < 1e-15 else (mp.sinh(mp.sqrt(z)) / mp.sqrt(z) - 1) / z


SIN_Z = float((mp.pi / 4) ** 2) * 1.001
LOG_Z = float(((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2) * 1.001
FAR32, FAR64 = erf_far(2.5, 1.5), erf_far(3.5, 2.5)

FITS = {
    "EXP_F32": Fit(exp_tail, -HALF_LN2, HALF_LN2, 4, lambda r: r * r, True),
    "EXP_F64": Fit(exp_tail, -HALF_LN2, HALF_LN2, 9, lambda r: r * r),
    "EXPM1_F32": Fit(exp_tail, -HALF_LN2, HALF_LN2, 5, abs, True),
    "EXPM1_F64": Fit(exp_tail, -HALF_LN2, HALF_LN2, 10, abs),
    "EXP2_F32": Fit(exp2_tail, -0.5, 0.5, 5, abs, True),
    "EXP2_F64": Fit(exp2_tail, -0.5, 0.5, 11, abs),
    "LOG_F32": Fit(log_tail, SQRT2_LOW, SQRT2_HIGH, 8, lambda f: f * f + 1e-12, True),
    "LOG_F64": Fit(log_ratio, 0.0, LOG_Z, 6, lambda z: z + mp.mpf(1e-9)),
    "SIN_F32": Fit(sin_tail, 0.0, SIN_Z, 3, lambda z: z + mp.mpf(1e-6), True),
    "SIN_F64": Fit(sin_tail, 0.0, SIN_Z, 6, lambda z: z + mp.mpf(1e-6)),
    "COS_F32": Fit(cos_tail, 0.0, SIN_Z, 2, lambda z: z * z + mp.mpf(1e-6), True),
    "COS_F64": Fit(cos_tail, 0.0, SIN_Z, 5, lambda z: z * z + mp.mpf(1e-6)),
    "TANH_F32": Fit(tanh_tail, 0.0, 0.3907, 5, lambda z: z + mp.mpf(1e-6), True),
    "TANH_F64": Fit(tanh_tail, 0.0, 0.3907, 11, lambda z: z + mp.mpf(1e-6)),
    "ERF_NEAR_F32": Fit(erf_near, 0.0, 1.0, 6, lambda z: mp.mpf(1), True),
    "ERF_NEAR_F64": Fit(erf_near, 0.0, 1.0, 13, lambda z: mp.mpf(1)),
    "ERF_FAR_F32": Fit(FAR32[0], -1.0, 1.0, 5, FAR32[1], True),
    "ERF_FAR_F64": Fit(FAR64[0], -1.0, 1.0, 16, FAR64[1]),
    "ATAN_F32": Fit(atan_tail, 0.0, 0.1717, 4, lambda z: z + mp.mpf(1e-6), True),
    "ATAN_F64": Fit(atan_tail, 0.0, 0.1717, 10, lambda z: z + mp.mpf(1e-6)),
    "ASIN_F32": Fit(asin_tail, 0.0, 0.25, 5, lambda z: z + mp.mpf(1e-6), True),
    "ASIN_F64": Fit(asin_tail, 0.0, 0.25, 13, lambda z: z + mp.mpf(1e-6)),
    "SINH_F32": Fit(sinh_tail, 0.0, 1.0, 3, lambda z: z + mp.mpf(1e-6), True),
    "SINH_F64": Fit(sinh_tail, 0.0, 1.0, 7, lambda z: z + mp.mpf(1e-6)),
    "POW32_LOG2": Fit(log2_slope, SQRT2_LOW, SQRT2_HIGH, 12, lambda f: mp.mpf(1)),
    "POW32_EXP2": Fit(exp2_tail, -0.5, 0.5, 7, abs),
    "POW64_LOG": Fit(pow_series, 0.0, LOG_Z, 7, lambda z: z * z + mp.mpf(1e-9)),
}


def long(value: Real) -> np.longdouble:
    """mpmath to extended precision."""
    return np.longdouble(mpmath.nstr(value, 30))


def solve(columns: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Least squares by twice-orthogonalised Gram-Schmidt, in extended precision."""
    count = columns.shape[1]
    q = columns.copy()
    r = np.zeros((count, count), np.longdouble)
    for j in range(count):
        for _ in range(2):
            for i in range(j):
                part = (q[:, i] * q[:, j]).sum()
                r[i, j] += part
                q[:, j] -= part * q[:, i]
        r[j, j] = np.sqrt((q[:, j] ** 2).sum())
        q[:, j] /= r[j, j]
    answer = np.zeros(count, np.longdouble)
    projected = [(q[:, j] * right).sum() for j in range(count)]
    for j in reversed(range(count)):
        answer[j] = (projected[j] - (r[j, j + 1 :] * answer[j + 1 :]).sum()) / r[j, j]
    return answer


def fit(recipe: Fit) -> tuple[list[float], float]:
    """The coefficients, lowest first, and the largest weighted error."""
    count = 300
    angles = np.cos(np.pi * (np.arange(count) + 0.5) / count)
    points = (recipe.low + recipe.high) / 2 + (recipe.high - recipe.low) / 2 * angles
    exact = [mp.mpf(float(x)) for x in points]
    x = points.astype(np.longdouble)
    values = np.array([long(recipe.function(t)) for t in exact])
    weights = np.array([long(mp.mpf(recipe.weight(t))) for t in exact])
    scale = max(abs(recipe.low), abs(recipe.high))
    powers = np.stack([(x / scale) ** k for k in range(recipe.degree + 1)], 1)
    fixed: list[np.longdouble] = []
    rounded: list[float] = []
    error = np.zeros(count)
    stages = recipe.degree + 1 if recipe.single else 2
    for stage in range(stages + 1):
        done = len(fixed)
        rest = values - (powers[:, :done] @ np.array(fixed, np.longdouble) if done else 0)
        spread = np.full(count, np.longdouble(1) / count)
        best: tuple[float, np.ndarray] | None = None
        for _ in range(40 if done < powers.shape[1] else 0):
            root = weights * np.sqrt(spread)
            found = solve(powers[:, done:] * root[:, None], rest * root)
            error = np.abs((powers[:, done:] @ found - rest) * weights)
            if best is None or error.max() < best[0]:
                best = (error.max(), found)
            spread = spread * error
            spread /= spread.sum()
        if best is None:
            break
        tail = best[1]
        if stage == stages or done + 1 > recipe.degree + 1:
            fixed += list(tail)
            rounded += [float(c / np.longdouble(scale) ** (done + k)) for k, c in enumerate(tail)]
            break
        power = np.longdouble(scale) ** done
        number = float(np.float32(tail[0] / power)) if recipe.single else float(tail[0] / power)
        rounded.append(number)
        fixed.append(np.longdouble(number) * power)
    polynomial = sum(np.longdouble(c) * x**k for k, c in enumerate(rounded))
    return rounded, float(np.abs((polynomial - values) * weights).max())


def main() -> None:
    """Prints the tables."""
    for name in sys.argv[1:] or FITS:
        coefficients, error = fit(FITS[name])
        print(f"# to 2**{np.log2(error):.1f}")
        print(f"{name} = (")
        for start in range(0, len(coefficients), 4):
            print("    " + " ".join(f"{number!r}," for number in coefficients[start : start + 4]))
        print(")  # fmt: skip")


if __name__ == "__main__":
    main()
