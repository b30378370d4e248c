"""The pass that turns values made of whole operands into kernels of their own kinds."""

from __future__ import annotations

from ..base.dtype import dtype
from ..base.shape import Ints, numel
from ..graph.op import WINDOW, Op
from ..graph.ops.convolve import convolve_weight, described
from ..graph.ops.window import JOBS, windows_of
from .loops import Convolution, Pooling
from .split import Launch
from .values import Value

TASK = 1 << 15  # elements of pooled planes for which another thread is worth waking


def whole(v: Value, m: int, kind: dtype) -> Launch:
    """The kernel of a value that is made of whole operands, the last of type `kind`."""
    arg, shapes = v.arg
    assert v.op is not None
    make = pooling if v.op.kind == WINDOW else convolution
    return Launch(make(v.op, arg, shapes, kind), [r.value for r in v.srcs] + [m], [])


def convolution(op: Op, arg: object, shapes: tuple[Ints, Ints], kind: dtype) -> Convolution:
    """A convolution, or the gradient of its weight; threads share images, or channels."""
    weight = op is convolve_weight
    conv = described(op, *shapes, arg)
    kernel = Convolution(kind, conv, weight)
    units = conv.channels if weight else conv.images
    if conv.steps > 1 << 20 and units > 1:
        kernel.tasks = min(64, conv.steps >> 18, units)
    return kernel


def pooling(op: Op, arg: object, shapes: tuple[Ints, ...], kind: dtype) -> Pooling:
    """Max pooling, its places, or its gradient; threads share planes."""
    shape = shapes[-1]
    windows = windows_of(shape, arg)
    kernel = Pooling(kind, windows, shape[0] * shape[1], JOBS[op])
    work = kernel.planes * numel(windows.places) * numel(windows.kernel)
    if work > TASK:
        kernel.tasks = max(1, min(64, work // (TASK // 2), kernel.planes))
    return kernel
