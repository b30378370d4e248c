"""Complex numbers: arithmetic against NumPy, gradients against differences, parts, printing."""

import math

import numpy as np
import pytest

import rushlight as torch

RNG = np.random.default_rng(3)
A, B = (RNG.standard_normal((4, 3)) + 1j * RNG.standard_normal((4, 3)) for _ in range(2))


def pair(kind=torch.complex128):
    return torch.tensor(A.tolist(), dtype=kind), torch.tensor(B.tolist(), dtype=kind)


UNARY = {
    "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "sin": np.sin, "cos": np.cos, "tan": np.tan,
    "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "asin": np.arcsin, "acos": np.arccos,
    "atan": np.arctan, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
    "log1p": np.log1p, "expm1": np.expm1, "log2": np.log2, "log10": np.log10,
    "reciprocal": np.reciprocal, "square": np.square, "abs": np.abs, "angle": np.angle,
    "conj": np.conj, "sgn": lambda z: z / np.abs(z), "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "rsqrt": lambda z: 1 / np.sqrt(z), "exp2": np.exp2,
}  # fmt: skip


@pytest.mark.parametrize("name", UNARY)
def test_functions(name):
    wide = np.concatenate([A, 30 * A, 1e-6 * A])
    if name in ("exp", "sinh", "cosh", "sin", "cos", "expm1", "exp2"):
        wide = np.concatenate([A, 3 * A, 1e-6 * A])
    x = torch.tensor(wide.tolist(), dtype=torch.complex128)
    wanted = UNARY[name](wide)
    np.testing.assert_allclose(getattr(x, name)().numpy(), wanted, 1e-11, 1e-13)
    single = getattr(x.to(torch.complex64), name)().numpy()
    np.testing.assert_allclose(single, wanted, 1e-4, 1e-5)


@pytest.mark.parametrize("z", [3 + 4j, 1e300 + 1e300j, 1e-300 - 2e-300j, 0, -5j, 2.5])
def test_quotients_and_moduli_do_not_overflow(z):
    x = torch.tensor(z, dtype=torch.complex128)
    assert math.isclose(abs(x).item(), abs(z), rel_tol=1e-14)
    if z:
        assert abs((x / x).item() - 1) < 1e-14


def test_arithmetic():
    x, y = pair()
    for f in (lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, lambda a, b: a / b):
        np.testing.assert_allclose(f(x, y).numpy(), f(A, B), 1e-13)
    np.testing.assert_allclose((x**y).numpy(), A**B, 1e-12)
    np.testing.assert_allclose(((1 + 2j) / x).numpy(), (1 + 2j) / A, 1e-13)
    np.testing.assert_allclose((x @ y.T).numpy(), A @ B.T, 1e-13)
    np.testing.assert_allclose((x @ y.mH).numpy(), A @ B.conj().T, 1e-13)
    np.testing.assert_allclose(x.sum(0).numpy(), A.sum(0), 1e-13)
    np.testing.assert_allclose(x.prod(1).numpy(), A.prod(1), 1e-13)
    assert torch.tensor([0j]).pow(0).item() == 1


def test_types():
    x = torch.ones(2)
    assert (x * 1j).dtype is torch.complex64
    assert (x.double() * 1j).dtype is torch.complex128
    assert (x.double() * (0.1 + 0.1j))[0].item() == 0.1 + 0.1j
    assert (torch.ones(2, dtype=torch.int64) + 1j).dtype is torch.complex64
    assert torch.tensor([1 + 1j]).abs().dtype is torch.float32
    with pytest.raises(NotImplementedError, match="ComplexFloat"):
        torch.lt(torch.tensor([1j]), torch.tensor([2j]))
    with pytest.raises(RuntimeError, match="can't be cast"):
        x.add_(1j)


def test_parts():
    x, _ = pair()
    np.testing.assert_array_equal(torch.view_as_real(x).numpy()[..., 1], A.imag)
    assert torch.view_as_complex(torch.view_as_real(x)).equal(x)
    x.real = 2.0
    x.imag[0] = 7.0  # a part is a copy
    x.imag = x.imag * 0 + 3
    assert (x == 2 + 3j).all()
    assert torch.polar(torch.tensor(2.0), torch.tensor(0.0)).item() == 2
    assert not torch.tensor([1.0]).is_complex()
    with pytest.raises(RuntimeError, match="imag is not implemented"):
        torch.ones(2).imag


def test_print():
    assert repr(torch.tensor([1 + 2j, -0.5j])) == "tensor([1.+2.0000j, -0.-0.5000j])"
    assert repr(torch.tensor(1j, dtype=torch.complex128)) == (
        "tensor(0.+1.j, dtype=torch.complex128)"
    )


GRADIENTS = [
    lambda z: (z * z.conj()).real.sum(),
    lambda z: z.abs().sum(),
    lambda z: z.angle().sum(),
    lambda z: (z.exp() * (0.3 - 0.2j)).imag.sum(),
    lambda z: (z @ z.mH).abs().sum(),
    lambda z: (z / (z + 3)).real.sum(),
    lambda z: z.sgn().real.sum(),
    lambda z: torch.view_as_real(z)[..., 1].square().sum(),
    lambda z: torch.polar(z.real.abs(), z.imag).real.sum(),
    lambda z: z.log().abs().prod(),
    lambda z: torch.cat([z, z.tanh()]).std(),
    lambda z: z.pow(2.5).real.mean() + z.norm(),
]


@pytest.mark.parametrize("f", GRADIENTS)
def test_gradients(f):
    """df/d(re) + i df/d(im), by differences."""
    few = A[:2, :2]
    x = torch.tensor(few.tolist(), dtype=torch.complex128, requires_grad=True)
    f(x).backward()
    wanted = np.zeros_like(few)
    for at in np.ndindex(*few.shape):
        for unit in (1, 1j):
            high, low = few.copy(), few.copy()
            high[at] += 1e-6 * unit
            low[at] -= 1e-6 * unit
            values = [
                f(torch.tensor(v.tolist(), dtype=torch.complex128)).item() for v in (high, low)
            ]
            wanted[at] += unit * (values[0] - values[1]) / 2e-6
    np.testing.assert_allclose(x.grad.numpy(), wanted, 1e-5, 1e-6)


def test_real_leaves_get_real_gradients():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    ((x * (1 + 2j)).abs() ** 2).sum().backward()
    assert x.grad.tolist() == pytest.approx([10.0, 20.0])


def test_streams():
    """Two real draws for each number; the variance is 1 together."""
    torch.manual_seed(0)
    z = torch.randn(3, dtype=torch.complex64)
    torch.manual_seed(0)
    x = torch.randn(6) * math.sqrt(0.5)
    np.testing.assert_allclose(torch.view_as_real(z).reshape(-1).numpy(), x.numpy(), 1e-6)
