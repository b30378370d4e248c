"""Adafactor: Adam without momentum, its mean squares kept as a row and a column of each matrix.

    w = t^beta2_decay                  a = max(eps2, rms(p)) * min(lr, 1 / sqrt(t))
    R = lerp(R, mean of g^2 over columns, w)      C = lerp(C, mean of g^2 over rows, w)
    V = R C / max(mean R, eps1)        (a vector keeps V itself)
    u = g / sqrt(max(V, eps1^2))
    p = p - a / max(1, rms(u) / d) * u

Source: Shazeer & Stern, "Adafactor: adaptive learning rates with sublinear memory cost", 2018;
operations in the order of PyTorch's single-tensor implementation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ..engine import Tensor
from ..graph.ops.contract import matmul
from ..graph.ops.elementwise import maximum, sqrt
from ..graph.ops.reduce import count, sum_
from ..tensor.kinds import finfo
from .adam import lerp
from .optimizer import Optimizer, ParamsT, as_number


def _norm(x: Any) -> Any:
    """The length of all of ``x`` as one vector."""
    return sqrt(sum_(x * x, arg=(tuple(range(len(x.shape))), False)))


def _mean_square(g: Any, dim: int) -> Any:
    """The mean of squares over a dimension, by way of the norm, as PyTorch takes it."""
    norm = sqrt(sum_(g * g, arg=((dim,), True)))
    return norm * norm / float(g.shape[dim])


class Adafactor(Optimizer):
    """``torch.optim.Adafactor``."""

    _counts_steps: ClassVar[bool] = True
    _phases: ClassVar[bool] = True
    _state_names: ClassVar[tuple[str, ...]] = ("row_var", "col_var")
    _group_defaults: ClassVar[Mapping[str, Any]] = {"foreach": None}

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and lr.shape.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not lr >= 0.0:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not beta2_decay <= 0.0:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        if eps[0] is not None and not eps[0] >= 0.0:
            raise ValueError(f"epsilon1 should be >= 0 but is: {eps[0]}")
        if not eps[1] >= 0.0:
            raise ValueError(f"epsilon2 should be >= 0 but is: {eps[1]}")
        if not d >= 1.0:
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
        if not weight_decay >= 0.0:
            raise ValueError(f"weight_decay should be >= 0 but is: {weight_decay}")
        super().__init__(
            params,
            {
                "lr": lr,
                "beta2_decay": beta2_decay,
                "eps": eps,
                "d": d,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
            },
        )

    def _names_of(self, p: Tensor, group: dict[str, Any]) -> tuple[str, ...]:
        if p.dtype.is_complex:
            raise RuntimeError("Adafactor does not support complex parameters")
        return ("row_var", "col_var") if len(p.shape) > 1 else ("variance",)

    def _new_state(self, p: Tensor, name: str, group: dict[str, Any]) -> Tensor:
        if name == "variance":
            return super()._new_state(p, name, group)
        shape = list(p.shape)
        shape[-1 if name == "row_var" else -2] = 1
        like: Any = p
        return like.new_zeros(shape)  # type: ignore[no-any-return]

    def _static(self, group: dict[str, Any]) -> tuple[bool, bool, float | None]:
        return group["maximize"], group["weight_decay"] != 0, group["eps"][0]

    def _static_at(self, group: dict[str, Any], step: int) -> tuple[bool, bool, float | None, bool]:
        # From the first step on w is 1, then falls below one half, where lerp changes its side.
        return (*self._static(group), float(step) ** group["beta2_decay"] < 0.5)

    def _numbers(self, group: dict[str, Any], step: int) -> list[float]:
        lr = as_number(group["lr"])
        return [
            float(step) ** group["beta2_decay"],
            min(lr, 1 / (step**0.5)),
            as_number(group["eps"][1]),
            as_number(group["d"]),
            1 - lr * group["weight_decay"],
        ]

    @staticmethod
    def _rule(column: Any, numbers: Any, static: Any) -> tuple[Any, ...]:
        maximize, decay, eps1, small = static
        p, g, *state = column
        weight, rate, eps2, d, keep = numbers
        if eps1 is None:
            eps1 = finfo(p.dtype).eps
        if maximize:
            g = -g
        size = float(count(p.shape, tuple(range(len(p.shape)))))
        alpha = maximum(_norm(p) / size**0.5, eps2) * rate
        if decay:
            p = p * keep
        if len(g.shape) > 1:
            last = len(g.shape) - 1
            row = lerp(state[0], _mean_square(g, last), weight, small)
            col = lerp(state[1], _mean_square(g, last - 1), weight, small)
            mean = sum_(row, arg=((last - 1,), True)) / float(g.shape[last - 1])
            variance = matmul(row, col) / maximum(mean, eps1)
            state = [row, col]
        else:
            variance = lerp(state[0], g * g, weight, small)
            state = [variance]
        u = 1.0 / sqrt(maximum(variance, eps1 * eps1)) * g
        denominator = maximum(_norm(u) / size**0.5 / d, 1.0)
        return p + u * (-(alpha / denominator)), None, *state
