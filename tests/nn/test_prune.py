"""Pruning: what goes, what stays trainable, several times, across parameters."""

import pytest

import rushlight as torch
from rushlight import nn
from rushlight.nn.utils import prune


def layer():
    made = nn.Linear(3, 2)
    with torch.no_grad():
        made.weight.copy_(torch.tensor([[1.0, -2.0, 3.0], [-4.0, 5.0, -6.0]]))
    return made


def test_smallest_elements() -> None:
    m = prune.l1_unstructured(layer(), "weight", amount=2)
    assert m.weight.tolist() == [[0, 0, 3], [-4, 5, -6]]
    assert sorted(m.state_dict()) == ["bias", "weight_mask", "weight_orig"]
    m(torch.ones(1, 3)).sum().backward()
    assert m.weight_orig.grad.tolist() == [[0, 0, 1], [1, 1, 1]]
    prune.l1_unstructured(m, "weight", amount=0.5)
    assert m.weight.tolist() == [[0, 0, 0], [0, 5, -6]] and prune.is_pruned(m)
    prune.remove(m, "weight")
    assert isinstance(m.weight, nn.Parameter) and m.weight.tolist() == [[0, 0, 0], [0, 5, -6]]
    assert not prune.is_pruned(m) and sorted(m.state_dict()) == ["bias", "weight"]


def test_slices_and_masks() -> None:
    assert prune.ln_structured(layer(), "weight", 1, n=2, dim=0).weight.tolist()[0] == [0, 0, 0]
    columns = prune.random_structured(layer(), "weight", 1, dim=1).weight_mask.sum(0)
    assert sorted(columns.tolist()) == [0, 2, 2]
    m = prune.custom_from_mask(layer(), "weight", torch.tensor([[1, 0, 1], [0, 1, 0]]))
    assert m.weight.tolist() == [[1, 0, 3], [0, 5, 0]]
    assert prune.random_unstructured(layer(), "weight", 4).weight_mask.sum().item() == 2


def test_across_parameters() -> None:
    a, b = layer(), layer()
    with torch.no_grad():
        b.weight.mul_(10)
    prune.global_unstructured(
        [(a, "weight"), (b, "weight")], pruning_method=prune.L1Unstructured, amount=6
    )
    assert a.weight.abs().sum() == 0 and (b.weight != 0).all()


def test_refused() -> None:
    with pytest.raises(ValueError, match="non-negative integer"):
        prune.l1_unstructured(layer(), "weight", amount=-1)
    with pytest.raises(ValueError, match="should be smaller than the number of parameters"):
        prune.l1_unstructured(layer(), "weight", amount=7)
    with pytest.raises(ValueError, match="has to be pruned before"):
        prune.remove(layer(), "weight")
