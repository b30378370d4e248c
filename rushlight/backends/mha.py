"""`torch.backends.mha`: attention modules have one path here; the switch is remembered."""

from __future__ import annotations

__all__ = ["get_fastpath_enabled", "set_fastpath_enabled"]

_enabled = [True]


def get_fastpath_enabled() -> bool:
    """What was set."""
    return _enabled[0]


def set_fastpath_enabled(value: bool) -> None:
    """Remembered."""
    _enabled[0] = bool(value)
