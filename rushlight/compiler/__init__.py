"""Programs to loops: a short list of passes from recorded operations to kernels.

Under PyTorch's name `torch.compiler` it has that module's functions (`public`); the passes load
when something is first compiled.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ..base.lazy import LOADING
from .public import (
    allow_in_graph,
    assume_constant_result,
    compile,
    cudagraph_mark_step_begin,
    disable,
    is_compiling,
    is_dynamo_compiling,
    is_exporting,
    list_backends,
    reset,
    set_stance,
    substitute_in_graph,
)

if TYPE_CHECKING:
    from .loops import LoopProgram
    from .pipeline import lower

__all__ = [
    "LoopProgram",
    "allow_in_graph",
    "assume_constant_result",
    "compile",
    "cudagraph_mark_step_begin",
    "disable",
    "is_compiling",
    "is_dynamo_compiling",
    "is_exporting",
    "list_backends",
    "lower",
    "reset",
    "set_stance",
    "substitute_in_graph",
]

_PASSES = {"LoopProgram": ".loops", "lower": ".pipeline"}


def __getattr__(name: str) -> Any:
    """What compiles, on first use."""
    if name in _PASSES:
        with LOADING:  # no process forks meanwhile
            return getattr(importlib.import_module(_PASSES[name], __name__), name)
    raise AttributeError(
        f"module 'torch.compiler' has no attribute {name!r}: torch.compiler.{name} is not in "
        "Rushlight yet"
    )
