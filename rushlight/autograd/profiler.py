"""`torch.autograd.profiler`: how long the programs that the engine runs take.

While a profile is taken, a clock stands around every run of the engine.  A run is a program of many
operations, compiled together from its second time on; its time is measured.  What its operations
take is told by running each new program once more, one operation at a time (the same bits, thrown
away): the measured time is shared out in that proportion.  The time of that extra run is in nothing
that is reported.  Without a profile nothing of this costs anything.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from rushlight import engine
from rushlight.autograd.profiler_util import EventList, FunctionEvent, FunctionEventAvg, write_trace
from rushlight.engine.budget import SPENT
from rushlight.engine.eager import run_node
from rushlight.engine.execute import CLOCK
from rushlight.engine.memory import base_array, nbytes
from rushlight.graph.node import Node, Program

__all__ = ["EventList", "Session", "emit_itt", "emit_nvtx", "profile", "record_function"]

_SILENT: Final = frozenset({"leaf", "const", "alias", "control"})


class _Part:
    """What one operation of a program is, and its share of the program's time."""

    __slots__ = ("flops", "memory", "name", "shapes", "share")

    def __init__(self, node: Node, program: Program) -> None:
        self.name: str = node.op.name
        specs = [program.nodes[s].spec for s in node.srcs if s >= 0]
        self.shapes = tuple(tuple(s.shape) for s in specs)
        self.memory = 0 if node.op.kind == "move" else nbytes(node.spec)
        self.share = 0.0
        self.flops = 0
        if (node.op.kind == "contract" or node.op.name == "linear") and specs[0].shape:
            self.flops = 2 * _count(node.spec.shape) * specs[0].shape[-1]


def _count(shape: Any) -> int:
    n = 1
    for d in shape:
        n *= int(d)
    return n


class Session:
    """One profile being taken: the events so far, in the order in which they ended."""

    def __init__(self, shapes: bool = False, memory: bool = False, flops: bool = False) -> None:
        self.shapes = shapes
        self.memory = memory
        self.flops = flops
        self.events: list[FunctionEvent] = []
        self.open: list[list[float]] = []  # of each open mark: its start, what ran directly in it
        self._apart = 0.0  # seconds spent on shares, taken out of every time
        self._origin = time.perf_counter()
        self._known: dict[int, tuple[Any, str, list[_Part]]] = {}
        self._owner = threading.get_ident()

    def now(self) -> float:
        """Microseconds since the profile was made, without what finding shares took."""
        return (time.perf_counter() - self._origin - self._apart) * 1e6

    # ------------------------------------------------------------ runs
    def __call__(
        self, run: Callable[..., Any], info: Any, leaves: list[Any], numbers: list[Any]
    ) -> Any:
        """Run a program with a clock around it: what the engine calls (see `CLOCK`)."""
        spent = SPENT.seconds
        start = self.now()
        made = run(info, leaves, numbers)
        end = self.now()
        compiling = (SPENT.seconds - spent) * 1e6
        before = time.perf_counter()
        _, name, parts = self.known(info, leaves, numbers)
        self._apart += time.perf_counter() - before
        if compiling > 0:
            self.add(
                FunctionEvent("compile " + name, "compile", start, start + compiling, compiling)
            )
            start += compiling
        took = end - start
        shared = sum(p.share for p in parts)
        for p in parts:
            mine = took * p.share / shared if shared else took / len(parts)
            self.events.append(
                FunctionEvent(
                    p.name, "operation", start, start + mine, mine,
                    p.shapes if self.shapes else (), p.memory if self.memory else 0,
                    p.flops if self.flops else 0,
                )
            )  # fmt: skip
        how = "compiled" if info.code is not None else "one operation at a time"
        notes = {"operations": " ".join(p.name for p in parts), "run": how}
        own = 0.0 if parts else took
        self.add(FunctionEvent(name, "program", start, end, own, notes=notes))
        return made

    def known(self, info: Any, leaves: list[Any], numbers: list[Any]) -> Any:
        """A program's name and operations; the first time, they are run one by one."""
        found = self._known.get(id(info))
        if found is None:
            parts: list[_Part] = []
            # The run may have failed, as this one then will: its parts have equal shares.
            with contextlib.suppress(Exception):
                _measure(info, leaves, numbers, parts)
            name = f"program {len(self._known) + 1} ({len(parts)} operations)"
            if len(parts) == 1:
                name = f"program {len(self._known) + 1} (1 operation)"
            found = self._known[id(info)] = (info, name, parts)
        return found

    def add(self, event: FunctionEvent) -> None:
        """Enter an event, inside the innermost mark that is open."""
        if self.open and threading.get_ident() == self._owner:
            self.open[-1][1] += event.cpu_time_total
        self.events.append(event)

    # ------------------------------------------------------------ marks
    def enter(self) -> None:
        """A mark begins: what is pending was recorded before it."""
        engine.flush()
        self.open.append([self.now(), 0.0])

    def leave(self, name: str) -> None:
        """The innermost mark ends, with what was recorded in it."""
        engine.flush()
        start, inside = self.open.pop()
        end = self.now()
        self.add(FunctionEvent(name, "mark", start, end, max(0.0, end - start - inside)))

    def begin(self) -> None:
        """From here on, runs are timed."""
        engine.flush()
        CLOCK.append(self)

    def end(self) -> None:
        """The profile is over."""
        if self in CLOCK:
            engine.flush()
            CLOCK.remove(self)


def _measure(info: Any, leaves: list[Any], numbers: list[Any], parts: list[_Part]) -> None:
    """Fill `parts` with the operations of a program, and what each takes alone."""
    program = info.program
    shown: dict[int, _Part] = {}
    for i, node in enumerate(program.nodes):
        if node.op.kind not in _SILENT:
            shown[i] = _Part(node, program)
    parts.extend(shown.values())
    if len(parts) == 1:
        parts[0].share = 1.0
        return
    arrays: list[Any] = [None] * len(program.nodes)
    leaf = 0
    for i, node in enumerate(program.nodes):
        if node.op.kind == "leaf":
            arrays[i] = base_array(leaves[info.leaves[leaf]], node.spec)
            leaf += 1
            continue
        start = time.perf_counter()
        arrays[i] = run_node(node, arrays, program, numbers)
        if i in shown:
            shown[i].share = time.perf_counter() - start


def session() -> Session | None:
    """The profile being taken, or None."""
    return CLOCK[0] if CLOCK else None


class record_function(contextlib.ContextDecorator):
    """A part of the program with a name, as context or decorator.

    While a profile is taken, what is recorded inside runs inside; else it changes nothing.

        with torch.profiler.record_function("forward"):
            loss = model(x)
    """

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name
        self.args = args
        self._in: list[Session | None] = []

    def __enter__(self) -> record_function:
        now = session()
        self._in.append(now)
        if now is not None:
            now.enter()
        return self

    def __exit__(self, *exception: object) -> None:
        then = self._in.pop()
        if then is not None and then.open:
            then.leave(self.name)


class profile:
    """How long what the engine runs takes, by operation.

        with torch.autograd.profiler.profile() as prof:
            model(x).sum().backward()
        print(prof.key_averages().table(sort_by="self_cpu_time_total"))

    Args:
        enabled: False makes it a context that does nothing.
        record_shapes: keep the shapes of operands, for `key_averages(group_by_input_shape=True)`.
        with_flops: count the multiplications and additions of matrix products.
        profile_memory: count the bytes that operations write.
    """

    def __init__(
        self,
        enabled: bool = True,
        *,
        use_cuda: bool = False,
        use_device: str | None = None,
        record_shapes: bool = False,
        with_flops: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_modules: bool = False,
        **more: Any,
    ) -> None:
        self.enabled = enabled
        self.metadata: dict[str, Any] = {}
        self._session = Session(record_shapes, profile_memory, with_flops)
        self._ran = False

    def __enter__(self) -> profile:
        if self.enabled:
            if self._ran:
                raise RuntimeError("Profiler context manager is not reentrant")
            if CLOCK:
                raise RuntimeError("Profiler is already enabled on this thread")
            self._ran = True
            self._session.begin()
        return self

    def __exit__(self, *exception: object) -> None:
        self._session.end()

    @property
    def going(self) -> bool:
        """Whether runs are being timed for it."""
        return self._session in CLOCK

    def _finished(self) -> None:
        if not self._ran and self.enabled:
            raise RuntimeError("Profiler didn't finish running")

    @property
    def function_events(self) -> EventList:
        """Every event, in the order in which they ended."""
        return EventList(self._session.events)

    def key_averages(
        self, group_by_input_shape: bool = False, group_by_stack_n: int = 0, **more: Any
    ) -> EventList:
        """The events of one name together."""
        self._finished()
        return self.function_events.key_averages(group_by_input_shape)

    def table(self, sort_by: str | None = None, row_limit: int = 100, **more: Any) -> str:
        """The table of all events, one by one."""
        self._finished()
        return self.function_events.table(sort_by, row_limit, **more)

    def total_average(self) -> FunctionEventAvg:
        """All events in one."""
        self._finished()
        return self.function_events.total_average()

    @property
    def self_cpu_time_total(self) -> float:
        """The time of all, in microseconds."""
        return self.function_events.self_cpu_time_total

    def export_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Write the programs and marks for `chrome://tracing` and Perfetto, as JSON."""
        self._finished()
        write_trace(path, self._session.events, self.metadata)

    def export_stacks(self, path: str, metric: str = "self_cpu_time_total") -> None:
        """`NotImplementedError`: no stacks are kept."""
        self.function_events.export_stacks(path, metric)

    def __str__(self) -> str:
        return self.table() if self._ran else "<unfinished torch.autograd.profile>"

    __repr__ = __str__


def _without_tool(name: str, tool: str) -> Any:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            f"torch.autograd.profiler.{name}: there is no {tool} here, which Rushlight's programs "
            "would be shown in; torch.profiler.profile() and export_chrome_trace() show them"
        )

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = f"`NotImplementedError`: there is no {tool} to tell."
    return refuse


emit_nvtx = _without_tool("emit_nvtx", "NVIDIA profiler")
emit_itt = _without_tool("emit_itt", "Intel profiler")
load_nvprof = _without_tool("load_nvprof", "NVIDIA profiler")


def kineto_available() -> bool:
    """Whether PyTorch's tracing library is there: no, and nothing here needs it."""
    return False
