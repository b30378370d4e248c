"""The pass that turns values made of whole operands into kernels of their own kinds."""

from __future__ import annotations

from ..graph.ops.convolve import convolve_weight, described
from .loops import Convolution
from .split import Launch
from .values import Value


def whole(v: Value, m: int) -> Launch:
    """A convolution, or the gradient of its weight; threads share images, or channels."""
    arg, (x, other) = v.arg
    assert v.op is not None
    weight = v.op is convolve_weight
    conv = described(v.op, x, other, arg)
    kernel = Convolution(v.dtype, conv, weight)
    units = conv.channels if weight else conv.images
    if conv.steps > 1 << 20 and units > 1:
        kernel.tasks = min(64, conv.steps >> 18, units)
    return Launch(kernel, [r.value for r in v.srcs] + [m], [])
