"""Leaves: memory that exists, who wants a gradient, and where it accumulates."""

from __future__ import annotations

from typing import Any, Optional

from ..graph.op import TABLE, Spec
from .core import NONE, ROOT, Fam, Hist, Rec, Storage, Tensor, mine, size_of
from .handles import find, is_leaf_grad, needs_grad, promote
from .record import detach


def entered(s: Storage, hist: Optional[Hist]) -> Tensor:
    """A handle on memory that exists."""
    t = Tensor(base_rec(s.spec), 0)
    t.st = s
    t.fam = Fam(s, hist, t.rec)
    return t


def base_rec(spec: Spec) -> Rec:
    r = Rec(ROOT, NONE, NONE, NONE, None, NONE, None)
    r.spec = spec
    r.size = size_of(spec.shape)
    r.row = TABLE["leaf"]
    return r


def is_leaf(t: Tensor) -> bool:
    """Was ``t`` not made by an operation on something that needs a gradient?"""
    if not needs_grad(t):
        return True
    e = mine()
    f = t.fam
    return f is not None and is_leaf_grad(e, f) and t.rec.region is None


def require_grad(t: Tensor, flag: bool) -> Tensor:
    """``t.requires_grad_(flag)``."""
    if needs_grad(t) == flag:
        return t
    if not flag:
        if not is_leaf(t):
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a "
                "subgraph that doesn't require differentiation use var_no_grad = var.detach()."
            )
        rewire(t, None)
        return t
    if t.rec.spec.dtype.rank < 2:
        raise RuntimeError("only Tensors of floating point dtype can require gradients")
    rewire(t, Hist(None, 0))
    return t


def rewire(t: Tensor, hist: Optional[Hist]) -> None:
    """Give ``t`` a history of its own from here on: later uses enter anew."""
    e = mine()
    if t.st is None:
        find(e, t)
        promote(t)
    s = t.st
    assert s is not None
    f = Fam(s, hist, t.rec)
    t.fam = f
    t.epoch = 0
    if t.rec.region is not None:
        # A leaf that is a view: its base carries the history.
        f.rec = base_rec(s.spec)


def set_grad(t: Tensor, g: Optional[Tensor]) -> None:
    """``t.grad = g``."""
    f = t.fam
    h = f.hist if f is not None else None
    if h is None:
        if g is None:
            return
        raise RuntimeError("this tensor takes no gradient: call requires_grad_() first")
    if g is not None:
        if g.rec.spec.shape != t.rec.spec.shape:
            raise RuntimeError(
                f"assigned grad has data of a different size: expected {list(t.rec.spec.shape)}, got "
                f"{list(g.rec.spec.shape)}"
            )
        if g.rec.spec.dtype is not t.rec.spec.dtype:
            raise RuntimeError(
                f"assigned grad has data of a different type: expected {t.rec.spec.dtype}, got {g.rec.spec.dtype}"
            )
    h.grad = g


def set_data(t: Tensor, other: Tensor) -> None:
    """``t.data = other``: ``t`` keeps its history and gradient and takes over ``other``'s memory."""
    e = mine()
    find(e, other)
    if other.st is None:
        promote(other)
    s = other.st
    assert s is not None
    s.old = True  # a handle of an earlier stretch holds it now: always written back
    old = t.fam
    hist = old.hist if old is not None else None
    f = Fam(s, hist, other.rec)
    t.st = s
    t.fam = f
    t.rec = other.rec
    t.epoch = 0
    t.reg = 0


def become(cls: Any, x: Tensor, hist: bool) -> Any:
    """A handle of a subclass (``Parameter``) on ``x``'s memory, a leaf that needs a gradient if ``hist``."""
    d = detach(x)
    s = d.st
    assert s is not None
    s.old = True  # the new handle is not among this stretch's own: always written back
    t = cls.__new__(cls)
    Tensor.__init__(t, d.rec, 0)
    t.st = s
    t.fam = Fam(s, Hist(None, 0) if hist else None, d.rec)
    return t
