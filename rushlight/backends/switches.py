"""Context managers that set a backend's switches and put them back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def changed(module: dict[str, Any], changes: dict[str, Any]) -> Iterator[None]:
    """Inside, a module's switches have other values; None leaves one as it is."""
    before = {name: module[name] for name in changes}
    module.update({name: value for name, value in changes.items() if value is not None})
    try:
        yield
    finally:
        module.update(before)


class Switches:
    """An object whose attributes are switches, such as `torch.backends.cuda.matmul`."""

    def __init__(self, **switches: Any) -> None:
        for name, value in switches.items():
            setattr(self, name, value)


class verbose:
    """A context in which a library would print what it does: there is no such library."""

    def __init__(self, enable: Any = None, **more: Any) -> None:
        self.enable = enable

    def __enter__(self) -> verbose:
        return self

    def __exit__(self, *exception: object) -> None:
        return None
