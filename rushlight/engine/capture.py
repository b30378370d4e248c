"""A captured step: what a whole step does to tensors, done again without running its Python.

`noting.py` makes a `Captured` out of a run that it watched; `replay` checks that nothing it rests
on has changed, runs the plans, and leaves storages, gradients, versions, optimisers and results as
the step itself would have left them.  Nothing is changed before every plan has succeeded, so that a
step which cannot be replayed can still be run.
"""

from __future__ import annotations

from typing import Any, Final

from mypy_extensions import i64

from ..base.device import Chosen
from ..base.dtype import Defaults
from ..base.settings import settings
from ..graph.op import Spec
from .core import MAIN, RECORDERS, Engine, Fam, Frame, Hist, Tensor, mine
from .execute import CLOCK, NativePlan
from .flush import READERS, flush_engine, native_readers
from .guards import MISS, Argument, Miss, Stepping, content, same_items
from .handles import reachable
from .memory import Window, address_of
from .plan import FlushInfo
from .records import ROOT, Rec, Storage
from .staying import put_back
from .trie import WATCH

VERSION: Final[list[int]] = [0]  # counts changes of modules: attributes, hooks, how they are called


# Where memory comes from.
KEPT: Final = 0  # a storage that exists: `Captured.sts`
GIVEN: Final = 1  # a tensor among the arguments
MADE: Final = 2  # an output of an earlier plan of the same replay


class Source:
    """Where a value lies: ``spec`` and ``shift`` (in elements) when it is a part of that memory."""

    __slots__ = ("at", "kind", "shift", "spec")

    def __init__(self, kind: i64, at: i64, spec: Spec | None = None, shift: int = 0) -> None:
        self.kind: i64 = kind
        self.at: i64 = at
        self.spec: Spec | None = spec
        self.shift: int = shift


# What a replay writes and makes; objects with typed fields, which compiled code reads directly.
class Write:
    """A storage that was there before (`Captured.owner` of ``kind`` and ``at``) gets the memory of
    ``source``: ``count`` writes."""

    __slots__ = ("at", "count", "kind", "source")

    def __init__(self, kind: i64, at: i64, source: Source, count: i64) -> None:
        self.kind: i64 = kind
        self.at: i64 = at
        self.source: Source = source
        self.count: i64 = count


class Home:
    """A storage to be made."""

    __slots__ = ("source", "spec")

    def __init__(self, source: Source, spec: Spec) -> None:
        self.source: Source = source
        self.spec: Spec = spec


class Family:
    """A family to be made, of the storage ``home``; ``piece`` is -1 without history."""

    __slots__ = ("home", "piece", "rec", "slot")

    def __init__(self, home: i64, rec: Rec, piece: i64, slot: int) -> None:
        self.home: i64 = home
        self.rec: Rec = rec
        self.piece: i64 = piece
        self.slot: int = slot


class Birth:
    """A handle to be made, of the storage ``home``; ``family`` is -1 for none."""

    __slots__ = ("family", "home", "rec")

    def __init__(self, rec: Rec, home: i64, family: i64) -> None:
        self.rec: Rec = rec
        self.home: i64 = home
        self.family: i64 = family


# ---------------------------------------------------------------- the step
class Piece:
    """One stretch of the step: its plan, where its leaves lie, its numbers, the frame it leaves."""

    __slots__ = (
        "consts", "entries", "framed", "freed", "info", "leaves", "numbers", "plan", "rec",
        "saved", "stepping", "variant",
    )  # fmt: skip

    def __init__(self, rec: Rec) -> None:
        self.rec: Rec = rec
        self.info: FlushInfo = rec.info
        self.plan: NativePlan | None = None  # None: nothing to compute
        self.leaves: list[Source] = []
        self.consts: list[Any] = []
        self.numbers: list[Any] = []  # constants and what the optimiser said last
        self.variant: list[Any] = []  # what it said
        self.stepping: Stepping | None = None
        self.framed: bool = False
        self.freed: int = 0
        self.entries: list[tuple[Hist | None, int, int]] = []  # a leaf's, or (piece, slot)
        self.saved: list[tuple[int, Source]] = []


class Captured:
    """A step that can be replayed, with everything that has to hold for it."""

    def __init__(self, e: Engine) -> None:
        self.e: Engine = e
        self.gm: bool = e.gm
        self.float: Any = Defaults.float
        self.device: Any = Chosen.device
        self.version: int = VERSION[0]
        self.replays: int = 0
        # names: (dictionary, name, value), cells, attributes, contents of lists
        self.spaces: list[dict[Any, Any]] = []
        self.names: list[Any] = []
        self.objects: list[Any] = []
        self.cells: list[tuple[Any, Any]] = []
        self.attributes: list[tuple[Any, str, Any]] = []
        self.contents: list[tuple[Any, list[Any]]] = []
        # arguments
        self.given: list[Argument] = []
        self.words: list[tuple[Any, Argument]] = []
        self.twins: list[int] = []  # for each tensor the first that is the same handle
        # tensors that exist: how they are found, and what they have to be
        self.handles: list[Tensor] = []
        self.sts: list[Storage] = []
        self.hists: list[Hist | None] = []
        # gradients: of which leaf; what it is before (None, any, a tensor); what it becomes
        self.leaves: list[Hist] = []
        self.before: list[Any] = []
        self.after: list[int] = []  # a result's index, NONE_LEFT or AS_IT_WAS
        self.pieces: list[Piece] = []
        self.writes: list[Write] = []
        self.fixed: bool = False  # a result is memory that was there before
        # what is made
        self.storages: list[Home] = []
        self.families: list[Family] = []
        self.births: list[Birth] = []
        self.result: Result = Result(CONSTANT, None)

    # ------------------------------------------------------------ what has to hold
    def accepts(self, args: tuple[Any, ...], words: dict[str, Any]) -> list[Tensor] | None:
        """The tensors among the arguments, if they are of the right kinds."""
        given = self.given
        n = len(given)
        if len(args) != n or len(words) != len(self.words):
            return None
        found: list[Tensor] = []
        for i in range(n):
            if not given[i].matches(args[i], found):
                return None
        if words:
            for word, (k, v) in zip(self.words, words.items()):
                if word[0] != k or not word[1].matches(v, found):
                    return None
        twins = self.twins
        for i in range(len(found)):
            t = found[i]
            for j in range(i + 1):
                if found[j] is t:
                    if j != twins[i]:
                        return None
                    break
        return found

    def named(self) -> bool:
        """Do all names still mean what they meant?"""
        spaces = self.spaces
        names = self.names
        objects = self.objects
        for i in range(len(names)):
            if spaces[i].get(names[i]) is not objects[i]:
                return False
        for cell, value in self.cells:
            if content(cell) is not value:
                return False
        for owner, name, value in self.attributes:
            if getattr(owner, name, MISS) is not value:
                return False
        return all(same_items(held, items) for held, items in self.contents)

    def intact(self, given: list[Tensor]) -> bool:
        """Are the tensors that exist what they were, and may they be written?"""
        sts = self.sts
        hists = self.hists
        for i, t in enumerate(self.handles):
            if t.st is not sts[i]:
                return False
            f = t.fam
            h = hists[i]
            if (f.hist if f is not None else None) is not h or (h is not None and h.hooks):
                return False
        before = self.before
        for i, q in enumerate(self.leaves):
            g = q.grad
            want = before[i]
            if q.after:
                return False
            if want is ANY:
                if g is None:
                    return False
            elif g is not want:
                return False
        if self.fixed:  # NumPy's memory must not become a result's
            for s in sts:
                if s.exposed and reachable(s):
                    return False
            for t in given:
                own = t.st
                if own is not None and own.exposed and reachable(own):
                    return False
        for w in self.writes:
            target = self.owner(w.kind, w.at, given)
            if target.exposed and reachable(target):
                return False
            for i, t in enumerate(given):
                if t.st is target and (w.kind != GIVEN or i != w.at):
                    return False
        if not MAIN.solo:
            for s in sts:
                if elsewhere(self.e, s):
                    return False
            for t in given:
                own = t.st
                if own is None or elsewhere(self.e, own):
                    return False
        return True

    def owner(self, kind: i64, at: i64, given: list[Tensor]) -> Storage:
        """The storage of a write."""
        if kind == KEPT:
            return self.sts[at]
        s = given[at].st
        assert s is not None
        return s

    def ready(self, args: tuple[Any, ...], words: dict[str, Any]) -> list[Tensor] | None:
        """The tensors among the arguments, if the step may be replayed now."""
        e = self.e
        if (
            e is not (MAIN if MAIN.solo else mine())
            or e.gm != self.gm
            or e.watch is not None
            or e.tracer is not None
            or VERSION[0] != self.version
            or Defaults.float is not self.float
            or Chosen.device is not self.device
            or settings.eager
            or settings.verify
            or WATCH
        ):
            return None
        if e.cur.op != ROOT or e.dirty or e.ready != e.epoch:
            flush_engine(e)
        given = self.accepts(args, words)
        if given is None or not self.named() or not self.intact(given):
            return None
        for p in self.pieces:
            st = p.stepping
            if st is not None and not st.holds():
                return None
        if e.cur.op != ROOT:
            flush_engine(e)
        return given

    # ------------------------------------------------------------ replaying
    def replay(self, given: list[Tensor]) -> object:
        """Do the step; MISS when a value check failed: nothing has been changed then."""
        e = self.e
        leaves = self.leaves
        after = self.after
        for i in range(len(leaves)):
            if after[i] != AS_IT_WAS:
                leaves[i].grad = None  # their memory is free from here on
        made: list[Any] = []
        frames: list[Frame | None] = []
        for p in self.pieces:
            lvals: list[Any] = []
            for src in p.leaves:
                lvals.append(self.memory(src, made, given))
            st = p.stepping
            if st is not None:
                said = st.next()
                if said is not p.variant:
                    p.variant = said
                    p.numbers = p.consts + said
            numbers = p.numbers
            plan = p.plan
            if plan is not None:
                if CLOCK:
                    outs = CLOCK[0](plan.run, p.info, lvals, numbers)
                else:
                    outs = plan.run(p.info, lvals, numbers)
                if outs is None:
                    return MISS
                made.extend(outs)
            frames.append(self.frame(p, frames, made, given) if p.framed else None)
            e.nflush += 1
        return self.publish(made, frames, given)

    def memory(self, src: Source, made: list[Any], given: list[Tensor]) -> Any:
        """The memory a source stands for now."""
        kind = src.kind
        if kind == KEPT:
            m = self.sts[src.at].mem
            return m if src.spec is None else part(m, src.spec, src.spec.offset)
        if kind == MADE:
            m = made[src.at]
            return m if src.spec is None else part(m, src.spec, src.spec.offset)
        t = given[src.at]
        s = t.st
        assert s is not None
        if src.spec is None:
            return s.mem
        base = t.rec.spec.offset if t.rec.region is not None else 0
        return part(s.mem, src.spec, base + src.shift)

    def frame(
        self, p: Piece, frames: list[Frame | None], made: list[Any], given: list[Tensor]
    ) -> Frame:
        """The history that a stretch leaves."""
        gleaves: list[Hist] = []
        for h, k, slot in p.entries:
            if h is None:
                h = Hist(frames[k], slot)
            gleaves.append(h)
        f = Frame(p.rec, gleaves, p.numbers)
        f.freed = p.freed
        if p.saved:
            saved: dict[int, Any] = {}
            for slot, src in p.saved:
                saved[slot] = self.memory(src, made, given)
            f.saved = saved
        return f

    def publish(self, made: list[Any], frames: list[Frame | None], given: list[Tensor]) -> object:
        """Put what was computed where the step would have put it."""
        storages: list[Storage] = []
        for home in self.storages:
            storages.append(Storage(self.memory(home.source, made, given), home.spec))
        families: list[Fam] = []
        for f in self.families:
            h = Hist(frames[f.piece], f.slot) if f.piece >= 0 else None
            families.append(Fam(storages[f.home], h, f.rec))
        births: list[Tensor] = []
        for b in self.births:
            t = Tensor(b.rec, 0)
            t.st = storages[b.home]
            if b.family >= 0:
                t.fam = families[b.family]
            births.append(t)
        writes = self.writes
        values: list[Any] = []
        if self.fixed:  # what was there before is looked at before any of it is written
            for w in writes:
                values.append(self.memory(w.source, made, given))
        result = self.result.build(self, made, given, births)
        for i in range(len(writes)):
            w = writes[i]
            s = self.owner(w.kind, w.at, given)
            m = values[i] if self.fixed else self.memory(w.source, made, given)
            if not s.fixed or not put_back(s, m, []):
                s.mem = m
                s.own = None
            s.old = True
            s.ver += w.count
            s.heard = s.ver
        leaves = self.leaves
        after = self.after
        for i in range(len(leaves)):
            k = after[i]
            if k >= 0:
                leaves[i].grad = births[k]
        for p in self.pieces:
            st = p.stepping
            if st is not None:
                st.done()
        self.replays += 1
        return result


ANY: Final = Miss()  # stands for a gradient that is dropped unread
NONE_LEFT: Final = -1
AS_IT_WAS: Final = -2


def part(m: Any, spec: Spec, offset: int) -> Any:
    """A dense part of memory."""
    w = Window(m, spec)
    w.offset = offset * spec.dtype.itemsize
    return w


def elsewhere(e: Engine, s: Storage) -> bool:
    """Is the storage's value pending in another thread's recorder?"""
    other = RECORDERS.get(int(s.epoch))
    return other is not None and other is not e


# ---------------------------------------------------------------- results
CONSTANT: Final = 0
BIRTH: Final = 1
ARGUMENT: Final = 2
KEPT_HANDLE: Final = 3
NUMBER: Final = 4  # one element as a Python number
TUPLE: Final = 5
LIST: Final = 6
DICT: Final = 7


class Result:
    """How to make what the step returns."""

    __slots__ = ("code", "index", "items", "kind", "names", "source", "value")

    def __init__(self, kind: i64, value: Any, index: int = 0) -> None:
        self.kind: i64 = kind
        self.value: Any = value
        self.index: int = index
        self.source: Source | None = None
        self.code: int = 0  # of the dtype
        self.items: list[Result] = []
        self.names: list[Any] = []

    def build(
        self, c: Captured, made: list[Any], given: list[Tensor], births: list[Tensor]
    ) -> object:
        """The object to return."""
        kind = self.kind
        if kind == BIRTH:
            return births[self.index]
        if kind == CONSTANT:
            return self.value
        if kind == NUMBER:
            src = self.source
            assert src is not None
            if not READERS:
                READERS.extend(native_readers())
            return READERS[self.code](address_of(c.memory(src, made, given)))
        if kind == ARGUMENT:
            return given[self.index]
        if kind == KEPT_HANDLE:
            return c.handles[self.index]
        out: list[Any] = [q.build(c, made, given, births) for q in self.items]
        if kind == TUPLE:
            return tuple(out)
        if kind == LIST:
            return out
        return dict(zip(self.names, out))


def replay(steps: list[Captured], args: tuple[Any, ...], words: dict[str, Any]) -> object:
    """The result of the first captured step that may be replayed now, else MISS."""
    n = len(steps)
    for i in range(n):
        c = steps[i]
        given = c.ready(args, words)
        if given is not None:
            out = c.replay(given)
            if out is not MISS:
                if i > 0:
                    steps[i] = steps[i - 1]
                    steps[i - 1] = c
                return out
    return MISS
