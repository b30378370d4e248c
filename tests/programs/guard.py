"""Guard pages: native code that reads or writes outside of a block, or after its end, is caught.

`install` gives every `Buffer` and every array of NumPy's pages of its own.  The block ends where
its last page ends and the page behind it cannot be touched, so a stray access ends the process;
`faulthandler` then says where.  A block that has died is never touchable again.  What alignment
leaves free around a block is filled with a pattern that is looked at when the block dies:
`strays` gives what was written there.  New memory holds that pattern too, which reads as NaN.

Needs Linux, and the plain Python build: compiled modules cannot be changed.
"""

from __future__ import annotations

import atexit
import ctypes
import faulthandler
import importlib
import sys
import weakref
from typing import Any

from rushlight.runtime import buffer

PAGE = 4096
PATTERN = 0xFF  # NaN as a float, -1 as an integer, neither truth value
_READ_WRITE, _NOTHING = 3, 0
_PRIVATE_ANONYMOUS_UNRESERVED = 0x4022
_DONT_NEED = 4
_SPACE = 1 << 44  # bytes of addresses; none is used twice

Span = tuple[int, int, int, int]  # first page, bytes of pages, address, bytes asked for


def available() -> str:
    """Why blocks cannot be guarded here; empty when they can."""
    if not sys.platform.startswith("linux"):
        return "guard pages need Linux"
    if not hasattr(buffer.size_class, "__code__"):
        return "guard pages need the plain Python build"
    system = _system()
    at = _reserve(system)
    if not at:
        return "the system gives no addresses for guard pages"
    system.munmap(at, _SPACE)
    return ""


def _system() -> Any:
    """The C library's functions for pages."""
    system = ctypes.CDLL(None, use_errno=True)
    system.mmap.restype = ctypes.c_void_p
    system.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    system.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    system.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    system.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return system


def _reserve(system: Any) -> int:
    """Where addresses that nobody can touch begin; 0 when the system refuses."""
    at = system.mmap(None, _SPACE, _NOTHING, _PRIVATE_ANONYMOUS_UNRESERVED, -1, 0)
    return 0 if at in (None, 2**64 - 1) else int(at)


class Space:
    """Addresses, given out in rising order."""

    def __init__(self) -> None:
        self.system = _system()
        self.at: int = _reserve(self.system) + PAGE
        self.live = 0
        self.made = 0
        self.strays: list[str] = []

    def take(self, nbytes: int, alignment: int) -> Span:
        """Pages with a block at their end, and an untouchable page on both sides."""
        room = -(-max(nbytes, 1) // alignment) * alignment
        size = -(-room // PAGE) * PAGE
        start = self.at
        if self.system.mprotect(start, size, _READ_WRITE):
            raise MemoryError(f"no guarded memory of {nbytes} bytes: {self.live} blocks are alive")
        self.at += size + PAGE
        self.live += 1
        self.made += 1
        ctypes.memset(start, PATTERN, size)
        return start, size, start + size - room, nbytes

    def give_back(self, span: Span, kind: str) -> None:
        """Look at what is around the block, and let nobody touch it again."""
        start, size, address, nbytes = span
        before, after = address - start, start + size - address - nbytes
        text = ctypes.string_at(start, before)
        if text.count(PATTERN) != before:
            last = len(text.rstrip(bytes([PATTERN])))
            self.strays.append(f"{kind} of {nbytes} bytes: written {before - last + 1} before it")
        text = ctypes.string_at(address + nbytes, after)
        if text.count(PATTERN) != after:
            first = after - len(text.lstrip(bytes([PATTERN])))
            self.strays.append(f"{kind} of {nbytes} bytes: written {first + 1} behind it")
        self.live -= 1
        self.system.mprotect(start, size, _NOTHING)
        self.system.madvise(start, size, _DONT_NEED)


_space: list[Space] = []
_kept: list[Any] = []  # what NumPy holds addresses of
_types: dict[int, Any] = {}


def install() -> None:
    """From now on in this process; memory that exists already stays as it is.

    Raises:
        RuntimeError: it cannot be done here (see `available`).
    """
    if _space:
        return
    why = available()
    if why:
        raise RuntimeError(why)
    space = Space()
    _space.append(space)
    faulthandler.enable()
    buffer.trim()
    _guard_buffers(space)
    _guard_arrays(space)


def strays() -> list[str]:
    """What was written around blocks that have died since the last call."""
    if not _space:
        return []
    out = _space[0].strays
    _space[0].strays = []
    return out


def counts() -> tuple[int, int]:
    """Guarded blocks made so far, and those alive."""
    return (_space[0].made, _space[0].live) if _space else (0, 0)


def _memory_type(nbytes: int) -> Any:
    """A type of so many bytes that weak references can point to."""
    found = _types.get(nbytes)
    if found is None:
        found = _types[nbytes] = type("Memory", (ctypes.c_char * nbytes,), {})
    return found


def _guard_buffers(space: Space) -> None:
    """Every block of a `Buffer` is new, ends at a guard page, and dies with its last user."""

    def make(self: Any, capacity: int) -> None:
        self.capacity = capacity
        self.root = None
        span = space.take(capacity, buffer.ALIGNMENT)
        self.address = span[2]
        self.memory = _memory_type(capacity).from_address(self.address)
        weakref.finalize(self.memory, space.give_back, span, "a buffer").atexit = False

    changed: Any = buffer
    changed._Block.__init__ = make
    changed.size_class = lambda nbytes: max(nbytes, 1)
    changed._give_back = lambda block: None


# ---------------------------------------------------------------- arrays of NumPy's
_SIZE = ctypes.c_size_t
_POINTER = ctypes.c_void_p
_MALLOC = ctypes.CFUNCTYPE(_POINTER, _POINTER, _SIZE)
_CALLOC = ctypes.CFUNCTYPE(_POINTER, _POINTER, _SIZE, _SIZE)
_REALLOC = ctypes.CFUNCTYPE(_POINTER, _POINTER, _POINTER, _SIZE)
_FREE = ctypes.CFUNCTYPE(None, _POINTER, _POINTER, _SIZE)


class _Handler(ctypes.Structure):
    """NumPy's `PyDataMem_Handler` (its enhancement proposal 49)."""

    _fields_ = (
        ("name", ctypes.c_char * 127),
        ("version", ctypes.c_uint8),
        ("context", _POINTER),
        ("malloc", _MALLOC),
        ("calloc", _CALLOC),
        ("realloc", _REALLOC),
        ("free", _FREE),
    )


_SET_HANDLER = 304  # its place in NumPy's table of functions
_EVEN = 16  # bytes that NumPy's own memory is aligned to


def _guard_arrays(space: Space) -> None:
    """The elements of every new array end at a guard page (to 16 bytes)."""
    spans: dict[int, Span] = {}

    def malloc(_: Any, size: int) -> int:
        span = space.take(size, _EVEN)
        spans[span[2]] = span
        return span[2]

    def calloc(_: Any, count: int, size: int) -> int:
        at = malloc(None, count * size)
        ctypes.memset(at, 0, count * size)
        return at

    def free(_: Any, at: int | None, size: int) -> None:
        if at is not None:
            space.give_back(spans.pop(at), "an array")

    def realloc(_: Any, at: int | None, size: int) -> int:
        new = malloc(None, size)
        if at is not None:
            ctypes.memmove(new, at, min(size, spans[at][3]))
            free(None, at, 0)
        return new

    handler = _Handler(
        b"guarded", 1, None, _MALLOC(malloc), _CALLOC(calloc), _REALLOC(realloc), _FREE(free)
    )
    new_capsule = ctypes.pythonapi.PyCapsule_New
    new_capsule.restype = ctypes.py_object
    new_capsule.argtypes = (_POINTER, ctypes.c_char_p, _POINTER)
    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype = _POINTER
    get_pointer.argtypes = (ctypes.py_object, ctypes.c_char_p)
    name = b"mem_handler"
    capsule = new_capsule(ctypes.addressof(handler), name, None)
    _kept.extend((handler, name, capsule))
    core: Any = importlib.import_module("numpy._core._multiarray_umath")
    table = int(get_pointer(core._ARRAY_API, None))
    address = ctypes.c_int64.from_address(table + _SET_HANDLER * 8).value
    set_handler = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(address)
    before = set_handler(capsule)

    @atexit.register
    def stop() -> None:  # arrays die later than Python code can run
        set_handler(before)
        handler.free = ctypes.cast(space.system.labs, _FREE)  # does nothing


__all__ = ["available", "counts", "install", "strays"]
