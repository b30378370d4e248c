"""Elementwise functions: special arguments, promotion, operators, in-place forms, refusals."""

import math

import numpy as np
import pytest

import rushlight as torch
from rushlight.tensor import math as family


def same(x, values, kind=None):
    np.testing.assert_allclose(x.numpy(), values, rtol=1e-6)
    assert kind is None or x.dtype is kind


def test_special_arguments():
    x, y = torch.tensor([7.0, -7.0]), torch.tensor([2.0, 2.0])
    same(torch.add(x, y, alpha=2), [11, -3])
    same(torch.sub(x, y, alpha=2), [3, -11])
    same(torch.div(x, y, rounding_mode="trunc"), [3, -3])
    same(torch.div(x, y, rounding_mode="floor"), [3, -4])
    same(torch.clamp(x, -1, 3), [3, -1])
    same(torch.lerp(x, y, 0.5), [4.5, -2.5])
    same(torch.addcmul(x, y, y, value=0.5), [9, -5])
    same(torch.where(x > 0, x, 0.0), [7, 0])


@pytest.mark.parametrize("p", [1, 2, 3, 0.5, -0.5, -1, -2, 2.5, 0])
def test_powers(p):
    values = np.array([0.5, 2.0, 3.0], np.float32)
    same(torch.tensor(values) ** p, values**p)
    x = torch.tensor(values, requires_grad=True)
    (x**p).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), p * values ** (p - 1.0), rtol=1e-5)


def test_integer_arithmetic_rounds_as_pythons():
    a, b = torch.tensor([7, -7, 7, -7]), torch.tensor([2, 2, -2, -2])
    assert (a // b).tolist() == [7 // 2, -7 // 2, 7 // -2, -7 // -2]
    assert (a % b).tolist() == [7 % 2, -7 % 2, 7 % -2, -7 % -2]
    assert a.fmod(b).tolist() == [1, -1, 1, -1]
    assert torch.div(a, b, rounding_mode="trunc").tolist() == [3, -3, -3, 3]
    assert (a / b).dtype is torch.float32
    with pytest.raises(RuntimeError, match="negative integer powers"):
        a**-1


def test_numbers_do_not_widen():
    assert (torch.ones(2) * 2.5).dtype is torch.float32
    assert (torch.ones(2, dtype=torch.int64) * 2.5).dtype is torch.float32
    assert (torch.ones(2, dtype=torch.int32) + 1).dtype is torch.int32
    assert (torch.ones(2, dtype=torch.uint8) + torch.tensor(5)).dtype is torch.uint8
    assert (torch.ones(2) + np.float64(1)).dtype is torch.float32
    assert (np.float32(2) * torch.ones(2)).tolist() == [2, 2]


def test_operators():
    x = torch.tensor([1, 2, 3])
    assert (2**x).tolist() == [2, 4, 8]
    assert (7 // x).tolist() == [7, 3, 2]
    assert (x & 1).tolist() == [1, 0, 1]
    assert (x << 1).tolist() == [2, 4, 6]
    assert (~torch.tensor([True, False])).tolist() == [False, True]
    assert abs(torch.tensor([-1.5])).tolist() == [1.5]
    assert (x == 2).tolist() == [False, True, False]
    assert (+x) is x


def test_in_place_forms_return_the_tensor():
    x = torch.tensor([1.0, 4.0])
    assert x.sqrt_() is x
    assert x.tolist() == [1, 2]
    x.add_(1, alpha=2).clamp_(max=3.5).mul_(2)
    assert x.tolist() == [6, 7]
    x **= 2
    x //= 5
    assert x.tolist() == [7, 9]
    i = torch.tensor([1, 2])
    with pytest.raises(RuntimeError, match="can't be cast"):
        i.mul_(1.5)
    with pytest.raises(RuntimeError, match="doesn't match the broadcast shape"):
        x.add_(torch.ones(3, 2))


def test_out():
    out = torch.empty(2)
    assert torch.exp(torch.zeros(2), out=out) is out
    assert out.tolist() == [1, 1]
    with pytest.raises(RuntimeError, match="can't be cast"):
        torch.add(torch.ones(2), 1, out=torch.zeros(2, dtype=torch.int64))
    with pytest.warns(UserWarning, match="was resized"):
        torch.exp(torch.zeros(3), out=out)
    assert out.tolist() == [1, 1, 1]


def test_refusals():
    k = torch.tensor([True, False])
    for bad in (lambda: -k, lambda: k - k, lambda: k - 1, lambda: k.relu()):
        with pytest.raises(RuntimeError):
            bad()
    with pytest.raises(TypeError, match=r"argument 'input' .* must be Tensor, not int"):
        torch.exp(3)
    with pytest.raises(TypeError, match=r"argument 'other' .* must be Tensor, not float"):
        torch.maximum(torch.ones(1), 2.0)
    with pytest.raises(RuntimeError, match=r"size of tensor a \(2\) must match"):
        torch.ones(2) + torch.ones(3)


def test_closeness():
    x = torch.tensor([1.0, math.nan])
    assert torch.isclose(x, x).tolist() == [True, False]
    assert torch.isclose(x, x, equal_nan=True).tolist() == [True, True]
    assert torch.allclose(torch.ones(2), torch.ones(2) + 1e-7)
    assert torch.equal(torch.ones(2), torch.ones(2))
    assert not torch.equal(torch.ones(2), torch.ones(3))


def test_every_installed_name_is_function_and_method():
    for name in family.UNARY.split() + family.BINARY.split():
        if name in family.FUNCTIONS:
            assert hasattr(torch.Tensor, name), name
            assert getattr(torch, name).__name__ == name


REFERENCES = {
    "sinh": np.sinh, "cosh": np.cosh, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "log10": np.log10, "exp2": np.exp2,
}  # fmt: skip


@pytest.mark.parametrize("name", REFERENCES)
def test_rows_of_this_layer_are_accurate(name):
    inside = {
        "asin": (-1, 1),
        "acos": (-1, 1),
        "atanh": (-0.999, 0.999),
        "acosh": (1, 50),
        "log10": (1e-3, 50),
    }
    low, high = inside.get(name, (-9, 9))
    a = np.concatenate([np.linspace(low, high, 301), np.geomspace(1e-12, 0.5, 40)])
    a = a[(a >= low) & (a <= high)]
    got = getattr(torch, name)(torch.tensor(a)).numpy()
    np.testing.assert_allclose(got, REFERENCES[name](a), rtol=1e-14, atol=1e-300)


@pytest.mark.parametrize("name", ["sign", "floor", "round", "trunc", "ceil"])
def test_gradients_of_steps_are_zero(name):
    x = torch.tensor([0.3, -1.2], requires_grad=True)
    y = getattr(torch, name)(x)
    assert y.requires_grad
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 0.0]


def test_a_bool_is_not_subtracted():
    for f in (lambda x: True - x, lambda x: x - True, lambda x: x.sub(True)):
        with pytest.raises(RuntimeError, match="with a bool tensor"):
            f(torch.ones(2))
