"""`torch.backends.mkl`: this library is not used."""

from __future__ import annotations

from rushlight.backends.switches import verbose

__all__ = ["is_available", "verbose"]

VERBOSE_OFF = 0
VERBOSE_ON = 1


def is_available() -> bool:
    """False."""
    return False
