"""Means, variances and what divides by sums of exponentials.

Composites with gradients of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...base.shape import Ints, contiguous_strides
from ..op import COMPOSITE, Op, Spec, register
from ..shaping import reduced_shape
from ..shaping_layers import averaged, normalised
from ..value import Val
from .elementwise import abs_, eq, exp, log, rsqrt, sqrt, square, where
from .movement import laid_out, reshape
from .reduce import amax, count, restore, spread_over, sum_

INF = float("inf")


def _floating(op: Op, x: Spec, words: str) -> None:
    if x.dtype.rank < 2:
        raise RuntimeError(words)


def _define(name: str, infer: Any, decompose: Any, grad: Any, domain: Any = ((-3.0, 3.0),)) -> Op:
    op = register(Op(name, COMPOSITE, infer))
    op.decompose, op.grads, op.domain = decompose, (grad,), domain
    return op


# ---------------------------------------------------------------- mean, arg = (dims, keepdim)
def _mean(x: Val, arg: Any = None) -> Val:
    return sum_(x, arg=arg) / float(count(x.shape, arg[0]))


def _mean_grad(g: Val, out: Val, x: Val) -> Val:
    """PyTorch divides after spreading, which lays the gradient out row by row: dividing first is
    less work, and only beside a turned value the layout shows."""
    g = spread_over(g / float(count(x.shape, out.arg[0])), x, out.arg)
    rows = contiguous_strides(x.shape)
    return g if x.builder.spec(x.slot).strides == rows else laid_out(g, rows)


mean = _define("mean", averaged, _mean, _mean_grad)


# ---------------------------------------------------- var, std, arg = (dims, keepdim, correction)
def _infer_var(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    x = srcs[0]
    _floating(op, x, "std and var only support floating point and complex dtypes")
    return Spec(reduced_shape(x.shape, arg[0], arg[1]), x.dtype, None, x.device)


def _freedom(x: Val, arg: Any) -> float:
    return max(float(count(x.shape, arg[0]) - arg[2]), 0.0)


def _var(x: Val, arg: Any = None) -> Val:
    dims, keepdim, _ = arg
    away = x - mean(x, arg=(dims, True))
    return sum_(square(away), arg=(dims, keepdim)) / _freedom(x, arg)


def _var_slope(g: Val, x: Val, arg: Any) -> Val:
    dims, keepdim, _ = arg
    free = _freedom(x, arg)
    scale = 2.0 / free if free else INF
    return (restore(g, x, (dims, keepdim)) * scale) * (x - mean(x, arg=(dims, True)))


def _std_grad(g: Val, out: Val, x: Val) -> Val:
    slope = where(eq(out, 0.0), 0.0, g / (out * 2.0))
    return _var_slope(slope, x, out.arg)


var = _define("var", _infer_var, _var, lambda g, out, x: _var_slope(g, x, out.arg))
std = _define("std", _infer_var, lambda x, arg=None: sqrt(_var(x, arg)), _std_grad)


# ---------------------------------------------------------------- logsumexp, arg = (dims, keepdim)
def _infer_logsumexp(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    x = srcs[0]
    _floating(
        op,
        x,
        f"logsumexp(): Expected floating point type for result tensor, but got: {x.dtype.typename}",
    )
    return Spec(reduced_shape(x.shape, *arg), x.dtype, None, x.device)


def _logsumexp(x: Val, arg: Any = None) -> Val:
    dims, keepdim = arg
    if not count(x.shape, dims):
        return log(sum_(exp(x), arg=arg))
    top = amax(x, arg=(dims, True))
    top = where(eq(abs_(top), INF), 0.0, top)
    total = log(sum_(exp(x - top), arg=(dims, True))) + top
    return total if keepdim else _without(total, x, dims)


def _without(v: Val, x: Val, dims: Ints) -> Val:
    from_shape = reduced_shape(x.shape, dims, False)
    return reshape(v, arg=from_shape)


logsumexp = _define(
    "logsumexp",
    _infer_logsumexp,
    _logsumexp,
    lambda g, out, x: restore(g, x, out.arg) * exp(x - restore(out, x, out.arg)),
)


# ---------------------------------------------------------------- softmax, arg = dim
def _along(x: Val, dim: int) -> tuple[Ints, bool]:
    return ((dim,) if x.shape else (), True)


def _softmax(x: Val, arg: Any = None) -> Val:
    if 0 in x.shape:
        return exp(x)
    along = _along(x, arg)
    e = exp(x - amax(x, arg=along))
    return e * (1.0 / sum_(e, arg=along))  # one division a row: they take longer than all else


def _log_softmax(x: Val, arg: Any = None) -> Val:
    if 0 in x.shape:
        return exp(x)
    along = _along(x, arg)
    low = x - amax(x, arg=along)
    return low - log(sum_(exp(low), arg=along))


softmax = _define(
    "softmax",
    normalised,
    _softmax,
    lambda g, out, x: (g - sum_(g * out, arg=_along(x, out.arg))) * out,
)
log_softmax = _define(
    "log_softmax",
    normalised,
    _log_softmax,
    lambda g, out, x: g - exp(out) * sum_(g, arg=_along(x, out.arg)),
)


# ------------------------------------------------ standardise, arg = (dims, shape, weight?, bias?)
def _infer_standardise(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    x = srcs[0]
    return Spec(x.shape, x.dtype, x.laid_alike(), x.device)


def _standardise(x: Val, eps: Val, *affine: Val, arg: Any = None) -> Val:
    dims, shape, weight, bias = arg
    away = x - mean(x, arg=(dims, True))
    out = away * rsqrt(mean(away * away, arg=(dims, True)) + eps)
    if weight:
        out = out * _fitting(affine[0], shape)
    return out + _fitting(affine[-1], shape) if bias else out


def _fitting(v: Val, shape: Ints | None) -> Val:
    return v if shape is None else reshape(v, arg=shape)


# ``x`` less its mean over ``dims``, over its deviation, scaled and shifted.  Without a rule of its
# own: its gradient is that of its parts, worked out from the operands, which are what is saved.
standardise = register(Op("standardise", COMPOSITE, _infer_standardise))
standardise.decompose = _standardise
standardise.domain = ((-3.0, 3.0),)
