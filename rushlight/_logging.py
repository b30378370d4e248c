"""`torch._logging`: there is nothing whose log could be turned on."""

from __future__ import annotations

from typing import Any

__all__ = ["set_logs"]


def set_logs(*, alias: Any = None, **modules: Any) -> None:
    """Nothing."""
