"""`torch.backends.cudnn`: its switches, without the library."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from rushlight.backends.switches import changed

__all__ = ["flags", "is_acceptable", "is_available", "set_flags", "version"]

enabled: bool = True
benchmark: bool = False
benchmark_limit: int | None = 10
deterministic: bool = False
allow_tf32: bool = True
fp32_precision: str = "tf32"


def is_available() -> bool:
    """False."""
    return False


def version() -> int | None:
    """None: there is no such library."""
    return None


def is_acceptable(tensor: Any) -> bool:
    """False."""
    return False


def set_flags(
    _enabled: bool | None = None,
    _benchmark: bool | None = None,
    _benchmark_limit: int | None = None,
    _deterministic: bool | None = None,
    _allow_tf32: bool | None = None,
    _fp32_precision: str = "none",
) -> tuple[Any, ...]:
    """Set what is given; what was set before."""
    names = ("enabled", "benchmark", "benchmark_limit", "deterministic", "allow_tf32")
    given = (_enabled, _benchmark, _benchmark_limit, _deterministic, _allow_tf32)
    here = globals()
    before = tuple(here[name] for name in names)
    here.update({n: v for n, v in zip(names, given, strict=True) if v is not None})
    return (*before, fp32_precision)


def flags(
    enabled: bool = False,
    benchmark: bool = False,
    benchmark_limit: int = 10,
    deterministic: bool = False,
    allow_tf32: bool = True,
    fp32_precision: str = "none",
) -> AbstractContextManager[None]:
    """A context with these switches."""
    return changed(
        globals(),
        {
            "enabled": enabled,
            "benchmark": benchmark,
            "benchmark_limit": benchmark_limit,
            "deterministic": deterministic,
            "allow_tf32": allow_tf32,
        },
    )
