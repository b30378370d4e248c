"""Looking at memory natively: one element at an address as a Python number (what `item()` costs),
and whether integers lie in a range (what checking an index costs)."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable

from .jit import Library, compile_text
from .native import METH_FASTCALL, METH_O, SUPPORTED, builtin

_PAYLOAD = bytes.__basicsize__ - 1  # where a bytes object's content starts

# NumPy's name -> (LLVM type, how it is widened, the function that makes the number)
_KINDS = {
    "f4": ("float", "fpext float %v to double", "real"),
    "f8": ("double", "", "real"),
    "i8": ("i64", "", "whole"),
    "i4": ("i32", "sext i32 %v to i64", "whole"),
    "i2": ("i16", "sext i16 %v to i64", "whole"),
    "i1": ("i8", "sext i8 %v to i64", "whole"),
    "u1": ("i8", "zext i8 %v to i64", "whole"),
    "?": ("i8", "zext i8 %v to i64", "truth"),
}
_INDICES = ("i8", "i4")  # of them, what an index may be
_MAKERS = {
    "real": ("PyFloat_FromDouble", "double"),
    "whole": ("PyLong_FromLongLong", "i64"),
    "truth": ("PyBool_FromLong", "i64"),
}


def _text() -> str:
    out = []
    for name, (kind, widen, maker) in _KINDS.items():
        takes = _MAKERS[maker][1]
        out.append(f"""
define ptr @read_{"b" if name == "?" else name}(ptr %self, ptr %argument) nounwind {{
entry:
  %payload = getelementptr i8, ptr %self, i64 {_PAYLOAD}
  %unbox = load ptr, ptr %payload
  %make.at = getelementptr ptr, ptr %payload, i64 1
  %make = load ptr, ptr %make.at
  %address = call i64 %unbox(ptr %argument)
  %place = inttoptr i64 %address to ptr
  %v = load {kind}, ptr %place
  {"%w = " + widen if widen else ""}
  %made = call ptr %make({takes} {"%w" if widen else "%v"})
  ret ptr %made
}}
""")
    for name in _INDICES:
        kind, widen, _ = _KINDS[name]
        out.append(f"""
define ptr @outside_{name}(ptr %self, ptr %arguments, i64 %given) nounwind {{
entry:
  %payload = getelementptr i8, ptr %self, i64 {_PAYLOAD}
  %unbox = load ptr, ptr %payload
  %make.at = getelementptr ptr, ptr %payload, i64 1
  %make = load ptr, ptr %make.at
  %first = load ptr, ptr %arguments
  %address = call i64 %unbox(ptr %first)
  %count.at = getelementptr ptr, ptr %arguments, i64 1
  %count.given = load ptr, ptr %count.at
  %count = call i64 %unbox(ptr %count.given)
  %low.at = getelementptr ptr, ptr %arguments, i64 2
  %low.given = load ptr, ptr %low.at
  %low = call i64 %unbox(ptr %low.given)
  %high.at = getelementptr ptr, ptr %arguments, i64 3
  %high.given = load ptr, ptr %high.at
  %high = call i64 %unbox(ptr %high.given)
  %width = sub i64 %high, %low
  %place = inttoptr i64 %address to ptr
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %go = icmp slt i64 %i, %count
  br i1 %go, label %body, label %out
body:
  %at = getelementptr {kind}, ptr %place, i64 %i
  %v = load {kind}, ptr %at
  {"%w = " + widen if widen else ""}
  %away = sub i64 {"%w" if widen else "%v"}, %low
  %wrong = icmp uge i64 %away, %width
  %next = add i64 %i, 1
  br i1 %wrong, label %out, label %head
out:
  %found = phi i64 [ 0, %head ], [ 1, %body ]
  %made = call ptr %make(i64 %found)
  ret ptr %made
}}
""")
    return "".join(out)


_LIBRARY: list[Library] = []


def _library() -> Library:
    if not _LIBRARY:
        _LIBRARY.append(compile_text(_text(), name_hint="scalars"))
    return _LIBRARY[0]


def _symbol(name: str) -> int:
    return ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0


def readers() -> dict[str, Callable[[int], object]]:
    """For each NumPy type name a function from an address to the Python number there.

    Empty where native builtins are not supported.  The address has to be one of live memory.
    """
    if not SUPPORTED:
        return {}
    library = _library()
    made: dict[str, Callable[[int], object]] = {}
    for name, (_, _, maker) in _KINDS.items():
        payload = struct.pack("2q", _symbol("PyLong_AsLongLong"), _symbol(_MAKERS[maker][0]))
        symbol = "read_b" if name == "?" else f"read_{name}"
        made[name] = builtin(library.address(symbol), payload, METH_O, name=symbol, keep=library)
    return made


def outsides() -> dict[str, Callable[[int, int, int, int], bool]]:
    """For each NumPy name of an index type a function (address, count, low, high): does one of so
    many integers there lie outside ``low <= i < high``?

    Empty where native builtins are not supported.  The memory has to be alive.
    """
    if not SUPPORTED:
        return {}
    library = _library()
    payload = struct.pack("2q", _symbol("PyLong_AsLongLong"), _symbol("PyBool_FromLong"))
    return {
        name: builtin(
            library.address(f"outside_{name}"), payload, METH_FASTCALL, name="outside", keep=library
        )
        for name in _INDICES
    }
