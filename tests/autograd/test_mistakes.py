"""What common mistakes with gradients say: PyTorch's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import rushlight as torch


def leaf() -> Any:
    return torch.tensor([1.0, 2.0], requires_grad=True)


def twice() -> None:
    y = (leaf() ** 2).sum()
    y.backward()
    y.backward()


def hooked(answer: Any) -> None:
    z = leaf() * 2
    z.register_hook(lambda g: answer)
    z.sum().backward()


def assigned(g: Any) -> None:
    leaf().grad = g


MISTAKES: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (twice, RuntimeError, "Trying to backward through the graph a second time"),
    (
        lambda: leaf().add_(1),
        RuntimeError,
        "a leaf Variable that requires grad is being used in an in-place operation.",
    ),
    (
        lambda: leaf()[:1].add_(1),
        RuntimeError,
        "a view of a leaf Variable that requires grad is being used in an in-place operation.",
    ),
    (
        lambda: torch.ones(2).sum().backward(),
        RuntimeError,
        "element 0 of tensors does not require grad and does not have a grad_fn",
    ),
    (
        lambda: (leaf() * 2).backward(),
        RuntimeError,
        "grad can be implicitly created only for scalar outputs",
    ),
    (
        lambda: (leaf() * 2).backward(torch.ones(3)),
        RuntimeError,
        "Mismatch in shape: grad_output[0] has a shape of torch.Size([3]) and output[0] has a "
        "shape of torch.Size([2]).",
    ),
    (
        lambda: torch.autograd.grad(leaf().sum(), leaf()),
        RuntimeError,
        "The differentiated Tensor at index 0 appears to not have been used in the graph. Set "
        "allow_unused=True if this is the desired behavior.",
    ),
    (
        lambda: torch.autograd.grad(leaf().sum(), []),
        RuntimeError,
        "`inputs` argument to `grad()` cannot be empty.",
    ),
    (
        lambda: leaf().sum().backward(inputs=[]),
        RuntimeError,
        "`inputs` argument to `backward()` cannot be empty.",
    ),
    (lambda: hooked(3), TypeError, "expected Variable, but hook returned 'int'"),
    (
        lambda: hooked(torch.ones(5)),
        RuntimeError,
        "hook '<lambda>' has changed the size of value",
    ),
    (
        lambda: assigned(torch.ones(3)),
        RuntimeError,
        "attempting to assign a gradient of size '[3]' to a tensor of size '[2]'. Please ensure "
        "that the gradient and the tensor are the same size",
    ),
]


@pytest.mark.parametrize(("mistake", "kind", "words"), MISTAKES, ids=range(len(MISTAKES)))
def test_words(mistake: Callable[[], Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind) as error:
        mistake()
    assert str(error.value).startswith(words)


def test_no_roots_is_nothing_to_do() -> None:
    torch.autograd.backward([])


def test_a_view_of_a_leaf_that_is_a_view_is_no_leaf() -> None:
    base = torch.arange(6.0)
    x = base[:3].requires_grad_()
    for y in (x.view_as(x), x.view(3), x[:3], x.view_as(x).view_as(x)):
        assert x.is_leaf and not y.is_leaf and y.requires_grad
        assert y.grad_fn is not None and y.grad is None
    (x.view_as(x) * 2).sum().backward()
    assert x.grad.tolist() == [2, 2, 2] and x.view_as(x).grad is None
