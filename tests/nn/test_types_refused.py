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


def test_expand_names_the_last_size_that_does_not_fit() -> None:
    with pytest.raises(
        RuntimeError, match=r"\(3\) must .* size \(2\) at non-singleton dimension 1"
    ):
        torch.zeros(2, 2).expand(3, 3)
