"""Images: datasets and transforms (`torchvision`)."""

from __future__ import annotations

import importlib
from types import ModuleType

__version__ = "0.28.0"

__all__ = ["datasets", "models", "ops", "transforms", "utils"]


def __getattr__(name: str) -> ModuleType:
    """A part when it is first asked for."""
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(
        f"module 'torchvision' has no attribute {name!r}: torchvision.{name} is not in Rushlight "
        "yet"
    )
