"""`torch.return_types`: the named tuples that `max`, `sort`, `svd` and others return."""

from __future__ import annotations

from typing import Any

from rushlight.tensor import samples, special, spectra  # noqa: F401 - enter theirs
from rushlight.tensor.install import RETURN_TYPES


def __getattr__(name: str) -> Any:
    if name in RETURN_TYPES:
        return RETURN_TYPES[name]
    raise AttributeError(f"module 'torch.return_types' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(RETURN_TYPES)
