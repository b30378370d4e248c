"""``torch.utils.hooks``: the handle that registering a hook returns, and marks on hooks."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from rushlight.tensor.hooks import RemovableHandle

__all__ = ["RemovableHandle", "unserializable_hook", "warn_if_has_hooks"]


def unserializable_hook(f: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a hook that may be lost where its tensor is saved, without a warning."""
    f.__dict__["__torch_unserializable__"] = True
    return f


def warn_if_has_hooks(tensor: Any) -> None:
    """`UserWarning` for every hook on a tensor that saving would lose."""
    for hook in (getattr(tensor, "_backward_hooks", None) or {}).values():
        if not hasattr(hook, "__torch_unserializable__"):
            warnings.warn(
                f"backward hook {hook!r} on tensor will not be serialized.  If this is expected, "
                "you can decorate the function with @torch.utils.hooks.unserializable_hook to "
                "suppress this warning",
                stacklevel=2,
            )
