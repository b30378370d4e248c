"""The older windows: `hann_window` and its kin (`torch.signal.windows` has the newer ones)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.engine import Tensor
from rushlight.graph.ops import elementwise as ew
from rushlight.graph.ops import special as sp
from rushlight.tensor.creation import filled, owned
from rushlight.tensor.install import element_type, function, named, place

apply: Callable[..., Tensor] = engine.apply
Shape = Callable[..., Tensor]  # (place of each point, points less one, more) -> window


def _cosines(x: Tensor, last: int, *factors: float) -> Tensor:
    """`factors[0] - factors[1] cos(t) + factors[2] cos(2 t) ...`"""
    made = None
    for k, a in enumerate(factors):
        if k == 0:
            continue
        angle = apply(ew.mul, x, k * 2 * math.pi / last)
        part = apply(ew.mul, apply(ew.cos, angle), -a if k % 2 else a)
        made = part if made is None else apply(ew.add, made, part)
    assert made is not None
    return apply(ew.add, made, factors[0])


def _bartlett(x: Tensor, last: int) -> Tensor:
    up = apply(ew.mul, x, 2.0 / last)
    return apply(ew.minimum, up, apply(ew.sub, 2.0, up))


def _kaiser(x: Tensor, last: int, beta: float) -> Tensor:
    side = apply(ew.sub, apply(ew.div, x, last / 2), 1.0)
    inside = apply(ew.clamp_min, apply(ew.sub, 1.0, apply(ew.square, side)), 0.0)
    top = apply(sp.i0, apply(ew.mul, apply(ew.sqrt, inside), beta))
    return apply(ew.div, top, float(np.i0(beta)))


def _enter(name: str, shape: Shape, *more: tuple[str, float]) -> None:
    def window(
        window_length: int,
        periodic: bool = True,
        *numbers: float,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        pin_memory: bool = False,
        requires_grad: bool = False,
        **rest: float,
    ) -> Tensor:
        given = dict(more)
        given.update(zip(given, numbers))
        for key, value in rest.items():
            if key not in given:
                raise TypeError(f"{name}() got an unexpected keyword argument '{key}'")
            given[key] = value
        kind = dt.Defaults.float if dtype is None else element_type(dtype, name)
        if kind.kind != "f":
            raise RuntimeError(f"{name} expects floating point dtypes, got: {kind}")
        if window_length < 0:
            raise RuntimeError(
                f"{name} requires non-negative window_length, got window_length={window_length}"
            )
        where = place(device)
        if window_length < 2:
            return filled((window_length,), 1, kind, where, requires_grad)
        last = window_length if periodic else window_length - 1
        at = owned(np.arange(window_length).astype(kind.numpy), kind, where)
        made = shape(at, last, *given.values())
        return engine.require_grad(made, True) if requires_grad else made

    window.__doc__ = f"`{name}`: a window of `window_length` points, periodic or symmetric."
    function(name)(named(window, name))


_enter("hann_window", lambda x, last: _cosines(x, last, 0.5, 0.5))
_enter(
    "hamming_window", _cosines, ("alpha", 0.54),
    ("beta", 0.46),
)  # fmt: skip
_enter("blackman_window", lambda x, last: _cosines(x, last, 0.42, 0.5, 0.08))
_enter("bartlett_window", _bartlett)
_enter("kaiser_window", _kaiser, ("beta", 12.0))
