"""Shapes and dtypes of all values of a graph, noted on its nodes by running it."""

from __future__ import annotations

from typing import Any, NamedTuple

from rushlight.engine import Tensor
from rushlight.fx.module import Interpreter
from rushlight.fx.node import Node

__all__ = ["ShapeProp", "TensorMetadata"]


class TensorMetadata(NamedTuple):
    """What is known of a tensor without its values."""

    shape: Any
    dtype: Any
    requires_grad: bool
    stride: tuple[int, ...]
    memory_format: Any
    is_quantized: bool
    qparams: dict[str, Any]


def _noted(value: Any) -> Any:
    """A tensor's `TensorMetadata`; the same in tuples, lists and dictionaries; None for others."""
    if isinstance(value, Tensor):
        x: Any = value
        return TensorMetadata(x.shape, x.dtype, x.requires_grad, tuple(x.stride()), None, False, {})
    if isinstance(value, tuple | list):
        parts = [_noted(v) for v in value]
        return type(value)(parts) if any(p is not None for p in parts) else None
    if isinstance(value, dict):
        noted = {k: _noted(v) for k, v in value.items()}
        return noted if any(p is not None for p in noted.values()) else None
    return None


class ShapeProp(Interpreter):
    """Runs a graph; every node then has `meta["tensor_meta"]` and `meta["type"]`.

    `ShapeProp(traced).propagate(example)`.
    """

    def run_node(self, n: Node) -> Any:
        """What one node gives, noted on it."""
        value = super().run_node(n)
        noted = _noted(value)
        if noted is not None:
            n.meta["tensor_meta"] = noted
        n.meta["type"] = type(value)
        return value

    def propagate(self, *args: Any) -> Any:
        """Run the graph on example inputs."""
        return self.run(*args)
