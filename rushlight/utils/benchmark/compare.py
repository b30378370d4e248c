"""Tables of measurements: a row for each `sub_label`, a column for each `description`."""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from typing import Any

from rushlight.utils.benchmark.measurement import (
    Measurement,
    ordered_unique,
    select_unit,
    trim_sigfig,
    unit_to_english,
)

_BEST, _GOOD, _BAD, _VERY_BAD = "\033[92m", "\033[34m", "\033[2m\033[91m", "\033[31m"
_BOLD, _PLAIN = "\033[1m", "\033[0m"
_Key = tuple[int, str | None, str]


class Colorize(enum.Enum):
    """What the best and the worst are sought in."""

    NONE = "none"
    COLUMNWISE = "columnwise"
    ROWWISE = "rowwise"


class Compare:
    """Measurements side by side; `print()` shows a table for each label."""

    def __init__(self, results: Sequence[Measurement]) -> None:
        self._results: list[Measurement] = []
        self._trim = False
        self._highlight = False
        self._colours = Colorize.NONE
        self.extend_results(results)

    def extend_results(self, results: Sequence[Measurement]) -> None:
        """Add measurements."""
        for r in results:
            if not isinstance(r, Measurement):
                raise ValueError(f"Expected an instance of `Measurement`, got {type(r)} instead.")
        self._results.extend(results)

    def trim_significant_figures(self) -> None:
        """Show only figures that can be believed."""
        self._trim = True

    def colorize(self, rowwise: bool = False) -> None:
        """Mark the best and the worst of each column, or row, with colours."""
        self._colours = Colorize.ROWWISE if rowwise else Colorize.COLUMNWISE

    def highlight_warnings(self) -> None:
        """Mark times that are too far apart to be trusted."""
        self._highlight = True

    def print(self) -> None:
        """Print the tables."""
        print(str(self))

    def __str__(self) -> str:
        groups: dict[Any, list[Measurement]] = {}
        for m in Measurement.merge(self._results):
            groups.setdefault(m.task_spec.label, []).append(m)
        return "\n".join(self._table(group) for group in groups.values())

    def _table(self, group: list[Measurement]) -> str:
        unit, scale = select_unit(min(m.median for m in group))
        marks = self._highlight and any(m.has_warnings for m in group)
        cells = {(_row(m), m.task_spec.description): m for m in group}
        keys = sorted(ordered_unique(_row(m) for m in group), key=lambda k: (k[0], str(k[1])))
        columns: list[str | None] = ordered_unique(m.task_spec.description for m in group)
        envs = {m.task_spec.env for m in group}
        names = [_name(key, len(envs) > 1) for key in keys]
        texts = [
            [self._column(group, c, scale, marks)(cells.get((key, c))) for c in columns]
            for key in keys
        ]
        heads = ["", *(c or "" for c in columns)]
        rows = [[name, *text] for name, text in zip(names, texts)]
        widths = [max(len(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
        lines = ["  |  ".join(h.center(w) for h, w in zip(heads, widths))]
        across = len(lines[0])
        threads = -1
        for key, row in zip(keys, rows):
            if key[0] != threads:
                threads = key[0]
                lines.append(f"{threads} threads: ".ljust(across, "-"))
            shown = [row[0].ljust(widths[0])]
            for c, text, width in zip(columns, row[1:], widths[1:]):
                shown.append(self._coloured(text.center(width), cells, keys, key, c, columns))
            lines.append("  |  ".join(shown))
        title = f" {group[0].task_spec.label or ''} ".center(across - 2, "-")
        note = (
            "(! XX%) Measurement has high variance, where XX is the IQR / median * 100.\n"
            if marks
            else ""
        )
        body = "\n".join(lines)
        return f"[{title}]\n{body}\n\nTimes are in {unit_to_english(unit)}s ({unit}).\n{note}"

    def _column(
        self, group: list[Measurement], column: str | None, scale: float, marks: bool
    ) -> Any:
        """How the cells of a column are written."""
        own = [m for m in group if m.task_spec.description == column]
        before = [math.ceil(math.log10(m.median / scale)) for m in own]
        after = 1
        if self._trim:
            after = min(max(m.significant_figures - d, 0) for m, d in zip(own, before))
        length = max(before) + after + (1 if after else 0)

        def text(m: Measurement | None) -> str:
            mark = ""
            if marks:
                share = f" (! {m.iqr / m.median * 100:.0f}%)" if m and m.has_warnings else ""
                mark = f"{share:>7}"
            if m is None:
                return " " * (length + len(mark))
            value = m.median / scale
            if self._trim:
                value = trim_sigfig(value, m.significant_figures)
            return f"{value:>{length}.{after}f}{mark}"

        return text

    def _coloured(
        self,
        text: str,
        cells: dict[Any, Measurement],
        keys: list[_Key],
        key: _Key,
        column: str | None,
        columns: list[str | None],
    ) -> str:
        m = cells.get((key, column))
        if m is None or self._colours is Colorize.NONE:
            return text
        if self._colours is Colorize.ROWWISE:
            places: list[Any] = [(key, c) for c in columns]
        else:
            places = [(k, column) for k in keys if k[0] == key[0]]
        best = min(cells[p].median for p in places if p in cells)
        if m.median <= max(best * 1.01, best + 100e-9):
            return f"{_BEST}{_BOLD}{text}{_PLAIN}{_PLAIN}"
        if m.median <= best * 1.1:
            return f"{_GOOD}{_BOLD}{text}{_PLAIN}{_PLAIN}"
        if m.median >= best * 5:
            return f"{_VERY_BAD}{_BOLD}{text}{_PLAIN}{_PLAIN}"
        return f"{_BAD}{text}{_PLAIN}{_PLAIN}" if m.median >= best * 2 else text


def _row(m: Measurement) -> _Key:
    return m.task_spec.num_threads, m.task_spec.env, m.as_row_name


def _name(key: _Key, with_env: bool) -> str:
    return f"  ({key[1]})  {key[2]}" if with_env else f"  {key[2]}"
