"""Layers given another type than their parameters': PyTorch's words."""

import pytest

import rushlight as torch
from rushlight import nn


@pytest.mark.parametrize("shape", [(3,), (2, 3), (4, 2, 3)])
def test_linear(shape) -> None:
    for kind, name in ((torch.float64, "Double"), (torch.int64, "Long"), (torch.uint8, "Byte")):
        words = f"mat1 and mat2 must have the same dtype, but got {name} and Float"
        with pytest.raises(RuntimeError, match=words):
            nn.Linear(3, 2)(torch.ones(shape, dtype=kind))
    with pytest.raises(RuntimeError, match=r"m1 and m2 .* but got: long int != float"):
        nn.Linear(3, 2, bias=False)(torch.ones(shape, dtype=torch.int64))
    with pytest.raises(RuntimeError, match=r"self and mat2 must .* but got Double and Float"):
        nn.functional.linear(torch.ones(shape).double(), torch.ones(2, 3), torch.ones(2).double())
    with pytest.raises(RuntimeError, match=r"shapes cannot be multiplied \(\d+x3 and 4x2\)"):
        nn.Linear(4, 2)(torch.ones(shape, dtype=torch.int64))


def test_convolutions() -> None:
    x = torch.zeros(1, 1, 3, 3)
    with pytest.raises(RuntimeError, match=r"Input type \(double\) and bias type \(float\) should"):
        nn.Conv2d(1, 1, 2)(x.double())
    with pytest.raises(RuntimeError, match="expected scalar type Long but found Float"):
        nn.Conv2d(1, 1, 2, bias=False)(x.long())


def test_normalisations() -> None:
    x = torch.ones(4, 2, 3)
    for module in (nn.LayerNorm(3), nn.BatchNorm1d(2), nn.GroupNorm(1, 2)):
        with pytest.raises(RuntimeError, match="all inputs must share same datatype"):
            module(x.double())
        with pytest.raises(RuntimeError, match="expect parameter to have scalar type of Float"):
            module.double()(x)
    with pytest.raises(RuntimeError, match="expect parameter to have scalar type of Float"):
        nn.InstanceNorm1d(2, affine=True, dtype=torch.float16)(x)
    assert nn.RMSNorm(3, dtype=torch.float64)(x).dtype is torch.float32


def test_products() -> None:
    x, one, two = torch.ones(2, 2), torch.ones(2).double(), torch.ones(2, 2).double()
    for f, words in (
        (lambda: x[0] @ one, "dot : expected both .* but found Float and Double"),
        (lambda: x @ one, "addmv input tensors must .* but got Double, Float, and Double"),
        (lambda: torch.mv(x, one), "addmv input tensors must .* but got Double, Float, and Double"),
        (lambda: x[0] @ two, "m1 and m2 .* but got: float != double"),
        (lambda: x @ two, "m1 and m2 .* but got: float != double"),
        (lambda: x[None] @ two[None], "expected scalar type Float but found Double"),
        (lambda: torch.bmm(x[None], two[None]), "expected scalar type Float but found Double"),
        (lambda: torch.addmm(x, x, two), "self and mat2 must .* but got Float and Double"),
        (lambda: torch.addmm(x, two, x), "mat1 and mat2 must .* but got Double and Float"),
        (lambda: torch.addmv(x[0], two, one), "addmv .* but got Float, Double, and Double"),
        (lambda: torch.baddbmm(two[None], x[None], x[None]), "got: input double, batch1: float"),
        (lambda: torch.inner(x[0], one), "both inputs should have same dtype"),
    ):
        with pytest.raises(RuntimeError, match=words):
            f()


def test_products_under_autocast_are_of_its_type() -> None:
    x = torch.ones(2, 2)
    low = x.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for made in (
            low[0] @ x[0], x @ low[0], torch.addmm(x, low, x), torch.baddbmm(x, low[None], x[None])
        ):  # fmt: skip
            assert made.dtype is torch.bfloat16


def test_expand_names_the_last_size_that_does_not_fit() -> None:
    with pytest.raises(
        RuntimeError, match=r"\(3\) must .* size \(2\) at non-singleton dimension 1"
    ):
        torch.zeros(2, 2).expand(3, 3)
