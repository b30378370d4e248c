"""Reductions: one value for every group of elements that lie along some dimensions.

The law of order (part of every result's bits).  Over ``dims`` (ascending) the reduced index runs
row-major through K elements.  When the input's last dimension of size other than 1 is reduced,
there are 32 virtual lanes: element k goes to lane k % 32, row r holds elements 32 r and 31 more;
when it is kept, there is one lane and every element is a row.  Rows are folded in a cascade: up to
16 consecutive rows one after the other make a level-0 value, up to 16 of these a level-1 value, and
so on.  Lanes then fold in a tree, lane j with lane j + half, for halves 16, 8, 4, 2, 1.  An
accumulator starts as its first item; a lane without element holds the neutral one (-0.0 for a sum).
At the end 0.0 is added to a sum: one of zeros is 0.0 whatever their signs, as with PyTorch.  The
largest (least) of what has a NaN is the last NaN of that order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ...base.shape import Ints, numel
from ..op import REDUCE, Op, register
from ..shaping import place_of_winner, reduced_shape, sums, test_of_all, winner
from ..value import Val, again
from .elementwise import cast, eq, where
from .movement import SUM, expand, flip, permute, reshape
from .scans import cumprod, edge, shifted

LANES: Final = 32  # virtual lanes of a reduction along the last dimension
GROUP: Final = 16  # items folded one after the other at each level


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


def _define(name: str, infer: Any, grad: Callable[..., Any] | None = None) -> Op:
    op = register(Op(name, REDUCE, infer))
    if grad is not None:
        op.grads = (grad,)
    return op


# ---------------------------------------------------------------- gradients
def _sum_grad(g: Val, out: Val, x: Val) -> Val:
    return spread_over(g, x, out.arg)


def _prod_grad(g: Val, out: Val, x: Val) -> Val:
    """The product of the others.  Where that is differentiated again it is what stands before
    times what comes after, right at zeros to all orders; else a quotient, but where it has zeros.
    """
    dims, _ = out.arg
    if not x.shape:
        return g
    if again(x):
        return restore(g, x, out.arg) * _others(x, dims or tuple(range(len(x.shape))))
    kept = (dims, True)
    zero = eq(x, 0.0)
    others = where(zero, 1.0, x)
    p = prod(others, arg=kept)  # of the elements that are not zero
    n = sum_(cast(zero, arg=x.dtype), arg=kept)  # how many are zero
    at_zero = where(eq(n, 1.0), p, 0.0)
    return restore(g, x, out.arg) * where(zero, at_zero, where(eq(n, 0.0), p / others, 0.0))


def _others(x: Val, dims: Ints) -> Val:
    """For each element the product of all others that lie along ``dims``."""
    order = (*[d for d in range(len(x.shape)) if d not in dims], *dims)
    turned = permute(x, arg=order)
    at = len(order) - len(dims)
    line = reshape(turned, arg=(*turned.shape[:at], count(x.shape, dims)))
    one = edge(line, at) + 1.0
    before = shifted(cumprod(line, arg=at), at, one)
    after = shifted(cumprod(flip(line, arg=(at,)), arg=at), at, one)
    both = reshape(before * flip(after, arg=(at,)), arg=turned.shape)
    return permute(both, arg=tuple(sorted(range(len(order)), key=order.__getitem__)))


def _winner_grad(g: Val, out: Val, x: Val) -> Val:
    """Evenly to all that are equal to the winner, as PyTorch's ``amax``."""
    dims, _ = out.arg
    hit = eq(x, restore(out, x, out.arg))
    ties = sum_(cast(hit, arg=x.dtype), arg=(dims, True))
    return where(hit, restore(g, x, out.arg), 0.0) / ties


# ---------------------------------------------------------------- rows, arg = (dims, keepdim)
sum_ = _define("sum", sums, _sum_grad)
SUM.append(sum_)
prod = _define("prod", sums, _prod_grad)
amax = _define("amax", winner, _winner_grad)  # x is taken where x > acc or x is NaN
amin = _define("amin", winner, _winner_grad)
argmax = _define(
    "argmax", place_of_winner
)  # over the row-major index in dims; the first winner, the first NaN
argmin = _define("argmin", place_of_winner)
any_ = _define("any", test_of_all)
all_ = _define("all", test_of_all)

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
