"""`rushlight check`: which names of PyTorch's a program uses that Rushlight lacks, and where.

Programs are read, never run.  The exit status is 0 when nothing is lacking, 1 when something is,
2 when something cannot be read.
"""

from __future__ import annotations

import ast
import dataclasses
import json
import os
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from rushlight.cli import notebook
from rushlight.cli.check.scan import Finding, Result, scan

__all__ = ["Report", "check", "main"]

_SKIPPED: Final = frozenset({"__pycache__", "node_modules", "site-packages", "build", "dist"})


@dataclasses.dataclass(frozen=True)
class Line:
    """A finding in its file; `cell` where the file is a notebook (the line is the cell's)."""

    file: str
    cell: int | None
    finding: Finding

    def __str__(self) -> str:
        f = self.finding
        where = f"{self.file}:{f.line}"
        if self.cell is not None:
            where = f"{self.file}: cell {self.cell}, line {f.line}"
        words = {
            "perhaps": f"{f.name} is lacking, if this is a tensor",
            "keyword": f"{f.name} is not an argument here",
        }
        text = words.get(f.kind, f"{f.name} is not in Rushlight yet")
        if f.nearest:
            text += f" (nearest: {', '.join(f.nearest)})"
        return f"{where}: {text}" + (" [optional]" if f.optional else "")

    @property
    def counts(self) -> bool:
        """Whether the program needs it for sure."""
        return not self.finding.optional and self.finding.kind != "perhaps"


@dataclasses.dataclass
class Report:
    """What was read, and what is lacking."""

    files: int = 0
    names: set[str] = dataclasses.field(default_factory=set)
    lines: list[Line] = dataclasses.field(default_factory=list)
    unreadable: list[str] = dataclasses.field(default_factory=list)

    @property
    def status(self) -> int:
        """The exit status."""
        return 2 if self.unreadable else int(any(line.counts for line in self.lines))

    def as_json(self) -> dict[str, Any]:
        """The report as JSON's types."""
        missing = [
            {"file": line.file, "cell": line.cell, **dataclasses.asdict(line.finding)}
            for line in self.lines
        ]
        return {
            "files": self.files,
            "names": len(self.names),
            "missing": missing,
            "unreadable": self.unreadable,
        }


def main(paths: Sequence[str], as_json: bool = False) -> int:
    """Check files and folders, print what was found; the exit status."""
    report = check(paths)
    if as_json:
        print(json.dumps(report.as_json(), indent=2))
        return report.status
    for complaint in report.unreadable:
        print(f"rushlight check: {complaint}", file=sys.stderr)
    for line in report.lines:
        print(line)
    print(_summary(report))
    return report.status


def _summary(report: Report) -> str:
    files = f"{report.files} file" + ("s" if report.files != 1 else "")
    names = f"{len(report.names)} name" + ("s" if len(report.names) != 1 else "")
    read = f"{files} read, {names} of PyTorch's used"
    lacking = Counter(line.finding.name for line in report.lines if line.counts)
    if not lacking:
        return f"{read}: nothing is lacking"
    most = ", ".join(name for name, _ in lacking.most_common(8))
    return f"{read}, {len(lacking)} lacking: {most}" + (", ..." if len(lacking) > 8 else "")


def check(paths: Sequence[str]) -> Report:
    """Read programs, notebooks and folders of them."""
    report = Report()
    for given in paths:
        if not os.path.exists(given):
            report.unreadable.append(f"can't open {given!r}: no such file or folder")
            continue
        for path in sorted(_programs(given)) if os.path.isdir(given) else [given]:
            report.files += 1
            try:
                _read(path, report)
            except (OSError, ValueError, SyntaxError) as error:
                report.unreadable.append(f"{path}: {error}")
    return report


def _programs(folder: str) -> Iterator[str]:
    """The programs and notebooks under a folder, hidden and built folders left out."""
    for parent, folders, files in os.walk(folder):
        folders[:] = [
            f
            for f in folders
            if f not in _SKIPPED
            and not f.startswith(".")
            and not os.path.exists(os.path.join(parent, f, "pyvenv.cfg"))
        ]
        for file in files:
            if file.endswith((".py", ".ipynb")):
                yield os.path.join(parent, file)


def _read(path: str, report: Report) -> None:
    if not notebook.is_notebook(path):
        _note(report, path, scan(_parsed(Path(path).read_bytes(), path)), None)
        return
    # All cells as one program, for its names; the lines are those of their cells.
    cells = notebook.read(path)
    starts = []
    lines: list[str] = []
    for cell in cells:
        starts.append((len(lines), cell.number))
        lines += cell.source.splitlines()
    result = scan(_parsed("\n".join(lines), path))
    _note(report, path, result, starts)


def _parsed(source: str | bytes, path: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of "\\d" and the like: not our business
        return ast.parse(source, filename=path)


def _note(report: Report, path: str, result: Result, starts: list[tuple[int, int]] | None) -> None:
    report.names |= result.names
    for finding in result.findings:
        if starts is None:
            report.lines.append(Line(path, None, finding))
            continue
        start, cell = max(s for s in starts if s[0] < finding.line)
        moved = dataclasses.replace(finding, line=finding.line - start)
        report.lines.append(Line(path, cell, moved))
