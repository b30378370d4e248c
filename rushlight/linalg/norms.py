"""Norms of vectors and matrices, and condition numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from rushlight import engine
from rushlight.base.shape import wrap_dim
from rushlight.engine import Tensor
from rushlight.graph.ops import elementwise as ew
from rushlight.graph.ops import reduce as rd
from rushlight.tensor import matrices, reduce
from rushlight.tensor import shape as sh
from rushlight.tensor.install import element_type, give, need_tensor

apply: Callable[..., Tensor] = engine.apply


def _floats(x: Any, dtype: Any, name: str) -> Tensor:
    need_tensor(x, name, "A")
    if x.dtype.rank < 2:
        raise RuntimeError(
            f"{name}: Expected a floating point or complex tensor as input. Got {x.dtype.typename}"
        )
    if dtype is not None:
        kind = element_type(dtype, name)
        if kind.rank < 2:
            raise RuntimeError(f"{name}: dtype should be floating point or complex. Got {kind}")
        if kind.rank < x.dtype.rank:
            raise RuntimeError(
                f"{name}: the dtype of the input ({x.dtype.typename}) should be convertible "
                f"without narrowing to the specified dtype ({kind.typename})"
            )
        x = x if kind is x.dtype else apply(ew.cast, x, arg=kind)
    return x  # type: ignore[no-any-return]


def vector_norm(
    x: Tensor,
    ord: Any = 2,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """`sum(|x|**ord) ** (1 / ord)` over dimensions (all of them when none is given)."""
    name = "linalg.vector_norm"
    x = _floats(x, dtype, name)
    dims = reduce.dims_of(x, dim)
    order = float(ord)
    empty = 0 in x.shape and (dim is None or any(x.shape[d] == 0 for d in dims))
    if empty and (order < 0 or order == math.inf):
        raise RuntimeError(
            f"{name} cannot compute the {ord} norm on an empty tensor because the operation "
            "does not have an identity"
        )
    return give(reduce.vector_norm(x, order, dims, bool(keepdim)), out, name)


def matrix_norm(
    A: Tensor,
    ord: Any = "fro",
    dim: Any = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """Frobenius, nuclear, and the norms induced by vectors of order 1, 2 and infinity."""
    name = "linalg.matrix_norm"
    x = _floats(A, dtype, name)
    if len(x.shape) < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions.")
    if isinstance(dim, int) or len(dim) != 2:
        raise RuntimeError(f"{name}: dim must be a 2-tuple. Got {dim}")
    n = len(x.shape)
    a, b = (wrap_dim(d, n) for d in dim)
    if a == b:
        raise RuntimeError(f"{name}: dims must be different. Got ({dim[0]}, {dim[1]})")
    if isinstance(ord, str):
        if ord not in ("fro", "nuc"):
            raise RuntimeError(f"{name}: Order {ord} not supported.")
        if ord == "fro":
            return give(reduce.vector_norm(x, 2.0, tuple(sorted((a, b))), keepdim), out, name)
        return give(_of_singular_values(x, a, b, keepdim, "nuc"), out, name)
    order = abs(float(ord))
    if order not in (1, 2, math.inf):
        raise RuntimeError(f"{name}: Order {ord} not supported.")
    if order == 2:
        return give(_of_singular_values(x, a, b, keepdim, float(ord)), out, name)
    if order == math.inf:
        a, b = b, a
    sums = apply(rd.sum_, apply(ew.abs_, x), arg=((a,), bool(keepdim)))
    if not keepdim and b > a:
        b -= 1
    last = rd.amax if float(ord) > 0 else rd.amin
    return give(apply(last, sums, arg=((b,), bool(keepdim))), out, name)


def _of_singular_values(x: Tensor, a: int, b: int, keepdim: bool, order: Any) -> Tensor:
    n = len(x.shape)
    rest = [d for d in range(n) if d not in (a, b)]
    values = reduce.singular_values(sh.permuted(x, (*rest, a, b)))
    last = ((n - 2,), False)
    if order == "nuc":
        made = apply(rd.sum_, values, arg=last)
    else:
        made = apply(rd.amax if order > 0 else rd.amin, values, arg=last)
    if keepdim:
        made = sh.reshaped(made, tuple(1 if d in (a, b) else x.shape[d] for d in range(n)))
    return made


def norm(
    A: Tensor,
    ord: Any = None,
    dim: Any = None,
    keepdim: bool = False,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
) -> Tensor:
    """A vector norm, or a matrix norm where the order or two dimensions say so."""
    need_tensor(A, "linalg.norm", "A")
    if dim is not None:
        count = 1 if isinstance(dim, int) else len(dim)
        if ord is not None and count not in (1, 2):
            raise RuntimeError(
                f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dim)}"
            )
    elif ord is not None and len(A.shape) not in (1, 2):
        raise RuntimeError(
            "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. "
            f"Got {len(A.shape)}D."
        )
    two = (dim is None and len(A.shape) == 2) or (not isinstance(dim, int | None) and len(dim) == 2)
    if ord is not None and (isinstance(ord, str) or two):
        where = (0, 1) if dim is None else dim
        return matrix_norm(A, ord, where, keepdim, dtype=dtype, out=out)
    order = 2 if ord is None else ord
    return vector_norm(A, order, dim, keepdim, dtype=dtype, out=out)


def cond(A: Tensor, p: Any = None, *, out: Tensor | None = None) -> Tensor:
    """The condition number: of singular values, or `norm(A, p) * norm(inv(A), p)`."""
    name = "linalg.cond"
    need_tensor(A, name, "A")
    if len(A.shape) < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions.")
    if p is None or p in (2, -2):
        values = reduce.singular_values(_floats(A, None, name))
        d = len(values.shape) - 1
        first, last = sh.select(values, d, 0), sh.select(values, d, -1)
        return give(last / first if p == -2 else first / last, out, name)
    inverse: Tensor = matrices.LINALG["inv"](A)
    return give(matrix_norm(A, p) * matrix_norm(inverse, p), out, name)
