"""NumPy's MT19937 as raw words, with its state at hand as plain memory.

NumPy's own `state` property walks the 624 words in Python (40 us); the pointer it also publishes
gives the same words at once.  Where that memory does not look as expected, the property serves.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

import numpy as np

from rushlight.base.lazy import later

Array = np.ndarray[Any, np.dtype[Any]]

native: Any = later("rushlight.random.native")

WORDS: Final = 624
_MANY: Final = 1024  # words for which a native call pays


class _NoSeed:
    """Spares NumPy's seeding from the operating system: every twister is seeded anyway."""

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> Array:
        return np.zeros(n_words, dtype)


class Twister:
    """One MT19937; `numpy.random` is loaded by the first, not by `import rushlight`.

    A state is uint32 [625]: the key, then how many of its words are used up.
    """

    __slots__ = ("_bits", "_memory", "_seeder")

    def __init__(self) -> None:
        np.random.bit_generator.ISeedSequence.register(_NoSeed)
        self._bits: Any = np.random.MT19937(_NoSeed())  # type: ignore[arg-type]
        self._seeder = np.random.RandomState(self._bits)
        self._memory = _memory_of(self._bits)

    def seed(self, seed: int) -> None:
        """Seed with 32 bits, as Knuth's generator fills the key."""
        self._seeder.seed(seed)

    def make(self, count: int) -> Array:
        """The next words, uint32 [count]."""
        out = np.empty(count, np.uint32)
        self.make_into(out)
        return out

    def make_into(self, out: Array) -> None:
        """The next words into contiguous uint32 ones."""
        count = out.size
        if self._memory is not None and count >= _MANY and native.WORDS.ready(count):
            native.words(self._memory, out)
        else:
            out[...] = self._bits.random_raw(count)

    def save(self) -> Array:
        """The state, a copy."""
        if self._memory is not None:
            return self._memory.copy()
        state = self._bits.state["state"]
        return np.append(state["key"], np.uint32(state["pos"]))

    def load(self, state: Array) -> None:
        """Take over a state of `save`."""
        if self._memory is not None:
            self._memory[:] = state
            return
        inner = {"key": state[:WORDS].copy(), "pos": int(state[WORDS])}
        self._bits.state = {"bit_generator": "MT19937", "state": inner}


def _memory_of(bits: Any) -> Array | None:
    """The memory of a new twister's state; None if it does not hold what `state` says."""
    address = bits.ctypes.state_address
    memory: Array = np.ctypeslib.as_array((ctypes.c_uint32 * (WORDS + 1)).from_address(address))
    global _layout_holds
    if _layout_holds is None:
        bits.random_raw(700)  # a position that is neither end
        state = bits.state["state"]
        same = np.array_equal(memory[:WORDS], state["key"]) and memory[WORDS] == state["pos"]
        _layout_holds = bool(same)
    return memory if _layout_holds else None


_layout_holds: bool | None = None
