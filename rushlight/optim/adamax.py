"""Adamax: Adam by the largest gradient seen, slowly forgotten, in place of the mean square.

    m = lerp(m, g, 1 - beta1)          u = max(beta2 * u, |g| + eps)
    p = p - lr / (1 - beta1^t) * m / u

Source: Kingma & Ba, "Adam", 2015, section 7.1; operations in the order of PyTorch's single-tensor
implementation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ..engine import Tensor
from ..graph.ops.elementwise import abs_, maximum
from .adam import lerp
from .optimizer import (
    Optimizer,
    ParamsT,
    as_number,
    check_at_least_zero,
    check_betas,
    check_fused,
)


class Adamax(Optimizer):
    """``torch.optim.Adamax``."""

    _counts_steps: ClassVar[bool] = True
    _state_names: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_inf")
    _group_defaults: ClassVar[Mapping[str, Any]] = {
        "foreach": None, "maximize": False, "differentiable": False, "capturable": False,
    }  # fmt: skip

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
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
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def _static(self, group: dict[str, Any]) -> tuple[bool, bool, bool]:
        return group["maximize"], group["weight_decay"] != 0, group["betas"][0] > 0.5

    def _numbers(self, group: dict[str, Any], step: int) -> list[float]:
        beta1, beta2 = group["betas"]
        return [
            1 - beta1,
            beta2,
            as_number(group["eps"]),
            -(as_number(group["lr"]) / (1 - beta1**step)),
            as_number(group["weight_decay"]),
        ]

    @staticmethod
    def _rule(column: Any, numbers: Any, static: Any) -> tuple[Any, ...]:
        maximize, decay, small = static
        p, g, m, u = column
        take, keep, eps, step_size, weight_decay = numbers
        if maximize:
            g = -g
        if decay:
            g = g + p * weight_decay
        m = lerp(m, g, take, small)
        u = maximum(u * keep, abs_(g) + eps)
        return p + m * step_size / u, None, m, u
