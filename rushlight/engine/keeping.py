"""What is kept of a flushed stretch for its gradient: saved values as tensors that others may keep,
nodes and the hooks on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .backward import Run, in_stretch
from .core import NOTHING, Frame, Hist, Tensor, mine
from .descent import Packed
from .flush import current, read
from .handles import at_root
from .leaves import entered
from .memory import base_array, new_memory
from .records import Rec, Storage
from .tape import home
from .trie import ENTER, LEAF


def saved_values(f: Frame) -> list[tuple[int, Tensor]]:
    """What the gradients of a stretch read, by slot, as tensors without history."""
    recs: list[Rec] = f.rec.info.recs
    return [
        (s, entered(Storage(v, recs[s].spec), None))
        for s, v in f.saved.items()
        if not isinstance(v, Packed)
    ]


def give_away(f: Frame, slot: int, fetch: Callable[[], Tensor]) -> None:
    """Somebody else keeps the value at ``slot``: ``fetch()`` gives it when a gradient reads it."""
    spec = f.rec.info.recs[slot].spec

    def memory() -> object:
        t = fetch()
        if t.rec.spec.shape != spec.shape or t.rec.spec.dtype is not spec.dtype:
            raise RuntimeError(
                f"a saved tensor of shape {list(spec.shape)} and type {spec.dtype} came back with "
                f"shape {list(t.rec.spec.shape)} and type {t.rec.spec.dtype}"
            )
        m = new_memory(spec)
        base_array(m, spec)[...] = read(t)
        return m

    f.saved[slot] = Packed(memory)
    f.packed = True


def history_of(t: Tensor) -> Hist | None:
    """Where the gradient of ``t`` goes; None without one, while it is pending, and for a view."""
    f = t.fam
    return None if f is None or f.hep == mine().epoch or not at_root(t) else f.hist


def with_history(t: Tensor, h: Hist | None) -> Tensor:
    """The value of ``t``, a gradient of which goes to ``h``."""
    s = current(t)
    return t if h is None or t.rec.region is not None else entered(s, h)


# ---------------------------------------------------------------- nodes
def node_of(t: Tensor) -> tuple[Frame, int] | None:
    """The stretch that made ``t`` and the slot of its node; None for a leaf, or while it is
    pending."""
    f = t.fam
    h = None if f is None or f.hep == mine().epoch else f.hist
    if h is None or h.frame is None:
        return None
    frame = h.frame
    if at_root(t):
        return frame, h.slot
    return (frame, int(t.rec.slot)) if in_stretch(frame, t.rec) else None


def older(f: Frame, r: Rec) -> Hist:
    """Where the history of an entry of a flushed stretch goes on."""
    return f.gleaves[r.gidx]


def hooks_before(f: Frame, slot: int) -> dict[int, Any]:
    """The hooks on the gradient that comes to a node."""
    if f.hooks is NOTHING:
        f.hooks = {}
    found: dict[int, Any] = f.hooks.setdefault(slot, {})
    return found


def hooks_after(f: Frame, slot: int) -> dict[int, Any]:
    """The hooks that see what a node gave its operands."""
    if f.posts is NOTHING:
        f.posts = {}
    found: dict[int, Any] = f.posts.setdefault(slot, {})
    return found


def leaf_hooks(h: Hist) -> tuple[dict[int, Any], dict[int, Any]]:
    """The hooks on a leaf's gradient, and those that run when it has been accumulated."""
    if h.hooks is None:
        h.hooks = {}
    if h.after is None:
        h.after = {}
    return h.hooks, h.after


def leads_to(t: Tensor) -> set[Any]:
    """The same of a backward from ``t``, whose history has been run."""
    h = history_of(t)
    return set() if h is None else below([h])


def reached(run: Run) -> set[Any]:
    """What a backward comes by: leaves by the id of their history, nodes by stretch and slot."""
    return below(run.given)


def below(given: list[Hist]) -> set[Any]:
    """What gradients that arrive at some places in history come by."""
    out: set[Any] = set()
    todo = list(given)
    while todo:
        h = todo.pop()
        f = h.frame
        if f is None:
            out.add(id(h))
            continue
        recs: list[Rec] = f.rec.info.recs
        slots = [h.slot]
        while slots:
            s = home(recs, slots.pop())
            if (f.serial, s) in out or not recs[s].rg:
                continue
            out.add((f.serial, s))
            r = recs[s]
            if r.op == LEAF or r.op == ENTER:
                todo.append(f.gleaves[r.gidx])
                continue
            first = 1 if r.row.name == "function" else 0
            slots.extend([q for q in r.srcs[first:] if q >= 0])
    return out


def will_come_to(found: set[Any], t: Tensor) -> bool:
    """Is the tensor among what `reached` found?"""
    place = node_of(t)
    if place is None:
        return t.fam is not None and id(t.fam.hist) in found
    return (place[0].serial, home(place[0].rec.info.recs, place[1])) in found
