"""`torch.functional`: functions of `torch` under the path PyTorch defines them at."""

from __future__ import annotations

from typing import Any

from rushlight.tensor import FUNCTIONS


def __getattr__(name: str) -> Any:
    """A function by its name."""
    if not name.startswith("__"):
        found = FUNCTIONS.get(name)
        if found is not None:
            return found
    raise AttributeError(
        f"module 'torch.functional' has no attribute {name!r}: torch.functional.{name} is not in "
        "Rushlight yet"
    )
