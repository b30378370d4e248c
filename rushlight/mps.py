"""`torch.mps` of a build without Metal: PyTorch's answers, and its error for the rest."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = [
    "current_allocated_memory",
    "device_count",
    "driver_allocated_memory",
    "empty_cache",
    "get_rng_state",
    "is_available",
    "manual_seed",
    "recommended_max_memory",
    "seed",
    "set_per_process_memory_fraction",
    "set_rng_state",
    "synchronize",
]


def _missing(name: str) -> NoReturn:
    raise RuntimeError(f"Cannot execute {name}() without MPS backend.")


def is_available() -> bool:
    """False."""
    return False


def device_count() -> int:
    """0."""
    return 0


def manual_seed(seed: int) -> None:
    """Nothing: there is no generator to seed."""


def seed() -> None:
    """`RuntimeError`."""
    _missing("getDefaultGenerator")


def synchronize() -> None:
    """`RuntimeError`."""
    _missing("deviceSynchronize")


def empty_cache() -> None:
    """`RuntimeError`."""
    _missing("emptyCache")


def current_allocated_memory() -> int:
    """`RuntimeError`."""
    _missing("getCurrentAllocatedMemory")


def driver_allocated_memory() -> int:
    """`RuntimeError`."""
    _missing("getDriverAllocatedMemory")


def recommended_max_memory() -> int:
    """`RuntimeError`."""
    _missing("getRecommendedMaxMemory")


def set_per_process_memory_fraction(fraction: float) -> None:
    """`RuntimeError`."""
    _missing("setMemoryFraction")


def get_rng_state(device: Any = "mps") -> Any:
    """`RuntimeError`."""
    _missing("getDefaultGenerator")


def set_rng_state(new_state: Any, device: Any = "mps") -> None:
    """`RuntimeError`."""
    _missing("getDefaultGenerator")
