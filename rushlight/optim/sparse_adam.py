"""SparseAdam: Adam that leaves the rows alone which a gradient does not touch.

    m = m + (1 - beta1) * (g - m)      v = v + (1 - beta2) * (g * g - v)      (touched rows)
    p = p - lr * sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + eps)

PyTorch takes the rows from sparse gradients, as ``nn.Embedding(sparse=True)`` makes them.  They are
dense here; a row is touched where any of its elements is not zero.  Source: PyTorch's
``torch.optim.SparseAdam``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .. import engine
from ..engine import Tensor
from ..graph.ops.elementwise import ne, sqrt, where
from ..graph.ops.reduce import any_
from ..tensor.sparse import SparseTensor
from .groups import Column
from .optimizer import Closure, Optimizer, ParamsT, _with_grad, as_number, check_betas, full_like


class SparseAdam(Optimizer):
    """``torch.optim.SparseAdam``: for embeddings and other large tables."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and lr.shape.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not lr > 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if not eps > 0.0:
            raise ValueError(f"Invalid epsilon value: {eps}")
        check_betas(betas)
        given: Any = params if isinstance(params, Tensor) else list(params)
        _check_dense(given)
        super().__init__(given, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})
        complex_ = [
            [i, j]
            for i, group in enumerate(self.param_groups)
            for j, p in enumerate(group["params"])
            if p.dtype.is_complex
        ]
        if complex_:
            raise ValueError(
                f"Complex params at indices {complex_}: SparseAdam does not support complex "
                "parameters"
            )

    def step(self, closure: Closure | None = None) -> Any:
        """Change the rows that the gradients hold; returns what the closure returned."""
        loss = None if closure is None else _with_grad(closure)
        self._opt_called = True
        for group in self.param_groups:
            by_count: dict[int, list[Column]] = {}
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["step"] = 0
                    state["exp_avg"] = full_like(p, 0.0)
                    state["exp_avg_sq"] = full_like(p, 0.0)
                state["step"] = step = int(state["step"]) + 1
                column = (p, p.grad, state["exp_avg"], state["exp_avg_sq"])
                by_count.setdefault(step, []).append(column)
            for step, columns in by_count.items():
                engine.update(_rule, columns, self._numbers(group, step), group["maximize"])
        return loss

    step._wrapped_by_lr_sched = True  # type: ignore[attr-defined]

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        super().__setstate__(state)
        for own in self._state.values():
            own["step"] = int(own["step"])  # PyTorch's is a number here

    def _numbers(self, group: dict[str, Any], step: int) -> list[float]:
        beta1, beta2 = group["betas"]
        size = as_number(group["lr"]) * math.sqrt(1 - beta2**step) / (1 - beta1**step)
        return [1 - beta1, 1 - beta2, group["eps"], -size]


def _check_dense(given: Any) -> None:
    """`ValueError` in PyTorch's words for parameters that are sparse tensors."""
    if isinstance(given, Tensor) or not given:
        return
    groups = given if isinstance(given[0], dict) else [{"params": given}]
    sparse = [
        [i, j]
        for i, group in enumerate(groups)
        if isinstance(group["params"], list | tuple)
        for j, p in enumerate(group["params"])
        if isinstance(p, SparseTensor)
    ]
    if sparse:
        raise ValueError(
            f"Sparse params at indices {sparse}: SparseAdam requires dense parameter tensors"
        )


def _rule(column: Any, numbers: Any, maximize: Any) -> tuple[Any, ...]:
    p, g, m, v = column
    take1, take2, eps, size = numbers
    touched = ne(g, 0.0)
    if len(g.shape) > 1:
        touched = any_(touched, arg=(tuple(range(1, len(g.shape))), True))
    if maximize:
        g = -g
    m = where(touched, m + (g - m) * take1, m)
    v = where(touched, v + (g * g - v) * take2, v)
    return where(touched, p + m / (sqrt(v) + eps) * size, p), None, m, v
