"""Scalar expressions: what an elementwise row says one element is.

``lower=lambda e, x: e.where(x <= 0, 0, x)`` is the meaning of ``relu``.  Two builders read it:
NumPy (one operation at a time) and the code generator (vectors).  Every step rounds once to its
type.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final

from ..base import dtype as dt
from ..base.dtype import dtype

# name -> what it takes and gives.  Exact ones have one answer by IEEE 754 or integer arithmetic;
# the others are our fixed polynomials (codegen/vectormath.py).
EXACT_UNARY: Final = frozenset({"neg", "abs", "sqrt", "floor", "ceil", "trunc", "round", "not"})
SPECIAL_UNARY: Final = frozenset(
    {"exp", "exp2", "expm1", "log", "log2", "log1p", "tanh", "sigmoid", "erf", "sin", "cos", "tan"}
)
# integer `div` truncates towards zero (C); `rem` is C's remainder (fmod for floats);
# `and/or/xor` are bitwise, on bool logical
EXACT_BINARY: Final = frozenset(
    {"add", "sub", "mul", "div", "rem", "and", "or", "xor", "shl", "shr"}
)
SPECIAL_BINARY: Final = frozenset({"pow", "atan2"})
COMPARE: Final = frozenset({"eq", "ne", "lt", "le", "gt", "ge"})  # ordered; `ne` is true for NaN


class Scalar:
    """One element of type ``dtype``; ``v`` is the builder's own (an array, an SSA name)."""

    __slots__ = ("dtype", "e", "v")

    def __init__(self, e: ScalarBuilder, v: Any, dtype: dtype) -> None:
        self.e = e
        self.v = v
        self.dtype = dtype

    def _with(self, op: str, o: Any, swap: bool = False) -> Scalar:
        other = o if isinstance(o, Scalar) else self.e.const(o, self.dtype)
        a, b = (other, self) if swap else (self, other)
        if op in COMPARE:
            return self.e.compare(op, a, b)
        return self.e.binary(op, a, b)

    def __add__(self, o: Any) -> Scalar:
        return self._with("add", o)

    def __radd__(self, o: Any) -> Scalar:
        return self._with("add", o, True)

    def __sub__(self, o: Any) -> Scalar:
        return self._with("sub", o)

    def __rsub__(self, o: Any) -> Scalar:
        return self._with("sub", o, True)

    def __mul__(self, o: Any) -> Scalar:
        return self._with("mul", o)

    def __rmul__(self, o: Any) -> Scalar:
        return self._with("mul", o, True)

    def __truediv__(self, o: Any) -> Scalar:
        return self._with("div", o)

    def __rtruediv__(self, o: Any) -> Scalar:
        return self._with("div", o, True)

    def __mod__(self, o: Any) -> Scalar:
        return self._with("rem", o)

    def __and__(self, o: Any) -> Scalar:
        return self._with("and", o)

    def __or__(self, o: Any) -> Scalar:
        return self._with("or", o)

    def __xor__(self, o: Any) -> Scalar:
        return self._with("xor", o)

    def __lt__(self, o: Any) -> Scalar:
        return self._with("lt", o)

    def __le__(self, o: Any) -> Scalar:
        return self._with("le", o)

    def __gt__(self, o: Any) -> Scalar:
        return self._with("gt", o)

    def __ge__(self, o: Any) -> Scalar:
        return self._with("ge", o)

    def eq(self, o: Any) -> Scalar:
        return self._with("eq", o)

    def ne(self, o: Any) -> Scalar:
        return self._with("ne", o)

    def __neg__(self) -> Scalar:
        return self.e.unary("neg", self)

    def __invert__(self) -> Scalar:
        return self.e.unary("not", self)


class ScalarBuilder(ABC):
    """Who gives scalar expressions their meaning.  Operands of one call have one type."""

    @abstractmethod
    def unary(self, op: str, x: Scalar) -> Scalar:
        """An operation of ``EXACT_UNARY`` or ``SPECIAL_UNARY``; the type stays."""

    @abstractmethod
    def binary(self, op: str, x: Scalar, y: Scalar) -> Scalar:
        """An operation of ``EXACT_BINARY`` or ``SPECIAL_BINARY``; the type stays."""

    @abstractmethod
    def compare(self, op: str, x: Scalar, y: Scalar) -> Scalar:
        """A comparison; gives bool."""

    @abstractmethod
    def select(self, c: Scalar, x: Scalar, y: Scalar) -> Scalar:
        """``x`` where the bool ``c`` holds, else ``y``."""

    @abstractmethod
    def const(self, value: Any, dtype: dtype) -> Scalar:
        """A number known when the row was written."""

    @abstractmethod
    def cast(self, x: Scalar, to: dtype) -> Scalar:
        """C's conversion; to bool: not equal to zero.

        Float to integer truncates; out of range as x86's cvtt does.
        """

    def where(self, c: Scalar, x: Any, y: Any) -> Scalar:
        """``select`` that takes Python numbers beside one scalar."""
        if not isinstance(x, Scalar):
            if not isinstance(y, Scalar):
                raise TypeError("where: one branch has to be a scalar expression")
            x = self.const(x, y.dtype)
        if not isinstance(y, Scalar):
            y = self.const(y, x.dtype)
        return self.select(c, x, y)

    def isnan(self, x: Scalar) -> Scalar:
        return x.ne(x) if x.dtype.rank > 1 else self.const(False, dt.bool_)

    def __getattr__(self, name: str) -> Any:
        if name in SPECIAL_UNARY or name in EXACT_UNARY:
            return lambda x: self.unary(name, x)
        if name in SPECIAL_BINARY:
            return lambda x, y: self.binary(name, x, y)
        raise AttributeError(name)
