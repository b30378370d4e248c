"""Dual numbers: tangents through operations, writes, and beside backward passes."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight as torch

fw = torch.autograd.forward_ad


def duals() -> tuple[Any, Any]:
    return torch.tensor([0.5, 1.0, 2.0]), torch.tensor([1.0, -1.0, 0.5])


def test_tangents() -> None:
    p, t = duals()
    with fw.dual_level():
        x = fw.make_dual(p, t)
        y = fw.unpack_dual(x.sin() * x)
        assert isinstance(y, fw.UnpackedDualTensor)
        want = (p.cos() * p + p.sin()) * t
        assert torch.allclose(y.tangent, want) and torch.allclose(y.primal, p.sin() * p)
        assert not y.tangent.requires_grad and not y.primal.requires_grad
        assert torch.equal(fw.unpack_dual(x).tangent, t)
        assert fw.unpack_dual(p).tangent is None
        assert fw.unpack_dual(x.detach()).tangent is None
        assert fw.unpack_dual(x.round()).tangent.tolist() == [0, 0, 0]
        z = x * 1
        z[0] = 5.0
        z.mul_(x)
        assert torch.allclose(fw.unpack_dual(z).tangent, torch.tensor([5.0, -2.0, 2.0]))
    assert fw.unpack_dual(y.primal).tangent is None


def test_a_tangent_can_be_differentiated() -> None:
    p, t = duals()
    w = torch.tensor([3.0, 4.0, 5.0], requires_grad=True)
    with fw.dual_level():
        tangent = fw.unpack_dual((fw.make_dual(p, t) * w**2).sum()).tangent
    tangent.backward()
    assert torch.equal(w.grad, 2 * w.detach() * t)


def test_errors() -> None:
    p, t = duals()
    with pytest.raises(RuntimeError, match="no level exists"):
        fw.make_dual(p, t)
    with fw.dual_level():
        with pytest.raises(RuntimeError, match="Nested forward mode"):
            fw.enter_dual_level()
        with pytest.raises(ValueError, match="Expected primal to be floating point"):
            fw.make_dual(torch.tensor([1]), t)
        with pytest.raises(RuntimeError, match="different size"):
            fw.make_dual(p, t[:2])
        with torch.no_grad(), pytest.raises(RuntimeError, match="make_dual"):
            fw.make_dual(p, t)
    with pytest.raises(RuntimeError, match="exit a forward AD level"):
        fw.exit_dual_level()


class Once(torch.autograd.Function):
    """A square whose derivative has none."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: Any) -> Any:
        return g * 2 * ctx.saved_tensors[0]


def test_what_is_differentiable_once_says_so() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    Once.apply(x).sum().backward()
    assert x.grad.tolist() == [2, 4]
    (g,) = torch.autograd.grad((Once.apply(x) ** 2).sum(), x, create_graph=True)
    assert g.requires_grad and g.tolist() == [4, 32]
    with pytest.raises(RuntimeError, match="marked with @once_differentiable"):
        g.sum().backward()
    with fw.dual_level(), pytest.raises(RuntimeError, match="@once_differentiable"):
        fw.unpack_dual(Once.apply(fw.make_dual(*duals())))


def test_gradcheck_looks_forward_too() -> None:
    x = torch.randn(3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a: (a * a).sin(), x, check_forward_ad=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        torch.autograd.gradcheck(Once.apply, x, check_forward_ad=True)
