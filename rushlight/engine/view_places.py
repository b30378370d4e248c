"""A view's own place in the history of its base, where its gradient is summed."""

from __future__ import annotations

from typing import Any

from .core import Fam, Tensor
from .records import Rec


def view_family(f: Fam, rec: Rec) -> Fam:
    """The family of a differentiable view ``rec`` alone: where its gradient is summed, whatever
    stretch it is used in.  It ends with the next write to the memory."""
    v = Fam(f.st, None, rec)
    v.root = rec.region
    v.base = f
    v.own = True
    v.ver = f.st.ver
    return v


def shares(t: Tensor, f: Fam) -> bool:
    """Has the view ``t`` no place of its own, but its base's family?"""
    return not f.own and (f.root is None or f.root is not t.rec.region)


def within(region: Any, f: Fam) -> Any:
    """A region of the memory, as one of what the family stands for."""
    over = f.root
    return region if over is None else (region[0], region[1], region[2] - over[2])
