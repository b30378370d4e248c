"""Notebooks as programs: the code cells of a `.ipynb` file, without what only IPython knows."""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# Cell magics whose cell is Python all the same; the others' cells are not run.
_PYTHON_CELLS: Final = frozenset({"time", "timeit", "capture", "prun", "python", "python3"})


@dataclass(frozen=True)
class Cell:
    """A code cell: its number among all cells (from 1), its Python, and the lines left out."""

    number: int
    source: str
    dropped: tuple[str, ...]


def is_notebook(path: str) -> bool:
    """Whether a file is one, by its name."""
    return path.endswith(".ipynb")


def read(path: str | Path) -> list[Cell]:
    """The code cells of a notebook, in order.

    Raises:
        ValueError: when the file is no notebook.
        OSError: when it cannot be read.
    """
    try:
        book = json.loads(Path(path).read_text(encoding="utf-8"))
        cells = book["cells"] if "cells" in book else book["worksheets"][0]["cells"]
        sources = [
            (number, cell.get("source", cell.get("input", "")))
            for number, cell in enumerate(cells, 1)
            if cell["cell_type"] == "code"
        ]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not a notebook: {error!r}") from None
    return [_cell(number, s if isinstance(s, str) else "".join(s)) for number, s in sources]


def _cell(number: int, text: str) -> Cell:
    """A cell without magics; a line that is left out leaves an empty one, so that numbers stay."""
    lines = text.splitlines()
    first = next((line.strip() for line in lines if line.strip()), "")
    if first.startswith("%%") and first[2:].split(" ")[0] not in _PYTHON_CELLS:
        return Cell(number, "\n" * len(lines), (first,))
    if _parses(text):
        return Cell(number, text, ())
    dropped = []
    for at, line in enumerate(lines):
        bare = line.lstrip()
        if bare.startswith(("%", "!", "?")) or _help(bare):
            dropped.append(bare)
            lines[at] = _instead(lines, at)
        elif (call := _assigned(line)) is not None:
            dropped.append(bare)
            lines[at] = call
    return Cell(number, "\n".join(lines) + "\n", tuple(dropped))


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def _help(line: str) -> bool:
    """Whether a line is `name?`."""
    return line.endswith("?") and line.rstrip("?").replace(".", "").isidentifier()


def _instead(lines: list[str], at: int) -> str:
    """What stands for a line that is left out: the statement of `%time x = f()`, else `pass`."""
    line = lines[at]
    indent = line[: len(line) - len(line.lstrip())]
    magic, _, rest = line.strip().partition(" ")
    if magic in ("%time", "%timeit", "%prun") and rest and _parses(rest):
        return indent + rest
    return indent + "pass" if indent else ""


def _assigned(line: str) -> str | None:
    """`x = None` for `x = !command` and `x = %magic`."""
    name, equals, value = line.partition("=")
    if equals and name.strip().isidentifier() and value.lstrip().startswith(("!", "%")):
        return f"{name.rstrip()} = None"
    return None
