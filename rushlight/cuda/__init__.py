"""`torch.cuda` of a build without CUDA: what programs ask, and PyTorch's error for the rest.

Under `rushlight run --cuda=cpu` what would be an error does nothing instead, or speaks of the CPU;
`is_available()` stays False, so that programs which can choose the CPU do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from rushlight.base.device import need_cuda
from rushlight.base.errors import OutOfMemoryError
from rushlight.cuda import amp, memory, nvtx
from rushlight.cuda.memory import (
    empty_cache,
    max_memory_allocated,
    max_memory_cached,
    max_memory_reserved,
    mem_get_info,
    memory_allocated,
    memory_cached,
    memory_reserved,
    memory_stats,
    memory_summary,
    reset_accumulated_memory_stats,
    reset_max_memory_allocated,
    reset_max_memory_cached,
    reset_peak_memory_stats,
    set_per_process_memory_fraction,
)
from rushlight.cuda.streams import Event, Stream, current_stream, default_stream, stream
from rushlight.tensor.legacy import TYPES

__all__ = [
    "Event",
    "OutOfMemoryError",
    "Stream",
    "amp",
    "current_device",
    "current_stream",
    "default_stream",
    "device",
    "device_count",
    "device_of",
    "empty_cache",
    "get_arch_list",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "get_rng_state",
    "get_rng_state_all",
    "init",
    "initial_seed",
    "ipc_collect",
    "is_available",
    "is_bf16_supported",
    "is_initialized",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "max_memory_cached",
    "max_memory_reserved",
    "mem_get_info",
    "memory",
    "memory_allocated",
    "memory_cached",
    "memory_reserved",
    "memory_stats",
    "memory_summary",
    "nvtx",
    "reset_accumulated_memory_stats",
    "reset_max_memory_allocated",
    "reset_max_memory_cached",
    "reset_peak_memory_stats",
    "seed",
    "seed_all",
    "set_device",
    "set_per_process_memory_fraction",
    "set_rng_state",
    "set_rng_state_all",
    "stream",
    "synchronize",
]

has_half: bool = True
has_magma: bool = False
default_generators: tuple[Any, ...] = ()


# ------------------------------------------------------------------- what there is
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


def is_tf32_supported() -> bool:
    """False."""
    return False


def get_arch_list() -> list[str]:
    """None."""
    return []


def init() -> None:
    """`AssertionError`."""
    need_cuda()


def current_device() -> int:
    """`AssertionError`."""
    need_cuda()
    return 0


def set_device(device: Any) -> None:
    """`AssertionError`, except for a negative device, which PyTorch ignores."""
    if not isinstance(device, int) or device >= 0:
        need_cuda()


def synchronize(device: Any = None) -> None:
    """`AssertionError`."""
    need_cuda()


def ipc_collect() -> None:
    """`AssertionError`."""
    need_cuda()


def get_device_name(device: Any = None) -> str:
    """`AssertionError`."""
    need_cuda()
    return "CPU (--cuda=cpu)"


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """`AssertionError`."""
    need_cuda()
    return 0, 0


def get_device_properties(device: Any = None) -> Any:
    """`AssertionError`."""
    need_cuda()
    raise AssertionError("there is no CUDA device whose properties could be told")


class device:
    """A context in which another device is the current one: there is none, so it changes nothing.

    As in PyTorch without CUDA, entering it is no error.
    """

    def __init__(self, device: Any) -> None:
        self.idx = device

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exception: object) -> None:
        return None


class device_of(device):
    """The device of a tensor as the current one."""


# ------------------------------------------------------------------- random numbers
def manual_seed(seed: int) -> None:
    """Nothing: there is no generator to seed."""


def manual_seed_all(seed: int) -> None:
    """Nothing: there is no generator to seed."""


def seed() -> None:
    """Nothing: there is no generator to seed."""


def seed_all() -> None:
    """Nothing: there is no generator to seed."""


def initial_seed() -> int:
    """`AssertionError`."""
    need_cuda()
    return 0


def get_rng_state(device: Any = "cuda") -> Any:
    """`AssertionError`."""
    need_cuda()
    raise AssertionError("there is no CUDA generator; torch.get_rng_state() is the CPU's")


def get_rng_state_all() -> list[Any]:
    """None."""
    return []


def set_rng_state(new_state: Any, device: Any = "cuda") -> None:
    """Nothing: there is no generator."""


def set_rng_state_all(new_states: Iterable[Any]) -> None:
    """Nothing: there are no generators."""


# ------------------------------------------------------------------- compilation, graphs
@contextlib.contextmanager
def graph(cuda_graph: Any, pool: Any = None, stream: Any = None, **more: Any) -> Iterator[None]:
    """`AssertionError`: a CUDA graph records what runs on CUDA."""
    need_cuda()
    yield


class _NoType:
    """`torch.cuda.FloatTensor` and its kin: types without instances."""

    def __init__(self, name: str) -> None:
        self.__name__ = name
        self.__module__ = "torch.cuda"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            need_cuda()
        except AssertionError as error:
            raise TypeError(f"type torch.cuda.{self.__name__} not available. {error}") from None
        return TYPES[self.__name__](*args, **kwargs)

    def __instancecheck__(self, instance: Any) -> bool:
        return False

    def __repr__(self) -> str:
        return f"<class 'torch.cuda.{self.__name__}'>"


_NO_TYPES = {name: _NoType(name) for name in TYPES}


def __getattr__(name: str) -> Any:
    """The typed constructors; `AttributeError` that names what does not exist."""
    if name in _NO_TYPES:
        return _NO_TYPES[name]
    raise AttributeError(
        f"module 'torch.cuda' has no attribute {name!r}: torch.cuda.{name} is not in Rushlight yet"
    )
