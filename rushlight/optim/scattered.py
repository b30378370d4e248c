"""Steps along sparse gradients: of one parameter at a time, for the optimisers that can."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from .. import engine
from ..engine.grads import forget


def step_sparse(optimizer: Any, step: Callable[[Any], Any]) -> None:
    """Step the parameters with sparse gradients, then the others with ``step``."""
    found = [
        (group, p, p.grad)
        for group in optimizer.param_groups
        for p in group["params"]
        if isinstance(p.grad, engine.Scattered)
    ]
    before = engine.set_grad_enabled(False)
    try:
        for group, p, g in found:
            optimizer._update_sparse(group, p, g)
    finally:
        engine.set_grad_enabled(before)
    forget(p for _, p, _ in found)
    try:
        step(optimizer)
    finally:
        for _, p, g in found:
            p.grad = g


def refuse_sparse(optimizer: Any) -> NoReturn:
    """``RuntimeError`` in PyTorch's words for an optimiser that has no such step."""
    names = [kind.__name__ for kind in type(optimizer).__mro__]
    if "Adam" in names:
        raise RuntimeError(
            "Adam does not support sparse gradients, please consider SparseAdam instead"
        )
    raise RuntimeError(f"{names[0]} does not support sparse gradients")
