"""Functions with a gradient of their own."""

import pytest

import rushlight as torch
from rushlight.autograd import Function
from rushlight.autograd.function import once_differentiable


class Square(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 2 * x * g


class Scale(Function):
    @staticmethod
    def forward(x, by):
        return x * by

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.by = inputs[1]

    @staticmethod
    def backward(ctx, g):
        assert ctx.needs_input_grad == (True, False)
        return g * ctx.by, None


def test_a_gradient_by_hand():
    x = torch.tensor([1.0, 3.0], requires_grad=True)
    y = Square.apply(x)
    assert y.tolist() == [1, 9]
    assert y.requires_grad and not y.is_leaf
    assert type(y.grad_fn).__name__ == "SquareBackward"
    (y * torch.tensor([1.0, 10.0])).sum().backward()
    assert x.grad.tolist() == [2, 60]


def test_in_the_middle_of_a_graph_again_and_again():
    x = torch.tensor([2.0], requires_grad=True)
    for _ in range(4):
        x.grad = None
        (Square.apply(x * 3) + x).sum().backward()
        assert x.grad.tolist() == [37]


def test_setup_context_and_arguments_that_are_no_tensors():
    x = torch.ones(2, requires_grad=True)
    Scale.apply(x, 5.0).sum().backward()
    assert x.grad.tolist() == [5, 5]


def test_second_derivative_goes_through_backward():
    x = torch.tensor(3.0, requires_grad=True)
    (g,) = torch.autograd.grad(Square.apply(x), x, create_graph=True)
    (h,) = torch.autograd.grad(g, x)
    assert (g.item(), h.item()) == (6, 2)


def test_without_history():
    with torch.no_grad():
        assert not Square.apply(torch.ones(1, requires_grad=True)).requires_grad
    assert not Square.apply(torch.ones(1)).requires_grad


class Split(Function):
    @staticmethod
    def forward(ctx, x):
        places = x.argmax()
        ctx.mark_non_differentiable(places)
        return x * 2, x * 3, places

    @staticmethod
    def backward(ctx, g, h, of_places):
        assert of_places.shape == () and of_places.dtype is torch.int64
        return 2 * g + 3 * h


def test_several_results():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    a, b, i = Split.apply(x)
    assert not i.requires_grad
    b.sum().backward()
    assert x.grad.tolist() == [3, 3]
    x.grad = None
    a, b, _ = Split.apply(x)
    (a.sum() + b.sum()).backward()
    assert x.grad.tolist() == [5, 5]


class Wrong(Function):
    @staticmethod
    def forward(ctx, x, y):
        return x + y

    @staticmethod
    def backward(ctx, g):
        return g


class Misshapen(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 1

    @staticmethod
    def backward(ctx, g):
        return torch.ones(5)


def test_wrong_backwards_are_named():
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"WrongBackward .*expected 2, got 1"):
        Wrong.apply(x, x).sum().backward()
    with pytest.raises(RuntimeError, match=r"MisshapenBackward .*invalid gradient at index 0"):
        Misshapen.apply(x).sum().backward()
    with pytest.warns(DeprecationWarning, match="Square'> should not be instantiated"):
        made = Square()
    with pytest.raises(RuntimeError, match="Legacy autograd function"):
        made(x)


def test_once_differentiable_runs_without_history():
    modes = []

    class Once(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        @once_differentiable
        def backward(ctx, g):
            modes.append(torch.is_grad_enabled())
            return g * 2

    x = torch.ones(1, requires_grad=True)
    torch.autograd.grad(Once.apply(x), x, create_graph=True)
    assert modes == [False]


def test_an_input_handed_through():
    class Same(Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 7

    x = torch.ones(2, requires_grad=True)
    y = Same.apply(x * 1)
    y.sum().backward()
    assert x.grad.tolist() == [7, 7]
