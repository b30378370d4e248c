"""Calling native code from Python, and looking at reference counts.

Owns `Table` (the slots a plan reads), `builtin` (a CPython function over a native address) and the
helpers `livemask` and `livecheck`. Generated code holds no address of this process: what it needs
lies in a table, or in the function's `self`, so that its object code can be kept on disk.
"""

import ctypes
import struct
import sys
from collections.abc import Callable
from typing import Any, Protocol

from rushlight.runtime.jit import Library, compile_text

METH_NOARGS = 0x0004
METH_O = 0x0008
METH_FASTCALL = 0x0080

PlanCall = Callable[[], bool | None]
"""Runs a plan: None when it finished with 0, True otherwise."""

WordsCall = Callable[[list[int]], bool | None]
"""Writes words and runs a plan on them; False when it ran nothing: see `Table.writer`."""


def _is_supported() -> bool:
    """Whether objects have CPython's plain 64-bit layout: count, type, contents."""
    return (
        sys.implementation.name == "cpython"
        and sys.maxsize > 2**32
        and sys.byteorder == "little"
        and object.__basicsize__ == 16  # free-threaded and some debug builds put more words first
    )


SUPPORTED = _is_supported()
"""Whether native builtins are used; otherwise calls go through ctypes, more slowly."""

_DIGITS_KNOWN = (
    sys.int_info.bits_per_digit == 30
    and sys.int_info.sizeof_digit == 4
    and int.__itemsize__ == 4
    and int.__basicsize__ == 24
)
"""Whether integers are a word of sign and length, then digits of 30 bits."""

_BYTES_OFFSET = bytes.__basicsize__ - 1  # where the characters of a bytes object start


class _MethodDef(ctypes.Structure):
    """CPython's `PyMethodDef`."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


def builtin(
    address: int,
    self_object: object,
    flags: int = METH_NOARGS,
    *,
    name: str = "plan",
    keep: object = None,
) -> Callable[..., Any]:
    """A Python function that calls the native code at `address` with the interpreter's lock held.

    Args:
        address: a C function of the shape that `flags` names: `METH_NOARGS` and `METH_O` take
            (self, argument), `METH_FASTCALL` (self, arguments, count); it returns a new reference.
        self_object: passed as `self`, kept alive.
        keep: anything else that must live as long as the function.

    Raises:
        RuntimeError: this interpreter has no such functions (see `SUPPORTED`).
    """
    if not SUPPORTED:
        raise RuntimeError("native builtins need CPython with its global lock, on 64 bits")
    new = ctypes.pythonapi.PyCFunction_NewEx
    new.restype = ctypes.py_object
    new.argtypes = (ctypes.c_void_p, ctypes.py_object, ctypes.py_object)
    definition = _MethodDef(name.encode(), address, flags, None)
    # The third argument is the function's module, any object: what has to live as long lies there.
    made: Callable[..., Any] = new(ctypes.addressof(definition), self_object, (definition, keep))
    return made


class Table:
    """A fixed number of 8-byte slots: pointers, integers and doubles that a plan reads.

    Attributes:
        q: the slots as signed integers (addresses, sizes); writable.
        d: the same memory as doubles; writable.
        address: where the slots are.
    """

    __slots__ = ("__weakref__", "_memory", "_owner", "address", "d", "q")

    def __init__(self, slots: int) -> None:
        count = max(slots, 1)
        # 64-byte aligned, so that a table of up to eight slots is one cache line.
        self._memory = bytearray(8 * count + 64)
        self._owner = (ctypes.c_char * len(self._memory)).from_buffer(self._memory)
        start = -ctypes.addressof(self._owner) % 64
        self.address = ctypes.addressof(self._owner) + start
        part = memoryview(self._memory)[start : start + 8 * count]
        self.q = part.cast("q")
        self.d = part.cast("d")

    def __len__(self) -> int:
        return len(self.q)

    def callable(self, address: int, *, keep: object = None, release: bool = False) -> PlanCall:
        """A Python function that runs `i64 plan(ptr table)` at `address` on this table.

        Args:
            address: the native plan.
            keep: what must live as long as the function (the table always does).
            release: let other Python threads run meanwhile; for plans that take milliseconds.
        """
        if release or not SUPPORTED:
            return _foreign_call(self, address, keep, release)
        payload = struct.pack("4q", self.address, address, id(None), id(True))
        return builtin(_helpers().address("call_plan"), payload, keep=(self, keep))

    def writer(self, address: int, slots: int, *, keep: object = None) -> "WordsCall":
        """A Python function that writes a list of integers to the first slots and runs the plan at
        `address`: None when it finished with 0, True otherwise, False when it ran nothing.

        It runs nothing where the list is longer than `slots`, where it holds something else than
        plain integers below 2**60, and on interpreters whose integers it does not know.
        """
        if not SUPPORTED or not _DIGITS_KNOWN:
            return _writes_nothing
        words = [self.address, address, id(list), id(int), min(slots, len(self)), id(None)]
        payload = struct.pack("8q", *words, id(True), id(False))
        return builtin(
            _helpers().address("write_call"), payload, METH_O, name="words", keep=(self, keep)
        )

    def foreign(self, address: int, *, keep: object = None) -> PlanCall:
        """`callable` with `release=True`."""
        return self.callable(address, keep=keep, release=True)


def _foreign_call(table: Table, address: int, keep: object, release: bool) -> PlanCall:
    kind = ctypes.CFUNCTYPE if release else ctypes.PYFUNCTYPE
    function = kind(ctypes.c_int64, ctypes.c_void_p)(address)
    place = ctypes.c_void_p(table.address)

    def call(_keep: object = (table, keep)) -> bool | None:
        return True if function(place) else None

    return call


def _writes_nothing(_words: list[int]) -> bool | None:
    return False


# Reference counts of what a list holds

_MASK_WANTS = "livemask(items) expects a list"
_CHECK_WANTS = "livecheck(items, expected) expects a list and bytes"

_HELPERS: list[Library] = []


def _helpers() -> Library:
    if not _HELPERS:
        _HELPERS.append(compile_text(_helper_text(sys.version_info >= (3, 12)), name_hint="native"))
    return _HELPERS[0]


def _helper_text(immortal: bool) -> str:
    """The helpers' LLVM text for the interpreters with (3.12 on) or without immortal objects.

    A count is a 64-bit word before 3.12. Since then its low 32 bits count, unsigned; immortal
    objects (None, small integers) hold a huge value there, and 3.14 keeps flags in the high bits.
    """
    count = "i32" if immortal else "i64"
    more = "ugt" if immortal else "sgt"
    adopt = (
        ""
        if immortal
        else """  %result.refs = load i64, ptr %result
  %result.held = add i64 %result.refs, 1
  store i64 %result.held, ptr %result
"""
    )
    # Of an integer: how many digits, and is it below zero.
    digits = (
        """  %digits = lshr i64 %tag, 3
  %sign = and i64 %tag, 3
  %negative = icmp eq i64 %sign, 2
"""
        if immortal
        else """  %negative = icmp slt i64 %tag, 0
  %opposite = sub i64 0, %tag
  %digits = select i1 %negative, i64 %opposite, i64 %tag
"""
    )
    at = _BYTES_OFFSET
    live = f"""  %item.at = getelementptr ptr, ptr %items, i64 %i
  %item = load ptr, ptr %item.at
  %refs = load {count}, ptr %item
  %more = icmp {more} {count} %refs, 1
  %live = zext i1 %more to i8
"""
    return f"""
@mask_wants = private constant [{len(_MASK_WANTS) + 1} x i8] c"{_MASK_WANTS}\\00"
@check_wants = private constant [{len(_CHECK_WANTS) + 1} x i8] c"{_CHECK_WANTS}\\00"

define ptr @call_plan(ptr %self, ptr %unused) nounwind {{
entry:
  %payload = getelementptr i8, ptr %self, i64 {at}
  %table = load ptr, ptr %payload
  %plan.at = getelementptr ptr, ptr %payload, i64 1
  %plan = load ptr, ptr %plan.at
  %status = call i64 %plan(ptr %table)
  %failed = icmp ne i64 %status, 0
  %which = select i1 %failed, i64 3, i64 2
  %result.at = getelementptr ptr, ptr %payload, i64 %which
  %result = load ptr, ptr %result.at
{adopt}  ret ptr %result
}}

define ptr @write_call(ptr %self, ptr %list) nounwind {{
entry:
  %payload = getelementptr i8, ptr %self, i64 {at}
  %table = load ptr, ptr %payload
  %plan.at = getelementptr ptr, ptr %payload, i64 1
  %plan = load ptr, ptr %plan.at
  %want.at = getelementptr ptr, ptr %payload, i64 2
  %want = load ptr, ptr %want.at
  %int.at = getelementptr ptr, ptr %payload, i64 3
  %int = load ptr, ptr %int.at
  %limit.at = getelementptr i64, ptr %payload, i64 4
  %limit = load i64, ptr %limit.at
  %type.at = getelementptr ptr, ptr %list, i64 1
  %type = load ptr, ptr %type.at
  %right = icmp eq ptr %type, %want
  br i1 %right, label %start, label %out
start:
  %n.at = getelementptr i64, ptr %list, i64 2
  %n = load i64, ptr %n.at
  %items.at = getelementptr ptr, ptr %list, i64 3
  %items = load ptr, ptr %items.at
  %fits = icmp ule i64 %n, %limit
  br i1 %fits, label %head, label %out
head:
  %i = phi i64 [ 0, %start ], [ %next, %write ]
  %go = icmp slt i64 %i, %n
  br i1 %go, label %body, label %run
body:
  %item.at = getelementptr ptr, ptr %items, i64 %i
  %item = load ptr, ptr %item.at
  %kind.at = getelementptr ptr, ptr %item, i64 1
  %kind = load ptr, ptr %kind.at
  %plain = icmp eq ptr %kind, %int
  br i1 %plain, label %read, label %out
read:
  %tag.at = getelementptr i64, ptr %item, i64 2
  %tag = load i64, ptr %tag.at
{digits}  %low.at = getelementptr i64, ptr %item, i64 3
  %high.at = getelementptr i8, ptr %low.at, i64 4
  switch i64 %digits, label %out [ i64 0, label %write
    i64 1, label %one
    i64 2, label %two ]
one:
  %one.digit = load i32, ptr %low.at
  %one.value = zext i32 %one.digit to i64
  br label %signed
two:
  %two.low = load i32, ptr %low.at
  %two.low.wide = zext i32 %two.low to i64
  %two.high = load i32, ptr %high.at
  %two.high.wide = zext i32 %two.high to i64
  %two.shifted = shl i64 %two.high.wide, 30
  %two.value = or i64 %two.low.wide, %two.shifted
  br label %signed
signed:
  %size = phi i64 [ %one.value, %one ], [ %two.value, %two ]
  %minus = sub i64 0, %size
  %value = select i1 %negative, i64 %minus, i64 %size
  br label %write
write:
  %word = phi i64 [ 0, %read ], [ %value, %signed ]
  %word.at = getelementptr i64, ptr %table, i64 %i
  store i64 %word, ptr %word.at
  %next = add i64 %i, 1
  br label %head
run:
  %status = call i64 %plan(ptr %table)
  %failed = icmp ne i64 %status, 0
  %told = select i1 %failed, i64 6, i64 5
  br label %out
out:
  %which = phi i64 [ 7, %entry ], [ 7, %start ], [ 7, %body ], [ 7, %read ], [ %told, %run ]
  %result.at = getelementptr ptr, ptr %payload, i64 %which
  %result = load ptr, ptr %result.at
{adopt}  ret ptr %result
}}

define ptr @livemask(ptr %self, ptr %list) nounwind {{
entry:
  %payload = getelementptr i8, ptr %self, i64 {at}
  %want = load ptr, ptr %payload
  %type.at = getelementptr ptr, ptr %list, i64 1
  %type = load ptr, ptr %type.at
  %right = icmp eq ptr %type, %want
  br i1 %right, label %start, label %wrong
start:
  %make.at = getelementptr ptr, ptr %payload, i64 2
  %make = load ptr, ptr %make.at
  %n.at = getelementptr i64, ptr %list, i64 2
  %n = load i64, ptr %n.at
  %mask = call ptr %make(ptr null, i64 %n)
  %none = icmp eq ptr %mask, null
  br i1 %none, label %out, label %made
made:
  %items.at = getelementptr ptr, ptr %list, i64 3
  %items = load ptr, ptr %items.at
  %marks = getelementptr i8, ptr %mask, i64 {at}
  br label %head
head:
  %i = phi i64 [ 0, %made ], [ %next, %body ]
  %go = icmp slt i64 %i, %n
  br i1 %go, label %body, label %out
body:
{live}  %mark = getelementptr i8, ptr %marks, i64 %i
  store i8 %live, ptr %mark
  %next = add i64 %i, 1
  br label %head
out:
  ret ptr %mask
wrong:
  %raise.at = getelementptr ptr, ptr %payload, i64 3
  %raise = load ptr, ptr %raise.at
  %error.at = getelementptr ptr, ptr %payload, i64 4
  %error = load ptr, ptr %error.at
  call void %raise(ptr %error, ptr @mask_wants)
  ret ptr null
}}

define ptr @livecheck(ptr %self, ptr %arguments, i64 %count) nounwind {{
entry:
  %payload = getelementptr i8, ptr %self, i64 {at}
  %two = icmp eq i64 %count, 2
  br i1 %two, label %types, label %wrong
types:
  %list = load ptr, ptr %arguments
  %bytes.at = getelementptr ptr, ptr %arguments, i64 1
  %bytes = load ptr, ptr %bytes.at
  %list.want = load ptr, ptr %payload
  %bytes.want.at = getelementptr ptr, ptr %payload, i64 1
  %bytes.want = load ptr, ptr %bytes.want.at
  %list.type.at = getelementptr ptr, ptr %list, i64 1
  %list.type = load ptr, ptr %list.type.at
  %bytes.type.at = getelementptr ptr, ptr %bytes, i64 1
  %bytes.type = load ptr, ptr %bytes.type.at
  %list.right = icmp eq ptr %list.type, %list.want
  %bytes.right = icmp eq ptr %bytes.type, %bytes.want
  %right = and i1 %list.right, %bytes.right
  br i1 %right, label %sizes, label %wrong
sizes:
  %n.at = getelementptr i64, ptr %list, i64 2
  %n = load i64, ptr %n.at
  %m.at = getelementptr i64, ptr %bytes, i64 2
  %m = load i64, ptr %m.at
  %items.at = getelementptr ptr, ptr %list, i64 3
  %items = load ptr, ptr %items.at
  %marks = getelementptr i8, ptr %bytes, i64 {at}
  %same = icmp eq i64 %n, %m
  br i1 %same, label %head, label %out
head:
  %i = phi i64 [ 0, %sizes ], [ %next, %body ]
  %go = icmp slt i64 %i, %n
  br i1 %go, label %body, label %out
body:
{live}  %mark.at = getelementptr i8, ptr %marks, i64 %i
  %mark = load i8, ptr %mark.at
  %next = add i64 %i, 1
  %agrees = icmp eq i8 %mark, %live
  br i1 %agrees, label %head, label %out
out:
  %which = phi i64 [ 6, %sizes ], [ 5, %head ], [ 6, %body ]
  %result.at = getelementptr ptr, ptr %payload, i64 %which
  %result = load ptr, ptr %result.at
{adopt}  ret ptr %result
wrong:
  %raise.at = getelementptr ptr, ptr %payload, i64 3
  %raise = load ptr, ptr %raise.at
  %error.at = getelementptr ptr, ptr %payload, i64 4
  %error = load ptr, ptr %error.at
  call void %raise(ptr %error, ptr @check_wants)
  ret ptr null
}}
"""


def _object_payload() -> bytes:
    """What `livemask` and `livecheck` need of the interpreter, as their `self`."""

    def address(symbol: str) -> int:
        return ctypes.cast(getattr(ctypes.pythonapi, symbol), ctypes.c_void_p).value or 0

    words = [id(list), id(bytes), address("PyBytes_FromStringAndSize"), address("PyErr_SetString")]
    return struct.pack("7q", *words, id(TypeError), id(True), id(False))


def _count_over(items: list[Any], baseline: int) -> bytearray:
    """For each item whether its count, as this very line sees it, exceeds `baseline`."""
    mask = bytearray(len(items))
    for index in range(len(items)):
        mask[index] = sys.getrefcount(items[index]) > baseline
    return mask


def _calibrate() -> int:
    """The count that `_count_over` sees for an object which only its list holds."""
    items = [object()]
    for baseline in range(16):
        if not _count_over(items, baseline)[0]:
            return baseline
    return 2


_BASELINE = _calibrate()


def livemask_python(items: list[Any]) -> bytes:
    """`livemask` without native code."""
    if type(items) is not list:
        raise TypeError(_MASK_WANTS)
    return bytes(_count_over(items, _BASELINE))


def livecheck_python(items: list[Any], expected: bytes) -> bool:
    """`livecheck` without native code."""
    if type(items) is not list or type(expected) is not bytes:
        raise TypeError(_CHECK_WANTS)
    return len(items) == len(expected) and _count_over(items, _BASELINE) == expected


class LiveHelpers(Protocol):
    """The two helpers as `live_helpers` returns them."""

    livemask: Callable[[list[Any]], bytes]
    livecheck: Callable[[list[Any], bytes], bool]


class _Native:
    def __init__(self) -> None:
        library, payload = _helpers(), _object_payload()
        self.livemask: Callable[[list[Any]], bytes] = builtin(
            library.address("livemask"), payload, METH_O, name="livemask", keep=library
        )
        self.livecheck: Callable[[list[Any], bytes], bool] = builtin(
            library.address("livecheck"), payload, METH_FASTCALL, name="livecheck", keep=library
        )


class _Plain:
    def __init__(self) -> None:
        self.livemask: Callable[[list[Any]], bytes] = livemask_python
        self.livecheck: Callable[[list[Any], bytes], bool] = livecheck_python


_LIVE: list[LiveHelpers] = []


def live_helpers() -> LiveHelpers:
    """The helpers to bind once and call often.

    `livemask(items)` gives one byte for each item of the list: 1 when somebody besides the list
    holds it. `livecheck(items, expected)` says whether that mask equals `expected`, without making
    it. Immortal objects are always held.
    """
    if not _LIVE:
        _LIVE.append(_Native() if SUPPORTED else _Plain())
    return _LIVE[0]


def livemask(items: list[Any]) -> bytes:
    """One byte per item: 1 when somebody besides the list holds it (see `live_helpers`)."""
    return live_helpers().livemask(items)


def livecheck(items: list[Any], expected: bytes) -> bool:
    """Whether `livemask(items) == expected`, without making the mask (see `live_helpers`)."""
    return live_helpers().livecheck(items, expected)
