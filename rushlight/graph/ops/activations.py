"""What networks bend values with: elementwise rows.

Parameters (slopes, bounds) are operands, run-time numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ...base.dtype import dtype
from ..op import Op, Spec
from ..shaping import NO_BOOL_SUB, REFUSED, Check
from ..value import Val
from .elementwise import (
    P,
    R,
    abs_,
    bent,
    define,
    erf,
    exp,
    ge,
    gt,
    le,
    logical_and,
    logical_or,
    lt,
    sigmoid,
    square,
    tanh,
    where,
)

HALF_SQRT = math.sqrt(0.5)
NORMAL = 1.0 / math.sqrt(2.0 * math.pi)  # the normal density at 0
GELU_SLOPE = math.sqrt(2.0 / math.pi)
GELU_CUBE = 0.044715


def _log_sigmoid(e: Any, x: Any) -> Any:
    return e.where(x < 0, x, 0) - e.log1p(e.exp(-e.abs(x)))


log_sigmoid: Op = define(
    "log_sigmoid", _log_sigmoid, lambda g, out, x: g * sigmoid(-x),
    types="float", reference=lambda x: -np.log1p(np.exp(-x)),
)  # fmt: skip
gated: Op = define(
    "gated", lambda e, x, y: x * e.sigmoid(y), lambda g, out, x, y: g * sigmoid(y),
    lambda g, out, x, y: g * x * ((1.0 - sigmoid(y)) * sigmoid(y)),
    types="float", domain=(R, R), reference=lambda x, y: x / (1 + np.exp(-y)),
)  # fmt: skip
silu: Op = define(
    "silu", lambda e, x: x / (1 + e.exp(-x)),
    lambda g, out, x: g * (sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x)))),
    types="float", reference=lambda x: x / (1 + np.exp(-x)),
)  # fmt: skip


def _mish(e: Any, x: Any) -> Any:
    return x * e.tanh(e.where(x > 20, x, e.log1p(e.exp(x))))


def _mish_grad(g: Val, out: Val, x: Val) -> Val:
    t = tanh(softplus(x, 1.0, 20.0))
    return g * (t + x * sigmoid(x) * (1.0 - t * t))


mish: Op = define(
    "mish", _mish, _mish_grad, types="float", reference=lambda x: x * np.tanh(np.log1p(np.exp(x)))
)
softplus: Op = define(
    "softplus",  # (x, beta, threshold)
    lambda e, x, b, t: e.where(x * b > t, x, e.log1p(e.exp(x * b)) / b),
    lambda g, out, x, b, t: where(gt(x * b, t), g, g * sigmoid(x * b)), None, None,
    types="float", reference=lambda x, b, t: np.where(x * b > t, x, np.log1p(np.exp(x * b)) / b),
    domain=(R, P, (10.0, 20.0)),
)  # fmt: skip


# ---------------------------------------------------------------- gelu
def _gelu(e: Any, x: Any) -> Any:
    return x * 0.5 * (1 + e.erf(x * HALF_SQRT))


def _gelu_grad(g: Val, out: Val, x: Val) -> Val:
    below = (erf(x * HALF_SQRT) + 1.0) * 0.5
    return g * (below + x * (exp(square(x) * -0.5) * NORMAL))


def _gelu_tanh(e: Any, x: Any) -> Any:
    return x * 0.5 * (1 + e.tanh(GELU_SLOPE * (x + GELU_CUBE * (x * x * x))))


def _gelu_tanh_grad(g: Val, out: Val, x: Val) -> Val:
    t = tanh((x + square(x) * x * GELU_CUBE) * GELU_SLOPE)
    left = (t + 1.0) * 0.5
    inner = (square(x) * (3.0 * GELU_CUBE) + 1.0) * GELU_SLOPE
    return g * (left + x * 0.5 * (1.0 - t * t) * inner)


def _np_erf(x: Any) -> Any:
    return np.vectorize(math.erf)(x)


gelu: Op = define("gelu", _gelu, _gelu_grad, types="float",
              reference=lambda x: 0.5 * x * (1 + _np_erf(x * HALF_SQRT)))  # fmt: skip
gelu_tanh: Op = define(
    "gelu_tanh", _gelu_tanh, _gelu_tanh_grad, types="float",
    reference=lambda x: 0.5 * x * (1 + np.tanh(GELU_SLOPE * (x + GELU_CUBE * x**3))),
)  # fmt: skip


# ---------------------------------------------------------------- straight pieces
def _clamp(e: Any, x: Any, lo: Any, hi: Any) -> Any:
    up = e.where((x > lo) | e.isnan(x), x, lo)
    return e.where((up < hi) | e.isnan(up), up, hi)


leaky_relu: Op = define(
    "leaky_relu",  # (x, slope)
    lambda e, x, s: e.where(x > 0, x, x * s),
    lambda g, out, x, s: bent(where(gt(x, 0.0), g, g * s), x), None,
    types="float", reference=lambda x, s: np.where(x > 0, x, x * s), domain=(R, (0.05, 0.5)),
)  # fmt: skip
prelu: Op = define(
    "prelu",  # (x, weight broadcast to x)
    lambda e, x, w: e.where(x > 0, x, w * x),
    lambda g, out, x, w: where(gt(x, 0.0), g, w * g),
    lambda g, out, x, w: where(gt(x, 0.0), 0.0, x * g),
    types="float", reference=lambda x, w: np.where(x > 0, x, w * x), domain=(R, R),
)  # fmt: skip
hardtanh: Op = define(
    "hardtanh",  # (x, low, high)
    lambda e, x, lo, hi: e.where(x < lo, lo, e.where(x > hi, hi, x)),
    lambda g, out, x, lo, hi: bent(where(logical_and(gt(x, lo), lt(x, hi)), g, 0.0), x), None, None,
    reference=np.clip, domain=(R, (-1.5, -0.5), (0.5, 1.5)),
)  # fmt: skip
clamp: Op = define(
    "clamp",  # (x, low, high): min(max(x, low), high)
    _clamp,
    lambda g, out, x, lo, hi: where(logical_and(ge(x, lo), le(x, hi)), g, 0.0),
    lambda g, out, x, lo, hi: where(logical_and(lt(x, lo), lt(lo, hi)), g, 0.0),
    lambda g, out, x, lo, hi: where(logical_or(gt(x, hi), lt(hi, lo)), g, 0.0),
    reference=lambda x, lo, hi: np.minimum(np.maximum(x, lo), hi),
    domain=(R, (-1.5, -0.5), (0.5, 1.5)),
)  # fmt: skip


threshold: Op = define(
    "threshold",  # (x, threshold, value)
    lambda e, x, t, v: e.where(x <= t, v, x),
    lambda g, out, x, t, v: bent(where(le(x, t), 0.0, g), x), None, None,
    reference=lambda x, t, v: np.where(x <= t, v, x), domain=(R, (-0.5, 0.5), R),
)  # fmt: skip
hardsigmoid: Op = define(
    "hardsigmoid", lambda e, x: _clamp(e, x + 3, e.const(0, x.dtype), e.const(6, x.dtype)) / 6,
    lambda g, out, x: where(logical_and(gt(x, -3.0), lt(x, 3.0)), g * (1.0 / 6.0), 0.0),
    types="float", reference=lambda x: np.clip(x + 3, 0, 6) / 6, domain=((-5.0, 5.0),),
)  # fmt: skip
hardswish: Op = define(
    "hardswish",
    lambda e, x: x * _clamp(e, x + 3, e.const(0, x.dtype), e.const(6, x.dtype)) / 6,
    lambda g, out, x: where(le(x, -3.0), 0.0, where(ge(x, 3.0), g, g * (x / 3.0 + 0.5))),
    types="float", reference=lambda x: x * np.clip(x + 3, 0, 6) / 6, domain=((-5.0, 5.0),),
)  # fmt: skip
hardshrink: Op = define(
    "hardshrink",  # (x, lambda)
    lambda e, x, b: e.where((x >= -b) & (x <= b), 0, x),
    lambda g, out, x, b: bent(where(logical_or(gt(x, b), lt(x, -b)), g, 0.0), x), None,
    types="float", reference=lambda x, b: np.where(np.abs(x) <= b, 0, x), domain=(R, (0.2, 1.0)),
)  # fmt: skip
softshrink: Op = define(
    "softshrink",  # (x, lambda)
    lambda e, x, b: e.where(x > b, x - b, e.where(x < -b, x + b, x * 0)),
    lambda g, out, x, b: bent(where(logical_or(gt(x, b), lt(x, -b)), g, 0.0), x), None,
    types="float", reference=lambda x, b: np.sign(x) * np.maximum(np.abs(x) - b, 0),
    domain=(R, (0.2, 1.0)),
)  # fmt: skip
softsign: Op = define(
    "softsign", lambda e, x: x / (e.abs(x) + 1),
    lambda g, out, x: g / square(abs_(x) + 1.0),
    types="float", reference=lambda x: x / (1 + np.abs(x)),
)  # fmt: skip
tanhshrink: Op = define(
    "tanhshrink", lambda e, x: x - e.tanh(x), lambda g, out, x: g * square(tanh(x)),
    types="float", reference=lambda x: x - np.tanh(x),
)  # fmt: skip


# ---------------------------------------------------------------- elu and its kin
def _elu_grad(g: Val, out: Val, x: Val, a: Val, s: Val, i: Val) -> Val:
    # exp of what is negative: the branch not taken must stay finite, and at 0 it has no slope
    down = exp(where(ge(x, 0.0), 0.0, x) * i)
    return where(gt(x, 0.0), g * s, g * (down * i * a * s))  # numbers meet values, not each other


elu: Op = define(
    "elu",  # (x, alpha, scale, input scale)
    lambda e, x, a, s, i: e.where(x > 0, x * s, e.expm1(x * i) * (a * s)),
    _elu_grad, None, None, None,
    types="float", reference=lambda x, a, s, i: s * np.where(x > 0, x, a * np.expm1(x * i)),
    domain=(R, P, P, P),
)  # fmt: skip


# ---------------------------------------------------------------- what they refuse
def _floats_only(kernel: str) -> Check:
    def check(srcs: Sequence[Spec], ctype: dtype) -> None:
        if srcs[0].dtype.rank < 2:
            raise NotImplementedError(
                f"\"{kernel}\" not implemented for '{srcs[0].dtype.typename}'"
            )

    return check


UNKNOWN: Final = "\"{kernel}\" not implemented for 'Bool'"


def _no_bools(error: type[Exception], words: str) -> Check:
    """Refused whatever type the operation then works in."""

    def check(srcs: Sequence[Spec], ctype: dtype) -> None:
        if srcs[0].dtype.kind == "b":
            raise error(words)

    return check


REFUSED.update(
    {
        "gelu": _floats_only("GeluKernelImpl"),
        "gelu_tanh": _floats_only("GeluKernelImpl"),
        "hardshrink": _floats_only("hardshrink_cpu"),
        "softshrink": _floats_only("softshrink_check"),
        "hardtanh": _no_bools(RuntimeError, "Bool inputs not supported for hardtanh"),
        "threshold": _no_bools(NotImplementedError, UNKNOWN.format(kernel="threshold_cpu")),
        "softsign": _no_bools(NotImplementedError, UNKNOWN.format(kernel="abs_cpu")),
        "tanhshrink": _no_bools(RuntimeError, NO_BOOL_SUB),
        **{
            name: _floats_only(f"{name}_cpu")
            for name in (
                "elu", "hardsigmoid", "hardswish", "leaky_relu", "log_sigmoid", "mish", "silu",
                "softplus",
            )
        },
    }
)  # fmt: skip
