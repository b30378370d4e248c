"""Images: datasets, transforms, models and image files (`torchvision`)."""

from __future__ import annotations

import importlib
from types import ModuleType

__version__ = "0.28.0"

__all__ = [
    "datasets", "get_image_backend", "io", "models", "ops", "set_image_backend", "transforms",
    "utils",
]  # fmt: skip

_PARTS = frozenset(["datasets", "io", "models", "ops", "transforms", "utils"])
_backend = "PIL"


def set_image_backend(backend: str) -> None:
    """Take the name of a package that reads images: "PIL"; `ValueError` for others."""
    if backend != "PIL":
        raise ValueError(f"Invalid backend '{backend}'. Options are 'PIL'")


def get_image_backend() -> str:
    """The name of the package that reads images."""
    return _backend


def __getattr__(name: str) -> ModuleType:
    """A part when it is first asked for."""
    if name in _PARTS:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(
        f"module 'torchvision' has no attribute {name!r}: torchvision.{name} is not in Rushlight "
        "yet"
    )
