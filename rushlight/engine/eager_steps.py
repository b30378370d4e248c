"""The general kernels that first runs call, compiled when they have been wanted often enough.

NumPy takes an operation's place until then: code that runs once waits for no compiler.  A kernel
that is on disk is loaded at once where its name is known there (``runtime/named.py``), and sooner
where its text has to be written to find it: that costs what NumPy takes for about ten operations.
Each function gives the address of a kernel, or 0 as long as there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from ..base.dtype import ALL, by_name, dtype
from ..base.errors import CompileError
from ..base.lazy import later
from ..base.target import host
from ..graph.op import OPS, Op, Spec, compute_type
from ..runtime.jit import compile_text, stored
from ..runtime.named import compile_named, fact, note, noted, recalled
from .steps import FILL

# What writes texts: a process whose kernels are on disk does without.
general: Final[Any] = later("rushlight.codegen.general")
matmul: Final[Any] = later("rushlight.codegen.matmul")
native: Final[Any] = later("rushlight.engine.eager_native")
reduce: Final[Any] = later("rushlight.engine.eager_reduce")
one_row: Final[Any] = later("rushlight.engine.eager_row")

PATIENCE: Final = [64]  # how often a kernel is wanted before it is compiled
EARLY: Final = 8  # after one part in so many of that it is looked for on disk
REFUSED: Final = -1 << 40  # wanted so often: never compiled
_wanted: Final[dict[Any, int]] = {}


def wanted(key: Any) -> bool:
    """Counts a wish; has it been wanted often enough?"""
    n = _wanted.get(key, 0) + 1
    _wanted[key] = n
    return n > PATIENCE[0]


def _made(key: Any, symbol: str, source: Callable[[], str]) -> int:
    enough = wanted(key)
    count = _wanted[key]
    try:
        library = recalled(symbol) if enough or count == 1 else None
        if library is None:
            if not enough and count * EARLY != PATIENCE[0]:
                return 0
            text = source()
            if not enough and not stored(text):
                return 0
            library = compile_text(text, name_hint=symbol)
            noted(symbol, library)
        return library.address(symbol)
    except (CompileError, NotImplementedError):
        _wanted[key] = REFUSED
        return 0


# ---------------------------------------------------------------- elementwise rows
def elementwise(
    code: int, modes: Sequence[int], specs: Sequence[Spec], out: dtype, key: Any
) -> int:
    """The kernel of a row whose operands are read in these modes (see ``first.py``)."""
    op: Op | None = None if code == FILL else OPS[code]
    ctype = out if op is None else compute_type(op.types, specs, out)
    reads = []
    words = []
    for mode, spec in zip(modes, specs, strict=True):
        how = "v" if mode == 0 else "d" if mode == 3 else "q" if mode > 3 else "s"
        reads.append((how, spec.dtype))
        words.append(how if mode > 2 else f"{how}{spec.dtype.code}")
    name = "fill" if op is None else op.name
    symbol = f"row_{name}_{'_'.join(words)}_{ctype.code}_{out.code}"
    return _made(
        key,
        symbol,
        lambda: str(general.elementwise_text(symbol, op, reads, ctype, out, host())),
    )


# ---------------------------------------------------------------- programs, copies
_program: Final[list[int]] = []


def program() -> list[int]:
    """The addresses of ``run``, ``nest``, the copy of bytes, those of 1, 2, 4, 8, 16 bytes."""
    if not _program:
        library = compile_named(
            "general programs", lambda: str(general.program_text("run_steps", "nest_steps"))
        )
        made = [library.address("run_steps"), library.address("nest_steps")]
        library = compile_named("general copies", _copies)
        made.append(library.address("copy_bytes"))
        made.extend([library.address(f"copy_strided_{n}") for n in (1, 2, 4, 8, 16)])
        _program[:] = made  # whole at once: other threads may be here
    return _program


def _copies() -> str:
    texts = [general.copy_text("copy_bytes")]
    texts += [general.strided_copy_text(f"copy_strided_{n}", n) for n in (1, 2, 4, 8, 16)]
    return "\n".join(texts)


# ---------------------------------------------------------------- places
def places(size: int, index: int) -> int:
    """Elements of ``size`` bytes (0: blocks of bytes) read at places of the type ``index``."""
    bits = 8 * ALL[index].itemsize
    symbol = f"places_{size}_{bits}"
    return _made(symbol, symbol, lambda: str(general.place_text(symbol, size, bits)))


def added(kind: int, index: int) -> int:
    """Blocks of floats added at places of the type ``index``."""
    bits = 8 * ALL[index].itemsize
    element, suffix = _ELEMENT[ALL[kind].name]
    symbol = f"added_{suffix}_{bits}"
    return _made(symbol, symbol, lambda: str(general.place_text(symbol, 0, bits, element)))


# ---------------------------------------------------------------- reductions
_ELEMENT: Final = {"float32": ("float", "f32"), "float64": ("double", "f64")}


def fold(name: str, kind: int, lanes: bool) -> int:
    """A reduction of floats over the last dimension (``lanes``) or over one before it."""
    element, suffix = _ELEMENT[ALL[kind].name]
    inner = f"fold_{name}{'' if lanes else '_columns'}_{suffix}"
    symbol = f"{inner}_step"

    def source() -> str:
        write = reduce.lanes_text if lanes else reduce.columns_text
        step = general.step_text(symbol, inner, 2, 0, 2 if lanes else 3)
        return f"{write(name, element, inner)}\n{step}"

    return _made(symbol, symbol, source)


# ---------------------------------------------------------------- matrix products
_codes: Final[dict[int, Any]] = {}


def product(kind: int) -> int:
    """The product of matrices of floats."""
    inner = f"product_{ALL[kind].name}_sizes"
    symbol = f"product_{ALL[kind].name}_step"

    def source() -> str:
        code = _code(kind)
        step = general.step_text(symbol, inner, 3, 1, 8)
        functions = [native.product_function(code, inner), step]
        return str(general.module_of([*functions, code.declaration], [code.text]))

    return _made(symbol, symbol, source)


def row_product(kind: int, by_rows: bool) -> int:
    """The product of a row and a matrix whose rows, or columns, lie side by side."""
    element, suffix = _ELEMENT[ALL[kind].name]
    symbol = f"row_product_{'rows' if by_rows else 'columns'}_{suffix}"
    lanes = max(1, host().vector_bits // (8 * ALL[kind].itemsize))
    return _made(
        symbol, symbol, lambda: str(one_row.row_product_text(symbol, element, lanes, by_rows))
    )


def _code(kind: int) -> Any:
    code = _codes.get(kind)
    if code is None:
        code = _codes[kind] = matmul.general_matmul(by_name(ALL[kind].name), host())
    return code


def product_blocks(kind: int) -> tuple[int, int, int, int, int, int, int]:
    """What the workspace of a product depends on: columns of a tile and of a block, rows of both,
    the longest depth, elements that packing may spill, bytes of an element."""
    name = f"blocks of product_{ALL[kind].name}"
    known = fact(name)
    if known is None:
        b = _code(kind).sizes
        spare = b.workspace(0, 0, 0) // ALL[kind].itemsize
        known = f"{b.columns} {b.nc} {b.rows} {b.mc} {b.kc} {spare}"
        note(name, known)
    columns, nc, rows, mc, kc, spill = [int(word) for word in known.split()]
    return columns, nc, rows, mc, kc, spill, ALL[kind].itemsize
