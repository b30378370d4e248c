"""`torch.cuda` of a build without CUDA: what programs ask, and PyTorch's error for the rest."""

from __future__ import annotations

from typing import Any

from rushlight.cuda import amp

__all__ = [
    "amp",
    "current_device",
    "device_count",
    "empty_cache",
    "get_device_name",
    "get_device_properties",
    "is_available",
    "is_bf16_supported",
    "is_initialized",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "memory_allocated",
    "seed",
    "seed_all",
    "set_device",
    "synchronize",
]


def is_available() -> bool:
    """False."""
    return False


def is_initialized() -> bool:
    """False."""
    return False


def device_count() -> int:
    """0."""
    return 0


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """False."""
    return False


def manual_seed(seed: int) -> None:
    """Nothing: there is no generator to seed."""


def manual_seed_all(seed: int) -> None:
    """Nothing: there is no generator to seed."""


def seed() -> None:
    """Nothing: there is no generator to seed."""


def seed_all() -> None:
    """Nothing: there is no generator to seed."""


def empty_cache() -> None:
    """Nothing: there is no cache."""


def memory_allocated(device: Any = None) -> int:
    """0."""
    return 0


def max_memory_allocated(device: Any = None) -> int:
    """0."""
    return 0


def set_device(device: Any) -> None:
    """`AssertionError`, except for a negative device, which PyTorch ignores."""
    if not isinstance(device, int) or device >= 0:
        _missing()


def current_device() -> int:
    """`AssertionError`."""
    return _missing()


def synchronize(device: Any = None) -> None:
    """`AssertionError`."""
    _missing()


def get_device_name(device: Any = None) -> str:
    """`AssertionError`."""
    return str(_missing())


def get_device_properties(device: Any = None) -> Any:
    """`AssertionError`."""
    return _missing()


def _missing() -> int:
    raise AssertionError("Torch not compiled with CUDA enabled")
