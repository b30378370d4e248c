"""MT19937 as raw words, with its state at hand as plain memory.

Everything here is exact arithmetic on 32-bit words: NumPy's operations, the native kernel and
NumPy's own generator give the same words.  The last is loaded for long draws alone, where no
kernel is at hand: loading `numpy.random` takes as long as making a million words natively.
"""

from __future__ import annotations

import sys
from typing import Any, Final

import numpy as np

from rushlight.base.lazy import later

Array = np.ndarray[Any, np.dtype[Any]]

native: Any = later("rushlight.random.native")

WORDS: Final = 624
_HALF: Final = 397  # how far ahead the word lies that a new one is made with
_REST: Final = WORDS - _HALF
_SEEDS: Final = 8  # that are filled in here; then a kernel is worth loading
_LONG: Final = 1 << 17  # words for which it is loaded
_SHORT: Final = 1 << 12  # and for which it is used once it is loaded

_seeded: list[int] = [0]


class Twister:
    """One MT19937.  A state is uint32 [625]: the key, then how many of its words are used up."""

    __slots__ = ("_memory",)

    def __init__(self) -> None:
        self._memory: Array = np.zeros(WORDS + 1, np.uint32)
        self._memory[WORDS] = WORDS

    def seed(self, seed: int) -> None:
        """Seed with 32 bits, as Knuth's generator fills the key."""
        _seeded[0] += 1
        if _seeded[0] > _SEEDS and native.SEEDED.ready(WORDS):
            native.seeded(self._memory, seed & 0xFFFFFFFF)
        else:
            self._memory[:WORDS] = filled(seed)
        self._memory[WORDS] = WORDS

    def make(self, count: int) -> Array:
        """The next words, uint32 [count]."""
        out = np.empty(count, np.uint32)
        self.make_into(out)
        return out

    def make_into(self, out: Array) -> None:
        """The next words into contiguous uint32 ones."""
        count = out.size
        if count == 0:
            return
        if native.WORDS.ready(count):
            native.words(self._memory, out)
        elif count >= _LONG or (count >= _SHORT and "numpy.random" in sys.modules):
            self._by_numpy(out)
        else:
            self._make(out)

    def _make(self, out: Array) -> None:
        memory, at = self._memory, 0
        while at < out.size:
            used = int(memory[WORDS])
            if used >= WORDS:
                refill(memory)
                used = 0
            take = min(WORDS - used, out.size - at)
            out[at : at + take] = tempered(memory[used : used + take])
            memory[WORDS] = used + take
            at += take

    def _by_numpy(self, out: Array) -> None:
        bits: Any = np.random.MT19937()
        inner = {"key": self._memory[:WORDS], "pos": int(self._memory[WORDS])}
        bits.state = {"bit_generator": "MT19937", "state": inner}
        out[...] = bits.random_raw(out.size)
        inner = bits.state["state"]
        self._memory[:WORDS] = inner["key"]
        self._memory[WORDS] = inner["pos"]

    def save(self) -> Array:
        """The state, a copy."""
        return self._memory.copy()

    def load(self, state: Array) -> None:
        """Take over a state of `save`."""
        self._memory[:] = state


def filled(seed: int) -> list[int]:
    """The key of a seed."""
    word = seed & 0xFFFFFFFF
    key = [word]
    for i in range(1, WORDS):
        word = (1812433253 * (word ^ word >> 30) + i) & 0xFFFFFFFF
        key.append(word)
    return key


def refill(key: Array) -> None:
    """The next 624 words, before they are tempered, in the place of these."""
    old = key[: WORDS - 1]
    after = key[1:WORDS]
    mixed = (old & np.uint32(0x80000000)) | (after & np.uint32(0x7FFFFFFF))
    mixed >>= np.uint32(1)
    mixed ^= (after & np.uint32(1)) * np.uint32(0x9908B0DF)
    key[:_REST] = key[_HALF:WORDS] ^ mixed[:_REST]
    for start in range(_REST, WORDS - 1, _REST):  # each from words that are new by then
        stop = min(start + _REST, WORDS - 1)
        key[start:stop] = key[start - _REST : stop - _REST] ^ mixed[start:stop]
    last = int(key[WORDS - 1]) & 0x80000000 | int(key[0]) & 0x7FFFFFFF
    key[WORDS - 1] = int(key[_HALF - 1]) ^ last >> 1 ^ (0x9908B0DF if last & 1 else 0)


def tempered(words: Array) -> Array:
    """Words as they are given out."""
    out = words >> np.uint32(11)
    out ^= words
    out ^= (out << np.uint32(7)) & np.uint32(0x9D2C5680)
    out ^= (out << np.uint32(15)) & np.uint32(0xEFC60000)
    out ^= out >> np.uint32(18)
    return out
