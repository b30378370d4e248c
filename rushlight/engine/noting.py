"""Watching a step run, and making what can be replayed out of it.

`Noting` keeps what every stretch of the run read, wrote and left.  A first watched run says which
tensors live on; in a second one each stretch gets a plan for just those, and `build` works out
where the memory of every leaf comes from.  `Refused` says why a step cannot be replayed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ..base.errors import CompileError
from ..graph.op import Spec
from ..runtime.native import live_helpers
from .capture import (
    ANY,
    AS_IT_WAS,
    BIRTH,
    GIVEN,
    KEPT,
    MADE,
    NONE_LEFT,
    NUMBER,
    Birth,
    Captured,
    Family,
    Home,
    Piece,
    Result,
    Source,
    Write,
)
from .core import Engine, Fam, Hist, Tensor
from .execute import NativePlan
from .handles import loose_key
from .plan import FlushInfo, assemble, plan_flush
from .records import FLUSH, NONE, STEP, Rec, Storage, enter, follower
from .trie import LEAF

CAPTURED: Final = "captured"  # the key of a stretch's FLUSH record for replays


class Refused(Exception):
    """Why a step cannot be replayed."""


class Note:
    """One stretch of a watched run, as it was when its values had just been computed."""

    def __init__(self, e: Engine, r: Rec, outs: list[Any]) -> None:
        self.cur: Rec = e.cur
        self.info: FlushInfo = r.info
        self.own: Rec | None = None  # the FLUSH record for replays
        self.outs: list[Any] = list(outs)  # the plan's own list is its next run's as well
        self.live: list[Tensor] = e.live
        self.lvals: list[Any] = e.lvals
        self.gleaves: list[Hist] = e.gleaves
        self.sts: list[Storage] = list(e.sts)
        self.numbers: list[Any] = list(e.numbers)
        self.written: list[Fam] = [f for f in e.fams if f.hep == e.epoch and f.rec.rg]
        self.leaves: list[int] = [int(q.slot) for q in self.info.recs if q.op == LEAF]
        self.entered: dict[int, Storage] = {}  # by the slot of the leaf it entered as
        self.parts: dict[int, tuple[Storage, Spec]] = {}  # of views that entered by themselves
        for t in e.uses:
            s = t.st
            if s is None:
                continue
            if s.epoch == e.epoch and s.leaf != NONE:
                self.entered[int(s.leaf)] = s
            if t.rec.region is not None and t.rec.dense:
                self.parts[int(t.slot)] = (s, t.rec.spec)


class Noting:
    """Watches one run; ``masks``: for each stretch the handles that lived on last time."""

    def __init__(
        self, e: Engine, masks: list[bytes] | None, spot: Callable[[], Any] | None = None
    ) -> None:
        self.e: Engine = e
        self.spot: Callable[[], Any] | None = spot
        self.spots: list[Any] = []  # where in the user's code each read stood
        self.masks: list[bytes] | None = masks
        self.notes: list[Note] = []
        self.reads: list[Tensor] = []
        self.first: int = e.nflush
        self.reason: str = ""

    def flushed(self, e: Engine, r: Rec, outs: list[Any]) -> None:
        """Stretch ``r`` was run and gave ``outs``; nothing has been handed out yet."""
        if self.reason:
            return
        if e.hooks:
            self.reason = "a hook on a gradient runs in it"
        elif e.calls:
            self.reason = "a custom autograd function runs in it"
        elif e.dirty or e.nflush != self.first + len(self.notes):
            self.reason = "an exception went through the recorder"
        elif any(m is None for m in outs):
            self.reason = "an operation failed"
        else:
            note = Note(e, r, outs)
            if self.masks is not None:
                k = len(self.notes)
                if k >= len(self.masks) or len(self.masks[k]) != len(e.live):
                    self.reason = AGAIN
                    return
                note.own = own_record(e, self.masks[k])
            self.notes.append(note)

    def read(self, t: Tensor) -> None:
        """The value of ``t`` is looked at."""
        self.reads.append(t)
        if self.spot is not None:
            self.spots.append(self.spot())

    def survivors(self, results: list[Tensor]) -> list[bytes]:
        """For each stretch the handles that live on, or whose value a later stretch, a read or one
        of the results asks for.  To be called when the run is over."""
        later: set[int] = set()
        for t in results + self.reads:
            if t.st is not None:
                later.add(id(t.st))
        out: list[bytes] = []
        for note in reversed(self.notes):
            mask = bytearray(live_helpers().livemask(note.live))
            for i, t in enumerate(note.live):
                s = t.st
                if s is not None and id(s) in later:
                    mask[i] = 1
            out.append(bytes(mask))
            for s in (*note.sts, *note.entered.values()):
                later.add(id(s))
            for s, _ in note.parts.values():
                later.add(id(s))
        out.reverse()
        return out

    def forget(self) -> None:
        """Keep the path only: what was computed must not be kept alive until the next run."""
        self.reads = []
        for note in self.notes:
            note.outs = []
            note.live = []
            note.lvals = []
            note.gleaves = []
            note.sts = []
            note.written = []
            note.entered = {}
            note.parts = {}

    def same(self, other: Noting) -> bool:
        """Did two runs go along the same path?"""
        if len(self.notes) != len(other.notes):
            return False
        return all(a.cur is b.cur for a, b in zip(self.notes, other.notes))


AGAIN: Final = "it does not do the same every time"


def own_record(e: Engine, mask: bytes) -> Rec:
    """The FLUSH record of the current stretch that computes what lives on, for replays."""
    cur = e.cur
    key = (CAPTURED, mask)
    r = follower(cur, key)
    if r is None:
        r = Rec(FLUSH, NONE, NONE, NONE, None, cur.end, cur)
        r.mask = mask
        info = plan_flush(e, cur, mask)
        info.follows = False
        assemble(info, info.numbers, info.outputs, [])
        r.info = info
        r.arg = info.leaves
        info.leaves = tuple(range(len(info.leaves)))  # a replay hands over only what is read
        enter(cur, key, r)
        e.nrec += 1
    return r


class Outside:
    """What is known of the world around a step: tensors that exist, gradients, the optimisers'
    steps."""

    def __init__(self, given: list[Tensor], handles: list[Tensor]) -> None:
        self.given: list[Tensor] = given
        self.handles: list[Tensor] = []
        seen: set[int] = set()
        for t in handles:
            if id(t) not in seen:
                seen.add(id(t))
                self.handles.append(t)
        self.hists: list[Hist] = []
        self.before: list[Tensor | None] = []
        for t in list(self.handles):
            f = t.fam
            h = f.hist if f is not None else None
            if h is not None and h.frame is None and all(h is not q for q in self.hists):
                self.hists.append(h)
                self.before.append(h.grad)
        for g in self.before:
            if g is not None and id(g) not in seen:
                seen.add(id(g))
                self.handles.append(g)
        self.versions: dict[int, int] = {}
        for t in self.given + self.handles:
            if t.st is not None:
                self.versions[id(t.st)] = int(t.st.ver)


class Builder:
    """Works out a `Captured` from a watched run."""

    def __init__(self, c: Captured, notes: list[Note], world: Outside) -> None:
        self.c: Captured = c
        self.notes: list[Note] = notes
        self.world: Outside = world
        self.places: list[dict[int, Source]] = []  # for each stretch, by slot
        self.first: list[int] = []  # where each stretch's outputs begin among all that are made
        self.now: dict[int, Source] = {}  # id of a storage -> what it holds now
        self.computed: dict[int, tuple[int, int]] = {}  # id of memory -> (stretch, slot)
        self.known: dict[int, Source] = {}  # id of a storage that was there -> its memory
        self.owners: dict[int, list[int]] = {}  # the arguments on a storage
        self.touched: set[int] = set()  # storages that were there and are written
        self.births: dict[int, int] = {}  # id of a handle -> its index
        self.stores: dict[int, int] = {}
        self.families: dict[int, int] = {}

    def enter(self) -> None:
        """Where the memory of everything that was there is found."""
        c = self.c
        for t in self.world.handles:
            s = t.st
            if s is None:
                raise Refused("a tensor that it uses has no value")
            f = t.fam
            if f is not None and f.root is not None and f.hist is not None:
                raise Refused("a leaf that wants a gradient is a view")
            c.handles.append(t)
            c.hists.append(f.hist if f is not None else None)
            self.known.setdefault(id(s), Source(KEPT, len(c.sts)))
            c.sts.append(s)
        for i, t in enumerate(self.world.given):
            s = t.st
            if s is None:
                raise Refused("an argument has no value")
            if id(s) not in self.owners and id(s) in self.known:
                raise Refused("an argument shares memory with a tensor that it finds by itself")
            first = [q is t for q in self.world.given].index(True)
            self.known[id(s)] = Source(GIVEN, first)
            if first == i:
                self.owners.setdefault(id(s), []).append(i)

    def source(self, j: int, k: int) -> Source:
        """Where the memory of stretch ``j``'s ``k``-th leaf comes from."""
        note = self.notes[j]
        slot = note.leaves[k]
        s = note.entered.get(slot)
        if s is not None:
            return self.whole(s)
        part = note.parts.get(slot)
        if part is not None:
            return self.part(part[0], part[1])
        made = self.computed.get(id(note.lvals[k]))
        if made is not None:
            return self.place(made[0], made[1])
        raise Refused("a tensor is made in it from data of Python or NumPy")

    def part(self, s: Storage, spec: Spec) -> Source:
        """Where a dense part of a storage comes from."""
        owners = self.owners.get(id(s), [])
        for i in owners:
            q = self.world.given[i].rec
            same = loose_key(q.spec, False) is loose_key(spec, False)
            if same and q.region is not None and q.spec.offset == spec.offset:
                return Source(GIVEN, i, spec)
        base = self.whole(s)
        if base.spec is not None:
            raise Refused("it uses a part of a part of a tensor")
        if base.kind != GIVEN:
            return Source(int(base.kind), int(base.at), spec)
        q = self.world.given[base.at].rec
        return Source(GIVEN, int(base.at), spec, spec.offset - (q.spec.offset if q.region else 0))

    def whole(self, s: Storage) -> Source:
        """Where the memory of a storage comes from now."""
        if len(self.owners.get(id(s), [])) > 1:
            raise Refused("two arguments share memory")
        src = self.now.get(id(s))
        if src is None:
            src = self.known.get(id(s))
        if src is None:
            raise Refused(
                "it uses a tensor that it makes from data of Python or NumPy, or finds unseen"
            )
        return src

    def place(self, j: int, slot: int) -> Source:
        """Where the value at ``slot`` of stretch ``j`` lies."""
        src = self.places[j].get(slot)
        if src is None:
            raise Refused("a value of an earlier part of the step is not kept")
        return src

    def find_places(self, j: int, info: FlushInfo) -> None:
        """Where the values of stretch ``j`` lie: worked out before what it leaves counts, for what
        it read is what stood in memory then."""
        places: dict[int, Source] = {}
        self.places.append(places)
        for slot, at in info.at.items():
            places[slot] = Source(MADE, self.first[j] + at) if at >= 0 else self.source(j, ~at)

    def lasting(self, src: Source) -> Source:
        """The source of memory that outlives the step: NumPy's must not be."""
        if src.kind != MADE:
            self.c.fixed = True
        return src

    def stretch(self, j: int) -> None:
        """The piece of one stretch, and what it leaves where."""
        note = self.notes[j]
        own = note.own
        assert own is not None
        p = Piece(own)
        info = p.info
        made = sum([len(q.info.outputs) for q in self.c.pieces])
        self.first.append(made)
        if info.outputs:
            if info.code is None:
                try:
                    info.code = NativePlan(info, info.program)
                except (CompileError, NotImplementedError) as error:
                    raise Refused(f"it cannot be compiled: {error}") from None
            p.plan = info.code
        wanted: tuple[int, ...] = own.arg
        for k in wanted:
            p.leaves.append(self.source(j, k))
        self.find_places(j, info)
        p.consts = list(note.numbers)
        p.numbers = p.consts
        p.freed = info.freed
        for f in note.written:
            for t in self.world.handles + self.world.given:
                if t.fam is f:
                    raise Refused("a tensor that was there before gets a history")
        # what stands in memory after it
        for slot, at in note.info.at.items():
            if slot in info.at:
                m = note.outs[at] if at >= 0 else note.lvals[~at]
                self.computed.setdefault(id(m), (j, slot))
        after: list[tuple[Storage, Source]] = []
        for i, slot in info.plain:
            s = note.live[i].st
            if s is not None:
                after.append((s, self.place(j, slot)))
        for k, slot in info.stores:
            after.append((note.sts[k], self.place(j, slot)))
        for s, src in after:
            self.now[id(s)] = src
            if id(s) in self.known:
                self.touched.add(id(s))
        self.c.pieces.append(p)

    def write(self) -> None:
        """Which storages that were there get new values."""
        c = self.c
        for key in self.touched:
            k = self.known[key]
            s = c.owner(k.kind, k.at, self.world.given)
            count = int(s.ver) - self.world.versions[key]
            if k.kind == GIVEN and self.world.given[k.at].rec.region is not None:
                raise Refused("it writes into an argument that is a view")
            c.writes.append(Write(k.kind, k.at, self.lasting(self.now[key]), count))
        for key, had in self.world.versions.items():
            k = self.known[key]
            s = c.owner(k.kind, k.at, self.world.given)
            if key not in self.touched and s.ver != had:
                raise Refused("a write to a tensor could not be followed")

    def step_of(self, h: Hist | None) -> tuple[int, int]:
        """The stretch and slot that a history leads to; -1 for none."""
        if h is None or h.frame is None:
            return -1, 0
        for j, note in enumerate(self.notes):
            if note.gleaves is h.frame.gleaves:
                self.frame(j)
                return j, h.slot
        raise Refused("a history from before the step goes on in it")

    def frame(self, j: int) -> None:
        """Stretch ``j`` leaves a history that something lives on in."""
        p = self.c.pieces[j]
        if p.framed:
            return
        p.framed = True
        for slot, _ in p.info.saved_at:
            p.saved.append((slot, self.lasting(self.place(j, slot))))
        for h in self.notes[j].gleaves:
            if h.frame is None:
                if all(h is not q for q in self.world.hists):
                    raise Refused("a tensor made in it wants a gradient")
                p.entries.append((h, -1, 0))
            else:
                k, slot = self.step_of(h)
                p.entries.append((None, k, slot))

    def birth(self, t: Tensor) -> int:
        """The index of a handle that lives on."""
        known = self.births.get(id(t))
        if known is not None:
            return known
        c = self.c
        s = t.st
        if s is None or id(s) in self.known:
            raise Refused("it gives back a new view of a tensor that was there before")
        at = self.stores.get(id(s))
        if at is None:
            at = len(c.storages)
            self.stores[id(s)] = at
            c.storages.append(Home(self.lasting(self.whole(s)), s.spec))
        fam = -1
        f = t.fam
        if f is not None:
            have = self.families.get(id(f))
            if have is None:
                if f.root is not None:
                    raise Refused("it gives back a leaf that is a view")
                piece, slot = self.step_of(f.hist)
                if f.hist is not None and piece < 0:
                    raise Refused("it gives back a new leaf")
                have = len(c.families)
                self.families[id(f)] = have
                c.families.append(Family(at, f.rec, piece, slot))
            fam = have
        k = len(c.births)
        self.births[id(t)] = k
        c.births.append(Birth(t.rec, at, fam))
        return k

    def gradients(self) -> None:
        """What happens to the gradients of leaves."""
        c = self.c
        for h, had in zip(self.world.hists, self.world.before):
            g = h.grad
            c.leaves.append(h)
            if g is had:
                c.before.append(had)
                c.after.append(AS_IT_WAS)
            else:
                c.before.append(None if had is None else ANY)
                c.after.append(NONE_LEFT if g is None else self.birth(g))

    def number(self, t: Tensor) -> Result:
        """The one element of ``t`` as a Python number."""
        s = t.st
        spec = t.rec.spec
        if s is None or t.rec.region is not None:
            raise Refused("it reads a value in its middle")
        out = Result(NUMBER, None)
        out.source = self.whole(s)
        out.code = int(spec.dtype.code)
        return out

    def accounted(self, masks: list[bytes], reads: list[Tensor]) -> None:
        """Every handle that lives on has to be a gradient or a part of the result."""
        asked = {id(t) for t in reads}
        for note, mask in zip(self.notes, masks):
            held = live_helpers().livemask(note.live)
            for i, t in enumerate(note.live):
                if held[i] and mask[i] and id(t) not in self.births and id(t) not in asked:
                    raise Refused("something outside keeps a tensor that is made in it")

    def handle(self, t: Tensor) -> Result:
        """A tensor that is part of the result."""
        return Result(BIRTH, None, self.birth(t))


def steps_of(notes: list[Note]) -> list[int]:
    """The stretches that end in an optimiser's step."""
    return [j for j, note in enumerate(notes) if note.cur.op == STEP]
