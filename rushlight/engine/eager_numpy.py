"""Elementwise rows as NumPy functions: a row's meaning traced once, then a few NumPy calls.

Exact steps are NumPy's (one rounding each, as IEEE 754 says); special functions come from
``eager_native``.  A traced function is made for each (row, operand types, work type, result type).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from ..base import dtype as dt
from ..base.dtype import array_type, dtype
from ..graph.complexes import LOWER, ComplexBuilder
from ..graph.op import Op
from ..graph.scalar import Scalar, ScalarBuilder
from .eager_native import special

_UNARY: Final[dict[str, Any]] = {
    "neg": np.negative,
    "abs": np.absolute,
    "sqrt": np.sqrt,
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "round": np.rint,
    "not": np.invert,
}
_BINARY: Final[dict[str, Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "rem": np.fmod,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "shl": np.left_shift,
    "shr": np.right_shift,
}
_COMPARE: Final[dict[str, Any]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}


def _divide_integers(x: Any, y: Any) -> Any:
    """C's division: truncates towards zero; 0 for a zero divisor."""
    q = np.floor_divide(x, y)
    r = np.subtract(x, np.multiply(q, y))
    up = np.not_equal(r, 0) & (np.less(x, 0) != np.less(y, 0)) & np.not_equal(y, 0)
    return np.add(q, up.astype(q.dtype))


def _power_integers(x: Any, y: Any) -> Any:
    """Wraps; a negative exponent gives 1 / x truncated."""
    kind = np.result_type(x, y)
    negative = np.less(y, 0)
    up = np.power(x, np.where(negative, 0, y).astype(kind), dtype=kind)
    odd = np.not_equal(np.bitwise_and(y, 1), 0)
    signs = np.where(np.equal(x, 1), 1, np.where(np.equal(x, -1), np.where(odd, -1, 1), 0))
    return np.where(negative, signs.astype(kind), up)


def _to_bool(x: Any) -> Any:
    return np.not_equal(x, 0)


def _truncating(to: dtype) -> Callable[[Any], Any]:
    """Float to integer as x86's cvtt: out of range and NaN give the lowest integer."""
    wide: Any = np.int64 if to is dt.int64 else np.int32
    bits = 63 if to is dt.int64 else 31
    final = array_type(to)
    limit = 2.0**bits

    def convert(x: Any) -> Any:
        at = np.trunc(x)
        fits = np.greater_equal(at, -limit) & np.less(at, limit)
        out = np.where(fits, at, at.dtype.type(-limit)).astype(wide)
        return out if out.dtype is final else out.astype(final)

    return convert


def converter(source: dtype, to: dtype) -> Callable[[Any], Any]:
    """C's conversion of an array or NumPy scalar between two types."""
    if source.narrow:  # exactly
        wide = _as(dt.float32)
        rest = converter(dt.float32, to) if to is not dt.float32 else None
        return wide if rest is None else lambda x: rest(wide(x))
    if to.narrow and source is not dt.float32:
        single, last = converter(source, dt.float32), _as(to)
        return lambda x: last(single(x))
    if to is dt.bool_:
        return _to_bool
    if source.kind == "c" and to.kind != "c":
        part = dt.real_type(source)
        if to is part:
            return _real
        of_part = converter(part, to)
        return lambda x: of_part(x.real)
    if source.rank > 1 and to.rank < 2:
        return _truncating(to)
    return _as(to)


def _as(to: dtype) -> Callable[[Any], Any]:
    target = array_type(to)
    if to is dt.float8_e4m3fn:  # it has no infinity: what is too large is its largest number
        return lambda x: np.clip(x, -448.0, 448.0).astype(target)
    return lambda x: x.astype(target)


def _real(x: Any) -> Any:
    return np.array(x.real)


def scalar_of(value: Any, kind: dtype) -> Any:
    """A Python number as a NumPy scalar of a type; of a narrow one, rounded to float32 first."""
    if kind.narrow:
        value = np.float32(value)
    return array_type(kind).type(value)


def number_converter(kind: str, to: dtype) -> Callable[[Any], Any]:
    """A Python number (int64 or double at run time) as a NumPy scalar of type ``to``."""
    if kind == "f":
        if to is dt.float64:
            return np.float64
        through = converter(dt.float64, to)
        return lambda v: through(np.float64(v))
    if to is dt.int64:
        return np.int64
    whole = converter(dt.int64, to)
    return lambda v: whole(np.int64(v))


class _Trace(ScalarBuilder):
    """Writes a row's steps as lines of Python; names in ``env`` are NumPy functions and scalars."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.env: dict[str, Any] = {"where": np.where}
        self.count = 0
        self.loud = False  # NumPy would warn of what IEEE 754 calls ordinary

    def name(self, value: Any) -> str:
        """A name for a function or scalar the lines use."""
        self.count += 1
        key = f"c{self.count}"
        self.env[key] = value
        return key

    def step(self, function: Any, kind: dtype, *operands: Scalar) -> Scalar:
        """One call; its result has a name of its own."""
        f = self.name(function)
        self.lines.append(f"v{self.count} = {f}({', '.join(str(o.v) for o in operands)})")
        return Scalar(self, f"v{self.count}", kind)

    def unary(self, op: str, x: Scalar) -> Scalar:
        f = _UNARY.get(op) or special(op, x.dtype)
        self.loud = self.loud or op == "sqrt"
        return self.step(f, x.dtype, x)

    def binary(self, op: str, x: Scalar, y: Scalar) -> Scalar:
        self.loud = True
        whole = x.dtype.rank < 2
        if op == "div":
            return self.step(_divide_integers if whole else np.divide, x.dtype, x, y)
        if op == "pow" and whole:
            return self.step(_power_integers, x.dtype, x, y)
        return self.step(_BINARY.get(op) or special(op, x.dtype), x.dtype, x, y)

    def compare(self, op: str, x: Scalar, y: Scalar) -> Scalar:
        return self.step(_COMPARE[op], dt.bool_, x, y)

    def select(self, c: Scalar, x: Scalar, y: Scalar) -> Scalar:
        return self.step(np.where, x.dtype, c, x, y)

    def const(self, value: Any, dtype: dtype) -> Scalar:
        return Scalar(self, self.name(scalar_of(value, dtype)), dtype)

    def cast(self, x: Scalar, to: dtype) -> Scalar:
        if x.dtype is to:
            return x
        self.loud = self.loud or x.dtype.rank > 1
        return self.step(converter(x.dtype, to), to, x)


_TRACED: Final[dict[Any, Callable[..., Any]]] = {}


def traced(op: Op, reads: Sequence[Any], ctype: dtype, result: dtype) -> Callable[..., Any]:
    """The NumPy function of a row for operands of the types ``reads``.

    An entry of ``reads`` is a dtype, or the kind of a Python number (``'b'``, ``'i'``, ``'f'``).
    """
    key = (op.name, tuple(reads), ctype, result)
    found = _TRACED.get(key)
    if found is None:
        found = _TRACED[key] = _trace(op, reads, ctype, result)
    return found


def _trace(op: Op, reads: Sequence[Any], ctype: dtype, result: dtype) -> Callable[..., Any]:
    assert op.lower is not None
    e = _Trace()
    operands: list[Scalar] = []
    if any(k.kind == "c" for k in (ctype, result, *[r for r in reads if not isinstance(r, str)])):
        return _trace_complex(op, reads, ctype, result)
    for i, read in enumerate(reads):
        to = dt.bool_ if op.types == "where" and i == 0 else ctype
        x = Scalar(e, f"x{i}", to)
        if isinstance(read, str):
            e.loud = e.loud or read == "f"
            x = e.step(number_converter(read, to), to, x)
        elif read is not to:
            e.loud = e.loud or read.rank > 1
            x = e.step(converter(read, to), to, x)
        operands.append(x)
    out = op.lower(e, *operands)
    return _function(e, len(reads), e.cast(out, result))


def _function(e: _Trace, operands: int, out: Scalar) -> Callable[..., Any]:
    """The Python function whose lines have been traced."""
    names = ", ".join(f"x{i}" for i in range(operands))
    body = "".join(f"    {line}\n" for line in e.lines)
    exec(f"def row({names}):\n{body}    return {out.v}\n", e.env)
    made: Callable[..., Any] = e.env["row"]
    return np.errstate(all="ignore")(made) if e.loud else made


def _trace_complex(op: Op, reads: Sequence[Any], ctype: dtype, result: dtype) -> Callable[..., Any]:
    """The same for complex operands or results, in real arithmetic on their parts.

    NumPy's own complex arithmetic has other bits on other machines.
    """
    e = _Trace()
    e.loud = True
    c = ComplexBuilder(e)
    operands: list[Scalar] = []
    for i, read in enumerate(reads):
        to = dt.bool_ if op.types == "where" and i == 0 else ctype
        x = Scalar(e, f"x{i}", to)
        if isinstance(read, str):
            part = to.to_real()
            x = c.cast(e.step(number_converter(read, part), part, x), to)
        else:
            x.dtype = read
            if read.kind == "c":
                part = read.to_real()
                x = c.pair(e.step(np.real, part, x), e.step(np.imag, part, x))
            x = c.cast(x, to)
        operands.append(x)
    lower = LOWER.get(op.name) if ctype.kind == "c" else None
    out = c.cast((lower or op.lower)(c, *operands), result)  # type: ignore[misc]
    if result.kind == "c":
        out = e.step(_joined(result), result, *out.v)
    return _function(e, len(reads), out)


def _joined(kind: dtype) -> Callable[[Any, Any], Any]:
    target = array_type(kind)

    def join(re: Any, im: Any) -> Any:
        shape = np.broadcast_shapes(np.shape(re), np.shape(im))
        made = np.empty(shape, target)
        made.real, made.imag = re, im
        return made

    return join
