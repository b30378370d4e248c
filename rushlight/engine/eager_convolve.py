"""Convolutions one at a time: the kernels with run-time sizes, on NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..base.dtype import by_name
from ..base.lazy import later
from ..base.target import host
from ..graph.op import Op
from ..graph.ops.convolve import Conv, convolve_weight, described
from .eager_native import kernel, workspace

if TYPE_CHECKING:
    from ..codegen.convolve_image import Prepared, Shared

codegen: Final[Any] = later("rushlight.codegen.convolve")
text: Final[Any] = later("rushlight.codegen.text")

_KNOWN: Final[dict[Any, tuple[Shared, Any, int]]] = {}


def _text(code: Shared, symbol: str, numbers: int) -> str:
    """A kernel that does all units: their number stands behind the geometry."""
    function = f"""\
define void @{symbol}(ptr %g, ptr %out, ptr %x, ptr %y, ptr %work) {{
entry:
  %units.at = getelementptr i64, ptr %g, i64 {numbers}
  %units = load i64, ptr %units.at
  call void @{code.symbol}(ptr %g, ptr %out, ptr %x, ptr %y, ptr %work, i64 0, i64 %units)
  ret void
}}"""
    return str(text.module_text([function], {code.declaration}, [code.text]))


def _known(conv: Conv, weight: bool, name: str) -> tuple[Shared, Any, int]:
    key = (conv, weight, name)
    found = _KNOWN.get(key)
    if found is None:
        if len(_KNOWN) > 4096:
            _KNOWN.clear()
        made: Prepared = codegen.prepared(conv, by_name(name), host(), weight)
        units = conv.channels if weight else conv.images
        numbers = np.array([*made.numbers, units], dtype=np.int64)
        found = _KNOWN[key] = (made.kernel, numbers, made.workspace)
    return found


def convolved(op: Op, arg: Any, x: Any, y: Any, out: Any) -> Any:
    """``convolve`` or ``convolve_weight`` of float arrays, written to the row-major ``out``."""
    if not (out.size and x.size and y.size):
        out[...] = 0
        return out
    conv = described(op, x.shape, y.shape, arg)
    code, numbers, need = _known(conv, op is convolve_weight, x.dtype.name)
    symbol = f"{code.symbol}_alone"
    run: Callable[..., Any] = kernel(symbol, 5, lambda: _text(code, symbol, len(numbers) - 1))
    run(numbers, out, np.ascontiguousarray(x), np.ascontiguousarray(y), workspace(need))
    return out
