"""Tensors put together and taken apart: cat, stack, split, grids, diagonals, triangles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.base.shape import wrap_dim
from rushlight.engine import Tensor
from rushlight.graph.ops import elementwise as ew
from rushlight.graph.ops import join as rows
from rushlight.graph.ops import movement
from rushlight.graph.ops.reduce import sum_ as _SUM
from rushlight.tensor import shape as sh
from rushlight.tensor.creation import filled
from rushlight.tensor.install import (
    apart,
    both,
    function,
    give,
    integer,
    method,
    need_tensor,
    refuse,
)
from rushlight.tensor.kinds import contiguous_format

apply: Callable[..., Tensor] = engine.apply
look: Callable[..., Tensor] = engine.view


# ---------------------------------------------------------------- together
def _given(tensors: Any, name: str) -> list[Tensor]:
    if not isinstance(tensors, tuple | list):
        raise TypeError(
            f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, "
            f"not {type(tensors).__name__}"
        )
    for i, x in enumerate(tensors):
        if not isinstance(x, Tensor):
            raise TypeError(
                f"expected Tensor as element {i} in argument 0, but got {type(x).__name__}"
            )
    return list(tensors)


def _one_type(parts: list[Tensor]) -> list[Tensor]:
    kind = parts[0].dtype
    if all(x.dtype is kind for x in parts):
        return parts
    kind = dt.result_type([(x.dtype, 0 if x.shape else 1) for x in parts])
    return [x if x.dtype is kind else apply(ew.cast, x, arg=kind) for x in parts]


def joined(parts: list[Tensor], dim: int) -> Tensor:
    """`cat` of tensors of one rank along a normal dimension."""
    return apply(ew.copy, parts[0]) if len(parts) == 1 else apply(rows.cat, *parts, arg=dim)


@function("cat", "concat", "concatenate")
def cat(
    tensors: Any, dim: int = 0, *, out: Tensor | None = None, axis: int | None = None
) -> Tensor:
    """The tensors one after the other along `dim`; their types are promoted."""
    parts = _given(tensors, "cat")
    if not parts:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    dim = dim if axis is None else axis
    kind = parts[0].dtype
    plain = True
    for i, x in enumerate(parts):
        shape = x.shape
        if not shape:
            raise RuntimeError(f"zero-dimensional tensor (at position {i}) cannot be concatenated")
        if x.dtype is not kind or (shape[0] == 0 and len(shape) == 1):
            plain = False
    full = parts
    if not plain:  # an empty 1-d tensor is skipped, whatever the others' rank
        parts = _one_type(parts)
        full = [x for x in parts if tuple(x.shape) != (0,)] or parts[:1]
    d = wrap_dim(integer(dim, "cat", "dim"), len(full[0].shape))
    if len(full) < len(parts) and engine.is_grad_enabled():
        like = tuple(full[0].shape)
        none = (*like[:d], 0, *like[d + 1 :])
        full += [sh.reshaped(x, none) for x in parts if x.requires_grad and tuple(x.shape) == (0,)]
    made = joined(full, d)
    if out is None:
        return made
    apart(out, *parts)
    return give(made, out, "cat")


@function()
def stack(tensors: Any, dim: int = 0, *, out: Tensor | None = None) -> Tensor:
    """The tensors, of one shape, along a new dimension."""
    parts = _given(tensors, "stack")
    if not parts:
        raise RuntimeError("stack expects a non-empty TensorList")
    shape = tuple(parts[0].shape)
    d = wrap_dim(integer(dim, "stack", "dim"), len(shape) + 1)
    for i, x in enumerate(parts):
        if tuple(x.shape) != shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(shape)} at entry 0 and "
                f"{list(x.shape)} at entry {i}"
            )
    made = joined([look(movement.unsqueeze, x, d) for x in _one_type(parts)], d)
    return made if out is None else give(made, out, "stack", *parts)


def _at_least(n: int, x: Tensor) -> Tensor:
    k = len(x.shape)
    if k >= n:
        return x
    shape = tuple(x.shape)
    if n == 3 and k == 2:
        return sh.reshaped(x, (*shape, 1))
    if n == 3:
        return sh.reshaped(x, (1, *shape, 1) if shape else (1, 1, 1))
    return sh.reshaped(x, (1,) * (n - k) + shape)


def _atleast(n: int) -> None:
    def f(*tensors: Any) -> Any:
        if len(tensors) == 1 and isinstance(tensors[0], Tensor):
            return _at_least(n, tensors[0])
        given = tensors[0] if len(tensors) == 1 else tensors
        return tuple(_at_least(n, x) for x in given)

    f.__doc__ = f"Views of the tensors with at least {n} dimensions."
    function(f"atleast_{n}d")(f)


for _n in (1, 2, 3):
    _atleast(_n)


def _stacker(names: Sequence[str], rank: int, dim: Callable[[Tensor], int]) -> None:
    def f(tensors: Any, *, out: Tensor | None = None) -> Tensor:
        parts = [_at_least(rank, x) for x in _given(tensors, names[0])]
        if not parts:
            raise RuntimeError(f"{names[0]} expects a non-empty TensorList")
        return give(cat(parts, dim(parts[0])), out, names[0])

    f.__doc__ = f"`{names[0]}`: the tensors joined as NumPy's function of this name."
    function(*names)(f)


_stacker(("hstack",), 1, lambda x: 0 if len(x.shape) == 1 else 1)
_stacker(("vstack", "row_stack"), 2, lambda x: 0)
_stacker(("dstack",), 3, lambda x: 2)


@function()
def column_stack(tensors: Any, *, out: Tensor | None = None) -> Tensor:
    """1-d tensors as columns, beside matrices."""
    parts = [
        sh.reshaped(x, (x.shape.numel(), 1)) if len(x.shape) < 2 else x
        for x in _given(tensors, "column_stack")
    ]
    return give(cat(parts, 1), out, "column_stack")


@function()
def block_diag(*tensors: Tensor) -> Tensor:
    """The matrices along the diagonal of zeros."""
    for i, x in enumerate(tensors):
        if len(x.shape) > 2:
            raise RuntimeError(
                "torch.block_diag: Input tensors must have 2 or fewer dimensions. Input "
                f"{i} has {len(x.shape)} dimensions"
            )
    parts = [_at_least(2, x) for x in tensors]
    kind = dt.result_type([(x.dtype, 0) for x in parts])
    shape = (sum(x.shape[0] for x in parts), sum(x.shape[1] for x in parts))
    out = filled(shape, 0, kind, parts[0].device)
    r = c = 0
    for x in parts:
        h, w = x.shape
        engine.assign(sh.narrow(sh.narrow(out, 0, r, h), 1, c, w), x)
        r, c = r + h, c + w
    return out


# ---------------------------------------------------------------- apart
def _pieces(x: Tensor, lengths: Sequence[int], dim: int) -> tuple[Tensor, ...]:
    out, start = [], 0
    for n in lengths:
        out.append(look(movement.slice_, x, (dim, start, start + n, 1)))
        start += n
    return tuple(out)


def split_with_sizes(x: Tensor, lengths: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of the given lengths along a dimension; they have to add up to its size."""
    d = wrap_dim(dim, len(x.shape))
    if sum(lengths) != x.shape[d] or any(n < 0 for n in lengths):
        raise RuntimeError(
            "split_with_sizes expects split_sizes to sum exactly to "
            f"{x.shape[d]} (input tensor's size at dimension {dim}), but got "
            f"split_sizes={list(lengths)}"
        )
    return _pieces(x, lengths, d)


both("split_with_sizes")(split_with_sizes)


def _split(x: Tensor, size: Any, dim: int) -> tuple[Tensor, ...]:
    if not x.shape:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    if isinstance(size, tuple | list):
        return split_with_sizes(
            x, [integer(n, "split", "split_size_or_sections") for n in size], dim
        )
    d, step = wrap_dim(dim, len(x.shape)), integer(size, "split", "split_size_or_sections")
    n = x.shape[d]
    if step < 0:
        raise RuntimeError(f"split expects split_size be non-negative, but got split_size={step}")
    if step == 0:
        if n:
            raise RuntimeError(
                f"split_size can only be 0 if dimension size is 0, but got dimension size of {n}"
            )
        return _pieces(x, [0], d)
    return _pieces(x, [min(step, n - i) for i in range(0, n, step)] or [0], d)


@method("split")
def split_method(self: Tensor, split_size: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of one length (the last may be shorter), or of the lengths given."""
    return _split(self, split_size, dim)


@function("split")
def split(tensor: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of one length (the last may be shorter), or of the lengths given."""
    need_tensor(tensor, "split", "tensor")
    return _split(tensor, split_size_or_sections, dim)


@both()
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` views of equal length, the last shorter."""
    need_tensor(input, "chunk")
    if not input.shape:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    count = integer(chunks, "chunk", "chunks")
    if count <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {count}")
    d = wrap_dim(dim, len(input.shape))
    n = input.shape[d]
    step = (n + count - 1) // count
    if step == 0:
        return _pieces(input, [0] * count, d)
    return _split(input, step, d)


@both()
def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views between indices, or of a number of nearly equal lengths."""
    d = wrap_dim(dim, len(input.shape))
    n = input.shape[d]
    if isinstance(indices_or_sections, Tensor):
        indices_or_sections = engine.read(indices_or_sections).tolist()
    if isinstance(indices_or_sections, int):
        k = indices_or_sections
        if k <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {k}")
        return _pieces(input, [n // k + (i < n % k) for i in range(k)], d)
    marks = [min(max(i + n if i < 0 else i, 0), n) for i in indices_or_sections]
    starts, ends = [0, *marks], [*marks, n]
    return tuple(look(movement.slice_, input, (d, a, max(a, b), 1)) for a, b in zip(starts, ends))


@both()
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of every index along a dimension."""
    need_tensor(input, "unbind")
    if not input.shape:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    d = wrap_dim(dim, len(input.shape))
    return tuple(look(movement.select, input, (d, i)) for i in range(input.shape[d]))


def _splitter(name: str, least: int, dim: Callable[[Tensor], int]) -> None:
    def f(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
        rank = len(input.shape)
        if rank < least:
            raise RuntimeError(
                f"torch.{name} requires a tensor with at least {least} dimension, but got a tensor "
                f"with {rank} dimensions!"
            )
        d = dim(input)
        parts = indices_or_sections if isinstance(indices_or_sections, int) else 1
        if parts <= 0 or input.shape[d] % parts:
            raise RuntimeError(
                f"torch.{name} attempted to split along dimension {d}, but the size of the "
                f"dimension {input.shape[d]} is not divisible by the split_size {parts}!"
            )
        return tensor_split(input, indices_or_sections, d)

    f.__doc__ = f"`{name}`: `tensor_split` along a fixed dimension."
    both(name)(f)


_splitter("hsplit", 1, lambda x: 0 if len(x.shape) == 1 else 1)
_splitter("vsplit", 2, lambda x: 0)
_splitter("dsplit", 3, lambda x: 2)


# ---------------------------------------------------------------- turned and repeated
@both()
def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """Elements moved along dimensions, those that fall off coming in again."""
    need_tensor(input, "roll")
    if dims is None or dims == ():
        if not isinstance(shifts, int) and len(shifts) != 1:
            raise RuntimeError(f"shifts and dimensions must align. shifts: {len(shifts)}, dims:0")
        flat = sh.reshape(input, -1)
        return sh.reshaped(roll(flat, shifts, 0), tuple(input.shape))
    moves = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    axes = (dims,) if isinstance(dims, int) else tuple(dims)
    if len(moves) != len(axes):
        raise RuntimeError(
            f"shifts and dimensions must align. shifts: {len(moves)}, dims:{len(axes)}"
        )
    out = input
    for k, axis in zip(moves, axes):
        d = wrap_dim(axis, len(out.shape))
        n = out.shape[d]
        k = k % n if n else 0
        if k:
            out = joined([sh.narrow(out, d, n - k, k), sh.narrow(out, d, 0, n - k)], d)
    return apply(ew.copy, out) if out is input else out


@function()
def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """Views of 1-d tensors spread over the grid they make; `'ij'` (default) or `'xy'`."""
    given = list(
        tensors[0] if len(tensors) == 1 and not isinstance(tensors[0], Tensor) else tensors
    )
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(
            f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}'
        )
    for x in given:
        if len(x.shape) > 1:
            raise RuntimeError(
                "torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got one of shape "
                f"{list(x.shape)}"
            )
    swap = indexing == "xy" and len(given) > 1
    if swap:
        given[:2] = given[1::-1]
    shape = tuple(x.shape.numel() for x in given)
    out = []
    for i, x in enumerate(given):
        line = sh.reshaped(x, tuple(n if d == i else 1 for d, n in enumerate(shape)))
        out.append(look(movement.expand, line, shape))
    if swap:
        out[:2] = out[1::-1]
    return tuple(out)


@function()
def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All tuples of elements, one a row."""
    for x in tensors:
        if len(x.shape) != 1:
            raise RuntimeError(f"Expect a 1D vector, but got shape {list(x.shape)}")
    if len(tensors) == 1:
        return tensors[0]
    return stack([sh.reshape(x, -1) for x in meshgrid(*tensors)], 1)


# ---------------------------------------------------------------- diagonals and triangles
@both()
def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The last dimension as diagonals of matrices of zeros."""
    need_tensor(input, "diag_embed")
    n = len(input.shape) + 1
    a, b = wrap_dim(dim1, n), wrap_dim(dim2, n)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    side = input.shape[-1] + abs(offset)
    batch = list(input.shape[:-1])
    shape = tuple(side if d in (a, b) else batch.pop(0) for d in range(n))
    out = filled(shape, 0, input.dtype, input.device)
    engine.assign(sh.diagonal(out, offset, a, b), input)
    return out


@both()
def diag(input: Tensor, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:
    """A vector as the diagonal of a matrix; a matrix's diagonal as a copy."""
    need_tensor(input, "diag")
    if len(input.shape) == 1:
        return give(diag_embed(input, diagonal), out, "diag")
    if len(input.shape) != 2:
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {len(input.shape)}D")
    return give(apply(ew.copy, sh.diagonal(input, diagonal)), out, "diag")


@both()
def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """All elements as the diagonal of a matrix."""
    return diag_embed(sh.reshape(input, -1), offset)


@both()
def trace(input: Tensor) -> Tensor:
    """The sum of a matrix's diagonal."""
    need_tensor(input, "trace")
    refuse(input, "b", "\"trace\" not implemented for '{type}'")
    if len(input.shape) != 2:
        raise RuntimeError("trace: expected a matrix, but got tensor with dim "
                           f"{len(input.shape)}")  # fmt: skip
    from_diagonal = sh.diagonal(input)
    return apply(_SUM, from_diagonal, arg=((0,), False))


@lru_cache(maxsize=64)
def _corner(rows_: int, columns: int, k: int) -> Any:
    return np.tri(rows_, columns, k, dtype=np.bool_)


def _triangle(name: str, lower: bool) -> None:
    def f(input: Tensor, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:
        need_tensor(input, name)
        if len(input.shape) < 2:
            raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")
        k = integer(diagonal, name, "diagonal")
        corner = _corner(input.shape[-2], input.shape[-1], k if lower else k - 1)
        mask = engine.table(corner, dt.bool_, input.device)
        zero: Any = False if input.dtype.kind == "b" else 0
        x = sh.laid_out(input, contiguous_format)
        pair = (mask, x, zero) if lower else (mask, zero, x)
        return give(apply(ew.where, *pair), out, name)

    f.__doc__ = f"The {'lower' if lower else 'upper'} triangle of matrices, zeros elsewhere."
    both(name)(f)

    def write(self: Tensor, diagonal: int = 0) -> Tensor:
        return engine.settle(name, self, f(self, diagonal))

    write.__doc__ = f"`{name}`, written into the tensor."
    method(name + "_")(write)


_triangle("tril", True)
_triangle("triu", False)
