"""Modules of our own that load when first used: what only compiling needs stays out of start-up."""

from __future__ import annotations

import importlib
from typing import Any


class _Later:
    """Stands for a module; the first look at one of its names imports it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self._name), name)


def later(name: str) -> Any:
    """The module called `name`, imported when one of its names is first asked for.

    Layers hold for it as for an import at the top of the file (`tests/test_architecture.py`), so
    `name` is a literal.
    """
    return _Later(name)
