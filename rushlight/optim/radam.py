"""RAdam: Adam that waits with its adaptive step until the mean square can be trusted.

    m = lerp(m, g, 1 - beta1)          v = beta2 * v + (1 - beta2) * g * g
    rho = 2 / (1 - beta2) - 1          rho_t = rho - 2 t beta2^t / (1 - beta2^t)
    r = sqrt((rho_t - 4) (rho_t - 2) rho / ((rho - 4) (rho - 2) rho_t))
    p = p - lr * m / (1 - beta1^t) * (r * sqrt(1 - beta2^t) / (sqrt(v) + eps)  if rho_t > 5, else 1)

Source: Liu et al., "On the variance of the adaptive learning rate and beyond", 2020; operations in
the order of PyTorch's single-tensor implementation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ..engine import Tensor
from ..graph.ops.elementwise import sqrt
from .adam import lerp
from .optimizer import (
    Optimizer,
    ParamsT,
    as_number,
    check_at_least_zero,
    check_betas,
    check_fused,
)


class RAdam(Optimizer):
    """``torch.optim.RAdam``."""

    _counts_steps: ClassVar[bool] = True
    _phases: ClassVar[bool] = True
    _state_names: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_avg_sq")
    _group_defaults: ClassVar[Mapping[str, Any]] = {
        "foreach": None, "maximize": False, "differentiable": False,
        "decoupled_weight_decay": False, "capturable": False,
    }  # fmt: skip

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_at_least_zero(learning_rate=lr, epsilon=eps)
        check_betas(betas)
        check_at_least_zero(weight_decay=weight_decay)
        check_fused(None, foreach, differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "decoupled_weight_decay": decoupled_weight_decay,
                "differentiable": differentiable,
            },
        )

    @staticmethod
    def _lengths(beta2: float, step: int) -> tuple[float, float]:
        """How many gradients the mean square remembers: in the end, and now."""
        rho = 2 / (1 - beta2) - 1
        return rho, rho - 2 * step * (beta2**step) / (1 - beta2**step)

    def _static_at(self, group: dict[str, Any], step: int) -> tuple[bool, str, bool, bool]:
        decay = "" if group["weight_decay"] == 0 else "add"
        if decay and group["decoupled_weight_decay"]:
            decay = "scale"
        beta1, beta2 = group["betas"]
        return group["maximize"], decay, beta1 > 0.5, self._lengths(beta2, step)[1] > 5.0

    def _numbers(self, group: dict[str, Any], step: int) -> list[float]:
        lr = as_number(group["lr"])
        beta1, beta2 = group["betas"]
        rho, now = self._lengths(beta2, step)
        rect = 1.0
        if now > 5.0:
            rect = ((now - 4) * (now - 2) * rho / ((rho - 4) * (rho - 2) * now)) ** 0.5
        decay = as_number(group["weight_decay"])
        return [
            1 - beta1,
            beta2,
            1 - beta2,
            1 - beta1**step,
            lr,
            as_number(group["eps"]),
            (1 - beta2**step) ** 0.5,
            rect,
            1 - lr * decay if group["decoupled_weight_decay"] else decay,
        ]

    @staticmethod
    def _rule(column: Any, numbers: Any, static: Any) -> tuple[Any, ...]:
        maximize, decay, small, rectified = static
        p, g, m, v = column
        take1, keep2, take2, correction1, lr, eps, correction2, rect, weight_decay = numbers
        if maximize:
            g = -g
        if decay == "scale":
            p = p * weight_decay
        elif decay == "add":
            g = g + p * weight_decay
        m = lerp(m, g, take1, small)
        v = v * keep2 + g * take2 * g
        change = m / correction1 * lr
        if rectified:
            change = change * (correction2 / (sqrt(v) + eps)) * rect
        return p - change, None, m, v
