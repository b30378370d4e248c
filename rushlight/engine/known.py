"""Values known when an operation is recorded: those that it refuses are refused there and then.

PyTorch raises for an index out of bounds at the call.  Where the index is memory that entered, so
does a record that is made for the first time, and a recognised one; what is still to be computed is
looked at when its stretch is run (docs/decisions/0016).
"""

from __future__ import annotations

from typing import Any, Final

from ..base.device import CPU
from ..base.dtype import ALL
from ..base.shape import Ints, is_dense, numel
from ..graph.op import MOVE, TABLE, Op, Spec
from ..graph.ops.indexing import CHECK
from ..graph.shaping import is_view
from ..runtime.scalars import outsides
from .core import Engine
from .memory import base_array, region_array
from .records import Rec, Storage

LEAF: Final = TABLE["leaf"]
MOST: Final = 1 << 16  # elements that are looked at twice: here and when they are used
# By dtype code: do integers at an address lie outside a range?  None where that is not native.
OUTSIDE: Final[list[Any]] = []


def look(e: Engine, op: Op, specs: list[Spec], srcs: Ints, arg: Any, tape: list[Rec]) -> None:
    """Raise what the row says when an operand whose value is known is not allowed."""
    if not OUTSIDE:
        found = outsides()
        OUTSIDE.extend([None if d.narrow else found.get(d.numpy) for d in ALL])
    for b in CHECK[op](specs, arg):
        s = srcs[b.operand]
        if s < 0:
            continue
        q = leaf_of(tape, s)
        if q is None or q.spec.device is not CPU or q.nleaf > len(e.lvals):
            continue
        spec: Spec = q.spec
        mem: Any = e.lvals[q.nleaf - 1]
        whole = tape[s] is q
        region: Any = (spec.shape, spec.strides, 0) if whole else tape[s].region
        n = numel(region[0])
        if not 0 < n <= MOST:
            continue
        outside = OUTSIDE[spec.dtype.code] if b.test == "index" else None
        if outside is not None and is_dense(region[0], region[1]):
            low = -b.size if b.negative else 0
            if whole:
                narrow(q, Limit(outside, n, low, b.size, b.besides))
            if not outside(mem.address + region[2] * spec.dtype.itemsize, n, low, b.size):
                continue
        b.require(base_array(mem, spec) if whole else region_array(mem, spec, region))


class Limit:
    """What the integers of memory that enters have to be."""

    def __init__(self, outside: Any, count: int, low: int, high: int, besides: int | None) -> None:
        self.outside: Any = outside
        self.count: int = count
        self.low: int = low if besides is None else min(low, besides)
        self.high: int = high if besides is None else max(high, besides + 1)


def narrow(q: Rec, limit: Limit) -> None:
    """The memory that enters as ``q`` has to be within ``limit``, too."""
    have: Limit | None = q.limit
    if have is not None:
        limit.low = max(limit.low, have.low)
        limit.high = min(limit.high, have.high)
        if limit.low == have.low and limit.high == have.high:
            return
    q.limit = limit


def doubt(e: Engine, r: Rec, s: Storage, mem: Any) -> None:
    """Memory enters as an index, on a path that is known: where it holds something outside, what
    reads it is run as soon as it is recorded, and raises there."""
    limit: Limit = r.limit
    if s.checked is limit and s.cver == s.ver and mem is s.mem:
        return
    if limit.outside(mem.address, limit.count, limit.low, limit.high):
        e.now = True
    elif mem is s.mem:
        s.checked = limit
        s.cver = s.ver


def leaf_of(tape: list[Rec], slot: int) -> Rec | None:
    """The record of the memory that a slot is, or is a view of; None where it is computed."""
    q = tape[slot]
    while q.row is not LEAF:
        if q.row.kind != MOVE or not is_view(q.row):
            return None
        q = tape[q.srcs[0]]
    return q
