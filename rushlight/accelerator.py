"""`torch.accelerator` where there is none: PyTorch's answers, and its error for the rest."""

from __future__ import annotations

from typing import Any, NoReturn

from rushlight.base.device import device

__all__ = [
    "current_accelerator",
    "current_device_idx",
    "current_device_index",
    "current_stream",
    "device_count",
    "empty_cache",
    "get_device_capability",
    "get_memory_info",
    "is_available",
    "max_memory_allocated",
    "max_memory_reserved",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "reset_accumulated_memory_stats",
    "reset_peak_memory_stats",
    "set_device_idx",
    "set_device_index",
    "set_stream",
    "synchronize",
]


def _missing() -> NoReturn:
    raise RuntimeError("Cannot access accelerator device when none is available.")


def is_available() -> bool:
    """False."""
    return False


def device_count() -> int:
    """0."""
    return 0


def current_accelerator(check_available: bool = False) -> device | None:
    """None."""
    return None


def current_device_index() -> int:
    """`RuntimeError`."""
    _missing()


def current_device_idx() -> int:
    """`RuntimeError`."""
    _missing()


def set_device_index(device: Any, /) -> None:
    """`RuntimeError`."""
    _missing()


def set_device_idx(device: Any, /) -> None:
    """`RuntimeError`."""
    _missing()


def current_stream(device: Any = None, /) -> Any:
    """`RuntimeError`."""
    _missing()


def set_stream(stream: Any) -> None:
    """`RuntimeError`."""
    _missing()


def synchronize(device: Any = None, /) -> None:
    """`RuntimeError`."""
    _missing()


def empty_cache() -> None:
    """`RuntimeError`."""
    _missing()


def memory_allocated(device_index: Any = None, /) -> int:
    """`RuntimeError`."""
    _missing()


def max_memory_allocated(device_index: Any = None, /) -> int:
    """`RuntimeError`."""
    _missing()


def memory_reserved(device_index: Any = None, /) -> int:
    """`RuntimeError`."""
    _missing()


def max_memory_reserved(device_index: Any = None, /) -> int:
    """`RuntimeError`."""
    _missing()


def memory_stats(device_index: Any = None, /) -> dict[str, Any]:
    """`RuntimeError`."""
    _missing()


def get_memory_info(device_index: Any = None, /) -> tuple[int, int]:
    """`RuntimeError`."""
    _missing()


def get_device_capability(device_index: Any = None, /) -> dict[str, Any]:
    """`RuntimeError`."""
    _missing()


def reset_accumulated_memory_stats(device_index: Any = None, /) -> None:
    """`RuntimeError`."""
    _missing()


def reset_peak_memory_stats(device_index: Any = None, /) -> None:
    """`RuntimeError`."""
    _missing()
