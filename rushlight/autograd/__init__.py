"""`torch.autograd`: gradients, grad modes, functions with a gradient of their own."""

from __future__ import annotations

import importlib
from typing import Any, Final

from rushlight.autograd import function, grad_mode
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


# Not everyday: loaded when first used.
_LATER: Final = {
    "anomaly_mode": None,
    "detect_anomaly": "anomaly_mode",
    "forward_ad": None,
    "functional": None,
    "graph": None,
    "profiler": None,
    "profiler_util": None,
    "set_detect_anomaly": "anomaly_mode",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(
            f"module 'torch.autograd' has no attribute {name!r}: torch.autograd.{name} is not in "
            "Rushlight yet"
        )
    module = importlib.import_module(f"{__name__}.{_LATER[name] or name}")
    return module if _LATER[name] is None else getattr(module, name)
