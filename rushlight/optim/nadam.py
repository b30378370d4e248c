"""NAdam: Adam with Nesterov's look ahead.

    mu(t) = beta1 * (1 - 0.96^(t * momentum_decay) / 2)       M(t) = mu(1) * ... * mu(t)
    m = lerp(m, g, 1 - beta1)                                 v = beta2 * v + (1 - beta2) * g * g
    d = sqrt(v / (1 - beta2^t)) + eps
    p = p - lr * (1 - mu(t)) / (1 - M(t)) * g / d - lr * mu(t+1) / (1 - M(t+1)) * m / d

Source: Dozat, "Incorporating Nesterov momentum into Adam", 2016; operations in the order of
PyTorch's single-tensor implementation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ..base import dtype as dt
from ..engine import Tensor
from ..graph.ops.elementwise import cast, sqrt
from .adam import lerp
from .optimizer import (
    Optimizer,
    ParamsT,
    as_number,
    check_at_least_zero,
    check_betas,
    check_fused,
    number_tensor,
)


class NAdam(Optimizer):
    """``torch.optim.NAdam``."""

    _on_device: ClassVar[str] = "params, mu_products and state_steps"

    _counts_steps: ClassVar[bool] = True
    _state_names: ClassVar[tuple[str, ...]] = ("mu_product", "exp_avg", "exp_avg_sq")
    _group_defaults: ClassVar[Mapping[str, Any]] = {
        "maximize": False, "foreach": None, "capturable": False, "differentiable": False,
        "decoupled_weight_decay": False,
    }  # fmt: skip

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_at_least_zero(learning_rate=lr, epsilon=eps)
        check_betas(betas)
        check_at_least_zero(weight_decay=weight_decay, momentum_decay=momentum_decay)
        check_fused(None, foreach, differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum_decay": momentum_decay,
                "decoupled_weight_decay": decoupled_weight_decay,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
            },
        )

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        super().__setstate__(state)
        for own in self._state.values():
            if "mu_product" in own and not isinstance(own["mu_product"], Tensor):
                own["mu_product"] = number_tensor(float(own["mu_product"]))

    def _new_state(self, p: Tensor, name: str, group: dict[str, Any]) -> Tensor:
        return number_tensor(1.0) if name == "mu_product" else super()._new_state(p, name, group)

    def _static(self, group: dict[str, Any]) -> tuple[bool, str, bool]:
        decay = "" if group["weight_decay"] == 0 else "add"
        if decay and group["decoupled_weight_decay"]:
            decay = "scale"
        return group["maximize"], decay, group["betas"][0] > 0.5

    def _numbers(self, group: dict[str, Any], step: int) -> list[float]:
        lr = as_number(group["lr"])
        beta1, beta2 = group["betas"]
        slow = group["momentum_decay"]
        mu = beta1 * (1.0 - 0.5 * (0.96 ** (step * slow)))
        mu_next = beta1 * (1.0 - 0.5 * (0.96 ** ((step + 1) * slow)))
        weight_decay = as_number(group["weight_decay"])
        return [
            1 - beta1,
            beta2,
            1 - beta2,
            1 - beta2**step,
            as_number(group["eps"]),
            mu,
            mu_next,
            -lr * (1.0 - mu),
            -lr * mu_next,
            1 - lr * weight_decay if group["decoupled_weight_decay"] else weight_decay,
        ]

    @staticmethod
    def _rule(column: Any, numbers: Any, static: Any) -> tuple[Any, ...]:
        maximize, decay, small = static
        p, g, product, m, v = column
        take1, keep2, take2, correction, eps, mu, mu_next, of_g, of_m, weight_decay = numbers
        if maximize:
            g = -g
        if decay == "scale":
            p = p * weight_decay
        elif decay == "add":
            g = g + p * weight_decay
        product = product * mu
        exact = cast(product, arg=dt.float64)  # the two factors are worked out in double precision
        now = cast(of_g / (1.0 - exact), arg=p.dtype)
        ahead = cast(of_m / (1.0 - exact * mu_next), arg=p.dtype)
        m = lerp(m, g, take1, small)
        v = v * keep2 + g * take2 * g
        d = sqrt(v / correction) + eps
        p = p + g * now / d
        p = p + m * ahead / d
        return p, None, product, m, v
