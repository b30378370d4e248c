"""Muon: momentum whose matrix is made orthogonal, for the matrices inside of a network.

    b = lerp(b, g, 1 - momentum)       u = lerp(g, b, momentum) with Nesterov, else b
    X = u / |u| in bfloat16, then ns_steps times:  X = a X + (b A + c A A) X  with  A = X X^T
    p = p * (1 - lr * weight_decay) - lr' * X

where lr' is lr * sqrt(max(1, rows / columns)), or 0.2 * lr * sqrt(max(rows, columns)).  Source:
Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024; operations in the
order of PyTorch's single-tensor implementation.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from ..base import dtype as dt
from ..engine import Tensor
from ..graph.ops.contract import matmul, transpose
from ..graph.ops.elementwise import cast, maximum, sqrt
from ..graph.ops.reduce import sum_
from .adam import lerp
from .optimizer import Optimizer, ParamsT, as_number


def _orthogonal(u: Any, coefficients: tuple[float, float, float], steps: int, eps: float) -> Any:
    """Nearly U V^T of the singular value decomposition of ``u``, by Newton and Schulz."""
    a, b, c = coefficients
    x = cast(u, arg=dt.bfloat16)
    tall = u.shape[0] > u.shape[1]
    if tall:
        x = transpose(x)
    # The norm is summed in single precision and rounded once.
    wide = cast(x, arg=dt.float32)
    norm = cast(sqrt(sum_(wide * wide, arg=((0, 1), False))), arg=dt.bfloat16)
    x = x / maximum(norm, eps)
    for _ in range(steps):
        gram = matmul(x, transpose(x))
        update = _sum(gram, b, matmul_wide(gram, gram), c)
        x = _sum(x, a, matmul_wide(update, x), 1.0)
    return transpose(x) if tall else x


def matmul_wide(x: Any, y: Any) -> Any:
    """A product of bfloat16 matrices that is not rounded yet."""
    return matmul(cast(x, arg=dt.float32), cast(y, arg=dt.float32))


def _sum(x: Any, a: float, product: Any, b: float) -> Any:
    """``a x + b product``, rounded once."""
    return cast(cast(x, arg=dt.float32) * a + product * b, arg=dt.bfloat16)


class Muon(Optimizer):
    """``torch.optim.Muon``."""

    _state_names: ClassVar[tuple[str, ...]] = ("momentum_buffer",)

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        if isinstance(lr, Tensor) and lr.shape.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not lr >= 0.0:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not momentum >= 0.0:
            raise ValueError(f"momentum should be >= 0 but is: {momentum}")
        if not weight_decay >= 0.0:
            raise ValueError(f"weight decay should be >= 0 but is: {weight_decay}")
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        super().__init__(
            params,
            {
                "lr": lr,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "nesterov": nesterov,
                "ns_coefficients": ns_coefficients,
                "eps": eps,
                "ns_steps": ns_steps,
                "adjust_lr_fn": adjust_lr_fn,
            },
        )
        for group in self.param_groups:
            for p in group["params"]:
                if len(p.shape) != 2:
                    raise ValueError(
                        "Muon only supports 2D parameters whereas we found a parameter with size: "
                        f"{p.shape}"
                    )

    def _names_of(self, p: Tensor, group: dict[str, Any]) -> tuple[str, ...]:
        if p.dtype.is_complex:
            raise RuntimeError("Muon does not support complex parameters")
        return self._state_names

    def _static(self, group: dict[str, Any]) -> tuple[Any, ...]:
        steps = group["ns_steps"]
        if steps >= 100:
            raise ValueError("Number of steps must be less than 100 for computational efficiency")
        coefficients = tuple(group["ns_coefficients"])
        if len(coefficients) != 3:
            raise ValueError("Coefficients must be a tuple of exactly 3 values")
        return (
            group["nesterov"],
            coefficients,
            steps,
            group["eps"],
            group["adjust_lr_fn"],
            group["momentum"],
        )

    def _numbers(self, group: dict[str, Any], step: int) -> list[float]:
        lr = as_number(group["lr"])
        momentum = as_number(group["momentum"])
        # A rate that is a tensor rounds to its own type here, as in PyTorch.
        shrink = as_number(1 - group["lr"] * group["weight_decay"])
        return [1 - momentum, momentum, shrink, -lr]

    @staticmethod
    def _rule(column: Any, numbers: Any, static: Any) -> tuple[Any, ...]:
        nesterov, coefficients, steps, eps, adjust, momentum = static
        p, g, buffer = column
        take, keep, shrink, lr = numbers
        buffer = lerp(buffer, g, take, 1 - momentum < 0.5)
        u = lerp(g, buffer, keep, momentum < 0.5) if nesterov else buffer
        u = _orthogonal(u, coefficients, steps, eps)
        rows, columns = p.shape
        if adjust == "match_rms_adamw":
            ratio = 0.2 * math.sqrt(max(rows, columns))
        else:
            ratio = math.sqrt(max(1, rows / columns))
        return p * shrink + cast(u, arg=p.dtype) * (lr * ratio), None, buffer
