"""The slow path of recording: new branches, and handles whose value is not simply the slot they hold.

``use`` finds the slot that stands for any handle now: memory that enters (LEAF), a family that enters a storage
already met (ENTER), a value written through another family (GRAFT, VALUE), a view read again (REREAD).
"""

from __future__ import annotations

import sys
import weakref
from typing import Any, Callable, Final, Optional

from mypy_extensions import i64, mypyc_attr

from ..base.settings import settings
from ..base.shape import numel
from ..graph.op import ALIAS, OPS, TABLE, Op, Spec, register
from ..graph.ops import movement as mv
from ..graph.op import MOVE
from ..base import dtype as dt
from .core import (
    DUMMY,
    EPOCHS,
    FLUSH,
    MODE,
    NONE,
    NUM_B,
    NUM_F,
    NUM_I,
    ROOT,
    SLOW,
    SOLO,
    Engine,
    Fam,
    Hist,
    Rec,
    Slow,
    Storage,
    Tensor,
    follow,
    made,
    mine,
    number_code,
    peek,
    size_of,
)
from .memory import new_memory

MANY: Final = -9  # operand code: the operands are in the key, (argument, slots)


def _internal(name: str, kind: str, infer: Any, grads: Any) -> Op:
    op = register(Op(name, kind, infer))
    op.grads = grads
    return op


# A view handle read again after its base changed; a storage's value without history.
REREAD_OP: Final = _internal("reread", MOVE, TABLE["as_strided"].infer, TABLE["as_strided"].grads)
VALUE_OP: Final = _internal("value", ALIAS, TABLE["detach"].infer, ())

# A custom function's result: the first operand's value, with the others as history (see backward.Call).
FUNCTION_OP: Final = _internal("function", ALIAS, TABLE["detach"].infer, (None, *[lambda *a: a[0]] * 64))

LEAF: Final[i64] = TABLE["leaf"].code
ENTER: Final[i64] = TABLE["enter"].code
GRAFT: Final[i64] = TABLE["graft"].code
VALUE: Final[i64] = VALUE_OP.code
REREAD: Final[i64] = REREAD_OP.code
WRITE: Final[i64] = TABLE["write"].code
DETACH: Final[i64] = TABLE["detach"].code
FULL: Final[i64] = TABLE["full"].code
CAST: Final[i64] = TABLE["cast"].code
SILENT: Final = frozenset({int(LEAF), int(ENTER), int(GRAFT), int(VALUE), int(REREAD), int(WRITE)})  # give no handle
KEYS: Final[dict[Any, Any]] = {}  # LEAF arguments, interned: comparing them is then a test of identity
OWN_BASE: Final = [0]  # references to an owner that nobody outside can reach; calibrated in flush.py


# ---------------------------------------------------------------- new branches
def get_tape(e: Engine) -> list[Rec]:
    """The value records from the root to here, by slot."""
    if e.tapecur is not e.cur:
        chain: list[Rec] = []
        r: Optional[Rec] = e.cur
        while r is not None and r.op != ROOT:
            chain.append(r)
            r = r.parent
        chain.reverse()
        out: list[Rec] = []
        for q in chain:
            if q.op < ROOT:
                out.append(q)
            else:
                out.extend(q.subs)
        e.tape = out
        e.tapecur = e.cur
    return e.tape


def number_spec(code: int) -> Spec:
    """What is known of a Python number."""
    if code == NUM_F:
        return Spec((), dt.Defaults.float, (), number="f")
    return Spec((), dt.int64, (), number="i") if code == NUM_I else Spec((), dt.bool_, (), number="b")


def fill(e: Engine, r: Rec, tape: list[Rec]) -> int:
    """Shape, type, strides and gradient flag of a new record; raises before anything is changed.

    Returns how many Python numbers it takes.
    """
    op = OPS[r.op]
    r.row = op
    first = int(e.cur.nnum)
    slots: list[int] = []
    if r.c == MANY:
        key: Any = r.key
        r.arg = key[0]
        slots.extend(key[1])
    else:
        for s in (r.a, r.b, r.c):
            if s != NONE:
                slots.append(int(s))
    specs: list[Spec] = []
    k = first
    rg = False
    for i, s in enumerate(slots):
        if s >= 0:
            q = tape[s]
            specs.append(q.spec)
            r.srcs.append(s)
            if q.rg and not rg and (op.decompose is not None or op.gradient(i) is not None):
                rg = True
        else:
            specs.append(number_spec(s))
            r.srcs.append(~k)
            k += 1
    r.spec = op.infer(op, specs, r.arg)
    r.size = size_of(r.spec.shape)
    if r.op == LEAF:
        r.rg = bool(r.arg[4])
    elif r.op == ENTER:
        r.rg = True
    elif r.op == GRAFT or r.op == REREAD:
        r.rg = rg
    else:
        r.rg = rg and e.gm and r.spec.dtype.rank > 1
    if op.kind == MOVE:
        if mv.is_view(op) or r.op == REREAD:
            r.region = (r.spec.shape, r.spec.strides, r.spec.offset)
    elif r.op == DETACH:
        r.region = tape[r.a].region
    if r.op == WRITE:
        r.li = tape[r.a].li
    return k - first


def adopt(e: Engine, r: Rec, key: Any, handles: int, numbers: int) -> None:
    """Enter a freshly made record in the trie."""
    cur = e.cur
    if r.op != WRITE:
        r.li = cur.nlive
    r.nlive = cur.nlive + handles
    r.sidx = cur.nnum
    r.nnum = cur.nnum + numbers
    r.nleaf = cur.nleaf + (1 if r.op == LEAF else 0)
    r.gidx = len(e.gleaves)
    r.nsts = len(e.sts)
    r.ncall = len(e.calls)
    r.nxt = DUMMY
    cur.alts[key] = r
    cur.nxt = r
    e.tapecur = r
    e.misses += 1
    e.nrec += 1


def new_branch(e: Engine, op: i64, a: i64, b: i64, c: i64, key: object) -> Rec:
    cur = e.cur
    k = (int(op), int(a), int(b), int(c), key)
    q = cur.alts.get(k)
    if q is not None:
        cur.nxt = q
        return q
    tape = get_tape(e)
    r = Rec(op, a, b, c, key, cur.end, cur)
    if op == MODE:
        r.end = cur.end
        adopt(e, r, k, 0, 0)
        return r
    count = fill(e, r, tape)
    adopt(e, r, k, 0 if int(op) in SILENT else 1, count)
    e.tape = [*tape, r] if e.dirty else tape
    if not e.dirty:
        tape.append(r)
    return r


# ---------------------------------------------------------------- storages and families
def leaf_key(spec: Spec, rg: bool) -> Any:
    """The interned argument of a LEAF record."""
    key = (spec.shape, spec.dtype, spec.strides, spec.device, rg)
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
            raise RuntimeError("the value of this tensor could not be computed: an earlier operation failed")
        s = Storage(None, x.rec.spec)
        s.epoch = e.epoch
        s.slot = x.slot
        f = Fam(s, None, x.rec)
        f.epoch = e.epoch
        f.slot = x.slot
        f.hep = e.epoch
        f.hslot = x.slot
        s.members.append(int(x.rec.li))
        e.sts.append((s, NONE))
        e.fams.append(f)
        x.reg = e.epoch
        x.fam = f
        x.st = s


def stale(e: Engine, s: Storage) -> None:
    """Handles on the storage have to ask for their slot again."""
    for m in s.members:
        if m >= 0:
            e.live[m].epoch = 0
        else:
            e.uses[~m].epoch = 0


def reachable(s: Storage) -> bool:
    """Can code outside still reach this memory?  If not, it becomes private again."""
    if not s.exposed:
        return False
    if s.own is None or sys.getrefcount(s.own) > OWN_BASE[0] or weakref.getweakrefcount(s.own) > 0:
        return True
    s.exposed = False
    s.moved = True
    s.ver += 1  # a snapshot taken earlier in this epoch may be out of date
    return False


def fslot(e: Engine, f: Fam) -> i64:
    """The slot that stands for the family's base now."""
    s = f.st
    ep = e.epoch
    out = s.exposed and reachable(s)
    if s.epoch != ep or ((out or s.moved) and s.slot == s.leaf):
        if s.mem is None:
            raise RuntimeError("the value of this tensor could not be computed: an earlier operation failed")
        s.moved = False
        rg = f.hist is not None
        keys = s.key
        if keys is None:
            keys = (leaf_key(s.spec, False), leaf_key(s.spec, True))
            s.key = keys
        if e.cur.nleaf != len(e.lvals):
            mend(e)
        r = peek(e, LEAF, NONE, NONE, NONE, keys[1] if rg else keys[0])
        if r.nsts != len(e.sts) or (rg and r.gidx != len(e.gleaves)):
            mend(e)
            e.dirty = True
        v = s.mem
        if s.exposed and reachable(s):
            if v.nbytes <= settings.snapshot:
                v = v.copy()
            else:
                e.now = True
                e.lnow.append(int(r.slot))
        if s.epoch != ep:
            s.members = []
        e.sts.append((s, int(r.slot)))
        e.lvals.append(v)
        if rg:
            h = f.hist
            assert h is not None
            e.gleaves.append(h)
        e.cur = r
        s.epoch = ep
        s.slot = r.slot
        s.leaf = r.slot
        enter(e, f, r, s)
    elif f.epoch != ep:
        h = f.hist
        if h is not None:
            r = peek(e, ENTER, s.slot, NONE, NONE, None)
            if r.gidx != len(e.gleaves):
                mend(e)
            e.gleaves.append(h)
            e.cur = r
        else:
            r = follow(e, VALUE, s.slot, NONE, NONE, None)
        enter(e, f, r, s)
    elif f.ver != s.ver:
        # written through another family or without gradient: their value, our history
        if f.rec.rg:
            r = follow(e, GRAFT, s.slot, f.slot, NONE, None)
        else:
            r = follow(e, VALUE, s.slot, NONE, NONE, None)
        f.rec = r
        f.slot = r.slot
        f.ver = s.ver
    return f.slot


def enter(e: Engine, f: Fam, r: Rec, s: Storage) -> None:
    if f.epoch != e.epoch:
        e.fams.append(f)
    f.epoch = e.epoch
    f.rec = r
    f.slot = r.slot
    f.ver = s.ver


def find(e: Engine, t: Tensor) -> i64:
    """The slot of any handle; everything that is not a fresh plain value comes through here."""
    if t.epoch == e.epoch:
        return t.slot
    s = t.st
    if s is None:
        if not SOLO[0]:
            foreign(e, t)
            s = t.st
        if s is None:
            raise RuntimeError("the value of this tensor could not be computed: an earlier operation failed")
    elif not SOLO[0] and s.epoch != e.epoch:
        foreign_storage(e, s)
    f = t.fam
    if f is None:  # a value without history gets its family when it is used again
        f = Fam(s, None, t.rec)
        t.fam = f
    b = fslot(e, f)
    if t.rec.region is None:
        t.rec = f.rec
    else:
        t.rec = follow(e, REREAD, b, NONE, NONE, t.rec.region)
    t.slot = t.rec.slot
    if not s.exposed:
        t.epoch = e.epoch
    if t.reg != e.epoch:
        t.reg = e.epoch
        s.members.append(~len(e.uses))
        e.uses.append(t)
    return t.slot


def foreign(e: Engine, t: Tensor) -> None:
    """A handle that is pending in another thread's recorder: run it there."""
    owner = RECORDERS.get(int(t.epoch))
    if owner is not None and owner is not e:
        SLOW[0].flush(owner)


def foreign_storage(e: Engine, s: Storage) -> None:
    owner = RECORDERS.get(int(s.epoch))
    if owner is not None and owner is not e:
        SLOW[0].flush(owner)


RECORDERS: Final["weakref.WeakValueDictionary[int, Any]"] = weakref.WeakValueDictionary()


def needs_grad(t: Tensor) -> bool:
    """Is ``t`` a leaf that wants a gradient, or made from one?"""
    f = t.fam
    if f is None:
        return t.rec.rg
    if f.hist is not None:
        return True
    if f.epoch == mine().epoch:
        return t.rec.rg if t.rec.region is not None and t.epoch == f.epoch else f.rec.rg
    return False


def is_leaf_grad(e: Engine, f: Fam) -> bool:
    h = f.hist
    return h is not None and h.frame is None and f.hep != e.epoch


# ---------------------------------------------------------------- views, writes, modes
def view(op: Op, x: Tensor, arg: Any) -> Tensor:
    """A view of ``x``: ``op`` a row of ``movement.GEOMETRY``, ``arg`` its normalised argument."""
    e = mine()
    code: i64 = op.code
    if x.epoch == e.epoch and x.st is not None:
        r = e.cur.nxt
        if r.op != code or r.a != x.slot or r.b != NONE or r.key != arg or r.li != len(e.live):
            SLOW[0].bound(e)
            r = peek(e, code, find(e, x), NONE, NONE, arg)
    else:
        SLOW[0].bound(e)
        r = peek(e, code, find(e, x), NONE, NONE, arg)  # may raise: x is promoted only afterwards
    t = Tensor(r, e.epoch)
    e.live.append(t)
    e.cur = r
    if x.st is None:
        promote(x)
    share(e, t, x, r, x.fam)
    if e.now:
        SLOW[0].flush(e)
    return t


def share(e: Engine, t: Tensor, x: Tensor, r: Rec, f: Optional[Fam]) -> None:
    s = x.st
    assert s is not None
    t.st = s
    t.fam = f
    t.reg = e.epoch
    s.members.append(int(r.li))
    if s.exposed:
        t.epoch = 0


def detach(x: Tensor) -> Tensor:
    """The same memory without history."""
    e = mine()
    SLOW[0].bound(e)
    a = find(e, x)
    r = peek(e, DETACH, a, NONE, NONE, None)
    t = Tensor(r, e.epoch)
    e.live.append(t)
    e.cur = r
    if x.st is None:
        promote(x)
    s = x.st
    assert s is not None
    f = Fam(s, None, r)
    share(e, t, x, r, f)
    if r.region is None:
        f.epoch = e.epoch
        f.slot = r.slot
        f.ver = s.ver
        e.fams.append(f)
    if e.now:
        SLOW[0].flush(e)
    return t


def check_inplace(x: Tensor, idempotent: bool) -> None:
    """What PyTorch refuses: writing into a leaf that wants a gradient, or into memory that repeats itself."""
    e = mine()
    f = x.fam
    if e.gm and f is not None and is_leaf_grad(e, f):
        if x.rec.region is None:
            raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")
        raise RuntimeError("a view of a leaf Variable that requires grad is being used in an in-place operation.")
    region = x.rec.region
    if region is not None and not idempotent and numel(region[0]) > 0:
        for n, st in zip(region[0], region[1]):
            if st == 0 and n > 1:
                raise RuntimeError(
                    "unsupported operation: more than one element of the written-to tensor refers to a single memory "
                    "location. Please clone() the tensor before performing the operation."
                )


def write(x: Tensor, v: Tensor, cut: bool) -> Tensor:
    """``x``'s memory now holds ``v``'s value (same shape and type); ``cut``: made without ``x``."""
    e = mine()
    b = find(e, v)  # before the target: v may have been run at once
    s = x.st
    if s is None and (e.gm or not x.rec.rg) and x.epoch == e.epoch:
        r = follow(e, WRITE, x.slot, b, NONE, mv.CUT if cut else None)
        x.rec = r
        x.slot = r.slot
        if e.now:
            SLOW[0].flush(e)
        return x
    find(e, x)
    if s is None and x.st is None:
        promote(x)
    s = x.st
    f = x.fam
    assert s is not None and f is not None
    a = fslot(e, f)
    region = x.rec.region
    r = follow(e, WRITE, a, b, NONE, region if region is not None else mv.CUT if cut else None)
    stale(e, s)
    s.slot = r.slot
    s.ver += 1
    if e.gm or not f.rec.rg:
        f.rec = r
        f.slot = r.slot
        f.ver = s.ver
        if r.rg:
            f.hep = e.epoch
            f.hslot = r.slot
        if region is None:
            x.rec = r
            x.slot = r.slot
            if not s.exposed and x.reg == e.epoch:
                x.epoch = e.epoch
    if s.exposed or e.now:
        SLOW[0].flush(e)
    return x


def set_grad_enabled(flag: bool) -> bool:
    """Set gradient mode; the mode before."""
    e = mine()
    was = e.gm
    if was != flag:
        e.gm = flag
        if e.cur.op == ROOT:
            e.cur = e.roots[1 if flag else 0]
            e.tapecur = e.cur
            e.tape = []
        else:
            follow(e, MODE, NONE, NONE, NONE, flag)
    return was


def is_grad_enabled() -> bool:
    """Is gradient mode on in this thread?"""
    return mine().gm


# ---------------------------------------------------------------- recording any operation
def apply(op: Op, operands: tuple[Any, ...], arg: Any) -> Tensor:
    """Record ``op``: operands are tensors or Python numbers (run-time inputs)."""
    e = mine()
    SLOW[0].bound(e)
    slots: list[int] = []
    values: list[Any] = []
    for o in operands:
        if isinstance(o, Tensor):
            slots.append(int(find(e, o)))
        else:
            code = number_code(o)
            if code == NONE:
                raise TypeError(f"{op.name}: expected a Tensor or a number, got {type(o).__name__}")
            if code == NUM_I and not -0x8000000000000000 <= o <= 0x7FFFFFFFFFFFFFFF:
                raise RuntimeError("value cannot be converted to type int64_t without overflow")
            slots.append(int(code))
            values.append(o)
    n = len(slots)
    if n <= 3 and op.kind != "join":
        r = peek(e, op.code, slots[0] if n else NONE, slots[1] if n > 1 else NONE, slots[2] if n > 2 else NONE, arg)
    else:
        r = peek(e, op.code, NONE, NONE, MANY, (arg, tuple(slots)))
    e.numbers.extend(values)
    return made(e, r)


def inplace(op: Op, x: Tensor, operands: tuple[Any, ...], arg: Any) -> Tensor:
    """``x.op_(...)``: PyTorch's checks, the operation, the write."""
    check_inplace(x, False)
    v = apply(op, (x, *operands), arg)
    return settle(op.name, x, v, False)


def settle(name: str, x: Tensor, v: Tensor, cut: bool) -> Tensor:
    """Write a result back into ``x``: its shape must fit, its type must not be of a higher kind."""
    if v.rec.spec.shape != x.rec.spec.shape:
        raise RuntimeError(
            f"output with shape {list(x.rec.spec.shape)} doesn't match the broadcast shape {list(v.rec.spec.shape)}"
        )
    want = x.rec.spec.dtype
    have = v.rec.spec.dtype
    if have is not want:
        if have.rank > want.rank:
            raise RuntimeError(
                f"result type {have.typename} can't be cast to the desired output type {want.typename}"
            )
        v = apply(TABLE["cast"], (v,), want)
    return write(x, v, cut)


def assign(x: Tensor, v: Tensor) -> Tensor:
    """``x.copy_(v)``: broadcast, convert, write."""
    shape = x.rec.spec.shape
    same = v is x or (v.st is not None and v.st is x.st and v.rec.region == x.rec.region)
    check_inplace(x, True)
    if same:
        return x
    if v.rec.spec.shape != shape:
        v = view(TABLE["expand"], v, shape)
    if v.rec.spec.dtype is not x.rec.spec.dtype:
        v = apply(TABLE["cast"], (v,), x.rec.spec.dtype)
    return write(x, v, True)


def full(shape: tuple[int, ...], value: Any, dtype: Any) -> Tensor:
    """A tensor of one repeated number, which is a run-time input."""
    return apply(TABLE["full"], (value,), (shape, dtype))


def fill_inplace(x: Tensor, value: Any) -> Tensor:
    """``x.fill_(number)``."""
    check_inplace(x, True)
    return write(x, full(x.rec.spec.shape, value, x.rec.spec.dtype), True)


# ---------------------------------------------------------------- after an exception in the middle
def clear(e: Engine) -> None:
    """An empty stretch in a new epoch.  The first statement ends the old one: no handle is current any more."""
    e.epoch = next(EPOCHS)
    finish_clear(e)


def finish_clear(e: Engine) -> None:
    """The rest of `clear`: may be done again after an interrupt."""
    if e.nrec > MAX_RECORDS:
        e.nrec = 0
        e.roots = new_root()
    e.cur = e.roots[1 if e.gm else 0]
    e.live = []
    e.uses = []
    e.lvals = []
    e.lnow = []
    e.gleaves = []
    e.sts = []
    e.fams = []
    e.numbers = []
    e.hooks = {}
    e.calls = []
    e.tape = []
    e.tapecur = e.cur
    e.now = False
    e.dirty = False
    e.nflush += 1
    if not SOLO[0]:
        RECORDERS[int(e.epoch)] = e
    e.ready = e.epoch


def mend(e: Engine) -> None:
    """Bring the lists in step with the path after an exception (an interrupt, a failed allocation) in the recorder.

    What was not entered is dropped; what was entered without what it brought gets a stand-in that nothing refers to.
    The stretch is then worked out afresh when it is run.
    """
    if e.ready != e.epoch:
        finish_clear(e)
        return
    e.dirty = True
    cur = e.cur
    e.tapecur = DUMMY
    live = e.live
    del live[cur.nlive :]
    while len(live) < cur.nlive:
        live.append(Tensor(DUMMY, 0))
    numbers = e.numbers
    del numbers[cur.nnum :]
    while len(numbers) < cur.nnum:
        numbers.append(0)
    entries = 0
    leaves: list[Rec] = []
    for r in get_tape(e):
        if r.op == LEAF:
            leaves.append(r)
        if (r.op == LEAF or r.op == ENTER) and r.rg:
            entries += 1
    del e.lvals[len(leaves) :]
    while len(e.lvals) < len(leaves):
        e.lvals.append(new_memory(leaves[len(e.lvals)].spec))
    del e.gleaves[entries:]
    while len(e.gleaves) < entries:
        e.gleaves.append(Hist(None, 0))


MAX_RECORDS: Final = 200_000  # records a thread may keep before it starts its tries afresh

ENTRIES: Final[list[Callable[[object], Optional[Tensor]]]] = []  # makes tensors of foreign operands
MATMULS: Final[list[Callable[[Tensor, Tensor], Tensor]]] = []  # `@` with PyTorch's cases


def new_root() -> list[Rec]:
    """Two empty tries: without and with gradient mode."""
    out = [Rec(ROOT, NONE, NONE, NONE, None, NONE, None) for _ in range(2)]
    for q in out:
        q.nxt = DUMMY
    return out


@mypyc_attr(allow_interpreted_subclasses=True)
class Recorder(Slow):
    """The slow path, all but running; ``flush.py`` completes it."""

    def use(self, e: Engine, t: Tensor) -> i64:
        return find(e, t)

    def branch(self, e: Engine, op: i64, a: i64, b: i64, c: i64, key: object) -> Rec:
        return new_branch(e, op, a, b, c, key)

    def bound(self, e: Engine) -> None:
        cur = e.cur
        if e.ready != e.epoch or cur.nlive != len(e.live) or cur.nnum != len(e.numbers) or cur.nleaf != len(e.lvals):
            mend(e)
        # No record follows depth `limit`, so only the slow path needs the test.
        end = e.cur.end
        if end >= settings.limit and (e.cur.nxt.op != FLUSH or end >= 2 * settings.limit):
            self.flush(e)

    def inplace(self, op: i64, x: Tensor, o: object) -> Tensor:
        if not isinstance(o, Tensor) and number_code(o) == NONE:
            t = self.operand(o)
            if t is None:
                raise TypeError(f"{OPS[op].name}_(): argument must be a Tensor or a number, not {type(o).__name__}")
            o = t
        return inplace(OPS[op], x, (o,), None)

    def operand(self, v: object) -> Optional[Tensor]:
        return ENTRIES[0](v) if ENTRIES else None

    def matmul(self, x: Tensor, y: Tensor) -> Tensor:
        return MATMULS[0](x, y)


def history(t: Tensor) -> Optional[Hist]:
    """Where ``t``'s gradient goes, for a value of an earlier stretch or a leaf."""
    f = t.fam
    return None if f is None else f.hist
