"""General native kernels with run-time sizes: what NumPy does not do with our bits.

A kernel is a C function ``void f(ptr geometry, ptr out, ptr x, ...)``: ``geometry`` points to int64
sizes and strides, the others to elements.  Python calls it with NumPy arrays.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..base.dtype import by_name, dtype
from ..base.lazy import later
from ..base.target import host
from ..runtime.jit import compile_text
from ..runtime.native import METH_FASTCALL, SUPPORTED, builtin

if TYPE_CHECKING:
    from ..codegen.matmul import GeneralMatmul

matmul: Final[Any] = later("rushlight.codegen.matmul")
text: Final[Any] = later("rushlight.codegen.text")
vectormath: Final[Any] = later("rushlight.codegen.vectormath")

_KERNELS: Final[dict[str, Callable[..., Any]]] = {}
_DATA = object.__basicsize__  # where an array object keeps the address of its elements


def _entry(name: str, arrays: int) -> str:
    """The text of a Python function that takes ``arrays`` NumPy arrays and calls ``name``."""
    loads, given = [], []
    for i in range(arrays):
        loads.append(f"  %o{i}.at = getelementptr ptr, ptr %args, i64 {i}")
        loads.append(f"  %o{i} = load ptr, ptr %o{i}.at")
        loads.append(f"  %d{i}.at = getelementptr i8, ptr %o{i}, i64 {_DATA}")
        loads.append(f"  %d{i} = load ptr, ptr %d{i}.at")
        given.append(f"ptr %d{i}")
    return (
        f"define ptr @{name}_entry(ptr %self, ptr %args, i64 %count) {{\nentry:\n"
        + "\n".join(loads)
        + f"\n  call void @{name}({', '.join(given)})\n"
        # the last argument, held once more, is what the call gives back: None would not be counted
        + "  %refs = load i64, ptr %o1\n  %held = add i64 %refs, 1\n  store i64 %held, ptr %o1\n"
        "  ret ptr %o1\n}\n"
    )


def kernel(name: str, arrays: int, source: Callable[[], str]) -> Callable[..., Any]:
    """The kernel ``name`` as a Python function of (geometry, out, *operands).

    Compiled when first met.
    """
    found = _KERNELS.get(name)
    if found is None:
        if SUPPORTED:
            library = compile_text(source() + "\n" + _entry(name, arrays), name_hint=name)
            found = builtin(
                library.address(f"{name}_entry"), None, METH_FASTCALL, name=name, keep=library
            )
        else:
            found = _foreign(compile_text(source(), name_hint=name).address(name), arrays)
        _KERNELS[name] = found
    return found


def _foreign(address: int, arrays: int) -> Callable[..., Any]:
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * arrays)(address)

    def call(*operands: Any) -> Any:
        function(*[o.ctypes.data for o in operands])
        return operands[1]

    return call


# ---------------------------------------------------------------- special functions
ELEMENT: Final = {"float32": ("float", "f32"), "float64": ("double", "f64")}
_COUNTS: Final[dict[int, Any]] = {}


def geometry(n: int) -> Any:
    """``n`` where a kernel can read it."""
    found = _COUNTS.get(n)
    if found is None:
        if len(_COUNTS) > 4096:
            _COUNTS.clear()
        found = _COUNTS[n] = np.array([n], dtype=np.int64)
    return found


def _special_text(name: str, symbol: str, element: str) -> str:
    operands = ["ptr %x", "ptr %y"] if name in vectormath.BINARY else ["ptr %x"]
    return (
        str(vectormath.kernel_text(name, element))
        + f"""
define void @{symbol}(ptr %g, ptr %out, {", ".join(operands)}) {{
entry:
  %n = load i64, ptr %g
  call void @k(i64 %n, {", ".join(operands)}, ptr %out)
  ret void
}}
"""
    )


def special(name: str, kind: dtype) -> Callable[..., Any]:
    """A special function on NumPy arrays or scalars of type ``kind``; gives a row-major array."""
    element, suffix = ELEMENT[kind.name]
    if name not in vectormath.FUNCTIONS and name not in vectormath.BINARY:
        raise NotImplementedError(f"{name}: there is no such vector function")
    two = name in vectormath.BINARY
    symbol = f"special_{name}_{suffix}"
    run = kernel(symbol, 4 if two else 3, lambda: _special_text(name, symbol, element))
    wanted = np.dtype(kind.numpy)

    def one(x: Any) -> Any:
        x = np.asarray(x, order="C")
        out = np.empty(x.shape, wanted)
        run(geometry(x.size), out, x)
        return out

    def both(x: Any, y: Any) -> Any:
        if np.shape(x) != np.shape(y):
            x, y = np.broadcast_arrays(x, y)
        x, y = np.asarray(x, order="C"), np.asarray(y, order="C")
        out = np.empty(x.shape, wanted)
        run(geometry(x.size), out, x, y)
        return out

    return both if two else one


# ---------------------------------------------------------------- matrix products
_PRODUCTS: Final[dict[str, tuple[Callable[..., Any], GeneralMatmul]]] = {}


def product_function(code: GeneralMatmul, symbol: str) -> str:
    """The general product behind a geometry: am, ak, bk, bn, cm, m, k, n."""
    loads = "\n".join(
        f"  %g{i}.at = getelementptr i64, ptr %g, i64 {i}\n  %g{i} = load i64, ptr %g{i}.at"
        for i in range(8)
    )
    return f"""\
define void @{symbol}(ptr %g, ptr %c, ptr %a, ptr %b, ptr %work) {{
entry:
{loads}
  call void @{code.symbol}(ptr %a, i64 %g0, i64 %g1, ptr %b, i64 %g2, i64 %g3, ptr %c, i64 %g4,
    i64 %g5, i64 %g6, i64 %g7, ptr %work)
  ret void
}}
"""


def _product_text(code: GeneralMatmul, symbol: str) -> str:
    function = product_function(code, symbol)
    # a module of its own, which plans call too: it is long to compile
    return str(text.module_text([function], {code.declaration}, [code.text]))


_SHARED: Final[list[Any]] = []  # workspace: a call holds the interpreter's lock from start to end
_GEOMETRY: Final[dict[Any, tuple[Any, int]]] = {}


def workspace(need: int) -> Any:
    """Memory for what lives inside one call of a kernel, aligned to cache lines."""
    if SUPPORTED and _SHARED and _SHARED[0].nbytes >= need:
        return _SHARED[0]
    work = np.empty(need + 64, np.uint8)
    work = work[-work.ctypes.data % 64 :]
    if need <= 1 << 23:
        _SHARED[:] = [work]
    return work


def product(out: Any, a: Any, b: Any) -> None:
    """``out = a @ b`` for float matrices; ``out``'s columns lie next to each other."""
    kind = a.dtype.char
    found = _PRODUCTS.get(kind)
    if found is None:
        name = a.dtype.name
        code = matmul.general_matmul(by_name(name), host())
        symbol = f"product_{name}"
        run = kernel(symbol, 5, lambda: _product_text(code, symbol))
        found = _PRODUCTS[kind] = (run, code)
    if a.shape[1] == 0:
        out[...] = 0
        return
    key = (kind, a.shape, b.shape, a.strides, b.strides, out.strides)
    known = _GEOMETRY.get(key)
    if known is None:
        if len(_GEOMETRY) > 4096:
            _GEOMETRY.clear()
        (m, k), n, size = a.shape, b.shape[1], a.itemsize
        strides = [s // size for s in (*a.strides, *b.strides, out.strides[0])]
        sizes = np.array([*strides, m, k, n], dtype=np.int64)
        known = _GEOMETRY[key] = (sizes, found[1].workspace(m, k, n))
    found[0](known[0], out, a, b, workspace(known[1]))
