"""`x[...]` and `x[...] = v`: PyTorch's basic and advanced indexing.

Integers, slices, None and Ellipsis make views, step by step along the dimensions; what is left over
(index tensors, lists, masks) is one `index` or `index_put` on that view.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.base.device import CPU
from rushlight.engine import Tensor
from rushlight.engine.record import distinct, once
from rushlight.graph.ops import elementwise as ew
from rushlight.graph.ops import indexing as rows
from rushlight.graph.ops import movement, reduce
from rushlight.graph.ops.movement import normal_slice
from rushlight.tensor import shape as sh
from rushlight.tensor.creation import owned
from rushlight.tensor.install import attach, integer, method, named, strides
from rushlight.tensor.literals import array_of

apply: Callable[..., Tensor] = engine.apply
look: Callable[..., Tensor] = engine.view
Places = list[tuple[int, Tensor]]
WHOLE: Final = slice(None, None, None)


# ---------------------------------------------------------------- steps that are views
def _one(x: Tensor, dim: int, i: int, told: int | None = None) -> Tensor:
    shape = x.rec.spec.shape
    if not shape:
        raise IndexError(
            "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` "
            "in C++ to convert a 0-dim tensor to a number"
        )
    n = shape[dim]
    if not -n <= i < n:
        at = dim if told is None else told  # counted in the tensor that was indexed
        raise IndexError(f"index {i} is out of bounds for dimension {at} with size {n}")
    return look(movement.select, x, (dim, i % n))


def _bound(v: Any) -> int | None:
    if v is None or type(v) is int:
        return v
    try:
        return operator.index(v)
    except TypeError:
        raise TypeError(
            "slice indices must be integers or None or have an __index__ method"
        ) from None


def _range(x: Tensor, dim: int, s: slice) -> Tensor:
    if not x.shape:
        raise IndexError("slice() cannot be applied to a 0-dim tensor.")
    part = normal_slice(x.shape[dim], _bound(s.start), _bound(s.stop), _bound(s.step))
    return look(movement.slice_, x, (dim, *part))


# ---------------------------------------------------------------- reading an index
def _as_tuple(index: Any) -> tuple[Any, ...]:
    """The parts of an index; a list that is no plain list of numbers counts as a tuple."""
    if isinstance(index, tuple):
        return index
    if isinstance(index, list) and len(index) < 32:
        for part in index:
            if isinstance(part, list | tuple | Tensor | slice | np.ndarray) or part is None:
                if isinstance(part, list | tuple):
                    warnings.warn(
                        "Using a non-tuple sequence for multidimensional indexing is deprecated "
                        "and will be changed in pytorch 2.9; use x[tuple(seq)] instead of x[seq]. "
                        "In pytorch 2.9 this will be interpreted as tensor index, "
                        "x[torch.tensor(seq)], which will result either in an error or a different "
                        "result",
                        UserWarning,
                        stacklevel=4,
                    )
                return tuple(index)
    return (index,)


def _part(part: Any, like: Tensor | None) -> Any:
    """One part in a normal form: int, slice, None, Ellipsis, bool, or an index tensor."""
    if part is None or part is Ellipsis or isinstance(part, slice | Tensor):
        return part
    if isinstance(part, bool | int):
        return part
    if isinstance(part, np.bool_):
        return bool(part)
    if isinstance(part, np.integer):
        return int(part)
    if isinstance(part, str):
        raise TypeError("new(): invalid data type 'str'")
    if isinstance(part, list | tuple | range | np.ndarray):
        a, kind = array_of(part, None)
        if not a.size and not isinstance(part, np.ndarray):
            a, kind = a.astype(np.int64), dt.int64
        return owned(a, kind, CPU if like is None else like.device)
    if hasattr(part, "__index__"):
        return operator.index(part)
    raise IndexError(
        "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid "
        f"indices (got {type(part).__name__})"
    )


def _uses(part: Any) -> int:
    """How many dimensions a part takes up."""
    if part is None or part is Ellipsis or isinstance(part, bool):
        return 0
    if isinstance(part, Tensor) and part.dtype.code < 2:  # bool, uint8
        return len(part.shape)
    return 1


def resolve(x: Tensor, index: Any) -> tuple[Tensor, Places]:
    """The view that the basic parts make, and the index tensors left over with their dimensions."""
    parts = [_part(p, x) for p in _as_tuple(index)]
    used = sum(map(_uses, parts))
    rank = len(x.shape)
    if used > rank:
        if rank == 0 and any(type(p) is int for p in parts):
            _one(x, 0, 0)
        raise IndexError(f"too many indices for tensor of dimension {rank}")
    if sum(p is Ellipsis for p in parts) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    places: Places = []
    dim = 0
    gone = 0  # dimensions that an integer took away, less those that were added
    for at, part in enumerate(parts):
        if type(part) is int:
            x = _one(x, dim, part, dim + gone)
            gone += 1
        elif isinstance(part, slice):
            if part != WHOLE:
                x = _range(x, dim, part)
            dim += 1
        elif part is Ellipsis:
            dim += rank - used
        elif part is None:
            x = look(movement.unsqueeze, x, dim)
            dim += 1
            gone -= 1
        elif isinstance(part, bool):
            x = look(movement.unsqueeze, x, dim)
            places.append((dim, _counted(1 if part else 0, x)))
            dim += 1
        elif not part.shape and part.dtype.code > 1 and part.dtype.rank == 1:
            x = _one(x, dim, integer(part, "index", "index"))
        else:
            x, dim = _placed(x, dim, part, at, places)
    return x, places


def _counted(n: int, like: Tensor) -> Tensor:
    return owned(np.arange(n, dtype=np.int64), dt.int64, like.device)


def _placed(x: Tensor, dim: int, part: Tensor, at: int, places: Places) -> tuple[Tensor, int]:
    """Enter an index tensor; a mask becomes the coordinates of its true elements."""
    if part.dtype.rank > 1:
        raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
    if part.dtype.code > 1:
        places.append((dim, part))
        return x, dim + 1
    if part.dtype is dt.uint8:
        warnings.warn(
            "indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool "
            "instead.",
            UserWarning,
            stacklevel=5,
        )
    mask = engine.read(part)
    if not mask.ndim:
        x = look(movement.unsqueeze, x, dim)
        places.append((dim, _counted(int(bool(mask)), x)))
        return x, dim + 1
    for k, n in enumerate(mask.shape):
        if x.shape[dim + k] != n:
            raise IndexError(
                f"The shape of the mask {list(mask.shape)} at index {k} does not match the shape "
                f"of the indexed tensor {list(x.shape)} at index {dim + k}"
            )
    for k, coordinates in enumerate(np.nonzero(mask)):
        found = np.ascontiguousarray(coordinates, np.int64)
        places.append((dim + k, owned(found, dt.int64, x.device)))
    return x, dim + mask.ndim


# ---------------------------------------------------------------- reading
def _getitem(self: Tensor, index: Any) -> Tensor:
    kind = type(index)
    if kind is int:
        return _one(self, 0, index)
    if kind is slice:
        a, b = index.start, index.stop
        if type(a) is int and type(b) is int and index.step is None:
            shape = self.rec.spec.shape
            if shape and 0 <= a <= b <= shape[0]:
                return look(movement.slice_, self, (0, a, b, 1))
        return _range(self, 0, index)
    view, places = resolve(self, index)
    if places:
        return picked(view, places)
    return look(movement.view, self, tuple(self.shape)) if view is self else view


def picked(x: Tensor, places: Places) -> Tensor:
    """`x` at index tensors, each in its dimension."""
    return apply(rows.index, x, *[p for _, p in places], arg=tuple(d for d, _ in places))


attach("__getitem__", named(_getitem, "__getitem__", "Tensor."))


# ---------------------------------------------------------------- writing
def _value(self: Tensor, value: Any) -> Any:
    """A value to write: a tensor or a Python number."""
    if isinstance(value, Tensor | float | int | complex):
        return value.item() if isinstance(value, np.generic) else value
    kind = type(value)
    name = f"numpy.{kind.__name__}" if kind.__module__ == "numpy" else kind.__name__
    raise TypeError(f"can't assign a {name} to a torch.{self.dtype.typename}Tensor")


def _fitting(value: Tensor, rank: int) -> Tensor:
    """`value` without leading dimensions of size 1 beyond `rank`."""
    extra = len(value.shape) - rank
    if extra > 0 and all(n == 1 for n in value.shape[:extra]):
        return sh.reshaped(value, tuple(value.shape[extra:]))
    return value


def _only_mask(self: Tensor, index: Any) -> Tensor | None:
    """The mask, where the index is one bool tensor that fits the leading dimensions."""
    if isinstance(index, tuple) and len(index) == 1:
        index = index[0]
    if not isinstance(index, Tensor) or index.dtype is not dt.bool_ or not index.shape:
        return None
    k = len(index.shape)
    if k > len(self.shape) or tuple(index.shape) != tuple(self.shape[:k]):
        return None
    return index


def _setitem(self: Tensor, index: Any, value: Any) -> None:
    value = _value(self, value)
    kind = type(index)
    if kind is int:
        return _store(_one(self, 0, index), value)
    if kind is slice:
        return _store(_range(self, 0, index), value)
    mask = _only_mask(self, index)
    if mask is not None and (not isinstance(value, Tensor) or value.shape.numel() == 1):
        # one value under a mask: no need to know the mask's values
        fill_where(self, mask, value)
        return None
    if index is False:
        return None
    view, places = resolve(self, index)
    if not places:
        return _store(view, value)
    if isinstance(value, Tensor) and value.shape.numel() == 1 and _masks_only(index):
        value = apply(ew.cast, value, arg=self.dtype)
    put(view, places, value, False)
    return None


def _masks_only(index: Any) -> bool:
    """Whether all that is left over of an index are masks: one value is then converted."""
    tensors = [
        p for p in (_part(p, None) for p in _as_tuple(index)) if isinstance(p, Tensor | bool)
    ]
    return all(isinstance(p, bool) or p.dtype is dt.bool_ for p in tensors)


def _store(view: Tensor, value: Any) -> None:
    if isinstance(value, Tensor):
        engine.assign(view, _fitting(value, len(view.shape)))
    else:
        once(view)
        engine.fill(view, value)


def fill_where(x: Tensor, mask: Tensor, value: Any) -> Tensor:
    """Write one value where a mask over the leading dimensions is true."""
    extra = len(x.shape) - len(mask.shape)
    if extra:
        mask = sh.reshaped(mask, (*mask.shape, *(1,) * extra))
    if repeats(x):
        once, where = unrepeated(x, mask)
        fill_where(once, where, value)
        return x
    engine.check_inplace(x)
    distinct(x, mask, False)
    if isinstance(value, Tensor):
        value = sh.reshaped(value, ())
        if value.dtype is not x.dtype:
            value = apply(ew.cast, value, arg=x.dtype)
    elif x.dtype.rank < 2 and not isinstance(value, bool):
        value = bool(value) if x.dtype.kind == "b" else int(value)
    made = apply(ew.where, mask, value, x)
    return engine.settle("masked_fill_", x, made)


def repeats(x: Tensor) -> bool:
    """Whether elements of `x` share memory, as in an expanded tensor.

    A masked write is let through there, as in PyTorch.
    """
    return any(s == 0 and n > 1 for s, n in zip(strides(x), x.shape, strict=True))


def unrepeated(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """An expanded tensor with each element once, and where a mask is true for any of its likes."""
    mask = look(movement.expand, mask, tuple(x.shape))
    once = x
    for d, (s, n) in enumerate(zip(strides(x), x.shape, strict=True)):
        if s == 0 and n > 1:
            once = sh.narrow(once, d, 0, 1)
            mask = apply(reduce.any_, mask, arg=((d,), True))
    return once, mask


def put(x: Tensor, places: Places, value: Any, accumulate: bool) -> Tensor:
    """Write (or add) `value` at index tensors, each in its dimension of `x`."""
    engine.check_inplace(x)
    for v in (*(p for _, p in places), value):
        if isinstance(v, Tensor):
            distinct(x, v, True)
    dims = tuple(d for d, _ in places)
    given = [p for _, p in places]
    if not isinstance(value, Tensor):
        value = engine.full((), value, x.dtype, x.device)
    shape, _ = rows.indexed_shape(tuple(x.shape), dims, [tuple(p.shape) for p in given])
    value = _fitting(value, len(shape))
    made = apply(rows.index_put, x, value, *given, arg=(dims, accumulate))
    return engine.settle("index_put_", x, made)


setattr(Tensor, "__setitem__", named(_setitem, "__setitem__", "Tensor."))


def _places_of(x: Tensor, indices: Any) -> tuple[Tensor, Places]:
    parts = tuple(WHOLE if i is None else i for i in indices)
    return resolve(x, parts)


@method()
def index_put_(self: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """`self[indices] = values`, or `+=` with every repeated place added."""
    _, places = _places_of(self, indices)
    put(self, places, values, accumulate)
    return self
