"""The greatest element of every window: max pooling in one to three dimensions of space.

    max_pool(x)            (N, C, *S): (N, C, *Q), the greatest element of each window
    max_pool_index(x)      its place in the plane *S, row-major, int64
    max_pool_back(g, x)    (N, C, *Q) and (N, C, *S): (N, C, *S), each g added where its window's
                           greatest element is, windows in row-major order

``arg`` = (kernel, stride, padding, dilation, sizes *Q).  Padding never wins.  Of equal elements the
first in row-major order wins; NaN wins over numbers, and the last NaN over others, as in PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

from ...base import dtype as dt
from ...base.shape import Ints, numel
from ..op import WINDOW, Op, Spec, register
from ..value import Val
from .core import zeros
from .indexing import gather
from .movement import reshape


class Windows(NamedTuple):
    """What a kernel has to know of the windows of a plane."""

    space: Ints
    kernel: Ints
    stride: Ints
    padding: Ints
    dilation: Ints
    places: Ints

    def three(self) -> Windows:
        """The same with three dimensions in space."""
        n = 3 - len(self.space)
        one, zero = (1,) * n, (0,) * n
        ends = (one, one, one, zero, one, one)
        return Windows(*(a + b for a, b in zip(ends, self, strict=True)))


def windows_of(x: Ints, arg: Any) -> Windows:
    """The windows of an input of shape ``x``."""
    return Windows(x[2:], *arg)


def _infer(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    x = srcs[0]
    kernel, size = arg[0], arg[4]
    if len(x.shape) != len(kernel) + 2:
        raise ValueError(f"{op.name}: {x!r} does not have {len(kernel)} dimensions in space")
    kind = dt.int64 if op.name == "max_pool_index" else x.dtype
    return Spec((*x.shape[:2], *size), kind, None, x.device)


def _infer_back(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    g, x = srcs
    if g.shape != (*x.shape[:2], *arg[4]) or g.dtype is not x.dtype:
        raise ValueError(f"{op.name}: {g!r} is not what windows make of {x!r}")
    return Spec(x.shape, x.dtype, None, x.device)


def lowest(kind: dt.dtype) -> Any:
    """What no element is less than."""
    if kind.kind == "f":
        return float("-inf")
    return 0 if kind.kind in "bu" else -(1 << (8 * kind.itemsize - 1))


def _planes(x: Val) -> Val:
    return reshape(x, arg=(*x.shape[:2], numel(x.shape[2:])))


def _grad_back(i: int, gx: Val, out: Val, g: Val, x: Val) -> Val | None:
    if i:
        return zeros(gx, x.shape)
    at = max_pool_index(x, arg=out.arg)
    return reshape(gather(_planes(gx), _planes(at), arg=2), arg=g.shape)


max_pool: Op = register(Op("max_pool", WINDOW, _infer))
max_pool.grads = (lambda g, out, x: max_pool_back(g, x, arg=out.arg),)
max_pool_index: Op = register(Op("max_pool_index", WINDOW, _infer))
max_pool_back: Op = register(Op("max_pool_back", WINDOW, _infer_back))
max_pool_back.grads = _grad_back

JOBS: Final[dict[Op, Literal["value", "index", "back"]]] = {
    max_pool: "value", max_pool_index: "index", max_pool_back: "back",
}  # fmt: skip
