"""`torch.overrides`: what programs ask about tensor-like objects.

Functions are called as they are: `__torch_function__` of a class that is no tensor is not looked
for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rushlight.engine import Tensor

__all__ = [
    "get_ignored_functions", "handle_torch_function", "has_torch_function",
    "has_torch_function_unary", "has_torch_function_variadic", "is_tensor_like",
    "is_tensor_method_or_property", "resolve_name",
]  # fmt: skip


def is_tensor_like(inp: Any) -> bool:
    """Whether it is a tensor, or has `__torch_function__`."""
    return isinstance(inp, Tensor) or hasattr(inp, "__torch_function__")


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """False: no argument takes a call over."""
    return False


def has_torch_function_unary(x: Any) -> bool:
    """False."""
    return False


def has_torch_function_variadic(*args: Any) -> bool:
    """False."""
    return False


def handle_torch_function(
    public_api: Callable[..., Any], relevant_args: Iterable[Any], *args: Any, **kwargs: Any
) -> Any:
    """The function itself, called."""
    return public_api(*args, **kwargs)


def is_tensor_method_or_property(func: Callable[..., Any]) -> bool:
    """Whether it is one of `Tensor`'s own."""
    name = getattr(func, "__name__", "")
    return getattr(Tensor, name, None) is func or name == "__get__"


def resolve_name(f: Callable[..., Any]) -> str | None:
    """The dotted name of a function of `torch`."""
    name = getattr(f, "__qualname__", None)
    module = getattr(f, "__module__", None)
    if name is None or module is None:
        return None
    return f"torch.{name}" if module.startswith("rushlight") else f"{module}.{name}"


def get_ignored_functions() -> set[Callable[..., Any]]:
    """Empty: nothing is overridden, so nothing is left out."""
    return set()
