"""Activations that are methods of tensors as well: ``hardshrink`` and ``prelu``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight import engine
from rushlight.engine import Tensor
from rushlight.graph.ops import activations as rows
from rushlight.tensor.install import both

__all__ = ["hardshrink", "prelu"]

apply: Callable[..., Tensor] = engine.apply


@both()
def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """``x``, 0 where ``|x| <= lambd``."""
    return apply(rows.hardshrink, input, float(lambd))


@both()
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """Leaky relu whose slope is learned: one for all, or one for each channel (dimension 1)."""
    w: Any = weight
    if len(w.shape) > 1:
        raise RuntimeError(
            f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {len(w.shape)}"
        )
    channels = w.numel()
    if channels != 1:
        dims = len(input.shape)
        if dims == 0:
            raise RuntimeError("Not allow zero-dim input tensor.")
        found = input.shape[1] if dims > 1 else 1
        if found != channels:
            raise RuntimeError(
                "Mismatch of parameter numbers and input channel size. Found parameter numbers = "
                f"{channels} "
                f"and channel size = {found}."
            )
        w = w.reshape((1, channels) + (1,) * (dims - 2)) if dims > 1 else w
    elif len(w.shape) > len(input.shape):
        w = w.reshape(())
    return apply(rows.prelu, input, w)
