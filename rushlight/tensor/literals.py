"""Nested Python data as NumPy arrays: what `torch.tensor([[1, 2], [3, 4]])` reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.base.dtype import dtype
from rushlight.base.lazy import later
from rushlight.engine import Tensor

eager_numpy: Final[Any] = later("rushlight.engine.eager_numpy")

Array = np.ndarray[Any, np.dtype[Any]]

_PLAIN: Final = frozenset({int, float, bool, complex})
_NESTS: Final = frozenset({list, tuple})


def array_of(data: Any, kind: dtype | None) -> tuple[Array, dtype]:
    """A new array of `data` (numbers, nested sequences, arrays, tensors) and its dtype.

    Without `kind` the type is PyTorch's: bool, int64 or the default float for Python numbers, their
    own for NumPy's and for tensors.
    """
    if isinstance(data, np.ndarray | np.generic):
        found = dt.from_numpy(np.asarray(data).dtype)
        kind = found if kind is None else kind
        return np.array(data, dtype=kind.numpy), kind
    if type(data) in _PLAIN:
        return _plain(data, {type(data)}, kind)
    if isinstance(data, bytearray | memoryview | range):
        data = list(data)
    if type(data) in _NESTS and (kinds := _plain_kinds(data)) is not None:
        return _plain(data, kinds, kind)
    return _mixed(data, kind)


def _plain_kinds(data: Any) -> set[type] | None:
    """The types in nested lists of one shape that hold Python numbers only, or None."""
    level = data
    while True:
        kinds = set(map(type, level))
        if kinds <= _PLAIN:
            return kinds
        if not kinds <= _NESTS or len(set(map(len, level))) != 1:
            return None
        level = [item for row in level for item in row]


def _plain(data: Any, kinds: set[type], kind: dtype | None) -> tuple[Array, dtype]:
    if kind is None:
        found = "f" if float in kinds or not kinds else "i" if int in kinds else "b"
        found = "c" if complex in kinds else found
        kind = dt.number_type(found)
    if complex in kinds and kind.kind != "c":
        raise RuntimeError(f"value cannot be converted to type {kind.name} without overflow")
    if kind.kind == "c":
        return np.array(data, dtype=np.complex128).astype(kind.numpy), kind
    if kind.kind == "f" and (kind.narrow or int in kinds):
        # through float64: NumPy would make objects of integers beyond 64 bits
        return eager_numpy.converter(dt.float64, kind)(np.array(data, dtype=np.float64)), kind
    if kind is dt.uint64 and float not in kinds:
        return np.array(data, dtype=np.uint64), kind
    try:
        return np.array(data, dtype=np.int64 if kind.kind in "iu" else None).astype(
            kind.numpy
        ), _fits(data, kinds, kind)
    except OverflowError:
        raise ValueError("Overflow when unpacking long long") from None


def _fits(data: Any, kinds: set[type], kind: dtype) -> dtype:
    """PyTorch refuses an integer that is too wide for its type, except one that wraps once."""
    if kind.kind in "iu" and kind.itemsize < 8 and int in kinds:
        limits = np.iinfo(kind.numpy)
        low = int(limits.min) if kind.kind == "i" else -int(limits.max)
        values = np.asarray(data, np.int64)
        if values.size and (values.min() < low or values.max() > limits.max):
            raise RuntimeError(
                f"value cannot be converted to type {_C_NAMES[kind.name]} without overflow"
            )
    return kind


_C_NAMES: Final = {
    "uint8": "uint8", "int8": "int8", "int16": "short", "int32": "int", "int64": "int64_t",
    "uint16": "uint16", "uint32": "uint32",
}  # fmt: skip


def _mixed(data: Any, kind: dtype | None) -> tuple[Array, dtype]:
    """The slow way: anything nested, or something that is no number at all."""
    if isinstance(data, str | bytes):
        raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
    shape = _shape(data)
    found = _kind(data, len(shape))
    kind = found if kind is None else kind
    leaves: list[Any] = []
    _collect(data, shape, 0, leaves)
    out, _ = _plain(leaves, set(map(type, leaves)), kind)
    return out.reshape(shape), kind


def _is_sequence(x: Any) -> bool:
    if isinstance(x, str | bytes | dict | set | frozenset | np.generic):
        return False
    if isinstance(x, Tensor):
        return False  # inside a sequence, a tensor of one element is a number
    if isinstance(x, np.ndarray):
        return x.ndim > 0
    return isinstance(x, Sequence) or (hasattr(x, "__len__") and hasattr(x, "__getitem__"))


def _shape(data: Any) -> tuple[int, ...]:
    """The lengths met on the way down along the first elements."""
    shape = []
    while _is_sequence(data):
        shape.append(len(data))
        if not len(data):
            break
        data = data[0]
    if isinstance(data, str | bytes):
        raise ValueError(f"too many dimensions '{type(data).__name__}'")
    return tuple(shape)


def _kind(data: Any, depth: int) -> dtype:
    """The promoted type of everything in `data`."""
    if isinstance(data, Tensor):
        return data.dtype  # type: ignore[no-any-return]
    if isinstance(data, np.ndarray | np.generic):
        return dt.from_numpy(data.dtype)
    if isinstance(data, bool):
        return dt.bool_
    if isinstance(data, int):
        return dt.int64
    if isinstance(data, float):
        return dt.Defaults.float
    if isinstance(data, complex):
        return dt.number_type("c")
    if isinstance(data, str | bytes):
        raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
    if not _is_sequence(data):
        raise RuntimeError(f"Could not infer dtype of {type(data).__name__}")
    found: dtype | None = None
    for item in data:
        one = _kind(item, depth - 1)
        found = one if found is None else dt.promote_types(found, one)
    return dt.Defaults.float if found is None else found


def _collect(data: Any, shape: tuple[int, ...], level: int, leaves: list[Any]) -> None:
    """The numbers in order; `ValueError` where a sequence has not the length of its siblings."""
    if level == len(shape):
        leaves.append(_leaf(data))
        return
    if not _is_sequence(data):
        raise TypeError("not a sequence")
    if len(data) != shape[level]:
        raise ValueError(
            f"expected sequence of length {shape[level]} at dim {level} (got {len(data)})"
        )
    if isinstance(data, np.ndarray):
        data = data.tolist()
    for item in data:
        _collect(item, shape, level + 1, leaves)


def _leaf(x: Any) -> Any:
    if isinstance(x, Tensor):
        if x.shape.numel() != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        return engine.item(x)
    if isinstance(x, np.generic):
        return x.item()
    if isinstance(x, np.ndarray):
        return x.item()
    if _is_sequence(x):
        raise TypeError(f"'{type(x).__name__}' object cannot be interpreted as an integer")
    return x
