"""Operators that a program adds."""

import numpy as np
import pytest

import rushlight as torch
from rushlight import Tensor, library


@pytest.fixture
def sine():
    @library.custom_op("tests::sine", mutates_args=())
    def sine(x: Tensor, scale: float = 1.0) -> Tensor:
        return torch.from_numpy(np.sin(x.numpy()) * np.float32(scale))

    return sine


def test_called_and_found_by_name(sine) -> None:
    x = torch.arange(3.0)
    want = np.sin(np.arange(3, dtype=np.float32)) * 2
    assert np.allclose(sine(x, 2.0).numpy(), want)
    assert np.allclose(torch.ops.tests.sine(x, scale=2.0).numpy(), want)
    assert np.allclose(torch.ops.tests.sine.default(x, 2.0).numpy(), want)
    assert library.infer_schema(sine.__wrapped__) == "(Tensor x, float scale=1.0) -> Tensor"
    assert library.opcheck(sine, (x,)) == {
        "test_schema": "SUCCESS", "test_autograd_registration": "SUCCESS",
    }  # fmt: skip
    with pytest.raises(AttributeError, match="custom_op"):
        torch.ops.tests.nothing(x)


def test_gradients(sine) -> None:
    x = torch.arange(3.0, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"no autograd formula was registered"):
        sine(x).sum().backward()

    def setup(ctx, inputs, output) -> None:
        x, ctx.scale = inputs
        ctx.save_for_backward(x)

    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * x.cos() * ctx.scale, None

    library.register_autograd("tests::sine", backward, setup_context=setup)
    (sine(x, scale=2.0) * 3).sum().backward()
    assert np.allclose(x.grad.numpy(), 6 * np.cos(np.arange(3)), atol=1e-6)


def test_lists_of_tensors_and_several_results() -> None:
    @library.custom_op("tests::pairs", mutates_args=())
    def pairs(xs: list[Tensor]) -> tuple[Tensor, Tensor]:
        return xs[0] * 2, xs[1] * 3

    pairs.register_autograd(lambda ctx, g, h: [g * 2, h * 3])
    a, b = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    x, y = pairs([a, b])
    (x.sum() + y.sum() * 2).backward()
    assert a.grad.tolist() == [2, 2] and b.grad.tolist() == [6, 6]


def test_operators_that_write() -> None:
    @library.custom_op("tests::more_", mutates_args={"x"})
    def more_(x: Tensor, n: int) -> None:
        x.add_(n)

    x = torch.zeros(2)
    more_(x, 3)
    assert x.tolist() == [3, 3]


def test_defined_by_signature() -> None:
    made = library.Library("tests_two", "DEF")
    assert made.define("twice(Tensor x) -> Tensor") == "twice"
    with pytest.raises(NotImplementedError, match="kernel"):
        torch.ops.tests_two.twice(torch.ones(2))
    made.impl("twice", lambda x: x * 2, "CPU")
    assert torch.ops.tests_two.twice(torch.ones(2)).tolist() == [2, 2]


def test_names_and_types_are_checked() -> None:
    with pytest.raises(ValueError, match="namespace::name"):
        library.custom_op("plain", lambda x: x, mutates_args=())
    with pytest.raises(ValueError, match="type annotation"):
        library.custom_op("tests::untyped", lambda x: x, mutates_args=())
    with pytest.raises(RuntimeError, match="does not exist"):
        library.register_autograd("tests::absent", lambda ctx, g: g)


def test_aten() -> None:
    one = torch.ones(2)
    assert torch.ops.aten.add.Tensor(one, one).tolist() == [2, 2]
    with pytest.raises(NotImplementedError, match=r"built for PyTorch"):
        torch.ops.load_library("x.so")
