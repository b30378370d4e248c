"""What a profile holds: events, their averages by name, the table of them, the Chrome trace.

Names and columns are PyTorch's; times are in microseconds, memory in bytes.  There is no device
here, so that what a column of a device would say is 0.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable
from typing import Any, Final

__all__ = ["EventList", "FunctionEvent", "FunctionEventAvg", "Interval"]

# Spellings of PyTorch's for times on a device: this profile has none.
DEVICE: Final = ("cuda", "xpu", "device", "mtia", "privateuse1")


class Interval:
    """From `start` to `end`, in microseconds."""

    def __init__(self, start: float, end: float) -> None:
        self.start = start
        self.end = end

    def elapsed_us(self) -> float:
        """How long it took."""
        return self.end - self.start


class _Times:
    """What one event and an average have in common: attributes of devices are 0."""

    count: int = 1
    cpu_time_total: float = 0.0

    @property
    def cpu_time(self) -> float:
        """The time of one call, in microseconds."""
        return self.cpu_time_total / self.count if self.count else 0.0

    def __getattr__(self, name: str) -> Any:
        plain = name.removeprefix("self_")
        if plain.split("_", 1)[0] in DEVICE and plain.endswith(("time", "total", "usage")):
            return 0
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


class FunctionEvent(_Times):
    """One call: of an operation, of a program, or of a `record_function` block.

    `kind`: `operation`, `program`, `mark` or `compile`.  An operation inside a compiled program has
    no time of its own: it has the program's, shared out as the operations took it one at a time.
    """

    def __init__(
        self,
        name: str,
        kind: str,
        start: float,
        end: float,
        own: float,
        shapes: tuple[tuple[int, ...], ...] = (),
        memory: int = 0,
        flops: int = 0,
        notes: dict[str, Any] | None = None,
    ) -> None:
        self.name = self.key = self.trace_name = name
        self.kind = kind
        self.time_range = Interval(start, end)
        self.cpu_time_total = own if kind == "operation" else end - start
        self.self_cpu_time_total = own
        self.input_shapes = [list(s) for s in shapes]
        self.cpu_memory_usage = self.self_cpu_memory_usage = memory
        self.flops = flops
        self.notes = notes or {}
        self.thread = threading.get_native_id()
        self.is_user_annotation = kind == "mark"

    def __repr__(self) -> str:
        return (
            f"<FunctionEvent name={self.name} kind={self.kind} "
            f"cpu_time={self.cpu_time_total:.3f}us input_shapes={self.input_shapes}>"
        )


class FunctionEventAvg(_Times):
    """All calls of one name (and, where asked for, of the same input shapes) together."""

    def __init__(self, first: FunctionEvent | None = None) -> None:
        self.key = first.key if first is not None else ""
        self.kind = first.kind if first is not None else "total"
        self.input_shapes: Any = first.input_shapes if first is not None else []
        self.is_user_annotation = first is not None and first.is_user_annotation
        self.count = 0
        self.cpu_time_total = 0.0
        self.self_cpu_time_total = 0.0
        self.cpu_memory_usage = 0
        self.self_cpu_memory_usage = 0
        self.flops = 0

    def add(self, other: Any) -> FunctionEventAvg:
        """Count another event, or what another average holds."""
        self.count += other.count
        self.cpu_time_total += other.cpu_time_total
        self.self_cpu_time_total += other.self_cpu_time_total
        self.cpu_memory_usage += other.cpu_memory_usage
        self.self_cpu_memory_usage += other.self_cpu_memory_usage
        self.flops += other.flops
        return self

    def __iadd__(self, other: Any) -> FunctionEventAvg:
        return self.add(other)

    def __repr__(self) -> str:
        return (
            f"<FunctionEventAvg key={self.key} self_cpu_time={self.self_cpu_time_total:.3f}us "
            f"cpu_time={self.cpu_time:.3f}us count={self.count} input_shapes={self.input_shapes}>"
        )


class EventList(list[Any]):
    """Events, or averages of them; printing it shows the table."""

    def __str__(self) -> str:
        return self.table()

    @property
    def self_cpu_time_total(self) -> float:
        """The time of all, in microseconds."""
        return float(sum(e.self_cpu_time_total for e in self))

    def key_averages(
        self, group_by_input_shapes: bool = False, group_by_stack_n: int = 0, **more: Any
    ) -> EventList:
        """The events of one name together, in the order of their first calls."""
        found: dict[Any, FunctionEventAvg] = {}
        for e in self:
            key = (e.key, e.kind, str(e.input_shapes) if group_by_input_shapes else "")
            if key not in found:
                found[key] = FunctionEventAvg(e)
                if not group_by_input_shapes:
                    found[key].input_shapes = []
            found[key].add(e)
        return EventList(found.values())

    def total_average(self) -> FunctionEventAvg:
        """All events in one."""
        total = FunctionEventAvg()
        total.key = "Total"
        for e in self:
            total.add(e)
        return total

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_src_column_width: int = 75,
        max_name_column_width: int = 55,
        max_shapes_column_width: int = 80,
        header: str | None = None,
        top_level_events_only: bool = False,
        time_unit: str | None = None,
    ) -> str:
        """The events as text, a line each.

        Args:
            sort_by: an attribute such as `cpu_time_total`, `self_cpu_time_total`, `count`,
                `cpu_memory_usage`; None: as they came.
            row_limit: how many lines; -1 for all.
            time_unit: `s`, `ms` or `us` for every time; None: what suits each.
        """
        rows = list(self)
        if sort_by is not None:
            rows.sort(key=lambda e: getattr(e, sort_by), reverse=True)
        if top_level_events_only:
            rows = [e for e in rows if e.kind != "operation"]
        total = self.self_cpu_time_total
        names = ["Name", "Self CPU %", "Self CPU", "CPU total %", "CPU total", "CPU time avg"]
        names.append("# of Calls")
        memory = any(e.cpu_memory_usage for e in rows)
        shapes = any(e.input_shapes for e in rows)
        flops = any(e.flops for e in rows)
        names += ["CPU Mem"] * memory + ["Input Shapes"] * shapes + ["Total FLOPs"] * flops
        lines = [names]
        for e in rows[: row_limit if row_limit >= 0 else None]:
            line = [
                _cut(e.key, max_name_column_width),
                _percent(e.self_cpu_time_total, total), _time(e.self_cpu_time_total, time_unit),
                _percent(e.cpu_time_total, total), _time(e.cpu_time_total, time_unit),
                _time(e.cpu_time, time_unit), str(e.count),
            ]  # fmt: skip
            line += [_bytes(e.cpu_memory_usage)] * memory
            line += [_cut(str(e.input_shapes), max_shapes_column_width)] * shapes
            line += [str(e.flops) if e.flops else "--"] * flops
            lines.append(line)
        return _laid_out(lines, header) + f"\nSelf CPU time total: {_time(total, time_unit)}\n"

    def export_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Write the events for `chrome://tracing` and Perfetto, as JSON."""
        write_trace(path, self, {})

    def export_stacks(self, path: str, metric: str = "self_cpu_time_total") -> None:
        """`NotImplementedError`: an operation is run long after the line that recorded it."""
        raise NotImplementedError(
            "torch.profiler: stacks are not kept in Rushlight, which runs operations later than "
            "the lines that record them; mark parts with record_function instead"
        )


def write_trace(
    path: str | os.PathLike[str], events: Iterable[FunctionEvent], metadata: dict[str, Any]
) -> None:
    """The events as the JSON of Chrome's traces; a path that ends in `.gz` is compressed."""
    process = os.getpid()
    kinds = {"mark": "user_annotation", "operation": "cpu_op"}
    slices: list[dict[str, Any]] = [
        {"ph": "M", "pid": process, "tid": 0, "name": "process_name", "args": {"name": "python"}}
    ]
    for e in events:
        if isinstance(e, FunctionEventAvg) or e.kind == "operation":
            continue  # its time is a share of its program's: it has no place in time
        args = dict(e.notes)
        slices.append(
            {
                "ph": "X",
                "cat": kinds.get(e.kind, e.kind),
                "name": e.name,
                "pid": process,
                "tid": e.thread,
                "ts": e.time_range.start,
                "dur": e.cpu_time_total,
                "args": args,
            }
        )
    text = json.dumps({"schemaVersion": 1, **metadata, "traceEvents": slices})
    if str(path).endswith(".gz"):
        import gzip

        with gzip.open(path, "wt", encoding="utf-8") as file:
            file.write(text)
    else:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


# ---------------------------------------------------------------- text
def _cut(text: str, width: int) -> str:
    return text if width < 4 or len(text) <= width else text[: width - 3] + "..."


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.2f}%" if whole else "0.00%"


def _time(us: float, unit: str | None = None) -> str:
    if unit == "s" or (unit is None and us >= 1e6):
        return f"{us / 1e6:.3f}s"
    if unit == "ms" or (unit is None and us >= 1e3):
        return f"{us / 1e3:.3f}ms"
    return f"{us:.3f}us"


def _bytes(count: int) -> str:
    for size, unit in ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB")):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count} B"


def _laid_out(lines: list[list[str]], header: str | None) -> str:
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    rule = "  ".join("-" * w for w in widths)
    text = [
        "  ".join(word.rjust(w) for word, w in zip(line, widths, strict=True)) for line in lines
    ]
    above = [] if header is None else ["=" * len(rule), header]
    return "\n".join([*above, rule, text[0], rule, *text[1:], rule])
