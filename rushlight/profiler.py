"""`torch.profiler`: marks and schedules work, a profile is not taken.

`rushlight.explain` says what a program runs, and how long that takes.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable
from typing import Any, Final

from rushlight.base.lacking import names_of

__all__ = [
    "ProfilerAction",
    "ProfilerActivity",
    "kineto_available",
    "record_function",
    "schedule",
    "supported_activities",
    "tensorboard_trace_handler",
]

__getattr__ = names_of(
    "torch.profiler",
    frozenset(["ExecutionTraceObserver", "profile"]),
    "rushlight.explain says what a program runs",
)


class ProfilerActivity(enum.Enum):
    """What may be profiled."""

    CPU = 0
    XPU = 1
    CUDA = 2


class ProfilerAction(enum.Enum):
    """What a profiler does in a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


def kineto_available() -> bool:
    """False."""
    return False


def supported_activities() -> set[ProfilerActivity]:
    """None."""
    return set()


class record_function(contextlib.ContextDecorator):
    """A mark with a name, as context or decorator; it changes nothing."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name

    def __enter__(self) -> record_function:
        return self

    def __exit__(self, *exception: object) -> None:
        return None


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0, **more: Any
) -> Callable[[int], ProfilerAction]:
    """What a profiler would do in each step: wait, warm up, record, and again."""
    cycle: Final = wait + warmup + active

    def action(step: int) -> ProfilerAction:
        step -= skip_first
        if step < 0 or (repeat and step // cycle >= repeat):
            return ProfilerAction.NONE
        at = step % cycle
        if at < wait:
            return ProfilerAction.NONE
        if at < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD_AND_SAVE if at == cycle - 1 else ProfilerAction.RECORD

    return action


def tensorboard_trace_handler(
    dir_name: str, worker_name: str | None = None, use_gzip: bool = False
) -> Callable[[Any], None]:
    """A handler that has nothing to write."""
    return lambda profile: None
