"""Versions that compare as numbers."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["TorchVersion"]


def _parts(text: Any) -> tuple[Any, ...]:
    if isinstance(text, tuple | list):
        text = ".".join(map(str, text))
    numbers = re.match(r"\D*(\d+(?:\.\d+)*)", str(text))
    if numbers is None:
        raise ValueError(f"Invalid version: {text!r}")
    found = [int(n) for n in numbers[1].split(".")]
    while found and found[-1] == 0:
        found.pop()
    return tuple(found), str(text).partition("+")[2]


class TorchVersion(str):
    """A version string whose comparisons follow the numbers: ``"1.10" > "1.9"``.

    It compares with strings and with tuples of numbers; what is no version compares as text.
    """

    __slots__ = ()

    def _pair(self, other: Any) -> tuple[Any, Any]:
        try:
            return _parts(self), _parts(other)
        except ValueError:
            return str(self), other

    def __lt__(self, other: Any) -> bool:
        a, b = self._pair(other)
        return bool(a < b)

    def __le__(self, other: Any) -> bool:
        a, b = self._pair(other)
        return bool(a <= b)

    def __gt__(self, other: Any) -> bool:
        a, b = self._pair(other)
        return bool(a > b)

    def __ge__(self, other: Any) -> bool:
        a, b = self._pair(other)
        return bool(a >= b)

    def __eq__(self, other: object) -> bool:
        a, b = self._pair(other)
        return bool(a == b)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return str.__hash__(self)
