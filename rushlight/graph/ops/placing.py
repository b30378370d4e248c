"""Where results live: operands have to be on one device; numbers and CPU scalars go anywhere.

``to_device`` copies from one to another: arg = the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...base.device import CPU, device
from ..op import ELEMENTWISE, INDEX, Op, Spec
from ..shaping import elementwise as infer
from ..value import Val
from .elementwise import define


def placed(op: Op, srcs: Sequence[Spec], out: Spec, strict: bool = True) -> Spec:
    """The result's spec on its operands' device.

    Operands without dimensions in CPU memory may stand beside those of another device in an
    elementwise operation, and CPU indices may index; with ``strict`` everything else is PyTorch's
    error.
    """
    for s in srcs:
        if s.device is not CPU and not s.number:
            return _elsewhere(op, srcs, out, strict)
    return out


def _elsewhere(op: Op, srcs: Sequence[Spec], out: Spec, strict: bool) -> Spec:
    home: device = CPU
    for s in srcs:
        if not s.number and s.device != CPU:
            home = s.device
            break
    if op.types == "device":
        return out
    if strict:
        for i, s in enumerate(srcs):
            if s.number or s.device == home:
                continue
            if s.device == CPU and not s.shape and op.kind == ELEMENTWISE:
                continue
            if s.device == CPU and op.kind == INDEX and i > 0 and s.dtype.rank < 2:
                continue
            raise RuntimeError(
                "Expected all tensors to be on the same device, but found at least two devices, "
                f"{home} and {s.device}! (in {op.name})"
            )
    return out if out.device == home else on(out, home)


def on(s: Spec, where: device) -> Spec:
    """The same spec on another device."""
    return Spec(s.shape, s.dtype, s.strides, where, s.number, s.offset)


def _infer_moved(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    s = infer(op, srcs, None)
    return s if arg is None or s.device == arg else on(s, arg)


def _back(g: Val, out: Val, x: Val) -> Val:
    return to_device(g, arg=x.device)


to_device: Op = define("to_device", lambda e, x: x, _back, types="device", reference=np.array)
to_device.infer = _infer_moved
