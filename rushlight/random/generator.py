"""One MT19937 as PyTorch's CPU generator holds it: seeds, the 5056 state bytes, raw words.

A *word* is one 32-bit output of the twister; a *double word* is two of them, the first being the
high half.  Every distribution of this package is written in these two (`words`, `double_words`)
and their uniforms (`uniform32`, `uniform64`).  Draws hold `Generator.lock`, so that two threads
sharing a generator never tear it; a forked child goes on from its parent's state.
"""

from __future__ import annotations

import operator
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, Final, SupportsIndex

import numpy as np

from rushlight.base.device import USABLE
from rushlight.base.device import device as Device
from rushlight.random.twister import WORDS, Twister

Array = np.ndarray[Any, np.dtype[Any]]

DEFAULT_SEED: Final = 67280421310721
STATE_BYTES: Final = 5056

_FIRST: Final = WORDS  # words made ahead right after seeding: many generators draw little
_AHEAD: Final = 4096  # words made ahead from then on
_MASK32: Final = np.uint32(0xFFFFFF)
_UNIT32: Final = np.float32(2.0**-24)
_MASK64: Final = np.uint64((1 << 53) - 1)
_HALF: Final = np.uint64(32)
_NO_WORDS: Final = np.empty(0, np.uint32)
_NO_FLOATS: Final = np.empty(0, np.float32)
_POD: Final = np.dtype(
    [
        ("seed", "<u8"),
        ("left", "<i4"),
        ("seeded", "<i4"),
        ("next", "<u8"),
        ("key", "<u8", (WORDS,)),
        ("x", "<f8"),
        ("double", "<f8"),
        ("rho", "<f8"),
        ("has_double", "<i4"),
        ("pad", "V4"),
        ("float", "<f4"),
        ("has_float", "u1"),
        ("tail", "V3"),
    ]
)

_alive: weakref.WeakSet[Generator] = weakref.WeakSet()
_held_for_fork: list[Generator] = []
_idle: list[Twister] = []


def unit32(words: Array) -> Array:
    """float32 uniforms in [0, 1) from the low 24 bits of words."""
    low = words & _MASK32
    out = low.view(np.int32).astype(np.float32)  # signed conversion has a vector instruction
    out *= _UNIT32
    return out


def unit64(double_words: Array) -> Array:
    """float64 uniforms in [0, 1) from the low 53 bits of double words."""
    low = double_words & _MASK64
    out: Array = low.view(np.int64).astype(np.float64)
    out *= 2.0**-53
    return out


class Generator:
    """PyTorch's CPU generator (`torch.Generator`): the same words, the same state bytes.

    A new one has PyTorch's default seed.  Distributions are functions that take the generator
    (`rushlight.random.draws`).  `get_state` gives a uint8 array of 5056 bytes, passed through the
    function given to `wrap_states_with` where a tensor layer has given one.
    """

    __slots__ = (
        "__weakref__",
        "_ahead",
        "_anchor",
        "_asleep",
        "_at",
        "_device",
        "_floats",
        "_next_block",
        "_seed",
        "_twister",
        "_untouched",
        "lock",
        "spare",
        "spare_float",
    )

    def __init__(self, device: Any = "cpu") -> None:
        self._device = Device(device)
        if self._device.type not in USABLE:
            raise RuntimeError(
                f"Generator: no generator for device {str(device)!r}; Rushlight draws all random "
                "numbers with the CPU generator, use Generator() or Generator('cpu')"
            )
        self.lock = threading.RLock()
        #: The float64 normal that waits for the next serial normal draw (see `normals`).
        self.spare: float | None = None
        self.spare_float: float | None = None
        self._twister: Twister | None = None
        self._reset(DEFAULT_SEED)
        _alive.add(self)

    # ------------------------------------------------------------------ seeds

    def manual_seed(self, seed: SupportsIndex) -> Generator:
        """Seed and return self; a negative seed counts as 2**64 + seed.

        Only the low 32 bits reach the words: 0 and 2**32 give the same numbers.
        ValueError outside [-2**63, 2**64).
        """
        try:
            number = operator.index(seed)
        except TypeError:
            kind = type(seed).__name__
            raise RuntimeError(f"manual_seed expected a long, but got {kind}") from None
        if not -(1 << 63) <= number < 1 << 64:
            raise ValueError(f"Overflow when unpacking long long: manual_seed({number})")
        with self.lock:
            self._reset(number % (1 << 64))
        return self

    def seed(self) -> int:
        """Reseed from the operating system; the seed."""
        self.manual_seed(int.from_bytes(os.urandom(8), "little"))
        return self._seed

    def initial_seed(self) -> int:
        """The seed last given."""
        return self._seed

    @property
    def device(self) -> Device:
        """The device of the generator: the CPU."""
        return self._device

    def _reset(self, seed: int) -> None:
        self._seed = seed
        self._asleep = True  # the twister is seeded at the first draw
        self._untouched = True
        self.spare = self.spare_float = None
        self._next_block = _FIRST
        self._forget()

    def _wake(self) -> Twister:
        """The twister, made at the first draw and seeded at the first draw after a seeding."""
        if self._twister is None:
            try:
                self._twister = _idle.pop()
            except IndexError:
                self._twister = Twister()
            self._asleep = True
        if self._asleep:
            self._asleep = False
            self._twister.seed(self._seed & 0xFFFFFFFF)
        return self._twister

    # ------------------------------------------------------------------ states

    def get_state(self) -> Any:
        """The 5056 bytes of `torch.Generator.get_state`: seed, twister, waiting normal."""
        return _wrap(self.state_bytes())

    def state_bytes(self) -> Array:
        """`get_state` as a NumPy array, uint8 [5056]."""
        with self.lock:
            here = self._position()
            key, used = here[:WORDS], int(here[WORDS])
            pod = np.zeros((), _POD)
            pod["seed"], pod["seeded"] = self._seed, 1
            pod["left"], pod["next"] = (1, 0) if self._untouched else (WORDS + 1 - used, used)
            pod["key"] = key
            if self.spare is not None:
                pod["double"], pod["has_double"] = self.spare, 1
            if self.spare_float is not None:
                pod["float"], pod["has_float"] = self.spare_float, 1
        return np.frombuffer(pod.tobytes(), np.uint8).copy()

    def set_state(self, new_state: Any) -> Generator:
        """Take over a state of `get_state`, ours or PyTorch's; returns self.

        TypeError for anything but bytes (dtype uint8), RuntimeError for bytes that are no state.
        """
        raw = np.asarray(new_state)
        if raw.dtype != np.uint8:
            raise TypeError(f"RNG state must be a torch.ByteTensor, but its dtype is {raw.dtype}")
        if raw.size != STATE_BYTES:
            raise RuntimeError(
                f"Expected a CPUGeneratorImplState of size {STATE_BYTES} but found the input RNG "
                f"state size to be {raw.size}"
            )
        pod = np.ascontiguousarray(raw).reshape(-1).view(_POD)[0]
        left, used = int(pod["left"]), int(pod["next"])
        fits = left + used == WORDS + 1 or left == 1
        if not (pod["seeded"] and 0 < left <= WORDS and used <= WORDS and fits):
            raise RuntimeError("Invalid mt19937 state")
        with self.lock:
            self._reset(int(pod["seed"]))
            self._untouched = (left, used) == (1, 0)
            position = np.uint32(WORDS if left == 1 else used)
            self._wake().load(np.append(pod["key"].astype(np.uint32), position))
            self.spare = float(pod["double"]) if pod["has_double"] else None
            self.spare_float = float(pod["float"]) if pod["has_float"] else None
        return self

    def clone_state(self) -> Generator:
        """A new generator in the same state."""
        return Generator(self._device).set_state(self.state_bytes())

    graphsafe_get_state = clone_state

    def graphsafe_set_state(self, state: Generator) -> Generator:
        """Take over another generator's state; returns self."""
        return self.set_state(state.state_bytes())

    def __del__(self, idle: list[Twister] = _idle) -> None:
        # A sampler makes a generator every epoch, and a twister takes 40 us to make.
        twister: Twister | None = getattr(self, "_twister", None)
        if twister is not None and len(idle) < 4:
            idle.append(twister)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (str(self._device), self.state_bytes().tobytes())

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take over what PyTorch's pickles of generators hold: seed, offset, state."""
        self.set_state(state[2])

    # ------------------------------------------------------------------- words
    #
    # Small draws come from words made ahead.  `_anchor` is the twister's state where they begin,
    # so that the true state can be had back on demand; `_floats` are the same words as uniforms.

    def _forget(self) -> None:
        self._ahead = _NO_WORDS
        self._floats = _NO_FLOATS
        self._at = 0
        self._anchor = _NO_WORDS

    def _settle(self) -> Twister:
        """Bring the twister to where the draws are."""
        twister = self._wake()
        if self._at < self._ahead.size:
            twister.load(self._anchor)
            twister.make(self._at)
        self._forget()
        return twister

    def _position(self) -> Array:
        """The twister's state where the draws are; the words made ahead stay."""
        twister = self._wake()
        here = twister.save()
        if self._at < self._ahead.size:
            twister.load(self._anchor)
            twister.make(self._at)
            there = here
            here = twister.save()
            twister.load(there)
        return here

    def peek(self, count: int) -> Array:
        """The next words, left in place; a view that must not be written to."""
        if self._ahead.size - self._at < count:
            twister = self._settle()
            self._anchor = twister.save()
            self._ahead = twister.make(max(count, self._next_block))
            self._next_block = _AHEAD
        return self._ahead[self._at : self._at + count]

    def skip(self, count: int) -> None:
        """Drop words that `peek` has shown."""
        self._at += count
        if count:
            self._untouched = False

    def words(self, count: int) -> Array:
        """The next words, uint32 [count]; the array must not be written to."""
        have = self._ahead.size - self._at
        if count <= have or count <= _AHEAD // 4:
            out = self.peek(count)
            self.skip(count)
            return out
        self._untouched = False
        head = self._ahead[self._at :]
        self._forget()
        rest = self._wake().make(count - have)
        return np.concatenate((head, rest)) if have else rest

    def words_into(self, out: Array) -> None:
        """The next words into contiguous uint32 ones."""
        have = self._ahead.size - self._at
        if out.size <= have or out.size <= _AHEAD // 4:
            out[...] = self.peek(out.size)
            self.skip(out.size)
            return
        self._untouched = False
        out[:have] = self._ahead[self._at :]
        self._forget()
        self._wake().make_into(out[have:])

    def pairs(self, count: int) -> Array:
        """The next double words as they lie in memory, uint64: the first word is the low half."""
        return np.ascontiguousarray(self.words(2 * count)).view("<u8")

    def double_words(self, count: int) -> Array:
        """The next double words, uint64 [count]."""
        pairs = self.pairs(count)
        out: Array = pairs << _HALF
        out |= pairs >> _HALF
        return out

    def uniform32(self, count: int) -> Array:
        """float32 uniforms in [0, 1), one word each: a fresh array [count]."""
        at = self._at
        if at + count > self._floats.size:
            if count > _AHEAD // 4:
                return unit32(self.words(count))
            self.peek(count)
            self._floats = unit32(self._ahead)
            at = self._at
        self.skip(count)
        return self._floats[at : at + count].copy()

    def uniform64(self, count: int) -> Array:
        """float64 uniforms in [0, 1), one double word each: a fresh array [count]."""
        return unit64(self.double_words(count))


# ------------------------------------------------------------------- the process

_wrap: Callable[[Array], Any] = lambda state: state  # noqa: E731


def wrap_states_with(wrap: Callable[[Array], Any]) -> None:
    """Let `get_state` of every generator pass its bytes through `wrap` (array to tensor)."""
    global _wrap
    _wrap = wrap


def _restored(device: str, state: bytes) -> Generator:
    return Generator(device).set_state(np.frombuffer(state, np.uint8))


def _before_fork() -> None:
    for generator in list(_alive):
        generator.lock.acquire()
        _held_for_fork.append(generator)


def _after_fork_in_parent() -> None:
    while _held_for_fork:
        _held_for_fork.pop().lock.release()


def _after_fork_in_child() -> None:
    while _held_for_fork:
        _held_for_fork.pop().lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )

default_generator: Final = Generator()
"""The generator of every draw that is not given one."""
