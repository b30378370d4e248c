"""The pass that computes cheap values again where they are read, when that moves fewer bytes.

A value that one group computes and another reads has memory: it is written once and read once by
each reader. Where the reading group can make it from memory that is read anyway, that is spared.
"""

from __future__ import annotations

from dataclasses import replace

from ..base.shape import numel
from .cost import special_steps
from .group import Group, Grouping, stored_values
from .values import Ref, Value, identity

LARGE = 1 << 13  # elements from which a trip to memory is worth sparing
MOST_STEPS = 4  # rows computed again for one value


def recompute(grouping: Grouping) -> Grouping:
    """The same groups with fewer values in memory."""
    return Recomputer(grouping).run()


class Recomputer:
    """Takes the values that groups hand to each other, the last first."""

    def __init__(self, grouping: Grouping) -> None:
        self.grouping = grouping
        self.items = grouping.values.items
        self.groups = grouping.groups
        self.where = {m: g for g in self.groups for m in g.members}
        self.order = {id(g): n for n, g in enumerate(self.groups)}
        self.bases = {v.base for v in self.items if v.base >= 0}
        self.outputs = {*grouping.values.outputs, *grouping.values.checks}
        self.readers: dict[int, list[int]] = {}
        for m in self.where:
            for r in self.items[m].srcs:
                self.readers.setdefault(r.value, []).append(m)

    def run(self) -> Grouping:
        changed = False
        for s in sorted(self.grouping.stored & self.where.keys(), reverse=True):
            changed |= self.spare(s)
        if changed:
            self.prune()
            self.grouping.stored = stored_values(
                self.grouping.values, self.groups, self.grouping.inline
            )
        return self.grouping

    def spare(self, s: int) -> bool:
        """Computes a value again in the groups that read it, where that is less to move."""
        v, home = self.items[s], self.where[s]
        large = numel(v.space) >= LARGE
        if not large or s in self.outputs or s in self.bases or not self.cheap(v):
            return False
        outside = [m for m in self.readers.get(s, ()) if self.where[m] is not home]
        groups = {id(self.where[m]): self.where[m] for m in outside}
        if not outside or not all(self.reads_along(m, s) for m in outside):
            return False
        needs = self.needs(s, set())
        if needs is None:
            return False
        spared = self.size(s)
        for g in groups.values():
            if not all(self.readable(n, g) for n in needs):
                return False
            more = sum(self.size(n) for n in needs if n not in g.reads and n not in g.level)
            spared += self.size(s) - more
        if spared <= 0:
            return False
        for g in groups.values():
            copies: dict[int, int] = {}
            self.copied(s, g, copies)
            for m in [m for m in outside if self.where[m] is g]:
                self.redirect(m, s, copies[s])
        return True

    # What can be done

    def cheap(self, v: Value) -> bool:
        """Whether a value takes a few instructions for an element."""
        return v.kind == "row" and v.op is not None and not special_steps(v.op, len(v.srcs))

    def reads_along(self, m: int, s: int) -> bool:
        """Whether a reader takes a value element by element, in a group that computes."""
        reader, value = self.items[m], self.items[s]
        plain = reader.kind in ("row", "reduce") or (reader.kind == "region" and reader.arg is None)
        if not plain or self.where[m].alone or reader.space != value.space:
            return False
        along = identity(len(value.space))
        return all(not r.memory and r.rows == along for r in reader.srcs if r.value == s)

    def needs(self, s: int, seen: set[int]) -> set[int] | None:
        """The values in memory from which a value is made; None where it takes too much."""
        seen.add(s)
        out: set[int] = set()
        for r in self.items[s].srcs:
            at = r.value
            if at in self.grouping.inline or at in seen:
                continue
            if r.memory or at in self.bases:
                return None
            if at in self.grouping.stored:
                if self.items[at].kind == "region":
                    return None
                out.add(at)
                continue
            value = self.items[at]
            if not self.cheap(value) or value.space != self.items[s].space:
                return None
            if r.rows != identity(len(value.space)) or len(seen) >= MOST_STEPS:
                return None
            more = self.needs(at, seen)
            if more is None:
                return None
            out |= more
        return out

    def readable(self, n: int, g: Group) -> bool:
        """Whether a value is in memory when a group runs."""
        if n in g.level:
            return False
        home = self.where.get(n)
        return home is None or self.order[id(home)] < self.order[id(g)]

    def size(self, n: int) -> int:
        v = self.items[n]
        return numel(v.shape) * v.dtype.itemsize

    # Doing it

    def copied(self, s: int, g: Group, copies: dict[int, int]) -> int:
        """A value once more, as a member of a group before those that read it."""
        if s in copies:
            return copies[s]
        v = self.items[s]
        srcs = []
        for r in v.srcs:
            mine = r.value not in self.grouping.inline and r.value not in self.grouping.stored
            srcs.append(Ref(self.copied(r.value, g, copies), r.rows) if mine else r)
        at = self.grouping.values.add(replace(v, srcs=tuple(srcs)))
        copies[s] = at
        first = min((g.members.index(m) for m in self.readers[s] if m in g.level), default=0)
        g.members.insert(first, at)
        g.level[at], g.phase[at] = "full", 0
        g.reads.update(r.value for r in srcs if r.value not in self.grouping.inline)
        self.where[at] = g
        for r in srcs:
            self.readers.setdefault(r.value, []).append(at)
        return at

    def redirect(self, m: int, s: int, to: int) -> None:
        """Has a reader take a copy."""
        v = self.items[m]
        v.srcs = tuple(Ref(to, r.rows) if r.value == s else r for r in v.srcs)
        self.readers[s] = [x for x in self.readers[s] if x != m]
        self.readers.setdefault(to, []).append(m)

    def prune(self) -> None:
        """Drops members that nobody reads any more."""
        for g in reversed(self.groups):
            for m in reversed(list(g.members)):
                v = self.items[m]
                kept = m in self.outputs or m in self.bases or v.kind in ("region", "check")
                if kept or self.readers.get(m):
                    continue
                g.members.remove(m)
                del g.level[m], g.phase[m]
                for r in v.srcs:
                    self.readers[r.value] = [x for x in self.readers[r.value] if x != m]
        self.groups[:] = [g for g in self.groups if g.members]
        for g in self.groups:
            g.reads = {
                r.value for m in g.members for r in self.items[m].srcs
                if r.value not in self.grouping.inline
            }  # fmt: skip
