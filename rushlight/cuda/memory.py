"""`torch.cuda.memory`: nothing is allocated on a device that is not there."""

from __future__ import annotations

from typing import Any

from rushlight.base.device import need_cuda

__all__ = [
    "empty_cache",
    "max_memory_allocated",
    "max_memory_cached",
    "max_memory_reserved",
    "mem_get_info",
    "memory_allocated",
    "memory_cached",
    "memory_reserved",
    "memory_stats",
    "memory_summary",
    "reset_accumulated_memory_stats",
    "reset_max_memory_allocated",
    "reset_max_memory_cached",
    "reset_peak_memory_stats",
    "set_per_process_memory_fraction",
]


def empty_cache() -> None:
    """Nothing: there is no cache."""


def memory_allocated(device: Any = None) -> int:
    """0."""
    return 0


def max_memory_allocated(device: Any = None) -> int:
    """0."""
    return 0


def memory_reserved(device: Any = None) -> int:
    """0."""
    return 0


def max_memory_reserved(device: Any = None) -> int:
    """0."""
    return 0


def memory_cached(device: Any = None) -> int:
    """0 (the older name of `memory_reserved`)."""
    return 0


def max_memory_cached(device: Any = None) -> int:
    """0 (the older name of `max_memory_reserved`)."""
    return 0


def memory_stats(device: Any = None) -> dict[str, Any]:
    """Nothing."""
    return {}


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """One line that says so."""
    return "no CUDA memory: this build has no CUDA"


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """`AssertionError`."""
    need_cuda()
    return 0, 0


def reset_peak_memory_stats(device: Any = None) -> None:
    """Nothing: the peak is 0."""


def reset_accumulated_memory_stats(device: Any = None) -> None:
    """Nothing: there are none."""


def reset_max_memory_allocated(device: Any = None) -> None:
    """Nothing: the peak is 0."""


def reset_max_memory_cached(device: Any = None) -> None:
    """Nothing: the peak is 0."""


def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
    """`AssertionError`."""
    need_cuda()
