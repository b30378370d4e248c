"""Views of leaves that are views themselves: their hooks, kept gradients and derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rushlight as T
from rushlight import engine

N = np.random.default_rng(4).standard_normal((6, 8)).astype(np.float32)
LEAVES: dict[str, Callable[[], Any]] = {
    "array, turned": lambda: T.from_numpy(N.copy().T),
    "array, a part": lambda: T.from_numpy(N.copy()[1:, ::2]),
    "turned": lambda: T.tensor(N).t(),
    "a part": lambda: T.tensor(N)[1:, 2:],
    "turned part": lambda: T.tensor(N)[:, 1:5].t(),
    "rows": lambda: T.tensor(N)[2:],
}
VIEWS: list[Callable[[Any], Any]] = [
    lambda v: v[1:3],
    lambda v: v.t()[1:],
    lambda v: v[:, 1:][1:],
    lambda v: v[2],
]


@pytest.mark.parametrize("leaf", sorted(LEAVES))
@pytest.mark.parametrize("view", range(len(VIEWS)))
@pytest.mark.parametrize("ends", [0, 1, 2, 3])
def test_a_view_of_a_leaf_has_its_own_gradient(leaf: str, view: int, ends: int) -> None:
    """Whether a stretch ends after the view was made, after it was used, or not at all."""

    def end(n: int) -> None:
        if ends & n:
            engine.flush()

    x = LEAVES[leaf]().requires_grad_()
    plain = x.detach().clone().contiguous().requires_grad_()
    found: list[list[Any]] = []
    for base in (x, plain):
        told: list[Any] = []
        v = VIEWS[view](base)
        v.register_hook(lambda g, told=told: told.append(g.tolist()))
        v.retain_grad()
        end(1)
        y = (v * 0.5).tanh().sum() + (base * base).sum()
        end(2)
        (g,) = T.autograd.grad(y, [v], retain_graph=True)
        y.backward()
        for _ in range(2):
            (v * 3).sum().backward()
            end(1)
        assert v.grad is not None and base.grad is not None
        found.append([g.tolist(), v.grad.tolist(), base.grad.tolist(), told, v.tolist()])
    assert found[0] == found[1]
    assert len(found[0][3]) == 4  # the gradient asked for, too
