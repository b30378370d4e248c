"""`vmap`: a function of rows as a function of batches, one call a row."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from rushlight import engine
from rushlight.base.shape import wrap_dim
from rushlight.engine import Tensor
from rushlight.random import default_generator
from rushlight.tensor import shape as sh
from rushlight.tensor.creation import zeros
from rushlight.tensor.join import stack
from rushlight.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

Function = Callable[..., Any]


class _Mismatch(Exception):
    """Dimensions that are nested otherwise than what they stand for."""


def _spread(dims: Any, spec: TreeSpec) -> list[Any]:
    """One entry for each leaf of a nest: `dims` may stop at any level of it."""
    if spec.type is None or not isinstance(dims, list | tuple | dict):
        return [dims] * spec.num_leaves
    if isinstance(dims, dict):
        keys = spec.context[0] if issubclass(spec.type, dict) else None
        if keys is None or set(keys) != set(dims):
            raise _Mismatch
        parts = [dims[key] for key in keys]
    else:
        parts = list(dims)
    if len(parts) != len(spec.children_specs):
        raise _Mismatch
    made = []
    for d, child in zip(parts, spec.children_specs, strict=True):
        if child.type is None and isinstance(d, list | tuple | dict):
            raise _Mismatch
        made += _spread(d, child)
    return made


def _places(name: str, in_dims: Any, leaves: list[Any], spec: TreeSpec) -> list[int | None]:
    """The dimension of each input that is mapped; `ValueError` in PyTorch's words."""
    told = f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): "
    if not isinstance(in_dims, int | tuple):
        raise ValueError(
            f"{told}expected `in_dims` to be int or a (potentially nested) tuple matching the "
            f"structure of inputs, got: {type(in_dims)}."
        )
    if not leaves:
        raise ValueError(
            f"vmap({name})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are "
            "trying to vmap over a function with no inputs. The latter is unsupported."
        )
    try:
        dims = _spread(in_dims, spec)
    except _Mismatch:
        raise ValueError(
            f"{told}in_dims is not compatible with the structure of `inputs`. in_dims has "
            f"structure {tree_flatten(in_dims)[1]} but inputs has structure {spec}."
        ) from None
    places: list[int | None] = []
    for x, d in zip(leaves, dims, strict=True):
        if d is None:
            places.append(None)
            continue
        if not isinstance(d, int):
            raise ValueError(
                f"{told}Got in_dim={d} for an input but in_dim must be either an integer "
                "dimension or None."
            )
        if not isinstance(x, Tensor):
            raise ValueError(
                f"{told}Got in_dim={d} for an input but the input is of type {type(x)}. We cannot "
                "vmap over non-Tensor arguments, please use None as the respective in_dim"
            )
        n = len(x.shape)
        if not -n <= d < n:
            raise ValueError(
                f"{told}Got in_dim={d} for some input, but that input is a Tensor of "
                f"dimensionality {n} so expected in_dim to satisfy -{n} <= in_dim < {n}."
            )
        places.append(wrap_dim(d, n))
    return places


def _count(leaves: list[Any], places: list[int | None]) -> int:
    sizes = [x.shape[p] for x, p in zip(leaves, places, strict=True) if p is not None]
    if not sizes:
        raise ValueError("vmap: Expected at least one Tensor to vmap over")
    if len(set(sizes)) > 1:
        raise ValueError(
            "vmap: Expected all tensors to have the same size in the mapped dimension, got sizes "
            f"{sizes} for the mapped dimension"
        )
    return int(sizes[0])


def _rounds(count: int, randomness: str) -> Iterator[int]:
    """Row by row; with ``same``, each draws what the first drew, with ``error`` none may draw."""
    if randomness == "different":
        yield from range(count)
        return
    before = default_generator.state_bytes()
    for k in range(count):
        if k and randomness == "same":
            default_generator.set_state(before)
        yield k
        if (
            k == 0
            and randomness == "error"
            and not np.array_equal(before, default_generator.state_bytes())
        ):
            default_generator.set_state(before)
            raise RuntimeError(
                "vmap: called random operation while in randomness error mode. Please either use "
                "the 'same' or 'different' randomness flags on vmap or perform the randomness "
                "operation out of vmap"
            )


def _joined(name: str, parts: list[Any], d: int | None) -> Any:
    """The rows' results together; as it is what stands for no row."""
    if d is None:
        first = parts[0]
        if isinstance(first, Tensor) and not all(
            p is first or np.array_equal(engine.read(p), engine.read(first), equal_nan=True)
            for p in parts
        ):
            raise ValueError(
                f"vmap({name}, ...): `{name}` can not return a BatchedTensor when out_dim is None"
            )
        return first
    if not isinstance(parts[0], Tensor):
        raise ValueError(
            f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(parts[0])}. "
            "Did you mean to set out_dims= to None for output?"
        )
    return stack(parts, d)


def vmap(
    func: Function,
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Function:
    """A function that maps `func` over a dimension of its inputs, `in_dims`, and stacks what it
    gives along `out_dims`.

    The function is called once for each row, in order.  `randomness`: whether it may draw random
    numbers, and whether every row draws the `same` or each row `different` ones, after those of
    the row before.

    >>> import rushlight as torch
    >>> torch.func.vmap(torch.dot)(torch.ones(3, 2), torch.ones(3, 2))
    tensor([2., 2., 2.])
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(
            "Only allowed values for randomness are 'error', 'different', or 'same'. Got "
            f"{randomness}"
        )
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")
    name = getattr(func, "__name__", repr(func))

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        leaves, spec = tree_flatten(args)
        places = _places(name, in_dims, leaves, spec)
        count = _count(leaves, places)
        rows = []
        if not count:  # what a row of zeros gives, none of it
            leaves = [
                x if p is None
                else zeros((*x.shape[:p], 1, *x.shape[p + 1 :]), dtype=x.dtype, device=x.device)
                for x, p in zip(leaves, places, strict=True)
            ]  # fmt: skip
        for k in _rounds(max(count, 1), randomness):
            row = [
                x if p is None else sh.select(x, p, k) for x, p in zip(leaves, places, strict=True)
            ]
            rows.append(tree_flatten(func(*tree_unflatten(row, spec), **kwargs)))
        shape = rows[0][1]
        try:
            if shape.type is None and isinstance(out_dims, list | tuple | dict):
                raise _Mismatch
            out = _spread(out_dims, shape)
        except _Mismatch:
            raise ValueError(
                f"vmap({name}, ..., out_dims={out_dims})(<inputs>): out_dims is not compatible "
                f"with the structure of `outputs`. out_dims has structure "
                f"{tree_flatten(out_dims)[1]} but outputs has structure {shape}."
            ) from None
        if not all(d is None or isinstance(d, int) for d in out):
            raise ValueError(
                f"vmap({name}, ..., out_dims={out_dims}): `out_dims` must be an int, None or a "
                "python collection of ints representing where in the outputs the vmapped "
                "dimension should appear."
            )
        made = []
        for i, d in enumerate(out):
            whole = _joined(name, [found[i] for found, _ in rows], d)
            made.append(whole if count or d is None else sh.narrow(whole, d, 0, 0))
        return tree_unflatten(made, shape)

    return wrapper
