"""Losses: what compares outputs with targets, as composites of one record each.

``arg`` begins with the reduction: ``'none'``, ``'mean'`` or ``'sum'``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...base import dtype as dt
from ..op import COMPOSITE, Op, Spec, register
from ..shaping import NO_BOOL_SUB, elementwise
from ..shaping_layers import check_reduction, of_classes
from ..value import Val
from . import elementwise as ew
from .activations import log_sigmoid
from .core import iota
from .elementwise import (
    R,
    U,
    abs_,
    cast,
    clamp_min,
    define,
    eq,
    exp,
    ge,
    le,
    log,
    log1p,
    ne,
    sigmoid,
    square,
    where,
)
from .indexing import CHECK, TARGET, Bound, index, pick
from .movement import reshape, squeeze, unsqueeze
from .normalised import log_softmax, mean
from .reduce import sum_

NONE, MEAN, SUM = "none", "mean", "sum"


# ---------------------------------------------------------------- one element
def _smooth_l1_grad(g: Val, out: Val, x: Val, t: Val, beta: Val) -> Val:
    d = x - t
    return where(le(d, -beta), -g, where(ge(d, beta), g, g * d / beta))


def _huber_grad(g: Val, out: Val, x: Val, t: Val, delta: Val) -> Val:
    d = x - t
    return where(le(d, -delta), -(g * delta), where(ge(d, delta), g * delta, g * d))


def _smooth_l1(e: Any, x: Any, t: Any, beta: Any) -> Any:
    z = e.abs(x - t)
    return e.where(z < beta, z * 0.5 * z / beta, z - beta * 0.5)


def _huber(e: Any, x: Any, t: Any, delta: Any) -> Any:
    z = e.abs(x - t)
    return e.where(z <= delta, z * 0.5 * z, delta * (z - delta * 0.5))


smooth_l1: Op = define(
    "smooth_l1", _smooth_l1, _smooth_l1_grad,
    lambda g, out, x, t, b: -_smooth_l1_grad(g, out, x, t, b), None,
    types="float", domain=(R, R, (0.5, 1.5)),
    reference=lambda x, t, b: np.where(
        np.abs(x - t) < b, 0.5 * (x - t) ** 2 / b, np.abs(x - t) - 0.5 * b
    ),
)  # fmt: skip
huber: Op = define(
    "huber", _huber, _huber_grad, lambda g, out, x, t, d: -_huber_grad(g, out, x, t, d), None,
    types="float", domain=(R, R, (0.5, 1.5)),
    reference=lambda x, t, d: np.where(
        np.abs(x - t) <= d, 0.5 * (x - t) ** 2, d * (np.abs(x - t) - 0.5 * d)
    ),
)  # fmt: skip


def _bce(e: Any, x: Any, t: Any) -> Any:
    def least(v: Any) -> Any:  # not below -100; NaN stays
        return e.where(v < -100, -100, v)

    return (t - 1) * least(e.log1p(-x)) - t * least(e.log(x))


bce: Op = define(
    "bce", _bce,
    lambda g, out, x, t: g * (x - t) / clamp_min((1.0 - x) * x, 1e-12),
    lambda g, out, x, t: g * (clamp_min(log1p(-x), -100.0) - clamp_min(log(x), -100.0)),
    types="float", domain=(U, U), reference=lambda x, t: -(t * np.log(x) + (1 - t) * np.log(1 - x)),
)  # fmt: skip
bce_logits: Op = define(
    "bce_logits",
    lambda e, x, t: (1 - t) * x - (e.where(x < 0, x, 0) - e.log1p(e.exp(-e.abs(x)))),
    lambda g, out, x, t: (sigmoid(x) - t) * g, lambda g, out, x, t: -(g * x),
    types="float", domain=(R, U), reference=lambda x, t: np.log1p(np.exp(x)) - t * x,
)  # fmt: skip
bce_logits_pos: Op = define(
    "bce_logits_pos",  # (x, t, weight of positive examples)
    lambda e, x, t, p: (1 - t) * x
    - ((p - 1) * t + 1) * (e.where(x < 0, x, 0) - e.log1p(e.exp(-e.abs(x)))),
    lambda g, out, x, t, p: ((p * t + 1.0 - t) * sigmoid(x) - p * t) * g,
    lambda g, out, x, t, p: g * (-x - (p - 1.0) * log_sigmoid(x)),
    lambda g, out, x, t, p: -(g * t * log_sigmoid(x)),
    types="float", domain=(R, U, (0.5, 2.0)),
    reference=lambda x, t, p: (1 - t) * x + ((p - 1) * t + 1) * np.log1p(np.exp(-x)),
)  # fmt: skip


def _unit(srcs: Sequence[Spec], arg: Any) -> tuple[Bound, ...]:
    words = "all elements of input should be between 0 and 1"
    return (Bound(0, error=RuntimeError, words=words, test="unit"),)


CHECK[bce] = _unit


# ---------------------------------------------------------------- reduced
def reduced(v: Val, reduction: str) -> Val:
    """``v`` as it is, its mean or its sum."""
    if reduction == NONE:
        return v
    return (mean if reduction == MEAN else sum_)(v, arg=(tuple(range(len(v.shape))), False))


def _infer_pairs(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    check_reduction(arg[0])
    x, t = srcs[0], srcs[1]
    if op.name == "binary_cross_entropy" and t.dtype is not x.dtype and x.dtype.rank > 1:
        raise RuntimeError(f"Found dtype {t.dtype.typename} but expected {x.dtype.typename}")
    if t.dtype.rank < 2 <= x.dtype.rank and op.name.startswith("binary_cross_entropy_with"):
        if t.dtype.kind == "b":
            raise RuntimeError(NO_BOOL_SUB)
        raise RuntimeError(
            f"result type {x.dtype.typename} can't be cast to the desired output type "
            f"{t.dtype.typename}"
        )
    made = elementwise(_PAIR, srcs, None)
    if made.dtype.rank < 2:
        raise NotImplementedError(f"\"{op.name}_cpu\" not implemented for '{made.dtype.typename}'")
    return made if arg[0] == NONE else Spec((), made.dtype, None, made.device)


_PAIR = ew.add  # promotes and broadcasts as these losses do


def _pairs(name: str, each: Callable[..., Val], grads: Any = ()) -> Op:
    """A loss of pairs: ``each(x, t, ...)`` elementwise, then the reduction; arg = (reduction,)."""
    op = register(Op(name, COMPOSITE, _infer_pairs))
    op.decompose = lambda *v, arg=None: reduced(each(*v), arg[0])
    op.grads = grads
    op.domain = (R, R)
    return op


def _mse_grad(i: int, g: Val, out: Val, x: Val, t: Val) -> Val:
    away = x - t if i == 0 else t - x
    n = 1
    for d in away.shape:
        n *= d
    scale = 2.0 / max(n, 1) if out.arg[0] == MEAN else 2.0
    return away * scale * g


def _weighted(row: Op) -> Callable[..., Val]:
    def each(x: Val, t: Val, *weight: Val) -> Val:
        v = row(x, t)
        return v * weight[0] if weight else v

    return each


def _infer_soft_margin(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    """Of the input's shape and type: PyTorch writes into its negative."""
    check_reduction(arg[0])
    x = srcs[0]
    made = elementwise(_PAIR, srcs, None)
    if made.shape != x.shape:
        raise RuntimeError(
            f"output with shape {list(x.shape)} doesn't match the broadcast shape "
            f"{list(made.shape)}"
        )
    if x.dtype.rank < 2:
        raise RuntimeError(
            f"result type {dt.Defaults.float.typename} can't be cast to the desired output type "
            f"{x.dtype.typename}"
        )
    if arg[0] == NONE:
        return Spec(x.shape, x.dtype, x.laid_alike(), x.device)
    return Spec((), x.dtype, None, x.device)


def _soft_margin(x: Val, t: Val, arg: Any = None) -> Val:
    v = -x * t
    return reduced(log1p(exp(v if v.dtype is x.dtype else cast(v, arg=x.dtype))), arg[0])


soft_margin_loss: Op = register(Op("soft_margin_loss", COMPOSITE, _infer_soft_margin))
soft_margin_loss.decompose, soft_margin_loss.domain = _soft_margin, (R, R)
mse_loss = _pairs("mse_loss", lambda x, t: square(x - t), _mse_grad)
l1_loss = _pairs("l1_loss", lambda x, t: abs_(x - t))
smooth_l1_loss = _pairs("smooth_l1_loss", smooth_l1)  # (x, t, beta)
huber_loss = _pairs("huber_loss", huber)  # (x, t, delta)
binary_cross_entropy = _pairs("binary_cross_entropy", _weighted(bce))  # (x, t[, weight])
CHECK[binary_cross_entropy] = _unit
binary_cross_entropy_with_logits = _pairs(  # (x, t[, weight])
    "binary_cross_entropy_with_logits", _weighted(bce_logits)
)


def _logits_pos(x: Val, t: Val, p: Val, *weight: Val) -> Val:
    v = bce_logits_pos(x, t, p)
    return v * weight[0] if weight else v


binary_cross_entropy_with_logits_pos = _pairs(  # (x, t, pos_weight[, weight])
    "binary_cross_entropy_with_logits_pos", _logits_pos
)


# ---------------------------------------------------------------- classes
def _class_dim(x: Val | Spec) -> int:
    return 1 if len(x.shape) > 1 else 0


class _Target:
    """What a class target means for ``x``.

    Which examples count, how much, and the divisor of the mean.
    """

    def __init__(self, x: Val, target: Val, weight: tuple[Val, ...], ignore: int) -> None:
        t = target
        if len(x.shape) == 1 and t.shape == (1,):
            t = reshape(t, arg=())
        if t.dtype is not dt.int64:
            t = cast(t, arg=dt.int64)
        self.x = x
        self.dim = _class_dim(x)
        self.shape = target.shape
        self.counts = ne(t, ignore)
        self.at = where(self.counts, t, 0)
        self.each = (
            where(self.counts, index(weight[0], self.at, arg=(0,)), 0.0)
            if weight
            else cast(self.counts, arg=x.dtype)
        )
        self.weighted = bool(weight)

    def of(self, v: Val) -> Val:
        """``v`` at each example's class."""
        return squeeze(pick(v, unsqueeze(self.at, arg=self.dim), arg=self.dim), arg=(self.dim,))

    def total(self) -> Val:
        """The sum of the weights that count: what the mean divides by."""
        return total(self.each)

    def hot(self) -> Val:
        """True at each example's class."""
        n = len(self.x.shape)
        shape = tuple(s if d == self.dim else 1 for d, s in enumerate(self.x.shape))
        b = self.x.builder
        classes = Val(b, b.make(iota, [], (shape, self.dim, dt.int64)))
        return eq(classes, unsqueeze(self.at, arg=self.dim)) if n > 1 else eq(classes, self.at)

    def scaled(self, g: Val, reduction: str) -> Val:
        """The gradient of each example's loss, before weights."""
        if reduction == MEAN:
            g = g / self.total()
        elif reduction == NONE and g.shape != self.at.shape:
            g = reshape(g, arg=self.at.shape)
        return unsqueeze(g, arg=self.dim) if g.shape else g

    def finish(self, v: Val, reduction: str) -> Val:
        """``v`` (each example's loss) reduced."""
        if reduction == NONE:
            return reshape(v, arg=self.shape) if v.shape != self.shape else v
        return total(v) if reduction == SUM else total(v) / self.total()


def total(v: Val) -> Val:
    """The sum of all elements."""
    return sum_(v, arg=(tuple(range(len(v.shape))), False))


def _nll(x: Val, target: Val, *weight: Val, arg: Any = None) -> Val:
    reduction, ignore = arg
    t = _Target(x, target, weight, ignore)
    v = -t.of(x)
    if t.weighted:
        v = v * t.each
    return t.finish(where(t.counts, v, 0.0), reduction)


def _nll_grad(i: int, g: Val, out: Val, x: Val, target: Val, *weight: Val) -> Val | None:
    if i:
        return None
    reduction, ignore = out.arg
    t = _Target(x, target, weight, ignore)
    return where(t.hot(), -_slope(t, t.scaled(g, reduction)), 0.0)


def _slope(t: _Target, scaled: Val) -> Val:
    """The gradient of each example's loss, zero where it does not count: of a mean of none, whose
    divisor is zero, it is zero too."""
    each = unsqueeze(t.each, arg=t.dim) if t.each.shape else t.each
    return where(_counting(t), scaled * each, 0.0)


def _counting(t: _Target) -> Val:
    return unsqueeze(t.counts, arg=t.dim) if t.counts.shape else t.counts


# (log-probabilities, target[, weight]), arg = (reduction, ignore_index)
nll_loss: Op = register(Op("nll_loss", COMPOSITE, of_classes))
nll_loss.decompose, nll_loss.grads = _nll, _nll_grad


def _classes(srcs: Sequence[Spec], arg: Any) -> tuple[Bound, ...]:
    """What targets of a row with arg = (reduction, ignore_index, ...) have to be."""
    x = srcs[0]
    if not x.shape:
        return ()
    dim = _class_dim(x)
    return (Bound(1, x.shape[dim], dim, words=TARGET, besides=arg[1]),)


CHECK[nll_loss] = _classes


def _class_weights(x: Val, weight: tuple[Val, ...]) -> Val | None:
    if not weight:
        return None
    dim = _class_dim(x)
    shape = tuple(s if d == dim else 1 for d, s in enumerate(x.shape))
    return reshape(weight[0], arg=shape)


def _class_arg(arg: Any) -> tuple[str, int, float]:
    return arg  # type: ignore[no-any-return]


def _cross_entropy(x: Val, target: Val, *weight: Val, arg: Any = None) -> Val:
    reduction, ignore, smoothing = _class_arg(arg)
    dim = _class_dim(x)
    lp = log_softmax(x, arg=dim)
    hard = nll_loss(lp, target, *weight, arg=(reduction, ignore))
    if not smoothing:
        return hard
    w = _class_weights(x, weight)
    t = _Target(x, target, weight, ignore)
    v = -sum_(lp if w is None else lp * w, arg=((dim,), False))
    soft = t.finish(where(t.counts, v, 0.0), reduction)
    return hard * (1.0 - smoothing) + soft * (smoothing / x.shape[dim])


def _cross_entropy_grad(i: int, g: Val, out: Val, x: Val, target: Val, *weight: Val) -> Val | None:
    if i:
        return None
    reduction, ignore, smoothing = _class_arg(out.arg)
    dim = _class_dim(x)
    t = _Target(x, target, weight, ignore)
    p = exp(log_softmax(x, arg=dim))
    scaled = t.scaled(g, reduction)
    d = -_slope(t, scaled)
    if not smoothing:
        return where(t.hot(), d, 0.0) - p * d
    w = _class_weights(x, weight)
    soft = where(_counting(t), scaled * (smoothing / x.shape[dim]), 0.0)
    slope = where(t.hot(), d * (1.0 - smoothing), 0.0) - (soft if w is None else soft * w)
    return slope - p * sum_(slope, arg=((dim,), True))


# (x, target[, weight]), arg = (reduction, ignore_index, label_smoothing)
cross_entropy: Op = register(Op("cross_entropy", COMPOSITE, of_classes))
cross_entropy.decompose, cross_entropy.grads = _cross_entropy, _cross_entropy_grad
CHECK[cross_entropy] = _classes


def _infer_soft(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    """(x, probabilities of x's shape[, weight])."""
    x, t = srcs[0], srcs[1]
    check_reduction(arg[0])
    if t.shape != x.shape:
        raise RuntimeError(
            f"cross_entropy: probabilities of shape {list(t.shape)} for an input of shape "
            f"{list(x.shape)}"
        )
    if t.dtype.rank < 2 or x.dtype.rank < 2:
        raise RuntimeError(
            "Expected floating point type for target with class probabilities, got "
            f"{t.dtype.typename}"
        )
    dim = _class_dim(x)
    rest = x.shape[:dim] + x.shape[dim + 1 :]
    return Spec(rest if arg[0] == NONE else (), x.dtype, None, x.device)


def _soft(x: Val, target: Val, *weight: Val, arg: Any = None) -> Val:
    reduction, smoothing = arg
    dim = _class_dim(x)
    if smoothing:
        target = target * (1.0 - smoothing) + smoothing / x.shape[dim]
    v = log_softmax(x, arg=dim) * target
    w = _class_weights(x, weight)
    if w is not None:
        v = v * w
    if reduction == NONE:
        return -sum_(v, arg=((dim,), False))
    whole = -total(v)
    if reduction == SUM:
        return whole
    n = 1
    for d, s in enumerate(x.shape):
        n *= 1 if d == dim else s
    return whole / float(n)


# (x, class probabilities[, weight]), arg = (reduction, label_smoothing)
cross_entropy_soft: Op = register(Op("cross_entropy_soft", COMPOSITE, _infer_soft))
cross_entropy_soft.decompose = _soft
