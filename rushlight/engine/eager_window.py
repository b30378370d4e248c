"""Max pooling one at a time: the kernels with run-time sizes, on NumPy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..base.dtype import from_numpy
from ..base.lazy import later
from ..base.shape import numel
from ..base.target import host
from ..graph.op import Op
from ..graph.ops.window import JOBS, windows_of
from .eager_native import kernel

if TYPE_CHECKING:
    from ..codegen.window import Job, Kernels

codegen: Final[Any] = later("rushlight.codegen.window")
text: Final[Any] = later("rushlight.codegen.text")

_GEOMETRY: Final[dict[Any, Any]] = {}
_PLANES: Final = 18  # where the number of planes stands, behind the geometry


def _text(code: Kernels, symbol: str, inner: str, job: Job) -> str:
    """A kernel that does all planes: their number stands behind the geometry."""
    given = "ptr %x, ptr %y" if job == "back" else "ptr %x"
    function = f"""\
define void @{symbol}(ptr %g, ptr %out, {given}) {{
entry:
  %planes.at = getelementptr i64, ptr %g, i64 {_PLANES}
  %planes = load i64, ptr %planes.at
  call void @{inner}(ptr %g, ptr %out, {given}, i64 0, i64 %planes)
  ret void
}}"""
    return str(text.module_text([function], code.declarations, [code.text]))


def pooled(op: Op, arg: Any, xs: Sequence[Any], out: Any) -> Any:
    """A row of ``graph/ops/window.py`` on arrays, written to the row-major ``out``."""
    shape = xs[-1].shape
    if not (numel(shape) and xs[0].size and out.size):
        out[...] = 0
        return out
    code: Kernels = codegen.kernels(from_numpy(xs[-1].dtype), host())
    job = JOBS[op]
    windows = windows_of(shape, arg)
    inner = code.entry(job, windows)
    symbol = f"{inner}_alone"
    key = (shape, arg)
    numbers = _GEOMETRY.get(key)
    if numbers is None:
        if len(_GEOMETRY) > 4096:
            _GEOMETRY.clear()
        planes = shape[0] * shape[1]
        found = [*codegen.numbers(windows), planes]
        numbers = _GEOMETRY[key] = np.array(found, dtype=np.int64)
    run = kernel(symbol, 4 if job == "back" else 3, lambda: _text(code, symbol, inner, job))
    run(numbers, out, *(np.ascontiguousarray(x) for x in xs))
    return out
