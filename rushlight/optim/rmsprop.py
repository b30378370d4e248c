"""RMSprop: steps divided by a running root mean square of the gradient.

    s = alpha * s + (1 - alpha) * g * g
    p = p - lr * g / (sqrt(s) + eps)

Centered,
the running mean of the gradient is taken off: sqrt(s - mean^2).  With momentum the quotient
first goes through a buffer: b = momentum * b + g / (sqrt(s) + eps).  Sources: Hinton's lecture
notes, 2012; Graves, "Generating sequences with recurrent neural networks", 2013; operations in the
order of PyTorch's single-tensor implementation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from ..engine import Tensor
from ..graph.ops.elementwise import sqrt
from .adam import lerp
from .optimizer import Optimizer, ParamsT, as_number, check_at_least_zero, check_fused

_NAMES: Final = {
    (momentum, centered): ("square_avg",)
    + (("momentum_buffer",) if momentum else ())
    + (("grad_avg",) if centered else ())
    for momentum in (False, True)
    for centered in (False, True)
}


class RMSprop(Optimizer):
    """``torch.optim.RMSprop``."""

    _counts_steps: ClassVar[bool] = True
    _group_defaults: ClassVar[Mapping[str, Any]] = {
        "momentum": 0, "centered": False, "foreach": None, "maximize": False,
        "differentiable": False,
        "capturable": False,
    }  # fmt: skip

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_at_least_zero(
            learning_rate=lr, epsilon=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha
        )
        check_fused(None, foreach, differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "alpha": alpha,
                "eps": eps,
                "centered": centered,
                "weight_decay": weight_decay,
                "capturable": capturable,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
            },
        )

    def _names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return _NAMES[group["momentum"] > 0, bool(group["centered"])]

    def _static(self, group: dict[str, Any]) -> tuple[bool, bool, bool, bool, bool]:
        return (
            group["maximize"],
            group["weight_decay"] != 0,
            as_number(group["momentum"]) > 0,
            group["centered"],
            as_number(group["alpha"]) > 0.5,
        )

    def _numbers(self, group: dict[str, Any], step: int) -> list[float]:
        alpha = as_number(group["alpha"])
        return [
            -as_number(group["lr"]),
            alpha,
            1 - alpha,
            as_number(group["eps"]),
            as_number(group["weight_decay"]),
            as_number(group["momentum"]),
        ]

    @staticmethod
    def _rule(column: Any, numbers: Any, static: Any) -> tuple[Any, ...]:
        maximize, decay, momentum, centered, small = static
        p, g, square, *rest = column
        lr, keep, take, eps, weight_decay, keep_buffer = numbers
        if maximize:
            g = -g
        if decay:
            g = g + p * weight_decay
        square = square * keep + g * take * g
        new = [square]
        mean = None
        if centered:
            mean = lerp(rest[-1], g, take, small)
            root = sqrt(square + mean * mean * -1.0) + eps
        else:
            root = sqrt(square) + eps
        if momentum:
            buffer = rest[0] * keep_buffer + g / root
            new.append(buffer)
            p = p + buffer * lr
        else:
            p = p + g * lr / root
        if mean is not None:
            new.append(mean)
        return p, None, *new
