"""`torch.cuda`'s streams and events: errors without CUDA, clock times where it is the CPU."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from rushlight import engine
from rushlight.base.device import Chosen, need_cuda

__all__ = ["Event", "Stream", "current_stream", "default_stream", "stream"]


def _need(name: str) -> None:
    """PyTorch's `RuntimeError` for the class without CUDA."""
    if not Chosen.cuda_is_cpu:
        raise RuntimeError(
            f"Tried to instantiate dummy base class {name} (`rushlight run --cuda=cpu` runs a "
            "program that asks for cuda on the CPU)"
        )
    need_cuda()


class Event:
    """A moment in a stream's work; `RuntimeError` without CUDA.

    With `--cuda=cpu`: the moment at which all that was recorded before had been computed.
    """

    def __init__(
        self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False
    ) -> None:
        _need("_CudaEventBase")
        self._at: float | None = None

    def record(self, stream: Any = None) -> None:
        """Compute what is pending, and note the time."""
        engine.flush()
        self._at = time.perf_counter()

    def synchronize(self) -> None:
        """Nothing is left to wait for."""

    def wait(self, stream: Any = None) -> None:
        """Nothing is left to wait for."""

    def query(self) -> bool:
        """True: the work before it is done."""
        return True

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds between two events.  RuntimeError: one has not been recorded."""
        if self._at is None or end_event._at is None:
            raise RuntimeError("Both events must be recorded before calculating elapsed time.")
        return 1e3 * (end_event._at - self._at)


class Stream:
    """A queue of work; `RuntimeError` without CUDA.  With `--cuda=cpu` there is one, in order."""

    def __init__(self, device: Any = None, priority: int = 0, **more: Any) -> None:
        _need("_CudaStreamBase")

    def synchronize(self) -> None:
        """Compute what is pending."""
        engine.flush()

    def wait_stream(self, stream: Any) -> None:
        """Nothing: work is done in order."""

    def wait_event(self, event: Any) -> None:
        """Nothing: work is done in order."""

    def record_event(self, event: Event | None = None) -> Event:
        """An event at this moment."""
        made = event or Event()
        made.record()
        return made

    def query(self) -> bool:
        """True."""
        return True

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *exception: object) -> None:
        return None


def current_stream(device: Any = None) -> Stream:
    """`AssertionError`."""
    need_cuda()
    return Stream()


def default_stream(device: Any = None) -> Stream:
    """`AssertionError`."""
    need_cuda()
    return Stream()


@contextlib.contextmanager
def stream(stream: Stream | None) -> Iterator[None]:
    """A context in which a stream is the current one."""
    yield
