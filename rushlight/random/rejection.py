"""Draws by rejection: poisson, binomial, gamma, beta, dirichlet, truncated normal.

All but the last take float64 uniforms one at a time (a double word each) and give back those they
did not use; gamma's normals come in pairs and leave the odd one in `Generator.spare`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rushlight.random.arithmetic import F32, TWO_PI
from rushlight.random.floats import uniform
from rushlight.random.generator import Generator, unit64
from rushlight.random.memory import Shape
from rushlight.random.normals import normal

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

Array = np.ndarray[Any, np.dtype[Any]]
Uniform = Callable[[], float]

_HALF: Final = np.uint64(32)
_THIRD: Final = np.float32(1) / np.float32(3)
_SQUEEZE: Final = float(np.float32(0.0331))


class _Uniforms:
    """Float64 uniforms one at a time, under the generator's lock; the unused ones go back."""

    def __init__(self, gen: Generator) -> None:
        self._gen = gen
        self._block: list[float] = []
        self._i = 0

    def __enter__(self) -> Uniform:
        self._gen.lock.acquire()
        return self._next

    def _next(self) -> float:
        if self._i == len(self._block):
            self._gen.skip(2 * self._i)
            pairs = self._gen.peek(1024).copy().view("<u8")
            self._block = unit64((pairs << _HALF) | (pairs >> _HALF)).tolist()
            self._i = 0
        self._i += 1
        return self._block[self._i - 1]

    def __exit__(self, *_: object) -> None:
        self._gen.skip(2 * self._i)
        self._gen.lock.release()


# ------------------------------------------------------------------------- counts


def poisson(gen: Generator, rates: Array) -> Array:
    """`poisson(rates)`: counts of the rates' dtype and shape."""
    if rates.size and not (rates >= 0).all():
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    with _Uniforms(gen) as draw:
        values = [_poisson(rate, draw) for rate in rates.astype(np.float64).ravel().tolist()]
    return np.array(values, np.float64).astype(rates.dtype).reshape(rates.shape)


def _poisson(rate: float, draw: Uniform) -> int:
    if rate == 0:
        return 0
    if rate < 10:  # count the factors until the product drops below exp(-rate)
        floor, product, k = math.exp(-rate), 1.0, 0
        while True:
            product *= draw()
            if product <= floor:
                return k
            k += 1
    root, log_rate = math.sqrt(rate), math.log(rate)  # Hoermann's PTRS
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    log_inv_alpha = math.log(1.1239 + 1.1328 / (b - 3.4))
    v_r = 0.9277 - 3.6224 / (b - 2)
    while True:
        u = draw() - 0.5
        v = draw()
        us = 0.5 - abs(u)
        k = math.floor((2 * a / us + b) * u + rate + 0.43)
        if us >= 0.07 and v <= v_r:
            return k
        if k < 0 or (us < 0.013 and v > us):
            continue
        side = math.log(v) + log_inv_alpha - math.log(a / (us * us) + b)
        if side <= -rate + k * log_rate - math.lgamma(k + 1.0):
            return k


def binomial(gen: Generator, count: Array, prob: Array) -> Array:
    """`binomial(count, prob)`: successes in `count` trials, of the dtype of the two."""
    if count.shape != prob.shape:
        count, prob = np.broadcast_arrays(count, prob)
    kind = count.dtype.type
    pairs = zip(count.ravel().tolist(), prob.ravel().tolist(), strict=True)
    with _Uniforms(gen) as draw:
        values = [_binomial(c, p, draw, kind) for c, p in pairs]
    return np.array(values, np.float64).astype(count.dtype).reshape(count.shape)


def _binomial(count: float, prob: float, draw: Uniform, kind: Any) -> float:
    if count <= 0.0 or prob <= 0.0:
        return 0.0
    if prob >= 1.0:
        return count
    if prob <= 0.5:
        many = float(kind(count) * kind(prob)) >= 10.0
        return _btrs(count, prob, draw) if many else _inversion(count, prob, draw, kind)
    if prob > 0.5:
        rest = float(kind(1.0 - prob))
        many = float(kind(count) * kind(rest)) >= 10.0
        return count - (_btrs(count, rest, draw) if many else _inversion(count, rest, draw, kind))
    return math.nan


def _inversion(count: float, prob: float, draw: Uniform, kind: Any) -> float:
    """Geometric gaps, summed until they pass `count`."""
    log_rest = float(kind(math.log1p(-prob)))
    total, found = 0.0, 0
    while True:
        u = draw()
        total += math.ceil(math.log(u) / log_rest) if u > 0.0 else math.inf
        if total > count:
            return float(found)
        found += 1


_TAIL: Final = (
    0.0810614667953272,
    0.0413406959554092,
    0.0276779256849983,
    0.02079067210376509,
    0.0166446911898211,
    0.0138761288230707,
    0.0118967099458917,
    0.0104112652619720,
    0.00925546218271273,
    0.00833056343336287,
)


def _stirling_tail(k: float) -> float:
    """What Stirling's formula lacks of log(k!)."""
    if k <= 9:
        return _TAIL[int(k)]
    square = (k + 1) * (k + 1)
    return (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / square) / square) / (k + 1)


def _btrs(count: float, prob: float, draw: Uniform) -> float:
    """Hoermann's transformed rejection (BTRS)."""
    spread = math.sqrt(count * prob * (1 - prob))
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * prob
    c = count * prob + 0.5
    v_r = 0.92 - 4.2 / b
    r = prob / (1 - prob)
    alpha = (2.83 + 5.1 / b) * spread
    m = math.floor((count + 1) * prob)
    while True:
        u = draw() - 0.5
        v = draw()
        us = 0.5 - abs(u)
        k = math.floor((2 * a / us + b) * u + c)
        if us >= 0.07 and v <= v_r:
            return k
        if k < 0 or k > count:
            continue
        bound = (
            (m + 0.5) * math.log((m + 1) / (r * (count - m + 1)))
            + (count + 1) * math.log((count - m + 1) / (count - k + 1))
            + (k + 0.5) * math.log(r * (count - k + 1) / (k + 1))
            + _stirling_tail(m)
            + _stirling_tail(count - m)
            - _stirling_tail(k)
            - _stirling_tail(count - k)
        )
        if math.log(v * alpha / (a / (us * us) + b)) <= bound:
            return k


# -------------------------------------------------------------------- gamma and kin


def standard_gamma(gen: Generator, alpha: Array) -> Array:
    """`_standard_gamma`, the value under `torch.distributions.Gamma`; float32 or float64."""
    kind = alpha.dtype.type
    with _Uniforms(gen) as draw:
        values = [_gamma(a, draw, gen) for a in alpha.ravel()]
    tiny = np.finfo(alpha.dtype).tiny
    out: Array = np.maximum(np.array(values, np.float64).astype(kind), tiny).reshape(alpha.shape)
    return out


def _gamma(alpha: Any, draw: Uniform, gen: Generator) -> float:
    """Marsaglia and Tsang; the normals come in pairs and leave the odd one in `gen`."""
    kind, scale = type(alpha), 1.0
    if alpha < 1:
        if alpha == 0:
            return 0.0
        scale = math.pow(1 - draw(), float(kind(1) / alpha))
        alpha = alpha + kind(1)
    d = float(alpha - kind(_THIRD))
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        while True:
            if gen.spare is not None:
                x, gen.spare = gen.spare, None
            else:
                angle = TWO_PI * draw()
                radius = math.sqrt(-2.0 * math.log1p(-draw()))
                gen.spare = radius * math.sin(angle)
                x = radius * math.cos(angle)
            y = 1.0 + c * x
            if y > 0:
                break
        v = y * y * y
        u = 1 - draw()
        xx = x * x
        if u < 1.0 - _SQUEEZE * xx * xx or math.log(u) < 0.5 * xx + d * (1.0 - v + math.log(v)):
            return scale * d * v


def gamma(gen: Generator, concentration: Array, rate: Array | float = 1.0) -> Array:
    """`torch.distributions.Gamma(concentration, rate).sample()`."""
    kind = concentration.dtype.type
    shape = np.broadcast_shapes(concentration.shape, np.shape(rate))
    drawn = standard_gamma(gen, np.broadcast_to(concentration, shape))
    out: Array = np.maximum(drawn / np.asarray(rate, kind), np.finfo(concentration.dtype).tiny)
    return out


def dirichlet(gen: Generator, alpha: Array) -> Array:
    """`_sample_dirichlet`, the value under `torch.distributions.Dirichlet`, over the last axis."""
    kind = alpha.dtype.type
    with _Uniforms(gen) as draw:
        values = [_gamma(np.float64(a), draw, gen) for a in alpha.ravel()]
    g = np.maximum(np.array(values), np.finfo(np.float64).tiny).reshape(alpha.shape)
    value = (g / g.sum(-1, keepdims=True)).astype(kind)
    below_one = np.nextafter(kind(1), kind(0))
    out: Array = np.clip(value, np.finfo(alpha.dtype).tiny, below_one)
    return out


def beta(gen: Generator, a: Array, b: Array) -> Array:
    """`torch.distributions.Beta(a, b).sample()`: the first of a Dirichlet of two."""
    out: Array = dirichlet(gen, np.stack(np.broadcast_arrays(a, b), -1))[..., 0]
    return out


# ------------------------------------------------------------------ truncated normal


def trunc_normal(
    gen: Generator,
    shape: Shape,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    dtype: DTypeLike = F32,
) -> Array:
    """`nn.init.trunc_normal_`: normals in [a, b]; every round draws the whole array again."""
    dtype = np.dtype(dtype)
    kind: Any = dtype.type

    def below(x: float) -> float:
        return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0

    with gen.lock:
        if below((b - mean) / std) - below((a - mean) / std) > 0.3:
            low, high = kind(a), kind(b)
            out = normal(gen, shape, mean, std, dtype)
            while (wrong := (out < low) | (out > high)).any():
                out = np.where(wrong, normal(gen, shape, mean, std, dtype), out)
            return out
        mode = max(a, min(mean, b))
        peak = -0.5 * ((mode - mean) / std) ** 2

        def rejected(x: Array) -> Array:
            height = np.square((x - kind(mean)) / kind(std)) * kind(-0.5) - kind(peak)
            with np.errstate(divide="ignore"):
                out: Array = np.log(uniform(gen, shape, dtype=dtype)) > height
            return out

        out = uniform(gen, shape, a, b, dtype)
        wrong = rejected(out)
        while wrong.any():
            x = uniform(gen, shape, a, b, dtype)
            out = np.where(wrong, x, out)
            wrong = wrong & rejected(x)
    return out


__all__ = [
    "beta",
    "binomial",
    "dirichlet",
    "gamma",
    "poisson",
    "standard_gamma",
    "trunc_normal",
]
