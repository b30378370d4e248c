"""What a number is made of: sign, fraction, infinity, bits; and choices between two of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..op import Op
from ..value import Val
from .elementwise import R, define, eq, where, zeros_like


# ---------------------------------------------------------------- tests; a whole number fails them
def _isinf(e: Any, x: Any) -> Any:
    return e.abs(x).eq(math.inf) if x.dtype.rank > 1 else x.ne(x)


def _isfinite(e: Any, x: Any) -> Any:
    return e.abs(x) < math.inf if x.dtype.rank > 1 else x.eq(x)


def _infinite(value: float) -> Callable[..., Any]:
    return lambda e, x: x.eq(value) if x.dtype.rank > 1 else x.ne(x)


def _signbit(e: Any, x: Any) -> Any:
    if x.dtype.kind in "bu":
        return x.ne(x)
    return (x < 0) if x.dtype.rank < 2 else (x < 0) | (x.eq(0) & ((1 / x) < 0))


isinf: Op = define("isinf", _isinf, types="test", reference=np.isinf)
isfinite: Op = define("isfinite", _isfinite, types="test", reference=np.isfinite)
isposinf: Op = define("isposinf", _infinite(math.inf), types="test", reference=np.isposinf)
isneginf: Op = define("isneginf", _infinite(-math.inf), types="test", reference=np.isneginf)
signbit: Op = define("signbit", _signbit, types="test", reference=np.signbit)


# ---------------------------------------------------------------- parts
def _copysign(e: Any, x: Any, y: Any) -> Any:
    a = e.abs(x)
    return e.where(_signbit(e, y), -a, a)


def _flat(g: Val, out: Val, x: Val, y: Val) -> Val:
    return zeros_like(g)


frac: Op = define("frac", lambda e, x: x - e.trunc(x), lambda g, out, x: g,
                  reference=lambda x: x - np.trunc(x))  # fmt: skip
copysign: Op = define(
    "copysign", _copysign, lambda g, out, x, y: where(eq(x, 0.0), 0.0, g * (out / x)), _flat,
    types="float", reference=np.copysign, domain=(R, R),
)  # fmt: skip
heaviside: Op = define(
    "heaviside", lambda e, x, y: e.where(x.eq(0), y, e.cast(x > 0, x.dtype)), _flat, _flat,
    reference=np.heaviside, domain=(R, R),
)  # fmt: skip

# ---------------------------------------------------------------- the greater, the lesser number
fmax: Op = define(
    "fmax", lambda e, x, y: e.where((x > y) | e.isnan(y), x, y),
    lambda g, out, x, y: where(eq(out, x), g, 0.0), lambda g, out, x, y: where(eq(out, x), 0.0, g),
    reference=np.fmax, domain=(R, R),
)  # fmt: skip
fmin: Op = define(
    "fmin", lambda e, x, y: e.where((x < y) | e.isnan(y), x, y),
    lambda g, out, x, y: where(eq(out, x), g, 0.0), lambda g, out, x, y: where(eq(out, x), 0.0, g),
    reference=np.fmin, domain=(R, R),
)  # fmt: skip

# ---------------------------------------------------------------- bits
bitwise_left_shift: Op = define(
    "bitwise_left_shift", lambda e, x, y: e.binary("shl", x, y), reference=np.left_shift,
    domain=(R, R),
)  # fmt: skip
bitwise_right_shift: Op = define(
    "bitwise_right_shift", lambda e, x, y: e.binary("shr", x, y), reference=np.right_shift,
    domain=(R, R),
)  # fmt: skip
