"""Running what is pending: recognise the plan, run it, hand values to handles, storages and
frames."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from mypy_extensions import i64, mypyc_attr

from ..base.dtype import ALL, array_type
from ..base.shape import is_contiguous, is_dense, numel
from ..graph.op import Spec
from ..runtime.buffer import Buffer
from ..runtime.native import live_helpers
from ..runtime.scalars import readers
from .backward import backward_root
from .core import MAIN, SLOW, Engine, Fam, Frame, Hist, Tensor, mine
from .execute import CLOCK, Due, run_plan
from .handles import KEYS, OWN_BASE, find, lost, needs_grad, reachable
from .leaves import entered, require_grad, set_grad
from .memory import Held, address_of, base_array, new_memory, of_array, region_array
from .plan import FlushInfo, plan_flush
from .record import Recorder, assign
from .records import (
    CREDIT,
    FLUSH,
    NONE,
    ROOT,
    Rec,
    Storage,
    enter,
    follower,
    size_of,
    succeed,
)
from .staying import alone, put_back, where_it_lies
from .stretch import bound, clear, foreign, mend
from .trie import LEAF, WATCH, came_again, forget_path, new_branch
from .turns import apart, find_recorder, watch_threads
from .view_places import shares, view_family

MAX_VARIANTS: Final = (
    8  # sets of held handles a stretch makes plans for; then it computes their union
)


def flush_slow(e: Engine, cur: Rec, mask: bytes) -> Rec:
    """The FLUSH record for what the user holds: known, or worked out now."""
    q = follower(cur, mask)
    if q is not None:
        cur.nxt = q
        return q
    variants = [k for k in cur.alts if isinstance(k, bytes)]
    if len(variants) >= MAX_VARIANTS:
        union = bytes([1 if any(col) else 0 for col in zip(mask, *variants)])
        q = follower(cur, union)
        if q is None:
            for k in variants:
                if k != union:
                    del cur.alts[k]
            q = make_flush(e, cur, union)
        # the union is met again through `mask` as well
        enter(cur, mask, q)
        cur.nxt = q
        return q
    return make_flush(e, cur, mask)


def one_off(e: Engine, cur: Rec, mask: bytes) -> Rec:
    """A FLUSH record for this time only: an exception went through the recorder."""
    r = Rec(FLUSH, NONE, NONE, NONE, None, cur.end, cur)
    r.mask = mask
    r.info = plan_flush(e, cur, mask)
    return r


def make_flush(e: Engine, cur: Rec, mask: bytes) -> Rec:
    """Work out a stretch that ends here for these held handles."""
    r = Rec(FLUSH, NONE, NONE, NONE, None, cur.end, cur)
    r.mask = mask
    r.info = plan_flush(e, cur, mask)
    e.nplan += 1
    if cur.apart:
        r.apart = True
        came_again(e, mask)
    else:
        succeed(cur, r)
        e.nrec += 1
    if WATCH:
        WATCH[0].planned(e, r)
    return r


LIVE: Final[list[Any]] = []  # livemask, livecheck


def flush_engine(e: Engine) -> None:
    """Run everything pending in a recorder."""
    e.busy += 1
    try:
        run_pending(e)
    finally:
        e.busy -= 1


def run_pending(e: Engine) -> None:
    """The stretch, and an empty one after it."""
    cur = e.cur
    if (
        e.ready != e.epoch
        or cur.nlive != len(e.live)
        or cur.nnum != len(e.numbers)
        or cur.nleaf != len(e.lvals)
        or cur.nent != len(e.gleaves)
    ):
        mend(e)
        cur = e.cur
    e.now = False
    if cur.op == ROOT:
        if e.dirty:
            clear(e)
        return
    live = e.live
    if not LIVE:
        LIVE.extend((live_helpers().livemask, live_helpers().livecheck))
    r = cur.nxt
    if e.dirty:
        r = one_off(e, cur, LIVE[0](live))
    elif r.op != FLUSH or not LIVE[1](live, r.mask):
        r = flush_slow(e, cur, LIVE[0](live))
    elif e.credit < CREDIT:
        e.credit = min(CREDIT, e.credit + cur.end)
    info: FlushInfo = r.info
    if info.nsts != len(e.sts) or info.nentries != len(e.gleaves):
        e.dirty = True
        r = one_off(e, cur, LIVE[0](live))
        info = r.info
    if CHECKING[0]:
        fresh = plan_flush(e, cur, r.mask)
        if info.describe() != fresh.describe():
            raise AssertionError(
                f"a recognised stretch differs:\n{info.describe()}\n{fresh.describe()}"
            )
    # The stretch is over whatever happens next: the recorder is whole before anything runs.
    sts, fams, lvals, lnow, gleaves, numbers = e.sts, e.fams, e.lvals, e.lnow, e.gleaves, e.numbers
    hooks, calls, ep = e.hooks, e.calls, e.epoch
    if CLOCK:
        outs, failed = CLOCK[0](run_plan, info, lvals, numbers)
    else:
        outs, failed = run_plan(info, lvals, numbers)
    if e.watch is not None:
        e.watch.flushed(e, r, outs)
    if lnow:  # nothing that outlives this run may be exposed memory itself
        # In place and before anything is written there: after an interrupt below, the stretch is
        # run again on what the memory held before.
        for k in lnow:
            if k < len(lvals) and not isinstance(lvals[k], Buffer):
                lvals[k] = lvals[k].copy()
    frame: Frame | None = None
    if info.roots:
        frame = Frame(r, gleaves, numbers if numbers else [])
        frame.freed = info.freed
        if info.saved_at:
            saved: dict[int, Any] = {}
            for s, at in info.saved_at:
                v = outs[at] if at >= 0 else lvals[~at]
                if v is not None:
                    saved[s] = v
            frame.saved = saved
        if hooks:
            frame.hooks = hooks
        if calls:
            frame.calls = dict(enumerate(calls))
    for i, at in info.plain_at:
        v = outs[at] if at >= 0 else lvals[~at]
        if v is None:
            continue  # its computation failed: the handle stays without a value
        t = live[i]
        rec = t.rec
        st = Storage(v, rec.spec)
        t.fam = Fam(st, Hist(frame, int(t.slot)), rec) if rec.rg else None
        t.st = st
    for i, s in info.views:
        t = live[i]
        f = t.fam
        if t.epoch == ep and f is not None and shares(t, f):
            own = view_family(f, t.rec)
            own.hist = Hist(frame, s)
            t.fam = own
    for k, s, at in info.stores_at:
        st = sts[k]
        v = outs[at] if at >= 0 else lvals[~at]
        if failed is not None and not isinstance(failed, Due):
            v = before_failure(info, s, outs, lvals)
        elif st.slot != s:
            continue
        if v is None:
            continue
        if st.exposed and reachable(st):
            base_array(st.mem, st.spec)[...] = base_array(v, st.spec)
        elif not st.fixed or not put_back(st, v, lvals):
            st.mem = v
            st.own = None
        st.old = True
    for f in fams:
        if f.hep == ep and f.rec.rg:
            h = Hist(frame, int(f.hslot))
            if f.past is not None:
                h.grad = f.past.grad
                f.past = None
            f.hist = h
    if failed is not None:
        sts = list(sts)
    clear(e)
    if cur.apart and not info.roots:
        forget_path(cur)
    if failed is not None:
        if not isinstance(failed, Due):
            raise failed
        failed.deliver(e, sts, gleaves, live)
    if frame is not None and e.tracer is not None:
        apart(e.tracer.ran, frame)


def before_failure(info: FlushInfo, slot: int, outs: list[Any], lvals: list[Any]) -> Any:
    """The last value a storage had before the record that failed; None when it had none."""
    recs = info.recs
    while True:
        at = info.at.get(slot)
        if at is not None:
            v = outs[at] if at >= 0 else lvals[~at]
            if v is not None:
                return v
        r = recs[slot]
        if r.op == LEAF:
            return None
        if r.row.kind in ("write", "alias") and r.srcs and r.srcs[0] >= 0:
            slot = r.srcs[0]
        else:
            return None


CHECKING: Final = [False]  # re-derive every recognised plan and compare (tests)


@mypyc_attr(allow_interpreted_subclasses=True)
class Running(Recorder):
    """The whole slow path."""

    def recorder(self) -> Engine:
        return find_recorder()

    def flush(self, e: Engine) -> None:
        flush_engine(e)

    def item(self, x: Tensor) -> object:
        return item(x)

    def backward(self, x: Tensor) -> None:
        backward_root(x, False, False)

    def needs_grad(self, x: Tensor) -> bool:
        return needs_grad(x)

    def require_grad(self, x: Tensor, flag: bool) -> None:
        require_grad(x, flag)

    def refuse_grad(self, x: Tensor, g: Tensor | None) -> None:
        set_grad(x, g)


# ---------------------------------------------------------------- outside
def current(t: Tensor) -> Storage:
    """The storage of ``t`` with its value computed."""
    e = mine()
    if e.watch is not None:
        e.watch.read(t)
    if not MAIN.solo:
        s = t.st
        epoch = int(t.epoch) if s is None else int(s.epoch)
        if epoch != int(e.epoch):
            foreign(e, epoch)
    s = t.st
    if s is None or (s.epoch == e.epoch and s.slot != s.leaf):
        flush_engine(e)
        s = t.st
    if s is None or s.mem is None:
        raise lost(t)
    return s


def read(t: Tensor) -> Any:
    """The current value as a read-only array."""
    s = current(t)
    region = t.rec.region
    a = base_array(s.mem, s.spec) if region is None else region_array(s.mem, s.spec, region)
    a.flags.writeable = False
    return a


def item(t: Tensor) -> object:
    """The one element as a Python number."""
    f = t.rec.reader
    if f is None:
        f = reader_of(t.rec)
    s = current(t)
    m = s.mem
    at: i64 = address_of(m)
    r = t.rec  # a run may have changed it
    region = r.region
    if region is not None:
        at += region[2] * r.spec.dtype.itemsize
    if f is GENERIC:
        return m.array(array_type(r.spec.dtype), (), None, at - address_of(m)).item()
    return f(at)


def reader_of(r: Rec) -> Any:
    """What reads the one element of a value like the record's at an address."""
    spec: Spec = r.spec
    if numel(spec.shape) != 1:
        raise RuntimeError(
            f"a Tensor with {numel(spec.shape)} elements cannot be converted to Scalar"
        )
    if not READERS:
        READERS.extend(native_readers())
    f = READERS[spec.dtype.code]
    r.reader = GENERIC if f is None else f
    return r.reader


def expose(t: Tensor) -> Any:
    """An array that shares the tensor's memory."""
    current(t)
    e = mine()
    flush_engine(e)  # pending readers of the old value run before anybody can write
    s = t.st
    assert s is not None
    if not (s.exposed and reachable(s)):
        n = max(numel(s.spec.shape), 1)
        own = where_it_lies(s) if s.fixed else None
        if own is None:
            own = np.empty(n, array_type(s.spec.dtype))
            window = np.ndarray((n,), own.dtype, own)
            m = Held(window)
            base_array(m, s.spec)[...] = base_array(s.mem, s.spec)
        else:
            m = Held(np.ndarray((n,), own.dtype, own))
        s.mem = m
        s.own = own
        s.exposed = True
        del own
    t.epoch = 0
    region = t.rec.region
    d = array_type(s.spec.dtype)
    size = d.itemsize
    if region is None:
        shape, strides, offset = s.spec.shape, s.spec.strides, 0
    else:
        shape, strides, offset = region
    # what the user gets refers to the owner, so that its references tell who can reach the memory
    holder = s.own
    if holder is None:
        return s.mem.array(d, shape, tuple([q * size for q in strides]), offset * size)
    start = s.mem.address - holder.__array_interface__["data"][0]
    return np.ndarray(shape, d, holder, start + offset * size, tuple([q * size for q in strides]))


def overwritten(t: Tensor) -> Any:
    """A writable array over all memory of ``t``, whose values are gone; None where a write has to
    be recorded: a view, exposed or watched memory, a write that a gradient would know of, or more
    than one thread that records."""
    e = mine()
    spec: Spec = t.rec.spec
    if (
        e.watch is not None
        or not MAIN.solo
        or t.rec.region is not None
        or (e.gm and (len(e.gleaves) > 0 or needs_grad(t)))  # a graph that is being made goes on
        or numel(spec.shape) == 0
    ):
        return None
    s = t.st
    if s is None or s.epoch == e.epoch:  # what is pending reads the old value, or makes it in vain
        assign(t, entered(Storage(new_memory(spec), spec), None))
        flush_engine(e)
        s = t.st
        assert s is not None
    if s.spec.strides != spec.strides or reachable(s):
        return None
    if not isinstance(s.mem, Buffer) or s.mem.is_shared() or not alone(s):
        s.mem = new_memory(s.spec)  # the old value is saved for a gradient, or read elsewhere
        s.own = None
    s.ver += 1
    f = t.fam
    if f is not None and f.unheard:
        f.writes += 1
        s.silent += 1
    else:
        s.heard = s.ver
    return base_array(s.mem, s.spec)


def from_numpy(a: Any, spec: Spec) -> Tensor:
    """A tensor on an array's memory; ``spec``: its type.  A strided array is a view of a flat
    window."""
    own = a
    while isinstance(own.base, np.ndarray):
        own = own.base
    size = a.itemsize
    flat = bool(a.flags.c_contiguous)
    if not flat and min(a.strides) < 0:
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors "
            "with negative strides are not "
            "currently supported. (You can probably work around this by making a "
            "copy of your array with array.copy().)"
        )
    if not flat and any(q % size for q in a.strides):
        raise ValueError(
            "given numpy array strides not a multiple of the element byte size. "
            "Copy the numpy array."
        )
    n = (
        a.size
        if flat or a.size == 0
        else 1 + sum([(d - 1) * (q // size) for d, q in zip(a.shape, a.strides)])
    )
    known = (
        own.base is None
        and own.flags.owndata
        and type(own) is np.ndarray
        and own.flags.c_contiguous
    )
    if known and own.dtype.hasobject:
        known = False
    if known:  # refer to the owner only, not to the user's view of it
        start = a.__array_interface__["data"][0] - own.__array_interface__["data"][0]
        window = np.ndarray((n,), a.dtype, own, start if n else 0)
    else:
        window = np.lib.stride_tricks.as_strided(a, (n,), (size,))
    base = (
        Spec(a.shape, spec.dtype, None, spec.device)
        if flat
        else Spec((n,), spec.dtype, None, spec.device)
    )
    t = entered(Storage(Held(window), base), None)
    s = t.st
    assert s is not None
    s.exposed = True
    if known:
        s.own = own
    if not flat and a.size:
        r = Rec(ROOT, NONE, NONE, NONE, None, NONE, None)
        strides = tuple([q // size for q in a.strides])
        r.spec = Spec(a.shape, spec.dtype, strides, spec.device)
        r.size = size_of(a.shape)
        r.region = (a.shape, strides, 0)
        r.dense = is_dense(a.shape, strides)
        t.rec = r
    return t


def from_array(a: Any, dtype: Any, device: Any) -> Tensor:
    """A tensor with a copy of the array's elements (already of the right NumPy type)."""
    spec = Spec(a.shape, dtype, None, device)
    return entered(Storage(of_array(a), spec), None)


def own_array(a: Any, dtype: Any, device: Any) -> Tensor:
    """A tensor that takes over a fresh contiguous array nobody else refers to."""
    spec = Spec(a.shape, dtype, None, device)
    if (
        not is_contiguous(a.shape, tuple([q // a.itemsize for q in a.strides]))
        or not a.flags.owndata
        or a.size == 0
    ):
        return from_array(a, dtype, device)
    return entered(Storage(Held(a.reshape(-1)), spec), None)


def table_spec(shape: tuple[int, ...], dtype: Any, where: Any) -> Spec:
    """What describes memory that is a table of ours: it enters with arguments of its own, which
    say that a gradient which reads it saves nothing (see `tape.fixed`)."""
    key = (shape, dtype, where)
    found = TABLES.get(key)
    if found is None:
        if len(TABLES) >= MOST_TABLES:
            TABLES.clear()
        found = Spec(shape, dtype, None, where)
        keys: list[Any] = []
        for loose in (False, True):
            for rg in (False, True):
                arg = (shape, dtype, found.strides, where, rg, loose, True)
                keys.append(KEYS.setdefault(arg, arg))
        found.keys = tuple(keys)
        TABLES[key] = found
    return found


TABLES: Final[dict[Any, Spec]] = {}
MOST_TABLES: Final = 1024


def table(a: Any, dtype: Any, device: Any) -> Tensor:
    """A tensor with an array's elements that are no data but say how an operation reads (places,
    weights, a mask worked out from shapes alone): PyTorch's operation saves nothing there."""
    t = own_array(np.ascontiguousarray(a), dtype, device)
    s = t.st
    assert s is not None
    s.spec = table_spec(s.spec.shape, dtype, device)
    return t


GENERIC: Final = object()  # stands for a type without a native reader
READERS: Final[
    list[Any]
] = []  # by dtype code: from an address to a Python number, None where not native


def native_readers() -> list[Any]:
    """By dtype code: from an address to a Python number, None where not native."""
    found = readers()
    return [None if d.narrow else found.get(d.numpy) for d in ALL]


def calibrate() -> None:
    """How many references an owner has that only its storage can reach."""
    own = np.empty(4)
    s = Storage(None, None)
    s.own = own
    window = np.ndarray((4,), own.dtype, own)
    s.mem = Held(window)
    del own
    del window
    for k in range(1, 64):
        s.exposed = True
        OWN_BASE[0] = k
        if not reachable(s):
            break


def start() -> None:
    """Install the recorder."""
    slow = Running()
    if __file__.endswith(".py"):  # interpreted: straight to what these methods call
        direct = (("use", find), ("branch", new_branch), ("bound", bound), ("flush", flush_engine))
        for name, function in (*direct, ("item", item), ("recorder", find_recorder)):
            setattr(slow, name, function)
    SLOW[0] = slow
    calibrate()
    watch_threads()


start()
