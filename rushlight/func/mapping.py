"""`vmap`: a function of rows as a function of batches, one call a row."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from rushlight.base.shape import wrap_dim
from rushlight.engine import Tensor
from rushlight.tensor import shape as sh
from rushlight.tensor.creation import as_tensor
from rushlight.tensor.join import stack
from rushlight.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

Function = Callable[..., Any]


def _spread(dims: Any, spec: TreeSpec, what: str) -> list[Any]:
    """One entry for each leaf of a nest: `dims` may stop at any level of it."""
    if dims is None or isinstance(dims, int):
        return [dims] * spec.num_leaves
    if spec.type is None or not isinstance(dims, list | tuple | dict):
        raise ValueError(f"vmap: {what} is not compatible with the structure it stands for")
    parts = list(dims.values()) if isinstance(dims, dict) else list(dims)
    if len(parts) != len(spec.children_specs):
        raise ValueError(
            f"vmap: {what} has {len(parts)} entries for {len(spec.children_specs)} arguments"
        )
    made = []
    for d, child in zip(parts, spec.children_specs, strict=True):
        made += _spread(d, child, what)
    return made


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

    The function is called once for each row, in order: random draws differ from row to row.

    >>> import rushlight as torch
    >>> torch.func.vmap(torch.dot)(torch.ones(3, 2), torch.ones(3, 2))
    tensor([2., 2., 2.])
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(
            "Only allowed values for randomness are 'error', 'different', or 'same'. Got "
            f"{randomness}"
        )

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        leaves, spec = tree_flatten(args)
        dims = _spread(list(in_dims) if isinstance(in_dims, tuple) else in_dims, spec, "in_dims")
        sizes = set()
        places: list[int | None] = []
        for x, d in zip(leaves, dims, strict=True):
            if d is None or not isinstance(x, Tensor):
                if d not in (None, 0) and not isinstance(x, Tensor):
                    raise ValueError(
                        f"vmap({func.__name__}, in_dims={in_dims}, ...)(<inputs>): Got in_dim={d} "
                        f"for an input but the input is of type {type(x)}."
                    )
                places.append(None)
                continue
            if not x.shape:
                raise ValueError(
                    f"vmap: Got in_dim={d} for an input of dimensionality 0; use None for what "
                    "has no rows"
                )
            places.append(wrap_dim(d, len(x.shape)))
            sizes.add(x.shape[places[-1]])
        if len(sizes) != 1:
            raise ValueError(
                "vmap: Expected all tensors to have the same size in the mapped dimension, got "
                f"sizes {sorted(sizes)} for the mapped dimension"
                if sizes
                else "vmap: at least one input has to have a dimension to map over"
            )
        rows = []
        for k in range(sizes.pop()):
            row = [
                x if p is None else sh.select(x, p, k) for x, p in zip(leaves, places, strict=True)
            ]
            rows.append(tree_flatten(func(*tree_unflatten(row, spec), **kwargs)))
        if not rows:
            raise ValueError("vmap: the mapped dimension has no rows")
        shape = rows[0][1]
        out = _spread(
            list(out_dims) if isinstance(out_dims, tuple) else out_dims, shape, "out_dims"
        )
        made = []
        for i, d in enumerate(out):
            parts = [as_tensor(found[i]) for found, _ in rows]
            made.append(parts[0] if d is None else stack(parts, d))
        return tree_unflatten(made, shape)

    return wrapper
