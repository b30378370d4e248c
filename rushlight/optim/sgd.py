"""Stochastic gradient descent with momentum.

    g   = grad + weight_decay * p
    buf = momentum * buf + (1 - dampening) * g        (the first time: g)
    p   = p - lr * buf                                (Nesterov: g + momentum * buf; no momentum: g)

Source: Sutskever et al., "On the importance of initialization and momentum in deep learning",
2013, in
PyTorch's form.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ..engine import Tensor
from .optimizer import Optimizer, ParamsT, as_number, check_at_least_zero, check_fused


class SGD(Optimizer):
    """``torch.optim.SGD``."""

    _group_defaults: ClassVar[dict[str, Any]] = {
        "nesterov": False, "maximize": False, "foreach": None, "differentiable": False,
        "fused": False,
    }  # fmt: skip

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_at_least_zero(learning_rate=lr, momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        check_fused(fused, foreach, differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
                "foreach": foreach,
                "differentiable": differentiable,
                "fused": fused,
            },
        )

    _WITH_MOMENTUM: ClassVar[tuple[str, ...]] = ("momentum_buffer",)
    _enough_steps: ClassVar[int | None] = 2  # only the first step is special

    def _names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return self._WITH_MOMENTUM if group["momentum"] != 0 else ()

    def _static(self, group: dict[str, Any]) -> tuple[bool, bool, bool, bool]:
        return (
            group["maximize"],
            group["weight_decay"] != 0,
            group["momentum"] != 0,
            group["nesterov"],
        )

    def _numbers(self, group: dict[str, Any], step: int) -> list[float]:
        numbers = [-as_number(group["lr"])]
        if group["weight_decay"] != 0:
            numbers.append(as_number(group["weight_decay"]))
        if group["momentum"] != 0:
            # The buffer starts as the gradient itself: 0 * momentum + g * 1.
            numbers.append(as_number(group["momentum"]))
            numbers.append(1.0 if step == 1 else 1.0 - as_number(group["dampening"]))
        return numbers

    def _update_sparse(self, group: dict[str, Any], p: Tensor, g: Any) -> None:
        if group["maximize"]:
            g = -g
        if group["weight_decay"] != 0:
            raise RuntimeError(
                "add(sparse, dense) is not supported. Use add(dense, sparse) instead."
            )
        momentum = as_number(group["momentum"])
        if momentum != 0:
            state = self.state[p]
            buf = state.get("momentum_buffer")
            if buf is None:
                buf = state["momentum_buffer"] = g.clone().detach()
            else:
                g_now = g * (1.0 - as_number(group["dampening"]))
                buf.become((buf * momentum).plus(g_now))
            g = g.plus(buf * momentum) if group["nesterov"] else buf
        g.pour(p, -as_number(group["lr"]))

    @staticmethod
    def _rule(column: Any, numbers: Any, static: Any) -> tuple[Any, ...]:
        maximize, decay, momentum, nesterov = static
        p, g, *state = column
        lr, *rest = numbers
        if maximize:
            g = -g
        if decay:
            g = g + p * rest.pop(0)
        if not momentum:
            return p + g * lr, None
        keep, take = rest
        buf = state[0] * keep + g * take
        return p + (g + buf * keep if nesterov else buf) * lr, None, buf
