"""Objects of code brought into memory without LLVM.

What is on disk has been compiled: to run it takes placing its sections and filling in a few
distances.  LLVM's own linker does that as well, but loading LLVM takes longer than most programs'
kernels together.  This is done here for what our kernels are: 64-bit ELF objects for x86-64 whose
code refers to its own constants, to its own functions and to functions elsewhere.  Anything else
is refused, and LLVM links it.

While it is written the memory cannot be run, and while it can be run it cannot be written.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

_SECTION: Final = struct.Struct("<IIQQQQIIQQ")
_SYMBOL: Final = struct.Struct("<IBBHQQ")
_PLACE: Final = struct.Struct("<QQq")  # of a distance: offset, symbol and kind, what to add
_PROGBITS, _SYMBOLS, _PLACES, _NOTHING, _PLACES_ADDED = 1, 2, 4, 8, 9  # kinds of sections
_WRITE, _ALLOCATED = 1, 2
_UNDEFINED: Final = 0
_DISTANCE, _CALL = 2, 4  # kinds of places: 32 bits from there to a value, to a function
_JUMP: Final = b"\xff\x25\x00\x00\x00\x00"  # to the address that follows
_STUB: Final = 16
_READ_RUN: Final = 1 | 4  # of mprotect
SUPPORTED: Final = (
    sys.platform == "linux" and os.uname().machine == "x86_64" and sys.maxsize > 2**32
)


class Code:
    """Functions in memory: ``addresses``; they stay as long as this does."""

    def __init__(self, memory: mmap.mmap, addresses: dict[str, int]) -> None:
        self.memory = memory
        self.addresses = addresses


def load(image: bytes, names: Sequence[str], known: Mapping[str, int]) -> Code | None:
    """The functions ``names`` of an object; None where it is of no kind that is handled here.

    ``known``: addresses of functions it may call, beside those of this process.
    """
    if not SUPPORTED or image[:7] != b"\x7fELF\x02\x01\x01" or image[16:20] != b"\x01\x00\x3e\x00":
        return None
    try:
        return _placed(image, names, known)
    except (_Strange, LookupError, ValueError, OverflowError, MemoryError, OSError, struct.error):
        return None  # strange, damaged, or no memory that may be run


class _Strange(Exception):
    """The object is of a kind that LLVM has to link."""


def _placed(image: bytes, names: Sequence[str], known: Mapping[str, int]) -> Code:
    (start,) = struct.unpack_from("<Q", image, 40)
    size, count = struct.unpack_from("<HH", image, 58)
    sections = [_SECTION.unpack_from(image, start + i * size) for i in range(count)]
    places: dict[int, int] = {}  # section -> where it begins
    end = 0
    for i, (_, kind, flags, _, _, length, _, _, align, _) in enumerate(sections):
        if kind == _PLACES_ADDED or (kind == _NOTHING and length):
            raise _Strange
        if flags & _ALLOCATED and length:
            if kind != _PROGBITS or flags & _WRITE or align > mmap.PAGESIZE:
                raise _Strange
            end = (end + max(align, 1) - 1) // max(align, 1) * max(align, 1)
            places[i] = end
            end += length
    (table,) = [s for s in sections if s[1] == _SYMBOLS]
    texts = sections[table[6]]
    symbols = []
    for at in range(table[4], table[4] + table[5], _SYMBOL.size):
        name, _, _, section, value, _ = _SYMBOL.unpack_from(image, at)
        first = texts[4] + name
        symbols.append((image[first : image.index(b"\0", first)].decode(), section, value))
    stubs: dict[str, int] = {}
    distances: list[tuple[int, int]] = []
    end = (end + _STUB - 1) // _STUB * _STUB
    for _, kind, _, _, offset, length, _, target, _, _ in sections:
        if kind != _PLACES or target not in places:
            continue
        for at in range(offset, offset + length, _PLACE.size):
            where, what, more = _PLACE.unpack_from(image, at)
            name, section, value = symbols[what >> 32]
            how = what & 0xFFFFFFFF
            where += places[target]
            if section in places and how in (_DISTANCE, _CALL):
                to = places[section] + value
            elif section == _UNDEFINED and how == _CALL:
                to = stubs.setdefault(name, end + len(stubs) * _STUB)
            else:
                raise _Strange
            distances.append((where, to + more - where))
    memory = mmap.mmap(
        -1, max(end + len(stubs) * _STUB, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    )
    for i, place in places.items():
        offset, length = sections[i][4:6]
        memory[place : place + length] = image[offset : offset + length]
    for where, distance in distances:
        struct.pack_into("<i", memory, where, distance)
    for name, place in stubs.items():
        address = known[name] if name in known else _of_process(name)
        memory[place : place + _STUB] = (_JUMP + struct.pack("<Q", address)).ljust(_STUB, b"\xcc")
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    if _libc().mprotect(ctypes.c_void_p(base), ctypes.c_size_t(len(memory)), _READ_RUN):
        raise _Strange
    found = {name: places[section] + value for name, section, value in symbols if section in places}
    return Code(memory, {name: base + found[name] for name in names})


def _of_process(name: str) -> int:
    """The address of a function that this process has."""
    try:
        found = getattr(_libc(), name)
    except AttributeError:
        raise _Strange from None
    address = ctypes.cast(found, ctypes.c_void_p).value
    if address is None:
        raise _Strange
    return address


_LIBC: Final[list[Any]] = []


def _libc() -> Any:
    if not _LIBC:
        _LIBC.append(ctypes.CDLL(None))
    return _LIBC[0]
