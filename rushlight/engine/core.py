"""The hot core: records, storages, the tensor handle, and recognition of what comes again.

Every record is a pure function of immutable slots.  A write is a record too (old base, new value,
region); what changes is only which slot a storage's value, a family's history and a handle stand
for.  When the program does the expected next thing, ``record1``/``record2`` compare a few integers
and step along; everything else goes through ``Slow``, implemented above (``trie.py``).  Compiled by
mypyc; runs as plain Python too.
"""

from __future__ import annotations

import itertools
import threading
from typing import Any, Final

from mypy_extensions import i64, mypyc_attr

from ..base.settings import settings
from ..graph.op import TABLE, Op, Spec
from ..graph.ops.elementwise import SCALED  # which fills the table, too
from .methods import Methods
from .records import (
    CREDIT,
    NONE,
    NUM_I,
    ROOT,
    Rec,
    Storage,
    in_int64,
    number_code,
    size_of,
)


class Hist:
    """Where a gradient goes: into ``grad`` (frame None: a leaf) or to a flushed stretch's slot."""

    grad: Tensor | None = None
    hooks: Any = None
    after: Any = None  # hooks that run when a leaf's ``grad`` is complete
    off: bool = False  # of a leaf: `requires_grad` was taken from it

    def __init__(self, frame: Frame | None, slot: int) -> None:
        self.frame: Frame | None = frame
        self.slot: int = slot


NOTHING: Final[dict[int, Any]] = {}  # never written to
TAKE: Final[Any] = next  # looked up once: compiled code asks for a builtin's name at each call
KEEP: Final = -1  # the number of the hook that `retain_grad` hangs
GONE: Final = -1  # the thread of a recorder that records nothing any more


class Frame:
    """A flushed stretch that something alive has its history in, with what its gradient needs."""

    __slots__ = ("calls", "freed", "gleaves", "hooks", "numbers", "packed", "posts", "rec",
                 "saved", "serial")  # fmt: skip

    def __init__(self, rec: Rec, gleaves: list[Hist], numbers: list[Any]) -> None:
        self.rec: Rec = rec
        self.gleaves: list[Hist] = gleaves
        self.numbers: list[Any] = numbers
        self.serial: int = TAKE(SERIALS)  # greater than those of what it was made from
        self.saved: dict[int, Any] = NOTHING
        self.freed: int = 0
        self.hooks: dict[int, Any] = NOTHING
        self.calls: dict[int, Any] = NOTHING
        self.posts: dict[int, Any] = NOTHING  # by slot: hooks that see what its node returned
        self.packed: bool = False  # are saved values in somebody else's keeping?


class Fam:
    """A base and its differentiable views: one history.  ``detach`` and ``data`` start a new one on
    the storage."""

    epoch: i64 = 0
    slot: i64 = NONE
    ver: i64 = 0  # the storage's version it matches
    hep: i64 = 0  # epoch and slot of the last write that made history
    hslot: i64 = NONE
    # A leaf that is a view has its history there, not at the base: (shape, strides, offset).
    root: Any = None
    # Of a rooted family: the storage's value without history.  Of one without history: the one
    # before, or what holds its gradient all the same, see `leaves.rewire` and `holding`.
    base: Fam | None = None
    # A view's own place in the history of `base` (see `handles.view_family`): a view is one
    # node, wherever stretches are cut.
    own: bool = False
    past: Hist | None = None  # where a kept gradient (`retain_grad`) was before the last write
    unheard: bool = False  # `.data`: no history hears of what is written through it
    writes: i64 = 0  # of one that is unheard: the writes through it

    def __init__(self, st: Storage, hist: Hist | None, rec: Rec) -> None:
        self.st: Storage = st
        self.hist: Hist | None = hist
        self.rec: Rec = rec


class Engine:
    """A recorder, one for each thread.  Epochs come from one counter, so no two share one."""

    __slots__ = (
        "busy", "calls", "credit", "cur", "dirty", "epoch", "fams", "gleaves", "gm", "hooks",
        "live", "lnow", "loose", "lvals", "met", "misses", "nflush", "now", "nplan", "nrec",
        "numbers", "pending", "policies", "policy", "ready", "roots", "runner", "sign", "solo",
        "sts", "tail", "taken", "tape", "tapecur", "thread", "tracer",
        "uses", "watch",
    )  # fmt: skip

    def __init__(self) -> None:
        self.roots: list[Rec] = [Rec(ROOT, NONE, NONE, NONE, None, NONE, None) for _ in range(2)]
        self.cur: Rec = self.roots[1]
        self.epoch: i64 = TAKE(EPOCHS)
        self.gm: bool = True  # gradient mode
        self.now: bool = False  # large exposed memory was read: run when its reader is recorded
        self.live: list[Tensor] = []  # every handle made in this epoch
        self.uses: list[Tensor] = []  # older handles registered as members
        self.lvals: list[Any] = []  # memory of the LEAF records
        self.lnow: list[int] = []  # places in lvals that are exposed memory itself
        self.gleaves: list[Hist] = []
        self.loose: dict[Any, int] = {}  # origins of history that came with saved values: slots
        self.sts: list[Storage] = []  # made or written in this epoch, in order
        self.fams: list[Fam] = []  # those whose history is of this epoch
        self.numbers: list[Any] = []
        self.calls: list[Any] = []  # custom functions met, by index
        self.hooks: dict[int, Any] = {}  # slot -> hooks on its gradient
        self.tape: list[Rec] = []  # slow path only: records by slot up to tapecur
        self.tapecur: Rec = self.roots[1]
        self.pending: i64 = 0  # bytes of inputs held
        self.ready: i64 = self.epoch  # of its lists: differs while a stretch is being closed
        self.dirty: bool = False  # an exception went through: the lists may be off, see `mend`
        self.tail: tuple[int, ...] | None = None  # the operations before the last forced end
        self.solo: bool = True  # of the first recorder: no second thread was started yet
        self.thread: int = threading.get_ident()
        self.taken: Engine | None = None  # whose stretch this is, when another thread runs it
        self.busy: i64 = 0  # above 0: in its middle; -1: waits for a thread, may be taken over
        self.runner: int = GONE  # the thread that runs a stretch that was taken over
        self.policy: Any = None  # autocast's, see graph/autocast.py
        self.policies: dict[Any, list[Rec]] = {}  # roots of the tries under other policies
        self.watch: Any = None  # a `noting.Noting` while a step is watched
        self.tracer: Any = None  # a `descent.Tracer` while each operation is looked at
        # New records the trie still takes; below zero they stay out of it, see `trie.adopt`.
        self.credit: i64 = CREDIT
        self.sign: i64 = 0  # of a stretch that is kept apart
        self.met: set[int] = set()  # signs of those that were
        self.misses: int = 0
        self.nflush: int = 0
        self.nplan: int = 0
        self.nrec: int = 0


@mypyc_attr(allow_interpreted_subclasses=True)
class Slow:
    """What the hot path needs from above; ``trie.py`` implements it."""

    def recorder(self) -> Engine:
        raise NotImplementedError("the recorder is not installed")

    def use(self, e: Engine, t: Tensor) -> i64:
        raise NotImplementedError("the recorder is not installed")

    def branch(self, e: Engine, op: i64, a: i64, b: i64, c: i64, key: object) -> Rec:
        raise NotImplementedError("the recorder is not installed")

    def bound(self, e: Engine) -> None:
        raise NotImplementedError("the recorder is not installed")

    def flush(self, e: Engine) -> None:
        raise NotImplementedError("the recorder is not installed")

    def operand(self, v: object, like: Tensor | None) -> Tensor | None:
        raise NotImplementedError("the recorder is not installed")

    def inplace(self, op: i64, x: Tensor, o: object) -> Tensor:
        raise NotImplementedError("the recorder is not installed")

    def matmul(self, x: Tensor, y: Tensor) -> Tensor:
        raise NotImplementedError("the recorder is not installed")

    def view(self, op: Op, x: Tensor, arg: object) -> Tensor:
        raise NotImplementedError("the recorder is not installed")

    def detach(self, x: Tensor) -> Tensor:
        raise NotImplementedError("the recorder is not installed")

    def fill(self, x: Tensor, value: object) -> Tensor:
        raise NotImplementedError("the recorder is not installed")

    def backward(self, x: Tensor) -> None:
        raise NotImplementedError("the recorder is not installed")

    def item(self, x: Tensor) -> object:
        raise NotImplementedError("the recorder is not installed")

    def needs_grad(self, x: Tensor) -> bool:
        raise NotImplementedError("the recorder is not installed")

    def require_grad(self, x: Tensor, flag: bool) -> None:
        raise NotImplementedError("the recorder is not installed")

    def refuse_grad(self, x: Tensor, g: Tensor | None) -> None:
        raise NotImplementedError("the recorder is not installed")


SLOW: Final[list[Slow]] = [Slow()]
GRADLESS: Final[list[Any]] = []  # who is told that `.grad` of what may be no leaf was asked for


@mypyc_attr(allow_interpreted_subclasses=True)
class Tensor(Methods):
    """A multi-dimensional array that records what is done to it: ``tensor``, ``zeros`` ..."""

    __slots__ = ("epoch", "fam", "rec", "reg", "slot", "st")

    def __init__(self, rec: Rec, epoch: i64) -> None:
        self.rec: Rec = rec
        # the guard of the hot path: slot is its value while this is the recorder's
        self.epoch: i64 = epoch
        self.slot: i64 = rec.slot
        self.st: Storage | None = None  # None: plain, nobody else can share its memory
        self.fam: Fam | None = None
        self.reg: i64 = 0  # the epoch in which it is registered as a member

    @property
    def shape(self) -> Any:
        r = self.rec
        size = r.size
        if size is None:  # made when first asked for: most values' shapes never are
            spec: Spec = r.spec
            size = spec.size
            if size is None:
                size = spec.size = size_of(spec.shape)
            r.size = size
        return size

    @property
    def dtype(self) -> Any:
        return self.rec.spec.dtype

    @property
    def device(self) -> Any:
        return self.rec.spec.device

    @property
    def grad(self) -> Tensor | None:
        """The gradient accumulated so far, None before the first backward."""
        h = grad_place(self)
        g = None if h is None else h.grad
        if g is None and (h is None or h.frame is not None) and GRADLESS:
            GRADLESS[0](self)
        return g

    @grad.setter
    def grad(self, g: Tensor | None) -> None:
        given: object = g  # plain Python takes anything
        if given is not None and not isinstance(given, Tensor):
            raise TypeError(
                "assigned grad expected to be a Tensor or None but got grad of type "
                f"{type(given).__name__}"
            )
        h = grad_place(self)
        if h is not None and (g is None or fits(self, g)):
            h.grad = g
        else:
            SLOW[0].refuse_grad(self, g)

    @property
    def requires_grad(self) -> bool:
        """Does a gradient flow into this tensor?"""
        return SLOW[0].needs_grad(self)

    @requires_grad.setter
    def requires_grad(self, flag: bool) -> None:
        SLOW[0].require_grad(self, flag)

    def __add__(self, o: object) -> Any:
        return binary(ADD, self, o)

    def __radd__(self, o: object) -> Any:
        return reflected(ADD, self, o)

    def __sub__(self, o: object) -> Any:
        return binary(SUB, self, o)

    def __rsub__(self, o: object) -> Any:
        return reflected(SUB, self, o)

    def __mul__(self, o: object) -> Any:
        return binary(MUL, self, o)

    def __rmul__(self, o: object) -> Any:
        return reflected(MUL, self, o)

    def __truediv__(self, o: object) -> Any:
        return binary(DIV, self, o)

    def __rtruediv__(self, o: object) -> Any:
        return reflected(DIV, self, o)

    def __neg__(self) -> Tensor:
        return record1(NEG, self, None)

    def __lt__(self, o: object) -> Any:
        return binary(LT, self, o)

    def __le__(self, o: object) -> Any:
        return binary(LE, self, o)

    def __gt__(self, o: object) -> Any:
        return binary(GT, self, o)

    def __ge__(self, o: object) -> Any:
        return binary(GE, self, o)

    def __eq__(self, o: object) -> Any:
        return binary(EQ, self, o)

    def __ne__(self, o: object) -> Any:
        return binary(NE, self, o)

    def __hash__(self) -> int:
        return id(self)

    def __iadd__(self, o: object) -> Any:
        return SLOW[0].inplace(ADD, self, o)

    def __isub__(self, o: object) -> Any:
        return SLOW[0].inplace(SUB, self, o)

    def __imul__(self, o: object) -> Any:
        return SLOW[0].inplace(MUL, self, o)

    def __itruediv__(self, o: object) -> Any:
        return SLOW[0].inplace(DIV, self, o)

    # The tensor layer puts its own in their place; a native class needs them to have the slots.
    def __len__(self) -> int:
        if not self.rec.spec.shape:
            raise TypeError("len() of a 0-d tensor")
        return int(self.rec.spec.shape[0])

    def __setitem__(self, key: object, value: object) -> None:
        raise NotImplementedError("indexing is installed by rushlight.tensor")

    def item(self) -> object:
        """The one element as a Python number; ``RuntimeError`` for a tensor with several."""
        return SLOW[0].item(self)


def spec_of(t: Tensor) -> Spec:
    """What is known of a tensor before it is computed; typed, which spares compiled code lookups by
    name."""
    spec: Spec = t.rec.spec
    return spec


EPOCHS: Final = itertools.count(2)
SERIALS: Final = itertools.count(1)  # of frames, whichever thread's
MAIN: Final = Engine()
# Once there are several threads: current epoch -> recorder; and thread -> recorder, which threads
# that take turns have only in their turn (see `turns.py`).
RECORDERS: Final[dict[int, Engine]] = {}
PRESENT: Final[dict[int, Engine]] = {}


def mine() -> Engine:
    """This thread's recorder."""
    if MAIN.solo:
        return MAIN
    e = PRESENT.get(threading.get_ident())
    return SLOW[0].recorder() if e is None else e


# ---------------------------------------------------------------- recording: the hot path
def record1(op: i64, x: Tensor, arg: object) -> Tensor:
    """The handle of ``op(x)``."""
    e = MAIN if MAIN.solo else mine()
    ep = e.epoch
    if x.epoch == ep:
        r = e.cur.nxt
        live = e.live
        if (
            r.op == op
            and r.a == x.slot
            and r.b == NONE
            and (r.key is arg or r.key == arg)
            and r.li == len(live)
        ):
            t = Tensor(r, ep)
            live.append(t)
            e.cur = r
            return t
    return slow_record(e, op, x, None, None, arg)


def record2(op: i64, x: Tensor, y: Tensor, arg: object) -> Tensor:
    """The handle of ``op(x, y)``."""
    e = MAIN if MAIN.solo else mine()
    ep = e.epoch
    if x.epoch == ep and y.epoch == ep:
        r = e.cur.nxt
        live = e.live
        if (
            r.op == op and r.a == x.slot and r.b == y.slot and r.c == NONE
            and (r.key is arg or r.key == arg) and r.li == len(live)
        ):  # fmt: skip
            t = Tensor(r, ep)
            live.append(t)
            e.cur = r
            return t
    return slow_record(e, op, x, y, None, arg)


def record3(op: i64, x: Tensor, y: Tensor, z: Tensor, arg: object) -> Tensor:
    """The handle of ``op(x, y, z)``."""
    e = MAIN if MAIN.solo else mine()
    ep = e.epoch
    if x.epoch == ep and y.epoch == ep and z.epoch == ep:
        r = e.cur.nxt
        live = e.live
        if (
            r.op == op and r.a == x.slot and r.b == y.slot and r.c == z.slot
            and (r.key is arg or r.key == arg) and r.li == len(live)
        ):  # fmt: skip
            t = Tensor(r, ep)
            live.append(t)
            e.cur = r
            return t
    return slow_record(e, op, x, y, z, arg)


def slow_record(
    e: Engine, op: i64, x: Tensor, y: Tensor | None, z: Tensor | None, arg: object
) -> Tensor:
    """Record an operation whose operands are not all current, or that is not the expected one."""
    slow = SLOW[0]
    if settings.eager:
        slow.bound(e)
    ep = e.epoch
    a = x.slot if x.epoch == e.epoch else slow.use(e, x)
    b: i64 = NONE
    c: i64 = NONE
    if y is not None:
        b = y.slot if y.epoch == e.epoch else slow.use(e, y)
    if z is not None:
        c = z.slot if z.epoch == e.epoch else slow.use(e, z)
    r = e.cur.nxt
    if (
        r.op != op or r.a != a or r.b != b or r.c != c or (r.key is not arg and r.key != arg)
        or r.li != len(e.live)
    ):  # fmt: skip
        slow.bound(e)
        ep = e.epoch
        a = x.slot if x.epoch == e.epoch else slow.use(e, x)
        if y is not None:
            b = y.slot if y.epoch == e.epoch else slow.use(e, y)
        if z is not None:
            c = z.slot if z.epoch == e.epoch else slow.use(e, z)
        if e.epoch == ep:
            r = peek(e, op, a, b, c, arg)
    if e.epoch != ep:  # another thread took the stretch over while an operand was waited for
        return slow_record(e, op, x, y, z, arg)
    return made(e, r)


def peek(e: Engine, op: i64, a: i64, b: i64, c: i64, key: object) -> Rec:
    """The record that comes next: the expected one, a known one, or a new branch; not entered."""
    r = e.cur.nxt
    if r.op != op or r.a != a or r.b != b or r.c != c or (r.key is not key and r.key != key):
        r = SLOW[0].branch(e, op, a, b, c, key)
    return r


def follow(e: Engine, op: i64, a: i64, b: i64, c: i64, key: object) -> Rec:
    """Step to the record that comes next; for records that bring nothing of their own."""
    r = peek(e, op, a, b, c, key)
    e.cur = r
    return r


def made(e: Engine, r: Rec) -> Tensor:
    """Enter a record that gives the user a handle.  What it brings is appended before the step: an
    exception in between leaves lists that are too long, which the next record notices."""
    t = Tensor(r, e.epoch)
    e.live.append(t)
    e.cur = r
    if e.now:
        SLOW[0].flush(e)
    return t


def binary(op: i64, x: Tensor, o: object) -> Any:
    """``x op o`` for a tensor or a Python number."""
    if isinstance(o, Tensor):
        return record2(op, x, o, None)
    code = number_code(o)
    if code != NONE:
        return with_number(op, x, o, code, False, None)
    t = SLOW[0].operand(o, x)
    return NotImplemented if t is None else record2(op, x, t, None)


def reflected(op: i64, x: Tensor, o: object) -> Any:
    """``o op x`` for a Python number (or what can be made a tensor)."""
    me: object = (
        x  # called by name on what is no tensor, the method refuses; compiled code does anyway
    )
    if not isinstance(me, Tensor):
        raise TypeError(f"a reflected operator of Tensor does not apply to {type(me).__name__}")
    if isinstance(o, Tensor):
        return record2(op, o, x, None)
    code = number_code(o)
    if code != NONE:
        return with_number(op, x, o, code, True, None)
    t = SLOW[0].operand(o, x)
    return NotImplemented if t is None else record2(op, t, x, None)


def with_number(op: i64, x: Tensor, v: object, code: i64, swap: bool, key: object) -> Tensor:
    """``x op v``, or ``v op x``: the number is a run-time input, never part of what is
    recognised."""
    e = MAIN if MAIN.solo else mine()
    if e.now:
        SLOW[0].bound(e)
    if code == NUM_I and not in_int64(v):
        raise RuntimeError("value cannot be converted to type int64_t without overflow")
    a = x.slot if x.epoch == e.epoch else SLOW[0].use(e, x)
    b: i64 = code
    if swap:
        b = a
        a = code
    r = e.cur.nxt
    numbers = e.numbers
    if (
        r.op != op or r.a != a or r.b != b or r.c != NONE or r.key is not key
        or r.li != len(e.live) or r.sidx != len(numbers)
    ):  # fmt: skip
        SLOW[0].bound(e)
        a = x.slot if x.epoch == e.epoch else SLOW[0].use(e, x)
        b = code
        if swap:
            b = a
            a = code
        r = peek(e, op, a, b, NONE, key)
        numbers = e.numbers
    numbers.append(v)
    return made(e, r)


def scaled(x: Tensor, v: object) -> Tensor:
    """``x * v`` for a number, as a part of another operation: see `elementwise.SCALED`."""
    code = number_code(v)
    if code != NONE:
        return with_number(MUL, x, v, code, False, SCALED)
    made: Tensor = binary(MUL, x, v)
    return made


def grad_place(t: Tensor) -> Hist | None:
    """Where ``t.grad`` is kept; None where there is none."""
    f = t.fam
    if f is None:
        return None
    region = t.rec.region
    h = f.hist
    if h is None:
        if f.past is not None:
            return f.past if region is f.root else None
        b = f.base  # of one that wants no gradient: holds what it was given
        return b.hist if b is not None and f.root is None and region == b.root else None
    return h if region is None or region is f.root else None


def fits(t: Tensor, g: Tensor) -> bool:
    """Can ``g`` be ``t``'s gradient?"""
    a = spec_of(t)
    b = spec_of(g)
    return bool(a.shape == b.shape and a.dtype is b.dtype and a.device == b.device)


ADD: Final[i64] = TABLE["add"].code
SUB: Final[i64] = TABLE["sub"].code
MUL: Final[i64] = TABLE["mul"].code
DIV: Final[i64] = TABLE["div"].code
NEG: Final[i64] = TABLE["neg"].code
LT: Final[i64] = TABLE["lt"].code
LE: Final[i64] = TABLE["le"].code
GT: Final[i64] = TABLE["gt"].code
GE: Final[i64] = TABLE["ge"].code
EQ: Final[i64] = TABLE["eq"].code
NE: Final[i64] = TABLE["ne"].code
