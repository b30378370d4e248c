"""The passes from groups to a loop program: stages, collapsed loops, tasks, memory.

`Builder` writes one kernel for a group. `schedule` calls them in order and places buffers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..base.shape import Ints, numel
from ..graph.node import Program
from .cost import special_steps
from .group import Group, Grouping
from .loops import Access, Instr, Kernel, LoopProgram, Output, Param, Stage
from .memory import place_memory
from .products import product
from .resolve import shown
from .split import Launch, split
from .values import Ref, Row, dot_row
from .wholes import whole

SCRATCH = 48 << 10  # bytes of scratch that a kernel may have on its stack


@dataclass
class Draft:
    """A kernel before its loops are shaped: accesses still lie over the whole space."""

    space: Ints
    dims: Ints
    params: list[Param] = field(default_factory=list)
    buffers: list[int] = field(default_factory=list)  # the value whose memory each parameter is
    numbers: list[int] = field(default_factory=list)
    once: list[Instr] = field(default_factory=list)
    rows: list[list[Instr]] = field(default_factory=list)
    inners: list[list[Instr]] = field(default_factory=list)
    ordered: bool = False


class Builder:
    """Turns one group into a draft."""

    def __init__(self, grouping: Grouping, g: Group) -> None:
        self.items = grouping.values.items
        self.grouping = grouping
        self.g = g
        self.scratch = 0
        self.places: Ints = ()
        self.draft = Draft(g.space, g.dims or ())
        phases = 1 + max(g.result_phase(m, grouping.values) for m in g.members)
        self.draft.rows = [[] for _ in range(phases)]
        self.draft.inners = [[] for _ in range(phases)]
        self.ids = 0
        self.made: dict[Any, int] = {}
        self.param_of: dict[int, int] = {}
        self.rank = len(g.space)

    def build(self) -> Draft:
        """Stages in order: for every phase what rows need, then what the inner loop does."""
        g = self.g
        for phase in range(len(self.draft.inners)):
            for m in g.members:
                if g.phase[m] != phase:
                    continue
                v = self.items[m]
                x = self.member(m, phase)
                if m in self.grouping.stored and v.kind not in ("reduce", "dot"):
                    self.store(m, x, phase, g.level[m])
            for m in g.members:
                late = self.items[m].kind in ("reduce", "dot") and m in self.grouping.stored
                if late and g.result_phase(m, self.grouping.values) == phase:
                    self.store(m, self.made[m, "outer"], phase, "outer")
        return self.draft

    # Steps

    def emit(self, stage: list[Instr], **fields: object) -> int:
        self.ids += 1
        stage.append(Instr(self.ids, **fields))  # type: ignore[arg-type]
        return self.ids

    def stage(self, level: str, phase: int) -> list[Instr]:
        return self.draft.rows[phase] if level == "outer" else self.draft.inners[phase]

    def param(self, value: int, written: bool) -> int:
        root = value
        while self.items[root].base >= 0:
            root = self.items[root].base
        at = self.param_of.get(root)
        if at is None:
            at = self.param_of[root] = len(self.draft.params)
            self.draft.params.append(Param(self.items[root].dtype, written))
            self.draft.buffers.append(root)
        elif written and not self.draft.params[at].written:
            self.draft.params[at] = Param(self.items[root].dtype, True)
        return at

    def widen(self, row: Row, level: str) -> Row:
        """A row over a member's space as one over the whole space."""
        if level == "full" or len(row[0]) == self.rank:
            return row
        wide = [0] * self.rank
        for d, c in zip(self.g.kept, row[0]):
            wide[d] = c
        return tuple(wide), row[1]

    def address(self, value: int, rows: tuple[Row, ...], memory: bool, rank: int) -> Row:
        return rows[0] if memory else dot_row(self.items[value].layout, rows, rank)

    def member(self, m: int, phase: int) -> int:
        """The step that holds a member's value for readers in `phase`; written when new."""
        g, v = self.g, self.items[m]
        level = "outer" if v.kind in ("reduce", "dot") else g.level[m]
        at = self.made.get((m, level) if level == "outer" else (m, phase))
        if at is not None:
            return at
        late = level == "full" and g.phase[m] < phase
        if late and (m in self.grouping.stored or self.dear(m)):
            return self.reload(m, phase)
        own = g.level[m]
        given = v.srcs[1:] if v.kind == "index" else v.srcs
        srcs = tuple(self.read(r, own, phase, len(v.space)) for r in given)
        where = self.stage(own, phase)
        if v.kind == "row":
            at = self.emit(
                where, kind="row", dtype=v.dtype, srcs=srcs, op=v.op, arg=v.arg, ctype=v.ctype
            )
        elif v.kind == "region":
            at = srcs[0]
            self.places = srcs[1:]
        elif v.kind == "index":
            row = self.widen(v.srcs[0].rows[0], own)
            access = Access(self.param(v.srcs[0].value, False), row[0], row[1])
            at = self.emit(where, kind="index", dtype=v.dtype, srcs=srcs, arg=v.arg, access=access)
        elif v.kind == "check":
            at = self.emit(where, kind="check", dtype=v.dtype, srcs=srcs, arg=v.arg)
        else:
            kind = "dot" if v.kind == "dot" else "reduce"
            at = self.emit(where, kind=kind, dtype=v.dtype, srcs=srcs, op=v.op, ctype=v.ctype)
        self.made[(m, level) if level == "outer" else (m, phase)] = at
        return at

    def dear(self, m: int) -> bool:
        """Whether computing a member once more costs more than a trip to memory."""
        v = self.items[m]
        if v.kind == "index":
            return True
        if v.kind == "row" and v.op is not None and special_steps(v.op, len(v.srcs)):
            return True
        return any(
            self.g.level.get(r.value) == "full" and self.items[r.value].kind == "row"
            and r.value not in self.grouping.stored and self.dear(r.value)
            for r in v.srcs
        )  # fmt: skip

    def reload(self, m: int, phase: int) -> int:
        """A member's value of an earlier phase, read back from its memory."""
        v = self.items[m]
        if m not in self.grouping.stored and (m, -1) not in self.made:
            self.made[m, -1] = 1
            if self.local(m):
                self.param_of[m] = len(self.draft.params)
                self.draft.params.append(Param(v.dtype, True, True))
            self.store(m, self.made[m, self.g.phase[m]], self.g.phase[m], "full")
        at = self.load(m, (v.layout, 0), phase)
        self.made[m, phase] = at
        return at

    def local(self, m: int) -> bool:
        """Whether a row of a member fits into scratch beside what is there."""
        dims = self.draft.dims
        lanes = 32 if dims[-1] != self.rank - 1 else 1
        size = numel(tuple(self.g.space[d] for d in dims)) * lanes * self.items[m].dtype.itemsize
        self.scratch += size
        return self.scratch <= SCRATCH

    def read(self, r: Ref, level: str, phase: int, rank: int) -> int:
        """The step that holds what a reference reads."""
        value = r.value
        if value in self.grouping.inline:
            return self.inlined(r, level, phase)
        if value in self.g.level:
            return self.member(value, phase)
        row = self.widen(self.address(value, r.rows, r.memory, rank), level)
        return self.load(value, row, phase)

    def load(self, value: int, row: Row, phase: int) -> int:
        """Reads memory as seldom as its strides allow."""
        v = self.items[value]
        key: tuple[Any, ...]
        if not any(row[0]) and value not in self.g.level:
            where, key = self.draft.once, ("load", value, row)
        elif not any(row[0][d] for d in self.draft.dims) and self.draft.dims:
            where, key = self.draft.rows[phase], ("load", value, row, "row")
            for earlier in range(phase):
                if (*key, earlier) in self.made:
                    return self.made[(*key, earlier)]
            key = (*key, phase)
        else:
            where, key = self.draft.inners[phase], ("load", value, row, phase)
        at = self.made.get(key)
        if at is None:
            access = Access(self.param(value, False), row[0], row[1])
            at = self.made[key] = self.emit(where, kind="load", dtype=v.dtype, access=access)
        return at

    def inlined(self, r: Ref, level: str, phase: int) -> int:
        """Numbers, constants, indices, and scalars made of them."""
        v = self.items[r.value]
        if v.kind == "iota":
            row = self.widen(r.rows[0], level)
            dims = self.draft.dims
            own = (
                "outer"
                if level == "outer" or (dims and not any(row[0][d] for d in dims))
                else "full"
            )
            where = self.stage(own, phase)
            return self.emit(where, kind="iota", dtype=v.dtype, access=Access(-1, row[0], row[1]))
        at = self.made.get(("inline", r.value))
        if at is not None:
            return at
        once = self.draft.once
        if v.kind == "number":
            k = len(self.draft.numbers)
            self.draft.numbers.append(v.arg)
            at = self.emit(once, kind="number", dtype=v.dtype, arg=k)
        elif v.kind == "const":
            at = self.emit(once, kind="const", dtype=v.dtype, arg=v.arg)
        else:
            srcs = tuple(self.inlined(s, level, phase) for s in v.srcs)
            at = self.emit(
                once, kind="row", dtype=v.dtype, srcs=srcs, op=v.op, arg=v.arg, ctype=v.ctype
            )
        self.made["inline", r.value] = at
        return at

    def store(self, m: int, x: int, phase: int, level: str) -> None:
        v = self.items[m]
        row = v.place if v.kind == "region" else (v.layout, 0)
        if v.kind == "reduce" or v.kind == "dot":
            row = self.widen(row, "outer")
        else:
            row = self.widen(row, level)
        access = Access(self.param(m, True), row[0], row[1])
        if v.kind == "region" and v.arg is not None:
            self.draft.ordered = True
            where = self.stage(level, phase)
            srcs = (x, *self.places)
            self.emit(where, kind="store", dtype=v.dtype, srcs=srcs, arg=v.arg, access=access)
            return
        self.emit(self.stage(level, phase), kind="store", dtype=v.dtype, srcs=(x,), access=access)


def shape_loops(d: Draft) -> Kernel:
    """Orders and collapses the dimensions of a draft; picks where vectors lie."""
    bodies = [d.once, *(s for pair in zip(d.rows, d.inners) for s in pair)]
    accesses = [
        i.access for b in bodies for i in b
        if i.access is not None and not (i.access.param >= 0 and d.params[i.access.param].local)
    ]  # fmt: skip
    inner = list(d.dims)
    outer = [i for i in range(len(d.space)) if i not in d.dims]
    along = "inner"
    stores = [i.access for b in bodies for i in b if i.kind == "store" and i.access is not None]
    dot = any(i.kind == "dot" for b in bodies for i in b)
    if d.ordered:
        pass  # places are written in the order of the indices
    elif not d.dims:
        # what only checks stores nothing
        main = max(stores or accesses, key=lambda a: sum(s != 0 for s in a.strides), default=None)
        if main is not None:
            outer.sort(key=lambda i: -main.strides[i] if main.strides[i] else -(1 << 62))
    elif dot or d.dims[-1] != len(d.space) - 1:
        along = "outer"
    outer_runs, inner_runs = _runs(outer, d.space, accesses), _runs(inner, d.space, accesses)
    if not d.dims:
        inner_runs = outer_runs[-1:]
        outer_runs = outer_runs[:-1]
        if not inner_runs:
            inner_runs = [([], 1)]
    runs = outer_runs + inner_runs

    def shaped(i: Instr) -> Instr:
        if i.access is None:
            return i
        strides = tuple(i.access.strides[dims[-1]] if dims else 0 for dims, _ in runs)
        return i.at(Access(i.access.param, strides, i.access.offset))

    stages = [Stage("once", tuple(map(shaped, d.once)))]
    for rows, inners in zip(d.rows, d.inners):
        stages.append(Stage("row", tuple(map(shaped, rows))))
        stages.append(Stage("inner", tuple(map(shaped, inners))))
    return Kernel(
        tuple(n for _, n in outer_runs),
        tuple(n for _, n in inner_runs),
        "outer" if along == "outer" and outer_runs else "inner",
        d.params,
        [],
        [s for s in stages if s.body],
        checks=any(
            i.kind in ("index", "check") or (i.kind == "store" and i.srcs[1:])
            for b in bodies
            for i in b
        ),
        ordered=d.ordered,
    )


def _runs(dims: list[int], space: Ints, accesses: list[Access]) -> list[tuple[list[int], int]]:
    """Neighbouring dimensions that every access walks as one, with their sizes."""
    runs: list[tuple[list[int], int]] = []
    for d in dims:
        if runs:
            last, n = runs[-1]
            if all(a.strides[last[-1]] == a.strides[d] * space[d] for a in accesses):
                runs[-1] = ([*last, d], n * space[d])
                continue
        runs.append(([d], space[d]))
    return runs


def schedule(grouping: Grouping, program: Program) -> LoopProgram:
    """Kernels, calls and memory for all groups."""
    values = grouping.values
    specs = [program.nodes[o].spec for o in program.outputs]
    result = LoopProgram(
        values.leaves,
        list(values.numbers),
        [Output(s.shape, shown(s)[1], s.dtype) for s in specs],
    )
    launches: list[Launch] = []
    for g in grouping.groups:
        only = values.items[g.members[0]]
        if only.kind == "dot" and only.dtype.kind == "f":
            launches.append(product(only, g.members[0], grouping))
            continue
        if only.kind == "whole":
            kind = values.items[only.srcs[-1].value].dtype
            launches.append(whole(only, g.members[0], kind))
            continue
        draft = Builder(grouping, g).build()
        kernel = shape_loops(draft)
        kernel.numbers = [values.numbers[n] for n in draft.numbers]
        launches += split(kernel, draft.buffers, draft.numbers, values)
    place_memory(result, launches, grouping)
    return result
