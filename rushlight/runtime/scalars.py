"""Reading one element at an address as a Python number, natively: what `item()` costs."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable

from .jit import compile_text
from .native import METH_O, SUPPORTED, builtin

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
    return "".join(out)


def _symbol(name: str) -> int:
    return ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0


def readers() -> dict[str, Callable[[int], object]]:
    """For each NumPy type name a function from an address to the Python number there.

    Empty where native builtins are not supported.  The address has to be one of live memory.
    """
    if not SUPPORTED:
        return {}
    library = compile_text(_text(), name_hint="scalars")
    made: dict[str, Callable[[int], object]] = {}
    for name, (_, _, maker) in _KINDS.items():
        payload = struct.pack("2q", _symbol("PyLong_AsLongLong"), _symbol(_MAKERS[maker][0]))
        symbol = "read_b" if name == "?" else f"read_{name}"
        made[name] = builtin(library.address(symbol), payload, METH_O, name=symbol, keep=library)
    return made
