"""An optimiser step as one record: its rule's records, and writes into the tensors' own
storages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ..graph.op import TABLE
from ..graph.value import Val
from .core import SLOW, Engine, Tensor, mine, record1
from .handles import find, promote, written
from .record import assign, detach, set_grad_enabled
from .records import FLUSH, MANY, NONE, ROOT, STEP, Rec, follower
from .stretch import mend
from .tape import Tape
from .trie import LEAF, adopt, get_tape

Rule = Callable[..., Any]
COPY: Final = TABLE["copy"]
RELAYOUT: Final = TABLE["relayout"]


def update(rule: Rule, columns: list[tuple[Tensor, ...]], numbers: list[Any], arg: Any) -> None:
    """One optimiser step.

    ``columns``: for each parameter the tensors the rule reads and writes (parameter, gradient,
    state ...).
    ``rule(tensors, numbers, arg)`` gives for each tensor its new value, or None where it stays;
    written in rows.
    ``numbers`` are run-time inputs shared by all columns; ``arg`` is static.  Tensors that are
    views are stepped as copies, which are then written to where they belong.
    """
    if not columns:
        return
    for v in numbers:
        if isinstance(v, Tensor):  # read before anything of the step is recorded
            numbers = [w.item() if isinstance(w, Tensor) else w for w in numbers]
            break
    e = mine()
    SLOW[0].bound(e)
    op = e.cur.nxt.op
    if op in (ROOT, FLUSH) and varies(e, rule, columns, arg):
        SLOW[0].flush(e)
    found: list[int] = []
    ep = e.epoch
    for column in columns:
        for t in column:
            found.append(int(t.slot if t.epoch == ep else find(e, t)))
    if e.epoch != ep:  # another thread took the stretch over while a tensor was waited for
        update(rule, columns, numbers, arg)
        return
    srcs = tuple(found)
    r = e.cur.nxt
    if e.cur.nnum != len(e.numbers):
        mend(e)
    if r.op != STEP or r.srcs != srcs or r.arg is not rule or r.key != arg:
        made = step_record(e, rule, columns, srcs, numbers, arg)
        if made is None:
            step_views(rule, columns, numbers, arg)
            return
        r = made
    was = e.dirty
    e.dirty = True  # until path and storages agree again
    e.numbers.extend(numbers)
    e.cur = r
    j = 0
    writes: list[tuple[int, Rec]] = r.grads
    flat = len(writes)
    k = 0
    for column in columns:
        for t in column:
            if j < flat and writes[j][0] == k:
                overwrite(e, t, writes[j][1])
                j += 1
            k += 1
    e.dirty = was
    e.now = False
    SLOW[0].flush(e)


def step_views(rule: Rule, columns: list[tuple[Tensor, ...]], numbers: list[Any], arg: Any) -> None:
    """One step of tensors some of which are views."""
    before = set_grad_enabled(False)
    try:
        copies: list[tuple[Tensor, Tensor]] = []
        whole: list[tuple[Tensor, ...]] = []
        for column in columns:
            tensors: list[Tensor] = []
            for t in column:
                if t.rec.region is None:
                    tensors.append(t)
                else:
                    made = record1(COPY.code, detach(t), None)
                    copies.append((t, made))
                    tensors.append(made)
            whole.append(tuple(tensors))
        versions = [writes_of(made) for _, made in copies]
        update(rule, whole, numbers, arg)
        for i in range(len(copies)):
            t, made = copies[i]
            if writes_of(made) != versions[i]:  # a gradient stays as it is
                assign(t, made)
    finally:
        set_grad_enabled(before)


def writes_of(t: Tensor) -> int:
    """How often a tensor's memory was written."""
    return 0 if t.st is None else int(t.st.ver)


STEPS: Final[dict[Any, int]] = {}  # what is stepped -> how many records of it came after others
SIZES: Final = 4  # so many of them: what comes before varies


def stepped(rule: Rule, columns: list[tuple[Tensor, ...]], arg: Any) -> Any:
    """What tells one optimiser's steps from another's."""
    return (id(rule), arg, len(columns), columns[0][0].rec.spec.shape)


def varies(e: Engine, rule: Rule, columns: list[tuple[Tensor, ...]], arg: Any) -> bool:
    """Is what comes before the step new again and again (batches of many sizes)?  Then the stretch
    ends before it, so that the step itself is recognised, and compiled once for all of them."""
    last = e.cur.op
    if last in (ROOT, LEAF):
        return False
    return STEPS.get(stepped(rule, columns, arg), 0) >= SIZES


def overwrite(e: Engine, t: Tensor, new: Rec) -> None:
    """The tensor's storage now holds a step's result; its history stays what it was."""
    s = t.st
    if s is None:
        promote(t)
        s = t.st
        assert s is not None
    written(e, s, new)


def step_record(
    e: Engine,
    rule: Rule,
    columns: list[tuple[Tensor, ...]],
    srcs: tuple[int, ...],
    numbers: list[Any],
    arg: Any,
) -> Rec | None:
    """The record of an optimiser step: its rule applied to every column; None where a tensor is a
    part of other memory."""
    cur = e.cur
    key = (STEP, id(rule), NONE, MANY, (arg, srcs))
    q = follower(cur, key)
    if q is not None:
        cur.nxt = q
        return q
    for column in columns:
        for t in column:
            if t.rec.region is not None:
                return None
    if len(STEPS) > 1000:
        STEPS.clear()
    what = stepped(rule, columns, arg)
    tape = get_tape(e)
    for n in tape:
        if n.op != LEAF:
            STEPS[what] = STEPS.get(what, 0) + 1
            break
    r = Rec(STEP, NONE, NONE, NONE, arg, cur.end, cur)
    r.arg = rule
    r.srcs = srcs
    r.grads = []
    tp = Tape(tape, e.numbers + numbers, False)
    first = len(e.numbers)
    values = [Val(tp, ~(first + i)) for i in range(len(numbers))]
    k = 0
    taken: set[int] = set()
    for column in columns:
        tp.home = column[0].rec.spec.device
        vals = [Val(tp, srcs[k + i]) for i in range(len(column))]
        out = rule(tuple(vals), tuple(values), arg)
        for i, v in enumerate(out):
            if v is not None:
                want = column[i].rec.spec
                slot = v.slot
                have = tp.recs[slot].spec
                if have.shape != want.shape or have.dtype is not want.dtype:
                    raise RuntimeError(f"an optimiser rule gave {have!r} for a tensor of {want!r}")
                if have.strides != want.strides or have.offset:
                    slot = tp.make(RELAYOUT, [slot], want.strides)
                elif slot < tp.base or slot in taken or tp.recs[slot].row.kind in ("move", "alias"):
                    slot = tp.make(COPY, [slot], None)
                taken.add(slot)
                r.grads.append((k + i, tp.recs[slot]))
        k += len(column)
    r.subs = tp.new
    r.end = r.slot + len(tp.new)
    adopt(e, r, 0, len(numbers), tape + tp.new)
    return r
