"""Handles, families and storages: which slot stands for a tensor now.

``find`` gives the slot of any handle: memory that enters (LEAF), a family that enters a storage
already met (ENTER), a
value written through another family (GRAFT, VALUE), a view read again (REREAD).
"""

from __future__ import annotations

import sys
import weakref
from typing import Any, Final

from mypy_extensions import i64

from ..base.settings import settings
from ..base.shape import numel
from ..graph.op import TABLE, Spec
from ..runtime.buffer import Buffer
from .core import KEEP, MAIN, Engine, Fam, Hist, Tensor, follow, mine, peek
from .known import doubt
from .memory import Window
from .records import NO_MORE, NOBODY, NONE, ROOT, Rec, Storage, size_of
from .stretch import foreign, mend
from .trie import ENTER, ENTERING, GRAFT, LEAF, REREAD, VALUE
from .view_places import shares, view_family, within

KEYS: Final[
    dict[Any, Any]
] = {}  # LEAF arguments, interned: comparing them is then a test of identity
OWN_BASE: Final = [
    0
]  # references to an owner that nobody outside can reach; calibrated in flush.py


def leaf_key(spec: Spec, rg: bool) -> Any:
    """The interned argument of the LEAF record of a storage's memory."""
    keys = spec.keys
    if keys is not None:
        key = keys[1] if rg else keys[0]
        if key is not None:
            return key
    return made_key(spec, rg, False)


def loose_key(spec: Spec, rg: bool) -> Any:
    """The same for memory that enters without its storage: a window, a saved value.  It cannot be
    written to."""
    keys = spec.keys
    if keys is not None:
        key = keys[3] if rg else keys[2]
        if key is not None:
            return key
    return made_key(spec, rg, True)


def made_key(spec: Spec, rg: bool, loose: bool) -> Any:
    """An argument that a spec's memory enters with, kept with the spec."""
    key = interned(spec, rg, loose)
    keys: list[Any] = [None, None, None, None] if spec.keys is None else list(spec.keys)
    keys[(2 if loose else 0) + (1 if rg else 0)] = key
    spec.keys = tuple(keys)  # which the garbage collector need not walk, unlike a list
    return key


def interned(spec: Spec, rg: bool, loose: bool) -> Any:
    """One object for equal arguments."""
    key = (spec.shape, spec.dtype, spec.strides, spec.device, rg, loose)
    found = KEYS.get(key)
    if found is None:
        if len(KEYS) > 100_000:
            KEYS.clear()
        KEYS[key] = key
        found = key
    return found


def promote(x: Tensor) -> None:
    """A plain handle becomes one that can share its memory."""
    if x.st is None:
        e = mine()
        if x.epoch != e.epoch:
            raise RuntimeError(
                "the value of this tensor could not be computed: an earlier operation failed"
            )
        s = Storage(None, x.rec.spec)
        s.epoch = e.epoch
        s.wep = e.epoch
        s.slot = x.slot
        f = Fam(s, None, x.rec)
        f.epoch = e.epoch
        f.slot = x.slot
        f.hep = e.epoch
        f.hslot = x.slot
        was = e.dirty
        e.dirty = True
        add_member(s, x.rec.li)
        e.sts.append(s)
        e.fams.append(f)
        x.reg = e.epoch
        x.fam = f
        x.st = s
        e.dirty = was


def add_member(s: Storage, index: i64) -> None:
    """A handle on the storage, by its place: in ``live``, or ``~`` its place in ``uses``."""
    if s.first == NOBODY:
        s.first = index
    elif s.more is NO_MORE:
        s.more = [index]
    else:
        s.more.append(index)


def no_members(e: Engine, s: Storage) -> None:
    """The handles of an earlier epoch do not count."""
    s.mep = e.epoch
    s.first = NOBODY
    s.more = NO_MORE


def written(e: Engine, s: Storage, r: Rec, heard: bool = True) -> None:
    """The storage's value is now what ``r`` makes; handles on it have to ask for their slot
    again.  ``heard``: views that have a history are read again from that of their base."""
    if not heard:
        settle_views(e, s, r)
    m = s.first
    if m != NOBODY:
        put_out(e, m)
        for n in s.more:
            put_out(e, n)
    if s.wep != e.epoch:
        s.wep = e.epoch
        e.sts.append(s)
    s.slot = r.slot
    s.ver += 1
    if heard:
        s.heard = s.ver
    else:
        s.silent += 1


def put_out(e: Engine, m: i64) -> None:
    """The handle at a place is not current."""
    t = e.live[m] if m >= 0 else e.uses[~m]
    t.epoch = 0


def settle_views(e: Engine, s: Storage, r: Rec) -> None:
    """Views of a storage that have a history keep it through the write ``r``."""
    found = False
    places: list[int] = [] if s.first == NOBODY else [int(s.first), *s.more]
    for m in places:
        t = e.live[m] if m >= 0 else e.uses[~m]
        f = t.fam
        if t.epoch != e.epoch or t.rec.region is None or not t.rec.rg or f is None:
            continue
        if shares(t, f) and f.epoch == e.epoch and f.rec.rg:  # else it shows the value alone
            own_place(e, t, f, t.rec)
            found = True
    if found:
        follow(e, VALUE, r.slot, NONE, NONE, None)  # so that the path says it


def reachable(s: Storage) -> bool:
    """Can code outside still reach this memory?  If not, it becomes private again."""
    if not s.exposed:
        return False
    if s.own is None or sys.getrefcount(s.own) > OWN_BASE[0] or weakref.getweakrefcount(s.own) > 0:
        return True
    s.exposed = False
    s.moved = True
    s.ver += 1  # a snapshot taken earlier in this epoch may be out of date
    s.silent += 1
    return False


def enter_again(e: Engine, f: Fam, s: Storage, r: Rec) -> bool:
    """Private memory enters as it did before, when that is what is expected: the hot case."""
    h = f.hist
    lvals = e.lvals
    v = s.mem
    if (
        v is None
        or s.moved
        or r.dense
        or r.rg != (h is not None)
        or (h is not None and len(e.loose) > 0)
        or r.nleaf != len(lvals) + 1
        or r.gidx != len(e.gleaves)
    ):
        return False
    was = e.dirty
    e.dirty = True  # until lists, storage and path agree again
    ep = e.epoch
    if s.mep != ep:
        no_members(e, s)
    lvals.append(v)
    if s.nbytes == NONE:
        s.nbytes = v.nbytes if isinstance(v, Buffer) else int(v.nbytes)
    e.pending += s.nbytes
    if h is not None:
        e.gleaves.append(h)
    e.cur = r
    if r.limit is not None:
        doubt(e, r, s, v)
    slot = r.slot
    s.slot = slot
    s.leaf = slot
    f.rec = r
    f.slot = slot
    f.ver = s.ver
    f.epoch = ep
    s.epoch = ep  # last: until then the storage is not current
    e.dirty = was
    return True


def origin(h: Hist) -> Any:
    """What is the same for all entries of one place in a history."""
    f = h.frame
    return id(h) if f is None else (f.serial, h.slot)


def entered(e: Engine, h: Hist | None) -> i64:
    """The slot of a history that has entered already, with a saved value; NONE when it has not."""
    if h is None or not e.loose:
        return NONE
    return int(e.loose.get(origin(h), NONE))


def fslot(e: Engine, f: Fam) -> i64:
    """The slot that stands for the family's base now."""
    if f.root is not None:
        return rooted(e, f)
    s = f.st
    ep = e.epoch
    out = s.exposed and reachable(s)
    if s.epoch != ep or ((out or s.moved) and s.slot == s.leaf):
        v = s.mem
        if v is None:
            raise RuntimeError(
                "the value of this tensor could not be computed: an earlier operation failed"
            )
        s.moved = False
        h = f.hist
        past = f.slot if f.epoch == ep and f.rec.rg else entered(e, h)
        rg = h is not None and past == NONE  # each history enters once
        if e.cur.nleaf != len(e.lvals) or e.cur.nent != len(e.gleaves):
            mend(e)
        ENTERING[0] = s.spec
        r = peek(e, LEAF, NONE, NONE, NONE, leaf_key(s.spec, rg))
        r.seen = s.spec
        was = e.dirty
        e.dirty = True  # until lists, storage and path agree again
        if s.nbytes == NONE:
            s.nbytes = v.nbytes if isinstance(v, Buffer) else int(v.nbytes)
        if out and s.exposed:
            if s.nbytes <= settings.snapshot:
                v = v.copy()
            else:
                e.now = True
                e.lnow.append(len(e.lvals))
        if s.mep != ep:
            no_members(e, s)
        e.lvals.append(v)
        e.pending += s.nbytes
        if h is not None and rg:
            e.gleaves.append(h)
        e.cur = r
        if r.limit is not None:
            doubt(e, r, s, v)
        s.slot = r.slot
        s.leaf = r.slot
        s.epoch = ep  # last: until then the storage is not current
        if past != NONE:
            r = follow(e, GRAFT, r.slot, past, NONE, None)
        enter(e, f, r, s)
        e.dirty = was
    elif f.epoch != ep:
        h = f.hist
        past = entered(e, h)
        if past != NONE:
            r = peek(e, GRAFT, s.slot, past, NONE, None)
            was = e.dirty
            e.dirty = True
        elif h is not None:
            if e.cur.nent != len(e.gleaves):
                mend(e)
            r = peek(e, ENTER, s.slot, NONE, NONE, None)
            was = e.dirty
            e.dirty = True
            e.gleaves.append(h)
        else:
            r = peek(e, VALUE, s.slot, NONE, NONE, None)
            was = e.dirty
            e.dirty = True
        e.cur = r
        enter(e, f, r, s)
        e.dirty = was
    elif f.ver != s.ver:
        # written through another family or without gradient: their value, our history
        if f.rec.rg:
            r = peek(e, GRAFT, s.slot, f.slot, NONE, None)
        else:
            r = peek(e, VALUE, s.slot, NONE, NONE, None)
        was = e.dirty
        e.dirty = True
        e.cur = r
        f.rec = r
        f.slot = r.slot
        f.ver = s.ver
        e.dirty = was
    return f.slot


def storage_slot(e: Engine, f: Fam) -> i64:
    """The slot that a write through the family overwrites: the storage's whole value."""
    if f.root is None:
        return fslot(e, f)
    b = f.base
    assert b is not None
    return storage_slot(e, b)


def rooted(e: Engine, f: Fam) -> i64:
    """The slot of a family whose history is at a view: the view is read, then history enters."""
    s = f.st
    over = f.base
    assert over is not None
    b = fslot(e, over)
    if f.epoch == e.epoch and f.ver == s.ver and not s.exposed:
        return f.slot
    r = follow(e, REREAD, b, NONE, NONE, within(f.root, over))
    h = f.hist
    if f.epoch == e.epoch:  # written by others, or memory that NumPy may have written to
        if f.rec.rg:
            r = follow(e, GRAFT, r.slot, f.slot, NONE, None)
    elif h is not None and entered(e, h) != NONE:
        r = follow(e, GRAFT, r.slot, entered(e, h), NONE, None)
    elif h is not None:
        if e.cur.nent != len(e.gleaves):
            mend(e)
        r = peek(e, ENTER, r.slot, NONE, NONE, None)
        e.gleaves.append(h)
        e.cur = r
    enter(e, f, r, s)
    return f.slot


def own_place(e: Engine, t: Tensor, f: Fam, r: Rec) -> None:
    """Give a view its own place in the history of ``f``: record ``r`` of this stretch."""
    v = view_family(f, r)
    v.root = t.rec.region
    v.epoch = e.epoch
    v.slot = r.slot
    v.hep = e.epoch
    v.hslot = r.slot
    e.fams.append(v)
    old = t.fam
    if old is not None and old.own:  # over, but a gradient is kept there
        hooks = retained(e, old)
        if hooks is not None:
            retain_anew(e, hooks, old, v, int(r.slot))
    t.fam = v


def leave_hooks(e: Engine, x: Tensor) -> None:
    """What is written through a view differentiates as a part of its base: hooks on the view as it
    was do not see it."""
    f = x.fam
    if f is None or not (e.hooks or f.own):
        return
    slot = find(e, x)
    f = x.fam
    assert f is not None
    if hooks_on(e, f) if f.own else e.hooks.get(int(slot)):
        base = f.base if f.own else f
        assert base is not None
        r = follow(e, REREAD, fslot(e, base), NONE, NONE, within(x.rec.region, base))
        if base.root is None:
            x.rec = r
        x.slot = r.slot
        own_place(e, x, base, r)


def upheld(e: Engine, t: Tensor, f: Fam) -> Fam:
    """The family of a view that has its own: its base's when that is over."""
    s = f.st
    if s.exposed:
        reachable(s)
    if f.ver >= s.heard and (f.hist is not None or f.epoch == e.epoch):
        return f
    b = f.base
    assert b is not None
    if retained(e, f) is None:
        t.fam = b
    return b


def hooks_on(e: Engine, f: Fam) -> dict[int, Any] | None:
    """The hooks on the gradient of a family."""
    h = f.hist
    if f.hep == e.epoch:
        return e.hooks.get(int(f.hslot)) if e.hooks else None
    return None if h is None or h.frame is None else h.frame.hooks.get(h.slot)


def retained(e: Engine, f: Fam) -> dict[int, Any] | None:
    """The hooks on a family's gradient when `retain_grad` is among them."""
    hooks = hooks_on(e, f)
    return hooks if hooks is not None and KEEP in hooks else None


def retain_anew(e: Engine, hooks: dict[int, Any], old: Fam, f: Fam, slot: int) -> None:
    """A retained gradient is that of the tensor's new place: other hooks stay at the old one."""
    e.hooks.setdefault(slot, {})[KEEP] = hooks.pop(KEEP)
    f.past = old.past if old.hep == e.epoch else old.hist


def at_root(t: Tensor) -> bool:
    """Is the handle its family's own tensor, not a view of it?"""
    region = t.rec.region
    if region is None:
        return True
    f = t.fam
    # The object itself: `view_as` of such a leaf has an equal region, and is a view of it.
    return f is not None and f.root is region


def enter(e: Engine, f: Fam, r: Rec, s: Storage) -> None:
    """The family is in step with its storage at record ``r``."""
    f.rec = r
    f.slot = r.slot
    f.ver = s.ver
    f.epoch = e.epoch  # last: until then the family is not current


def find(e: Engine, t: Tensor) -> i64:
    """The slot of any handle; everything that is not a fresh plain value comes through here."""
    if t.epoch == e.epoch:
        return t.slot
    s = t.st
    if s is None:
        if not MAIN.solo:
            foreign(e, int(t.epoch))
            s = t.st
        if s is None:
            raise lost(t)
    elif not MAIN.solo and s.epoch != e.epoch:
        foreign(e, int(s.epoch))
    f = t.fam
    if f is None:  # a value without history gets its family when it is used again
        f = Fam(s, None, t.rec)
        t.fam = f
    if f.own:
        f = upheld(e, t, f)
    if f.root is None and t.rec.region is None:
        r = e.cur.nxt
        if r.seen is not s.spec or s.epoch == e.epoch or s.exposed or not enter_again(e, f, s, r):
            fslot(e, f)
        t.slot = f.slot
        t.rec = f.rec
    elif f.root is not None:
        b = rooted(e, f)
        region = t.rec.region
        if region == f.root:
            t.slot = b
        else:
            r = follow(e, REREAD, b, NONE, NONE, within(region, f))
            t.slot = r.slot
            if r.rg and not f.own:
                own_place(e, t, f, r)
    elif f.hist is None and s.mem is not None and settled(e, s) and t.rec.dense:
        t.slot = window(e, s, t.rec.spec)
    elif f.hist is None and s.mem is not None and s.epoch != e.epoch and numel(t.rec.spec.shape):
        over: Any = reach(t.rec)
        t.slot = follow(e, REREAD, window(e, s, over[0]), NONE, NONE, over[1]).slot
    else:
        b = fslot(e, f)
        r = follow(e, REREAD, b, NONE, NONE, t.rec.region)
        t.rec = r
        t.slot = r.slot
        if r.rg:
            own_place(e, t, f, r)
    if not s.exposed:
        t.epoch = e.epoch
    if t.reg != e.epoch:
        t.reg = e.epoch
        if s.first == NOBODY:
            s.first = ~len(e.uses)
        else:
            add_member(s, ~len(e.uses))
        e.uses.append(t)
    return t.slot


def lost(t: Tensor) -> RuntimeError:
    """What is wrong with a handle without a value."""
    if t.rec.op == ROOT and t.st is None:
        return NotImplementedError(
            "Could not run this operation with arguments from the 'SparseCPU' backend: there is "
            "none for sparse tensors; call .to_dense() first"
        )
    return RuntimeError(
        "the value of this tensor could not be computed: an earlier operation failed"
    )


def settled(e: Engine, s: Storage) -> bool:
    """Is the storage's memory its value: not written in this stretch?"""
    return s.epoch != e.epoch or s.slot == s.leaf


def reach(r: Rec) -> Any:
    """Of a view with gaps or overlap: the part of memory that it reaches over, and where it lies
    in it."""
    found = r.info
    if found is None:
        shape, strides, offset = r.region
        n = 1
        for d, step in zip(shape, strides):
            n += (d - 1) * step
        have: Spec = r.spec
        found = (Spec((n,), have.dtype, (1,), have.device, offset=offset), (shape, strides, 0))
        r.info = found
    return found


def window(e: Engine, s: Storage, spec: Spec) -> i64:
    """A view without history of memory that stands still enters by itself: where it lies in its
    storage is no part of what is recognised, so `x[i : i + n]` makes one plan for all `i`.  Views
    with gaps are read from the part of memory that they reach over."""
    if e.cur.nleaf != len(e.lvals):
        mend(e)
    q = e.cur.nxt
    if q.seen is not spec or not q.dense or q.rg:
        ENTERING[0] = spec
        q = peek(e, LEAF, NONE, NONE, NONE, loose_key(spec, False))
        q.seen = spec
    part = Window(s.mem, spec)
    v: Any = part
    if s.exposed and reachable(s):
        if part.nbytes <= settings.snapshot:
            v = part.copy()
        else:
            e.now = True
            e.lnow.append(len(e.lvals))
    if s.mep != e.epoch:
        no_members(e, s)
    e.lvals.append(v)
    e.pending += part.nbytes
    e.cur = q
    if q.limit is not None:
        doubt(e, q, s, v)
    return q.slot


def needs_grad(t: Tensor) -> bool:
    """Is ``t`` a leaf that wants a gradient, or made from one?"""
    e = MAIN if MAIN.solo else mine()  # before anything is looked at: another thread may run it
    f = t.fam
    if f is None:
        return t.rec.rg
    if f.own:
        f = upheld(e, t, f)
    if f.hist is not None:
        return True
    if f.epoch == e.epoch:
        return t.rec.rg if t.rec.region is not None and t.epoch == f.epoch else f.rec.rg
    return False


def is_leaf_grad(e: Engine, f: Fam) -> bool:
    """Is the family a leaf that wants a gradient, with no history from this stretch?"""
    h = f.hist
    return h is not None and h.frame is None and f.hep != e.epoch


def base_rec(spec: Spec) -> Rec:
    """What describes a tensor that is no record's result."""
    r = Rec(ROOT, NONE, NONE, NONE, None, NONE, None)
    r.spec = spec
    r.size = size_of(spec.shape)
    r.row = TABLE["leaf"]
    return r
