"""Blocks with and without history, compiled with the hot core: programs enter one every step."""

from __future__ import annotations

from typing import Any

from mypy_extensions import mypyc_attr

from ..engine.record import set_grad_enabled


@mypyc_attr(allow_interpreted_subclasses=True)
class WithoutHistory:
    """No history inside.  Made with a function, it decorates that function."""

    __slots__ = ("prev",)

    def __new__(cls, orig_func: Any = None) -> Any:
        made: Any = object.__new__(cls)
        return made if orig_func is None else made(orig_func)

    def __init__(self, orig_func: Any = None) -> None:
        self.prev: bool = False

    def __enter__(self) -> None:
        self.prev = set_grad_enabled(False)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        set_grad_enabled(self.prev)


@mypyc_attr(allow_interpreted_subclasses=True)
class WithHistory:
    """History inside.  Made with a function, it decorates that function."""

    __slots__ = ("prev",)

    def __new__(cls, orig_func: Any = None) -> Any:
        made: Any = object.__new__(cls)
        return made if orig_func is None else made(orig_func)

    def __init__(self, orig_func: Any = None) -> None:
        self.prev: bool = False

    def __enter__(self) -> None:
        self.prev = set_grad_enabled(True)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        set_grad_enabled(self.prev)
