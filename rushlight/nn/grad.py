"""``torch.nn.grad``: the gradients of convolutions as functions of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rushlight import engine
from rushlight.engine import Tensor
from rushlight.nn.functional import conv
from rushlight.tensor.creation import zeros


def _input_gradient(f: Callable[..., Any], name: str) -> Callable[..., Tensor]:
    def gradient(
        input_size: Sequence[int],
        weight: Tensor,
        grad_output: Tensor,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        x: Any = zeros(tuple(input_size), dtype=grad_output.dtype, device=grad_output.device)
        return _gradient(f, x, weight, 0, grad_output, stride, padding, dilation, groups)

    gradient.__name__ = gradient.__qualname__ = name
    gradient.__doc__ = "The gradient of a convolution with respect to its input."
    return gradient


def _weight_gradient(f: Callable[..., Any], name: str) -> Callable[..., Tensor]:
    def gradient(
        input: Tensor,
        weight_size: Sequence[int],
        grad_output: Tensor,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        w: Any = zeros(tuple(weight_size), dtype=grad_output.dtype, device=grad_output.device)
        return _gradient(f, input, w, 1, grad_output, stride, padding, dilation, groups)

    gradient.__name__ = gradient.__qualname__ = name
    gradient.__doc__ = "The gradient of a convolution with respect to its weight."
    return gradient


def _gradient(
    f: Callable[..., Any], x: Any, weight: Any, of: int, seed: Any, *settings: Any
) -> Tensor:
    """The gradient of ``f(x, weight)`` with respect to the first or second of them."""
    with_graph = engine.is_grad_enabled() and (seed.requires_grad or x.requires_grad)
    before = engine.set_grad_enabled(True)
    try:
        wanted = (x, weight)[of].detach().requires_grad_()
        stride, padding, dilation, groups = settings
        given = (wanted, weight) if of == 0 else (x, wanted)
        out = f(*given, None, stride, padding, dilation, groups)
        found = engine.grad([out], [wanted], [seed], False, with_graph, False)[0]
        assert found is not None
        return found
    finally:
        engine.set_grad_enabled(before)


conv1d_input = _input_gradient(conv.conv1d, "conv1d_input")
conv2d_input = _input_gradient(conv.conv2d, "conv2d_input")
conv3d_input = _input_gradient(conv.conv3d, "conv3d_input")
conv1d_weight = _weight_gradient(conv.conv1d, "conv1d_weight")
conv2d_weight = _weight_gradient(conv.conv2d, "conv2d_weight")
conv3d_weight = _weight_gradient(conv.conv3d, "conv3d_weight")
