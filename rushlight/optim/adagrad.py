"""Adagrad: each element's step shrinks with the sum of its squared gradients.

    s = s + g * g
    p = p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)

Source: Duchi et al.,
"Adaptive subgradient methods for online learning and stochastic optimization",
2011; operations in the order of PyTorch's single-tensor implementation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ..engine import Tensor
from ..graph.ops.elementwise import sqrt
from .optimizer import (
    Optimizer,
    ParamsT,
    as_number,
    check_at_least_zero,
    check_fused,
    full_like,
    number_tensor,
)


class Adagrad(Optimizer):
    """``torch.optim.Adagrad``."""

    _counts_steps: ClassVar[bool] = True
    _state_names: ClassVar[tuple[str, ...]] = ("sum",)
    _group_defaults: ClassVar[Mapping[str, Any]] = {
        "foreach": None, "maximize": False, "differentiable": False, "fused": None,
    }  # fmt: skip

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_at_least_zero(
            learning_rate=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            epsilon=eps,
        )
        check_fused(fused, foreach, differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "eps": eps,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "fused": fused,
            },
        )
        state = self.state
        for group in self.param_groups:
            for p in group["params"]:
                state[p]["step"] = number_tensor(0.0)
                state[p]["sum"] = self._new_state(p, "sum", group)

    def share_memory(self) -> None:
        """Put the sums into memory that processes share."""
        for own in self.state.values():
            own["sum"].share_memory_()

    def _new_state(self, p: Tensor, name: str, group: dict[str, Any]) -> Tensor:
        return full_like(p, float(self.defaults["initial_accumulator_value"]))

    def _static(self, group: dict[str, Any]) -> tuple[bool, bool]:
        return group["maximize"], group["weight_decay"] != 0

    def _numbers(self, group: dict[str, Any], step: int) -> list[float]:
        lr = as_number(group["lr"]) / (1 + (step - 1) * group["lr_decay"])
        return [-lr, as_number(group["eps"]), as_number(group["weight_decay"])]

    def _update_sparse(self, group: dict[str, Any], p: Tensor, g: Any) -> None:
        if group["weight_decay"] != 0:
            raise RuntimeError("weight_decay option is not compatible with sparse gradients")
        state = self.state[p]
        state["step"].add_(1)
        lr = self._numbers(group, int(state["step"].item()))[0]
        g = (-g if group["maximize"] else g).coalesce()
        values, total = g.values(), state["sum"]
        g._with(values * values).pour(total)
        g._with(values / (g.rows(total).sqrt() + group["eps"])).pour(p, lr)

    @staticmethod
    def _rule(column: Any, numbers: Any, static: Any) -> tuple[Any, ...]:
        maximize, decay = static
        p, g, total = column
        lr, eps, weight_decay = numbers
        if maximize:
            g = -g
        if decay:
            g = g + p * weight_decay
        total = total + g * g
        return p + g * lr / (sqrt(total) + eps), None, total
