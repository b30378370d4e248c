"""What a row costs: how many steps of vector mathematics its meaning takes."""

from __future__ import annotations

from functools import cache
from typing import Any

from ..base import dtype as dt
from ..base.dtype import dtype
from ..graph.op import Op
from ..graph.scalar import SPECIAL_BINARY, SPECIAL_UNARY, Scalar, ScalarBuilder


class _Counter(ScalarBuilder):
    """Reads a meaning and counts; values are nothing."""

    def __init__(self) -> None:
        self.count = 0

    def unary(self, op: str, x: Scalar) -> Scalar:
        self.count += op in SPECIAL_UNARY
        return Scalar(self, None, x.dtype)

    def binary(self, op: str, x: Scalar, y: Scalar) -> Scalar:
        self.count += op in SPECIAL_BINARY
        return Scalar(self, None, x.dtype)

    def compare(self, op: str, x: Scalar, y: Scalar) -> Scalar:
        return Scalar(self, None, dt.bool_)

    def select(self, c: Scalar, x: Scalar, y: Scalar) -> Scalar:
        return Scalar(self, None, x.dtype)

    def const(self, value: Any, dtype: dtype) -> Scalar:
        return Scalar(self, None, dtype)

    def cast(self, x: Scalar, to: dtype) -> Scalar:
        return Scalar(self, None, to)


@cache
def special_steps(op: Op, operands: int) -> int:
    """How many special functions one element of an elementwise row takes."""
    if op.lower is None:
        return 0
    e = _Counter()
    kinds = [dt.bool_ if op.types == "where" and i == 0 else dt.float32 for i in range(operands)]
    op.lower(e, *(Scalar(e, None, k) for k in kinds))
    return e.count
