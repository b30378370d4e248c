"""`torch.Size`: the tuple that shapes are handed to users as."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from typing import Any, SupportsIndex, overload


class Size(tuple[int, ...]):
    """A tuple of sizes: slices, sums and multiples stay sizes.

    ``Size([2, 3])``; ``TypeError`` for an element that is no integer.  ``Size.of(shape)`` takes a
    tuple that is known to hold integers without looking.
    """

    __slots__ = ()

    def __new__(cls, sizes: Iterable[Any] = ()) -> Size:
        return tuple.__new__(cls, [_integer(i, d) for i, d in enumerate(sizes)])

    @staticmethod
    def of(shape: tuple[int, ...]) -> Size:
        """The same integers as a size, unchecked."""
        return tuple.__new__(Size, shape)

    def numel(self) -> int:
        """How many elements a tensor of this size has."""
        return math.prod(self)

    @overload
    def __getitem__(self, at: SupportsIndex, /) -> int: ...
    @overload
    def __getitem__(self, at: slice, /) -> Size: ...
    def __getitem__(self, at: SupportsIndex | slice, /) -> int | Size:
        found = tuple.__getitem__(self, at)
        return tuple.__new__(Size, found) if isinstance(found, tuple) else found

    def __add__(self, other: Any, /) -> Size:
        if not isinstance(other, tuple):
            raise TypeError(
                f"can only concatenate tuple (not {type(other).__name__}) to torch.Size"
            )
        return tuple.__new__(Size, tuple.__add__(self, other))

    def __radd__(self, other: Any, /) -> Size:
        if not isinstance(other, tuple):
            raise TypeError(
                f"can only concatenate tuple (not {type(other).__name__}) to torch.Size"
            )
        return tuple.__new__(Size, tuple.__add__(other, self))

    def __mul__(self, times: SupportsIndex, /) -> Size:
        return tuple.__new__(Size, tuple.__mul__(self, times))

    __rmul__ = __mul__

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(repr, self))}])"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, tuple(self)


def _restored(*sizes: int) -> Size:
    # a function, because the class goes by a public name that pickle could not look up
    return Size.of(sizes)


def _integer(i: int, d: Any) -> int:
    try:
        return operator.index(d)
    except TypeError:
        raise TypeError(
            f"torch.Size() takes an iterable of 'int' (item {i} is '{type(d).__name__}')"
        ) from None


Size.__module__ = "torch"
