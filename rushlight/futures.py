"""`torch.futures`: results that come later, for programs in one process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")
S = TypeVar("S")

__all__ = ["Future", "collect_all", "wait_all"]


class Future(Generic[T]):
    """A result that somebody sets once: `wait()` blocks until then, `then` goes on with it."""

    def __init__(self, *, devices: Any = None) -> None:
        self._ready = threading.Event()
        self._lock = threading.Lock()
        self._value: Any = None
        self._error: BaseException | None = None
        self._after: list[Callable[[], None]] = []

    def done(self) -> bool:
        """Whether the result, or an exception, is there."""
        return self._ready.is_set()

    def wait(self) -> T:
        """The result, as soon as it is there; raises the exception that was set instead."""
        self._ready.wait()
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[no-any-return]

    def value(self) -> T:
        """The result, which must be there."""
        if not self.done():
            raise RuntimeError("Cannot use value() on a future that is not completed")
        return self.wait()

    def _finish(self, value: Any, error: BaseException | None) -> None:
        with self._lock:
            if self.done():
                raise RuntimeError(
                    "Attempting to mark a completed Future as complete again. Note that a Future "
                    "can only be marked completed once."
                )
            self._value, self._error = value, error
            self._ready.set()
            after, self._after = self._after, []
        for call in after:
            call()

    def set_result(self, result: T) -> None:
        """Give the result; `RuntimeError` the second time."""
        self._finish(result, None)

    def set_exception(self, result: BaseException) -> None:
        """Give an exception, which `wait` raises."""
        if not isinstance(result, BaseException):
            raise AssertionError(f"{result} is of type {type(result)}, not an Exception.")
        self._finish(None, result)

    def add_done_callback(self, callback: Callable[[Future[T]], Any]) -> None:
        """Call `callback(future)` when it is done; at once if it is."""
        with self._lock:
            if not self.done():
                self._after.append(lambda: callback(self))
                return
        callback(self)

    def then(self, callback: Callable[[Future[T]], S]) -> Future[S]:
        """The future of what `callback(future)` returns."""
        made: Future[S] = Future()

        def run(done: Future[T]) -> None:
            try:
                value = callback(done)
            except Exception as error:
                made.set_exception(error)
            else:
                made.set_result(value)

        self.add_done_callback(run)
        return made


def collect_all(futures: list[Future[Any]]) -> Future[list[Future[Any]]]:
    """A future that is done when all are."""
    made: Future[list[Future[Any]]] = Future()
    left = [len(futures)]
    lock = threading.Lock()

    def one(_: Future[Any]) -> None:
        with lock:
            left[0] -= 1
            last = left[0] == 0
        if last:
            made.set_result(futures)

    if not futures:
        made.set_result(futures)
    for future in futures:
        future.add_done_callback(one)
    return made


def wait_all(futures: list[Future[Any]]) -> list[Any]:
    """The results of all."""
    return [future.wait() for future in collect_all(futures).wait()]
