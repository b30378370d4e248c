"""Values whose gradient is scaled on its way back: ``scaled_back(x, factor)`` is ``x``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..op import COMPOSITE, Op, Spec, register
from .elementwise import R, copy


def _infer(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    x = srcs[0]
    return Spec(x.shape, x.dtype, None, x.device)


# (x, factor), which broadcasts to x
scaled_back: Op = register(Op("scaled_back", COMPOSITE, _infer))
scaled_back.decompose = lambda x, factor, arg=None: copy(x)
scaled_back.grads = (lambda g, out, x, factor: g * factor, None)
scaled_back.domain = (R, R)
