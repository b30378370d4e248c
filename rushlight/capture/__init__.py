"""`torch.compile` of a whole training step: run once as it is, then replayed without its Python.

`step.py` decides, call by call, between running and replaying; `trace.py` watches which Python
runs; `analysis.py` reads that Python for what it rests on and what it leaves behind;
`engine/noting.py` and `engine/capture.py` do the part that is about tensors.
"""

from __future__ import annotations

from typing import Any, Final

from ..base.lazy import later
from ..compiler.public import MAKERS

# Needed only where something is compiled.
nn: Final[Any] = later("rushlight.nn.module")
modules: Final[Any] = later("rushlight.capture.module")
step: Final[Any] = later("rushlight.capture.step")


def compiled(model: Any) -> Any:
    """What `torch.compile` gives for a function or a module."""
    if isinstance(model, nn.Module):
        return modules.OptimizedModule(model)
    if isinstance(model, type):
        return model
    return step.captured_function(model)


MAKERS[:] = [compiled]

__all__ = ["compiled"]
