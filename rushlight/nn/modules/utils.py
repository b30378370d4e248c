"""Small helpers on layers' arguments, under the path that public programs import them from."""

from __future__ import annotations

import collections.abc
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any

__all__ = ["consume_prefix_in_state_dict_if_present"]


def consume_prefix_in_state_dict_if_present(state_dict: dict[str, Any], prefix: str) -> None:
    """Cut ``prefix`` (such as ``"module."`` of ``DataParallel``) off the keys, in place."""
    metadata: Any = getattr(state_dict, "_metadata", None)
    for mapping in (state_dict, metadata):
        for key in list(mapping or ()):
            if key.startswith(prefix):
                mapping[key[len(prefix) :]] = mapping.pop(key)
    if metadata is not None and prefix.rstrip(".") in metadata and prefix.endswith("."):
        metadata[""] = metadata.pop(prefix.rstrip("."))


def _ntuple(n: int, name: str = "parse") -> Callable[[Any], tuple[Any, ...]]:
    """What makes a tuple of ``n`` of one value, and leaves an iterable's values as they are."""

    def parse(x: Any) -> tuple[Any, ...]:
        return tuple(x) if isinstance(x, collections.abc.Iterable) else tuple(repeat(x, n))

    parse.__name__ = name
    return parse


_single = _ntuple(1, "_single")
_pair = _ntuple(2, "_pair")
_triple = _ntuple(3, "_triple")
_quadruple = _ntuple(4, "_quadruple")


def _reverse_repeat_tuple(t: Sequence[Any], n: int) -> tuple[Any, ...]:
    """The values from the last to the first, each ``n`` times: the order of ``F.pad``."""
    return tuple(x for x in reversed(t) for _ in range(n))


def _list_with_default(out_size: Any, defaults: Sequence[int]) -> Any:
    """Sizes with ``None`` filled in from the last of ``defaults``."""
    if isinstance(out_size, int | tuple):
        return out_size
    if len(defaults) <= len(out_size):
        raise ValueError(f"Input dimension should be at least {len(out_size) + 1}")
    tail = defaults[-len(out_size) :]
    return [d if v is None else v for v, d in zip(out_size, tail, strict=False)]
