"""What a thread looks at while it records: where operations stand in the program, what they save.

Anomaly mode (`anomaly_mode.py`) and hooks on saved tensors (`graph.py`) share one tracer.  While it
is set every operation is run by itself, as soon as it is recorded; values are the same bits.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from rushlight import engine
from rushlight.engine import Tensor
from rushlight.engine.keeping import give_away, history_of, saved_values, with_history
from rushlight.tensor.history import node_name

PACKAGE: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
Hooks = tuple[Callable[[Any], Any], Callable[[Any], Any]]


class Trace:
    """Where in the program something was recorded, and which node's gradient it was part of."""

    __slots__ = ("frames", "note", "parent")

    def __init__(self, frames: list[tuple[str, int, str]], note: Any, parent: Any) -> None:
        self.frames = frames  # file, line, function; the innermost last
        self.note = note  # what was known of the record before
        self.parent = parent  # name and trace of the node, or None

    def __str__(self) -> str:
        if not self.frames:
            return ""
        file, line, _ = self.frames[-1]
        return f"{file}:{line}"

    @property
    def scope(self) -> Any:
        """The scope that `engine.watch` noted."""
        return getattr(self.note, "scope", None)

    def lines(self) -> list[str]:
        """As `traceback.format_stack` gives it."""
        return traceback.format_list(
            [traceback.FrameSummary(f, n, name, lookup_line=False) for f, n, name in self.frames]
        )


def user_stack() -> list[tuple[str, int, str]]:
    """The frames of the program, without this package's own."""
    frames: list[tuple[str, int, str]] = []
    frame: Any = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if not code.co_filename.startswith(PACKAGE):
            frames.append((code.co_filename, frame.f_lineno, code.co_name))
        frame = frame.f_back
    frames.reverse()
    return frames


def said(trace: Any, name: str) -> list[str]:
    """What PyTorch says of a node that failed, and of the nodes whose gradients it was part of."""
    if not isinstance(trace, Trace):
        return [
            f"Error detected in {name}. No forward pass information available. Enable detect "
            "anomaly during forward pass for more information."
        ]
    out = [
        f"Error detected in {name}. Traceback of forward call that caused the error:\n"
        + "".join(trace.lines())
    ]
    while trace.parent is not None:
        name, above = trace.parent
        if not isinstance(above, Trace):
            out.append(said(above, name)[0])
            break
        trace = above
        out.append(
            f"\n\nPrevious calculation was induced by {name}. Traceback of forward call that "
            "induced the previous calculation:\n" + "".join(trace.lines())
        )
    return out


class Looking(engine.Tracer):
    """A thread's tracer: anomaly mode, and the hooks on saved tensors, the innermost last."""

    def __init__(self) -> None:
        super().__init__()
        self.each = False  # anomaly mode
        self.check_nan = True
        self.hooks: list[Hooks] = []
        self.disabled: list[str | None] = []  # why hooks may not be set; None: they may
        self.nodes: list[Any] = []  # of the backwards that run, the node each is at
        self.packing = False

    # ------------------------------------------------------------ anomaly mode
    def created(self, r: Any) -> None:
        if not self.each:
            return
        made = [q for q in (*r.subs, r) if q.rg]
        if not made:
            return
        at = self.nodes[-1] if self.nodes else None
        parent = None if at is None else (node_name(at), at.where)
        frames = user_stack()
        for q in made:
            q.where = Trace(frames, q.where, parent)

    def began(self) -> None:
        self.nodes.append(None)

    def entered(self, r: Any) -> None:
        self.nodes[-1] = r

    def ended(self) -> None:
        self.nodes.pop()

    def suspect(self, grads: list[Tensor]) -> bool:
        return self.check_nan and any(has_nan(g) for g in grads)

    def returned(self, r: Any, grads: list[Any]) -> None:
        for i, g in enumerate(grads):
            if isinstance(g, Tensor) and not isinstance(g, engine.Scattered) and has_nan(g):
                error = RuntimeError(
                    f"Function '{node_name(r)}' returned nan values in its {i}th output."
                )
                if isinstance(r.where, Trace) and r.where.frames:
                    error.add_note("recorded at\n" + r.where.lines()[-1].rstrip("\n"))
                raise error

    def failed(self, r: Any, error: BaseException) -> None:
        if self.each:
            for text in said(r.where, node_name(r)):
                warnings.warn(text, UserWarning, stacklevel=outside())

    # ------------------------------------------------------------ hooks on saved tensors
    def ran(self, f: Any) -> None:
        if not self.hooks or self.packing:
            return
        for slot, x in saved_values(f):
            give_away(f, slot, self.pack(x))

    def pack(self, x: Tensor) -> Callable[[], Tensor]:
        """Call the innermost pack hook; what gives the tensor back."""
        pack, unpack = self.hooks[-1]
        before = engine.set_grad_enabled(False)
        self.packing = True
        try:
            version = engine.version(x)
            kept = pack(x)
            if engine.version(x) != version:
                raise RuntimeError(
                    "A saved tensor pack hook is modifying its input in place. Tensors provided as "
                    "input to pack hook cannot be modified by in-place operations as this can "
                    "lead to unexpected side-effects. Please open an issue if you need to perform "
                    "in-place operations on the input to a pack hook."
                )
        finally:
            self.packing = False
            engine.set_grad_enabled(before)

        def fetch() -> Tensor:
            got = unpack(kept)
            if not isinstance(got, Tensor):
                raise TypeError(
                    "Output of saved tensor unpack_hook expected to be a Tensor but got result of "
                    f"type {type(got).__name__}"
                )
            return got

        return fetch

    def pack_history(self, x: Tensor) -> Callable[[], Tensor]:
        """The same of a tensor with a history, which what comes back has again."""
        h = history_of(x)
        fetch = self.pack(engine.detach(x))
        return lambda: with_history(fetch(), h)

    # ------------------------------------------------------------ on and off
    def switch(self) -> None:
        """Look, if there is anything to look at."""
        engine.set_tracer(self if self.each or self.hooks else None)


def has_nan(x: Tensor) -> bool:
    """Is an element not a number?"""
    return x.dtype.rank > 1 and bool(np.isnan(engine.read(x)).any())


def outside() -> int:
    """The stack level of the nearest caller outside this package, for `warnings.warn`."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
        level += 1
    return level


OWN: Final[Any] = threading.local()


def looking() -> Looking:
    """This thread's tracer."""
    found: Looking | None = getattr(OWN, "looking", None)
    if found is None:
        found = OWN.looking = Looking()
    return found
