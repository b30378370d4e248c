"""The command line: `rushlight run script.py` and its kin (see `command`)."""

from __future__ import annotations

from rushlight.cli.command import main

__all__ = ["main"]
