"""`torch.linalg` and the older names: shapes, layouts, results with names, errors, gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest

import rushlight as torch
from rushlight import linalg

A = torch.tensor([[4.0, 1.0, 0.5], [1.0, 3.0, -1.0], [0.5, -1.0, 2.0]], dtype=torch.float64)
T = torch.arange(10.0, dtype=torch.float64).reshape(5, 2).sin()


def close(x: torch.Tensor, y: torch.Tensor) -> bool:
    return np.allclose(x.detach().numpy(), y.detach().numpy(), atol=1e-12)


def test_inverse_solve_and_determinant() -> None:
    assert close(linalg.inv(A) @ A, torch.eye(3, dtype=torch.float64))
    assert A.inverse().stride() == (1, 3)
    b = torch.ones(3, dtype=torch.float64)
    assert close(A @ linalg.solve(A, b), b)
    assert close(linalg.solve(A, T[:3].mT.contiguous(), left=False) @ A, T[:3].mT)
    sign, size = torch.slogdet(A)
    assert close(sign * size.exp(), A.det())
    assert close(linalg.matrix_power(A, -2), linalg.inv(A @ A))
    assert close(linalg.multi_dot([T, T.mT, T]), T @ T.mT @ T)
    assert close(torch.matrix_exp(torch.zeros(2, 2)), torch.eye(2))


def test_decompositions() -> None:
    values, vectors = linalg.eigh(A)
    assert close(vectors @ values.diag() @ vectors.mT, A)
    found = linalg.svd(T, full_matrices=False)
    assert type(found).__name__ == "linalg_svd" and found.U.stride() == (1, 5)
    assert close(found.U * found.S @ found.Vh, T)
    u, s, v = torch.svd(T)
    assert close(u * s @ v.mT, T)
    q, r = linalg.qr(T)
    assert close(q @ r, T) and close(q.mT @ q, torch.eye(2, dtype=torch.float64))
    low = linalg.cholesky(A)
    assert close(low @ low.mT, A) and close(linalg.cholesky(A, upper=True), low.mT)
    assert close(torch.cholesky_inverse(low), A.inverse())
    p, low, up = linalg.lu(T)
    assert close(p @ low @ up, T)
    packed, pivots = linalg.lu_factor(A)
    for adjoint in (False, True):
        x = linalg.lu_solve(packed, pivots, A[:, :2], adjoint=adjoint)
        assert close((A.mT if adjoint else A) @ x, A[:, :2])
    assert close(torch.lu_unpack(packed, pivots)[0] @ torch.lu_unpack(packed, pivots)[1]
                 @ torch.lu_unpack(packed, pivots)[2], A)  # fmt: skip


def test_least_squares_and_rank() -> None:
    b = torch.ones(5, 1, dtype=torch.float64)
    found = linalg.lstsq(T, b)
    want, rest, rank, _ = np.linalg.lstsq(T.numpy(), b.numpy(), None)
    assert np.allclose(found.solution.numpy(), want) and np.allclose(found.residuals.numpy(), rest)
    assert int(found.rank) == rank == int(linalg.matrix_rank(T))
    assert int(linalg.matrix_rank(torch.ones(3, 3))) == 1
    assert close(linalg.pinv(T) @ T, torch.eye(2, dtype=torch.float64))
    assert close(linalg.pinv(A, hermitian=True), A.inverse())


@pytest.mark.parametrize("order", [None, "fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf])
def test_norms_of_matrices(order: object) -> None:
    want = np.linalg.norm(T.numpy(), order)
    assert linalg.norm(T, order).item() == pytest.approx(want)
    if order is not None:
        assert linalg.matrix_norm(T, order, keepdim=True).shape == (1, 1)
    if order != "nuc":
        assert linalg.cond(A, order).item() == pytest.approx(np.linalg.cond(A.numpy(), order))


@pytest.mark.parametrize("order", [0, 0.5, 1, 2, 3, math.inf, -math.inf])
def test_norms_of_vectors(order: float) -> None:
    v = torch.tensor([3.0, 0.0, -4.0], requires_grad=True)
    made = linalg.vector_norm(v, order)
    assert made.item() == pytest.approx(np.linalg.norm([3.0, 0.0, -4.0], order))
    made.backward()
    assert np.isfinite(v.grad.numpy()).all()
    assert torch.norm(T, "nuc").item() == pytest.approx(np.linalg.norm(T.numpy(), "nuc"))


def test_errors() -> None:
    with pytest.raises(linalg.LinAlgError, match="singular"):
        linalg.inv(torch.zeros(2, 2)).tolist()
    with pytest.raises(RuntimeError, match="batches of square matrices"):
        linalg.inv(T)
    with pytest.raises(RuntimeError, match="at least 2 dimensions"):
        linalg.det(T[0])
    with pytest.raises(RuntimeError, match="floating point"):
        linalg.qr(torch.ones(2, 2, dtype=torch.int64))
    with pytest.raises(linalg.LinAlgError, match="positive-definite"):
        linalg.cholesky(-A).tolist()
    assert int(linalg.cholesky_ex(-A).info) == 1


def test_gradient_reaches_the_leaves() -> None:
    x = A.clone().requires_grad_()
    loss = linalg.solve(x, T[:3]).sum() + linalg.cholesky(x).logdet() + x.det()
    loss.backward()
    assert x.grad.shape == (3, 3) and np.isfinite(x.grad.numpy()).all()
