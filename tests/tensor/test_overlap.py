"""What may not be written: memory that repeats itself, and what partly overlaps what is read."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import rushlight as torch

REPEATED = "more than one element of the written-to tensor refers to a single memory location"
SHARED = "some elements of the input tensor and the written-to tensor refer to a single memory"


def base() -> Any:
    return torch.arange(1.0, 7.0)


WRITES: dict[str, Any] = {
    "copy_": lambda x: x.copy_(torch.ones(2, 3)),
    "fill_tensor": lambda x: x.fill_(torch.tensor(2.0)),
    "add_": lambda x: x.add_(1.0),
    "clamp_": lambda x: x.clamp_(0, 1),
    "pow_": lambda x: x.pow_(2),
    "round_": lambda x: x.round_(),
    "sgn_": lambda x: x.sgn_(),
    "nan_to_num_": lambda x: x.nan_to_num_(),
    "lerp_": lambda x: x.lerp_(torch.ones(2, 3), 0.5),
    "addcmul_": lambda x: x.addcmul_(torch.ones(2, 3), torch.ones(2, 3)),
    "put_": lambda x: x.put_(torch.tensor([0]), torch.tensor([3.0])),
    "cumsum_": lambda x: x.cumsum_(1),
    "renorm_": lambda x: x.renorm_(2, 0, 1.0),
    "setitem": lambda x: x.__setitem__(..., 5.0),
    "setitem_slice": lambda x: x.__setitem__((slice(None), 1), 5.0),
    "uniform_": lambda x: x.uniform_(),
    "dropout": lambda x: torch.nn.functional.dropout(x, 0.5, True, True),
    "out": lambda x: torch.exp(torch.ones(2, 3), out=x),
}


@pytest.mark.parametrize("name", WRITES)
def test_expanded_memory_is_not_written(name: str) -> None:
    x = base()[:3].expand(2, 3)
    with pytest.raises(RuntimeError, match=REPEATED):
        WRITES[name](x)
    assert x.tolist() == [[1.0, 2.0, 3.0]] * 2


def test_one_number_everywhere_may_be_written() -> None:
    assert base()[:3].expand(2, 3).fill_(2.0).tolist() == [[2.0] * 3] * 2
    assert base()[:3].expand(2, 3).zero_().tolist() == [[0.0] * 3] * 2
    x = base()[:3].expand(2, 3)
    x[0] = 5.0  # one row has every element once
    assert x.tolist() == [[5.0] * 3] * 2
    assert x.copy_(x) is x


def test_masked_writes_reach_every_likeness() -> None:
    mask = torch.tensor([[True, False, False], [False, False, True]])
    x = base()[:3].expand(2, 3)
    x[mask] = 9.0
    assert x.tolist() == [[9.0, 2.0, 9.0]] * 2
    y = base()[:3].expand(2, 3)
    assert y.masked_fill_(mask, 9.0) is y and y.tolist() == x.tolist()
    z = base()[:2].reshape(2, 1).expand(2, 3)
    z[torch.tensor([True, False])] = 0.0
    assert z.tolist() == [[0.0] * 3, [2.0] * 3]


SHARES: dict[str, Any] = {
    "copy_": lambda b: b[1:].copy_(b[:-1]),
    "setitem": lambda b: b.__setitem__(slice(1, None), b[:-1]),
    "add_": lambda b: b[1:].add_(b[:-1]),
    "iadd": lambda b: b[1:].__iadd__(b[:-1]),
    "first": lambda b: b.div_(b[0]),
    "transposed": lambda b: b[:4].view(2, 2).add_(b[:4].view(2, 2).t()),
    "clamp_": lambda b: b[1:].clamp_(b[:-1], b[:-1]),
    "addcmul_": lambda b: b[1:].addcmul_(b[:-1], b[:-1]),
    "scatter_": lambda b: b[1:].scatter_(0, torch.tensor([0, 1]), b[:2]),
    "index_add_itself": lambda b: b.index_add_(0, torch.arange(6), b),
    "index_put_": lambda b: b.__setitem__(torch.tensor([0, 1]), b[2:4]),
    "out": lambda b: torch.exp(b[:-1], out=b[1:]),
    "out_cat": lambda b: torch.cat([b[:1], b[3:4]], out=b[:2]),
    "out_where": lambda b: torch.where(b[1:] > 2, b[:-1], b[1:], out=b[1:]),
    "out_cumsum": lambda b: torch.cumsum(b[:-1], 0, out=b[1:]),
}


@pytest.mark.parametrize("name", SHARES)
def test_what_is_read_does_not_partly_overlap_what_is_written(name: str) -> None:
    b = base()
    with pytest.raises(RuntimeError, match=SHARED):
        SHARES[name](b)
    assert b.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


def test_whole_or_disjoint_memory_may_be_shared() -> None:
    b = base()
    b.add_(b)
    b[:3].mul_(b[3:])
    b[::2].add_(b[1::2])
    assert b.tolist() == [56.0, 40.0, 80.0, 8.0, 22.0, 12.0]
    torch.exp(b, out=b)
    m = base().view(2, 3)
    m[0] = m[1]
    m.fill_(m[0, 1])
    assert m.tolist() == [[5.0] * 3] * 2


def test_results_go_where_out_says() -> None:
    out = torch.empty(0)
    assert torch.mm(torch.ones(2, 3), torch.ones(3, 2), out=out) is out
    assert out.tolist() == [[3.0, 3.0], [3.0, 3.0]] and out.add_(1.0)[0, 0].item() == 4.0
    with pytest.warns(UserWarning, match="An output with one or more elements was resized"):
        torch.add(torch.ones(2), 1, out=out)
    assert out.tolist() == [2.0, 2.0]
    values, places = torch.empty(0), torch.empty(0, dtype=torch.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.topk(torch.tensor([3.0, 1.0, 2.0]), 2, out=(values, places))
    assert values.tolist() == [3.0, 2.0] and places.tolist() == [0, 2]
    w = torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="don't support automatic differentiation"):
        torch.add(torch.ones(2), 1, out=w)
    with torch.no_grad():
        assert torch.add(w, w, out=w) is w
    assert w.tolist() == [2.0, 2.0] and w.requires_grad and w.is_leaf


def test_probabilities_are_taken_in_the_order_of_memory() -> None:
    p = torch.tensor([[0.0, 1.0, 0.5], [1.0, 0.0, 0.5]])
    torch.manual_seed(0)
    a = torch.empty(3, 2).t().bernoulli_(p)
    torch.manual_seed(0)
    b = torch.empty(3, 2).bernoulli_(p.t().contiguous())
    assert a.tolist() == b.t().tolist()
