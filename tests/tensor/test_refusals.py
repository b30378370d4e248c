"""What is refused, in PyTorch's words: shapes and dtypes that do not fit, places outside."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight as torch

F = torch.nn.functional
x = torch.ones(2, 3)
whole = torch.zeros(2, 3, dtype=torch.int64)
mask = torch.ones(2, 3, dtype=torch.bool)
imaginary = torch.ones(2, dtype=torch.complex64)

REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "broadcast": (
        lambda: x + torch.ones(3, 4),
        RuntimeError,
        r"size of tensor a \(3\) must match the size of tensor b \(4\) at .* dimension 1",
    ),
    "copy_": (
        lambda: torch.ones(1, 3).copy_(x),
        RuntimeError,
        r"output with shape \[1, 3\] doesn't match the broadcast shape \[2, 3\]",
    ),
    "index": (lambda: x[0, 3], IndexError, "index 3 is out of bounds for dimension 1 with size 3"),
    "linear": (
        lambda: torch.nn.Linear(3, 4)(x.double()),
        RuntimeError,
        "mat1 and mat2 must have the same dtype, but got Double and Float",
    ),
    "cat": (lambda: torch.cat([]), ValueError, r"torch.cat\(\): expected a non-empty list"),
    "stack": (
        lambda: torch.stack([torch.ones(()), torch.ones(2)]),
        RuntimeError,
        r"equal size, but got \[\] at entry 0 and \[2\] at entry 1",
    ),
    "stack, a dimension of the first, before sizes": (
        lambda: torch.stack([torch.ones(()), torch.ones(2)], 1),
        IndexError,
        r"expected to be in range of \[-1, 0\], but got 1",
    ),
    "masked_fill mask": (
        lambda: x.masked_fill(whole, 1.0),
        RuntimeError,
        "boolean masks, but got mask with dtype long int",
    ),
    "masked_fill value": (
        lambda: x.masked_fill(mask, 1j),
        RuntimeError,
        "value cannot be converted to type float without overflow",
    ),
    "masked_scatter": (
        lambda: x.masked_scatter(mask, torch.ones(2)),
        RuntimeError,
        "Number of elements of source < number of ones in mask",
    ),
    "index_fill": (
        lambda: x.index_fill(0, torch.tensor([0]), torch.ones(2)),
        RuntimeError,
        "0-dimensional value tensor",
    ),
    "take": (lambda: torch.take(x, x), RuntimeError, "Expected a long tensor for index"),
    "max": (lambda: torch.ones(0, 3).max(0), IndexError, r"max\(\): Expected reduction dim 0"),
    "max of nothing": (lambda: torch.ones(0).max(), RuntimeError, r"max\(\): Expected reduction"),
    "sort": (lambda: imaginary.sort(), RuntimeError, "Sort does not support complex"),
    "kthvalue": (lambda: x.kthvalue(4), RuntimeError, "out of range for dimension 1"),
    "quantile": (lambda: x.quantile(2.0), RuntimeError, "must be in the range .* but got 2"),
    "lerp": (lambda: x.lerp(x, whole), RuntimeError, "expected dtype float for `weight` but got"),
    "gelu": (lambda: F.gelu(whole), NotImplementedError, "GeluKernelImpl.* for 'Long'"),
    "elu": (lambda: F.elu(whole), NotImplementedError, "elu_cpu.* for 'Long'"),
    "lgamma": (lambda: torch.special.erfcx(imaginary), NotImplementedError, "ComplexFloat"),
    "invert": (lambda: ~x, TypeError, "only implemented on integer and Boolean-type tensors"),
    "round": (lambda: whole.round(decimals=1), NotImplementedError, "round_cpu.* for 'Long'"),
    "meshgrid": (lambda: torch.meshgrid(x, x, indexing="ij"), RuntimeError, "0D or 1D tensor"),
    "combinations": (lambda: torch.combinations(x), RuntimeError, "Expect a 1D vector"),
    "block_diag": (lambda: torch.block_diag(torch.ones(2, 2, 2)), RuntimeError, "2 or fewer dim"),
    "unique": (lambda: x.unique(dim=2), IndexError, "Dimension out of range"),
    "as_strided": (lambda: x.as_strided((2,), (-1,)), RuntimeError, "Negative strides"),
    "as_strided start": (
        lambda: x.as_strided((2,), (1,), -3),
        RuntimeError,
        "invalid storage offset",
    ),
    "requires_grad_": (lambda: x.clone().requires_grad_(2), TypeError, "must be bool, not int"),
    "promote_types": (lambda: torch.promote_types(torch.float32, 1), TypeError, "position 2"),
    "batch_norm": (
        lambda: torch.nn.BatchNorm1d(4)(x),
        RuntimeError,
        "running_mean should contain 3 elements not 4",
    ),
    "layer_norm": (
        lambda: F.layer_norm(x, [3], torch.ones(2)),
        RuntimeError,
        "Expected weight to be of same shape as normalized_shape",
    ),
    "group_norm": (
        lambda: torch.nn.GroupNorm(1, 4)(x),
        RuntimeError,
        "vector of size equal to the number of channels",
    ),
    "bce": (
        lambda: F.binary_cross_entropy(x, whole),
        RuntimeError,
        "Found dtype Long but expected Float",
    ),
    "bce with logits": (
        lambda: F.binary_cross_entropy_with_logits(x, whole),
        RuntimeError,
        "result type Float can't be cast to the desired output type Long",
    ),
    "triplet": (
        lambda: F.triplet_margin_loss(x, x, torch.ones(3)),
        RuntimeError,
        "anchor 2D, positive 2D, and negative 1D",
    ),
    "multi_margin": (
        lambda: F.multi_margin_loss(x, torch.tensor([0])),
        RuntimeError,
        r"Expected target size \[2\], but got \[1\]",
    ),
    "multi_margin class": (
        lambda: F.multi_margin_loss(x, torch.tensor([0, 3])),
        RuntimeError,
        "target out of range",
    ),
    "multilabel_margin class": (
        lambda: F.multilabel_margin_loss(x, torch.tensor([[0, -1, 1], [1, -2, 0]])),
        RuntimeError,
        "argument #2 'target' is out of range",
    ),
    "take place": (
        lambda: x.take(torch.tensor([0, -7])),
        IndexError,
        "tried to access index -7 on a tensor of 6 elements",
    ),
    "put_ place": (
        lambda: x.clone().put_(torch.tensor([6]), torch.ones(1)),
        IndexError,
        "tried to access index 6 on a tensor of 6 elements",
    ),
    "take_along_dim place": (
        lambda: torch.take_along_dim(x, torch.tensor([-1])),
        RuntimeError,
        "index -1 is out of bounds for dimension 0 with size 6",
    ),
    "max_unpool place": (
        lambda: F.max_unpool2d(x[None], whole[None] + 7, 1).tolist(),
        RuntimeError,
        r"invalid max index: 7 \(output volumes are of size 2x3\)",
    ),
    "embedding_bag row": (
        lambda: F.embedding_bag(torch.tensor([[0, 2]]), x),
        RuntimeError,
        r"Index 1 of input takes value 2 which is not in the valid range \[0, 2\)",
    ),
    "embedding_bag row, max": (
        lambda: F.embedding_bag(torch.tensor([2, 0]), x, torch.tensor([0]), mode="max"),
        RuntimeError,
        "but found idx to be 2",
    ),
    "narrow": (lambda: x.narrow(1, 9, 1), IndexError, "start out of range"),
    "rot90": (lambda: x.rot90(1, (0, 9)), IndexError, "Dimension out of range"),
    "unfold": (lambda: x.unfold(1, -1, 1), RuntimeError, "size is -1 but must be >= 0"),
    "view": (lambda: x.view(-2, 3), RuntimeError, r"-2 at index 0 of shape \[-2, 3\]"),
    "local_response_norm": (
        lambda: F.local_response_norm(x[None], -1),
        RuntimeError,
        "kernel size should be greater than zero",
    ),
    "windows": (lambda: F.unfold(x[None], 0), RuntimeError, "kernel_height: 0 kernel_width: 0"),
    "repeat": (lambda: x.repeat(1, -1), RuntimeError, "negative dimension -3"),
    "arange": (
        lambda: torch.arange(3, requires_grad=True),
        RuntimeError,
        "Only Tensors of floating point and complex dtype can require gradients",
    ),
    "Tensor of a number": (lambda: torch.Tensor(1.5), TypeError, r"sequence \(got float\)"),
    "Tensor of a truth": (lambda: torch.Tensor(True), TypeError, r"sequence \(got bool\)"),
    "FloatTensor": (
        lambda: torch.FloatTensor(whole),
        TypeError,
        r"expected TensorOptions\(dtype=float, .* \(got TensorOptions\(dtype=long int",
    ),
    "new": (lambda: x.new(1.5), TypeError, r"sequence \(got float\)"),
    "dim": (lambda: x.softmax(0.3), TypeError, "must be int, not float"),
    "dim, a truth": (lambda: x.cumsum(True), TypeError, "must be int, not bool"),
    "median": (lambda: mask.median(), NotImplementedError, "median_cpu.* for 'Bool'"),
    "quantile, half": (lambda: x.half().quantile(0.5), RuntimeError, "float or double dtype"),
    "quantile of nothing": (lambda: torch.ones(0).quantile(0.5), RuntimeError, "non-empty"),
    "nanmean": (lambda: whole.nanmean(), RuntimeError, "complex dtype but got Long"),
    "topk": (lambda: mask.topk(1), RuntimeError, "topk does not support bool dtypes"),
    "hardshrink": (lambda: F.hardshrink(whole), NotImplementedError, "for 'Long'"),
    "hardtanh": (lambda: F.hardtanh(mask), RuntimeError, "Bool inputs not supported"),
    "softsign": (lambda: F.softsign(mask), NotImplementedError, "abs_cpu.* for 'Bool'"),
    "shift": (lambda: mask << mask, NotImplementedError, "lshift_cpu.* for 'Bool'"),
    "complex softmax": (lambda: imaginary.softmax(0), NotImplementedError, "ComplexFloat"),
    "cdist": (lambda: torch.cdist(whole, x), RuntimeError, "X1 got: Long"),
    "cdist columns": (lambda: torch.cdist(x, x[:, :2]), RuntimeError, "X1: 3 X2: 2"),
    "cross": (lambda: torch.cross(x, whole, 1), RuntimeError, "type Float but found Long"),
    "tensordot": (lambda: torch.tensordot(x[0], x, 2), RuntimeError, "but got dims=2"),
    "tensordot, listed": (
        lambda: torch.tensordot(x, x, ([2], [0])),
        IndexError,
        "Dimension out of range",
    ),
    "flip": (lambda: x.flip(), TypeError, r"flip\(\) missing 1 required"),
    "diff": (lambda: torch.tensor(1.0).diff(), RuntimeError, "at least one-dimensional"),
    "searchsorted": (lambda: torch.searchsorted(mask, x), NotImplementedError, "for 'Bool'"),
    "kron": (lambda: torch.kron(x, 2), TypeError, "must be Tensor, not int"),
    "isin": (lambda: torch.isin(x, mask), RuntimeError, r"for isin\(\): Bool"),
    "svd": (lambda: torch.svd(x.half()), NotImplementedError, "linalg_svd_cpu.* for 'Half'"),
    "glu": (lambda: F.glu(x, 3), IndexError, "Dimension out of range"),
    "tensor": (
        lambda: torch.tensor(300, dtype=torch.uint8),
        RuntimeError,
        "value cannot be converted to type uint8 without overflow",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    call, kind, words = REFUSED[name]
    with pytest.raises(kind, match=words):
        call()


def test_places_still_to_be_computed_are_refused_when_they_are() -> None:
    for _ in range(4):  # one operation at a time, and compiled
        with pytest.raises(IndexError, match="index 8 on a tensor of 6 elements"):
            (x * 2).take(torch.tensor([1, 7]) + 1).tolist()
        assert x.take(torch.tensor([1, 3]) + 1).tolist() == [1.0, 1.0]


def test_places_along_a_dimension_go_round() -> None:
    """As PyTorch's `take_along_dim` has them."""
    y = torch.arange(6.0).reshape(2, 3)
    assert torch.take_along_dim(y, torch.tensor([[-1, 3, 7]]), 1).tolist() == [
        [2.0, 0.0, 1.0],
        [5.0, 3.0, 4.0],
    ]


@pytest.mark.parametrize("name", ["Adam", "NAdam", "ASGD", "RMSprop", "Rprop", "Adadelta"])
def test_a_step_is_captured_on_a_device(name: str) -> None:
    p = torch.nn.Parameter(torch.ones(2))
    optimizer = getattr(torch.optim, name)([p], lr=0.1, capturable=True)
    optimizer.step()  # without gradients nothing is asked
    p.grad = torch.ones(2)
    with pytest.raises(AssertionError, match=r"If capturable=True, params.* supported devices"):
        optimizer.step()


def test_powers_with_complex_numbers() -> None:
    one = torch.tensor([1.0])
    assert (one**1j).tolist() == [1.0] and (1j**one).dtype is torch.complex64
    assert torch.float_power(torch.tensor([1j]), 2).tolist() == [-1.0]
    assert torch.float_power(one, 2).dtype is torch.float64


def test_the_old_constructor_shows_a_tensors_memory() -> None:
    torch.Tensor(y := torch.zeros(2)).fill_(3)
    torch.LongTensor(z := torch.zeros(2, dtype=torch.int64)).fill_(3)
    assert y.tolist() == z.tolist() == [3, 3]


def test_not_refused() -> None:
    inf = torch.tensor([float("inf"), float("nan")], dtype=torch.bfloat16)
    assert inf.nan_to_num().tolist() == [torch.finfo(torch.bfloat16).max, 0.0]
    assert x.sum(torch.tensor(1)).tolist() == x.sum(1).tolist()
    assert x.cumsum(torch.tensor(1)).tolist() == x.cumsum(1).tolist()
    assert torch.ones(0).median().isnan().item()
    assert torch.zeros(2, 2).copy_(3).tolist() == [[3.0, 3.0], [3.0, 3.0]]
    assert (~whole).tolist() == [[-1] * 3] * 2
    assert torch.tensor([1.0, 2.0]).masked_fill(torch.tensor([True, False]), 3 + 0j).tolist() == [
        3.0,
        2.0,
    ]
