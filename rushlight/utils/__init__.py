"""Tools around training: data loading and what PyTorch keeps in `torch.utils`."""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = ["_pytree", "benchmark", "checkpoint", "data", "dlpack", "hooks", "tensorboard"]


def __getattr__(name: str) -> ModuleType:
    """`data` when it is first asked for: `torch.utils.data` works after `import torch`."""
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(
        f"module 'torch.utils' has no attribute {name!r}: torch.utils.{name} is not in Rushlight "
        "yet"
    )
