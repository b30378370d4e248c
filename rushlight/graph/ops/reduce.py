"""Reductions: one value for every group of elements that lie along some dimensions.

The law of order (part of every result's bits).  Over ``dims`` (ascending) the reduced index runs
row-major through K elements.  When the input's last dimension of size other than 1 is reduced,
there are 32 virtual lanes: element k goes to lane k % 32, row r holds elements 32 r and 31 more;
when it is kept, there is one lane and every element is a row.  Rows are folded in a cascade: up to
16 consecutive rows one after the other make a level-0 value, up to 16 of these a level-1 value, and
so on.  Lanes then fold in a tree, lane j with lane j + half, for halves 16, 8, 4, 2, 1.  An
accumulator starts as its first item; a lane without element holds the neutral one (-0.0 for a sum).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from ...base import dtype as dt
from ...base.dtype import dtype
from ...base.shape import Ints, numel
from ..op import REDUCE, Op, Spec, register
from ..value import Val
from .elementwise import cast, eq, where
from .movement import SUM, expand, reshape

LANES: Final = 32  # virtual lanes of a reduction along the last dimension
GROUP: Final = 16  # items folded one after the other at each level


def reduced_shape(shape: Ints, dims: Ints, keepdim: bool) -> Ints:
    """The shape after reducing ``dims``."""
    if keepdim:
        return tuple(1 if d in dims else n for d, n in enumerate(shape))
    return tuple(n for d, n in enumerate(shape) if d not in dims)


def lanes_of(shape: Ints, dims: Ints) -> int:
    """Virtual lanes of a reduction: a function of the logical shape and the dimensions alone."""
    last = next((d for d in range(len(shape) - 1, -1, -1) if shape[d] != 1), None)
    return LANES if last in dims else 1


def count(shape: Ints, dims: Ints) -> int:
    """How many elements are folded into one."""
    return numel(tuple(shape[d] for d in dims))


def restore(g: Val, x: Val, arg: Any) -> Val:
    """``g`` of a reduction's shape with the reduced dimensions back in place, of size 1."""
    dims, keepdim = arg
    return g if keepdim or not dims else reshape(g, arg=reduced_shape(x.shape, dims, True))


def spread_over(g: Val, x: Val, arg: Any) -> Val:
    """``g`` of a reduction's shape repeated over ``x``'s shape."""
    g = restore(g, x, arg)
    return g if g.shape == x.shape else expand(g, arg=x.shape)


def _check(op: Op, x: Spec, dims: Ints, keepdim: bool) -> Ints:
    if any(not 0 <= d < len(x.shape) for d in dims) or list(dims) != sorted(set(dims)):
        raise ValueError(
            f"{op.name}: dims {dims} of {x!r} have to be ascending and within its shape"
        )
    return reduced_shape(x.shape, dims, keepdim)


def _needs_elements(op: Op, x: Spec, dims: Ints) -> None:
    """A winner among no elements does not exist; PyTorch's words."""
    if 0 not in x.shape:
        return
    arg = op.name.startswith("arg")
    if len(dims) == len(x.shape) and (len(dims) > 1 or arg or 0 in x.shape):
        text = f"{op.name}(): Expected reduction dim to be specified for input.numel() == 0."
        if arg:
            raise IndexError(text)
        raise RuntimeError(f"{text} Specify the reduction dim with the 'dim' argument.")
    for d in dims:
        if x.shape[d] == 0:
            raise IndexError(f"{op.name}(): Expected reduction dim {d} to have non-zero size.")


def _infer_sum(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    x = srcs[0]
    return Spec(_check(op, x, *arg), x.dtype if x.dtype.rank > 1 else dt.int64, None, x.device)


def _needs_order(op: Op, x: Spec) -> None:
    if x.dtype.kind == "c":
        raise NotImplementedError(f"\"{op.name}_cpu\" not implemented for '{x.dtype.typename}'")


def _infer_winner(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    x = srcs[0]
    _needs_order(op, x)
    shape = _check(op, x, *arg)
    _needs_elements(op, x, arg[0])
    return Spec(shape, x.dtype, None, x.device)


def _infer_index(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    x = srcs[0]
    _needs_order(op, x)
    shape = _check(op, x, *arg)
    _needs_elements(op, x, arg[0])
    if x.dtype is dt.bool_:
        raise RuntimeError(f"{op.name}(): does not support bool input")
    return Spec(shape, dt.int64, None, x.device)


def _infer_test(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    x = srcs[0]
    kept: dtype = dt.uint8 if x.dtype is dt.uint8 else dt.bool_
    return Spec(_check(op, x, *arg), kept, None, x.device)


def _define(name: str, infer: Any, grad: Callable[..., Any] | None = None) -> Op:
    op = register(Op(name, REDUCE, infer))
    if grad is not None:
        op.grads = (grad,)
    return op


# ---------------------------------------------------------------- gradients
def _sum_grad(g: Val, out: Val, x: Val) -> Val:
    return spread_over(g, x, out.arg)


def _prod_grad(g: Val, out: Val, x: Val) -> Val:
    """The product of the others, right where elements are zero too, for two orders of gradient."""
    dims, _ = out.arg
    kept = (dims, True)
    zero = eq(x, 0.0)
    others = where(zero, 1.0, x)
    p = prod(others, arg=kept)  # of the elements that are not zero
    n = sum_(cast(zero, arg=x.dtype), arg=kept)  # how many are zero
    s = sum_(where(zero, x, 0.0), arg=kept)  # their sum: 0 with the slope of each
    at_zero = where(eq(n, 1.0), p, where(eq(n, 2.0), (s - x) * p, 0.0))
    elsewhere = where(eq(n, 0.0), p / others, where(eq(n, 1.0), s * (p / others), 0.0))
    return restore(g, x, out.arg) * where(zero, at_zero, elsewhere)


def _winner_grad(g: Val, out: Val, x: Val) -> Val:
    """Evenly to all that are equal to the winner, as PyTorch's ``amax``."""
    dims, _ = out.arg
    hit = eq(x, restore(out, x, out.arg))
    ties = sum_(cast(hit, arg=x.dtype), arg=(dims, True))
    return where(hit, restore(g, x, out.arg), 0.0) / ties


# ---------------------------------------------------------------- rows, arg = (dims, keepdim)
sum_ = _define("sum", _infer_sum, _sum_grad)
SUM.append(sum_)
prod = _define("prod", _infer_sum, _prod_grad)
amax = _define("amax", _infer_winner, _winner_grad)  # acc stays where acc >= x or acc is NaN
amin = _define("amin", _infer_winner, _winner_grad)
argmax = _define(
    "argmax", _infer_index
)  # over the row-major index in dims; the first winner, the first NaN
argmin = _define("argmin", _infer_index)
any_ = _define("any", _infer_test)
all_ = _define("all", _infer_test)

NEUTRAL: Final[dict[str, float]] = {
    "sum": -0.0,
    "prod": 1.0,
    "amax": float("-inf"),
    "amin": float("inf"),
}
"""What a lane without element holds (floats; integers have their own extremes)."""

sum_.domain = prod.domain = amax.domain = amin.domain = ((-3.0, 3.0),)


def sum_to(g: Val, shape: Ints) -> Val:
    """``g`` summed over what broadcasting from ``shape`` repeated."""
    if g.shape == shape:
        return g
    k = len(g.shape) - len(shape)
    ones = tuple(k + i for i, n in enumerate(shape) if n == 1 and g.shape[k + i] != 1)
    dims = tuple(range(k)) + ones
    if dims:
        g = sum_(g, arg=(dims, True))
    return reshape(g, arg=shape) if g.shape != shape else g


def is_all(mask: Val) -> Val:
    """Does the bool ``mask`` hold everywhere?  Shape ()."""
    return all_(mask, arg=(tuple(range(len(mask.shape))), False))
