"""Values between the recorded program and loops: no views, no aliases, only index maps.

A `Value` is something computed once over an iteration space; a `Ref` reads one, through an affine
map from the reader's index to the value's own (or, where only memory can tell, to its memory).
Dimensions of size 1 are gone: their index is always 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from ..base import dtype as dt
from ..base.shape import Ints
from ..graph.op import Op

Row = tuple[Ints, int]
"""Coefficients over the reader's dimensions, and an offset."""

Kind = Literal[
    "leaf",
    "number",
    "const",
    "iota",
    "row",
    "reduce",
    "dot",
    "whole",
    "blank",
    "region",
    "index",
    "check",
]


@dataclass(frozen=True)
class Ref:
    """A reading of value `value`: one row for each of its dimensions, or one for its memory."""

    value: int
    rows: tuple[Row, ...]
    memory: bool = False

    def __str__(self) -> str:
        def one(row: Row) -> str:
            terms = [(f"{c}*" if c != 1 else "") + f"i{d}" for d, c in enumerate(row[0]) if c != 0]
            if row[1] or not terms:
                terms.append(str(row[1]))
            return "+".join(terms)

        at = "@" if self.memory else ""
        return f"%{self.value}" + (f"{at}[{', '.join(map(one, self.rows))}]" if self.rows else "")


@dataclass
class Value:
    """One value.

    `shape`: what readers see. `space`: what it is computed over; equal to `shape` but for a
    reduction (whose reduced dimensions of the space are `dims`), a matrix product and a region (a
    part of the memory of value `base` that is written over; `place` says where). `layout`: strides
    of its memory over `shape`, where it has memory. A `check` has no memory: it tests what it
    reads, as `arg` = (test, size, whether negative ones count from the end) says. A `whole` is made
    by a kernel of its own kind from whole operands in row-major memory.
    """

    kind: Kind
    dtype: dt.dtype
    shape: Ints
    space: Ints
    srcs: tuple[Ref, ...] = ()
    op: Op | None = None
    arg: Any = None
    ctype: dt.dtype | None = None
    dims: Ints = ()
    layout: Ints = ()
    base: int = -1
    place: Row = ((), 0)

    def text(self, number: int) -> str:
        """One line for the printer."""
        name = self.op.name if self.op is not None and self.kind in ("row", "reduce") else self.kind
        words = [f"%{number} = {name}"]
        if self.kind == "reduce":
            words.append(f"over {list(self.dims)}")
        if self.arg is not None and self.kind in (
            "leaf",
            "number",
            "const",
            "iota",
            "index",
            "check",
        ):
            words.append(repr(self.arg))
        if self.kind == "region":
            words.append(f"of %{self.base} {list(self.place[0])}+{self.place[1]}")
        words += [str(r) for r in self.srcs]
        words.append(f": {self.dtype.name}{list(self.shape)}")
        if self.space != self.shape:
            words.append(f"in {list(self.space)}")
        return " ".join(words)


@dataclass
class Values:
    """A program as values. `outputs`: the value of each output, which has exactly its memory.

    `checks`: values that nobody reads, but that have to hold before outputs count.
    """

    items: list[Value] = field(default_factory=list)
    numbers: list[str] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    checks: list[int] = field(default_factory=list)
    leaves: int = 0

    def add(self, value: Value) -> int:
        """Appends a value; its number."""
        self.items.append(value)
        return len(self.items) - 1

    def __str__(self) -> str:
        lines = [v.text(i) for i, v in enumerate(self.items)]
        return "\n".join([*lines, "return " + ", ".join(f"%{o}" for o in self.outputs)])


@lru_cache(maxsize=64)
def identity(rank: int) -> tuple[Row, ...]:
    """The map of an index to itself."""
    return tuple((tuple(int(i == d) for i in range(rank)), 0) for d in range(rank))


def unit(position: int, rank: int) -> Row:
    """The row that reads one dimension."""
    return tuple(int(i == position) for i in range(rank)), 0


def dot_row(weights: Ints, rows: tuple[Row, ...], rank: int, offset: int = 0) -> Row:
    """The weighted sum of rows: an address from an index."""
    if rows is identity(rank) and len(weights) == rank:
        return weights, offset
    coefficients = [0] * rank
    for w, (c, o) in zip(weights, rows):
        if w:
            for d in range(rank):
                coefficients[d] += w * c[d]
            offset += w * o
    return tuple(coefficients), offset
