"""Patterns replaced in graphs, and shapes noted on nodes."""

import pytest

import rushlight as torch
from rushlight import fx, nn
from rushlight.fx.passes.shape_prop import ShapeProp
from rushlight.fx.subgraph_rewriter import replace_pattern_with_filters


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        a = torch.relu(self.layer(x))
        b = torch.relu(a) + 1
        return torch.sum(torch.cat([a, b])) + torch.sum(b + 2).max()


def test_every_place_is_replaced() -> None:
    torch.manual_seed(0)
    net, x = Net(), torch.ones(2, 3)
    traced = fx.symbolic_trace(net)
    found = fx.replace_pattern(traced, lambda x: torch.sum(x), lambda x: torch.mean(x) * 10)
    assert len(found) == 2 and "torch.sum" not in traced.code
    a = torch.relu(net.layer(x))
    b = torch.relu(a) + 1
    want = torch.mean(torch.cat([a, b])) * 10 + torch.mean(b + 2) * 10
    assert torch.allclose(traced(x), want)
    traced.graph.lint()


def test_places_that_overlap_or_are_read_elsewhere_stay() -> None:
    def chain(x):
        return torch.neg(torch.neg(torch.neg(x)))

    traced = fx.symbolic_trace(chain)
    assert len(fx.replace_pattern(traced, lambda x: torch.neg(torch.neg(x)), lambda x: x + 0)) == 1
    assert traced(torch.ones(1)).tolist() == [-1]

    def shared(x):
        y = torch.exp(x)
        return torch.log(y) + y

    traced = fx.symbolic_trace(shared)
    assert not fx.replace_pattern(traced, lambda x: torch.log(torch.exp(x)), lambda x: x)


def test_literals_and_filters() -> None:
    def program(x):
        return (x + 1) * (x + 2)

    traced = fx.symbolic_trace(program)
    assert len(fx.replace_pattern(traced, lambda x: x + 1, lambda x: x - 1)) == 1
    assert traced(torch.tensor(5.0)).item() == 28
    traced = fx.symbolic_trace(program)
    found = replace_pattern_with_filters(
        traced, lambda x: x + 9, lambda x: x * 0 + 3, [lambda match, *_: True], ignore_literals=True
    )
    assert len(found) == 2 and all(len(f.replacements) == 2 for f in found)
    assert traced(torch.tensor(5.0)).item() == 9
    assert not replace_pattern_with_filters(
        traced, lambda x: x + 3, lambda x: x, [lambda match, *_: False]
    )


def test_modules_of_the_replacement_come_along() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(3, 1)

        def forward(self, x):
            return self.inner(x)

    traced = fx.symbolic_trace(lambda x: torch.sum(x) * 2)
    gm = fx.GraphModule(nn.Module(), traced.graph)
    scaled = Scaled()
    fx.replace_pattern(gm, lambda x: torch.sum(x), scaled)
    assert torch.equal(gm(torch.ones(3)), scaled(torch.ones(3)) * 2)
    with pytest.raises(AssertionError, match="count mismatch"):
        fx.replace_pattern(gm, lambda x: x * 2, lambda x, y: x + y)


def test_shapes_are_noted() -> None:
    traced = fx.symbolic_trace(Net())
    ShapeProp(traced).propagate(torch.ones(2, 3))
    shapes = {n.name: tuple(n.meta["tensor_meta"].shape) for n in traced.graph.nodes}
    assert shapes["x"] == (2, 3) and shapes["cat"] == (4, 3) and shapes["output"] == ()
