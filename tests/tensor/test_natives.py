"""Native normalisations, eigenvalues, low rank, DLPack, and functions that write."""

import numpy as np
import pytest

import rushlight as torch


def test_eigenvalues():
    torch.manual_seed(0)
    a = torch.randn(4, 4, dtype=torch.float64)
    w, v = torch.linalg.eig(a)
    assert w.dtype is v.dtype is torch.complex128
    np.testing.assert_allclose((a.to(torch.complex128) @ v).numpy(), (v * w).numpy(), 1e-10, 1e-12)
    wanted = np.sort_complex(np.linalg.eigvals(a.numpy()))
    np.testing.assert_allclose(np.sort_complex(torch.linalg.eigvals(a).numpy()), wanted, 1e-10)
    a.requires_grad_()
    (torch.linalg.eigvals(a) ** 2).real.sum().backward()  # the trace of a @ a
    np.testing.assert_allclose(a.grad.numpy(), 2 * a.detach().numpy().T, 1e-9, 1e-10)


def test_low_rank():
    torch.manual_seed(0)
    a = torch.randn(12, 3) @ torch.randn(3, 8)
    u, s, v = torch.svd_lowrank(a, 4)
    np.testing.assert_allclose((u * s @ v.T).numpy(), a.numpy(), 1e-4, 1e-4)
    u, s, v = torch.pca_lowrank(a, 3)
    np.testing.assert_allclose((u * s @ v.T).numpy(), (a - a.mean(0)).numpy(), 1e-4, 1e-4)


def test_normalisations():
    x = torch.randn(4, 6, 3)
    made, mean, _ = torch.native_layer_norm(x, [3], None, None, 1e-5)
    wanted = torch.nn.functional.layer_norm(x, (3,))
    np.testing.assert_allclose(made.numpy(), wanted.numpy(), 1e-4, 1e-5)
    assert mean.shape == (4, 6, 1)
    made, mean, _ = torch.native_group_norm(x, None, None, 4, 6, 3, 2, 1e-5)
    wanted = torch.nn.functional.group_norm(x, 2)
    np.testing.assert_allclose(made.numpy(), wanted.numpy(), 1e-4, 1e-5)
    assert mean.shape == (4, 2)


def test_padding_and_diagonals():
    x = torch.arange(6.0).reshape(2, 3)
    assert torch.constant_pad_nd(x, (1, -1), 7).tolist() == [[7, 0, 1], [7, 3, 4]]
    assert torch.zeros(2, 2).fill_diagonal_(3).tolist() == [[3, 0], [0, 3]]
    tall = torch.zeros(7, 3).fill_diagonal_(1, wrap=True)
    wanted = np.zeros((7, 3))
    np.fill_diagonal(wanted, 1, wrap=True)
    np.testing.assert_array_equal(tall.numpy(), wanted)
    assert torch.ones(2).map_(torch.tensor([2.0, 3.0]), lambda a, b: a + b).tolist() == [3, 4]
    assert torch.empty_permuted((2, 3, 4), (0, 2, 1)).stride() == (12, 1, 3)


def test_dlpack():
    a = np.arange(3.0)
    x = torch.from_dlpack(a)
    assert x.tolist() == [0, 1, 2]
    assert np.from_dlpack(torch.ones(2)).tolist() == [1, 1]
    with pytest.raises(BufferError, match="require gradient"):
        torch.ones(2, requires_grad=True).__dlpack__()
