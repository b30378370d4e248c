"""The pass that decides which values are computed together: groups become kernels.

Needs resolved values. Establishes: groups in an order in which each reads only earlier groups or,
element by element, itself; which values have memory. A group runs over one space; where it holds
reductions, over rows of that space (`dims` reduced), in phases: what reads a row's reduction is
computed one phase later.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..base.shape import Ints, numel
from .cost import special_steps
from .values import Ref, Value, Values, identity, unit

ROW_LIMIT = 1 << 15  # elements of a row that is read in several phases: it should stay in cache
SMALL = 1 << 12  # below this many elements unrelated work shares a loop
MOST_MEMBERS = 48
LOOK_BACK = 12


@dataclass
class Group:
    """Values computed by one kernel. `level`: 'full' over the space, 'outer' once a row."""

    space: Ints
    dims: Ints | None
    alone: bool = False
    members: list[int] = field(default_factory=list)
    level: dict[int, str] = field(default_factory=dict)
    phase: dict[int, int] = field(default_factory=dict)
    reads: set[int] = field(default_factory=set)

    @property
    def kept(self) -> Ints:
        """The space's dimensions that are not reduced."""
        return tuple(d for d in range(len(self.space)) if d not in (self.dims or ()))

    def result_phase(self, v: int, values: Values) -> int:
        """The phase from which a member's value can be read."""
        late = values.items[v].kind in ("reduce", "dot")
        return self.phase[v] + (1 if late else 0)


@dataclass
class Grouping:
    """Groups in order, and the values that have memory."""

    values: Values
    groups: list[Group]
    stored: set[int]
    inline: set[int]
    last: bool = False

    def __str__(self) -> str:
        lines = []
        for i, g in enumerate(self.groups):
            over = "" if g.dims is None else f" rows over {list(g.dims)}"
            lines.append(f"group {i} {list(g.space)}{over}")
            for m in g.members:
                kept = " -> memory" if m in self.stored else ""
                text = self.values.items[m].text(m)
                lines.append(f"  {g.level[m]}/{g.phase[m]} {text}{kept}")
        lines.append("return " + ", ".join(f"%{o}" for o in self.values.outputs))
        return "\n".join(lines)


def group(values: Values) -> Grouping:
    """Groups for all values that the outputs need."""
    return Grouper(values).run()


def stored_values(values: Values, groups: list[Group], inline: set[int]) -> set[int]:
    """The values that have memory: what leaves, what groups hand to each other, what is written."""
    items = values.items
    stored = {*values.outputs}
    for g in groups:
        for m in g.members:
            v = items[m]
            if v.kind in ("region", "dot", "whole"):
                stored.add(m)
            if v.base >= 0:
                stored.add(v.base)
            for r in v.srcs:
                if r.value not in inline and r.value not in g.level:
                    stored.add(r.value)
    return stored


class Grouper:
    """Places values one after the other into the latest group that can take them."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self.groups: list[Group] = []
        self.where: dict[int, int] = {}
        self.inline: set[int] = set()
        self.waiting: set[int] = set()

    def run(self) -> Grouping:
        items = self.values.items
        live = {*self.values.outputs, *self.values.checks}
        for i in range(len(items) - 1, -1, -1):
            if i in live and numel(items[i].space):
                live.update(r.value for r in items[i].srcs)
                if items[i].base >= 0:
                    live.add(items[i].base)
        outputs = set(self.values.outputs)
        # products and places read memory: what they read is never computed on the way
        solid = {r.value for v in items for r in v.srcs if r.memory or v.kind == "dot"} | outputs
        solid.update(v.base for v in items if v.base >= 0)  # written over: it has to lie in memory
        for i, v in enumerate(items):
            if i not in live or v.kind in ("leaf", "blank") or not numel(v.space):
                continue
            if i not in solid and self.can_inline(v):
                self.inline.add(i)
            elif self.can_wait(i, v, outputs):
                self.waiting.add(i)
            else:
                self.release(v)
                self.place(i, v)
        for i in sorted(self.waiting):
            self.place(i, items[i])
        stored = stored_values(self.values, self.groups, self.inline)
        return Grouping(self.values, self.groups, stored, self.inline)

    def can_inline(self, v: Value) -> bool:
        """Whether a value is so cheap that every group computes it for itself."""
        if v.kind in ("number", "const", "iota"):
            return True
        if v.kind != "row" or v.shape or v.op is None or special_steps(v.op, len(v.srcs)):
            return False
        return all(r.value in self.inline for r in v.srcs)

    def can_wait(self, i: int, v: Value, outputs: set[int]) -> bool:
        """Whether a value reads nothing that is computed: it is placed beside its first reader."""
        if v.kind != "row" or i in outputs or not v.shape:
            return False
        return not any(r.value in self.where for r in v.srcs)

    def release(self, v: Value) -> None:
        """Places what a value reads and what has waited, beside the other values that it reads."""
        waiting = sorted({v.base, *(r.value for r in v.srcs)} & self.waiting)
        beside = {self.where[r.value] for r in v.srcs if r.value in self.where}
        for i in waiting:
            self.waiting.discard(i)
            w = self.values.items[i]
            self.release(w)
            lowest = max([self.where.get(r.value, -1) for r in w.srcs], default=-1)
            for gi in sorted(beside, reverse=True):
                how = self.fits(gi, w, True) if gi >= lowest else None
                if how is not None:
                    self.join(gi, i, w, how)
                    break
            else:
                self.place(i, w)

    def place(self, i: int, v: Value) -> None:
        lowest = self.where.get(v.base, -1) + 1 if v.base >= 0 else 0
        for r in v.srcs:
            lowest = max(lowest, self.where.get(r.value, -1))
        if v.kind in ("dot", "whole") or (v.kind == "region" and v.arg is not None):
            self.groups.append(Group(v.space, v.dims or None, alone=True))
            self.join(len(self.groups) - 1, i, v, ("full", 0))
            return
        stop = max(lowest, len(self.groups) - LOOK_BACK)
        for gi in range(len(self.groups) - 1, stop - 1, -1):
            how = self.fits(gi, v)
            if how is not None:
                self.join(gi, i, v, how)
                return
        dims = v.dims if v.kind == "reduce" else None
        self.groups.append(Group(v.space, dims))
        self.join(len(self.groups) - 1, i, v, ("full", 0))

    def join(self, gi: int, i: int, v: Value, how: tuple[str, int]) -> None:
        g = self.groups[gi]
        if v.kind == "reduce":
            g.dims = v.dims
        g.members.append(i)
        g.level[i], g.phase[i] = how
        g.reads.update(r.value for r in v.srcs if r.value not in self.inline)
        self.where[i] = gi

    def fits(self, gi: int, v: Value, related: bool = False) -> tuple[str, int] | None:
        """At which level and in which phase a value can join a group; None where it cannot."""
        g = self.groups[gi]
        if g.alone or len(g.members) >= MOST_MEMBERS:
            return None
        if v.space == g.space:
            level = "full"
        elif g.dims is not None and v.space == tuple(g.space[d] for d in g.kept):
            level = "outer"
        else:
            return None
        if v.kind == "reduce" and (level != "full" or g.dims not in (None, v.dims)):
            return None
        related = related or numel(g.space) <= SMALL
        phase = 0
        for r in v.srcs:
            if r.value in self.inline:
                continue
            related = related or r.value in g.reads
            if r.value in g.level:
                related = True
                if not self.direct(g, r, v, level):
                    return None
                phase = max(phase, g.result_phase(r.value, self.values))
        if not related:
            return None
        dims = v.dims if v.kind == "reduce" else g.dims
        if (
            phase > 0
            and level == "full"
            and numel(tuple(g.space[d] for d in dims or ())) > ROW_LIMIT
        ):
            return None
        return level, phase

    def direct(self, g: Group, r: Ref, v: Value, level: str) -> bool:
        """Whether a reading of a member is element by element."""
        read = self.values.items[r.value]
        if r.memory or read.kind == "region":
            return False
        rank = len(v.space)
        outer = g.level[r.value] == "outer" or read.kind == "reduce"
        if not outer:
            return level == "full" and r.rows == identity(rank)
        if level == "outer":
            return r.rows == identity(rank)
        return r.rows == tuple(unit(d, rank) for d in g.kept)
