"""What views show as copies (`t_copy`), and copies with a part replaced (`select_scatter`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.base.shape import is_contiguous, wrap_dim
from rushlight.engine import Tensor
from rushlight.graph.ops import movement
from rushlight.tensor import join
from rushlight.tensor import shape as sh
from rushlight.tensor.convert import clone
from rushlight.tensor.creation import owned
from rushlight.tensor.install import both, function, integer, named, need_tensor, strides

look: Callable[..., Tensor] = engine.view


def _copied(x: Tensor) -> Tensor:
    return sh.contiguous_copy(x)


def _alias(input: Tensor) -> Tensor:
    return input


def _slice(
    input: Tensor, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Tensor:
    d = wrap_dim(dim, len(input.shape))
    return look(
        movement.slice_, input, (d, *movement.normal_slice(input.shape[d], start, end, step))
    )


# name -> the function that makes the view
VIEWS: Final[dict[str, Callable[..., Tensor]]] = {
    "alias": _alias, "t": sh.t, "transpose": sh.transpose, "permute": sh.permute_of,
    "view": sh.view, "expand": sh.expand, "unsqueeze": sh.unsqueeze, "squeeze": sh.squeeze,
    "diagonal": sh.diagonal, "unfold": sh.unfold, "as_strided": sh.as_strided,
    "select": sh.select, "slice": _slice,
}  # fmt: skip


def _copy_of(name: str, view: Callable[..., Tensor]) -> None:
    def f(input: Tensor, *args: Any, out: Tensor | None = None, **kwargs: Any) -> Tensor:
        need_tensor(input, f"{name}_copy")
        made = _copied(view(input, *args, **kwargs))
        return made if out is None else engine.assign(out, made)

    f.__doc__ = f"`{name}` as a copy."
    function(f"{name}_copy")(named(f, f"{name}_copy"))


for _name, _view in VIEWS.items():
    _copy_of(_name, _view)


@function()
def unbind_copy(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """`unbind` as copies."""
    return tuple(_copied(x) for x in join.unbind(input, dim))


@function()
def split_copy(input: Tensor, split_size: int, dim: int = 0) -> tuple[Tensor, ...]:
    """`split` as copies."""
    return tuple(_copied(x) for x in join.split(input, split_size, dim))


@function()
def split_with_sizes_copy(input: Tensor, split_sizes: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """`split_with_sizes` as copies."""
    return tuple(_copied(x) for x in join.split(input, list(split_sizes), dim))


@both()
def unsafe_split(input: Tensor, split_size: int, dim: int = 0) -> tuple[Tensor, ...]:
    """`split`."""
    return join.split(input, split_size, dim)


@both()
def unsafe_chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """`chunk`."""
    return join.chunk(input, chunks, dim)


# ---------------------------------------------------------------- a part replaced
def _replaced(input: Tensor, view: Callable[[Tensor], Tensor], src: Tensor, name: str) -> Tensor:
    need_tensor(input, name)
    need_tensor(src, name, "src", 2)
    made = clone(input)
    part = view(made)
    if tuple(part.shape) != tuple(src.shape):
        raise RuntimeError(
            f"expected src to have a size equal to the slice of self. src size = "
            f"{list(src.shape)}, slice size = {list(part.shape)}"
        )
    engine.assign(part, src)
    return made


@both()
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """A copy with `src` at one index along a dimension."""
    return _replaced(input, lambda x: sh.select(x, dim, index), src, "select_scatter")


@both()
def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Tensor:
    """A copy with `src` in a slice along a dimension."""
    return _replaced(input, lambda x: _slice(x, dim, start, end, step), src, "slice_scatter")


@both()
def diagonal_scatter(
    input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Tensor:
    """A copy with `src` on a diagonal."""
    return _replaced(input, lambda x: sh.diagonal(x, offset, dim1, dim2), src, "diagonal_scatter")


@both()
def as_strided_scatter(
    input: Tensor, src: Tensor, size: Any, stride: Any, storage_offset: int | None = None
) -> Tensor:
    """A copy with `src` at any sizes and strides."""
    need_tensor(input, "as_strided_scatter")
    if is_contiguous(tuple(input.shape), strides(input)):
        return _replaced(
            input, lambda x: sh.as_strided(x, size, stride, storage_offset), src,
            "as_strided_scatter",
        )  # fmt: skip
    raise RuntimeError("as_strided_scatter: the input has to be contiguous; call .contiguous()")


# ---------------------------------------------------------------- sizes
@both()
def nonzero_static(input: Tensor, *, size: int, fill_value: int = -1) -> Tensor:
    """Coordinates of what is not zero, cut or filled up to `size` rows; pending work runs."""
    need_tensor(input, "nonzero_static")
    count = integer(size, "nonzero_static", "size")
    if count < 0:
        raise RuntimeError("nonzero_static: 'size' must be an non-negative integer")
    a = engine.read(input)
    found = np.argwhere(a)[:count]
    out = np.full((count, a.ndim), fill_value, np.int64)
    out[: len(found)] = found
    return owned(out, dt.int64, input.device)
