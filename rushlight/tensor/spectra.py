"""Eigenvalues of any matrix, and the few largest singular values by random projections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight import engine
from rushlight.engine import Tensor
from rushlight.graph.ops import elementwise as ew
from rushlight.graph.ops import spectra as rows
from rushlight.graph.ops.matrices import eigh_sizes
from rushlight.tensor import shape as sh
from rushlight.tensor.complexes import conj
from rushlight.tensor.factors import linalg_qr
from rushlight.tensor.install import (
    function,
    give,
    let_write,
    need_tensor,
    result_type,
)
from rushlight.tensor.linalg_basic import product
from rushlight.tensor.matrices import LINALG, linalg, linalg_svd, need_matrices, parts_of
from rushlight.tensor.random import randn
from rushlight.tensor.reduce import mean

apply: Callable[..., Tensor] = engine.apply

eig_result = result_type("linalg_eig", "eigenvalues eigenvectors")


@linalg("eig")
def linalg_eig(A: Tensor, *, out: Any = None) -> Any:
    """Eigenvalues and eigenvectors (columns of norm 1) of square matrices: complex."""
    need_matrices(A, "linalg.eig")
    packed = apply(rows.eig, A)
    return eig_result(*parts_of(packed, eigh_sizes(tuple(A.shape[-2:]), None)))


@linalg("eigvals")
def linalg_eigvals(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Eigenvalues of square matrices: complex."""
    need_matrices(A, "linalg.eigvals")
    return give(linalg_eig(A).eigenvalues, out, "linalg.eigvals")


# ---------------------------------------------------------------- low rank
def _turned(x: Tensor) -> Tensor:
    return conj(sh.transpose(x, -2, -1))


def _basis(a: Tensor, q: int, niter: int) -> Tensor:
    """Orthonormal columns that span most of what `a` maps to: algorithm 4.4 of Halko and others."""
    r = randn(a.shape[-1], q, dtype=a.dtype, device=a.device)
    q_part = linalg_qr(product(a, r))[0]
    for _ in range(niter):
        back = linalg_qr(product(_turned(a), q_part))[0]
        q_part = linalg_qr(product(a, back))[0]
    return q_part  # type: ignore[no-any-return]


@function()
def svd_lowrank(
    A: Tensor, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """U, S, V of the `q` largest singular values, nearly: `A - M = U diag(S) V^T`."""
    need_tensor(A, "svd_lowrank", "A")
    rank = 6 if q is None else q
    m, n = A.shape[-2:]
    x = A if M is None else apply(ew.sub, A, M)
    turned = m < n or n > rank  # which of the two is small
    if turned:
        x = _turned(x)
    basis = _basis(x, rank, 2 if niter is None else niter)
    u, s, vh = linalg_svd(product(_turned(basis), x), False)
    left, right = product(basis, u), _turned(vh)
    return (right, s, left) if turned else (left, s, right)


@function()
def pca_lowrank(
    A: Tensor, q: int | None = None, center: bool = True, niter: int = 2
) -> tuple[Tensor, Tensor, Tensor]:
    """`svd_lowrank` of rows less their mean: the principal components are V's columns."""
    need_tensor(A, "pca_lowrank", "A")
    m, n = A.shape[-2:]
    rank = min(6, m, n) if q is None else q
    if not 0 <= rank <= min(m, n):
        raise ValueError(
            f"q(={rank}) must be non-negative integer and not greater than min(m, n)={min(m, n)}"
        )
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    x = apply(ew.sub, A, mean(A, -2, True)) if center else A
    return svd_lowrank(x, rank, niter)


let_write("eig", table=LINALG)
