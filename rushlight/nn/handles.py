"""Hooks on modules: the dictionaries that tell a class it is hooked."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from ..engine.capture import VERSION
from ..tensor.hooks import RemovableHandle

Hook = Callable[..., Any]

__all__ = ["Hook", "Hooks", "RemovableHandle", "WrappedHook"]


class Hooks(OrderedDict[int, Any]):
    """Hooks by id.  ``changed(present)`` is told when the first one comes and the last one goes."""

    def __init__(self, changed: Callable[[bool], None] | None = None) -> None:
        super().__init__()
        self._changed = changed
        self._told = False

    def _tell(self) -> None:
        VERSION[0] += 1
        present = len(self) > 0
        if present is not self._told and self._changed is not None:
            self._told = present
            self._changed(present)

    def __setitem__(self, key: int, value: Any) -> None:
        super().__setitem__(key, value)
        VERSION[0] += 1
        if not self._told:
            self._tell()

    def __delitem__(self, key: int) -> None:
        super().__delitem__(key)
        self._tell()

    def clear(self) -> None:
        """Remove all hooks."""
        super().clear()
        self._tell()

    def pop(self, key: int, *default: Any) -> Any:
        """Remove and return a hook."""
        found = super().pop(key, *default)
        self._tell()
        return found

    def popitem(self, last: bool = True) -> tuple[int, Any]:
        """Remove and return the last (or first) hook."""
        found = super().popitem(last)
        self._tell()
        return found

    def __del__(self) -> None:
        # A hooked module that dies hands its class back.
        if self._told and self._changed is not None:
            self._told = False
            self._changed(False)

    def __reduce__(self) -> tuple[Any, ...]:
        return OrderedDict, (), None, None, iter(self.items())


class WrappedHook:
    """A hook that is handed its module first, without keeping that module alive."""

    def __init__(self, hook: Hook, module: Any = None) -> None:
        self.hook = hook
        self.module = None if module is None else weakref.ref(module)
        self.__wrapped__ = hook
        for name in ("__module__", "__name__", "__qualname__", "__doc__"):
            if hasattr(hook, name):
                setattr(self, name, getattr(hook, name))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.module is None:
            return self.hook(*args, **kwargs)
        module = self.module()
        if module is None:
            raise RuntimeError("You are trying to call the hook of a dead Module!")
        return self.hook(module, *args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        return {"hook": self.hook, "module": None if self.module is None else self.module()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["hook"], state["module"])  # type: ignore[misc]
