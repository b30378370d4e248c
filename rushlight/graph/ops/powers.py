"""Exponentials and logarithms in other bases, and what is composed of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..op import Op
from ..value import Val
from .elementwise import P, R, U, define, eq, exp, le, log, log1p, logical_and, where

LN2, LN10 = math.log(2.0), math.log(10.0)


def _logaddexp(e: Any, x: Any, y: Any) -> Any:
    big = e.where((x > y) | e.isnan(x), x, y)
    # equal infinities: their difference is NaN, the sum is the infinity itself
    same = x.eq(y) & e.abs(x).eq(math.inf)
    return e.where(same, x, big + e.log1p(e.exp(-e.abs(x - y))))


def _logaddexp2(e: Any, x: Any, y: Any) -> Any:
    big = e.where((x > y) | e.isnan(x), x, y)
    same = x.eq(y) & e.abs(x).eq(math.inf)
    return e.where(same, x, big + e.log2(1 + e.exp2(-e.abs(x - y))))


def _xlog1py(e: Any, x: Any, y: Any) -> Any:
    return e.where(e.isnan(y), y, e.where(x.eq(0), 0, x * e.log1p(y)))


def _entr(e: Any, x: Any) -> Any:
    nothing = e.where(x.eq(0), e.const(0, x.dtype), e.const(-math.inf, x.dtype))
    return e.where(e.isnan(x), x, e.where(x > 0, -x * e.log(x), nothing))


def _xlogy(e: Any, x: Any, y: Any) -> Any:
    return e.where(e.isnan(y), y, e.where(x.eq(0), 0, x * e.log(y)))


def _logarithm(x: Val, y: Val, f: Op, least: float) -> Val:
    """``f(y)``, but 0 where ``x * f(y)`` is 0 although ``f`` is not defined there."""
    return where(logical_and(eq(x, 0.0), le(y, least)), 0.0, f(y))


exp2: Op = define("exp2", lambda e, x: e.exp2(x), lambda g, out, x: g * out * LN2, types="float",
                  reference=np.exp2)  # fmt: skip
log2: Op = define("log2", lambda e, x: e.log2(x), lambda g, out, x: g / (x * LN2), types="float",
                  reference=np.log2, domain=(P,))  # fmt: skip
log10: Op = define(
    "log10", lambda e, x: e.log2(x) * e.const(LN2 / LN10, x.dtype),
    lambda g, out, x: g / (x * LN10), types="float", reference=np.log10, domain=(P,),
)  # fmt: skip
logaddexp: Op = define(
    "logaddexp", _logaddexp, lambda g, out, x, y: g / (exp(y - x) + 1.0),
    lambda g, out, x, y: g / (exp(x - y) + 1.0), reference=np.logaddexp, domain=(R, R),
)  # fmt: skip
logaddexp2: Op = define(
    "logaddexp2", _logaddexp2, lambda g, out, x, y: g / (exp2(y - x) + 1.0),
    lambda g, out, x, y: g / (exp2(x - y) + 1.0), reference=np.logaddexp2, domain=(R, R),
)  # fmt: skip
xlog1py: Op = define(
    "xlog1py", _xlog1py, lambda g, out, x, y: g * _logarithm(x, y, log1p, -1.0),
    lambda g, out, x, y: g * (x / (y + 1.0)), types="float",
    reference=lambda x, y: x * np.log1p(y), domain=(P, P),
)  # fmt: skip
entr: Op = define(
    "entr", _entr, lambda g, out, x: g * (-log(x) - 1.0), types="float",
    reference=lambda x: -x * np.log(x), domain=(P,),
)  # fmt: skip
xlogy: Op = define(
    "xlogy", _xlogy, lambda g, out, x, y: g * _logarithm(x, y, log, 0.0),
    lambda g, out, x, y: g * (x / y), types="float", reference=lambda x, y: x * np.log(y),
    domain=(P, P),
)  # fmt: skip
hypot: Op = define(
    "hypot", lambda e, x, y: e.sqrt(x * x + y * y), lambda g, out, x, y: g * (x / out),
    lambda g, out, x, y: g * (y / out), reference=np.hypot, domain=(P, P),
)  # fmt: skip
logit: Op = define(
    "logit", lambda e, x: e.log(x / (1 - x)), lambda g, out, x: g / (x * (1.0 - x)),
    types="float", reference=lambda x: np.log(x / (1 - x)), domain=(U,),
)  # fmt: skip
