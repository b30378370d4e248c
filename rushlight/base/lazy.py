"""Modules of our own that load when first used: what only compiling needs stays out of start-up."""

from __future__ import annotations

import importlib
import os
import threading
from typing import Any, Final

# Held around whatever is loaded late and around every use of LLVM, and while the process forks: a
# child must not find a module half loaded, or LLVM's own lock taken, by a thread that it does not
# have.
LOADING: Final = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=LOADING.acquire, after_in_parent=LOADING.release, after_in_child=LOADING.release
    )


_PLAIN: Final = (int, float, str, bytes, tuple, type(None))


class _Later:
    """Stands for a module; the first look at one of its names imports it.

    What was found is kept here, so that the next look is an attribute's, unless it is a plain
    value, which may be set anew.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._module: Any = None

    def __getattr__(self, name: str) -> Any:
        module = self._module
        if module is None:
            with LOADING:
                module = self._module = importlib.import_module(self._name)
        found = getattr(module, name)
        if not isinstance(found, _PLAIN):
            self.__dict__[name] = found
        return found


def later(name: str) -> Any:
    """The module called `name`, imported when one of its names is first asked for.

    Layers hold for it as for an import at the top of the file (`tests/test_architecture.py`), so
    `name` is a literal.
    """
    return _Later(name)
