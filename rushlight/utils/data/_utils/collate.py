"""Collating: a list of samples to one batch, kind by kind of sample."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any, Final

import numpy as np

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.base.device import CPU
from rushlight.engine import Tensor
from rushlight.tensor.creation import as_tensor, tensor
from rushlight.tensor.install import FUNCTIONS
from rushlight.utils.data._utils.ahead import plain

Collate = Callable[..., Any]
Kinds = dict[type | tuple[type, ...], Collate]

np_str_obj_array_pattern: Final = re.compile(r"[SaUO]")
default_collate_err_msg_format: Final = (
    "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
)


def _is_text(array: Any) -> bool:
    return np_str_obj_array_pattern.search(array.dtype.str) is not None


def _rebuilt(data: Any, values: Any, kind: type) -> Any:
    """A copy of a collection with other values: {key: value} or [value, ...].

    A mutable one may have properties of its own, so it is copied and updated; one that cannot be
    copied or made from an iterable gives a plain dict or list.
    """
    try:
        if isinstance(data, MutableMapping):
            out = copy.copy(data)
            out.update(values)
            return out
        if isinstance(data, MutableSequence):
            clone = copy.copy(data)
            for i, value in enumerate(values):
                clone[i] = value
            return clone
        return kind(values)
    except TypeError:
        return values


def default_convert(data: Any) -> Any:
    """A sample with its NumPy arrays and scalars made tensors: what comes without batches."""
    kind = type(data)
    if isinstance(data, Tensor):
        return data
    if kind.__module__ == "numpy" and kind.__name__ not in ("str_", "string_"):
        if kind.__name__ == "ndarray" and _is_text(data):
            return data
        return as_tensor(data)
    if isinstance(data, Mapping):
        return _rebuilt(data, {key: default_convert(data[key]) for key in data}, kind)
    if isinstance(data, tuple):
        values = [default_convert(d) for d in data]
        return kind(*values) if hasattr(data, "_fields") else values
    if isinstance(data, Sequence) and not isinstance(data, str | bytes):
        return _rebuilt(data, [default_convert(d) for d in data], kind)
    return data


def collate(batch: Any, *, collate_fn_map: Kinds | None = None) -> Any:
    """A batch of samples of one kind as one value of that kind.

    `collate_fn_map` gives the function for a type or its subclasses, called as
    `function(batch, collate_fn_map=...)`.  Dicts, tuples and sequences are collated item by item.
    """
    first = batch[0]
    kind = type(first)
    if collate_fn_map is not None:
        function = collate_fn_map.get(kind)
        if function is None:
            fits = (f for k, f in collate_fn_map.items() if isinstance(first, k))
            function = next(fits, None)
        if function is not None:
            return function(batch, collate_fn_map=collate_fn_map)
    if isinstance(first, Mapping):
        columns = {
            key: collate([d[key] for d in batch], collate_fn_map=collate_fn_map) for key in first
        }
        return _rebuilt(first, columns, kind)
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return kind(*(collate(s, collate_fn_map=collate_fn_map) for s in zip(*batch)))
    if isinstance(first, Sequence):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        values = [collate(s, collate_fn_map=collate_fn_map) for s in zip(*batch)]
        return values if isinstance(first, tuple) else _rebuilt(first, values, kind)
    raise TypeError(default_collate_err_msg_format.format(kind))


def collate_tensor_fn(batch: Any, *, collate_fn_map: Kinds | None = None) -> Tensor:
    """Tensors, stacked."""
    first = batch[0]
    shape, kind = first.shape, first.dtype
    if all(plain(x) and x.dtype is kind and x.shape == shape for x in batch):
        return engine.own_array(np.stack([engine.read(x) for x in batch]), kind, CPU)
    out: Tensor = FUNCTIONS["stack"](batch, 0)
    return out


def collate_numpy_array_fn(batch: Any, *, collate_fn_map: Kinds | None = None) -> Any:
    """Arrays, stacked."""
    first = batch[0]
    if _is_text(first):
        raise TypeError(default_collate_err_msg_format.format(first.dtype))
    tensor_fn = collate_fn_map.get(Tensor) if collate_fn_map is not None else None
    shape, kind = first.shape, first.dtype
    if tensor_fn is collate_tensor_fn and all(
        isinstance(a, np.ndarray) and a.shape == shape and a.dtype == kind for a in batch
    ):
        return engine.own_array(np.stack(batch), dt.from_numpy(kind), CPU)
    return collate([as_tensor(b) for b in batch], collate_fn_map=collate_fn_map)


def collate_numpy_scalar_fn(batch: Any, *, collate_fn_map: Kinds | None = None) -> Tensor:
    """NumPy's scalars, as one tensor."""
    return as_tensor(batch)


def collate_float_fn(batch: Any, *, collate_fn_map: Kinds | None = None) -> Tensor:
    """Floats, as a float64 tensor."""
    return tensor(batch, dtype=dt.float64)


def collate_int_fn(batch: Any, *, collate_fn_map: Kinds | None = None) -> Tensor:
    """Integers or bools, as a tensor."""
    return tensor(batch)


def collate_str_fn(batch: Any, *, collate_fn_map: Kinds | None = None) -> Any:
    """Text stays as it is."""
    return batch


default_collate_fn_map: Kinds = {
    Tensor: collate_tensor_fn,
    np.ndarray: collate_numpy_array_fn,
    (np.bool_, np.number, np.object_): collate_numpy_scalar_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}
"""How `default_collate` treats each kind of sample; programs may add to it."""


def default_collate(batch: Any) -> Any:
    """A batch of samples with a batch dimension in front.

    Tensors, NumPy arrays and numbers become tensors; dicts, named tuples, tuples (as lists) and
    sequences are collated item by item; text stays.
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)
