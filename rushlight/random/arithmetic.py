"""Arithmetic that rounds as PyTorch's AVX2 kernels do: fused multiply-adds; their log, sin, cos.

float32 values are held in float64, where a product of two of them is exact, and rounded where the
kernel rounds.  float64 functions are the C library's, called through `math`: NumPy's own vector
code differs from it in the last bit and between processors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Finish = Callable[[Array], Array]

TWO_PI: Final = 2.0 * math.pi
F32: Final = np.dtype(np.float32)
F64: Final = np.dtype(np.float64)
#: Significant bits of the floating dtypes, by NumPy's name (bfloat16 comes from ml_dtypes).
DIGITS: Final = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}


def floating(dtype: Any) -> int:
    """Significant bits of a floating NumPy dtype; 0 for any other dtype."""
    return 24 if dtype is F32 else DIGITS.get(dtype.name, 0)


def cast(values: Array, dtype: Any) -> Array:
    """Convert as C does, from floats or integers; the 16-bit types go through float32."""
    if dtype.itemsize == 2 and floating(dtype):
        with np.errstate(over="ignore"):
            return values.astype(np.float32).astype(dtype)
    return values.astype(dtype, copy=False)


def single(*values: float) -> tuple[float, ...]:
    """Numbers rounded to float32, as Python floats."""
    return tuple(float(np.float32(v)) for v in values)


def f32(values: Array) -> Array:
    """Round float64 values to float32, staying in float64."""
    return values.astype(np.float32).astype(np.float64)


def two_sum(a: Array, b: Array | float) -> tuple[Array, Array]:
    """(a + b rounded, the rest that rounding left), exactly."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def _split(a: Array | float) -> tuple[Any, Any]:
    t = a * 134217729.0
    high = t - (t - a)
    return high, a - high


def fma32(a: Array | float, b: Array | float, c: Array | float) -> Array:
    """Fused multiply-add of float32 values held in float64.

    The product is exact; the sum may not be, and only an inexact sum that lands on the middle of
    two float32 can round the wrong way.  Those few are redone.
    """
    p: Any = a * b
    s: Any = p + c
    middle = (s.view(np.uint64) & 0x1FFFFFFF) == 0x10000000
    if middle.any():
        at = np.nonzero(middle)
        ps, cs = np.broadcast_to(p, s.shape)[at], np.broadcast_to(c, s.shape)[at]
        rest = two_sum(ps, cs)[1]
        s[at] = np.where(rest == 0, s[at], np.nextafter(s[at], np.copysign(np.inf, rest)))
    return f32(s)


def fma64(a: Array, b: float, c: float) -> Array:
    """a * b + c in float64 with one rounding (wrong at most once in 2**50)."""
    if c == 0.0:
        return a * b
    if b == 1.0:
        return a + c
    p = a * b
    (ah, al), (bh, bl) = _split(a), _split(b)
    low = al * bl - (((p - ah * bh) - al * bh) - ah * bl)
    s, rest = two_sum(p, c)
    out: Array = s + (rest + low)
    return out


# ----------------------------------------------------------- the C library's functions

_LIBM: Final[dict[str, tuple[Callable[[float], float], np.ufunc]]] = {
    "log": (math.log, np.log),
    "log1p": (math.log1p, np.log1p),
    "exp": (math.exp, np.exp),
    "tan": (math.tan, np.tan),
}


def exact(name: str, x: Array) -> Array:
    """The C library's function of float64 values, one by one.

    log(0) is -inf and an overflowing exp is inf, as in C (`math` raises there).
    """
    function = _LIBM[name][0]
    try:
        return np.fromiter(map(function, x.tolist()), np.float64, x.size)
    except (ValueError, OverflowError):
        return np.fromiter((_as_in_c(function, v) for v in x.tolist()), np.float64, x.size)


def _as_in_c(function: Callable[[float], float], value: float) -> float:
    try:
        return function(value)
    except OverflowError:
        return math.inf
    except ValueError:
        return -math.inf


def through(name: str, x: Array, finish: Finish, dtype: Any) -> Array:
    """finish(function(x)) as `dtype`, as if NumPy's function were the C library's.

    For anything narrower than float64, NumPy's result brackets the right one; the C library is
    asked only where the two ends of the bracket round apart.  `finish` has to be monotonic.
    """
    if dtype == F64:
        return cast(finish(exact(name, x)), dtype)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        y = _LIBM[name][1](x)
        out, other = (cast(finish(y * k), dtype) for k in (1 - 2e-15, 1 + 2e-15))
        apart = np.nonzero(out != other)[0]
        if apart.size:
            out[apart] = cast(finish(exact(name, x[apart])), dtype)
    return out


def cos_sin(theta: Array) -> tuple[Array, Array]:
    """The C library's cos and sin: NumPy's complex exp calls its cexp, which calls them."""
    z = np.exp(theta * 1j)
    return z.real, z.imag


# ----------------------------------------------- the AVX2 kernel's float32 log, sin and cos

LOG: Final = single(
    7.0376836292e-2,
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
)
REDUCE: Final = single(-0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8)
SIN: Final = single(-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
COS: Final = single(2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
LN2_LOW, LN2_HIGH, SQRT_HALF, FOUR_OVER_PI, TWO_PI_F32 = single(
    -2.12194440e-4, 0.693359375, math.sqrt(0.5), 4 / math.pi, TWO_PI
)


def step32(a: Array | float, b: Array, c: Array | float) -> Array:
    """`fma32` without its repair, which none of the 2**24 arguments of the two below needs.

    (`tests/parity/test_random_streams.py` goes through them all.)
    """
    s = a * b
    s += c
    return f32(s)


def log_cephes(u: Array, fma: Callable[..., Array] = step32) -> Array:
    """The kernel's float32 log for 0 < u <= 1, multiply-adds fused as GCC fuses them."""
    m, e = np.frexp(u)
    low = (m < SQRT_HALF).astype(np.float64)
    x = m + m * low - 1.0
    e = e - low
    z = f32(x * x)
    y: Any = LOG[0]
    for c in LOG[1:]:
        y = fma(y, x, c)
    y = fma(f32(y * x), z, f32(e * LN2_LOW))
    y = f32(y - 0.5 * z)
    return f32(f32(x + y) + e * LN2_HIGH)


def sincos_cephes(theta: Array, fma: Callable[..., Array] = step32) -> tuple[Array, Array]:
    """The kernel's float32 sine and cosine for 0 <= theta <= 2 pi."""
    j = (f32(theta * FOUR_OVER_PI).astype(np.int64) + 1) & ~1
    k = j.astype(np.float64)
    x = theta
    for part in REDUCE:
        x = fma(part, k, x)
    z = f32(x * x)
    c = fma(fma(COS[0], z, COS[1]), z, COS[2])
    c = f32(fma(f32(c * z), z, -0.5 * z) + 1.0)
    s = fma(fma(SIN[0], z, SIN[1]), z, SIN[2])
    s = fma(f32(s * z), x, x)
    # In bits: the two change places where j & 2, then take their signs.
    sine, cosine = s.view(np.int64), c.view(np.int64)
    swap = (sine ^ cosine) & -((j >> 1) & 1)
    sine ^= swap
    cosine ^= swap
    sine ^= (j & 4) << 61
    cosine ^= ((j + 2) & 4) << 61
    return s, c
