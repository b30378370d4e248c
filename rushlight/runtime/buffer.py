"""Memory of tensors: aligned blocks, kept for the next tensor of the same size class.

Owns `Buffer` and the free lists behind it. A block goes back to its list when its buffer dies and
no NumPy view is left; with a view left, the view keeps the memory and the list never sees it.
Idle memory is bounded: by `IDLE_LIMIT`, or by what keeps live and idle memory together below the
peak of live memory, so that what every step of a large model takes and gives back is not paged in
anew each time. Blocks above `HUGE` go straight back to the operating system. Compiled by mypyc:
plain typed code.
"""

import mmap
import sys
from ctypes import addressof, c_char
from typing import Final

import numpy as np
from mypy_extensions import mypyc_attr

ALIGNMENT: Final = 64
"""Every address is a multiple of this: a cache line, the widest vector."""

HUGE: Final = 128 << 20
"""Blocks above this many bytes are never kept idle."""

IDLE_LIMIT: Final = 256 << 20
"""Bytes that may lie idle in the free lists, whatever was live before."""

PEAK_LIMIT: Final = 4 << 30
"""Bytes that may lie idle where live memory has peaked."""

_MAPPED_FROM: Final = (
    64 << 10
)  # from here on pages come from the system: zero on first touch, returnable
_RECOUNT_EVERY: Final = 1024


_Bytes = np.ndarray[tuple[int], np.dtype[np.uint8]]


def _map(capacity: int) -> mmap.mmap:
    """Memory of this process alone: Python's `mmap` shares by default, so that a forked child
    would write into its parent's tensors.

    Large pages are not asked for: in a virtual machine that returns free memory to its host they
    are what the host has to bring back, and first touching 400 MiB took up to five times as long.
    """
    if sys.platform == "win32":
        return mmap.mmap(-1, capacity)
    return mmap.mmap(-1, capacity, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


@mypyc_attr(acyclic=True)  # the garbage collector need not look at what holds bytes
class _Block:
    """Aligned memory of one size class. `root` is what every NumPy view has as its base."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.root: _Bytes | None = None  # made with the first view
        self.memory: object = None
        if capacity >= _MAPPED_FROM:
            mapped = _map(capacity)
            self.memory = mapped
            handle = c_char.from_buffer(mapped)
            self.address: int = addressof(handle)
            del handle
        else:
            small = bytearray(capacity + ALIGNMENT)
            self.memory = small
            start = addressof(c_char.from_buffer(small))
            shift = -start % ALIGNMENT
            self.address = start + shift

    def view(self) -> _Bytes:
        """The root, from now on counted when the block comes back."""
        root = self.root
        if root is None:
            memory = self.memory
            shift = self.address - addressof(c_char.from_buffer(memory))  # type: ignore[arg-type]
            root = np.frombuffer(memory, np.uint8, self.capacity, shift)  # type: ignore[call-overload]
            self.root = root
        return root


class _Pool:
    """The free lists. Lists change only by single appends and pops, which no lock has to guard:
    a buffer may die inside any of these lines (the garbage collector runs where it likes).
    """

    def __init__(self) -> None:
        self.free: dict[int, list[_Block]] = {}
        self.limit = IDLE_LIMIT
        self.idle = 0  # an estimate, made exact now and then
        self.recycled = 0
        self.made = 0
        # Of blocks that come from the system: bytes now live, their peaks in this window and the
        # one before, bytes given back in this window.
        self.live = 0
        self.peak = 0
        self.peak_before = 0
        self.turned = 0


_pool: Final = _Pool()


def size_class(nbytes: int) -> int:
    """The capacity used for `nbytes`: four classes for each power of two, at least 64 bytes."""
    if nbytes <= 64:
        return 64
    if nbytes <= 256:
        return (nbytes + 63) & -64
    step = 64
    while step << 3 < nbytes:
        step <<= 1
    if step > 1 << 12:
        # Whole pages are what the system gives; finer classes above 64 KiB waste less.
        step = max(step >> 1, 1 << 12)
    return (nbytes + step - 1) & -step


def _room() -> int:
    """How many bytes may lie idle."""
    if _pool.limit != IDLE_LIMIT:  # somebody has set it
        return _pool.limit
    peak = max(_pool.peak, _pool.peak_before)
    return max(IDLE_LIMIT, min(peak - _pool.live, PEAK_LIMIT))


def _turn() -> None:
    """Begin a new window once everything has been given back many times: old peaks are
    forgotten."""
    _pool.turned = 0
    _pool.peak_before = _pool.peak
    _pool.peak = _pool.live
    if idle_bytes() > _room():
        trim()


def _take(nbytes: int) -> _Block:
    capacity = size_class(nbytes)
    if capacity >= _MAPPED_FROM:
        live = _pool.live + capacity
        _pool.live = live
        _pool.peak = max(_pool.peak, live)
    waiting = _pool.free.get(capacity)
    if waiting:
        try:
            block = waiting.pop()
        except IndexError:  # another thread took the last one
            block = None
        if block is not None:
            _pool.idle -= capacity
            return block
    return _make(nbytes, capacity)


def _make(nbytes: int, capacity: int) -> _Block:
    _pool.made += 1
    try:
        return _Block(capacity)
    except (OSError, MemoryError, OverflowError, ValueError):
        pass
    trim()
    try:
        return _Block(capacity)
    except (OSError, MemoryError, OverflowError, ValueError) as error:
        if capacity >= _MAPPED_FROM:
            _pool.live -= capacity
        raise RuntimeError(_refusal(nbytes)) from error


def _refusal(nbytes: int) -> str:
    return (
        "[enforce fail at alloc_cpu.cpp] . DefaultCPUAllocator: can't allocate memory: "
        f"you tried to allocate {nbytes} bytes. Error code 12 (Cannot allocate memory)"
    )


def _views(block: _Block) -> int:
    """The reference count of the block's root as this line sees it."""
    return sys.getrefcount(block.root)


def _unshared() -> int:
    """The count of a root that only its block holds; interpreted and compiled code differ."""
    block = _Block(64)
    block.view()
    return _views(block)


_UNSHARED: Final = _unshared()


def _give_back(block: _Block) -> None:
    capacity = block.capacity
    if capacity >= _MAPPED_FROM:
        _pool.live -= capacity
        _pool.turned += capacity
        if _pool.turned > 16 * _pool.peak + IDLE_LIMIT:
            _turn()
    if capacity > HUGE or (block.root is not None and _views(block) > _UNSHARED):
        return
    _pool.recycled += 1
    if _pool.recycled % _RECOUNT_EVERY == 0 or _pool.idle + capacity > _room():
        _pool.idle = idle_bytes()
        if _pool.idle + capacity > _room():
            return
    waiting = _pool.free.get(capacity)
    if waiting is None:
        waiting = _pool.free.setdefault(capacity, [])
    waiting.append(block)
    _pool.idle += capacity


@mypyc_attr(acyclic=True)
class Buffer:
    """At least `nbytes` bytes of 64-byte aligned memory, with whatever it held before.

    Attributes:
        address: where it starts (also for no bytes at all).
        nbytes: the bytes asked for.

    Raises:
        RuntimeError: the memory cannot be had, in PyTorch's words.
        ValueError: a negative size.
    """

    def __init__(self, nbytes: int) -> None:
        self._block: _Block | None = None  # first, for __del__ after an error
        if nbytes < 0:
            raise ValueError(f"a buffer cannot have {nbytes} bytes")
        block = _take(nbytes)
        self._block = block
        self.nbytes = nbytes
        self.address: int = block.address

    def array(
        self,
        dtype: "np.dtype[np.generic]",
        shape: tuple[int, ...],
        strides: tuple[int, ...] | None = None,
        offset: int = 0,
    ) -> "np.ndarray[tuple[int, ...], np.dtype[np.generic]]":
        """A NumPy view: `strides` and `offset` in bytes, row-major when absent.

        The view keeps the memory, whatever becomes of the buffer.
        """
        block = self._block
        assert block is not None
        return np.ndarray(shape, dtype, block.view(), offset, strides)

    def is_shared(self) -> bool:
        """Whether a NumPy view of this memory is alive."""
        block = self._block
        return block is not None and block.root is not None and _views(block) > _UNSHARED

    def __del__(self) -> None:
        block = self._block
        # At the interpreter's end this module's names may be gone before its buffers.
        if block is not None and _give_back is not None:
            self._block = None
            _give_back(block)


def idle_bytes() -> int:
    """Bytes that lie idle in the free lists."""
    return sum([capacity * len(blocks) for capacity, blocks in list(_pool.free.items())])


def set_idle_limit(nbytes: int) -> int:
    """Bounds the idle memory from now on, by this alone; returns the bound before."""
    before = _pool.limit
    _pool.limit = nbytes
    return before


def trim() -> None:
    """Gives all idle memory back."""
    for blocks in list(_pool.free.values()):
        blocks.clear()
    _pool.idle = 0


def statistics() -> dict[str, int]:
    """Counters for tests and reports: blocks made, blocks recycled, idle bytes."""
    return {"made": _pool.made, "recycled": _pool.recycled, "idle": idle_bytes()}
