"""Integer draws and permutations.

randint: one word below a range of 2**28, else a double word.  random_: one word, for int64 and
float64 a double word.  randperm: n - 1 words (n double words from 2**32 // 20 on).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rushlight.random import native
from rushlight.random.arithmetic import DIGITS, cast, floating
from rushlight.random.generator import Generator
from rushlight.random.memory import Shape, in_blocks

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

Array = np.ndarray[Any, np.dtype[Any]]

I64: Final = np.dtype(np.int64)
_WIDE: Final = 1 << 28  # from this range on an integer takes a double word
_HUGE: Final = (1 << 32) // 20  # from this length on a permutation is drawn inside out
_LOWEST: Final = -(1 << 63)
_SWAPS: Final = 400  # below this length, swapping in Python beats NumPy's calls
_FEW: Final = 16  # up to here, Python's integers beat NumPy's calls


def randint(gen: Generator, low: int, high: int, shape: Shape, dtype: DTypeLike = I64) -> Array:
    """`randint`, `random_(low, high)`: integers in [low, high), in an integer or floating dtype."""
    kind = np.dtype(dtype)
    if kind == I64 and 0 < high - low < _WIDE and isinstance(shape, int) and shape <= _FEW:
        width = high - low
        with gen.lock:
            return np.array([low + w % width for w in gen.words(shape).tolist()], I64)
    digits = floating(kind)
    if low >= high:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    _check_bounds(kind, low, high - 1)
    if digits:
        low, high = _inside(low, kind, digits, up=True), _inside(high, kind, digits, up=False)
        if low >= high:
            raise RuntimeError(
                "random_ expects 'from' casted to dtype to be less than 'to' casted to dtype, but "
                f"got from={low} >= to={high} for {kind.name}"
            )
    with gen.lock:
        return in_blocks(shape, lambda n: _between(gen, n, low, high - low, kind))


def random(gen: Generator, shape: Shape, dtype: DTypeLike = I64, low: int | None = None) -> Array:
    """`random_()`: [0, max] of an integer dtype, [0, 2**digits] of a floating one.

    With `low` (`random_(low, None)`): [low, max] or [low, 2**digits].
    """
    kind = np.dtype(dtype)
    digits = floating(kind)
    if digits:
        top = 1 << digits
    else:
        top = 1 if kind.kind == "b" else int(np.iinfo(kind).max)
    with gen.lock:
        if low == _LOWEST:
            return in_blocks(shape, lambda n: cast(gen.double_words(n).view(np.int64), kind))
        if low is not None:
            _check_bounds(kind, low, top)
            start = _inside(low, kind, digits, up=True) if digits else low
            return in_blocks(shape, lambda n: _between(gen, n, start, top - start + 1, kind))
        draw = gen.double_words if kind.itemsize == 8 and kind.kind in "if" else gen.words
        return in_blocks(shape, lambda n: cast(_modulo(draw(n), top + 1).astype(np.int64), kind))


def random_seed(gen: Generator) -> int:
    """The number that samplers and loaders take for a seed: `empty((), int64).random_()`."""
    with gen.lock:
        high, low = gen.words(2).tolist()
    seed: int = ((high << 32) | low) & 0x7FFFFFFFFFFFFFFF
    return seed


def _check_bounds(dtype: np.dtype[Any], first: int, last: int) -> None:
    """RuntimeError if the ends of the range are no values of the dtype."""
    if dtype.name in ("float16", "bfloat16"):
        # bfloat16's largest value is beyond any int64.
        low, top = (-65504, 65504) if dtype.name == "float16" else (_LOWEST, -_LOWEST)
    elif dtype.kind == "b":
        low, top = 0, 1
    elif dtype.kind in "iu":
        low, top = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    else:
        return
    if not low <= first <= top:
        raise RuntimeError(f"random_: from={first} is out of bounds for {dtype.name}")
    if not low <= last <= top:
        raise RuntimeError(f"random_: to - 1 is out of bounds for {dtype.name} (to={last + 1})")


def _between(gen: Generator, count: int, low: int, width: int, dtype: np.dtype[Any]) -> Array:
    if width >= _WIDE:
        values = _modulo(gen.double_words(count), width).view(np.int64)
    else:
        values = _modulo(gen.words(count), width).astype(np.int64)
    if low:
        values = values + np.int64(low)
    return cast(values, dtype)


def _modulo(words: Array, width: int) -> Array:
    """words % width; the division by a number is NumPy's vector code, its remainder is not."""
    kind = words.dtype.type
    if width > np.iinfo(kind).max:
        return words
    if not width & (width - 1):
        masked: Array = words & kind(width - 1)
        return masked
    out: Array = words - words // kind(width) * kind(width)
    return out


def _through_dtype(value: int, dtype: np.dtype[Any]) -> int:
    """An int64 cast to a floating dtype and back."""
    there = float(cast(np.array([value], np.int64), dtype)[0])
    return int(there) if math.isfinite(there) else _LOWEST


def _inside(bound: int, dtype: np.dtype[Any], digits: int, up: bool) -> int:
    """Move a bound of `random_` to one that no cast to the floating dtype steps over."""
    near = bound + 1 if up else bound - 1
    there = _through_dtype(near, dtype)
    step = 1 << max(abs(near).bit_length() - digits, 0)
    if up:
        return there + step if there < bound else bound
    return there - step if there >= bound else bound


# ---------------------------------------------------------------- permutations


def randperm(gen: Generator, n: int, dtype: DTypeLike = I64) -> Array:
    """`randperm(n)`: Fisher-Yates from the front, one word a step."""
    kind = np.dtype(dtype)
    if n < 0:
        raise RuntimeError(f"randperm: n must be non-negative, got {n}")
    largest = 1 << DIGITS[kind.name] if floating(kind) else int(np.iinfo(kind).max)
    if n > largest:
        raise RuntimeError(f"randperm: n={n} is too large for {kind.name}")
    with gen.lock:
        if n >= _HUGE:
            return cast(_inside_out(gen.double_words(n)), kind)
        words = gen.words(max(n - 1, 0))
    if n > 1 and native.SHUFFLE.ready(n):
        return cast(native.shuffled(n, words), kind)
    jumps = words.astype(np.int64) % np.arange(n, 1, -1, dtype=np.int64)
    return cast(_swapped(n, jumps) if n < _SWAPS else _shuffled(n, jumps), kind)


def _swapped(n: int, jumps: Array) -> Array:
    """0..n-1 after swapping i with i + jumps[i], for i = 0, 1, ..."""
    places = list(range(n))
    for i, j in enumerate((jumps + np.arange(jumps.size)).tolist()):
        kept = places[j]
        places[j] = places[i]
        places[i] = kept
    return np.array(places, np.int64)


def _shuffled(n: int, jumps: Array) -> Array:
    """`_swapped` with whole arrays.

    Step i takes what lies at its target and leaves there what lay at i.  What lies at a place was
    put there by the last step aimed at it, so every value is found by following such steps back to
    a place no step had aimed at.
    """
    steps = n - 1
    every = np.arange(steps)
    aims = jumps + every
    bits = int(steps).bit_length()
    key = (aims << bits) | every
    key.sort()
    target, step = key >> bits, key & ((1 << bits) - 1)
    same = target[1:] == target[:-1]
    before = np.full(steps, -1, np.int64)  # the step before that had the same target
    before[step[1:][same]] = step[:-1][same]
    last = np.empty(target.size, bool)
    last[:-1] = ~same
    last[-1] = True
    source = np.arange(n)
    source[target[last]] = step[last]  # the last step aimed at each place ...
    own = np.nonzero(jumps == 0)[0]
    source[own] = np.where(before[own] >= 0, before[own], own)  # ... other than its own
    while True:
        further = source[source]
        if np.array_equal(further, source):
            break
        source = further
    out = np.empty(n, np.int64)
    out[:steps] = np.where(before >= 0, source[before], aims)
    out[steps] = source[steps]
    return out


def _inside_out(words: Array) -> Array:
    """The variant for huge n.  One pass of plain Python: correct, and slow."""
    out = np.zeros(words.size, np.int64)
    jumps = words % np.arange(1, words.size + 1, dtype=np.uint64)
    for i, z in enumerate(jumps.tolist()):
        out[i] = out[z]
        out[z] = i
    return out


__all__ = ["randint", "random", "random_seed", "randperm"]
