"""`torch.backends.mps`: Apple's GPUs are not used."""

from __future__ import annotations

__all__ = ["get_core_count", "get_name", "is_available", "is_built", "is_macos13_or_newer"]


def is_available() -> bool:
    """False."""
    return False


def is_built() -> bool:
    """False."""
    return False


def is_macos13_or_newer() -> bool:
    """False: what it is asked for is not there."""
    return False


def is_macos_or_newer(major: int, minor: int) -> bool:
    """False: what it is asked for is not there."""
    return False


def get_name() -> str:
    """Nothing."""
    return ""


def get_core_count() -> int:
    """0."""
    return 0
