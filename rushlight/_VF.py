"""`torch._VF`: the functions that layers call, as PyTorch's own modules and copies of them do."""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    """The function of `torch` of that name."""
    if name.startswith("__"):
        raise AttributeError(f"module 'torch._VF' has no attribute {name!r}")
    return getattr(importlib.import_module("rushlight"), name)
