"""The command line: `rushlight run script.py` and its kin (see `command`)."""

from __future__ import annotations

import importlib
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit status.  `argv` without the program's name, else `sys.argv`."""
    # By name: `import torch` in a child process passes through this package, for `alias` alone.
    status: int = importlib.import_module("rushlight.cli.command").main(argv)
    return status


__all__ = ["main"]
