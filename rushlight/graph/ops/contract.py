"""Matrix products.

The law of order: every element is one chain of fused multiply-adds in ascending k, from +0.0, in
the element type (integers wrap).  Whether leading dimensions are folded into rows changes no bit.
"""

from __future__ import annotations

from typing import Any

from ...base.shape import numel
from ..op import COMPOSITE, CONTRACT, Op, register
from ..shaping import product
from ..shaping_layers import added_product, linear_layer
from ..value import Val
from .elementwise import add
from .movement import permute, reshape
from .reduce import sum_to


def transpose(x: Val) -> Val:
    """The last two dimensions swapped."""
    n = len(x.shape)
    return permute(x, arg=(*range(n - 2), n - 1, n - 2))


def rows(x: Val) -> Val:
    """All dimensions but the last folded into one."""
    return x if len(x.shape) == 2 else reshape(x, arg=(numel(x.shape[:-1]), x.shape[-1]))


def _grad(i: int, g: Val, out: Val, x: Val, y: Val) -> Val:
    if i == 0:
        return sum_to(matmul(g, transpose(y)), x.shape)
    if len(y.shape) == 2:  # one long chain over all rows, as PyTorch folds them
        return matmul(transpose(rows(x)), rows(g))
    return sum_to(matmul(transpose(x), g), y.shape)


matmul: Op = register(
    Op("matmul", CONTRACT, product)
)  # (..., m, k) x (..., k, n), leading dimensions broadcast
matmul.grads = _grad
matmul.domain = ((-3.0, 3.0), (-3.0, 3.0))


# ---------------------------------------------------------------- linear
def _linear(x: Val, w: Val, *bias: Val, arg: Any = None) -> Val:
    row = reshape(x, arg=(1, *x.shape)) if len(x.shape) == 1 else x
    out = matmul(row, transpose(w))
    if len(x.shape) == 1:
        out = reshape(out, arg=(w.shape[0],))
    return add(out, bias[0]) if bias else out


def _linear_grad(i: int, g: Val, out: Val, x: Val, w: Val, *bias: Val) -> Val:
    if i == 2:
        return sum_to(g, bias[0].shape)
    if len(x.shape) == 1:
        g = reshape(g, arg=(1, *g.shape))
        x = reshape(x, arg=(1, *x.shape))
        if i == 0:
            return reshape(matmul(g, w), arg=(w.shape[1],))
    if i == 0:
        return matmul(g, w)
    return matmul(transpose(rows(g)), rows(x))


linear: Op = register(
    Op("linear", COMPOSITE, linear_layer)
)  # (x, weight[, bias]): x @ weight.T + bias
linear.decompose = _linear
linear.grads = _linear_grad


# ---------------------------------------------------------------- addmm
def _addmm_grad(i: int, g: Val, out: Val, c: Val, x: Val, y: Val) -> Val:
    return sum_to(g, c.shape) if i == 0 else _grad(i - 1, g, out, x, y)


addmm: Op = register(Op("addmm", COMPOSITE, added_product))  # (c, x, y): c + x @ y
addmm.decompose = lambda c, x, y, arg=None: add(matmul(x, y), c)
addmm.grads = _addmm_grad
