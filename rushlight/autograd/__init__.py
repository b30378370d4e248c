"""`torch.autograd`: gradients, grad modes, functions with a gradient of their own."""

from __future__ import annotations

from typing import Any

from rushlight.autograd import function, functional, grad_mode
from rushlight.autograd.engine import backward, grad
from rushlight.autograd.function import Function
from rushlight.autograd.grad_mode import (
    enable_grad,
    inference_mode,
    no_grad,
    set_grad_enabled,
)
from rushlight.autograd.gradcheck import gradcheck, gradgradcheck
from rushlight.engine import Tensor
from rushlight.tensor.convert import detach, requires_grad_
from rushlight.tensor.creation import as_tensor

__all__ = [
    "Function",
    "Variable",
    "backward",
    "enable_grad",
    "function",
    "functional",
    "grad",
    "grad_mode",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
]


class _VariableMeta(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)


class Variable(metaclass=_VariableMeta):
    """The old name of a tensor: `Variable(data, requires_grad=False)` gives one."""

    def __new__(cls, data: Any = None, requires_grad: bool = False, volatile: bool = False) -> Any:
        x = as_tensor(data) if data is not None else as_tensor([])
        made = detach(x) if isinstance(data, Tensor) else x
        return requires_grad_(made) if requires_grad else made


class detect_anomaly:
    """Accepted: errors of a gradient name the line that recorded the operation in any case."""

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


class set_detect_anomaly(detect_anomaly):
    """`detect_anomaly` as a setting."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        super().__init__(check_nan)
        self.mode = mode
