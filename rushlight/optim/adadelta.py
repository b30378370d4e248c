"""Adadelta: steps in the units of the parameter, from running means of squares.

    s = rho * s + (1 - rho) * g * g
    d = sqrt(a + eps) / sqrt(s + eps) * g
    a = rho * a + (1 - rho) * d * d
    p = p - lr * d

Source: Zeiler, "ADADELTA: an adaptive learning rate method", 2012; operations in the order of
PyTorch's single-tensor implementation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ..engine import Tensor
from ..graph.ops.elementwise import sqrt
from .optimizer import Optimizer, ParamsT, as_number, check_at_least_zero, check_fused


class Adadelta(Optimizer):
    """``torch.optim.Adadelta``."""

    _counts_steps: ClassVar[bool] = True
    _enough_steps: ClassVar[int | None] = None
    _state_names: ClassVar[tuple[str, ...]] = ("square_avg", "acc_delta")
    _group_defaults: ClassVar[Mapping[str, Any]] = {
        "foreach": None, "maximize": False, "differentiable": False, "capturable": False,
    }  # fmt: skip

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_at_least_zero(learning_rate=lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        check_at_least_zero(epsilon=eps, weight_decay=weight_decay)
        check_fused(None, foreach, differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "rho": rho,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
                "capturable": capturable,
                "foreach": foreach,
                "differentiable": differentiable,
            },
        )

    def _static(self, group: dict[str, Any]) -> tuple[bool, bool]:
        return group["maximize"], group["weight_decay"] != 0

    def _numbers(self, group: dict[str, Any], step: int) -> list[float]:
        rho = as_number(group["rho"])
        return [
            rho,
            1 - rho,
            as_number(group["eps"]),
            -as_number(group["lr"]),
            as_number(group["weight_decay"]),
        ]

    @staticmethod
    def _rule(column: Any, numbers: Any, static: Any) -> tuple[Any, ...]:
        maximize, decay = static
        p, g, square, deltas = column
        keep, take, eps, lr, weight_decay = numbers
        if maximize:
            g = -g
        if decay:
            g = g + p * weight_decay
        square = square * keep + g * take * g
        delta = sqrt(deltas + eps) / sqrt(square + eps) * g
        deltas = deltas * keep + delta * take * delta
        return p + delta * lr, None, square, deltas
