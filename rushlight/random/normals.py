"""Normal draws, and the log-normal.

16 values or more, contiguous: Box-Muller in groups of 16, one uniform each (float32, or float64 for
float64), and 16 more uniforms that redo the last 16 values if the number is no multiple of 16; the
16-bit types take 16 float32 uniforms per started group instead.
Otherwise, and for log-normals: float64 pairs of two double words each; the odd value of a pair
waits in the generator (`Generator.spare`), across calls and dtypes, for the next such draw.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from rushlight.random import native
from rushlight.random.arithmetic import (
    F32,
    F64,
    TWO_PI,
    TWO_PI_F32,
    cast,
    cos_sin,
    exact,
    f32,
    floating,
    fma32,
    fma64,
    log_cephes,
    sincos_cephes,
    single,
    through,
)
from rushlight.random.generator import Generator
from rushlight.random.memory import AT_ONCE, Shape, fill, size_of

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

Array = np.ndarray[Any, np.dtype[Any]]

_MANY = 1024  # values for which it pays to draw where they are wanted
_SMALL = 64  # up to here, Python's floats beat NumPy's calls


def normal(
    gen: Generator,
    shape: Shape,
    mean: float = 0.0,
    std: float = 1.0,
    dtype: DTypeLike = F32,
    contiguous: bool = True,
) -> Array:
    """`randn`, `normal_` on a contiguous tensor; `contiguous=False`: on any other."""
    kind = np.dtype(dtype)
    if not std >= 0.0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
    if kind != F32 and not floating(kind):
        raise NotImplementedError(f'"normal_kernel_cpu" not implemented for {kind.name!r}')
    count, dims = size_of(shape)
    with gen.lock:
        if count < 16 or not contiguous:
            out = cast(_serial(gen, count, mean, std), kind)
        elif kind == F32 and count >= _MANY and _ready(count):
            out = np.empty(count, np.float32)
            _grouped32_into(gen, out, mean, std)
        else:
            out = _grouped(gen, count, mean, std, kind)
    return out if len(dims) == 1 else out.reshape(dims)


def normal_into(gen: Generator, out: Array, mean: float = 0.0, std: float = 1.0) -> Array:
    """`normal_` on an array of any strides; returns it."""
    dense = bool(out.flags.c_contiguous)
    if dense and out.dtype == F32 and out.size >= _MANY and std >= 0.0:
        with gen.lock:
            if _ready(out.size):
                _grouped32_into(gen, out.reshape(-1), mean, std)
                return out
    return fill(out, lambda n: normal(gen, n, mean, std, out.dtype, dense))


def _ready(count: int) -> bool:
    """May so many normals be made by native code?"""
    return native.NORMALS.ready(count) and native.UNIFORMS.ready(count)


def _grouped32_into(gen: Generator, flat: Array, mean: float, std: float) -> None:
    """`_grouped` for float32: words, uniforms and normals are made where the values are wanted, a
    block that stays in the cache at a time."""

    def draw(block: Array) -> None:
        gen.words_into(block.view(np.uint32))
        native.uniforms(block, 0.0, 1.0)
        native.box_muller32(block, mean, std)

    whole = flat.size // 16 * 16
    for at in range(0, whole, AT_ONCE):
        draw(flat[at : min(at + AT_ONCE, whole)])
    if whole < flat.size:
        gen.words(flat.size - whole)  # drawn, and not used
        draw(flat[-16:])


def normal_tensors(gen: Generator, mean: Any, std: Any, dtype: DTypeLike = F32) -> Array:
    """`torch.normal` with an array of means, of deviations, or both (NumPy arrays or numbers).

    Numbers go into the drawing where the deviation is a number; an array is multiplied or added
    afterwards, in the dtype, each with its own rounding.
    """
    kind = np.dtype(dtype)
    shape = np.broadcast_shapes(np.shape(mean), np.shape(std))
    if not isinstance(std, np.ndarray):
        drawn: Array = normal(gen, shape, 0.0, float(std), kind) + np.asarray(mean, kind)
        return drawn
    if std.size and not (std >= 0).all():
        raise RuntimeError("normal expects all elements of std >= 0.0")
    z = normal(gen, shape, 0.0, 1.0, kind) * np.asarray(std, kind)
    out: Array = z + np.asarray(mean, kind)
    return out


def log_normal(
    gen: Generator, shape: Shape, mean: float = 1.0, std: float = 2.0, dtype: DTypeLike = F32
) -> Array:
    """`log_normal_(mean, std)`: the exponential of serial normals."""
    kind = np.dtype(dtype)
    if not std > 0.0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std:g}")
    if not floating(kind):
        raise NotImplementedError(f'"log_normal_cpu" not implemented for {kind.name!r}')
    count, dims = size_of(shape)
    with gen.lock:
        z = _serial(gen, count, mean, std)
    return through("exp", z, lambda y: y, kind).reshape(dims)


def _grouped(gen: Generator, count: int, mean: float, std: float, dtype: np.dtype[Any]) -> Array:
    """Sixteen or more normals: values 0..7 of a group of uniforms give radii, 8..15 angles."""
    groups, tail = divmod(count, 16)
    redrawn = 16 if tail else 0
    if dtype == F64:
        u = gen.uniform64(count + redrawn)
    elif dtype == F32:
        u = gen.uniform32(count + redrawn)
    else:
        u = gen.uniform32(16 * groups + redrawn)
    # Whole groups first, then the group that overwrites the last 16 values.
    body = u[: 16 * groups].reshape(-1, 16)
    if tail:
        body = np.concatenate((body, u[-16:].reshape(1, 16)))
    z = _box_muller64(body, mean, std) if dtype == F64 else cast(_normals32(body, mean, std), dtype)
    flat = z.reshape(-1)
    return np.concatenate((flat[: count - 16], flat[-16:])) if tail else flat


def _normals32(u: Array, mean: float, std: float) -> Array:
    """Uniforms [groups, 16], not needed afterwards, to normals."""
    if u.size and native.NORMALS.ready(u.size):
        native.box_muller32(u, mean, std)
        return u
    return _box_muller32(u, mean, std)


def _box_muller32(u: Array, mean: float, std: float) -> Array:
    """Groups of 16 float32 uniforms, [groups, 16], to float32 normals of the same shape."""
    out = np.empty(u.shape, np.float32)
    mean, std = single(mean, std)
    plain = mean == 0.0 and std == 1.0
    for at in range(0, len(u), 1024):  # blocks that stay in the cache
        block = u[at : at + 1024].astype(np.float64)
        radius = f32(np.sqrt(-2.0 * log_cephes(1.0 - block[:, :8])))
        sine, cosine = sincos_cephes(f32(block[:, 8:] * TWO_PI_F32))
        for half, wave in ((slice(0, 8), cosine), (slice(8, 16), sine)):
            n = f32(radius * wave)
            out[at : at + 1024, half] = n + 0.0 if plain else fma32(n, std, mean)
    return out


def _box_muller64(u: Array, mean: float, std: float) -> Array:
    first = 1.0 - u[:, :8]
    radius = np.sqrt(-2.0 * exact("log", first.ravel()).reshape(first.shape))
    cosine, sine = cos_sin(TWO_PI * u[:, 8:])
    return fma64(np.concatenate((radius * cosine, radius * sine), axis=1), std, mean) + 0.0


def _serial(gen: Generator, count: int, mean: float, std: float) -> Array:
    """One float64 normal after the other, in pairs, the odd one kept for later."""
    waiting = gen.spare
    pairs = (count + 1 - (waiting is not None)) // 2
    if count <= _SMALL:
        few = [] if waiting is None or not count else [waiting]
        if count:
            gen.spare = None
        if pairs:
            words = gen.words(4 * pairs).tolist()
            for i in range(0, 4 * pairs, 4):
                few += _pair(*words[i : i + 4])
            if len(few) > count:
                gen.spare = few.pop()
        z: Array = np.array(few, np.float64)
    else:
        z = np.empty(count)
        start = 0
        if waiting is not None:
            z[0], gen.spare, start = waiting, None, 1
        u = gen.uniform64(2 * pairs)
        radius = np.sqrt(-2.0 * exact("log1p", -u[1::2]))
        cosine, sine = cos_sin(TWO_PI * u[0::2])
        both = np.stack((radius * cosine, radius * sine), axis=1).ravel()
        z[start:] = both[: count - start]
        if (count - start) % 2:
            gen.spare = float(both[-1])
    return z if mean == 0.0 and std == 1.0 else fma64(z, std, mean)


def _pair(a: int, b: int, c: int, d: int) -> tuple[float, float]:
    """Two normals from the four words of two double words (high half first)."""
    angle = TWO_PI * (((a & 0x1FFFFF) << 32 | b) * 2.0**-53)
    radius = math.sqrt(-2.0 * math.log1p(-(((c & 0x1FFFFF) << 32 | d) * 2.0**-53)))
    return radius * math.cos(angle), radius * math.sin(angle)


__all__ = ["log_normal", "normal", "normal_into", "normal_tensors"]
