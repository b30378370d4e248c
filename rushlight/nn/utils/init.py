"""Making a module without drawing its parameters: ``skip_init``."""

from __future__ import annotations

import inspect
from typing import Any

from ...random import get_rng_state, set_rng_state

__all__ = ["skip_init"]


def skip_init(module_cls: Any, *args: Any, **kwargs: Any) -> Any:
    """A module whose parameters hold anything: PyTorch leaves them without values.

    The random stream stays where it is.  Raises ``RuntimeError`` unless the class takes ``device``.
    """
    if not inspect.isclass(module_cls) or not hasattr(module_cls, "forward"):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    before = get_rng_state()
    try:
        return module_cls(*args, **kwargs)
    finally:
        set_rng_state(before)
