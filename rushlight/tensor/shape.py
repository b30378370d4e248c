"""Other shapes of the same elements: views, reshapes, permutations, repetitions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from rushlight import engine
from rushlight.base.shape import (
    Ints,
    broadcast_shapes,
    contiguous_strides,
    infer_size,
    is_contiguous,
    numel,
    view_strides,
    wrap_dim,
)
from rushlight.base.size import Size
from rushlight.engine import Tensor
from rushlight.graph.ops import movement
from rushlight.graph.ops.movement import normal_dims
from rushlight.tensor.install import (
    both,
    by_keyword,
    function,
    integer,
    method,
    need_tensor,
    offset,
    sizes,
    strides,
)
from rushlight.tensor.kinds import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    preserve_format,
)

look: Callable[..., Tensor] = engine.view


# ---------------------------------------------------------------- what a tensor says of itself
@method()
def size(self: Tensor, dim: int | None = None) -> Any:
    """The shape, or the size of one dimension."""
    return self.shape if dim is None else self.shape[wrap_dim(dim, len(self.shape))]


@method()
def stride(self: Tensor, dim: int | None = None) -> Any:
    """Elements between neighbours, of all dimensions or of one."""
    steps = strides(self)
    return steps if dim is None else steps[wrap_dim(dim, len(steps))]


@method("dim", "ndimension")
def dim(self: Tensor) -> int:
    """How many dimensions."""
    return len(self.shape)


@both("numel")
def numel_(input: Tensor) -> int:
    """How many elements."""
    need_tensor(input, "numel")
    return math.prod(input.shape)


setattr(Tensor, "nelement", numel_)
setattr(Tensor, "ndim", property(lambda self: len(self.shape)))


@method()
def storage_offset(self: Tensor) -> int:
    """Where it starts in its storage, in elements."""
    return offset(self)


@method("is_contiguous")
def is_contiguous_(self: Tensor, memory_format: Any = contiguous_format) -> bool:
    """Whether memory is in row-major order (or in the given format) without gaps."""
    shape, steps = tuple(self.shape), strides(self)
    if memory_format in (channels_last, channels_last_3d):
        last = last_order(shape, memory_format)
        return last is not None and is_contiguous(
            tuple(shape[d] for d in last), tuple(steps[d] for d in last)
        )
    return is_contiguous(shape, steps)


def last_order(shape: Ints, form: Any) -> Ints | None:
    """The order of dimensions in memory for a channels-last format, None for another rank."""
    if len(shape) != (4 if form is channels_last else 5):
        return None
    return (0, *range(2, len(shape)), 1)


@method()
def element_size(self: Tensor) -> int:
    """Bytes of one element."""
    return self.dtype.itemsize  # type: ignore[no-any-return]


@method("is_same_size")
def is_same_size(self: Tensor, other: Tensor) -> bool:
    """Whether the shapes are equal."""
    return tuple(self.shape) == tuple(other.shape)


# ---------------------------------------------------------------- view and reshape
@method()
def view(self: Tensor, *size: Any, dtype: Any = None, **named: Any) -> Tensor:
    """The same memory under another shape (one size may be -1).

    `RuntimeError` when the strides do not allow it.
    """
    if named:
        size = by_keyword(size, named, "size", "view")
    if len(size) == 1 and dtype is None and type(size[0]) is int:
        count = math.prod(self.shape)  # a vector, the shape asked for most
        if size[0] == count or (size[0] == -1 and count):
            return look(movement.view, self, (count,))
    if len(size) == 1 and type(size[0]).__name__ == "dtype":
        dtype, size = size[0], ()
    if dtype is not None:
        return view_as_type(self, dtype)
    return look(movement.view, self, infer_size(sizes(size, "view"), numel(self.shape)))


def view_as_type(x: Tensor, kind: Any) -> Tensor:
    """The bits of `x` read as another dtype of the same width: a copy, where PyTorch has a view."""
    if kind is x.dtype:
        return look(movement.view, x, tuple(x.shape))
    a = np.ascontiguousarray(engine.read(x))
    if kind.itemsize != x.dtype.itemsize and not a.shape:
        raise RuntimeError(
            f"self.dim() cannot be 0 to view {x.dtype.typename} as {kind.typename} "
            "(different element sizes)"
        )
    return engine.from_array(a.view(kind.numpy), kind, x.device)


@method("view_as")
def view_as(self: Tensor, other: Tensor) -> Tensor:
    """`view(other.size())`."""
    return view(self, other.shape)


def reshaped(x: Tensor, shape: Ints) -> Tensor:
    """A view where the strides allow one, else a copy; `shape` is complete."""
    if view_strides(tuple(x.shape), strides(x), shape) is not None:
        return look(movement.view, x, shape)
    return engine.apply(movement.reshape, x, arg=shape)


@function("reshape")
def reshape_of(input: Tensor, shape: Any) -> Tensor:
    """The same elements under another shape: a view where possible, else a copy."""
    need_tensor(input, "reshape")
    return reshaped(input, infer_size(sizes((shape,), "reshape", "shape", 2), numel(input.shape)))


@method()
def reshape(self: Tensor, *shape: Any, **named: Any) -> Tensor:
    """The same elements under another shape: a view where possible, else a copy."""
    if named:
        shape = by_keyword(shape, named, "shape", "reshape")
    return reshaped(self, infer_size(sizes(shape, "reshape", "shape"), numel(self.shape)))


@method("reshape_as")
def reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """`reshape(other.size())`."""
    return reshape(self, other.shape)


@both()
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dimensions `start_dim` to `end_dim` as one."""
    need_tensor(input, "flatten")
    shape = tuple(input.shape)
    first, last = wrap_dim(start_dim, len(shape)), wrap_dim(end_dim, len(shape))
    if first > last:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if not shape:
        return reshaped(input, (1,))
    if first == last:
        return input
    return reshaped(input, (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))


@both()
def ravel(input: Tensor) -> Tensor:
    """All elements in one dimension, contiguous."""
    return contiguous(reshape(input, -1))


@both()
def unflatten(input: Tensor, dim: int, sizes: Any) -> Tensor:
    """One dimension as several; one of them may be -1."""
    shape = tuple(input.shape)
    d = wrap_dim(dim, len(shape))
    parts = tuple(int(n) for n in sizes)
    if not parts:
        raise RuntimeError("unflatten: sizes must be non-empty")
    try:
        parts = infer_size(parts, shape[d])
    except RuntimeError:
        raise RuntimeError(
            f"unflatten: Provided sizes {list(parts)} don't multiply up to the size of dim {d} "
            f"({shape[d]}) in the input tensor"
        ) from None
    return look(movement.view, input, (*shape[:d], *parts, *shape[d + 1 :]))


# ---------------------------------------------------------------- order of dimensions
def permuted(x: Tensor, dims: Ints) -> Tensor:
    """Dimensions in another order; `dims` is normal."""
    return look(movement.permute, x, dims)


def _permutation(x: Tensor, dims: Sequence[int]) -> Tensor:
    if len(dims) != len(x.shape):
        raise RuntimeError(
            "permute(sparse_coo): number of dimensions in the tensor input does not match the "
            f"length of the desired ordering of dimensions i.e. input.dim() = {len(x.shape)} is "
            f"not equal to len(dims) = {len(dims)}"
        )
    order = tuple(wrap_dim(d, len(dims)) for d in dims)
    if len(set(order)) != len(order):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return permuted(x, order)


@function("permute")
def permute_of(input: Tensor, dims: Any) -> Tensor:
    """A view with the dimensions in the order `dims`."""
    need_tensor(input, "permute")
    return _permutation(input, sizes((dims,), "permute", "dims", 2))


@method()
def permute(self: Tensor, *dims: Any, **named: Any) -> Tensor:
    """A view with the dimensions in the order `dims`."""
    if named:
        dims = by_keyword(dims, named, "dims", "permute")
    return _permutation(self, sizes(dims, "permute", "dims"))


@both("transpose", "swapaxes", "swapdims")
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """A view with two dimensions exchanged."""
    need_tensor(input, "transpose")
    n = len(input.shape)
    a, b = wrap_dim(dim0, n), wrap_dim(dim1, n)
    order = list(range(n))
    if n:
        order[a], order[b] = order[b], order[a]
    return permuted(input, tuple(order))


TURNED: Final = (1, 0)


@both()
def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; of fewer dimensions, the tensor itself."""
    if not isinstance(input, Tensor):
        need_tensor(input, "t")
    n = len(input.shape)
    if n == 2:
        return look(movement.permute, input, TURNED)
    if n > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {n}D")
    return permuted(input, tuple(reversed(range(n))))


def _reversed(self: Tensor) -> Tensor:
    return permuted(self, tuple(reversed(range(len(self.shape)))))


def _matrix(self: Tensor) -> Tensor:
    n = len(self.shape)
    if n < 2:
        raise RuntimeError(
            f"tensor.mT is only supported on matrices or batches of matrices. Got {n}-D tensor."
        )
    return transpose(self, -2, -1)


for _name, _get in (("T", _reversed), ("mT", _matrix)):
    setattr(Tensor, _name, property(_get))


@both("movedim", "moveaxis")
def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """A view with dimensions `source` at the places `destination`, the others in order."""
    n = len(input.shape)
    src = normal_dims(source, n)
    dst = normal_dims(destination, n)
    if len(src) != len(dst):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({list(src)} dims) should "
            f"contain the same number of dims as destination ({list(dst)} dims)"
        )
    order = [-1] * n
    for s, d in zip(src, dst):
        order[d] = s
    rest = iter(d for d in range(n) if d not in src)
    return permuted(input, tuple(next(rest) if d < 0 else d for d in order))


@both()
def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """A view without the dimensions of size 1: all, or those given."""
    need_tensor(input, "squeeze")
    n = len(input.shape)
    dims = tuple(range(n)) if dim is None else normal_dims(dim, n)
    return look(movement.squeeze, input, dims)


@both()
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A view with a dimension of size 1 inserted."""
    need_tensor(input, "unsqueeze")
    return look(
        movement.unsqueeze, input, wrap_dim(integer(dim, "unsqueeze", "dim"), len(input.shape) + 1)
    )


# ---------------------------------------------------------------- expansion and repetition
@method()
def expand(self: Tensor, *size: Any, **named: Any) -> Tensor:
    """A view in which dimensions of size 1 are repeated; -1 leaves a size."""
    if named:
        size = by_keyword(size, named, "size", "expand")
    return look(movement.expand, self, sizes(size, "expand"))


@method()
def expand_as(self: Tensor, other: Tensor) -> Tensor:
    """`expand(other.size())`."""
    return look(movement.expand, self, tuple(other.shape))


@both()
def broadcast_to(input: Tensor, size: Any) -> Tensor:
    """`input.expand(size)`."""
    return look(movement.expand, input, sizes((size,), "broadcast_to", "size", 2))


@function("broadcast_shapes")
def broadcast_shapes_(*shapes: Any) -> Size:
    """The shape that tensors of these shapes meet in."""
    out: Ints = ()
    for shape in shapes:
        out = broadcast_shapes(out, (shape,) if isinstance(shape, int) else tuple(shape))
    return Size.of(out)


@function()
def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """All tensors expanded to their common shape."""
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], tuple | list) else tensors
    shape: Ints = ()
    for x in given:
        shape = broadcast_shapes(shape, tuple(x.shape))
    return tuple(look(movement.expand, x, shape) for x in given)


def _tiled(x: Tensor, times: Ints) -> Tensor:
    shape = (1,) * (len(times) - len(x.shape)) + tuple(x.shape)
    result = tuple(r * n for r, n in zip(times, shape))
    if any(r < 0 for r in times):
        raise RuntimeError(
            f"Trying to create tensor with negative dimension {min(result)}: {list(result)}"
        )
    split = tuple(v for n in shape for v in (1, n))
    wide = tuple(v for r, n in zip(times, shape) for v in (r, n))
    x = look(movement.expand, reshaped(x, split), wide)
    return engine.apply(movement.reshape, x, arg=result)


@method()
def repeat(self: Tensor, *repeats: Any, **named: Any) -> Tensor:
    """A copy with the tensor repeated along each dimension."""
    if named:
        repeats = by_keyword(repeats, named, "repeats", "repeat")
    times = sizes(repeats, "repeat", "repeats")
    if len(times) < len(self.shape):
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of "
            "tensor"
        )
    return _tiled(self, times)


@function("tile")
def tile_of(input: Tensor, dims: Any) -> Tensor:
    """`repeat` with missing repeats counted as 1."""
    return tile(input, dims)


@method()
def tile(self: Tensor, *dims: Any, **named: Any) -> Tensor:
    """`repeat` with missing repeats counted as 1."""
    if named:
        dims = by_keyword(dims, named, "dims", "tile")
    times = sizes(dims, "tile", "dims")
    return _tiled(self, (1,) * (len(self.shape) - len(times)) + times)


# ---------------------------------------------------------------- parts
@both()
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """A view of one index along `dim`, which vanishes."""
    need_tensor(input, "select")
    shape = tuple(input.shape)
    if not shape:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    d, i = wrap_dim(dim, len(shape)), integer(index, "select", "index", 3)
    if not -shape[d] <= i < shape[d]:
        raise IndexError(
            f"select(): index {i} out of range for tensor of size {list(shape)} at dimension {d}"
        )
    return look(movement.select, input, (d, i % shape[d]))


@both()
def narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """A view of `length` elements from `start` along `dim`."""
    need_tensor(input, "narrow")
    shape = tuple(input.shape)
    if not shape:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    if isinstance(start, Tensor) and (start.shape or start.dtype.rank != 1):
        raise RuntimeError("start must be an 0-dim integral Tensor.")
    d, first = wrap_dim(dim, len(shape)), integer(start, "narrow", "start", 3)
    count, n = integer(length, "narrow", "length", 4), shape[d]
    if count < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if not -n <= first <= n:
        raise IndexError(
            f"start out of range (expected to be in range of [{-n}, {n}], but got {first})"
        )
    first = first + n if first < 0 else first
    if first + count > n:
        raise RuntimeError(f"start ({first}) + length ({count}) exceeds dimension size ({n}).")
    return look(movement.slice_, input, (d, first, first + count, 1))


@both()
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A view of a diagonal, as the last dimension."""
    need_tensor(input, "diagonal")
    a, b = wrap_dim(dim1, len(input.shape)), wrap_dim(dim2, len(input.shape))
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return look(movement.diagonal, input, (integer(offset, "diagonal", "offset"), a, b))


@both()
def as_strided(
    input: Tensor,
    size: Any,
    stride: Any,
    storage_offset: int | None = None,
) -> Tensor:
    """A view of the storage with any sizes and strides."""
    shape, steps = sizes((size,), "as_strided"), sizes((stride,), "as_strided", "stride", 3)
    if len(shape) != len(steps):
        raise RuntimeError("mismatch in length of strides and shape")
    if any(step < 0 for step in steps):
        raise RuntimeError(
            "as_strided: Negative strides are not supported at the moment, got strides: "
            f"{list(steps)}"
        )
    start = offset(input) if storage_offset is None else storage_offset
    if start < 0:
        raise RuntimeError(f"Tensor: invalid storage offset {start}")
    last = start + sum((n - 1) * step for n, step in zip(shape, steps))
    memory = input.st
    room = numel(tuple(input.shape) if memory is None else memory.spec.shape)
    if 0 not in shape and last >= room:
        size_ = input.dtype.itemsize
        raise RuntimeError(
            f"setStorage: sizes {list(shape)}, strides {list(steps)}, storage offset {start}, and "
            f"itemsize {size_} requiring a storage size of {(last + 1) * size_} are out of bounds "
            f"for storage of size {room * size_}"
        )
    return look(movement.as_strided, input, (shape, steps, start))


@method()
def unfold(self: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """A view of all windows of `size` along a dimension, `step` apart, as a last dimension."""
    shape, steps = tuple(self.shape), strides(self)
    d = wrap_dim(dimension, len(shape))
    n = shape[d] if shape else 1
    if size > n:
        raise RuntimeError(f"maximum size for tensor at dimension {d} is {n} but size is {size}")
    if size < 0:
        raise RuntimeError(f"size is {size} but must be >= 0")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    if not shape:
        return look(movement.as_strided, self, ((size,), (1,), offset(self)))
    return look(
        movement.as_strided,
        self,
        (
            (*shape[:d], (n - size) // step + 1, *shape[d + 1 :], size),
            (*steps[:d], steps[d] * step, *steps[d + 1 :], steps[d]),
            offset(self),
        ),
    )


@both()
def flip(input: Tensor, *dims: Any, **named: Any) -> Tensor:
    """A copy with the order along `dims` reversed."""
    need_tensor(input, "flip")
    dims = by_keyword(dims, named, "dims", "flip") if named else dims
    if not dims:
        raise TypeError('flip() missing 1 required positional arguments: "dims"')
    return engine.apply(
        movement.flip, input, arg=normal_dims(sizes(dims, "flip", "dims", 2), len(input.shape))
    )


@both()
def fliplr(input: Tensor) -> Tensor:
    """A copy with the columns reversed."""
    if len(input.shape) < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, 1)


@both()
def flipud(input: Tensor) -> Tensor:
    """A copy with the rows reversed."""
    if not input.shape:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, 0)


@both()
def rot90(input: Tensor, k: int = 1, dims: Any = (0, 1)) -> Tensor:
    """A copy turned by `k` quarters in the plane of two dimensions."""
    n = len(input.shape)
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if n < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {n}")
    if dims[0] == dims[1] or abs(dims[0] - dims[1]) == n:
        raise RuntimeError(
            f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}"
        )
    a, b = normal_dims(tuple(dims), n)
    k %= 4
    if k == 0:
        return contiguous_copy(input)
    if k == 2:
        return flip(input, a, b)
    return transpose(flip(input, b if k == 1 else a), a, b)


# ---------------------------------------------------------------- memory
def contiguous_copy(x: Tensor) -> Tensor:
    """A copy in row-major order."""
    return engine.apply(movement.relayout, x, arg=contiguous_strides(tuple(x.shape)))


def laid_out(x: Tensor, form: Any) -> Tensor:
    """`x`, copied where its memory is not in the format."""
    if form is preserve_format or is_contiguous_(x, form):
        return x
    shape = tuple(x.shape)
    if form is contiguous_format:
        return contiguous_copy(x)
    order = last_order(shape, form)
    if order is None:
        rank = 4 if form is channels_last else 5
        raise RuntimeError(f"required rank {rank} tensor to use {form.name} format")
    steps, step = [0] * len(shape), 1
    for d in reversed(order):
        steps[d] = step
        step *= max(shape[d], 1)
    return engine.apply(movement.relayout, x, arg=tuple(steps))


@method()
def contiguous(self: Tensor, memory_format: Any = contiguous_format) -> Tensor:
    """The tensor itself when its memory is in order, else a copy that is."""
    return laid_out(self, memory_format)
