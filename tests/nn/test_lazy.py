"""Modules that take their sizes from the first input."""

import copy

import pytest

import rushlight as torch
from rushlight import nn


def test_sizes_come_from_the_first_input() -> None:
    model = nn.Sequential(nn.LazyLinear(5), nn.LazyBatchNorm1d(), nn.LazyLinear(2, bias=False))
    assert model[0].has_uninitialized_params()
    assert repr(model[0].weight) == "<UninitializedParameter>"
    params = list(model.parameters())
    torch.manual_seed(0)
    out = model(torch.randn(4, 3))
    assert out.shape == (4, 2)
    assert [type(m) for m in model] == [nn.Linear, nn.BatchNorm1d, nn.Linear]
    assert all(a is b for a, b in zip(params, model.parameters(), strict=True))
    assert model[0].in_features == 3 and model[1].num_features == 5
    assert type(model[0].weight) is nn.Parameter
    out.sum().backward()
    assert model[0].weight.grad.shape == (5, 3)


def test_values_are_those_of_the_module_with_sizes() -> None:
    torch.manual_seed(3)
    sized = nn.Linear(3, 5)
    lazy = nn.LazyLinear(5)
    torch.manual_seed(3)
    lazy(torch.ones(1, 3))
    assert torch.equal(lazy.weight, sized.weight) and torch.equal(lazy.bias, sized.bias)


def test_loading_gives_sizes() -> None:
    sized, lazy = nn.Linear(3, 5), nn.LazyLinear(5)
    lazy.load_state_dict(sized.state_dict())
    assert lazy.weight.shape == (5, 3) and not lazy.has_uninitialized_params()
    lazy(torch.ones(1, 3))
    assert type(lazy) is nn.Linear and lazy.in_features == 3


def test_no_shape_before() -> None:
    lazy = nn.LazyLinear(5).double()
    with pytest.raises(RuntimeError, match="uninitialized parameter"):
        _ = lazy.weight.shape
    with pytest.raises(RuntimeError, match="has not been fully initialized"):
        _Half()(torch.ones(2))
    twin = copy.deepcopy(lazy)
    assert twin.weight is not lazy.weight and twin.weight.dtype is torch.float64


class _Half(nn.modules.lazy.LazyModuleMixin, nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.UninitializedParameter()

    def initialize_parameters(self, x) -> None:
        pass


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_norms(rank) -> None:
    x = torch.randn(2, 4, *[3] * rank)
    for kind in (f"LazyBatchNorm{rank}d", f"LazyInstanceNorm{rank}d"):
        module = getattr(nn, kind)()
        module(x)
        assert type(module).__name__ == kind[4:] and module.running_mean.shape == (4,)
