"""Reading and writing along a dimension by index, under masks, and where values are not zero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.base.shape import broadcast_shapes, wrap_dim
from rushlight.engine import Tensor
from rushlight.engine.core import scaled
from rushlight.engine.record import distinct
from rushlight.graph.op import Op
from rushlight.graph.ops import elementwise as ew
from rushlight.graph.ops import indexing as rows
from rushlight.graph.ops import movement
from rushlight.graph.ops.division import remainder
from rushlight.graph.shaping import NAMES
from rushlight.tensor import shape as sh
from rushlight.tensor.convert import clone
from rushlight.tensor.creation import owned
from rushlight.tensor.indexing import index_put_, picked, repeats, resolve, unrepeated
from rushlight.tensor.indexing import put as put_at
from rushlight.tensor.install import (
    apart,
    both,
    function,
    give,
    let_write,
    method,
    need_tensor,
    number,
)
from rushlight.tensor.kinds import contiguous_format

apply: Callable[..., Tensor] = engine.apply
look: Callable[..., Tensor] = engine.view


def axis(x: Tensor, dim: int) -> int:
    """`dim` counted from the front."""
    return wrap_dim(dim, len(x.shape))


# ---------------------------------------------------------------- gather and scatter
@both()
def gather(
    input: Tensor,
    dim: int,
    index: Tensor,
    *,
    sparse_grad: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """`out[i][j] = input[index[i][j]][j]` for dim 0, and so on."""
    need_tensor(input, "gather")
    need_tensor(index, "gather", "index", 3)
    apart(out, input, index)
    if not index.shape.numel() and index.dtype not in (dt.int64, dt.int32):
        index = apply(ew.cast, index, arg=dt.int64)
    if out is not None and out.dtype is not input.dtype:
        raise RuntimeError(
            f"Expected out tensor to have dtype {input.dtype.name}, but got {out.dtype.name} "
            "instead"
        )
    return give(apply(rows.gather, input, index, arg=axis(input, dim)), out, "gather")


def scattered(x: Tensor, dim: int, index: Tensor, src: Any, add: bool) -> Tensor:
    """`scatter`, or `scatter_add`, of a number or of a source that the index covers a part of."""
    d = axis(x, dim)
    if not isinstance(src, Tensor):
        src = look(movement.expand, engine.full((), src, x.dtype, x.device), tuple(index.shape))
    elif tuple(src.shape) != tuple(index.shape):
        if len(src.shape) != len(index.shape):
            raise RuntimeError("Index tensor must have the same number of dimensions as src tensor")
        for k, n in enumerate(index.shape):
            if n > src.shape[k]:
                raise RuntimeError(
                    f"Expected index {list(index.shape)} to be no larger than self {list(x.shape)} "
                    f"apart from dimension {d} and to be no larger size than src {list(src.shape)}"
                )
            src = look(movement.slice_, src, (k, 0, n, 1))
    if not index.shape.numel():
        return apply(ew.copy, x)
    return apply(rows.scatter, x, index, src, arg=(d, add))


def _scatter(x: Tensor, dim: int, index: Tensor, src: Any, reduce: str | None) -> Tensor:
    need_tensor(index, "scatter", "index", 3)
    if reduce is None or reduce == "add":
        return scattered(x, dim, index, src, reduce == "add")
    if reduce != "multiply":
        raise RuntimeError(
            f"reduce argument must be either add or multiply for scatter, got {reduce}"
        )
    old = apply(rows.gather, x, index, arg=axis(x, dim))
    return scattered(x, dim, index, old * src, False)


def _source(src: Any, value: Any, name: str) -> Any:
    given = value if src is None else src
    return given if isinstance(given, Tensor) else number(given, name, "value", 4)


@both()
def scatter(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Any = None,
    *,
    value: Any = None,
    reduce: str | None = None,
) -> Tensor:
    """A copy in which `out[index[i][j]][j] = src[i][j]` for dim 0, and so on."""
    return _scatter(in_order(input), dim, index, _source(src, value, "scatter"), reduce)


@both()
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """`scatter` that adds up what comes to the same place."""
    return scattered(in_order(input), dim, index, src, True)


def in_order(x: Tensor) -> Tensor:
    """What is written into a copy comes out in row-major order, as PyTorch's does."""
    return sh.laid_out(x, contiguous_format)


# ---------------------------------------------------------------- whole slices by index
def slices(x: Tensor, dim: int, index: Any, name: str) -> tuple[int, Tensor]:
    """The dimension counted from the front, and a vector of places along it."""
    need_tensor(index, name, "index", 3)
    if len(index.shape) > 1:
        raise IndexError(f"{name}(): Index is supposed to be a vector")
    if index.dtype not in (dt.int64, dt.int32):
        raise RuntimeError(f"{name}(): Expected dtype int32 or int64 for index")
    d = axis(x, dim)
    return d, index if index.shape else look(movement.unsqueeze, index, 0)


@both()
def index_select(input: Tensor, dim: int, index: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The slices of `input` along `dim` that a vector names."""
    need_tensor(input, "index_select")
    d, places = slices(input, dim, index, "index_select")
    x = input if input.shape else look(movement.unsqueeze, input, 0)
    made = apply(rows.index_select, x, places, arg=(d,))
    return give(made if input.shape else sh.reshaped(made, ()), out, "index_select", input)


def _placed(row: Op, x: Tensor, d: int, places: Tensor, value: Tensor, add: bool) -> Tensor:
    """Written along one dimension; a tensor without dimensions counts as one element."""
    if x.shape:
        return apply(row, x, value, places, arg=((d,), add))
    made = look(movement.unsqueeze, x, 0)
    return sh.reshaped(apply(row, made, value, places, arg=((0,), add)), ())


def _fits(x: Tensor, d: int, places: Tensor, source: Tensor, name: str) -> None:
    """The source has as many slices as there are places, of the shape of `x`'s."""
    have, want = list(source.shape), list(x.shape)
    if have and (have[d] if d < len(have) else -1) != places.shape[0]:
        raise (IndexError if name == "index_copy" else RuntimeError)(
            f"{name}(): Number of indices ({places.shape[0]}) should be equal to source.size(dim): "
            f"({have[d] if d < len(have) else 'none'}) for dim: {d}"
        )
    if have[:d] + have[d + 1 :] != want[:d] + want[d + 1 :] and (have or want):
        if not (have and want) and source.shape.numel() == 1:
            return
        raise RuntimeError(
            f"{name}(): source tensor shape must match self tensor shape, excluding the specified "
            f"dimension. Got self.shape = {want} source.shape = {have}"
        )


@both()
def index_add(
    input: Tensor,
    dim: int,
    index: Tensor,
    source: Tensor,
    *,
    alpha: Any = 1,
    out: Tensor | None = None,
) -> Tensor:
    """A copy with `alpha * source` added to the slices a vector names, in order."""
    d, places = slices(input, dim, index, "index_add")
    if source.dtype is not input.dtype:
        raise RuntimeError(
            f"index_add_(): self ({input.dtype.typename}) and source ({source.dtype.typename}) "
            "must have the same scalar type"
        )
    _fits(input, d, places, source, "index_add")
    added = source if alpha == 1 else scaled(source, alpha)
    if added.dtype is not input.dtype:
        added = apply(ew.cast, added, arg=input.dtype)
    return give(_placed(rows.index_add, in_order(input), d, places, added, True), out, "index_add")


@both()
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """A copy with `source` written into the slices a vector names."""
    d, places = slices(input, dim, index, "index_copy")
    if source.dtype is not input.dtype:
        raise RuntimeError(
            "index_copy_(): self and source expected to have the same dtype, but got (self) "
            f"{input.dtype.typename} and (source) {source.dtype.typename}"
        )
    _fits(input, d, places, source, "index_copy")
    return _placed(rows.index_copy, in_order(input), d, places, source, False)


@both()
def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """A copy with one number in the slices a vector names."""
    d, places = slices(input, dim, index, "index_fill")
    if isinstance(value, Tensor) and value.shape:
        raise RuntimeError(
            "index_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{len(value.shape)} dimension(s)."
        )
    if not isinstance(value, Tensor):
        value = engine.full((), number(value, "index_fill", "value", 4), input.dtype, input.device)
    return _placed(rows.index_put, input, d, places, value, False)


def written(name: str, f: Callable[..., Tensor], whole: bool | None = True) -> None:
    """Attach a method that writes what `f` of the tensor gives into the tensor.

    `whole`: other operands must not be the tensor's own memory, wholly or in part; False: not in
    part; None: they may be.
    """

    def write(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        engine.check_inplace(self)
        for v in (*args, *kwargs.values()):
            if whole is not None and isinstance(v, Tensor):
                distinct(self, v, whole)
        return engine.settle(name, self, f(self, *args, **kwargs))

    write.__doc__ = f"`{name[:-1]}`, written into the tensor."
    method(name)(write)


for _f in (scatter, scatter_add, index_add, index_copy, index_fill):
    written(f"{_f.__name__}_", _f, None if _f is index_fill else True)


@both()
def index_put(
    input: Tensor,
    indices: Any,
    values: Tensor,
    accumulate: bool = False,
) -> Tensor:
    """A copy with `values` written (or added) at the places that index tensors name."""
    return index_put_(clone(input), indices, values, accumulate)


function("index_put_")(index_put_)


@both()
def take(input: Tensor, index: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Elements of the flattened tensor, in the shape of the index."""
    need_tensor(input, "take")
    need_tensor(index, "take", "index", 2)
    if index.dtype is not dt.int64:
        raise RuntimeError(
            f"take(): Expected a long tensor for index, but got {index.dtype.typename}"
        )
    apart(out, input, index)
    flat = sh.reshape(input, -1)
    return give(picked(flat, [(0, _in_memory(index, flat))]), out, "take")


def within(
    index: Tensor, size: int, words: str, *, negative: bool = False, besides: int | None = None,
    error: type[Exception] = RuntimeError,
) -> Tensor:  # fmt: skip
    """``index``, refused in these words unless it lies in [0, size), or in [-size, size)."""
    arg = (size, negative, besides, error is IndexError, words)
    return apply(rows.within, index, arg=arg)


def _in_memory(index: Tensor, flat: Tensor) -> Tensor:
    words = "out of range: tried to access index {i} on a tensor of {size} elements."
    return within(index, flat.shape[0], words, negative=True, error=IndexError)


@both()
def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """A copy with `source` written (or added) at indices into the flattened tensor."""
    return put_(clone(input), index, source, accumulate)


@method()
def put_(self: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """Write (or add) at indices into the flattened tensor."""
    engine.check_inplace(self)
    distinct(self, index, True)
    distinct(self, source, True)
    flat = clone(sh.reshape(self, -1))
    index = _in_memory(sh.reshape(index, -1), flat)
    put_at(flat, [(0, index)], sh.reshape(source, -1), accumulate)
    return engine.settle("put_", self, sh.reshaped(flat, tuple(self.shape)))


@both()
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """`gather` with an index that broadcasts; on the flattened tensor without `dim`."""
    if dim is None:
        return apply(rows.gather, sh.reshape(input, -1), sh.reshape(indices, -1), arg=0)
    d = axis(input, dim)
    shape = list(input.shape)
    shape[d] = 1
    other = list(indices.shape)
    count, other[d] = other[d], 1
    wide = list(broadcast_shapes(tuple(shape), tuple(other)))
    at, of = wide.copy(), wide.copy()
    at[d], of[d] = count, input.shape[d]
    x, i = look(movement.expand, input, tuple(of)), look(movement.expand, indices, tuple(at))
    return apply(rows.gather, x, apply(remainder, i, of[d]), arg=d)  # as PyTorch's: they go round


# ---------------------------------------------------------------- masks
def _masked(x: Tensor, mask: Tensor, value: Any, name: str) -> Tensor:
    need_tensor(mask, name, "mask", 2)
    name = "masked_fill_"  # what PyTorch's errors call both
    if mask.dtype is not dt.bool_:
        kind = NAMES.get(mask.dtype.name, mask.dtype.name)
        raise RuntimeError(f"{name} only supports boolean masks, but got mask with dtype {kind}")
    if isinstance(value, Tensor):
        if value.shape:
            raise RuntimeError(
                f"{name} only supports a 0-dimensional value tensor, but got tensor with "
                f"{len(value.shape)} dimension(s)."
            )
        value = value if value.dtype is x.dtype else apply(ew.cast, value, arg=x.dtype)
    else:
        value = number(value, name, "value", 3)
        if isinstance(value, complex) and x.dtype.kind != "c":
            if value.imag:
                kind = NAMES.get(x.dtype.name, x.dtype.name)
                raise RuntimeError(f"value cannot be converted to type {kind} without overflow")
            value = value.real
        if x.dtype.rank < 2:
            value = bool(value) if x.dtype.kind == "b" else int(value)
    return apply(ew.where, mask, value, x)


@both()
def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """A copy with one value where the mask is true; mask and tensor broadcast."""
    need_tensor(input, "masked_fill")
    return in_order(_masked(input, mask, value, "masked_fill"))


@method()
def masked_fill_(self: Tensor, mask: Tensor, value: Any) -> Tensor:
    """`masked_fill`, written into the tensor."""
    if not repeats(self):
        engine.check_inplace(self)
        if isinstance(mask, Tensor):
            distinct(self, mask, False)
        return engine.settle("masked_fill_", self, _masked(self, mask, value, "masked_fill_"))
    made = _masked(self, mask, value, "masked_fill_")  # for its errors
    if made.shape == self.shape:
        once, where = unrepeated(self, mask)
        masked_fill_(once, where, value)
        return self
    return engine.settle("masked_fill_", self, made)


@both()
def masked_select(input: Tensor, mask: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elements where the mask is true, in one dimension; pending work runs."""
    need_tensor(input, "masked_select")
    if mask.dtype is not dt.bool_:
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    shape = broadcast_shapes(tuple(input.shape), tuple(mask.shape))
    x, m = look(movement.expand, input, shape), look(movement.expand, mask, shape)
    if not shape:
        x, m = look(movement.unsqueeze, x, 0), look(movement.unsqueeze, m, 0)
    if out is not None:
        distinct(out, input, True)
        distinct(out, mask, True)
    return give(picked(*resolve(x, (m,))), out, "masked_select")


@both()
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """A copy with elements of `source`, in order, where the mask is true."""
    if mask.dtype is not dt.bool_:
        raise RuntimeError(
            "masked_scatter_ only supports boolean masks, but got mask with dtype "
            f"{mask.dtype.typename}"
        )
    if source.dtype is not input.dtype:
        raise RuntimeError(
            "masked_scatter: expected self and source to have same dtypes but got"
            f"{input.dtype.typename} and {source.dtype.typename}"
        )
    shape = broadcast_shapes(tuple(input.shape), tuple(mask.shape))
    x = clone(look(movement.expand, input, shape), memory_format=contiguous_format)
    m = look(movement.expand, mask, shape)
    count = int(np.count_nonzero(engine.read(m)))
    if count > source.shape.numel():
        raise RuntimeError("Number of elements of source < number of ones in mask")
    view, places = resolve(x, (m,))
    put_at(view, places, sh.narrow(sh.reshape(source, -1), 0, 0, count), False)
    return x


written("masked_scatter_", masked_scatter, None)


# ---------------------------------------------------------------- where it is not zero
@both()
def nonzero(input: Tensor, *, as_tuple: bool = False, out: Tensor | None = None) -> Any:
    """Coordinates of what is not zero: a matrix, or one vector a dimension; pending work runs."""
    need_tensor(input, "nonzero")
    a = engine.read(input)
    if as_tuple:
        parts = np.nonzero(a) if a.ndim else np.nonzero(a.reshape(1))
        return tuple(
            owned(np.ascontiguousarray(i, np.int64), dt.int64, input.device) for i in parts
        )
    # one row a dimension in memory, as PyTorch lays it out
    found: Any = np.stack(np.nonzero(a)) if a.ndim else np.zeros((0, int(np.count_nonzero(a))))
    rows_ = owned(np.ascontiguousarray(found, np.int64), dt.int64, input.device)
    return give(sh.permuted(rows_, (1, 0)), out, "nonzero")


@both()
def argwhere(input: Tensor) -> Tensor:
    """Coordinates of what is not zero, one a row."""
    return nonzero(input)  # type: ignore[no-any-return]


@function("where")
def where(condition: Tensor, input: Any = None, other: Any = None, *, out: Any = None) -> Any:
    """`input` where the condition holds, else `other`; alone, the coordinates where it holds."""
    need_tensor(condition, "where", "condition")
    if input is None and other is None:
        return nonzero(condition, as_tuple=True)
    if condition.dtype is not dt.bool_:
        if condition.dtype is not dt.uint8:
            raise RuntimeError(
                "where expected condition to be a boolean tensor, but got a tensor with dtype "
                f"{condition.dtype.typename}"
            )
        condition = apply(ew.ne, condition, 0)
    x = input if isinstance(input, Tensor) else number(input, "where", "input", 2)
    y = other if isinstance(other, Tensor) else number(other, "where", "other", 3)
    return give(apply(ew.where, condition, x, y), out, "where", condition, x, y)


@method("where")
def where_method(self: Tensor, condition: Tensor, other: Any) -> Tensor:
    """The tensor where the condition holds, else `other`."""
    return where(condition, self, other)  # type: ignore[no-any-return]


let_write("index_copy", "scatter", "scatter_add", "take_along_dim")
