"""Bernoulli draws and what multiplies or replaces values at random: dropout and its kin.

bernoulli with an array of probabilities: one uniform each, float64 for float64, else float32.
bernoulli with a number, dropout and its kin: one double word each, whatever the dtype (per channel
for the feature variants); none at all for p == 0 or p == 1.
rrelu: one double word per element <= 0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rushlight.random import native
from rushlight.random.arithmetic import F32, F64, cast
from rushlight.random.generator import Generator
from rushlight.random.memory import Shape, fill, in_blocks

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

Array = np.ndarray[Any, np.dtype[Any]]

BOOL: Final = np.dtype(np.bool_)
_ALPHA: Final = 1.7580993408473766  # SELU's lower limit, negated
_SCALE: Final = 1 << 53
_MANY: Final = 256  # values for which a native call pays
_HIGH_BITS: Final = np.uint32((1 << 21) - 1)


def bernoulli(gen: Generator, p: Array, dtype: DTypeLike | None = None) -> Array:
    """`bernoulli(p)`, `bernoulli_(p)` for an array of probabilities: 0 or 1, `dtype` or p's."""
    if p.size and not ((p >= 0) & (p <= 1)).all():
        raise RuntimeError("bernoulli: expected all probabilities p >= 0 and p <= 1")
    flat = p.reshape(-1)
    with gen.lock:
        if p.dtype == F64:
            hit = gen.uniform64(p.size) < flat
        else:
            hit = gen.uniform32(p.size) < flat.astype(np.float32, copy=False)
    return cast(hit, np.dtype(p.dtype if dtype is None else dtype)).reshape(p.shape)


def bernoulli_number(gen: Generator, shape: Shape, p: float = 0.5, dtype: DTypeLike = F32) -> Array:
    """`bernoulli_(p)` for a number p: 0 or 1 of the dtype (bool: a mask)."""
    kind = np.dtype(dtype)
    if not 0.0 <= p <= 1.0:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p:g}")
    # The uniform is k * 2**-53 for the double word's low 53 bits k: k < limit decides in integers.
    limit = math.ceil(p * _SCALE)
    high, low = divmod(limit, 1 << 32)

    def draw(count: int) -> Array:
        words = gen.words(2 * count)
        if count >= _MANY and native.KEEPS.ready(count):
            return cast(native.keeps(np.ascontiguousarray(words), limit), kind)
        first = words[0::2] & _HIGH_BITS
        hit: Array = first < high
        tie = np.flatnonzero(first == high)  # once in two million
        if tie.size:
            hit[tie] = words[2 * tie + 1] < low
        return cast(hit, kind)

    with gen.lock:
        return in_blocks(shape, draw)


def bernoulli_into(gen: Generator, out: Array, p: float) -> Array:
    """`bernoulli_(p)` on an array of any strides; returns it."""
    return fill(out, lambda n: bernoulli_number(gen, n, p, out.dtype))


def dropout_keeps(gen: Generator, shape: Shape, p: float) -> Array:
    """bool: which values dropout with 0 < p < 1 keeps, in the order of memory."""
    check_dropout(p)
    return bernoulli_number(gen, shape, 1 - p, BOOL)


def feature_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of one number per channel of [batch, channels, ...]."""
    if len(shape) < 2:
        raise RuntimeError(
            f"Feature dropout requires at least 2 dimensions in the input, got {shape}"
        )
    return (*shape[:2], *(1,) * (len(shape) - 2))


def check_dropout(p: float) -> None:
    """RuntimeError unless 0 <= p <= 1."""
    if not 0.0 <= p <= 1.0:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p:g}")


def dropout_noise(gen: Generator, x: Array, p: float, feature: bool = False) -> Array:
    """What dropout with 0 < p < 1 draws for `x`: 0 or 1 of its dtype.

    One number per element, in the order of x's memory; with `feature` one per channel, as
    [batch, channels, 1, ...].
    """
    check_dropout(p)
    if feature:
        return bernoulli_number(gen, feature_shape(x.shape), 1 - p, x.dtype)
    return bernoulli_into(gen, np.empty_like(x), 1 - p)  # empty_like keeps the order of memory


def dropout(gen: Generator, x: Array, p: float = 0.5, feature: bool = False) -> Array:
    """Training dropout of an array; with `feature`, dropout1d/2d/3d."""
    check_dropout(p)
    one = x.dtype.type
    if p == 0 or not x.size:
        return x
    if p == 1:
        nothing: Array = x * one(0)
        return nothing
    out: Array = x * (dropout_noise(gen, x, p, feature) / one(1 - p))
    return out


def alpha_dropout(gen: Generator, x: Array, p: float = 0.5, feature: bool = False) -> Array:
    """Training alpha dropout of an array (and feature alpha dropout)."""
    check_dropout(p)
    one = x.dtype.type
    if p == 0 or not x.size:
        return x
    if p == 1:
        nothing: Array = x * one(0)
        return nothing
    noise = dropout_noise(gen, x, p, feature)
    a = 1.0 / math.sqrt((_ALPHA * _ALPHA * p + 1) * (1 - p))
    b = (noise + one(-1)) * one(_ALPHA * a) + one(_ALPHA * a * p)
    out: Array = x * (noise * one(a)) + b
    return out


def rrelu_slopes(gen: Generator, x: Array, lower: float = 1 / 8, upper: float = 1 / 3) -> Array:
    """The slopes of a training rrelu: drawn where x <= 0, in the order of the indices; else 1."""
    lower, upper = (float(x.dtype.type(v)) for v in (lower, upper))
    slopes = np.ones(x.shape, x.dtype)
    taken = x <= 0
    with gen.lock:
        u = gen.uniform64(int(np.count_nonzero(taken)))
    slopes[taken] = u * (upper - lower) + lower
    return slopes


__all__ = [
    "alpha_dropout",
    "bernoulli",
    "bernoulli_into",
    "bernoulli_number",
    "check_dropout",
    "dropout",
    "dropout_keeps",
    "dropout_noise",
    "feature_shape",
    "rrelu_slopes",
]
