"""`backward` and `autograd.grad`: one record when nothing calls into Python, pieces between calls
when something does.

Seeds (slot -> gradient) go down through the current stretch, then through older ones (frames),
youngest first.
A hook or a custom function is a stop: the gradient program ends above it, Python runs, a new piece
goes on.
"""

from __future__ import annotations

from typing import Any, Final

from mypy_extensions import i64

from ..base.errors import AGAIN
from ..base.shape import numel
from ..graph.op import TABLE, Spec
from .core import SLOW, Engine, Frame, Hist, Tensor, follow, mine, peek
from .descent import BEGIN, LEAVE, RELEASE, Packed, Seeds, descend, release, run_hooks
from .handles import at_root, find, loose_key, needs_grad, origin
from .pieces import Wanted, handles, inner_entries, piece_record, template_record
from .record import apply, full
from .records import BACKWARD, NONE, TEMPLATE, Rec
from .specs import inferred, interned
from .stretch import undisturbed
from .sums import Scattered, plus, summed
from .tape import Template, home, kept, make_template
from .trie import ENTER, GRAFT, LEAF, REREAD, get_tape
from .turns import apart

ADD: Final = TABLE["add"]
RELAYOUT: Final = TABLE["relayout"]
Older = dict[int, tuple[Frame, Seeds]]


# ---------------------------------------------------------------- where gradients go
class Run:
    """One call of backward: its flags, what goes to older stretches, what leaves get."""

    def __init__(self, e: Engine, retain: bool, create: bool, wanted: Wanted | None) -> None:
        self.e: Engine = e
        self.retain: bool = retain
        self.create: bool = create
        self.flags: int = (1 if retain else 0) | (2 if create else 0)
        self.wanted: Wanted | None = wanted
        self.older: Older = {}
        self.leaves: list[tuple[Hist, Tensor]] = []
        # Gradients that would have other strides if no stretch ended, and their specs then.
        self.natural: dict[int, tuple[Tensor, Spec]] = {}
        self.given: list[Hist] = []  # every entry of history that a gradient went to

    def left(self, hs: list[Tensor]) -> None:
        """Gradients left a piece."""
        for h in hs:
            if h.rec.natural is not None:
                self.natural[id(h)] = (h, h.rec.natural)

    def spec(self, h: Tensor) -> Spec:
        """The spec of a gradient where no stretch ends."""
        found = self.natural.get(id(h))
        spec: Spec = h.rec.spec if found is None else found[1]
        return spec

    def sum(self, a: Tensor, b: Tensor) -> Tensor:
        """``a + b``."""
        c = apply(ADD, (a, b), None)
        if id(a) in self.natural or id(b) in self.natural:
            spec = inferred(ADD, [self.spec(a), self.spec(b)], None, False)
            if spec.strides != c.rec.spec.strides:
                self.natural[id(c)] = (c, spec)
        return c

    def give(self, grads: list[tuple[int, Rec]], hs: list[Tensor], leaves: list[Hist]) -> None:
        """Hand gradients to where entries came from: leaves, or older stretches."""
        for j, (k, _) in enumerate(grads):
            hist = leaves[k]
            self.given.append(hist)
            h = hs[j]
            fr = hist.frame
            if fr is not None:
                pair = self.older.get(fr.serial)
                if pair is None:
                    pair = (fr, {})
                    self.older[fr.serial] = pair
                seeds = pair[1]
                have = seeds.get(hist.slot)
                seeds[hist.slot] = h if have is None else self.sum(have, h)
                continue
            self.leaf(hist, h)

    def leaf(self, hist: Hist, h: Tensor) -> None:
        """A part of a leaf's gradient."""
        for i in range(len(self.leaves)):
            if self.leaves[i][0] is hist:
                g = self.leaves[i][1]
                dense = not isinstance(g, Scattered) and not isinstance(h, Scattered)
                self.leaves[i] = (hist, self.sum(g, h) if dense else plus(g, h))
                return
        self.leaves.append((hist, h))

    def begun(self, bt: Template, f: Frame) -> Seeds:
        """Running sums of entries that ``bt`` adds to, taken out: by the entries' slots in ``f``'s
        stretch."""
        out: Seeds = {}
        for k, slot in bt.entries.items():
            hist = f.gleaves[k]
            fr = hist.frame
            h: Tensor | None = None
            if fr is None:
                for i in range(len(self.leaves)):
                    have = self.leaves[i]
                    if have[0] is hist:
                        if not isinstance(have[1], Scattered):
                            h = self.leaves.pop(i)[1]
                        break
            else:
                pair = self.older.get(fr.serial)
                if pair is not None:
                    h = pair[1].pop(hist.slot, None)
            if h is not None:
                out[slot] = h
        return out

    def settle(self) -> None:
        """Leaf gradients are complete: hooks see them, then `.grad` takes them."""
        w = self.wanted
        for hist, g in self.leaves:
            if hist.off if w is None else id(hist) not in w.leaves:
                continue
            h = run_hooks(hist.hooks, g) if hist.hooks is not None else g
            if w is not None:
                w.keep(w.leaves, id(hist), laid(h, self.spec(h).laid_alike()))
            else:
                accumulate(self.e, hist, h, self.create)
        self.leaves = []


def accumulate(e: Engine, hist: Hist, h: Tensor, create: bool) -> None:
    """Add a complete gradient to a leaf's ``.grad``, in place unless it is differentiated again."""
    hist.grad = summed(hist.grad, h, create)
    if hist.after is not None:
        accumulate_hooks(hist)


def backward_here(run: Run, seeds: Seeds) -> None:
    """Seeds at slots of the current stretch."""
    e = run.e
    w = run.wanted
    caps = tuple(sorted(w.slots)) if w is not None else ()

    ep = e.epoch
    pairs = [(s, int(find(e, seeds[s]))) for s in sorted(seeds)]
    undisturbed(e, ep)
    only = w.entries(e.gleaves) if w is not None else None
    inner = inner_entries(e.gleaves) if run.create else ()
    key = (tuple(pairs), caps, only, inner)
    r = e.cur.nxt
    if r.op != BACKWARD or r.a != NONE or r.b != run.flags or r.key != key:
        r = piece_record(e, NONE, run.flags, key, pairs, caps, only, inner)
    hs, _, caught = handles(e, r, {g: seeds[s] for s, g in pairs})
    e.cur = r
    run.left(hs)
    if w is not None:
        for j, (s, _) in enumerate(r.info):
            w.keep(w.slots, s, caught[j])
    run.give(r.grads, hs, e.gleaves)


# ---------------------------------------------------------------- older stretches
def backward_frame(run: Run, f: Frame, seeds: Seeds) -> None:
    """Seeds at slots of a flushed stretch."""
    e = run.e
    w = run.wanted
    caps = tuple(sorted(s for k, s in w.frames if k == f.serial)) if w is not None else ()

    info = f.rec.info

    def template(now: Seeds, order: tuple[int, ...], stop: int, only: Any) -> Template:
        specs = tuple([interned(run.spec(now[s])) for s in order])
        inner = inner_entries(f.gleaves) if run.create else ()
        k = (order, specs, run.create, stop, caps, only, inner)
        known = f.rec.templates
        if known is None:
            known = {}
            f.rec.templates = known
        bt: Template | None = known.get(k)
        if bt is None:
            bt = make_template(info.recs, f.numbers, order, specs, run.create, stop, caps, only)
            bt.inner = inner
            known[k] = bt
        return bt

    def piece(now: Seeds, stop: int, what: int) -> Seeds:
        order = tuple(sorted(now))
        only = w.entries(f.gleaves) if w is not None else None
        bt = template(now, order, stop, only)
        # A sum that younger stretches began at an entry of this one is handed in and goes on: the
        # order of
        # additions is that of the walk, wherever stretches were cut.
        begun = run.begun(bt, f) if what & BEGIN else {}
        if begun:
            now = dict(now)
            for s, h in begun.items():
                have = now.get(s)
                now[s] = h if have is None else run.sum(h, have)
            order = tuple(sorted(now))
            bt = template(now, order, stop, only)
        if f.freed & bt.vmask:
            raise RuntimeError(AGAIN)
        held = opened(f, info.recs, bt)
        SLOW[0].bound(e)
        ep = e.epoch
        srcs: list[int] = [int(find(e, now[s])) for s in order]
        undisturbed(e, ep)
        for s in bt.need:  # saved values enter like any other memory
            q: Rec = info.recs[s]
            hist: Hist | None = None
            past = NONE
            if run.create and q.rg:
                n = home(info.recs, s)
                at: Rec = info.recs[n]
                hist = f.gleaves[at.gidx] if at.op == LEAF or at.op == ENTER else Hist(f, n)
                past = entry_of(e, hist)
            rg = hist is not None and past == NONE  # each history enters once
            b = kept(info.recs, s)
            base: Spec = info.recs[b].spec
            own = b == s or q.spec is base
            r = peek(e, LEAF, NONE, NONE, NONE, loose_key(base, rg and own))
            e.lvals.append(f.saved[b] if held is None else held.get(b, f.saved[b]))
            if not own:  # a view whose base was kept
                e.cur = r
                spec: Spec = q.spec
                part = (spec.shape, spec.strides, spec.offset - base.offset)
                r = follow(e, REREAD, r.slot, NONE, NONE, part)
                if rg:
                    r = peek(e, ENTER, r.slot, NONE, NONE, None)
            if hist is not None and rg:
                e.gleaves.append(hist)
            e.cur = r
            if hist is not None and rg:
                e.loose[origin(hist)] = int(r.slot)
            if past != NONE:
                r = follow(e, GRAFT, r.slot, past, NONE, None)
            srcs.append(int(r.slot))
        r = e.cur.nxt
        key = (bt, tuple(srcs))
        if r.op != TEMPLATE or r.key != key:
            r = template_record(e, bt, srcs, order, key, info.recs, run.create)
        for k2 in bt.numbers:
            e.numbers.append(f.numbers[k2])
        hs, pending, caught = handles(e, r, {srcs[j]: now[s] for j, s in enumerate(order)})
        e.cur = r
        run.left(hs)
        run.left(pending)
        if what & RELEASE and not run.retain:
            release(f, bt.vmask)
        if what & LEAVE:
            if w is not None:
                for j, (s, _) in enumerate(r.info):
                    w.keep(w.frames, (f.serial, s), caught[j])
            run.give(r.grads, hs, f.gleaves)
        return {s: pending[j] for j, (s, _) in enumerate(r.pend)}

    descend(run, f, seeds, piece)


def opened(f: Frame, recs: list[Rec], bt: Template) -> dict[int, Any] | None:
    """The saved values a template reads that are in somebody else's keeping, asked for: Python
    runs, so nothing may be in hand."""
    if not f.packed:
        return None
    held: dict[int, Any] = {}
    for s in bt.need:
        b = kept(recs, s)
        v = f.saved[b]
        if isinstance(v, Packed) and b not in held:
            held[b] = apart(v.memory)
    return held


def entry_of(e: Engine, h: Hist) -> int:
    """The slot at which a history entered this stretch, NONE when it did not."""
    o = origin(h)
    slot = e.loose.get(o)
    if slot is not None:
        return slot
    for k in range(len(e.gleaves)):
        if origin(e.gleaves[k]) == o:
            for r in get_tape(e):
                if (r.op == LEAF or r.op == ENTER) and r.rg and r.gidx == k:
                    return int(r.slot)
    return NONE


# ---------------------------------------------------------------- outside
def backward_root(t: Tensor, retain: bool, create: bool) -> None:
    """``t.backward()`` of one scalar: the hot case."""
    e = mine()
    if e.hooks or e.calls or e.tracer is not None:
        check_root(t)
        run_first(e)
    SLOW[0].bound(e)
    root: i64 = t.slot if t.epoch == e.epoch else find(e, t)
    flags: i64 = (1 if retain else 0) | (2 if create else 0)
    leaves = e.gleaves
    inner: Any = (inner_entries(leaves) or None) if create else None
    r = e.cur.nxt
    if r.op != BACKWARD or r.a != root or r.b != flags or (r.key is not inner and r.key != inner):
        check_root(t)
        r = piece_record(e, root, flags, inner, [(root, -1)], (), None, inner or ())
    ep = e.epoch
    live = e.live
    hs: list[Tensor] = []
    plain = inner is None
    if plain:
        for k, g in r.grads:
            h = Tensor(g, ep)
            live.append(h)
            hs.append(h)
            to = leaves[k]
            if to.frame is not None or to.hooks is not None or to.grad is not None or to.off:
                plain = False
    else:
        hs = handles(e, r, {})[0]
    e.cur = r
    if plain:
        for h, (k, _) in zip(hs, r.grads):
            hist = leaves[k]
            hist.grad = h
            if hist.after is not None:
                accumulate_hooks(hist)
    else:
        run = Run(e, retain, create, None)
        run.give(r.grads, hs, leaves)
        complete(run)
    if e.now:
        SLOW[0].flush(e)


def run_first(e: Engine) -> None:
    """A stretch with hooks or custom functions is run before it is differentiated: Python called on
    the way down
    may read values, which ends the current stretch."""
    if e.hooks or e.calls or e.tracer is not None:
        SLOW[0].flush(e)


def accumulate_hooks(hist: Hist) -> None:
    """Run the hooks on a leaf whose gradient is complete."""
    for f in list(hist.after.values()):
        apart(f)


def complete(run: Run) -> None:
    """Older stretches, youngest first; then the leaves."""
    running = RUNNING.setdefault(id(run.e), [])
    running.append(run)
    try:
        while run.older:
            k = max(run.older)
            f, seeds = run.older.pop(k)
            backward_frame(run, f, seeds)
        run.settle()
    finally:
        running.pop()


RUNNING: Final[
    dict[int, list[Run]]
] = {}  # id of a recorder -> the backwards it is in the middle of


def running() -> Run | None:
    """The backward this thread is in the middle of; the innermost."""
    found = RUNNING.get(id(mine()))
    return found[-1] if found else None


def check_root(t: Tensor) -> None:
    """Raise what PyTorch raises for a root that cannot start a backward."""
    if not needs_grad(t):
        raise RuntimeError("element 0 of tensors does not require grad and does not have a grad_fn")
    if numel(t.rec.spec.shape) != 1:
        raise RuntimeError("grad can be implicitly created only for scalar outputs")


def first_gradients(roots: list[Tensor], grads: list[Tensor | None]) -> list[Tensor]:
    """The gradients that roots start with: given ones, or ones of a scalar."""
    given: list[Tensor] = []
    for i, t in enumerate(roots):
        g = grads[i]
        if g is None:
            check_root(t)
            g = full(t.rec.spec.shape, 1.0, t.rec.spec.dtype, t.rec.spec.device)
        else:
            if not needs_grad(t):
                raise RuntimeError(
                    f"element {i} of tensors does not require grad and does not have a grad_fn"
                )
            if g.rec.spec.shape != t.rec.spec.shape:
                raise RuntimeError(
                    f"Mismatch in shape: grad_output[{i}] has a shape of {g.shape} and "
                    f"output[{i}] has a shape of "
                    f"{t.shape}."
                )
        given.append(g)
    return given


def joined(e: Engine, x: Tensor, y: Tensor) -> Tensor:
    """``x + y`` where the stretch may not end: slots of it are in hand."""
    ep = e.epoch
    a = find(e, x)
    b = find(e, y)
    undisturbed(e, ep)
    r = peek(e, ADD.code, a, b, NONE, None)
    t = Tensor(r, e.epoch)
    e.live.append(t)
    e.cur = r
    return t


def start(run: Run, roots: list[Tensor], given: list[Tensor]) -> None:
    """Backward from several roots; from here to the first piece the stretch does not end."""
    e = run.e
    ep = e.epoch
    seeds: Seeds = {}
    for i, t in enumerate(roots):
        s = int(find(e, t))
        undisturbed(e, ep)
        have = seeds.get(s)
        seeds[s] = given[i] if have is None else joined(e, have, given[i])
    backward_here(run, seeds)
    complete(run)
    if e.now:
        SLOW[0].flush(e)


def backward(
    roots: list[Tensor],
    grads: list[Tensor | None],
    retain: bool,
    create: bool,
    inputs: list[Tensor] | None,
) -> None:
    """``torch.autograd.backward``: gradients accumulate in the leaves' ``.grad`` (or only in
    ``inputs``)."""
    if inputs is None:
        if len(roots) == 1 and grads[0] is None:
            backward_root(roots[0], retain, create)
        else:
            e = mine()
            given = first_gradients(roots, grads)
            run_first(e)
            SLOW[0].bound(e)
            start(Run(e, retain, create, None), roots, given)
        return
    found = gradients(roots, inputs, grads, retain, create, True)
    e = mine()
    for t, g in zip(inputs, found):
        if g is not None:
            f = t.fam
            if f is None or f.hist is None:
                raise RuntimeError(
                    "backward: inputs have to be leaves or values whose history has been run"
                )
            accumulate(e, f.hist, laid(g, t.rec.spec.dense()), create)


def laid(g: Tensor, strides: Any) -> Tensor:
    """A gradient with these strides."""
    if isinstance(g, Scattered) or g.rec.spec.strides == strides:
        return g
    return apply(RELAYOUT, (g,), strides)


def in_stretch(f: Frame, r: Rec) -> bool:
    """Was ``r`` recorded in the frame's stretch?"""
    recs: list[Rec] = f.rec.info.recs
    return 0 <= r.slot < len(recs) and recs[r.slot] is r


def gradients(
    outputs: list[Tensor],
    inputs: list[Tensor],
    grads: list[Tensor | None],
    retain: bool,
    create: bool,
    allow_unused: bool,
) -> list[Tensor | None]:
    """``torch.autograd.grad``: gradients of the outputs' sum at ``inputs``; nothing accumulates."""
    e = mine()
    w = Wanted()
    where: list[tuple[dict[Any, Tensor | None], Any]] = []
    given = first_gradients(outputs, grads)
    run_first(e)
    SLOW[0].bound(e)
    for t in inputs:
        if not needs_grad(t):
            raise RuntimeError("One of the differentiated Tensors does not require grad")
        r = t.rec
        slot = int(find(e, t))
        f = t.fam
        h = f.hist if f is not None and f.hep != e.epoch else None
        if h is not None and h.frame is None and at_root(t):
            where.append((w.leaves, id(h)))
        elif h is not None and h.frame is not None and at_root(t):
            where.append((w.frames, (h.frame.serial, h.slot)))
        elif h is not None and h.frame is not None and in_stretch(h.frame, r):
            where.append((w.frames, (h.frame.serial, int(r.slot))))
        else:
            where.append((w.slots, slot))
        where[-1][0][where[-1][1]] = None
    start(Run(e, retain, create, w), outputs, given)
    out: list[Tensor | None] = []
    for i, (d, k) in enumerate(where):
        g = d[k]
        if g is None and not allow_unused:
            raise RuntimeError(
                f"The differentiated Tensor at index {i} appears to not have been used in the "
                "graph. Set allow_unused=True if this is the desired behavior."
            )
        out.append(g)
    return out
