"""`torch.cpu`: the one device there is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from rushlight import engine

__all__ = [
    "Stream",
    "current_device",
    "current_stream",
    "device_count",
    "is_available",
    "is_initialized",
    "set_device",
    "stream",
    "synchronize",
]


def is_available() -> bool:
    """True."""
    return True


def is_initialized() -> bool:
    """True."""
    return True


def device_count() -> int:
    """1."""
    return 1


def current_device() -> str:
    """`cpu`."""
    return "cpu"


def set_device(device: Any) -> None:
    """Nothing: there is one."""


def synchronize(device: Any = None) -> None:
    """Compute what is pending."""
    engine.flush()


class Stream:
    """The queue of work, of which there is one."""

    def __init__(self, priority: int = -1) -> None:
        self.priority = priority

    def wait_stream(self, stream: Any) -> None:
        """Nothing: work is done in order."""

    def record_event(self) -> None:
        """Nothing."""

    def wait_event(self, event: Any) -> None:
        """Nothing."""


_STREAM = Stream()


def current_stream(device: Any = None) -> Stream:
    """The one there is."""
    return _STREAM


@contextlib.contextmanager
def stream(stream: Stream | None) -> Iterator[None]:
    """A block of work on a stream: the same."""
    yield
