"""Composites that first runs meet often: their operations, without taking them apart anew.

Taking a composite apart for operands of new sizes costs more than to run it.  Each function here
does what the row's decomposition says, operation for operation, so that the bits are the same.
"""

from __future__ import annotations

from typing import Any, Final

from ..base import dtype as dt
from ..base.shape import is_contiguous
from ..graph.op import TABLE, Spec
from .first import Direct, Runner, constant
from .steps import Cell, count


def reduced(s: Spec, dims: Any, kept: bool) -> Spec:
    """What a reduction gives."""
    shape = s.shape
    if kept:
        return Spec(tuple([1 if d in dims else shape[d] for d in range(len(shape))]), s.dtype)
    return Spec(tuple([shape[d] for d in range(len(shape)) if d not in dims]), s.dtype)


def mean(r: Runner, xs: list[Cell], arg: Any, spec: Spec, leaves: bool, out: Cell) -> bool:
    """The sum by how many there are."""
    s = xs[0].spec
    n = 1
    for d in arg[0]:
        n *= s.shape[d]
    total = r.step(SUM, xs, arg, spec)
    by = Cell()
    constant((float(n), s.dtype), Spec((), s.dtype), by)
    r.node(DIV.code, DIV, [total, by], None, spec, leaves, True, out)
    return True


def linear(r: Runner, xs: list[Cell], arg: Any, spec: Spec, leaves: bool, out: Cell) -> bool:
    """``x @ weight.T + bias``."""
    x = xs[0].spec
    w = xs[1].spec
    if len(x.shape) < 2:
        return False
    turned = Cell()
    r.same(xs[1], Spec((w.shape[1], w.shape[0]), w.dtype, (w.strides[1], w.strides[0])), turned)
    if len(xs) == 2:
        r.node(MATMUL.code, MATMUL, [xs[0], turned], None, spec, leaves, True, out)
        return True
    made = r.step(MATMUL, [xs[0], turned], None, spec)
    r.node(ADD.code, ADD, [made, xs[2]], None, spec, leaves, True, out)
    r.let_go(made)
    return True


def addmm(r: Runner, xs: list[Cell], arg: Any, spec: Spec, leaves: bool, out: Cell) -> bool:
    """``c + x @ y``."""
    made = r.step(MATMUL, [xs[1], xs[2]], None, spec)
    r.node(ADD.code, ADD, [made, xs[0]], None, spec, leaves, True, out)
    r.let_go(made)
    return True


def softmax(r: Runner, xs: list[Cell], arg: Any, spec: Spec, leaves: bool, out: Cell) -> bool:
    """Exponentials by their sum along a dimension: times its inverse."""
    if count(spec.shape) == 0:
        return False
    along = ((arg,) if spec.shape else (), True)
    one = reduced(spec, along[0], True)
    top = r.step(AMAX, xs, along, one)
    low = r.step(SUB, [xs[0], top], None, spec)
    e = r.step(EXP, [low], None, spec)
    r.let_go(low)
    part = r.step(DIV, [number(1.0, one), r.step(SUM, [e], along, one)], None, one)
    r.node(MUL.code, MUL, [e, part], None, spec, leaves, True, out)
    r.let_go(e)
    return True


def log_softmax(r: Runner, xs: list[Cell], arg: Any, spec: Spec, leaves: bool, out: Cell) -> bool:
    """What the logarithm of a softmax is, without leaving the range of floats."""
    if count(spec.shape) == 0:
        return False
    along = ((arg,) if spec.shape else (), True)
    one = reduced(spec, along[0], True)
    top = r.step(AMAX, xs, along, one)
    low = r.step(SUB, [xs[0], top], None, spec)
    e = r.step(EXP, [low], None, spec)
    total = r.step(SUM, [e], along, one)
    r.let_go(e)
    r.node(SUB.code, SUB, [low, r.step(LOG, [total], None, one)], None, spec, leaves, True, out)
    r.let_go(low)
    return True


def number(value: float | int, like: Spec) -> Cell:
    """A number beside a value of a type."""
    out = Cell()
    constant((value, like.dtype), Spec((), like.dtype), out)
    return out


def nll_loss(r: Runner, xs: list[Cell], arg: Any, spec: Spec, leaves: bool, out: Cell) -> bool:
    """What was expected of each example's class, of rows of classes without weights."""
    x = xs[0].spec
    t = xs[1].spec
    reduction, ignore = arg
    rank = len(x.shape)
    if len(xs) != 2 or rank < 2 or t.dtype is not dt.int64 or reduction not in ("mean", "sum"):
        return False
    if type(ignore) is not int or not is_contiguous(t.shape, t.strides):
        return False
    flat = Spec(t.shape, dt.bool_)
    counts = r.step(NE, [xs[1], number(ignore, t)], None, flat)
    at = r.step(WHERE, [counts, xs[1], number(0, t)], None, Spec(t.shape, t.dtype))
    index = Cell()
    r.same(at, Spec((t.shape[0], 1, *t.shape[1:]), t.dtype), index)
    each = Spec(t.shape, x.dtype)
    picked = r.step(PICK, [xs[0], index], 1, Spec(index.spec.shape, x.dtype))
    squeezed = Cell()
    r.same(picked, each, squeezed)
    v = r.step(WHERE, [counts, r.step(NEG, [squeezed], None, each), number(0.0, x)], None, each)
    every = (tuple(range(len(t.shape))), False)
    if reduction == "sum":
        r.node(SUM.code, SUM, [v], every, spec, leaves, True, out)
        return True
    total = r.step(SUM, [v], every, spec)
    by = r.step(SUM, [r.step(CAST, [counts], x.dtype, each)], every, spec)
    r.node(DIV.code, DIV, [total, by], None, spec, leaves, True, out)
    return True


def cross_entropy(r: Runner, xs: list[Cell], arg: Any, spec: Spec, leaves: bool, out: Cell) -> bool:
    """`nll_loss` of a `log_softmax`."""
    x = xs[0].spec
    reduction, ignore, smoothing = arg
    if smoothing or len(xs) != 2 or len(x.shape) < 2 or count(x.shape) == 0:
        return False
    if xs[1].spec.dtype is not dt.int64 or reduction not in ("mean", "sum"):
        return False
    low = Cell()
    if not log_softmax(r, [xs[0]], 1, Spec(x.shape, x.dtype), False, low):
        return False
    return nll_loss(r, [low, xs[1]], (reduction, ignore), spec, leaves, out)


SUM: Final = TABLE["sum"]
AMAX: Final = TABLE["amax"]
ADD: Final = TABLE["add"]
SUB: Final = TABLE["sub"]
DIV: Final = TABLE["div"]
EXP: Final = TABLE["exp"]
LOG: Final = TABLE["log"]
CAST: Final = TABLE["cast"]
NE: Final = TABLE["ne"]
NEG: Final = TABLE["neg"]
PICK: Final = TABLE["pick"]
WHERE: Final = TABLE["where"]
MATMUL: Final = TABLE["matmul"]
MUL: Final = TABLE["mul"]
PARTS: Final[dict[str, Direct]] = {
    "mean": mean,
    "linear": linear,
    "addmm": addmm,
    "softmax": softmax,
    "log_softmax": log_softmax,
    "nll_loss": nll_loss,
    "cross_entropy": cross_entropy,
}
