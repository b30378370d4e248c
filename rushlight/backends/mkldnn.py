"""`torch.backends.mkldnn`: its switches, without the library."""

from __future__ import annotations

from contextlib import AbstractContextManager

from rushlight.backends.switches import Switches, changed, verbose

__all__ = ["flags", "is_available", "set_flags", "verbose"]

VERBOSE_OFF = 0
VERBOSE_ON = 1
VERBOSE_ON_CREATION = 2

enabled: bool = False
deterministic: bool = False
allow_tf32: bool = True
fp32_precision: str = "none"
matmul = Switches(fp32_precision="none")
conv = Switches(fp32_precision="none")
rnn = Switches(fp32_precision="none")


def is_available() -> bool:
    """False."""
    return False


def set_flags(
    _enabled: bool | None = None,
    _deterministic: bool | None = None,
    _allow_tf32: bool | None = None,
    _fp32_precision: str = "none",
) -> tuple[bool, ...]:
    """Set what is given; what was set before."""
    here = globals()
    before = (enabled, deterministic, allow_tf32)
    given = {"enabled": _enabled, "deterministic": _deterministic, "allow_tf32": _allow_tf32}
    here.update({name: value for name, value in given.items() if value is not None})
    return before


def flags(
    enabled: bool = False,
    deterministic: bool = False,
    allow_tf32: bool = True,
    fp32_precision: str = "none",
) -> AbstractContextManager[None]:
    """A context with these switches."""
    values = {"enabled": enabled, "deterministic": deterministic, "allow_tf32": allow_tf32}
    return changed(globals(), values)
