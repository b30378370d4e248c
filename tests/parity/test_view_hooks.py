"""Hooks and retained gradients of tensors that are written afterwards, beside PyTorch's."""

from __future__ import annotations

import random
import warnings
from typing import Any

import pytest
import torch

import rushlight

WRITES = ("data", "detach", "no_grad", "grad", "add")


def episode(T: Any, seed: int) -> list[Any]:
    """Random writes, hooks and reads on a base and two views of it; what hooks saw, and the
    gradients."""
    rng = random.Random(seed)
    x = T.arange(1.0, 5.0).requires_grad_()
    y = x * 2 if rng.random() < 0.8 else x
    views = [y[1:], y.view(2, 2), y.view_as(y)]
    v, w = rng.sample(views, 2)
    tensors = [v, w] if y is x else [y, v, w]
    seen: list[Any] = []

    def hook(name: str, factor: float) -> Any:
        def call(g: Any) -> Any:
            seen.append((name, g.tolist()))
            return g * factor

        return call

    out: list[Any] = []
    for i in range(rng.randrange(3, 9)):
        k = rng.randrange(len(tensors))
        t = tensors[k]
        what = rng.choice(("hook", "retain", "write", "write", "value", "backward"))
        try:
            if what == "hook":
                assert t.grad_fn is not None  # PyTorch's node of a written view is made when asked
                t.register_hook(hook(f"{k}.{i}", rng.choice((1.0, 3.0))))
            elif what == "retain":
                t.retain_grad()
            elif what == "value":
                t.sum().item()
            elif what == "backward":
                (t * 5).sum().backward(retain_graph=True)
            else:
                write(T, t, rng.choice(WRITES))
        except RuntimeError as error:
            out.append((what, type(error).__name__))
    loss = T.zeros(())
    for k in rng.sample(range(len(tensors)), rng.randrange(1, len(tensors) + 1)):
        loss = loss + (tensors[k] * (k + 2)).sum()
    loss.backward()
    for t in (x, *tensors):
        out.append(None if t.grad is None else t.grad.tolist())
    out.append([bool(t.retains_grad) for t in tensors])
    return [out, sorted(seen)]  # of branches that do not meet, either may come first


def write(T: Any, t: Any, how: str) -> None:
    """Write into a tensor, with a history or not."""
    if how == "data":
        t.data.mul_(0.5)
    elif how == "detach":
        t.detach().mul_(0.5)
    elif how == "no_grad":
        with T.no_grad():
            t.mul_(0.5)
    elif how == "grad":
        t.mul_(0.5)
    else:
        t.add_(1.0)


@pytest.mark.parametrize("first", range(0, 1000, 100))
def test_what_hooks_see_and_gradients_that_are_kept(first: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(first, first + 100):
            assert episode(rushlight, seed) == episode(torch, seed), seed
