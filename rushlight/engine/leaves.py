"""Leaves: memory that exists, who wants a gradient, and where it accumulates."""

from __future__ import annotations

from typing import Any

from ..graph.op import Spec
from .core import SLOW, Engine, Fam, Hist, Tensor, follow, mine
from .handles import at_root, base_rec, find, is_leaf_grad, needs_grad, origin, promote
from .record import detach
from .records import NONE, Rec, Storage
from .trie import VALUE


def entered(s: Storage, hist: Hist | None) -> Tensor:
    """A handle on memory that exists."""
    t = Tensor(base_rec(s.spec), 0)
    t.st = s
    t.fam = Fam(s, hist, t.rec)
    return t


def is_leaf(t: Tensor) -> bool:
    """Was ``t`` not made by an operation on something that needs a gradient?"""
    if not needs_grad(t):
        return True
    e = mine()
    f = t.fam
    return f is not None and is_leaf_grad(e, f) and at_root(t)


def require_grad(t: Tensor, flag: bool) -> Tensor:
    """``t.requires_grad_(flag)``."""
    if needs_grad(t) == flag:
        return t
    if not flag:
        if not is_leaf(t):
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. If you "
                "want to use a computed variable in a "
                "subgraph that doesn't require differentiation use var_no_grad = var.detach()."
            )
        rewire(t, None)
        return t
    if t.rec.spec.dtype.rank < 2:
        raise RuntimeError("only Tensors of floating point dtype can require gradients")
    rewire(t, Hist(None, 0))
    return t


def mark(e: Engine, t: Tensor) -> None:
    """Leave a record of what happens to a plain handle, so that the path says it."""
    SLOW[0].bound(e)
    follow(e, VALUE, find(e, t), NONE, NONE, None)


def rewire(t: Tensor, hist: Hist | None) -> None:
    """Give ``t`` a history of its own from here on, or none.  What it had is kept: what was made
    before goes on to lead there when the flag is on again."""
    e = mine()
    if t.st is None:
        mark(e, t)
        promote(t)
    s = t.st
    assert s is not None
    s.old = True
    old = t.fam
    if hist is None:
        f = family(s, None, t.rec)
        if old is not None and old.hist is not None:
            old.hist.off = True
            f.base = old
    else:
        b = old.base if old is not None else None
        if b is None or b.hist is None or b.root != t.rec.region:
            f = family(s, hist, t.rec)
        elif b.st is s and (b.root is None or b.base is not None):
            f = b
            f.root = t.rec.region  # that object, see `handles.at_root`
        else:  # other memory, or a gradient that was given to what wanted none
            f = family(s, b.hist, t.rec)
            goes_on(e, b, t.rec)
        if f.hist is not None:
            f.hist.off = False
    t.fam = f
    t.epoch = 0


def goes_on(e: Engine, f: Fam, r: Rec) -> None:
    """Another family continues the history of ``f`` with a value like ``r``'s: in a stretch each
    history enters once, where its gradient has one shape, type and device."""
    if f.hist is None or f.epoch != e.epoch or not f.rec.rg:
        return
    a: Spec = f.rec.spec
    b: Spec = r.spec
    if a.shape == b.shape and a.dtype is b.dtype and a.device == b.device:
        e.loose[origin(f.hist)] = int(f.slot)
    else:
        SLOW[0].flush(e)


def holding(s: Storage, rec: Rec, g: Tensor) -> Fam:
    """Keeps the gradient of a tensor that wants none."""
    b = Fam(s, Hist(None, 0), rec)
    b.root = rec.region
    h = b.hist
    assert h is not None
    h.grad = g
    return b


def family(s: Storage, hist: Hist | None, rec: Rec) -> Fam:
    """A new family of a storage; at a view (``rec.region``) when it has a history of its own
    there."""
    f = Fam(s, hist, rec)
    region = rec.region
    if region is None:
        return f
    if hist is None:
        f.rec = base_rec(s.spec)
        return f
    f.root = region
    f.base = Fam(s, None, base_rec(s.spec))
    return f


def set_grad(t: Tensor, g: Tensor | None) -> None:
    """``t.grad = g``."""
    f = t.fam
    h = f.hist if f is not None else None
    if h is None and g is None:
        return
    if (h is None and needs_grad(t)) or (h is not None and not at_root(t)):
        if g is None:
            return
        raise RuntimeError("this tensor takes no gradient: call requires_grad_() first")
    if g is not None:
        if g.rec.spec.shape != t.rec.spec.shape:
            raise RuntimeError(
                f"attempting to assign a gradient of size '{list(g.rec.spec.shape)}' to a tensor "
                f"of size '{list(t.rec.spec.shape)}'. Please ensure that the gradient and the "
                "tensor are the same size"
            )
        if g.rec.spec.device != t.rec.spec.device:
            raise RuntimeError(
                f"attempting to assign a gradient with device type '{g.rec.spec.device.type}' to "
                f"a tensor with device type '{t.rec.spec.device.type}'. Please ensure that the "
                "gradient and the tensor are on the same device"
            )
        if g.rec.spec.dtype is not t.rec.spec.dtype:
            raise RuntimeError(
                f"attempting to assign a gradient with dtype '{g.rec.spec.dtype.typename}' to a "
                f"tensor with dtype '{t.rec.spec.dtype.typename}'. Please ensure that the "
                "gradient and the tensor have the same dtype"
            )
    if h is not None:
        h.grad = g
    elif g is not None:
        rewire(t, None)
        f = t.fam
        s = t.st
        assert f is not None and s is not None
        f.base = holding(s, t.rec, g)


def set_data(t: Tensor, other: Tensor) -> None:
    """``t.data = other``: ``t`` keeps its history and gradient and takes over ``other``'s
    memory."""
    e = mine()
    if other.st is None:
        mark(e, other)
        promote(other)
    else:
        find(e, other)
    s = other.st
    assert s is not None
    s.old = True  # a handle of an earlier stretch holds it now: always written back
    old = t.fam
    hist = old.hist if old is not None else None
    f = family(s, hist, other.rec)
    if old is not None:
        goes_on(e, old, other.rec)
    if old is not None and hist is None and old.root is None:
        f.base = old.base
    t.st = s
    t.fam = f
    t.rec = other.rec
    t.epoch = 0
    t.reg = 0


def turn_into(t: Tensor, v: Tensor) -> None:
    """``t`` is from now on the view ``v`` of itself, history included.  Nothing may be pending."""
    t.rec = v.rec
    t.slot = v.slot
    t.st = v.st
    t.fam = v.fam
    t.epoch = v.epoch
    t.reg = v.reg


def become(cls: Any, x: Tensor, hist: bool) -> Any:
    """A handle of a subclass (``Parameter``) on ``x``'s memory, a leaf that needs a gradient if
    ``hist``."""
    d = detach(x)
    s = d.st
    assert s is not None
    s.old = True  # the new handle is not among this stretch's own: always written back
    t = cls.__new__(cls)
    Tensor.__init__(t, d.rec, 0)
    t.st = s
    t.fam = family(s, Hist(None, 0) if hist else None, d.rec)
    return t
