"""Rows that only the tensor API asks for: each is entered unless the table has it.

Elementwise ones in the words of `graph/ops/elementwise.py`; running sums and sorting by NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rushlight.base import dtype as dt
from rushlight.graph.op import LIBRARY, TABLE, Infer, Op, Spec, register
from rushlight.graph.ops import elementwise as ew
from rushlight.graph.ops import movement
from rushlight.graph.ops.elementwise import P, R, U, define
from rushlight.graph.value import Val


def row(name: str, *spec: Any, **more: Any) -> None:
    """`define`, unless the operation exists."""
    if name not in TABLE:
        define(name, *spec, **more)


def flat(g: Val, out: Val, *operands: Val) -> Val:
    """The gradient of a step function: zeros."""
    return ew.zeros_like(g)


def op(name: str) -> Callable[..., Val]:
    """An operation of the table, looked up when used: rows may stand in any order."""
    return lambda *v, arg=None: TABLE[name](*v, arg=arg)


LN2, LN10 = math.log(2.0), math.log(10.0)
POS, INSIDE = (1.25, 3.0), (-0.9, 0.9)

# ---------------------------------------------------------------- powers and logarithms
row("exp2", lambda e, x: e.exp2(x), lambda g, out, x: g * out * LN2, types="float",
    reference=np.exp2)  # fmt: skip
row("log2", lambda e, x: e.log2(x), lambda g, out, x: g / (x * LN2), types="float",
    reference=np.log2, domain=(P,))  # fmt: skip
row("log10", lambda e, x: e.log2(x) * e.const(LN2 / LN10, x.dtype),
    lambda g, out, x: g / (x * LN10), types="float", reference=np.log10, domain=(P,))  # fmt: skip

# ---------------------------------------------------------------- trigonometry
row("tan", lambda e, x: e.tan(x), lambda g, out, x: g * (out * out + 1.0), types="float",
    reference=np.tan, domain=((-1.2, 1.2),))  # fmt: skip


def _atan2(e: Any, y: Any, x: Any) -> Any:
    return e.atan2(y, x)


row("atan2", _atan2, lambda g, out, y, x: g * (x / (x * x + y * y)),
    lambda g, out, y, x: g * (-y / (x * x + y * y)), types="float", reference=np.arctan2,
    domain=(R, P))  # fmt: skip
row("atan", lambda e, x: e.atan2(x, e.const(1, x.dtype)), lambda g, out, x: g / (x * x + 1.0),
    types="float", reference=np.arctan)  # fmt: skip
row("asin", lambda e, x: e.atan2(x, e.sqrt((1 - x) * (1 + x))),
    lambda g, out, x: g * ew.rsqrt(1.0 - x * x), types="float", reference=np.arcsin,
    domain=(INSIDE,))  # fmt: skip
row("acos", lambda e, x: e.atan2(e.sqrt((1 - x) * (1 + x)), x),
    lambda g, out, x: -(g * ew.rsqrt(1.0 - x * x)), types="float", reference=np.arccos,
    domain=(INSIDE,))  # fmt: skip


def _sinh(e: Any, x: Any) -> Any:
    # (t + t/(t+1)) / 2 with t = expm1(|x|): no cancellation near 0; t = inf gives inf
    t = e.expm1(e.abs(x))
    big = e.where(t > 1e30, t * 0.5, (t + t / (t + 1)) * 0.5)
    return e.where(x < 0, -big, big)


def _cosh(e: Any, x: Any) -> Any:
    t = e.exp(e.abs(x))
    return t * 0.5 + 0.5 / t


row("sinh", _sinh, lambda g, out, x: g * op("cosh")(x), types="float", reference=np.sinh)
row("cosh", _cosh, lambda g, out, x: g * op("sinh")(x), types="float", reference=np.cosh)


def _asinh(e: Any, x: Any) -> Any:
    a = e.abs(x)
    # a^2 / (1 + sqrt(a^2 + 1)) is accurate near 0; beyond 1e15 the square adds nothing
    small = e.log1p(a + a * a / (1 + e.sqrt(a * a + 1)))
    v = e.where(a > 1e15, e.log(a) + LN2, small)
    return e.where(x < 0, -v, v)


def _acosh(e: Any, x: Any) -> Any:
    t = x - 1
    return e.where(x > 1e15, e.log(x) + LN2, e.log1p(t + e.sqrt(t * (t + 2))))


def _atanh(e: Any, x: Any) -> Any:
    a = e.abs(x)
    v = e.log1p((a + a) / (1 - a)) * 0.5
    return e.where(x < 0, -v, v)


row("asinh", _asinh, lambda g, out, x: g * ew.rsqrt(x * x + 1.0), types="float",
    reference=np.arcsinh)  # fmt: skip
row("acosh", _acosh, lambda g, out, x: g * ew.rsqrt(x * x - 1.0), types="float",
    reference=np.arccosh, domain=(POS,))  # fmt: skip
row("atanh", _atanh, lambda g, out, x: g / (1.0 - x * x), types="float", reference=np.arctanh,
    domain=(INSIDE,))  # fmt: skip


# ---------------------------------------------------------------- division and remainders
def _floor_divide(e: Any, x: Any, y: Any) -> Any:
    if x.dtype.rank < 2:
        q = x / y
        if x.dtype.kind == "u":
            return q
        r = x % y
        return e.where(r.ne(0) & (r < 0).ne(y < 0), q - 1, q)
    # C++ code of PyTorch and CPython: the exact remainder first, so that the quotient is exact
    r = x % y
    q = (x - r) / y
    q = e.where(r.ne(0) & (r < 0).ne(y < 0), q - 1, q)
    f = e.floor(q)
    f = e.where(q - f > 0.5, f + 1, f)
    return e.where(y.eq(0), x / y, e.where(q.eq(0), (x / y) * 0, f))


def _remainder(e: Any, x: Any, y: Any) -> Any:
    r = x % y
    if x.dtype.kind == "u":
        return r
    return e.where(r.ne(0) & (r < 0).ne(y < 0), r + y, r)


row("floor_divide", _floor_divide, flat, flat, reference=np.floor_divide, domain=(R, P))
row("remainder", _remainder, lambda g, out, x, y: g,
    lambda g, out, x, y: -(g * op("floor_divide")(x, y)), reference=np.mod,
    domain=(R, P))  # fmt: skip
row("fmod", lambda e, x, y: x % y, lambda g, out, x, y: g,
    lambda g, out, x, y: -(g * ew.trunc(x / y)), reference=np.fmod, domain=(R, P))  # fmt: skip


# ---------------------------------------------------------------- tests of one element
def _isinf(e: Any, x: Any) -> Any:
    if x.dtype.rank < 2:
        return x.ne(x)
    return e.abs(x).eq(math.inf)


def _isfinite(e: Any, x: Any) -> Any:
    if x.dtype.rank < 2:
        return x.eq(x)
    return e.abs(x) < math.inf


row("isinf", _isinf, types="test", reference=np.isinf)
row("isfinite", _isfinite, types="test", reference=np.isfinite)
row("isposinf", lambda e, x: x.eq(math.inf) if x.dtype.rank > 1 else x.ne(x), types="test",
    reference=np.isposinf)  # fmt: skip
row("isneginf", lambda e, x: x.eq(-math.inf) if x.dtype.rank > 1 else x.ne(x), types="test",
    reference=np.isneginf)  # fmt: skip


def _signbit(e: Any, x: Any) -> Any:
    if x.dtype.kind in "bu":
        return x.ne(x)
    return (x < 0) if x.dtype.rank < 2 else (x < 0) | (x.eq(0) & ((1 / x) < 0))


row("signbit", _signbit, types="test", reference=np.signbit)


row("sinc", lambda e, x: e.where(x.eq(0), 1, e.sin(x * math.pi) / (x * math.pi)),
    lambda g, out, x: g * ew.where(ew.eq(x, 0.0), 0.0, (ew.cos(x * math.pi) - out) / x),
    types="float", reference=np.sinc)  # fmt: skip


# ---------------------------------------------------------------- two operands
def _copysign(e: Any, x: Any, y: Any) -> Any:
    a = e.abs(x)
    return e.where(_signbit(e, y), -a, a)


row("copysign", _copysign,
    lambda g, out, x, y: ew.where(ew.eq(x, 0.0), 0.0, g * (out / x)),
    lambda g, out, x, y: ew.zeros_like(g), types="float", reference=np.copysign,
    domain=(R, R))  # fmt: skip


def _logaddexp(e: Any, x: Any, y: Any) -> Any:
    big = e.where((x > y) | e.isnan(x), x, y)
    d = e.abs(x - y)
    # equal infinities: their difference is NaN, the sum is the infinity itself
    return e.where(x.eq(y) & e.abs(x).eq(math.inf), x, big + e.log1p(e.exp(-d)))


row("logaddexp", _logaddexp, lambda g, out, x, y: g * ew.exp(x - out),
    lambda g, out, x, y: g * ew.exp(y - out), types="float", reference=np.logaddexp,
    domain=(R, R))  # fmt: skip
row("xlogy", lambda e, x, y: e.where(e.isnan(y), y, e.where(x.eq(0), 0, x * e.log(y))),
    lambda g, out, x, y: g * ew.where(ew.eq(x, 0.0), 0.0, ew.log(y)),
    lambda g, out, x, y: g * (x / y), types="float", domain=(P, P))  # fmt: skip
row("hypot", lambda e, x, y: e.sqrt(x * x + y * y), lambda g, out, x, y: g * (x / out),
    lambda g, out, x, y: g * (y / out), types="float", reference=np.hypot,
    domain=(P, P))  # fmt: skip
row("heaviside", lambda e, x, y: e.where(x.eq(0), y, e.cast(x > 0, x.dtype)),
    lambda g, out, x, y: ew.zeros_like(g), lambda g, out, x, y: ew.zeros_like(g),
    reference=np.heaviside, domain=(R, R))  # fmt: skip
row("fmax", lambda e, x, y: e.where((x > y) | e.isnan(y), x, y),
    lambda g, out, x, y: ew.where(ew.eq(out, x), g, 0.0),
    lambda g, out, x, y: ew.where(ew.eq(out, x), 0.0, g), reference=np.fmax,
    domain=(R, R))  # fmt: skip
row("fmin", lambda e, x, y: e.where((x < y) | e.isnan(y), x, y),
    lambda g, out, x, y: ew.where(ew.eq(out, x), g, 0.0),
    lambda g, out, x, y: ew.where(ew.eq(out, x), 0.0, g), reference=np.fmin,
    domain=(R, R))  # fmt: skip


def _shift(kind: str) -> Callable[..., Any]:
    return lambda e, x, y: e.binary(kind, x, y)


row("bitwise_left_shift", _shift("shl"), reference=np.left_shift, domain=(R, R))
row("bitwise_right_shift", _shift("shr"), reference=np.right_shift, domain=(R, R))

# ---------------------------------------------------------------- scaled and composed
row("frac", lambda e, x: x - e.trunc(x), lambda g, out, x: g, types="float",
    reference=lambda x: x - np.trunc(x))  # fmt: skip
row("logit", lambda e, x: e.log(x / (1 - x)), lambda g, out, x: g / (x * (1.0 - x)), types="float",
    domain=(U,))  # fmt: skip
row("deg2rad", lambda e, x: x * e.const(math.pi / 180.0, x.dtype),
    lambda g, out, x: g * (math.pi / 180.0), types="float", reference=np.deg2rad)  # fmt: skip
row("rad2deg", lambda e, x: x * e.const(180.0 / math.pi, x.dtype),
    lambda g, out, x: g * (180.0 / math.pi), types="float", reference=np.rad2deg)  # fmt: skip


# ---------------------------------------------------------------- along a dimension, by NumPy
def _same(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    x = srcs[0]
    return Spec(x.shape, x.dtype if x.dtype.rank > 1 else dt.int64, None, x.device)


def _indices(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    return Spec(srcs[0].shape, dt.int64, None, srcs[0].device)


def library(
    name: str, infer: Infer, call: Callable[..., Any], grad: Callable[..., Any] | None = None
) -> None:
    """A row that NumPy computes; `call(array, arg=...)`."""
    if name not in TABLE:
        made = register(Op(name, LIBRARY, infer))
        made.call = call
        made.grads = (grad,) if grad is not None else ()


def _running(f: Any) -> Callable[..., Any]:
    def call(x: Any, arg: Any = None) -> Any:
        if not x.ndim:
            return x
        return f(x, axis=arg, dtype=x.dtype if x.dtype.kind == "f" else np.int64)

    return call


def _reverse_sums(x: Val, dim: int) -> Val:
    return movement.flip(op("cumsum")(movement.flip(x, arg=(dim,)), arg=dim), arg=(dim,))


def _cumsum_grad(g: Val, out: Val, x: Val) -> Val:
    return _reverse_sums(g, out.arg) if x.shape else g


def _cumprod_grad(g: Val, out: Val, x: Val) -> Val:
    # right where no element is zero, which is where a quotient of products exists
    return _reverse_sums(g * out, out.arg) / x if x.shape else g


def _argsort(x: Any, arg: Any = None) -> Any:
    """Indices that sort along a dimension, equal elements in order, NaN as the greatest."""
    dim, descending = arg
    if not x.ndim:
        return np.zeros((), np.int64)
    if not descending:
        return np.argsort(x, axis=dim, kind="stable")
    turned = np.flip(np.argsort(np.flip(x, dim), axis=dim, kind="stable"), dim)
    return x.shape[dim] - 1 - turned


# running sums and products, arg = dim; order of a stable sort, arg = (dim, descending)
library("cumsum", _same, _running(np.cumsum), _cumsum_grad)
library("cumprod", _same, _running(np.cumprod), _cumprod_grad)
library("argsort", _indices, _argsort)


# ---------------------------------------------------------------- special functions, by SciPy
def _float(op_: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    x = srcs[0]
    return Spec(x.shape, x.dtype if x.dtype.rank > 1 else dt.Defaults.float, None, x.device)


def _special(name: str) -> Callable[..., Any]:
    def call(x: Any, arg: Any = None) -> Any:
        import scipy.special

        return getattr(scipy.special, name)(x if x.dtype.kind == "f" else x.astype(np.float64))

    return call


library("erfc", _float, _special("erfc"),
        lambda g, out, x: g * (ew.exp(-(x * x)) * (-2.0 / math.sqrt(math.pi))))  # fmt: skip
library("erfinv", _float, _special("erfinv"),
        lambda g, out, x: g * (ew.exp(out * out) * (math.sqrt(math.pi) / 2.0)))  # fmt: skip
library("lgamma", _float, _special("gammaln"), lambda g, out, x: g * op("digamma")(x))
library("digamma", _float, _special("psi"), lambda g, out, x: g * op("trigamma")(x))
library("trigamma", _float, lambda x, arg=None: _polygamma(x))
library("i0", _float, _special("i0"), lambda g, out, x: g * op("i1")(x))
library("i1", _float, _special("i1"))


def _polygamma(x: Any) -> Any:
    import scipy.special

    return scipy.special.polygamma(1, x)


# ---------------------------------------------------------------- what PyTorch refuses
NO_BOOL_SUB = (
    "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to "
    "invert a mask, use the `~` or `logical_not()` operator instead."
)
_WORDS: dict[str, tuple[type[Exception], str]] = {
    "neg": (
        RuntimeError,
        "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to "
        "invert a mask, use the `~` or `logical_not()` operator instead.",
    ),
    "relu": (RuntimeError, "Boolean inputs not supported for relu"),
}


def _missing(name: str) -> Callable[[Op, Sequence[Spec]], Exception]:
    def error(op_: Op, srcs: Sequence[Spec]) -> Exception:
        kind = dt.result_type([(s.dtype, 2 if s.number else 0 if s.shape else 1) for s in srcs])
        return NotImplementedError(f"\"{name}\" not implemented for '{kind.typename}'")

    return error


def _said(name: str) -> Callable[[Op, Sequence[Spec]], Exception]:
    kind, words = _WORDS[name]
    return lambda op_, srcs: kind(words)


def refuse(name: str, below: int, error: Callable[[Op, Sequence[Spec]], Exception]) -> None:
    """Let a row raise where all operands lie below a rank: 1 refuses bool, 2 integers too."""
    made = TABLE[name]
    infer = made.infer

    def checked(op_: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
        if all(s.dtype.rank < below for s in srcs):
            raise error(op_, srcs)
        return infer(op_, srcs, arg)

    made.infer = checked


def _refuse_sub(op_: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    bools = [s.dtype.rank == 0 for s in srcs if not s.number]
    if any(bools):
        if len(bools) == 2 and all(bools):
            raise RuntimeError(
                "Subtraction, the `-` operator, with two bool tensors is not supported. Use the "
                "`^` or `logical_xor()` operator instead."
            )
        raise RuntimeError(NO_BOOL_SUB)
    return ew.infer(op_, srcs, arg)


def _refuse_mixed(op_: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    if len({s.dtype for s in srcs}) > 1:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")
    return ew.infer(op_, srcs, arg)


for _name in _WORDS:
    refuse(_name, 1, _said(_name))
for _name, _word in (
    ("abs", "abs_cpu"), ("floor", "floor_vml_cpu"), ("ceil", "ceil_vml_cpu"),
    ("trunc", "trunc_vml_cpu"), ("round", "round_vml_cpu"), ("remainder", "remainder_cpu"),
    ("fmod", "fmod_cpu"), ("floor_divide", "div_floor_cpu"), ("pow", "pow"),
):  # fmt: skip
    refuse(_name, 1, _missing(_word))
for _name in ("frac", "logaddexp", "hypot"):
    refuse(_name, 2, _missing(f"{_name}_cpu"))
TABLE["sub"].infer = _refuse_sub
TABLE["heaviside"].infer = _refuse_mixed
