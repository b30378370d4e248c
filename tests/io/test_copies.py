"""`copy` and `pickle` of what a program holds: tensors, modules, optimisers, types, generators."""

import copy
import pickle

import pytest

import rushlight as torch
from rushlight import nn


def test_copies_share_what_the_originals_share() -> None:
    base = torch.arange(6.0)
    got = copy.deepcopy({"base": base, "view": base[2:].reshape(2, 2).t(), "again": base})
    assert got["view"].stride() == (1, 2)
    assert got["again"] is got["base"]
    got["base"].fill_(-1.0)
    assert got["view"].tolist() == [[-1.0, -1.0], [-1.0, -1.0]]
    assert base.tolist() == [0, 1, 2, 3, 4, 5]
    alone = copy.deepcopy(base[1::2])
    assert (alone.stride(), alone.storage_offset(), alone.tolist()) == ((2,), 1, [1, 3, 5])


def test_copies_of_what_waits() -> None:
    x = torch.ones(3)
    y = x * 2
    y[0] = 7.0
    got = copy.deepcopy([y, y[1:]])
    y.zero_()
    assert [t.tolist() for t in got] == [[7.0, 2.0, 2.0], [2.0, 2.0]]


def test_gradients_and_attributes() -> None:
    x = torch.ones(2, requires_grad=True)
    (x * 3).sum().backward()
    got = copy.deepcopy(x)
    assert got.requires_grad
    assert got.is_leaf
    assert got.grad.tolist() == [3.0, 3.0]
    got.grad.zero_()
    assert x.grad.tolist() == [3.0, 3.0]
    with pytest.raises(RuntimeError, match="graph leaves"):
        copy.deepcopy(x * 2)


@pytest.mark.parametrize("way", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_models_with_their_optimizers(way) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 2))
    model[2].weight = model[0].weight
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    model(torch.ones(3, 2)).sum().backward()
    optimizer.step()
    twin, second = way([model, optimizer])
    assert twin[2].weight is twin[0].weight
    assert second.param_groups[0]["params"][0] is twin[0].weight
    for m, o in ((model, optimizer), (twin, second)):
        o.zero_grad()
        m(torch.ones(3, 2)).pow(2).sum().backward()
        o.step()
    assert twin[0].weight.tolist() == model[0].weight.tolist()


def test_small_things() -> None:
    g = torch.Generator().manual_seed(4)
    torch.rand(2, generator=g)
    things = [torch.float64, torch.bool, torch.device("cpu"), torch.Size([2, 3]), torch.strided]
    for way in (copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))):
        got = way(things)
        assert got == things
        assert got[0] is torch.float64
        assert type(got[3]) is torch.Size
        twin = way(g)
        assert torch.rand(3, generator=twin).tolist() == torch.rand(3, generator=way(g)).tolist()
