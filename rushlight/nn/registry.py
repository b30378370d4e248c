"""A module's parameters, buffers and children: dictionaries that keep the instance dict in step.

PyTorch finds ``self.weight`` through ``Module.__getattr__``, a Python call each time.  Here what is
registered also lies in the instance ``__dict__``, where Python finds it at once.  The registry
stays the authority: every change of it is mirrored, whoever makes it.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from typing import Any, Self

from ..engine.capture import VERSION

_MISSING: Any = object()


class Registry(dict[str, Any]):
    """Name -> parameter, buffer or child of one module, mirrored into its ``__dict__``."""

    __slots__ = ("_owner",)

    def __init__(
        self, owner: Any, items: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()
    ) -> None:
        super().__init__(items)
        # Weak, so that a module still goes when its last reference does.
        self._owner = weakref.ref(owner)
        for name, value in self.items():
            self._show(name, value)

    def _show(self, name: str, value: Any) -> None:
        VERSION[0] += 1
        owner = self._owner()
        # What the class has under this name would hide the registry in PyTorch: it does here as
        # well.
        if owner is not None and getattr(type(owner), name, _MISSING) is _MISSING:
            owner.__dict__[name] = value

    def _hide(self, name: str, value: Any) -> None:
        VERSION[0] += 1
        owner = self._owner()
        if owner is not None and owner.__dict__.get(name, _MISSING) is value:
            del owner.__dict__[name]

    def release(self) -> None:
        """Take every mirrored name out of the owner's ``__dict__``."""
        for name, value in self.items():
            self._hide(name, value)

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        self._show(name, value)

    def __delitem__(self, name: str) -> None:
        value = self[name]
        super().__delitem__(name)
        self._hide(name, value)

    def pop(self, name: str, *default: Any) -> Any:
        """Remove a name and return its value."""
        if name not in self:
            return super().pop(name, *default)
        value = self[name]
        del self[name]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Remove and return the name registered last."""
        name, value = super().popitem()
        self._hide(name, value)
        return name, value

    def clear(self) -> None:
        """Forget every name."""
        self.release()
        super().clear()

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Register many names."""
        for name, value in dict(*args, **kwargs).items():
            self[name] = value

    def setdefault(self, name: str, default: Any = None) -> Any:
        """The value of a name, registered when absent."""
        if name not in self:
            self[name] = default
        return self[name]

    def move_to_end(self, name: str, last: bool = True) -> None:
        """Put a name at the end, or at the beginning."""
        value = super().pop(name)
        rest = [] if last else list(self.items())
        if not last:
            super().clear()
        super().__setitem__(name, value)
        super().update(rest)

    def __ior__(self, other: Any) -> Self:  # type: ignore[override,misc]
        self.update(other)
        return self

    def copy(self) -> dict[str, Any]:
        """A plain dictionary."""
        return dict(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return self.__reduce__()
