"""Memory that stays where it is: writes go into it while nobody reads what stood there.

Values are never written over otherwise: a run makes new memory, and a storage takes that. Who asked
for an address (``data_ptr``) expects it to stay; `overwritten` fills much memory in place.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any, Final

import numpy as np

from ..base.dtype import ALL, array_type
from ..base.shape import numel
from ..graph.op import Spec
from ..runtime.buffer import Buffer
from .memory import Window, base_array, new_memory
from .records import Storage

# References that memory has which only its storage holds, and a window that only a list does.
ALONE: Final = [0, 0]


def holders(s: Storage) -> int:
    """The references to a storage's memory as this line counts them."""
    return sys.getrefcount(s.mem)


def users(leaves: list[Any], i: int) -> int:
    """The same for one of the values that a stretch read."""
    return sys.getrefcount(leaves[i])


def alone(s: Storage) -> bool:
    """Is the storage's value neither saved for a gradient nor read elsewhere?"""
    return holders(s) <= ALONE[0]


def fix(s: Storage) -> None:
    """A storage's memory stays where it is from here on, while that can be."""
    if s.fixed:
        return
    s.fixed = True
    if not s.exposed and not alone(s):
        m = new_memory(s.spec)
        base_array(m, s.spec)[...] = base_array(s.mem, s.spec)
        s.mem = m


def where_it_lies(s: Storage) -> Any:
    """An array over a storage's memory that owns it as far as references tell; None where others
    read that memory, or there is none."""
    n = numel(s.spec.shape)
    if n == 0 or not alone(s):
        return None
    # NumPy takes views of views back to the array that owns the memory, through memoryviews too;
    # of what ctypes has there it knows no owner.
    memory = s.mem.array(np.dtype(np.uint8), (s.mem.nbytes,), None, 0)
    whole: Any = (ctypes.c_char * int(s.mem.nbytes)).from_buffer(memory)
    return np.ndarray((n,), array_type(s.spec.dtype), whole)


def put_back(s: Storage, v: Any, leaves: list[Any]) -> bool:
    """Write a new value to where a storage's memory lies; False where that is read elsewhere.
    ``leaves``: what the stretch read, which is over."""
    others = holders(s)
    for i in range(len(leaves)):
        if leaves[i] is s.mem or (
            isinstance(leaves[i], Window)
            and leaves[i].memory is s.mem
            and users(leaves, i) <= ALONE[1]
        ):
            others -= 1
    if others > ALONE[0]:
        return False
    base_array(s.mem, s.spec)[...] = base_array(v, s.spec)
    return True


def calibrate() -> None:
    """Count the references of what nobody else holds."""
    ALONE[0] = holders(Storage(Buffer(64), None))
    leaves: list[Any] = [Window(None, Spec((), ALL[0], None))]
    ALONE[1] = users(leaves, 0)


calibrate()
