"""Records of gradient programs: pieces in the current stretch, templates of older ones at its
end."""

from __future__ import annotations

from typing import Any, Final

from ..base.errors import AGAIN
from ..graph.op import ALIAS, MOVE, TABLE, Spec
from .core import Engine, Frame, Hist, Tensor
from .record import apply
from .records import BACKWARD, MANY, NONE, TEMPLATE, Rec, follower
from .specs import inferred, sized
from .tape import Tape, Template, flows, home, leading, packed
from .trie import ENTER, LEAF, adopt, get_tape

COPY: Final = TABLE["copy"]
DETACH: Final = TABLE["detach"]
RELAYOUT: Final = TABLE["relayout"]
ADD: Final = TABLE["add"]


class Wanted:
    """What `autograd.grad` asks for: gradients at leaves, at slots of the current stretch, at slots
    of frames."""

    def __init__(self) -> None:
        self.leaves: dict[int, Tensor | None] = {}  # id of the Hist -> gradient
        self.slots: dict[int, Tensor | None] = {}
        self.frames: dict[tuple[int, int], Tensor | None] = {}
        self.known: dict[int, Any] = {}  # frame -> its slots that lead to what is asked for

    def leads(self, h: Hist) -> bool:
        """Can what is asked for be reached through an entry of history?"""
        if id(h) in self.leaves:
            return True
        f = h.frame
        return f is not None and home(f.rec.info.recs, h.slot) in self.known[f.serial]

    def entries(self, gleaves: list[Hist]) -> tuple[int, ...]:
        """The entries of a stretch that lead to what is asked for: exactly those, wherever
        stretches were cut, since what is walked is also released."""
        found: dict[int, Frame] = {}
        todo = list(gleaves)
        while todo:
            f = todo.pop().frame
            if f is not None and f.serial not in self.known and f.serial not in found:
                found[f.serial] = f
                todo.extend(f.gleaves)
        for k in sorted(found):  # the older first
            old = found[k]
            caps = tuple(sorted([s for n, s in self.frames if n == k]))
            self.known[k] = frame_leading(old, caps, self.through(old.gleaves))
        return self.through(gleaves)

    def through(self, gleaves: list[Hist]) -> tuple[int, ...]:
        return tuple([k for k in range(len(gleaves)) if self.leads(gleaves[k])])

    def keep(self, where: dict[Any, Tensor | None], key: Any, g: Tensor) -> None:
        have = where[key]
        where[key] = g if have is None else apply(ADD, (have, g), None)


def frame_leading(f: Frame, caps: tuple[int, ...], entries: tuple[int, ...]) -> Any:
    """The slots of a flushed stretch that lead to some of its slots or entries."""
    known = f.rec.templates
    if known is None:
        known = {}
        f.rec.templates = known
    k = (caps, entries)
    found = known.get(k)
    if found is None:
        found = leading(f.rec.info.recs, caps, entries)
        known[k] = found
    return found


def path_freed(r: Rec | None) -> int:
    """The nodes whose saved values backwards on the way here released."""
    while r is not None:
        if r.op == BACKWARD:
            return r.freed
        r = r.parent
    return 0


# ---------------------------------------------------------------- one piece in the current stretch
def piece_record(
    e: Engine,
    a: int,
    flags: int,
    key: Any,
    seeds: list[tuple[int, int]],
    caps: tuple[int, ...],
    only: tuple[int, ...] | None,
    inner: tuple[int, ...],
) -> Rec:
    """The record of a gradient program in the current stretch, from ``seeds`` (slot, slot of
    gradient; -1: ones)."""
    cur = e.cur
    k = (BACKWARD, a, flags, NONE if a != NONE else MANY, key)
    q = follower(cur, k)
    if q is not None:
        cur.nxt = q
        return q
    retain = (flags & 1) != 0
    create = (flags & 2) != 0
    tape = get_tape(e)
    tp = Tape(tape, e.numbers, create)
    if only is not None:
        tp.leads = leading(tape, caps, only)
    for s, g in seeds:
        tp.seed(s, g if g >= 0 else tp.ones(tape[s].spec))
        tp.given.add(g)
    vis = tp.walk(max(tp.g), -1)
    freed = path_freed(cur)
    if freed & vis:
        raise RuntimeError(AGAIN)
    r = Rec(BACKWARD, a, flags, NONE if a != NONE else MANY, key, cur.end, cur)
    r.freed = freed if retain else freed | vis
    leaving: list[tuple[int, int]] = []
    kept: list[tuple[int, int]] = []
    for i in sorted(tp.g):
        n = tp.recs[i]
        if (n.op == LEAF or n.op == ENTER) and n.rg:
            leaving.append((int(n.gidx), tp.g[i]))
    for c in caps:
        i = home(tape, c)
        if i in tp.g:
            kept.append((c, tp.g[i]))
    given = tuple([g for _, g in seeds if g >= 0])
    r.grads, r.info = Leaving(tp, given, None if only is None else {}).all(
        tape, leaving, kept, inner
    )
    r.subs = tp.new
    r.end = r.slot + len(tp.new)
    install(e, r, 0)
    return r


class Leaving:
    """The records of the gradients that leave a gradient program.

    What the user may see gets a record of its own, laid out as its tensor.  What goes on to an
    older stretch is, where it is differentiated again, the same record whoever takes it: what comes
    back to it is then summed one by one, as it is where no stretch ended.
    """

    def __init__(self, tp: Tape, seeds: tuple[int, ...], natural: dict[int, Spec] | None) -> None:
        self.tp: Tape = tp
        # What `autograd.grad` returns is laid out as the rules have it, wherever stretches end:
        # the specs of slots where none does, where they are others.  None: of a `.grad`.
        self.natural: dict[int, Spec] | None = natural
        self.own: set[int] = set(seeds)  # slots of records that have left; seeds are others'
        self.by: dict[int, Rec] = {s: tp.recs[s] for s in seeds}  # gradient -> its record

    def seen(self, g: int, strides: Any) -> Rec:
        """The gradient ``g`` for the user."""
        tp = self.tp
        first = g
        spec: Spec = tp.recs[g].spec
        whole = self.whole(g)
        if whole is not None:
            strides = whole.laid_alike()
        if spec.strides != strides or spec.offset:
            g = tp.make(RELAYOUT, [g], strides)
        elif g < tp.base or g in self.own or tp.recs[g].row.kind in (MOVE, ALIAS):
            g = tp.make(COPY, [g], None)
        self.own.add(g)
        r = tp.recs[g]
        if whole is not None and whole.strides != r.spec.strides:
            r.natural = whole
        if first not in self.by:
            self.by[first] = r
        return r

    def whole(self, g: int) -> Spec | None:
        """The spec of ``g`` where no stretch ends."""
        natural = self.natural
        if natural is None:
            return None
        found = natural.get(g)
        if found is not None:
            return found
        spec: Spec = self.tp.recs[g].spec
        return spec

    def passed(self, g: int) -> Rec:
        """The gradient ``g`` for an older stretch."""
        r = self.by.get(g)
        if r is None:
            r = self.tp.recs[g]
            whole = self.whole(g)
            if whole is not None and r.spec.strides != whole.laid_alike():
                r = self.tp.recs[self.tp.make(RELAYOUT, [g], whole.laid_alike())]
            elif g < self.tp.base or r.row.kind in (MOVE, ALIAS):
                r = self.tp.recs[self.tp.make(COPY, [g], None)]
            if whole is not None and whole.strides != r.spec.strides:
                r.natural = whole
            self.own.add(int(r.slot))
            self.by[g] = r
        return r

    def all(
        self,
        recs: list[Rec],
        grads: list[tuple[int, int]],
        caps: list[tuple[int, int]],
        inner: tuple[int, ...],
    ) -> tuple[list[tuple[int, Rec]], list[tuple[int, Rec]]]:
        """The gradients of the entries of history of ``recs``, of which ``inner`` go on to older
        stretches, and those asked for."""
        at = {int(n.gidx): n for n in recs if (n.op == LEAF or n.op == ENTER) and n.rg}
        out = {k: self.seen(g, at[k].spec.dense()) for k, g in grads if k not in inner}
        caught = [(s, self.seen(g, recs[s].spec.dense())) for s, g in caps]
        for k, g in grads:
            if k in inner:
                out[k] = self.passed(g)
        return [(k, out[k]) for k, _ in grads], caught


def inner_entries(leaves: list[Hist]) -> tuple[int, ...]:
    """The entries of history that older stretches go on from."""
    return tuple([k for k in range(len(leaves)) if leaves[k].frame is not None])


def install(e: Engine, r: Rec, numbers: int) -> None:
    """Enter a gradient program in the trie."""
    tape = e.tape
    n = e.cur.nlive
    caught: list[tuple[int, Rec]] = r.info
    leaving: set[int] = set()
    for group in (r.grads, r.pend, caught):
        for _, g in group:
            if g.slot >= r.slot and g.slot not in leaving:
                leaving.add(int(g.slot))
                g.li = n
                n += 1
    adopt(e, r, len(leaving), numbers, tape + r.subs)


def handles(
    e: Engine, r: Rec, seeds: dict[int, Tensor]
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Handles of the gradients that leave a piece: for entries, for pending seeds, for what was
    asked; one for each record.  ``seeds``: those of the gradients that came, by slot."""
    out: list[list[Tensor]] = []
    made = dict(seeds)
    caught: list[tuple[int, Rec]] = r.info
    for group in (r.grads, r.pend, caught):
        hs: list[Tensor] = []
        for _, g in group:
            h = made.get(int(g.slot))
            if h is None:
                h = Tensor(g, e.epoch)
                e.live.append(h)
                made[int(g.slot)] = h
            hs.append(h)
        out.append(hs)
    return out[0], out[1], out[2]


def template_record(
    e: Engine,
    bt: Template,
    srcs: list[int],
    order: tuple[int, ...],
    key: Any,
    old: list[Rec],
    create: bool,
) -> Rec:
    """A template's records at the end of the current stretch, reading ``srcs``."""
    cur = e.cur
    k = (TEMPLATE, NONE, NONE, NONE, key)
    q = follower(cur, k)
    if q is not None:
        cur.nxt = q
        return q
    tape = get_tape(e)
    r = Rec(TEMPLATE, NONE, NONE, NONE, key, cur.end, cur)
    tp = Tape(tape, e.numbers, create)
    ns = len(order)
    to: dict[int, int] = {}
    for j, s in enumerate(bt.need):
        to[s] = srcs[ns + j]
    for v in bt.views:
        if int(v.slot) in to:  # it entered as itself
            continue
        shown = to[v.srcs[0]]
        again = copied(tp, v, [shown]) if v.row.kind == MOVE else tp.make(DETACH, [shown], None)
        tp.recs[again].rg = False  # no gradient flows through it, or it had entered
        tp.recs[again].region = v.region  # a view still: what it reads is kept, not its gaps
        tp.recs[again].dense = v.dense
        to[int(v.slot)] = again
    natural: dict[int, Spec] = {}
    for j in range(ns):
        to[bt.n0 + j] = srcs[j]
        if bt.seeds[j].strides != tp.recs[srcs[j]].spec.strides:
            natural[srcs[j]] = bt.seeds[j]
    at = {n: ~(len(e.numbers) + j) for j, n in enumerate(bt.numbers)}
    for n in bt.recs:
        again = copied(tp, n, [to[s] if s >= 0 else at[~s] for s in n.srcs])
        to[int(n.slot)] = again
        if natural:
            moved(tp, tp.recs[again], natural)
    # an entry's layout is that of the old stretch's record
    out = Leaving(tp, tuple(srcs[:ns]), natural if bt.natural else None)
    r.grads, r.info = out.all(
        old, [(k, to[g]) for k, g in bt.grads], [(i, to[g]) for i, g in bt.caps], bt.inner
    )
    r.pend = [(i, out.passed(to[g])) for i, g in bt.pend]
    r.subs = tp.new
    r.end = r.slot + len(tp.new)
    install(e, r, len(bt.numbers))
    return r


def moved(tp: Tape, m: Rec, natural: dict[int, Spec]) -> None:
    """Another reading of a seed that lies otherwise than where no stretch ends lies so too."""
    if m.row.kind not in (MOVE, ALIAS) or m.row is RELAYOUT or m.srcs[0] not in natural:
        return
    natural[int(m.slot)] = m.spec
    m.spec = packed(inferred(m.row, [tp.spec(s) for s in m.srcs], m.arg, False))
    m.size = sized(m.spec)


def copied(tp: Tape, n: Rec, srcs: list[int]) -> int:
    """A record again, on other operands (same shapes and types)."""
    m = Rec(n.op, NONE, NONE, NONE, n.key, len(tp.recs), None)
    m.row = n.row
    m.arg = n.arg
    m.srcs = tuple(srcs)
    m.spec = n.spec
    m.size = sized(n.spec)
    if tp.create and n.spec.dtype.rank > 1:
        m.rg = flows(tp.recs, n.row, m.srcs)
    tp.recs.append(m)
    tp.new.append(m)
    return int(m.slot)
