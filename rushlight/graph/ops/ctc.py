"""Connectionist temporal classification: the likelihood of a sequence of labels.

    ctc(lp, labels, starts, skips, ends, alive, last)   minus the log-likelihood of each sequence

``lp`` (T, N, C) are log-probabilities; ``labels`` (N, L) the targets with blanks around each.  The
others are true where: an alignment may start, leave out the blank before, end (N, L); a step
counts, is a sequence's last (T, N).  The gradient is PyTorch's, for what comes from log_softmax;
arg: whether it is zero where no alignment is possible.  A composite that unrolls over T.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..op import COMPOSITE, Op, Spec, register
from ..value import Val
from .core import full, zeros
from .elementwise import eq, exp, log, maximum, where
from .indexing import pick, scatter
from .join import cat
from .movement import expand, select, slice_, unsqueeze
from .normalised import INF, logsumexp


def _nothing(like: Val, shape: tuple[int, ...]) -> Val:
    low = Val(like.builder, like.builder.number(-INF, like))
    return full(low, arg=(shape, like.dtype))


def _log_sum(*parts: Val) -> Val:
    """The logarithm of the sum of exponentials; of nothing but -inf it is -inf."""
    top = parts[0]
    for p in parts[1:]:
        top = maximum(top, p)
    base = where(eq(top, -INF), 0.0, top)
    total = exp(parts[0] - base)
    for p in parts[1:]:
        total = total + exp(p - base)
    return log(total) + base


def _moved(v: Val, n: int) -> Val:
    """The columns n places to the right (left, for n < 0), -inf coming in."""
    rows, width = v.shape
    k = abs(n)
    if k >= width:
        return _nothing(v, v.shape)
    none = _nothing(v, (rows, k))
    if n > 0:
        return cat(none, slice_(v, arg=(1, 0, width - k, 1)), arg=1)
    return cat(slice_(v, arg=(1, k, width, 1)), none, arg=1)


def _along(lp: Val, labels: Val) -> Val:
    """(T, N, L): the log-probability of each label at each step."""
    places = expand(unsqueeze(labels, arg=0), arg=(lp.shape[0], *labels.shape))
    return pick(lp, places, arg=2)


def _at(v: Val, t: int) -> Val:
    return select(v, arg=(0, t))


def _column(v: Val, t: int) -> Val:
    return unsqueeze(_at(v, t), arg=1)


def _forward(e: Val, starts: Val, skips: Val, alive: Val) -> list[Val]:
    """Log-likelihoods (N, L) of what came up to each step; they stay after a sequence's last."""
    a = where(starts, _at(e, 0), -INF)
    found = [a]
    for t in range(1, e.shape[0]):
        two = where(skips, _moved(a, 2), -INF)
        a = where(_column(alive, t), _log_sum(a, _moved(a, 1), two) + _at(e, t), a)
        found.append(a)
    return found


def _backward(e: Val, skips: Val, ends: Val, last: Val) -> list[Val]:
    """Log-likelihoods (N, L) of what comes from each step on; -inf after a sequence's last."""
    b = _nothing(e, e.shape[1:])
    found = []
    for t in reversed(range(e.shape[0])):
        two = _moved(where(skips, b, -INF), -2)
        b = _log_sum(b, _moved(b, -1), two)
        b = where(_column(last, t), where(ends, 0.0, -INF), b) + _at(e, t)
        found.append(b)
    return found[::-1]


def _ctc(
    lp: Val, labels: Val, starts: Val, skips: Val, ends: Val, alive: Val, last: Val, arg: Any = None
) -> Val:
    a = _forward(_along(lp, labels), starts, skips, alive)[-1]
    return -logsumexp(where(ends, a, -INF), arg=((1,), False))


def _grad(
    g: Val, out: Val, lp: Val, labels: Val, starts: Val, skips: Val, ends: Val, alive: Val,
    last: Val,
) -> Val:  # fmt: skip
    e = _along(lp, labels)
    forward = _forward(e, starts, skips, alive)
    backward = _backward(e, skips, ends, last)
    both = cat(*[unsqueeze(a + b, arg=0) for a, b in zip(forward, backward, strict=True)], arg=0)
    loss = unsqueeze(unsqueeze(out, arg=0), arg=2)
    share = where(eq(both, -INF), 0.0, exp(both + loss - e))
    places = expand(unsqueeze(labels, arg=0), arg=e.shape)
    each = scatter(zeros(lp, lp.shape), places, share, arg=(2, True))
    slope = (exp(lp) - each) * unsqueeze(unsqueeze(g, arg=0), arg=2)
    slope = where(unsqueeze(alive, arg=2), slope, 0.0)
    return where(eq(loss, INF), 0.0 if out.arg else loss - loss, slope)


def _infer(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    lp = srcs[0]
    return Spec(lp.shape[1:2], lp.dtype, None, lp.device)


ctc: Op = register(Op("ctc", COMPOSITE, _infer))
ctc.decompose, ctc.grads = _ctc, (_grad,)
