"""`torch.fx`: its names, for programs that import more than they use.

There are no module graphs of PyTorch's kind here: using one of them says so.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

from rushlight.base.lacking import names_of

T = TypeVar("T")

__all__ = ["has_side_effect", "wrap"]

_NAMES: Final = frozenset(
    [
        *("CodeGen", "Graph", "GraphModule", "Interpreter", "Node", "Proxy", "Tracer"),
        *("ProxyableClassMeta", "Transformer", "map_arg", "replace_pattern", "symbolic_trace"),
    ]
)

__getattr__ = names_of(
    "torch.fx",
    _NAMES,
    "modules are not rewritten as graphs here; rushlight.explain says what a program runs",
)


def wrap(fn_or_name: T) -> T:
    """The function itself: a mark for tracers."""
    return fn_or_name


def has_side_effect(fn: Any) -> Any:
    """The function itself: a mark for tracers."""
    return fn
