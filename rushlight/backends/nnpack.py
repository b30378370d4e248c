"""`torch.backends.nnpack`: this library is not used."""

from __future__ import annotations

from contextlib import AbstractContextManager

from rushlight.backends.switches import changed

__all__ = ["flags", "is_available", "set_flags"]

enabled: bool = False


def is_available() -> bool:
    """False."""
    return False


def set_flags(_enabled: bool) -> tuple[bool]:
    """Set the switch; what it was before."""
    before = enabled
    globals()["enabled"] = _enabled
    return (before,)


def flags(enabled: bool = False) -> AbstractContextManager[None]:
    """A context with this switch."""
    return changed(globals(), {"enabled": enabled})
