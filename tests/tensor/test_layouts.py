"""How results lie in memory: PyTorch's strides for inputs that are not row-major."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight as torch

F = torch.nn.functional


def turned() -> Any:
    return ((torch.arange(12.0) * 0.618) % 1.0).reshape(4, 3).t()  # (3, 4), strides (1, 3)


AS_THE_INPUT: dict[str, Any] = {
    "flip": lambda x: x.flip(0),
    "flip_all": lambda x: x.flip(0, 1),
    "rot90_twice": lambda x: torch.rot90(x, 2),
    "sort": lambda x: torch.sort(x, 0)[0],
    "sort_indices": lambda x: torch.sort(x, 1)[1],
    "argsort": lambda x: torch.argsort(x, 0),
    "msort": torch.msort,
    "rand_like": torch.rand_like,
    "randn_like": torch.randn_like,
    "frexp": lambda x: torch.frexp(x)[1],
    "nextafter": lambda x: torch.nextafter(x, x),
    "erfcx": torch.special.erfcx,
}
IN_ROWS: dict[str, Any] = {
    "masked_fill": lambda x: x.masked_fill(x > 0.5, 0.0),
    "renorm": lambda x: torch.renorm(x, 2, 0, 0.5),
    "scatter_reduce": lambda x: x.scatter_reduce(0, (x * 0).long(), x, "amax"),
    "index_reduce": lambda x: x.index_reduce(0, torch.tensor([0]), x[:1], "prod"),
    "logsigmoid": F.logsigmoid,
    "rms_norm": lambda x: F.rms_norm(x, (4,)),
    "rrelu": F.rrelu,
}


@pytest.mark.parametrize("name", AS_THE_INPUT)
def test_results_keep_the_layout(name: str) -> None:
    for _ in range(3):
        x = turned()
        made = AS_THE_INPUT[name](x)
        assert made.stride() == (1, 3)
        if "rand" not in name:
            assert made.tolist() == AS_THE_INPUT[name](x.contiguous()).tolist()


@pytest.mark.parametrize("name", IN_ROWS)
def test_results_are_row_major(name: str) -> None:
    for _ in range(3):
        x = turned()
        made = IN_ROWS[name](x)
        assert made.stride() == (4, 1)
        assert made.view(-1).tolist() == IN_ROWS[name](x.contiguous()).view(-1).tolist()


def test_like_a_tensor_with_gaps() -> None:
    x = torch.rand(4, 6).t()[::2]  # (3, 4), strides (2, 6)
    for make in (torch.zeros_like, torch.empty_like, torch.rand_like):
        assert make(x).stride() == (1, 3)
    torch.manual_seed(3)
    a = torch.rand_like(x)
    torch.manual_seed(3)
    assert a.tolist() == torch.rand(4, 3).t().tolist()  # drawn in the order of memory


def test_gradients_through_results_that_keep_the_layout() -> None:
    for _ in range(3):
        x = turned().detach().requires_grad_()
        weight = torch.arange(12.0).reshape(3, 4)
        ((x * 1.0).flip(1) * weight).sum().backward()
        assert x.grad.tolist() == weight.flip(1).tolist()
        y = turned().detach().requires_grad_()
        (torch.sort(y * 1.0, 0)[0] * weight).sum().backward()
        places = torch.argsort(y, 0)
        assert y.grad.gather(0, places).tolist() == weight.tolist()


def test_dropout_of_an_expanded_tensor_draws_in_rows() -> None:
    torch.manual_seed(0)
    a = F.dropout(torch.ones(1, 4).expand(3, 4), 0.5)
    torch.manual_seed(0)
    assert a.tolist() == F.dropout(torch.ones(3, 4), 0.5).tolist()


def test_histc_places_in_the_elements_type() -> None:
    x = (torch.arange(12.0) * 0.6180339887) % 1.0
    assert torch.histc(x).nonzero().flatten().tolist() == [
        0, 9, 19, 24, 34, 49, 59, 65, 75, 84, 90, 99,
    ]  # fmt: skip
    assert torch.histc(torch.ones(3), 3).tolist() == [0.0, 3.0, 0.0]
    with pytest.raises(RuntimeError, match="is not finite"):
        torch.histc(torch.tensor([1.0, float("inf")]))
    with pytest.raises(NotImplementedError, match="histogram_cpu"):
        torch.histc(torch.arange(3))
