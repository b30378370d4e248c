"""Rprop: each element's step grows while its gradient keeps its sign and shrinks when it turns.

    c = eta+ if g * prev > 0,  eta- if g * prev < 0,  else 1
    s = clamp(s * c, smallest, largest)
    g = 0 where the gradient turned
    p = p - sign(g) * s                prev = g

Source: Riedmiller & Braun, "A direct adaptive method for faster backpropagation learning: the RPROP
algorithm", 1993; operations in the order of PyTorch's single-tensor implementation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ..engine import Tensor
from ..graph.ops.elementwise import eq, gt, lt, maximum, minimum, sign, where
from .optimizer import Optimizer, ParamsT, as_number, check_at_least_zero, check_fused, full_like


class Rprop(Optimizer):
    """``torch.optim.Rprop``."""

    _counts_steps: ClassVar[bool] = True
    _state_names: ClassVar[tuple[str, ...]] = ("prev", "step_size")
    _group_defaults: ClassVar[Mapping[str, Any]] = {
        "foreach": None, "maximize": False, "differentiable": False, "capturable": False,
    }  # fmt: skip

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_at_least_zero(learning_rate=lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        check_fused(None, foreach, differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "etas": etas,
                "step_sizes": step_sizes,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def _new_state(self, p: Tensor, name: str, group: dict[str, Any]) -> Tensor:
        return full_like(p, as_number(group["lr"]) if name == "step_size" else 0.0)

    def _static(self, group: dict[str, Any]) -> Any:
        return group["maximize"]

    def _numbers(self, group: dict[str, Any], step: int) -> list[float]:
        return [float(n) for n in (*group["etas"], *group["step_sizes"])]

    @staticmethod
    def _rule(column: Any, numbers: Any, static: Any) -> tuple[Any, ...]:
        p, g, prev, step = column
        shrink, grow, smallest, largest = numbers
        if static:
            g = -g
        turn = sign(g * prev)
        back = lt(turn, 0.0)
        factor = where(gt(turn, 0.0), grow, where(back, shrink, where(eq(turn, 0.0), 1.0, turn)))
        step = minimum(maximum(step * factor, smallest), largest)
        g = where(back, 0.0, g)
        return p - sign(g) * step, None, g, step
