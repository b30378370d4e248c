"""Comparing traces: bit for bit between our own ways, to a tolerance with PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .program import Program, Seen, Trace


@dataclass
class Difference:
    """The first place where two runs differ."""

    kind: str  # value, meta, raised, length
    text: str
    torn: bool = False  # after a backward that failed in its middle
    at: int = -1  # the entry of the traces

    def __str__(self) -> str:
        return f"[{self.kind}] {self.text}"


def same_bits(a: Any, b: Any) -> bool:
    """The same bits; a NaN is a NaN."""
    if isinstance(a, np.ndarray):
        if a.shape != b.shape or a.dtype != b.dtype:
            return False
        if a.dtype.kind != "f":
            return bool((a == b).all())
        u = f"u{a.itemsize}"
        x, y = np.ascontiguousarray(a), np.ascontiguousarray(b)
        return bool(((x.view(u) == y.view(u)) | ((x != x) & (y != y))).all())
    if isinstance(a, float) and isinstance(b, float):
        return same_bits(np.array(a), np.array(b))
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same_bits(x, y) for x, y in zip(a, b))
    return type(a) is type(b) and bool(a == b)


def close(a: Any, b: Any, rtol: float) -> bool:
    """Equal to a tolerance that is relative to the largest value of the array."""
    return np.shape(a) == np.shape(b) and not bool(beyond(a, b, rtol).any())


def beyond(a: Any, b: Any, rtol: float) -> Any:
    """Which elements differ by more than the tolerance."""
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    odd = ~(np.isfinite(x) & np.isfinite(y))
    wrong = odd & ~((x == y) | ((x != x) & (y != y)))
    x, y = np.where(odd, 0.0, x), np.where(odd, 0.0, y)
    top = max(1.0, float(np.abs(y).max(initial=0.0)))
    if top > 1e4:  # exponentials of exponentials magnify what rounding left
        rtol *= 100
    return wrong | (np.abs(x - y) > rtol * top)


def meta_equal(a: tuple[Any, ...], b: tuple[Any, ...], strict: bool, graded: bool) -> bool:
    """Shape, strides where they say anything, dtype, needs-gradient, leaf.

    ``graded``: a gradient that is one value for many elements is memory here, in PyTorch (``b``)
    that value with strides of 0.
    """
    if len(a) != 6:
        return a == b
    if a[0] != b[0] or a[2:5] != b[2:5]:
        return False
    if 0 in a[0] or not strict:
        return True
    steps = [(p, q) for n, p, q in zip(a[0], a[1], b[1]) if n > 1]
    if graded and any(p and not q for p, q in steps):
        return True
    return all(p == q for p, q in steps)


def show(v: Any) -> str:
    """A value, cut short."""
    text = repr(v.tolist() if isinstance(v, np.ndarray) else v)
    return text if len(text) < 300 else text[:300] + "..."


def differ(
    p: Program, a: Trace, b: Trace, rtol: float | None = None, strides: bool = True
) -> Difference | None:
    """The first difference between two traces, bit for bit or (``rtol``) to a tolerance."""
    d = first(p, a, b, rtol, strides)
    return None if d is not None and d.torn else d


def first(p: Program, a: Trace, b: Trace, rtol: float | None, strides: bool) -> Difference | None:
    torn = (
        False  # a backward failed in its middle: what it had released by then is nobody's business
    )
    text = "" if rtol is None else p.text()
    quiet = any(q in text for q in QUIET)
    graded = any(q in text for q in GRADED)
    for k, (x, y) in enumerate(zip(a.seen, b.seen)):
        if rtol is not None and lenient(quiet, x, y):
            return None
        torn = torn or (
            x.kind == "raised"
            and REFUSALS[0] in x.value
            and y.kind == "raised"
            and REFUSALS[0] in y.value
        )
        d = entries(p, x, y, rtol, strides, graded)
        if d is not None:
            d.torn, d.at = torn, k
            return d
    if len(a.seen) != len(b.seen):
        return Difference("length", f"{len(a.seen)} and {len(b.seen)} entries", torn)
    return None


def entries(
    p: Program, x: Seen, y: Seen, rtol: float | None, strides: bool, graded: bool
) -> Difference | None:
    """How two entries of traces differ."""
    if (x.block, x.turn, x.line) != (y.block, y.turn, y.line) or x.kind != y.kind:
        return Difference(
            "raised", f"{x.where(p)}\n    {brief(x)}\n    {y.where(p)}\n    {brief(y)}"
        )
    if x.kind == "raised":
        if x.meta != y.meta:
            return Difference("raised", f"{x.where(p)}\n    {brief(x)}\n    {brief(y)}")
        return None
    if not meta_equal(x.meta, y.meta, strides, graded):
        return Difference("meta", f"{x.where(p)}\n    {x.meta}\n    {y.meta}")
    if rtol is None:
        good = same_bits(x.value, y.value)
    elif x.kind == "python" and isinstance(x.value, str | bool | type(None)):
        good = bool(x.value == y.value)
    else:
        good = close(x.value, y.value, rtol)
    if not good:
        return Difference("value", f"{x.where(p)}\n    {show(x.value)}\n    {show(y.value)}")
    return None


# Where PyTorch may refuse what we can do rightly: nothing after it can be compared.
REFUSALS = (
    "backward through the graph a second time",
    "single memory location",
    "leaf variable has been moved into the graph interior",  # `requires_grad_(False)`, then a write
    "leaf Variable that requires grad",  # a view whose base got a history later
    "A view was created in no_grad mode",
    "is a view of a view which was created in no_grad mode",
    "is a view and its base or another view",
    "ZeroTensors are immutable",  # a second derivative of abs
    "_flash_attention_for_cpu_backward is not implemented",  # a second derivative of attention
)


# What we refuse and PyTorch does not; known limits, told to the user by the message.
LIMITS = (
    "single memory location",  # PyTorch warns where indices write to expanded memory
)
# PyTorch's views made without gradient mode, or before their base became a leaf, say that they
# require a gradient and get none.
UNASKED = ("does not require grad", "that has requires_grad=False")  # what we say of them
GRADED = (".backward(", "autograd.grad(")  # statements that make gradients
QUIET = ("no_grad()", "set_grad_enabled(", "requires_grad_(", "create_graph=True")


def lenient(quiet: bool, x: Seen, y: Seen) -> bool:
    """Did PyTorch (``y``) refuse what we may do, or give a view the flag its base got later?
    ``quiet``: the program has statements that make such views."""
    if (
        x.kind == y.kind == "tensor"
        and x.meta[0] == y.meta[0]
        and y.meta[3]
        and not x.meta[3]
        and (y.meta[5] or quiet)
    ):
        return True
    if quiet and x.kind == "raised" and any(q in x.value for q in UNASKED):
        return True
    if quiet and x.kind != "raised" and y.kind == "raised" and "numpy() on Tensor that" in y.value:
        return True  # of the flag above
    if x.kind == "raised" and any(q in x.value for q in LIMITS):
        return True
    return y.kind == "raised" and any(q in y.value for q in REFUSALS)


def brief(x: Seen) -> str:
    """An entry in a line."""
    return f"{x.kind} {x.meta} {show(x.value)}"
