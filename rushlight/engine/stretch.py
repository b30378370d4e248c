"""A stretch's life: where it ends by itself, how it is closed, how it is mended after an exception
in its middle."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any, Final

from mypy_extensions import i64

from ..base.settings import settings
from ..runtime.buffer import Buffer
from .core import EPOCHS, GONE, MAIN, RECORDERS, SLOW, TAKE, Engine, Hist, Tensor
from .memory import new_memory
from .records import BACKWARD, DUMMY, FLUSH, ROOT, TEMPLATE, Rec, forget
from .trie import ENTER, LEAF, WATCH, get_tape, new_root
from .turns import COMPILED, engaged, look_at, rest

MAX_RECORDS: Final = 50_000  # records a thread may keep before it starts its tries afresh


def clear(e: Engine) -> None:
    """An empty stretch in a new epoch.  The first statement ends the old one: no handle is current
    any more."""
    e.epoch = TAKE(EPOCHS)
    finish_clear(e)


def start_afresh(e: Engine) -> None:
    """Nothing is recognised any more."""
    tries = [e.roots, *e.policies.values()]
    e.nrec = 0
    e.roots = new_root()
    e.policies = {}
    for trie in tries:
        forget(trie)


def finish_clear(e: Engine) -> None:
    """The rest of `clear`: may be done again after an interrupt."""
    if e.nrec > MAX_RECORDS:
        start_afresh(e)
    e.cur = e.roots[1 if e.gm else 0]
    e.live = []
    e.uses = []
    e.lvals = []
    e.gleaves = []
    if e.loose:
        e.loose = {}
    # Most stretches leave these empty: who keeps one of them beyond the stretch copies it.
    if e.sts:
        e.sts = []
    if e.fams:
        e.fams = []
    if e.numbers:
        e.numbers = []
    if e.lnow:
        e.lnow = []
    if e.hooks:
        e.hooks = {}
    if e.calls:
        e.calls = []
    if e.tape:
        e.tape = []
    e.tapecur = e.cur
    # nothing is current after a run, so every operation then takes the slow path
    e.now = settings.eager or e.tracer is not None
    e.dirty = False
    e.pending = 0
    e.nflush += 1
    if not MAIN.solo:
        RECORDERS.pop(int(e.ready), None)
        if e.thread != GONE:
            RECORDERS[int(e.epoch)] = e
    e.ready = e.epoch


def mend(e: Engine) -> None:
    """Bring the lists in step with the path after an exception (an interrupt, a failed allocation)
    in the recorder.

    What was not entered is dropped; what was entered without what it brought gets a stand-in that
    nothing refers to.
    The stretch is then worked out afresh when it is run.
    """
    if e.ready != e.epoch:
        finish_clear(e)
        return
    cur = e.cur
    if cur.op == ROOT:
        clear(e)  # nothing was entered
        return
    e.dirty = True
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


# ---------------------------------------------------------------- where a stretch ends by itself
TAIL: Final = 48  # operations that have to repeat for a loop to be recognised at a forced end


def bound(e: Engine) -> None:
    """Called before anything new is recorded: mends, and ends a stretch that has become too long or
    too large.

    A known path is followed without this test, so a stretch met again ends where it ended the first
    time.
    """
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
    elif e.dirty and cur.op == ROOT:
        clear(e)
        cur = e.cur
    if settings.eager or e.tracer is not None:
        e.now = True
    if cur.end >= settings.limit // 4:
        if cur.nxt.op == FLUSH:
            SLOW[0].flush(e)  # it ended here before
            return
        if cur.op == BACKWARD or cur.op == TEMPLATE:
            SLOW[0].flush(e)  # a soft end: after a backward
            return
        if cur.end >= settings.limit:
            force(e)
            return
    if e.pending > settings.pending_bytes:
        if WATCH:
            WATCH[0].deliver(e)
        held = 0
        for v in e.lvals:
            if sys.getrefcount(v) <= LVAL_BASE[0]:
                held += v.nbytes
        e.pending = held
        if held > settings.pending_bytes:
            SLOW[0].flush(e)


def force(e: Engine) -> None:
    """End a stretch that has no natural end.  A loop of k operations is cut at the same place of
    its body each time,
    so that it gets one plan and not k of them."""
    ops = tail_of(e.cur)
    if e.tail is None or ops == e.tail or e.cur.end >= 2 * settings.limit:
        e.tail = ops
        SLOW[0].flush(e)


def tail_of(r: Rec) -> tuple[int, ...]:
    """The codes of the last operations, without memory that enters."""
    out: list[int] = []
    q: Rec | None = r
    while q is not None and q.op != ROOT and len(out) < TAIL:
        if q.op != LEAF:
            out.append(int(q.op))
        q = q.parent
    return tuple(out)


def count_lval() -> int:
    """References that a value has which only ``lvals`` holds, as `bound` counts them."""
    values: list[Any] = [Buffer(8)]
    for v in values:
        return sys.getrefcount(v)
    return 2


LVAL_BASE: Final = [count_lval()]


# ---------------------------------------------------------------- other threads
def foreign(e: Engine, epoch: int) -> None:
    """A tensor that is pending in another thread's recorder: run it.

    The other thread's stretch is taken over whole and run here; that thread goes on with an empty
    one.  While this thread waits for the other to be outside, its own stretch may be taken over
    likewise, so that two threads never wait for each other: who holds slots compares epochs
    afterwards.
    """
    while True:
        owner = RECORDERS.get(epoch)
        if owner is None or owner is e or owner.epoch != epoch:
            return  # it has been run
        if not held(owner):
            break
        rest(e)
    if owner.taken is None:
        owner = take(owner, epoch)
    owner.runner = threading.get_ident()
    SLOW[0].flush(owner)


def held(owner: Engine) -> bool:
    """Is a stretch in use, so that it cannot be run from here?  Nothing comes between this and what
    is then done: compiled it is one go, in plain Python it is this thread's turn."""
    thread = owner.thread if owner.taken is None else owner.runner
    if not COMPILED:
        return thread != threading.get_ident() and bool(look_at(thread, engaged))
    # Compiled code shows no frames: where it may let other threads run, it says so itself.
    if owner.busy:
        return owner.busy > 0 and owner.runner != threading.get_ident()
    return bool(look_at(owner.thread, in_whole))


def in_whole(frame: Any) -> bool:
    """Has a thread with this innermost frame one in a package of `WHOLE`?"""
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(PACKAGE) and name[len(PACKAGE) :].split(os.sep, 1)[0] in WHOLE:
            return True
        frame = frame.f_back
    return False


def undisturbed(e: Engine, epoch: i64) -> None:
    """Slots of the stretch are in hand that cannot be asked for again: it has to be the same."""
    if e.epoch != epoch:
        raise RuntimeError(
            "another thread used the tensors of this one in the middle of a backward pass: threads "
            "that train the same tensors have to take turns (a threading.Lock around the step)"
        )


def take(owner: Engine, epoch: int) -> Engine:
    """Another recorder with the owner's stretch; the owner has an empty one."""
    thief = Engine()
    thief.thread = GONE
    thief.roots = owner.roots
    thief.cur = owner.cur
    thief.gm = owner.gm
    thief.live = owner.live
    thief.uses = owner.uses
    thief.lvals = owner.lvals
    thief.lnow = owner.lnow
    thief.gleaves = owner.gleaves
    thief.loose = owner.loose
    thief.sts = list(owner.sts)
    thief.fams = list(owner.fams)
    thief.numbers = list(owner.numbers)
    thief.hooks = owner.hooks
    thief.calls = owner.calls
    thief.tapecur = DUMMY
    thief.dirty = True  # worked out for itself: the owner may be walking the same trie
    thief.taken = owner
    thief.epoch = epoch
    thief.ready = epoch
    clear(owner)
    RECORDERS[epoch] = thief
    return thief


PACKAGE: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
WHOLE: Final = frozenset({"base", "engine", "graph", "compiler", "codegen", "runtime", "tensor"})
