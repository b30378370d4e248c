"""Division that gives whole numbers, and remainders.  Integers: a zero divisor is an error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..op import Op, Spec
from ..value import Val
from .elementwise import P, R, define, trunc, zeros_like
from .indexing import CHECK, Bound


def _flat(g: Val, out: Val, x: Val, y: Val) -> Val:
    return zeros_like(g)


def _quotient(e: Any, x: Any, y: Any) -> Any:
    """C's quotient of integers where hardware has none: 0 for a zero divisor, -x for -1."""
    if x.dtype.kind == "u":
        return e.where(y.eq(0), 0, x / e.where(y.eq(0), 1, y))
    plain = y.eq(0) | y.eq(-1)
    return e.where(plain, e.where(y.eq(0), 0, -x), x / e.where(plain, 1, y))


def _rest(e: Any, x: Any, y: Any) -> Any:
    """C's remainder of integers: 0 where there is no quotient."""
    if x.dtype.kind == "u":
        return e.where(y.eq(0), 0, x % e.where(y.eq(0), 1, y))
    plain = y.eq(0) | y.eq(-1)
    return e.where(plain, 0, x % e.where(plain, 1, y))


def _floor_divide(e: Any, x: Any, y: Any) -> Any:
    if x.dtype.rank < 2:
        q, r = _quotient(e, x, y), _rest(e, x, y)
        if x.dtype.kind == "u":
            return q
        return e.where(r.ne(0) & ((r < 0) ^ (y < 0)), q - 1, q)
    # as PyTorch and CPython: the exact remainder first, so that the quotient is exact
    r = x % y
    q = (x - r) / y
    q = e.where(r.ne(0) & ((r < 0) ^ (y < 0)), q - 1, q)
    f = e.floor(q)
    f = e.where(q - f > 0.5, f + 1, f)
    # a zero takes the sign of the quotient, and a zero divisor gives what division gives
    return e.where(y.eq(0), x / y, e.where(q.eq(0), (x / y) * 0, f))


def _trunc_divide(e: Any, x: Any, y: Any) -> Any:
    return _quotient(e, x, y) if x.dtype.rank < 2 else e.trunc(x / y)


def _remainder(e: Any, x: Any, y: Any) -> Any:
    r = _rest(e, x, y) if x.dtype.rank < 2 else x % y
    if x.dtype.kind == "u":
        return r
    return e.where(r.ne(0) & ((r < 0) ^ (y < 0)), r + y, r)


def _fmod(e: Any, x: Any, y: Any) -> Any:
    return _rest(e, x, y) if x.dtype.rank < 2 else x % y


floor_divide: Op = define(
    "floor_divide", _floor_divide, _flat, _flat, reference=np.floor_divide, domain=(R, P)
)
trunc_divide: Op = define(
    "trunc_divide", _trunc_divide, _flat, _flat,
    reference=lambda x, y: np.trunc(x / y), domain=(R, P),
)  # fmt: skip
remainder: Op = define(
    "remainder", _remainder, lambda g, out, x, y: g,
    lambda g, out, x, y: -(g * floor_divide(x, y)), reference=np.mod, domain=(R, P),
)  # fmt: skip
fmod: Op = define(
    "fmod", _fmod, lambda g, out, x, y: g,
    lambda g, out, x, y: -(g * trunc(x / y)), reference=np.fmod, domain=(R, P),
)  # fmt: skip


def _divisor(srcs: Sequence[Spec], arg: Any) -> tuple[Bound, ...]:
    if any(s.dtype.rank > 1 for s in srcs):
        return ()
    return (Bound(1, error=RuntimeError, words="ZeroDivisionError", test="nonzero"),)


for _op in (floor_divide, trunc_divide, remainder, fmod):
    CHECK[_op] = _divisor
