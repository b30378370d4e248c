"""Adam and AdamW: steps scaled by running means of the gradient and of its square.

    m = lerp(m, g, 1 - beta1)          v = beta2 * v + (1 - beta2) * g * g
    p = p - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)

Adam adds ``weight_decay * p`` to the gradient; AdamW scales the parameter by ``1 - lr *
weight_decay`` first.  AMSGrad divides by the largest v so far.  Sources: Kingma & Ba, "Adam", 2015;
Loshchilov & Hutter, "Decoupled weight decay regularization", 2019; Reddi et al., "On the
convergence of Adam and beyond", 2018.  Operations are in the order of PyTorch's single-tensor
implementation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ..engine import Tensor
from ..graph.ops.elementwise import maximum, sqrt
from .optimizer import (
    Optimizer,
    ParamsT,
    as_number,
    check_at_least_zero,
    check_fused,
    check_lr_tensor,
)


def lerp(start: Any, end: Any, weight: Any, small: bool) -> Any:
    """``start`` moved towards ``end``; PyTorch starts from the nearer side (``small``: weight <
    0.5).
    """
    return start + (end - start) * weight if small else end - (end - start) * (1.0 - weight)


class Adam(Optimizer):
    """``torch.optim.Adam``."""

    _counts_steps: ClassVar[bool] = True
    _PLAIN: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_avg_sq")
    _AMSGRAD: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
    _group_defaults: ClassVar[Mapping[str, Any]] = {
        "amsgrad": False, "maximize": False, "foreach": None, "capturable": False,
        "differentiable": False, "decoupled_weight_decay": False, "fused": None,
    }  # fmt: skip

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        check_lr_tensor(foreach, capturable, lr=lr)
        check_at_least_zero(learning_rate=lr, epsilon=eps)
        for i, beta in enumerate(betas):
            if isinstance(beta, Tensor) and beta.shape.numel() != 1:
                raise ValueError(f"Tensor betas[{i}] must be 1-element")
            if not 0.0 <= as_number(beta) < 1.0:
                raise ValueError(f"Invalid beta parameter at index {i}: {beta}")
        check_at_least_zero(weight_decay=weight_decay)
        if not (
            all(isinstance(beta, float) for beta in betas)
            or all(isinstance(beta, Tensor) for beta in betas)
        ):
            raise ValueError("betas must be either both floats or both Tensors")
        check_lr_tensor(foreach, capturable, **{"betas[0]": betas[0], "betas[1]": betas[1]})
        check_fused(fused, foreach, differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
                "fused": fused,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )

    def _names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return self._AMSGRAD if group["amsgrad"] else self._PLAIN

    def _static(self, group: dict[str, Any]) -> tuple[bool, str, bool, bool]:
        decay = (
            ""
            if group["weight_decay"] == 0
            else "scale"
            if group["decoupled_weight_decay"]
            else "add"
        )
        small = as_number(group["betas"][0]) > 0.5
        return group["maximize"], decay, group["amsgrad"], small

    def _numbers(self, group: dict[str, Any], step: int) -> list[float]:
        lr = as_number(group["lr"])
        beta1, beta2 = group["betas"]
        beta1, beta2 = as_number(beta1), as_number(beta2)
        numbers = [
            1 - beta1,
            beta2,
            1 - beta2,
            (1 - beta2**step) ** 0.5,
            as_number(group["eps"]),
            -(lr / (1 - beta1**step)),
        ]
        if group["weight_decay"] != 0:
            decay = as_number(group["weight_decay"])
            numbers.append(1 - lr * decay if group["decoupled_weight_decay"] else decay)
        return numbers

    @staticmethod
    def _rule(column: Any, numbers: Any, static: Any) -> tuple[Any, ...]:
        maximize, decay, amsgrad, small = static
        p, g, m, v, *largest = column
        take1, keep2, take2, correction, eps, step_size, *rest = numbers
        if maximize:
            g = -g
        if decay == "scale":
            p = p * rest[0]
        elif decay == "add":
            g = g + p * rest[0]
        m = lerp(m, g, take1, small)
        v = v * keep2 + g * take2 * g
        top = maximum(largest[0], v) if amsgrad else v
        p = p + m * step_size / (sqrt(top) / correction + eps)
        return (p, None, m, v, top) if amsgrad else (p, None, m, v)


class AdamW(Adam):
    """``torch.optim.AdamW``: Adam whose weight decay does not pass through the running means."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize,
            capturable=capturable, differentiable=differentiable, fused=fused,
            decoupled_weight_decay=True,
        )  # fmt: skip

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
