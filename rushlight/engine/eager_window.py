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
    from ..codegen.convolve_image import Prepared, Shared

codegen: Final[Any] = later("rushlight.codegen.window")
text: Final[Any] = later("rushlight.codegen.text")

_KNOWN: Final[dict[Any, tuple[Shared, Any]]] = {}


def _text(code: Shared, symbol: str, numbers: int, back: bool) -> str:
    """A kernel that does all planes: their number stands behind the geometry."""
    given = "ptr %x, ptr %y" if back else "ptr %x"
    function = f"""\
define void @{symbol}(ptr %g, ptr %out, {given}) {{
entry:
  %planes.at = getelementptr i64, ptr %g, i64 {numbers}
  %planes = load i64, ptr %planes.at
  call void @{code.symbol}(ptr %g, ptr %out, {given}, i64 0, i64 %planes)
  ret void
}}"""
    return str(text.module_text([function], {code.declaration}, [code.text]))


def pooled(op: Op, arg: Any, xs: Sequence[Any], out: Any) -> Any:
    """A row of ``graph/ops/window.py`` on arrays, written to the row-major ``out``."""
    x = xs[-1]
    shape = x.shape
    if not (numel(shape) and xs[0].size and out.size):
        out[...] = 0
        return out
    job = JOBS[op]
    key = (shape, arg, job, x.dtype.char)
    found = _KNOWN.get(key)
    if found is None:
        if len(_KNOWN) > 4096:
            _KNOWN.clear()
        made: Prepared = codegen.prepared(windows_of(shape, arg), from_numpy(x.dtype), host(), job)
        planes = shape[0] * shape[1]
        found = _KNOWN[key] = (made.kernel, np.array([*made.numbers, planes], dtype=np.int64))
    code, numbers = found
    symbol, back = f"{code.symbol}_alone", job == "back"
    run = kernel(symbol, 3 + back, lambda: _text(code, symbol, len(numbers) - 1, back))
    run(numbers, out, *(np.ascontiguousarray(v) for v in xs))
    return out
