"""ASGD: gradient descent with a falling rate, and the mean of the late iterates beside it.

    p = p * (1 - lambd * eta) - eta * g
    ax = p while mu is 1, then ax + mu * (p - ax)
    eta = lr / (1 + lambd * lr * t)^alpha             mu = 1 / max(1, t - t0)

Source: Polyak & Juditsky, "Acceleration of stochastic approximation by averaging", 1992;
operations in the order of PyTorch's single-tensor implementation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ..base import dtype as dt
from ..engine import Tensor
from ..graph.ops.elementwise import cast, eq, where
from .optimizer import (
    Optimizer,
    ParamsT,
    as_number,
    check_at_least_zero,
    check_fused,
    number_tensor,
)


class ASGD(Optimizer):
    """``torch.optim.ASGD``; the averages are ``state[p]["ax"]``."""

    _on_device: ClassVar[str] = "params, mus, etas, and state_steps"
    _counts_steps: ClassVar[bool] = True
    _state_names: ClassVar[tuple[str, ...]] = ("eta", "mu", "ax")
    _group_defaults: ClassVar[Mapping[str, Any]] = {
        "foreach": None, "maximize": False, "differentiable": False, "capturable": False,
    }  # fmt: skip

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_at_least_zero(learning_rate=lr, weight_decay=weight_decay)
        check_fused(None, foreach, differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "lambd": lambd,
                "alpha": alpha,
                "t0": t0,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        super().__setstate__(state)
        for own in self._state.values():
            for name in ("eta", "mu"):
                if name in own and not isinstance(own[name], Tensor):
                    own[name] = number_tensor(float(own[name]))

    def _new_state(self, p: Tensor, name: str, group: dict[str, Any]) -> Tensor:
        if name == "ax":
            return super()._new_state(p, name, group)
        return number_tensor(1.0 if name == "mu" else as_number(group["lr"]))

    def _static(self, group: dict[str, Any]) -> tuple[bool, bool]:
        return group["maximize"], group["weight_decay"] != 0

    def _numbers(self, group: dict[str, Any], step: int) -> list[float]:
        lr, lambd = as_number(group["lr"]), as_number(group["lambd"])
        return [
            lambd,
            lr / ((1 + lambd * lr * step) ** group["alpha"]),
            1 / max(1, step - group["t0"]),
            as_number(group["weight_decay"]),
        ]

    @staticmethod
    def _rule(column: Any, numbers: Any, static: Any) -> tuple[Any, ...]:
        maximize, decay = static
        p, g, eta, mu, mean = column
        lambd, next_eta, next_mu, weight_decay = numbers
        if maximize:
            g = -g
        if decay:
            g = g + p * weight_decay
        exact = cast(eta, arg=dt.float64)
        p = p * cast(1.0 - exact * lambd, arg=p.dtype)
        p = p + g * cast(-exact, arg=p.dtype)
        mean = where(eq(mu, 1.0), p, mean + (p - mean) * cast(mu, arg=p.dtype))
        return p, None, eta * 0.0 + next_eta, mu * 0.0 + next_mu, mean
