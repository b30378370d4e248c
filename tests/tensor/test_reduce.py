# ruff: noqa: E501 - tables of cases
"""Reductions, orders and products against NumPy."""

import numpy as np
import pytest

import rushlight as torch

RNG = np.random.default_rng(5)
A = RNG.standard_normal((3, 4, 5)).astype(np.float32)


def x():
    return torch.tensor(A)


@pytest.mark.parametrize("dim", [None, 0, -1, (0, 2), (1,)])
@pytest.mark.parametrize("keepdim", [False, True])
def test_sums_and_moments(dim, keepdim):
    for name, reference, more in (("sum", np.sum, {}), ("mean", np.mean, {}),
                                  ("var", np.var, {"ddof": 1}), ("std", np.std, {"ddof": 1})):  # fmt: skip
        got = getattr(x(), name)(dim=dim, keepdim=keepdim)
        want = reference(A, axis=dim, keepdims=keepdim if dim is not None else False, **more)
        assert got.shape == (want.shape if dim is not None or not keepdim else (1, 1, 1))
        np.testing.assert_allclose(got.numpy().reshape(want.shape), want, rtol=2e-5, atol=1e-6)


def test_types_of_sums():
    assert torch.ones(2, dtype=torch.int32).sum().dtype is torch.int64
    assert torch.tensor([True, True]).sum().item() == 2
    assert torch.ones(2).sum(dtype=torch.float64).dtype is torch.float64
    with pytest.raises(RuntimeError, match="could not infer output dtype"):
        torch.arange(3).mean()
    with pytest.raises(IndexError, match="Dimension out of range"):
        x().sum(7)


def test_three_forms_of_max():
    assert x().max().item() == A.max()
    values, indices = x().max(1)
    np.testing.assert_array_equal(values.numpy(), A.max(1))
    np.testing.assert_array_equal(indices.numpy(), A.argmax(1))
    assert x().max(dim=1, keepdim=True).values.shape == (3, 1, 5)
    np.testing.assert_array_equal(torch.max(x(), -x()).numpy(), np.abs(A))
    assert "torch.return_types.max(" in repr(x().max(1))


def test_gradient_of_max_goes_to_one_place():
    v = torch.tensor([[1.0, 3.0, 3.0]], requires_grad=True)
    v.max(1).values.sum().backward()
    assert v.grad.tolist() == [[0, 1, 0]]
    w = torch.tensor([1.0, 3.0, 3.0], requires_grad=True)
    w.max().backward()
    assert w.grad.tolist() == [0, 0.5, 0.5]


def test_sorts():
    values, indices = x().sort(1, descending=True)
    np.testing.assert_array_equal(values.numpy(), -np.sort(-A, 1))
    np.testing.assert_array_equal(np.take_along_axis(A, indices.numpy(), 1), values.numpy())
    assert torch.tensor([2, 1, 2, 1]).argsort(stable=True).tolist() == [1, 3, 0, 2]
    assert torch.tensor([2, 1, 2, 1]).argsort(descending=True).tolist() == [0, 2, 1, 3]
    top = torch.tensor([1.0, 9.0, 5.0]).topk(2)
    assert (top.values.tolist(), top.indices.tolist()) == ([9, 5], [1, 2])
    assert torch.tensor([3.0, 1.0, 2.0, 4.0]).median().item() == 2
    np.testing.assert_allclose(x().quantile(0.3, 2).numpy(), np.quantile(A, 0.3, 2), rtol=1e-5)


def test_running_sums_have_gradients():
    v = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    assert v.cumsum(0).tolist() == [1, 3, 6]
    (v.cumsum(0) * torch.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert v.grad.tolist() == [111, 110, 100]
    assert v.detach().cumprod(0).tolist() == [1, 2, 6]


def test_normalisation():
    np.testing.assert_allclose(x().softmax(2).sum(2).numpy(), np.ones((3, 4)), rtol=1e-6)
    np.testing.assert_allclose(
        x().log_softmax(0).numpy(), A - np.log(np.exp(A).sum(0)), rtol=1e-5, atol=1e-6
    )
    assert torch.tensor([1000.0, 1000.0]).logsumexp(0).item() == pytest.approx(1000.6931)
    assert torch.tensor([3.0, 4.0]).norm().item() == 5
    assert x().norm(1).item() == pytest.approx(np.abs(A).sum(), rel=1e-6)


def test_norm_at_zero_has_slope_zero():
    v = torch.zeros(3, requires_grad=True)
    v.norm().backward()
    assert v.grad.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("text", "shapes"),
    [("ij,jk->ik", [(3, 4), (4, 5)]), ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]), ("ij->ji", [(3, 4)]),
     ("ij->", [(3, 4)]), ("i,j->ij", [(3,), (4,)]), ("ii->i", [(3, 3)]), ("ii", [(3, 3)]),
     ("abc,cd,de->abe", [(2, 3, 4), (4, 5), (5, 2)]), ("ij,ij->i", [(3, 4), (3, 4)]), ("bhqd,bhkd->bhqk", [(2, 2, 3, 4), (2, 2, 5, 4)])],
)  # fmt: skip
def test_einsum(text, shapes):
    arrays = [RNG.standard_normal(s) for s in shapes]
    got = torch.einsum(text, *map(torch.tensor, arrays))
    np.testing.assert_allclose(got.numpy(), np.einsum(text, *arrays), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("a", "b"), [((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((4, 2, 3), (3, 5)), ((4, 2, 3), (4, 3, 5)), ((2, 1, 2, 3), (5, 3, 4)), ((4, 2, 3), (3,))]
)  # fmt: skip
def test_matmul(a, b):
    left, right = RNG.standard_normal(a), RNG.standard_normal(b)
    got = torch.tensor(left) @ torch.tensor(right)
    np.testing.assert_allclose(got.numpy(), left @ right, rtol=1e-12)


def test_matmul_errors():
    with pytest.raises(RuntimeError, match="mat1 and mat2 shapes cannot be multiplied"):
        torch.ones(2, 3) @ torch.ones(2, 3)
    with pytest.raises(RuntimeError, match="at least 1D"):
        torch.ones(()) @ torch.ones(2)
    with pytest.raises(RuntimeError, match="same dtype"):
        torch.ones(2, 2) @ torch.ones(2, 2, dtype=torch.float64)
    with pytest.raises(RuntimeError, match="batch1 must be a 3D tensor"):
        torch.bmm(torch.ones(2, 2), torch.ones(2, 2, 2))


def test_counted():
    v = torch.tensor([3, 1, 1, 0])
    assert v.unique().tolist() == [0, 1, 3]
    assert [t.tolist() for t in v.unique(return_inverse=True, return_counts=True)] == [
        [0, 1, 3], [2, 1, 1, 0], [1, 2, 1]]  # fmt: skip
    assert v.bincount().tolist() == [1, 2, 0, 1]
    assert torch.tensor([1, 1, 2]).unique_consecutive(return_counts=True)[1].tolist() == [2, 1]


@pytest.mark.parametrize("name", ["amax", "amin"])
def test_extremes_of_an_empty_dimension(name):
    with pytest.raises(IndexError, match="reduction dim 0 to have non-zero size"):
        getattr(torch.zeros(0), name)(0)
    with pytest.raises(RuntimeError, match="to be specified"):
        getattr(torch.zeros(0), name)()


@pytest.mark.parametrize("keepdim", [False, True])
def test_short_calls_equal_long_ones(keepdim):
    x = torch.arange(24.0).reshape(2, 3, 4)
    for name in ("sum", "mean"):
        f = getattr(torch, name)
        assert torch.equal(f(x), f(x, dim=(0, 1, 2)))
        for d in range(3):
            long = f(x, dim=(d - 3,), keepdim=keepdim)
            assert torch.equal(f(x, d, keepdim), long)
            assert torch.equal(getattr(x, name)(axis=d, keepdims=keepdim), long)
    for d in range(3):
        assert torch.equal(x.argmax(d, keepdim), x.argmax(d - 3, keepdim=keepdim))


@pytest.mark.parametrize("shape", [(), (1,), (7,), (40,), (3, 1), (1, 3), (40, 3), (3, 40)])
def test_a_sum_of_zeros_has_no_sign(shape):
    """First runs, plans and one at a time: -0.0 + -0.0 is -0.0, but a sum is 0.0, as PyTorch's."""
    for dim in (None, *range(len(shape))):
        for _ in range(4):
            minus = torch.zeros(shape) * -1.0
            found = [f(minus * 2.0, dim) for f in (torch.sum, torch.mean, torch.nansum)]
            assert not any(torch.signbit(t).any() for t in found)
            single = [f(minus, dim) for f in (torch.sum, torch.mean)]
            assert not any(np.signbit(t.numpy()).any() for t in single)


def test_a_loss_of_nothing_is_no_minus():
    loss = torch.nn.functional.cross_entropy(torch.tensor([[200.0, -200.0]]), torch.tensor([0]))
    assert str(loss) == "tensor(0.)"


def test_a_largest_number_with_nan_is_nan():
    x = torch.arange(100.0).reshape(2, 50)
    x[0, 3] = float("nan")
    for _ in range(4):
        for f in (torch.amax, torch.amin):
            found = f(x * 1.0, 1)
            assert found.isnan().tolist() == [True, False]
            assert f(x * 1.0, 0).isnan().sum() == 1
        assert (torch.amax(x, 1)[1], torch.amin(x, 1)[1]) == (99.0, 50.0)
