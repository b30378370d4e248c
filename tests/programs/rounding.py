"""Telling a wrong value from one that PyTorch itself is unsure of.

The program runs again under PyTorch, with every number that an operation rounded moved by a unit
in the last place or two: what its inputs were given, and what its operations gave, in backward
passes too.  Where PyTorch's own value then moves about as far as ours differs, the difference is
rounding that later steps magnified.  A wider tolerance would hide what is wrong by as much.
So is one where PyTorch's float32 is farther from its own float64 than ours: what is wrong is not
nearer to what is right.

What is exact stays as it is, and equal numbers stay equal, so that comparisons, masks and the
gradients of maxima are not unsure for our moving them: how far a number moves depends on itself
only; numbers of few digits, and those that an operation was given, stay.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .program import Trace, array, numeric

RUNS = 24  # at most: a place that changes its sign in every second run has moved by then
FAR = 2  # units in the last place: one alone has too few outcomes
SHARE = 0.25  # of the difference, which PyTorch has to move by
UNSIGNED = {"float32": np.uint32, "float64": np.uint64}
SHORT = {"float32": 12, "float64": 26}  # half of the digits


def digits(x: Any) -> Any:
    """The digits of numbers without sign and power of two: what negation, scaling by powers of
    two, copying and selecting leave as it is."""
    with np.errstate(all="ignore"):
        return np.frexp(np.abs(np.asarray(x, dtype=np.float64)))[0].reshape(-1)


def moved(x: Any, turn: int, given: Any = None) -> Any:
    """Numbers moved by a unit or two in the last place; those of few digits, and those with the
    `digits` of one ``given``, stay."""
    u = UNSIGNED.get(x.dtype.name)
    if u is None or x.size == 0:
        return x
    flat = np.ascontiguousarray(x).reshape(-1)
    bits = np.abs(flat).view(u)
    mixed = bits.astype(np.uint64) + np.uint64(turn * 0x51_7CC1)
    mixed *= np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    step = (mixed >> np.uint64(33)).astype(np.int64) % (2 * FAR + 1) - FAR
    stays = (bits & u((1 << SHORT[x.dtype.name]) - 1) == 0) | ~np.isfinite(flat)
    if given is not None:
        stays |= np.isin(digits(flat), given)
    near = np.maximum(bits.astype(np.int64) + step, 0).astype(u).view(x.dtype)
    return np.where(stays, flat, np.copysign(near, flat)).reshape(x.shape)


def moved_array(turn: int) -> Any:
    """`array` of programs, moved."""

    def make(seed: int, shape: tuple[int, ...], dtype: str = "float64") -> Any:
        return moved(array(seed, shape, dtype), turn)

    return make


def moving(turn: int) -> Any:
    """A mode of PyTorch's in which what operations round moves."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    def plain(t: Any) -> bool:
        dense = t.layout == torch.strided and not t.is_complex() and not t._is_zerotensor()
        return bool(dense and t.device.type == "cpu")

    class Moving(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None):  # type: ignore[no-untyped-def]
            out = func(*args, **(kwargs or {}))
            if func._schema.is_mutable:
                return out
            results = [t for t in tree_leaves(out) if isinstance(t, torch.Tensor) and plain(t)]
            results = [t for t in results if t.dtype in (torch.float32, torch.float64)]
            if not results:
                return out
            read = tree_leaves((args, kwargs or {}))
            given = [q for q in read if isinstance(q, torch.Tensor) and plain(q)]
            memory = {q.untyped_storage().data_ptr() for q in given}
            numbers = [float(q) for q in read if isinstance(q, int | float)]
            numbers += [float(np.float32(q)) for q in numbers]
            known = np.concatenate([digits(q.detach().numpy()) for q in given] + [digits(numbers)])
            for t in results:
                if t.untyped_storage().data_ptr() not in memory:  # views have moved already
                    x = t.detach().numpy()
                    x[...] = moved(x, turn, known)
            return out

    return Moving()


def place(t: Trace, theirs: Trace, at: int) -> Any:
    """The value of a run at the place of another's entry; None when it took another way."""
    if at >= len(t.seen):
        return None
    x, y = t.seen[at], theirs.seen[at]
    here = (x.block, x.turn, x.line, x.kind) == (y.block, y.turn, y.line, y.kind)
    return x.value if here and np.shape(x.value) == np.shape(y.value) else None


def distance(a: Any, b: Any) -> Any:
    """How far numbers are from each other; infinitely, where only one of them is finite."""
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    same = (x == y) | ((x != x) & (y != y))
    with np.errstate(all="ignore"):
        d = np.abs(x - y)
    return np.where(same, 0.0, np.where(np.isfinite(d), d, np.inf))


def is_number(x: Any) -> bool:
    """Something `distance` takes."""
    return isinstance(x, np.ndarray | np.generic) or numeric(x)


class Unsure:
    """Collects how far PyTorch's own values move at one place."""

    def __init__(self, ours: Any, theirs: Any, wrong: Any) -> None:
        self.theirs = theirs
        self.apart = np.where(wrong, distance(ours, theirs), 0.0)
        self.spread = np.zeros_like(self.apart)

    def see(self, value: Any) -> None:
        """One more run."""
        if value is not None and is_number(value):
            self.spread = np.maximum(self.spread, distance(value, self.theirs))

    def explained(self) -> bool:
        """Has PyTorch moved as far, in every element that differs?"""
        return bool((self.spread >= SHARE * self.apart)[self.apart > 0].all())

    def nearer(self, ours: Any, truth: Any) -> bool:
        """Is PyTorch farther from the ``truth`` than we, in every element that differs?"""
        where = self.apart > 0
        here, there = distance(ours, truth)[where], distance(self.theirs, truth)[where]
        return bool((np.isfinite(here) & (here < there)).all())

    def text(self, nearer: bool = False) -> str:
        """By how much, for people."""
        where = self.apart > 0
        if nearer:
            return f"{self.apart.max():.3g} apart, PyTorch farther from its value in float64"
        return f"{self.apart.max():.3g} apart, PyTorch moves by {self.spread[where].max():.3g}"


__all__ = ["RUNS", "Unsure", "is_number", "moved", "moved_array", "moving", "place"]
