"""SparseAdam: Adam that leaves the rows alone which a gradient does not touch.

    m = m + (1 - beta1) * (g - m)      v = v + (1 - beta2) * (g * g - v)      (touched rows)
    p = p - lr * sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + eps)

The rows are those of sparse gradients, as ``nn.Embedding(sparse=True)`` makes them.  Source:
PyTorch's ``torch.optim.SparseAdam``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .. import engine
from ..engine import Tensor
from ..tensor.sparse import SparseTensor
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
        before = engine.set_grad_enabled(False)
        try:
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        self._update_sparse(group, p, p.grad)
        finally:
            engine.set_grad_enabled(before)
        return loss

    step._wrapped_by_lr_sched = True  # type: ignore[attr-defined]

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        super().__setstate__(state)
        for own in self._state.values():
            own["step"] = int(own["step"])  # PyTorch's is a number here

    def _update_sparse(self, group: dict[str, Any], p: Tensor, g: Any) -> None:
        if not isinstance(g, SparseTensor):
            raise RuntimeError(
                "SparseAdam does not support dense gradients, please consider Adam instead"
            )
        state = self.state[p]
        if not state:
            state["step"] = 0
            state["exp_avg"] = full_like(p, 0.0)
            state["exp_avg_sq"] = full_like(p, 0.0)
        state["step"] = step = int(state["step"]) + 1
        beta1, beta2 = group["betas"]
        g = (-g if group["maximize"] else g).coalesce()  # each place once: squares do not add up
        values = g.values()
        if not values.numel():
            return
        m, v = g.rows(state["exp_avg"]), g.rows(state["exp_avg_sq"])
        more_m = (values - m) * (1 - beta1)
        more_v = (values * values - v) * (1 - beta2)
        g._with(more_m).pour(state["exp_avg"])
        g._with(more_v).pour(state["exp_avg_sq"])
        size = as_number(group["lr"]) * math.sqrt(1 - beta2**step) / (1 - beta1**step)
        change = (more_m + m) / ((more_v + v).sqrt() + group["eps"])
        g._with(change * -size).pour(p)


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
