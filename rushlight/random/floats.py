"""Uniform draws and the continuous distributions that are one function of a uniform.

uniform float32/float16/bfloat16: one word each; float64: one double word.
exponential, cauchy, geometric: one double word each, computed in float64.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rushlight.random import native
from rushlight.random.arithmetic import (
    F32,
    F64,
    cast,
    exact,
    floating,
    fma32,
    fma64,
    single,
    through,
)
from rushlight.random.generator import Generator
from rushlight.random.memory import AT_ONCE, Shape, fill, flat_memory, in_blocks, size_of

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

Array = np.ndarray[Any, np.dtype[Any]]

_MANY: Final = 1024  # values for which a native call pays
_LARGEST: Final = {
    "float16": 65504.0,
    "bfloat16": 3.3895313892515355e38,
    "float32": 3.4028234663852886e38,
    "float64": 1.7976931348623157e308,
}


def uniform(
    gen: Generator, shape: Shape, low: float = 0.0, high: float = 1.0, dtype: DTypeLike = F32
) -> Array:
    """`rand`, `uniform_`: floats in [low, high); one that rounds up to `high` becomes `low`."""
    kind = np.dtype(dtype)
    if kind is not F32 or low != 0.0 or high != 1.0:
        _check_range(kind, low, high)
    with gen.lock:
        count, dims = size_of(shape)
        if kind == F32 and count >= _MANY and native.UNIFORMS.ready(count):
            out = np.empty(dims, np.float32)
            _uniform32_into(gen, out.reshape(-1), *single(low, high))
            return out
        return in_blocks(shape, lambda n: _uniform(gen, n, low, high, kind))


def uniform_into(gen: Generator, out: Array, low: float = 0.0, high: float = 1.0) -> Array:
    """`uniform_` on an array of any strides, in the order of its memory; returns it."""
    flat = flat_memory(out)
    if flat is None or out.dtype != F32 or out.size < _MANY:
        return fill(out, lambda n: uniform(gen, n, low, high, out.dtype))
    _check_range(out.dtype, low, high)
    with gen.lock:
        if native.UNIFORMS.ready(out.size):
            _uniform32_into(gen, flat, *single(low, high))
        else:
            flat[...] = in_blocks(out.size, lambda n: _uniform(gen, n, low, high, F32))
    return out


def _uniform32_into(gen: Generator, flat: Array, low: float, high: float) -> None:
    """Words are drawn where the uniforms are wanted, a block that stays in the cache at a time."""
    for at in range(0, flat.size, AT_ONCE):
        block = flat[at : at + AT_ONCE]
        gen.words_into(block.view(np.uint32))
        native.uniforms(block, low, high)


def _check_range(dtype: np.dtype[Any], low: float, high: float) -> None:
    if not floating(dtype):
        raise NotImplementedError(f'"check_uniform_bounds" not implemented for {dtype.name!r}')
    top = _LARGEST[dtype.name]
    for name, value in (("from", low), ("to", high)):
        if not -top <= value <= top:
            raise RuntimeError(f"uniform_: {name}={value} is out of bounds for {dtype.name}")
    if low > high:
        raise RuntimeError(
            "uniform_ expects to return a [from, to) range, but found "
            f"from={low:g} > to={high:g}; swap the two"
        )
    if high - low > top:
        raise RuntimeError(
            "uniform_ expects to-from <= std::numeric_limits<Float>::max(), but found "
            f"to={high:g} and from={low:g} which result in to-from to exceed the limit"
        )


def _uniform(gen: Generator, count: int, low: float, high: float, dtype: np.dtype[Any]) -> Array:
    plain = low == 0.0 and high == 1.0
    if dtype == F64:
        x = gen.uniform64(count)
        if not plain:
            x = fma64(x, high - low, low)
            x[x == high] = low
        return x
    values = gen.uniform32(count)
    if not plain:
        low, high = single(low, high)
        width = float(np.float32(high) - np.float32(low))
        values = fma32(values.astype(np.float64), width, low).astype(np.float32)
    if plain and dtype == F32:
        return values
    ends = cast(np.array([low, high]), dtype)
    out = cast(values, dtype)
    out[out == ends[1]] = ends[0]
    return out


def exponential(gen: Generator, shape: Shape, rate: float = 1.0, dtype: DTypeLike = F32) -> Array:
    """`exponential_(lambd=rate)`."""
    kind = np.dtype(dtype)
    _require_floating("Exponential", kind)
    if not rate > 0.0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={rate:g}")
    scale = -1.0 / rate

    def draw(n: int) -> Array:
        return through("log1p", -gen.uniform64(n), lambda y: scale * y, kind)

    with gen.lock:
        return in_blocks(shape, draw)


def cauchy(
    gen: Generator, shape: Shape, median: float = 0.0, sigma: float = 1.0, dtype: DTypeLike = F32
) -> Array:
    """`cauchy_(median, sigma)`."""
    kind = np.dtype(dtype)
    _require_floating("Cauchy", kind)
    if not sigma > 0.0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma:g}")

    def draw(n: int) -> Array:
        angle = math.pi * (gen.uniform64(n) - 0.5)
        return through("tan", angle, lambda y: fma64(y, sigma, median), kind)

    with gen.lock:
        return in_blocks(shape, draw)


def geometric(gen: Generator, shape: Shape, p: float, dtype: DTypeLike = F32) -> Array:
    """`geometric_(p)`: the number of trials up to the first success; floating or integer dtypes."""
    kind = np.dtype(dtype)
    if not 0.0 < p < 1.0:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p:g}")
    count, dims = size_of(shape)
    scale = math.log1p(-p)
    with gen.lock:
        u = gen.uniform64(count)
    values = through("log", u, lambda y: np.ceil(y / scale), F32 if count else F64)
    if kind == F64 or not np.all(values < 1 << 24):
        values = np.ceil(exact("log", u) / scale)
    return cast(values.astype(np.float64), kind).reshape(dims)


def _require_floating(name: str, dtype: np.dtype[Any]) -> None:
    if not floating(dtype):
        raise RuntimeError(
            f"{name} distribution is a continuous probability distribution. dtype must be a "
            f"floating point but you specified {dtype.name}"
        )


__all__ = ["cauchy", "exponential", "geometric", "uniform"]
