"""`torch._dynamo`: its switches, remembered; what runs repeatedly is compiled without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.compiler.public import allow_in_graph, disable, reset

__all__ = ["allow_in_graph", "config", "disable", "explain", "is_compiling", "optimize", "reset"]


class _Config:
    """Switches: any may be set; those that PyTorch has can be read."""

    def __init__(self) -> None:
        self.assume_static_by_default = True
        self.automatic_dynamic_shapes = True
        self.cache_size_limit = 8
        self.accumulated_cache_size_limit = 256
        self.recompile_limit = 8
        self.capture_scalar_outputs = False
        self.capture_dynamic_output_shape_ops = False
        self.dynamic_shapes = True
        self.optimize_ddp = True
        self.suppress_errors = False
        self.verbose = False
        self.log_level = 30


config = _Config()


def is_compiling() -> bool:
    """False."""
    return False


def optimize(*args: Any, **kwargs: Any) -> Callable[[Any], Any]:
    """A decorator that changes nothing (the older name of `torch.compile`)."""
    return lambda model: model


def explain(f: Any, *args: Any, **kwargs: Any) -> Any:
    """`NotImplementedError`: `rushlight.explain` says what is run."""
    raise NotImplementedError(
        "torch._dynamo.explain is not in Rushlight: rushlight.explain says what a program runs"
    )
