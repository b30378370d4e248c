"""Records of gradient programs: pieces in the current stretch, templates of older ones at its
end."""

from __future__ import annotations

from typing import Any, Final

from ..base.errors import AGAIN
from ..base.shape import contiguous_strides, is_dense
from ..graph.op import TABLE, Spec
from .core import Engine, Frame, Hist, Tensor
from .record import apply
from .records import BACKWARD, MANY, NONE, TEMPLATE, Rec, follower
from .specs import sized
from .tape import Tape, Template, flows, home, leading
from .trie import ENTER, LEAF, adopt, get_tape

COPY: Final = TABLE["copy"]
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
    finish(r, tp, leaving, kept)
    install(e, r, 0)
    return r


def finish(r: Rec, tp: Tape, grads: list[tuple[int, int]], kept: list[tuple[int, int]]) -> None:
    """Each gradient that leaves gets a record of its own, laid out as the user may see it."""
    own: set[int] = set()

    def leave(g: int, strides: Any) -> Rec:
        spec = tp.recs[g].spec
        if spec.strides != strides or spec.offset:
            g = tp.make(RELAYOUT, [g], strides)
        elif g < tp.base or g in own or tp.recs[g].row.kind in ("move", "alias"):
            g = tp.make(COPY, [g], None)
        own.add(g)
        return tp.recs[g]

    entries = {int(n.gidx): n for n in tp.recs if (n.op == LEAF or n.op == ENTER) and n.rg}
    r.grads = []
    for k, g in grads:
        r.grads.append((k, leave(g, layout(entries[k]))))
    caught: list[tuple[int, Rec]] = []
    for s, g in kept:
        caught.append((s, leave(g, layout(tp.recs[s]))))
    r.info = caught
    r.subs = tp.new
    r.end = r.slot + len(tp.new)


def layout(r: Rec) -> Any:
    """The strides of a gradient that is asked for: its tensor's own unless they have gaps or
    overlap."""
    spec: Spec = r.spec
    dense = is_dense(spec.shape, spec.strides)
    return spec.strides if dense else contiguous_strides(spec.shape)


def install(e: Engine, r: Rec, numbers: int) -> None:
    """Enter a gradient program in the trie."""
    tape = e.tape
    n = e.cur.nlive
    caught: list[tuple[int, Rec]] = r.info
    count = 0
    for group in (r.grads, r.pend, caught):
        for _, g in group:
            g.li = n
            n += 1
            count += 1
    adopt(e, r, count, numbers, tape + r.subs)


def handles(e: Engine, r: Rec) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Handles of the gradients that leave a piece: for entries, for pending seeds, for what was
    asked."""
    out: list[list[Tensor]] = []
    caught: list[tuple[int, Rec]] = r.info
    for group in (r.grads, r.pend, caught):
        hs: list[Tensor] = []
        for _, g in group:
            h = Tensor(g, e.epoch)
            e.live.append(h)
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
        again = copied(tp, v, [to[s] for s in v.srcs])
        tp.recs[again].region = v.region  # a view still: what it reads is kept, not its gaps
        tp.recs[again].dense = v.dense
        to[int(v.slot)] = again
    for j in range(ns):
        to[bt.n0 + j] = srcs[j]
    at = {n: ~(len(e.numbers) + j) for j, n in enumerate(bt.numbers)}
    for n in bt.recs:
        to[int(n.slot)] = copied(tp, n, [to[s] if s >= 0 else at[~s] for s in n.srcs])
    # an entry's layout is that of the old stretch's record
    own: set[int] = set()

    def leave(g: int, strides: Any) -> Rec:
        g = to[g]
        spec = tp.recs[g].spec
        if strides is not None and (spec.strides != strides or spec.offset):
            g = tp.make(RELAYOUT, [g], strides)
        elif g < tp.base or g in own or tp.recs[g].row.kind in ("move", "alias"):
            g = tp.make(COPY, [g], None)
        own.add(g)
        return tp.recs[g]

    entries = {int(n.gidx): n for n in old if (n.op == LEAF or n.op == ENTER) and n.rg}
    r.grads = []
    r.pend = []
    for gi, s in bt.grads:
        r.grads.append((gi, leave(s, layout(entries[gi]))))
    for i, s in bt.pend:
        r.pend.append((i, leave(s, None)))
    r.info = [(i, leave(s, layout(old[i]))) for i, s in bt.caps]
    r.subs = tp.new
    r.end = r.slot + len(tp.new)
    install(e, r, len(bt.numbers))
    return r


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
