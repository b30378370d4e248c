"""Watching from outside: observers of what is recorded, probes of what plans compute.

An *observer* is told once of every new record, gradient program, optimiser step and plan; what is
recognised later is not told again and costs nothing. A *probe* adds statistics of chosen values to
every k-th run of the plans they are in: a second variant of the plan, with more rows at its end,
makes them, so that no value a program sees is another.

Callbacks run where anything is allowed (before the next new record, or when a run is over), in the
thread that recorded or ran. What they record themselves is not told to anybody. What they raise
becomes a warning; only an interrupt goes through.
"""

from __future__ import annotations

import threading
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Final

from ..base import dtype as dt
from ..base.shape import numel
from ..graph.node import ProgramBuilder
from ..graph.op import TABLE, Op
from ..graph.value import Val
from .core import MAIN, RECORDERS, Engine, Tensor, mine
from .execute import REFUSED, Due, run_plan
from .memory import Window, base_array
from .plan import FlushInfo, assemble
from .records import BACKWARD, MODE, ROOT, STEP, TEMPLATE, Rec
from .stretch import MAX_RECORDS, clear
from .trie import LEAF, WATCH, user_line
from .turns import apart

STATISTICS: Final = ("min", "max", "mean", "nan", "inf", "zeros", "norm")
SOON: Final = 1 << 62  # as pending bytes: the next new record finds that there is something to do


class Seen:
    """One record as those who watch see it.

    ``kind``: ``operation``, ``leaf`` (memory that enters), ``backward``, ``step``, ``plan``; for
    probes also ``gradient`` (one that leaves a backward) and ``update`` (a value that an optimiser
    step writes).  ``operands`` and ``spec``: shapes, strides, types.  ``line``: the user's
    ``file:line``.  ``scope``: what `set_scope`'s function said.  ``label``: the name given to the
    tensor that entered, or whose gradient or update it is.  ``records``: those of its stretch, by
    slot; ``rec.srcs`` are slots in it (numbers are below zero).
    """

    __slots__ = ("kind", "label", "line", "rec", "records", "scope")

    def __init__(self, kind: str, rec: Rec, records: list[Rec], line: str, scope: Any) -> None:
        self.kind: str = kind
        self.rec: Rec = rec
        self.records: list[Rec] = records
        self.line: str = line
        self.scope: Any = scope
        self.label: str = ""

    @property
    def name(self) -> str:
        """The operation's name; the kind for what is no operation."""
        row = self.rec.row
        return self.kind if row is None else str(row.name)

    @property
    def arg(self) -> Any:
        """The operation's static argument."""
        return self.rec.arg

    @property
    def spec(self) -> Any:
        """Shape, strides, type and device of the result; None for what has no single one."""
        return self.rec.spec

    @property
    def operands(self) -> list[Any]:
        """The operands' specs, None for a Python number."""
        return [self.records[s].spec if s >= 0 else None for s in self.rec.srcs]

    @property
    def producers(self) -> list[Any]:
        """The records the operands come from, None for a Python number."""
        return [self.records[s] if s >= 0 else None for s in self.rec.srcs]

    @property
    def plan(self) -> Any:
        """A plan's `FlushInfo`: its program, what leaves it; None for what is no plan."""
        return self.rec.info if self.kind == "plan" else None

    def __str__(self) -> str:
        return self.line

    def __repr__(self) -> str:
        return f"Seen({self.kind} {self.name}: {self.rec.spec!r} at {self.line})"


class Reading:
    """Statistics of one value in one run: ``values`` by name; ``run`` counts the plan's runs."""

    __slots__ = ("label", "run", "seen", "values")

    def __init__(self, seen: Seen, label: str, run: int, values: dict[str, float]) -> None:
        self.seen: Seen = seen
        self.label: str = label
        self.run: int = run
        self.values: dict[str, float] = values

    def __repr__(self) -> str:
        return f"Reading({self.seen!r}, {self.label!r}, run {self.run}, {self.values})"


class Handle:
    """What registering gives: ``remove()`` ends it; a ``with`` block does at its end."""

    def __init__(self, callback: Callable[..., Any]) -> None:
        self.callback: Callable[..., Any] = callback
        self.active: bool = True

    def remove(self) -> None:
        """Nothing more is told; plans lose their second variants when they run next."""
        self.active = False
        if self in OBSERVERS:
            OBSERVERS.remove(self)
        if self in PROBES:
            PROBES.remove(self)
        if not OBSERVERS and not PROBES:
            WATCH.clear()
            QUEUES.clear()

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *what: Any) -> None:
        self.remove()


class Probe(Handle):
    """Statistics of the values that ``selector`` picks, every so many runs of their plans."""

    def __init__(
        self,
        selector: Callable[[Seen], Any],
        statistics: tuple[str, ...],
        every: int,
        callback: Callable[..., Any],
    ) -> None:
        super().__init__(callback)
        self.selector: Callable[[Seen], Any] = selector
        self.statistics: tuple[str, ...] = statistics
        self.every: int = every


OBSERVERS: Final[list[Any]] = []
PROBES: Final[list[Any]] = []
QUEUES: Final[dict[int, list[Seen]]] = {}  # id of a recorder -> what its observers are to be told
BUSY: Final[set[int]] = set()  # threads that run callbacks
SCOPES: Final[list[Callable[[], Any]]] = []
LABELS: Final[dict[int, tuple[Any, str]]] = {}  # id of a tensor -> how to reach it, its name


# ---------------------------------------------------------------- outside
def observe(callback: Callable[[Seen], Any]) -> Handle:
    """Call ``callback(seen)`` once for everything new that is recorded, in order.

    What was recognised before is forgotten, so that it is told as well.
    """
    h = Handle(callback)
    OBSERVERS.append(h)
    begin()
    return h


def probe(
    selector: Callable[[Seen], Any],
    statistics: Sequence[str],
    every: int,
    callback: Callable[[list[Reading]], Any],
) -> Handle:
    """Call ``callback(readings)`` in every ``every``-th run (the first included) of each plan with
    values that ``selector(seen)`` picks when the plan is made.

    ``statistics``: of ``min max mean nan inf zeros norm``; ``nan`` and ``inf`` are counts,
    ``zeros`` a fraction.  ``min`` and ``max`` of values with a NaN are NaN; of no elements all but
    the counts are.

    Raises:
        ValueError: for an unknown statistic or ``every`` below 1.
    """
    for s in statistics:
        if s not in STATISTICS:
            raise ValueError(f"probe: no statistic {s!r}; there are {', '.join(STATISTICS)}")
    if every < 1:
        raise ValueError(f"probe: every has to be 1 or more, got {every}")
    h = Probe(selector, tuple(statistics), every, callback)
    PROBES.append(h)
    begin()
    return h


def set_scope(scope: Callable[[], Any] | None) -> None:
    """What `Seen.scope` is from now on: ``scope()`` at the moment of recording (None: nothing)."""
    SCOPES.clear()
    if scope is not None:
        SCOPES.append(scope)


def label(tensor: Tensor, name: str) -> None:
    """Name a tensor: records of its memory, its gradient and its updates carry the name.

    A plain tensor is kept alive by its name (an empty one takes it away), a parameter is not.
    """
    if not name:
        LABELS.pop(id(tensor), None)
        return
    reach: Any = tensor
    if type(tensor) is not Tensor:
        reach = weakref.ref(tensor)
    LABELS[id(tensor)] = (reach, name)


def labelled(what: Any) -> str:
    """The name of the tensor with this storage, memory, history or gradient, or nothing."""
    for key in list(LABELS):
        found = LABELS.get(key)
        if found is None:
            continue
        t: Any = found[0]
        if isinstance(t, weakref.ref):
            t = t()
            if t is None:
                LABELS.pop(key, None)
                continue
        s = t.st
        h = None if t.fam is None else t.fam.hist
        if (
            s is what
            or (s is not None and s.mem is what)
            or (h is not None and (h is what or h.grad is what))
        ):
            return found[1]
    return ""


def begin() -> None:
    """Start the tries afresh at each recorder's next stretch, with somebody watching."""
    if not WATCH:
        WATCH.append(Watcher())
    for e in [MAIN, *RECORDERS.values()]:
        if e.nrec:
            e.nrec = MAX_RECORDS + 1
    own = mine()
    if own.cur.op == ROOT:
        clear(own)


# ---------------------------------------------------------------- what the engine calls
class Watcher:
    """What the slow path calls while somebody watches."""

    def created(self, e: Engine, r: Rec, tape: list[Rec]) -> None:
        """A record was entered for the first time."""
        if r.op == MODE or threading.get_ident() in BUSY:
            return
        kind = "operation"
        if r.op == LEAF:
            kind = "leaf"
        elif r.op == BACKWARD or r.op == TEMPLATE:
            kind = "backward"
        elif r.op == STEP:
            kind = "step"
        seen = Seen(kind, r, tape, user_line(), SCOPES[0]() if SCOPES else None)
        r.where = seen
        self.queue(e, seen)

    def planned(self, e: Engine, r: Rec) -> None:
        """A plan was made: its FLUSH record."""
        if threading.get_ident() in BUSY:
            return
        info: FlushInfo = r.info
        name_leaves(QUEUES.get(id(e)), e.lvals)  # their memory may be another after the run
        seen = Seen("plan", r, info.recs, user_line(), SCOPES[0]() if SCOPES else None)
        self.queue(e, seen)
        picks: list[tuple[Probe, list[Pick]]] = []
        if PROBES:
            found = candidates(e, r)
            for p in list(PROBES):
                chosen = [c for c in found if wanted(p, c.seen)]
                if chosen:
                    picks.append((p, chosen))
        info.watched = Watched(info, picks)

    def queue(self, e: Engine, seen: Seen) -> None:
        if OBSERVERS:
            QUEUES.setdefault(id(e), []).append(seen)
            e.pending = SOON

    def deliver(self, e: Engine) -> None:
        """Tell observers what is new; nothing is in the middle of being recorded."""
        queue = QUEUES.pop(id(e), None)
        if not queue:
            return
        name_leaves(queue, e.lvals)
        for seen in queue:
            for h in list(OBSERVERS):
                guarded(h, seen)


def wanted(p: Probe, seen: Seen) -> bool:
    """What the probe's selector says; no when it fails."""
    try:
        return bool(apart(p.selector, seen))
    except Exception as error:
        complain(p.selector, error)
        return False


def guarded(h: Any, what: Any) -> None:
    """Run a callback; what it raises is a warning.  What a callback causes itself is told to
    nobody."""
    me = threading.get_ident()
    if not h.active or me in BUSY:
        return
    try:
        try:
            BUSY.add(me)
            apart(h.callback, what)
        except Exception as error:
            complain(h.callback, error)
        finally:
            BUSY.discard(me)
    finally:  # an interrupt may come between any two lines, that of the other call too
        BUSY.discard(me)


def complain(callback: Any, error: Exception) -> None:
    """Say that a callback failed."""
    name = getattr(callback, "__qualname__", None) or repr(callback)
    module = getattr(callback, "__module__", "")
    warnings.warn(
        f"engine.watch: {module}.{name} failed with {type(error).__name__}: {error}; "
        "the program goes on",
        RuntimeWarning,
        stacklevel=2,
    )


def name_leaves(queue: list[Seen] | None, lvals: list[Any]) -> None:
    """Find out what memory entered as the LEAF records of the current stretch."""
    for seen in queue or ():
        if seen.kind == "leaf" and not seen.label:
            seen.label = name_of_leaf(seen.rec, lvals)


def name_of_leaf(leaf: Rec, lvals: list[Any]) -> str:
    """The name of the tensor whose memory entered as a LEAF record."""
    k = int(leaf.nleaf) - 1
    if not 0 <= k < len(lvals):
        return ""
    v = lvals[k]
    return labelled(v.memory if isinstance(v, Window) else v)


# ---------------------------------------------------------------- probes
class Pick:
    """A value that may be probed.  ``place``: where what it belongs to is listed: a LEAF's memory,
    a gradient's entry of history (-1: its handle), the storage of an update."""

    __slots__ = ("place", "seen", "slot")

    def __init__(self, seen: Seen, slot: int, place: int) -> None:
        self.seen: Seen = seen
        self.slot: int = slot
        self.place: int = place

    def label(self, sts: list[Any], gleaves: list[Any], live: list[Any]) -> str:
        """The name of the tensor it belongs to in this run; of a LEAF, as `Watched.run` found."""
        k = self.place
        kind = self.seen.kind
        if kind == "gradient":
            return labelled(gleaves[k] if k >= 0 else live[self.seen.rec.li])
        if kind == "update" and k >= 0:
            return labelled(sts[k])
        return self.seen.label


def candidates(e: Engine, flush: Rec) -> list[Pick]:
    """Every value of a stretch as a selector may see it."""
    info: FlushInfo = flush.info
    recs = info.recs
    written = {slot: k for k, slot in info.stores}
    path: list[Rec] = []
    r: Rec | None = flush.parent
    while r is not None and r.op != ROOT:
        path.append(r)
        r = r.parent
    path.reverse()
    out: list[Pick] = []
    for q in path:
        if q.op == LEAF:
            c = pick("leaf", q, q, recs, -1)
            c.seen.label = name_of_leaf(q, e.lvals)
            out.append(c)
        elif q.op < ROOT:
            out.append(pick("operation", q, q, recs, -1))
        elif q.op == STEP:
            for _, g in q.grads:
                out.append(pick("update", q, g, recs, written.get(int(g.slot), -1)))
        elif q.op == BACKWARD or q.op == TEMPLATE:
            for k, g in q.grads:
                # a template's entries are those of the stretch it differentiates, not of this one
                out.append(pick("gradient", q, g, recs, k if q.op == BACKWARD else -1))
    for c in out:
        c.seen.label = c.label(e.sts, e.gleaves, e.live)
    return out


def pick(kind: str, of: Rec, value: Rec, recs: list[Rec], place: int) -> Pick:
    """One value with what was noted when the record ``of`` it was made."""
    note = of.where
    line = str(note) if note is not None else ""
    scope = note.scope if isinstance(note, Seen) else None
    return Pick(Seen(kind, value, recs, line, scope), int(value.slot), place)


class Watched:
    """A plan that somebody watches: what it runs instead, and what that brings."""

    def __init__(self, info: FlushInfo, picks: list[tuple[Probe, list[Pick]]]) -> None:
        inner = FlushInfo()
        inner.recs = info.recs
        inner.made = info.program
        inner.slots = info.slots
        inner.leaves = info.leaves
        inner.outputs = info.outputs
        inner.numbers = info.numbers
        self.inner: FlushInfo = inner  # the plan itself
        self.picks: list[tuple[Probe, list[Pick]]] = picks
        self.runs: int = 0
        self.variants: dict[tuple[int, ...], Variant] = {}
        info.runs = REFUSED  # never compiled while it is watched: `inner` is

    def run(
        self, info: FlushInfo, lvals: list[Any], numbers: list[Any]
    ) -> tuple[list[Any], BaseException | None]:
        """The plan's outputs, and the statistics that are due."""
        self.runs += 1
        self.picks = [p for p in self.picks if p[0].active]
        if not self.picks:  # nobody watches any more: the plan is as it would have been
            info.watched = None
            info.code = self.inner.code
            info.runs = self.inner.runs
            outs, failed = run_plan(info, lvals, numbers)
            return outs, Notice() if failed is None else failed
        due = [p for p in self.picks if (self.runs - 1) % p[0].every == 0]
        if not due:
            return run_plan(self.inner, lvals, numbers)
        key = tuple([id(p[0]) for p in due])
        v = self.variants.get(key)
        if v is None:
            if len(self.variants) >= MAX_VARIANTS:
                self.variants.clear()
            v = Variant(self.inner, due)
            self.variants[key] = v
        if not v.info.outputs:
            return [], Notice()
        for _, picks in due:  # the memory of what entered may be another after the run
            for c in picks:
                if c.seen.kind == "leaf":
                    c.seen.label = name_of_leaf(c.seen.rec, lvals)
        outs, failed = run_plan(v.info, lvals, numbers)
        n = len(self.inner.outputs)
        if failed is not None:
            return outs[:n], failed
        return outs[:n], Statistics(v, self.runs, outs[n:])


MAX_VARIANTS: Final = 8  # sets of probes that are due together, for each of which there is a plan


class Variant:
    """A plan with statistics at its end: ``wants`` says what the outputs past the plan's own
    are."""

    def __init__(self, inner: FlushInfo, due: list[tuple[Probe, list[Pick]]]) -> None:
        slots = sorted({c.slot for _, picks in due for c in picks})
        info = FlushInfo()
        info.recs = inner.recs
        info.follows = False
        info.outputs = inner.outputs
        info.numbers = inner.numbers
        at = assemble(info, inner.numbers, inner.outputs, slots)
        builder = ProgramBuilder(info.program)
        made: dict[tuple[int, str], int] = {}
        self.wants: list[tuple[Probe, list[tuple[Pick, dict[str, int]]]]] = []
        for p, picks in due:
            rows: list[tuple[Pick, dict[str, int]]] = []
            for c in picks:
                where: dict[str, int] = {}
                for name in p.statistics:
                    k = made.get((c.slot, name))
                    if k is None:
                        v = statistic(name, Val(builder, at[c.slot]))
                        k = len(info.outputs) - len(inner.outputs)
                        if v is None:
                            k = -1
                        else:
                            info.outputs += (-1,)
                            info.program.outputs.append(v.slot)
                        made[(c.slot, name)] = k
                    where[name] = k
                rows.append((c, where))
            self.wants.append((p, rows))
        info.slots += (0,) * (len(info.program.nodes) - len(info.slots))
        self.info: FlushInfo = info


def row(name: str, *operands: Any, arg: Any = None) -> Val:
    """A row of the table on values."""
    op: Op = TABLE[name]
    return op(*operands, arg=arg)


def statistic(name: str, v: Val) -> Val | None:
    """One statistic of a value as a double; None where there are no elements to take it of."""
    n = numel(v.shape)
    every = (tuple(range(len(v.shape))), False)
    if v.dtype.kind == "c":
        v = row("abs", v)
    floating = v.dtype.kind == "f"
    if name == "nan" or name == "inf":
        hit = row("isnan" if name == "nan" else "isinf", v)
        return row("cast", row("sum", row("cast", hit, arg=dt.int64), arg=every), arg=dt.float64)
    if n == 0:
        return None
    if name == "min" or name == "max":
        if not floating:
            v = row("cast", v, arg=dt.float64)
        return row("cast", row("amin" if name == "min" else "amax", v, arg=every), arg=dt.float64)
    if name == "zeros":
        hit = row("cast", row("eq", v, 0), arg=dt.int64)
        return row("cast", row("sum", hit, arg=every), arg=dt.float64) / float(n)
    wide = v if v.dtype is dt.float64 else row("cast", v, arg=dt.float64)
    if name == "mean":
        return row("sum", wide, arg=every) / float(n)
    return row("sqrt", row("sum", wide * wide, arg=every))


class Notice(Due):
    """A run is over and observers may be told what is new."""

    def deliver(self, e: Engine, sts: list[Any], gleaves: list[Any], live: list[Any]) -> None:
        if WATCH:
            WATCH[0].deliver(e)


class Statistics(Notice):
    """What the probes that were due have measured."""

    def __init__(self, variant: Variant, run: int, outs: list[Any]) -> None:
        super().__init__()
        self.variant: Variant = variant
        self.run: int = run
        self.outs: list[Any] = outs

    def deliver(self, e: Engine, sts: list[Any], gleaves: list[Any], live: list[Any]) -> None:
        super().deliver(e, sts, gleaves, live)
        spec = None
        values: list[float] = []
        nodes = self.variant.info.program.nodes
        first = len(self.variant.info.program.outputs) - len(self.outs)
        for k, m in enumerate(self.outs):
            spec = nodes[self.variant.info.program.outputs[first + k]].spec
            values.append(float(base_array(m, spec)[()]))
        for p, rows in self.variant.wants:
            readings: list[Reading] = []
            for c, where in rows:
                got = {name: values[k] if k >= 0 else float("nan") for name, k in where.items()}
                readings.append(Reading(c.seen, c.label(sts, gleaves, live), self.run, got))
            guarded(p, readings)
