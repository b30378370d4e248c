"""SparseAdam: Adam for gradients that are sparse tensors; only the rows they hold change.

    m = m + (1 - beta1) * (g - m)      v = v + (1 - beta2) * (g * g - v)      (rows of g)
    p = p - lr * sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + eps)

Source: PyTorch's ``torch.optim.SparseAdam``.
"""

from __future__ import annotations

import math
from typing import Any

from .. import engine
from ..engine import Tensor
from .optimizer import Closure, Optimizer, ParamsT, _with_grad, as_number, check_betas, full_like


class SparseAdam(Optimizer):
    """``torch.optim.SparseAdam``: parameters are dense, their gradients sparse."""

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
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})
        sparse, complex_ = [], []
        for i, group in enumerate(self.param_groups):
            for j, p in enumerate(group["params"]):
                if getattr(p, "is_sparse", False):
                    sparse.append([i, j])
                if p.dtype.is_complex:
                    complex_.append([i, j])
        if sparse:
            raise ValueError(
                f"Sparse params at indices {sparse}: SparseAdam requires dense parameter tensors"
            )
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
                        self._step_one(p, p.grad, group)
        finally:
            engine.set_grad_enabled(before)
        return loss

    step._wrapped_by_lr_sched = True  # type: ignore[attr-defined]

    def _step_one(self, p: Any, grad: Any, group: dict[str, Any]) -> None:
        if not getattr(grad, "is_sparse", False):
            raise RuntimeError(
                "SparseAdam does not support dense gradients, please consider Adam instead"
            )
        state = self.state[p]
        if not state:
            state["step"] = 0
            state["exp_avg"] = full_like(p, 0.0)
            state["exp_avg_sq"] = full_like(p, 0.0)
        state["step"] = int(state["step"]) + 1
        step = state["step"]
        beta1, beta2 = group["betas"]
        grad = grad.coalesce()  # the update is not linear, so each row appears once
        rows = tuple(grad._indices().unbind(0))
        g = grad._values()
        if g.numel() == 0:
            return
        if group["maximize"]:
            g = -g
        old_m = state["exp_avg"][rows]
        new_m = (g - old_m) * (1 - beta1)
        state["exp_avg"].index_put_(rows, new_m, accumulate=True)
        old_v = state["exp_avg_sq"][rows]
        new_v = (g * g - old_v) * (1 - beta2)
        state["exp_avg_sq"].index_put_(rows, new_v, accumulate=True)
        size = as_number(group["lr"]) * math.sqrt(1 - beta2**step) / (1 - beta1**step)
        change = (new_m + old_m) / ((new_v + old_v).sqrt() + group["eps"]) * -size
        p.index_put_(rows, change, accumulate=True)
