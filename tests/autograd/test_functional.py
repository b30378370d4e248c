"""Jacobians, Hessians, and gradients against differences."""

import pytest

import rushlight as torch
from rushlight.autograd import functional, gradcheck, gradgradcheck


def test_jacobian():
    x = torch.tensor([1.0, 2.0])
    assert functional.jacobian(lambda v: v**2, x).tolist() == [[2, 0], [0, 4]]
    a, b = functional.jacobian(lambda u, v: u * v, (x, torch.tensor([3.0, 4.0])))
    assert a.tolist() == [[3, 0], [0, 4]]
    assert b.tolist() == [[1, 0], [0, 2]]


def test_hessian_and_products():
    x = torch.tensor([1.0, 2.0])

    def cubes(v):
        return (v**3).sum()

    assert functional.hessian(cubes, x).tolist() == [[6, 0], [0, 12]]
    value, product = functional.hvp(cubes, x, torch.tensor([1.0, 10.0]))
    assert (value.item(), product.tolist()) == (9, [6, 120])
    out, product = functional.vjp(lambda v: v * 2, x, torch.tensor([1.0, 5.0]))
    assert (out.tolist(), product.tolist()) == ([2, 4], [2, 10])


def test_gradcheck_confirms_and_refuses():
    x = torch.rand(2, 3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda v: v.sin() * v.exp(), x)
    assert gradgradcheck(lambda v: v.sin() * v.exp(), x)

    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, v):
            return v * 2

        @staticmethod
        def backward(ctx, g):
            return g * 3

    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        gradcheck(Wrong.apply, x)
    assert not gradcheck(Wrong.apply, x, raise_exception=False)
    with pytest.raises(ValueError, match="requires_grad=True"):
        gradcheck(lambda v: v, torch.ones(1))


def test_jvp() -> None:
    """The Jacobian times a vector, where outputs do and do not depend on the inputs."""
    import rushlight as torch

    x = torch.tensor([1.0, 2.0, 3.0])
    v = torch.tensor([1.0, -1.0, 0.5])
    whole = torch.autograd.functional.jacobian(lambda t: t.exp() * t.sum(), x)
    out, found = torch.autograd.functional.jvp(lambda t: t.exp() * t.sum(), x, v)
    assert torch.allclose(found, whole @ v, 1e-4) and not out.requires_grad
    linear = torch.autograd.functional.jvp(lambda t: (t * 2, t.sum()), x, v)[1]
    assert linear[0].tolist() == (v * 2).tolist() and linear[1].item() == 0.5
