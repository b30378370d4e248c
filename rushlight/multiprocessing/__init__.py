"""`multiprocessing` of the standard library, for programs with tensors (`torch.multiprocessing`).

Tensors that are shared (`share_memory_`) reach other processes as the same memory, whether these
are forked, started with them as arguments, or receive them through a queue or a pipe.  Others are
sent as copies, except what a process is started with: that is shared first.
"""

from __future__ import annotations

import multiprocessing as _standard
from multiprocessing import *  # noqa: F403
from typing import Any

from rushlight.engine import Tensor
from rushlight.multiprocessing.spawn import (
    ProcessContext,
    ProcessException,
    ProcessExitedException,
    ProcessRaisedException,
    SpawnContext,
    spawn,
    start_processes,
)
from rushlight.nn.parameter import Buffer, Parameter
from rushlight.tensor.sharing import send_as_shared

__all__ = [  # noqa: PLE0604
    *_standard.__all__,
    "ProcessContext",
    "ProcessException",
    "ProcessExitedException",
    "ProcessRaisedException",
    "SpawnContext",
    "get_all_sharing_strategies",
    "get_sharing_strategy",
    "set_sharing_strategy",
    "spawn",
    "start_processes",
]

send_as_shared(Tensor, Parameter, Buffer)

_STRATEGIES = {"file_descriptor", "file_system"}
_strategy = "file_descriptor"


def get_all_sharing_strategies() -> set[str]:
    """The names that `set_sharing_strategy` knows."""
    return set(_STRATEGIES)


def get_sharing_strategy() -> str:
    """The name that was set last."""
    return _strategy


def set_sharing_strategy(new_strategy: str) -> None:
    """Take a name of PyTorch's; memory is shared by file descriptors under either."""
    global _strategy
    if new_strategy not in _STRATEGIES:
        raise ValueError(f"unknown sharing strategy {new_strategy!r}: one of {_STRATEGIES}")
    _strategy = new_strategy


def __getattr__(name: str) -> Any:
    return getattr(_standard, name)
