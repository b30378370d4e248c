"""`torch.backends.opt_einsum`: sums of products are taken from left to right."""

from __future__ import annotations

from contextlib import AbstractContextManager

from rushlight.backends.switches import changed

__all__ = ["flags", "get_opt_einsum", "is_available", "set_flags"]

enabled: bool = False
strategy: str | None = None


def is_available() -> bool:
    """False."""
    return False


def get_opt_einsum() -> None:
    """None."""
    return None


def set_flags(_enabled: bool | None = None, _strategy: str | None = None) -> tuple[object, ...]:
    """Set what is given; what was set before."""
    before = (enabled, strategy)
    here = globals()
    here.update({"enabled": _enabled} if _enabled is not None else {})
    here.update({"strategy": _strategy} if _strategy is not None else {})
    return before


def flags(enabled: bool | None = None, strategy: str | None = None) -> AbstractContextManager[None]:
    """A context with these switches."""
    return changed(globals(), {"enabled": enabled, "strategy": strategy})
