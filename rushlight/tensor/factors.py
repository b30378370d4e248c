"""Factors of matrices in the order of elimination: QR, and LU with its interchanges of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.engine import Tensor
from rushlight.graph.ops import indexing as ix
from rushlight.graph.ops import matrices as mx
from rushlight.graph.ops import movement
from rushlight.tensor import shape as sh
from rushlight.tensor.creation import eye
from rushlight.tensor.install import (
    FUNCTIONS,
    both,
    function,
    give,
    let_write,
    result_type,
)
from rushlight.tensor.join import cat
from rushlight.tensor.linalg_basic import product
from rushlight.tensor.matrices import (
    HALVES,
    LINALG,
    column_major,
    linalg,
    need_matrices,
    no_info,
    parts_of,
    same_kind,
    triangular,
    turned,
)

apply: Callable[..., Tensor] = engine.apply
look: Callable[..., Tensor] = engine.view
tril: Final[Callable[..., Tensor]] = FUNCTIONS["tril"]
triu: Final[Callable[..., Tensor]] = FUNCTIONS["triu"]

qr_result = result_type("linalg_qr", "Q R")
old_qr_result = result_type("qr", "Q R")
lu_result = result_type("linalg_lu", "P L U")
lu_factor_result = result_type("linalg_lu_factor", "LU pivots")
lu_factor_ex_result = result_type("linalg_lu_factor_ex", "LU pivots info")
lu_unpack_result = result_type("lu_unpack", "P L U")


# ---------------------------------------------------------------- QR, LU
@linalg("qr")
def linalg_qr(A: Tensor, mode: str = "reduced", *, out: Any = None) -> Any:
    """Q with orthonormal columns and upper triangular R of `A = Q R`."""
    need_matrices(A, "linalg.qr", square=False)
    if A.dtype in HALVES:
        raise NotImplementedError(f"\"geqrf_cpu\" not implemented for '{A.dtype.typename}'")
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), "
            "'r', or 'complete'"
        )
    complete = mode == "complete"
    packed = apply(mx.qr, A, arg=complete)
    q, r = parts_of(packed, mx.qr_sizes(tuple(A.shape[-2:]), complete))
    return qr_result(engine.full((0,), 0.0, A.dtype, A.device) if mode == "r" else q, r)


@both("qr")
def qr(input: Tensor, some: bool = True, *, out: Any = None) -> Any:
    """The older `linalg.qr`."""
    return old_qr_result(*linalg_qr(input, "reduced" if some else "complete"))


def _lu_parts(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """L, U and the order of A's rows in them."""
    order = apply(mx.lu_order, engine.detach(A))
    wide = look(movement.expand, look(movement.unsqueeze, order, len(order.shape)), tuple(A.shape))
    rows = apply(ix.gather, A, wide, arg=len(A.shape) - 2)
    low, up = parts_of(apply(mx.lu, rows), mx.lu_sizes(tuple(A.shape[-2:]), None))
    return low, up, order


@linalg("lu")
def linalg_lu(A: Tensor, *, pivot: bool = True, out: Any = None) -> Any:
    """P, L and U of `A = P L U`."""
    need_matrices(A, "linalg.lu", square=False)
    if not pivot:
        raise RuntimeError("linalg.lu: LU without pivoting is not implemented on the CPU")
    low, up, order = _lu_parts(A)
    return lu_result(_permutation(order, A), *map(sh.contiguous_copy, (low, up)))


def _permutation(order: Tensor, like: Tensor) -> Tensor:
    """The matrix P of `A = P (A in order)`."""
    n = order.shape[-1]
    places = apply(ix.index, eye(n, dtype=like.dtype), order, arg=(0,))
    return sh.contiguous_copy(turned(places))


def _lu_factor(A: Tensor, name: str) -> tuple[Tensor, Tensor]:
    need_matrices(A, name, square=False)
    low, up, _ = _lu_parts(A)
    m, n = A.shape[-2:]
    strict = tril(low, -1)
    if m > n:
        up = _padded(up, m - n, -2)
    elif n > m:
        strict = _padded(strict, n - m, -1)
    pivots = apply(mx.lu_pivots, engine.detach(A))
    return column_major(strict + up), pivots


def _padded(x: Tensor, count: int, dim: int) -> Tensor:
    shape = list(x.shape)
    shape[dim] = count
    return cat([x, engine.full(tuple(shape), 0.0, x.dtype, x.device)], dim)


@linalg("lu_factor")
def linalg_lu_factor(A: Tensor, *, pivot: bool = True, out: Any = None) -> Any:
    """L below the diagonal and U in one matrix, and LAPACK's interchanges of rows."""
    return lu_factor_result(*_lu_factor(A, "linalg.lu_factor"))


@linalg("lu_factor_ex")
def linalg_lu_factor_ex(
    A: Tensor, *, pivot: bool = True, check_errors: bool = False, out: Any = None
) -> Any:
    """`lu_factor`, and 0 for each matrix."""
    return lu_factor_ex_result(*_lu_factor(A, "linalg.lu_factor_ex"), no_info(A))


@both("lu")
def lu(A: Tensor, pivot: bool = True, get_infos: bool = False, out: Any = None) -> Any:
    """The older `linalg.lu_factor`, as a plain tuple."""
    found = _lu_factor(A, "lu")
    return (*found, no_info(A)) if get_infos else found


def _order_of(pivots: Tensor, rows: int) -> Tensor:
    """The order of rows that LAPACK's interchanges make."""
    found = engine.read(pivots)
    order = np.empty((*found.shape[:-1], rows), np.int64)
    for at in np.ndindex(found.shape[:-1]):
        line = np.arange(rows)
        for i, p in enumerate(found[at] - 1):
            line[[i, p]] = line[[p, i]]
        order[at] = line
    return engine.own_array(order, dt.int64, pivots.device)


@function("lu_unpack")
def lu_unpack(
    LU_data: Tensor,
    LU_pivots: Tensor,
    unpack_data: bool = True,
    unpack_pivots: bool = True,
    *,
    out: Any = None,
) -> Any:
    """P, L and U out of what `lu_factor` gives."""
    if LU_pivots.dtype is not dt.int32:
        raise RuntimeError(
            "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 dtype."
        )
    m, n = LU_data.shape[-2:]
    k, d = min(m, n), len(LU_data.shape)
    nothing = engine.full((0,), 0.0, LU_data.dtype, LU_data.device)
    p, low, up = nothing, nothing, nothing
    if unpack_data:
        left = look(movement.slice_, LU_data, (d - 1, 0, k, 1))
        one = eye(m, k, dtype=LU_data.dtype)
        low = tril(left, -1) + one
        up = triu(look(movement.slice_, LU_data, (d - 2, 0, k, 1)))
    if unpack_pivots:
        p = _permutation(_order_of(LU_pivots, m), LU_data)
    return lu_unpack_result(p, low, up)


@linalg("lu_solve")
def linalg_lu_solve(
    LU: Tensor,
    pivots: Tensor,
    B: Tensor,
    *,
    left: bool = True,
    adjoint: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """X of `A X = B` from `lu_factor(A)`; of the transpose of A with `adjoint`."""
    need_matrices(LU, "linalg.lu_solve", "LU")
    need_matrices(B, "linalg.lu_solve", "B", square=False)
    same_kind(LU, B, "linalg.lu_solve")
    p, _, _ = lu_unpack(LU, pivots, unpack_data=False)
    a, b = (LU, B) if left else (LU, turned(B))
    if adjoint is left:  # of the transpose: U^T L^T P^T X = B
        half = triangular(turned(a), b, False, True, False)
        made = product(p, triangular(turned(a), half, True, True, True))
    else:
        half = triangular(a, product(turned(p), b), False, True, True)
        made = triangular(a, half, True, True, False)
    made = column_major(made)
    return give(made if left else turned(made), out, "linalg.lu_solve")


@both("lu_solve")
def lu_solve(b: Tensor, LU_data: Tensor, LU_pivots: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The older `linalg.lu_solve`."""
    return linalg_lu_solve(LU_data, LU_pivots, b, out=out)  # type: ignore[no-any-return]


let_write("lu_unpack", "qr")
let_write("lu", "lu_factor", "lu_factor_ex", "qr", table=LINALG)
