"""What PyTorch calls an object's type in its messages."""

from __future__ import annotations

from typing import Any

from ..engine import Tensor


def typename(obj: Any) -> str:
    """``'torch.FloatTensor'`` for a tensor, else the qualified name of the type
    (``torch.typename``).
    """
    if isinstance(obj, Tensor):
        return f"torch.{obj.dtype.typename}Tensor"
    cls = obj if isinstance(obj, type) else type(obj)
    module = cls.__module__
    prefix = "" if module in ("builtins", "__builtin__") else f"{module}."
    return prefix + cls.__qualname__
