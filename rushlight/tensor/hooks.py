"""The handle that registering a hook returns, on tensors, modules and optimisers."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Self


def _reference(hooks: Any) -> Callable[[], Any]:
    """How a handle reaches its dictionary: weakly, where dictionaries of its kind allow it."""
    try:
        return weakref.ref(hooks)
    except TypeError:
        return lambda: hooks


class RemovableHandle:
    """What registering a hook returns: ``remove()``, or leaving ``with``, takes it away."""

    next_id: int = 0

    def __init__(self, hooks_dict: Any, *, extra_dict: Any = None) -> None:
        self.hooks_dict_ref: Callable[[], Any] = _reference(hooks_dict)
        self.id = RemovableHandle.next_id
        RemovableHandle.next_id += 1
        extras = (
            [extra_dict]
            if isinstance(extra_dict, dict)
            else extra_dict
            if isinstance(extra_dict, list)
            else []
        )
        self.extra_dict_ref: tuple[Callable[[], Any], ...] = tuple(_reference(d) for d in extras)

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        for ref in (self.hooks_dict_ref, *self.extra_dict_ref):
            hooks = ref()
            if hooks is not None and self.id in hooks:
                del hooks[self.id]

    def __getstate__(self) -> tuple[Any, ...]:
        return self.hooks_dict_ref(), self.id, tuple(ref() for ref in self.extra_dict_ref)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        hooks = OrderedDict[int, Any]() if state[0] is None else state[0]
        self.hooks_dict_ref = _reference(hooks)
        self.id = state[1]
        RemovableHandle.next_id = max(RemovableHandle.next_id, self.id + 1)
        extras = state[2] if len(state) > 2 and state[2] is not None else ()
        self.extra_dict_ref = tuple(_reference(d) for d in extras)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()
