"""Where history is written: context managers that are decorators too."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast

from rushlight import engine
from rushlight.autograd.modes import WithHistory, WithoutHistory

F = TypeVar("F", bound=Callable[..., Any])


class _Mode:
    """A grad mode for a `with` block or for every call of a function (generators included)."""

    def clone(self) -> Any:
        """A fresh context manager of the same kind."""
        return type(self)()

    def __call__(self, func: F) -> F:
        if isinstance(func, type):
            raise TypeError(
                f"{type(self).__name__}: cannot decorate the class {func.__name__}; decorate its "
                "methods"
            )
        if _is_generator(func):
            return cast(F, _wrap_generator(self, func))

        @functools.wraps(func)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with self.clone():
                return func(*args, **kwargs)

        return cast(F, inside)


def _is_generator(f: Any) -> bool:
    code = getattr(f, "__code__", None)
    return code is not None and bool(code.co_flags & 0x20)


def _wrap_generator(mode: _Mode, func: Any) -> Any:
    """The body runs in the mode, whoever resumes it does not."""

    @functools.wraps(func)
    def inside(*args: Any, **kwargs: Any) -> Any:
        g = func(*args, **kwargs)
        try:
            with mode.clone():
                out = g.send(None)
            while True:
                try:
                    sent = yield out
                except GeneratorExit:
                    with mode.clone():
                        g.close()
                    raise
                except BaseException:
                    with mode.clone():
                        out = g.throw(*sys.exc_info()[1:2])
                else:
                    with mode.clone():
                        out = g.send(sent)
        except StopIteration as stop:
            return stop.value

    return inside


class no_grad(_Mode, WithoutHistory):
    """No history inside: results need no gradient.

    `with torch.no_grad(): ...`, `@torch.no_grad()` or `@torch.no_grad`.
    """


class enable_grad(_Mode, WithHistory):
    """History again, inside `no_grad`."""


class set_grad_enabled(_Mode):
    """History on or off from here on; as a context manager, until the block ends."""

    def __init__(self, mode: bool) -> None:
        self.mode = bool(mode)
        self.prev = engine.set_grad_enabled(self.mode)

    def __call__(self, func: F) -> F:
        engine.set_grad_enabled(self.prev)
        return super().__call__(func)

    def __enter__(self) -> None:
        engine.set_grad_enabled(self.mode)

    def __exit__(self, *_: object) -> None:
        engine.set_grad_enabled(self.prev)

    def clone(self) -> set_grad_enabled:
        """A fresh one of the same mode."""
        return set_grad_enabled(self.mode)

    def __str__(self) -> str:
        return f"torch.autograd.grad_mode.set_grad_enabled(mode={self.mode})"

    __repr__ = __str__


class _Here(threading.local):
    """What holds in this thread."""

    inference = False


_HERE = _Here()


class inference_mode(_Mode):
    """`no_grad` under another name: tensors made inside may be used outside without limits.

    With `mode` False what stands inside is outside of it, and history is written.
    """

    def __new__(cls, mode: Any = True) -> Any:
        made = super().__new__(cls)
        if isinstance(mode, bool):
            return made
        made.mode, made.prev = True, (False, False)
        return made(mode)

    def __init__(self, mode: Any = True) -> None:
        self.mode = bool(mode)
        self.prev = (False, False)

    def __enter__(self) -> None:
        self.prev = (engine.is_grad_enabled(), _HERE.inference)
        engine.set_grad_enabled(not self.mode)
        _HERE.inference = self.mode

    def __exit__(self, *_: object) -> None:
        engine.set_grad_enabled(self.prev[0])
        _HERE.inference = self.prev[1]

    def clone(self) -> Any:
        """A fresh one of the same mode."""
        return inference_mode(self.mode)


def is_grad_enabled() -> bool:
    """Whether history is written in this thread."""
    return engine.is_grad_enabled()


def is_inference_mode_enabled() -> bool:
    """Whether this thread is in `inference_mode`."""
    return _HERE.inference
