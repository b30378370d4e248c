"""What a timer found: times of one statement, their statistics and their text."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

_WIDE: Final = 0.1  # interquartile range over median, from which a measurement warns
_TOO_WIDE: Final = 0.25
_FINEST: Final = 25e-9  # seconds: nothing is known more exactly
_FIGURES: Final = 5
_UNITS: Final = {-3: ("ns", 1e-9), -2: ("us", 1e-6), -1: ("ms", 1e-3)}
_ENGLISH: Final = {"ns": "nanosecond", "us": "microsecond", "ms": "millisecond", "s": "second"}


def select_unit(t: float) -> tuple[str, float]:
    """The unit that a time of so many seconds is told in, and its seconds."""
    return _UNITS.get(math.floor(math.log10(t) / 3), ("s", 1.0)) if t > 0 else ("ns", 1e-9)


def unit_to_english(u: str) -> str:
    """`microsecond` for `us`."""
    return _ENGLISH[u]


def trim_sigfig(x: float, n: int) -> float:
    """A number rounded to so many significant figures."""
    if n != int(n):
        raise AssertionError("Number of significant figures must be an integer")
    scale = 10.0 ** (math.ceil(math.log10(abs(x))) - n) if x else 1.0
    return float(round(x / scale) * scale)


def ordered_unique(elements: Iterable[Any]) -> list[Any]:
    """The elements, each once, in order."""
    return list(dict.fromkeys(elements))


def quantile(ordered: Sequence[float], q: float) -> float:
    """The value below which a part of the sorted numbers lies, between neighbours linearly."""
    at = q * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


@dataclass(repr=False, eq=False, frozen=True)
class TaskSpec:
    """What was measured: the statement, and what it is called in tables."""

    stmt: str
    setup: str = "pass"
    global_setup: str = ""
    label: str | None = None
    sub_label: str | None = None
    description: str | None = None
    env: str | None = None
    num_threads: int = 1

    def _key(self) -> tuple[Any, ...]:
        return tuple(vars(self).values())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TaskSpec) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    @property
    def title(self) -> str:
        """The first line of a measurement's text."""
        if self.label is not None:
            return self.label + (f": {self.sub_label}" if self.sub_label else "")
        if "\n" not in self.stmt:
            return self.stmt
        return f"stmt:{_indented(self.stmt)}"

    def setup_str(self) -> str:
        """The setup, for texts; empty where there is none."""
        if self.setup in ("", "pass"):
            return ""
        return f"setup:{_indented(self.setup)}" if "\n" in self.setup else f"setup: {self.setup}"

    def summarize(self) -> str:
        """Title, description and setup."""
        return "\n".join(s for s in (self.title, self.description or "", self.setup_str()) if s)


def _indented(text: str) -> str:
    return "\n" + "\n".join(f"  {line}" for line in text.splitlines())


class Measurement:
    """Times of one statement: each of `raw_times` is that of `number_per_run` runs.

    The fields of its `TaskSpec` (`label`, `num_threads` ...) are attributes as well.
    """

    def __init__(
        self,
        number_per_run: int,
        raw_times: list[float],
        task_spec: TaskSpec,
        metadata: dict[Any, Any] | None = None,
    ) -> None:
        self.number_per_run = number_per_run
        self.raw_times = raw_times
        self.task_spec = task_spec
        self.metadata = metadata

    def __getattr__(self, name: str) -> Any:
        if name in TaskSpec.__dataclass_fields__:
            return getattr(self.task_spec, name)
        raise AttributeError(f"'Measurement' object has no attribute {name!r}")

    @property
    def times(self) -> list[float]:
        """Seconds of one run, from each measurement."""
        return [t / self.number_per_run for t in self.raw_times]

    @property
    def median(self) -> float:
        """The middle of the times."""
        return quantile(sorted(self.times), 0.5)

    @property
    def mean(self) -> float:
        """The mean of the times."""
        return statistics.fmean(self.times)

    @property
    def iqr(self) -> float:
        """From the first quarter to the third."""
        ordered = sorted(self.times)
        return quantile(ordered, 0.75) - quantile(ordered, 0.25)

    @property
    def significant_figures(self) -> int:
        """How many figures of the median can be believed, by the spread of the middle half."""
        ordered = sorted(self.times)
        n = len(ordered)
        middle = ordered[n // 4 : math.ceil(3 * n / 4)]
        spread = statistics.pstdev(middle) / math.sqrt(len(middle))
        interval = max(1.645 * spread, _FINEST)
        return min(max(math.floor(math.log10(self.median / interval)), 1), _FIGURES)

    def meets_confidence(self, threshold: float = _WIDE) -> bool:
        """Whether the interquartile range is narrower than that part of the median."""
        return self.iqr / self.median < threshold

    @property
    def has_warnings(self) -> bool:
        """Whether the times are too far apart to be trusted."""
        return not self.meets_confidence()

    def _warning(self) -> str:
        if self.meets_confidence():
            return ""
        why = (
            "This could indicate system fluctuation."
            if self.meets_confidence(_TOO_WIDE)
            else "This suggests significant environmental influence."
        )
        return (
            f"  WARNING: Interquartile range is {self.iqr / self.median * 100:.1f}% of the median "
            f"measurement.\n           {why}"
        )

    @property
    def title(self) -> str:
        """What was measured."""
        return self.task_spec.title

    @property
    def as_row_name(self) -> str:
        """What its row of a table is called."""
        return self.task_spec.sub_label or self.task_spec.stmt or "[Unknown]"

    def __repr__(self) -> str:
        ordered = sorted(self.times)
        n = len(ordered)
        unit, scale = select_unit(self.median)
        lines = [
            object.__repr__(self),
            self.task_spec.summarize(),
            f"  {'Median: ' if n > 1 else ''}{self.median / scale:.2f} {unit}",
        ]
        if n >= 4:
            low, high = quantile(ordered, 0.25) / scale, quantile(ordered, 0.75) / scale
            lines.append(f"  IQR:    {self.iqr / scale:.2f} {unit} ({low:.2f} to {high:.2f})")
        threads = self.task_spec.num_threads
        lines.append(
            f"  {n} measurement{'s' if n > 1 else ''}, {self.number_per_run} runs "
            f"{'per measurement,' if n > 1 else ','} {threads} thread{'s' if threads > 1 else ''}"
        )
        return "\n".join(line for line in (*lines, self._warning()) if line)

    @staticmethod
    def merge(measurements: Iterable[Measurement]) -> list[Measurement]:
        """Measurements of the same task as one, with times of single runs."""
        groups: dict[TaskSpec, list[float]] = {}
        for m in measurements:
            groups.setdefault(m.task_spec, []).extend(m.times)
        return [Measurement(1, times, spec) for spec, times in groups.items()]
