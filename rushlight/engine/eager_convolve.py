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
    from ..codegen.convolve import Kernels

codegen: Final[Any] = later("rushlight.codegen.convolve")
text: Final[Any] = later("rushlight.codegen.text")

_GEOMETRY: Final[dict[Any, tuple[str, Any, int]]] = {}


def _text(code: Kernels, symbol: str, inner: str, numbers: int) -> str:
    """A kernel that does all units: their number stands behind the geometry."""
    function = f"""\
define void @{symbol}(ptr %g, ptr %out, ptr %x, ptr %y, ptr %work) {{
entry:
  %units.at = getelementptr i64, ptr %g, i64 {numbers}
  %units = load i64, ptr %units.at
  call void @{inner}(ptr %g, ptr %out, ptr %x, ptr %y, ptr %work, i64 0, i64 %units)
  ret void
}}"""
    return str(text.module_text([function], code.declarations, [code.text]))


def _known(code: Kernels, conv: Conv, weight: bool, name: str) -> tuple[str, Any, int]:
    key = (conv, weight, name)
    found = _GEOMETRY.get(key)
    if found is None:
        if len(_GEOMETRY) > 4096:
            _GEOMETRY.clear()
        sizes = code.numbers(conv, weight)
        units = conv.channels if weight else conv.images
        numbers = np.array([*sizes.numbers, units], dtype=np.int64)
        found = _GEOMETRY[key] = (sizes.symbol, numbers, sizes.workspace)
    return found


def convolved(op: Op, arg: Any, x: Any, y: Any, out: Any) -> Any:
    """``convolve`` or ``convolve_weight`` of float arrays, written to the row-major ``out``."""
    if not (out.size and x.size and y.size):
        out[...] = 0
        return out
    name, weight = x.dtype.name, op is convolve_weight
    code: Kernels = codegen.kernels(by_name(name), host())
    conv = described(op, x.shape, y.shape, arg)
    inner, numbers, need = _known(code, conv, weight, name)
    symbol = f"{inner}_alone"
    run: Callable[..., Any] = kernel(
        symbol, 5, lambda: _text(code, symbol, inner, len(numbers) - 1)
    )
    run(numbers, out, np.ascontiguousarray(x), np.ascontiguousarray(y), workspace(need))
    return out
