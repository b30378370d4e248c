"""Initialisers: ``torch.nn.init``, with PyTorch's numbers for a seed.

All fill their tensor in place, outside of gradients, and return it.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import engine
from ..engine import Tensor
from ..random import Generator, default_generator, draws

_GAINS = {
    "sigmoid": 1, "tanh": 5.0 / 3, "relu": math.sqrt(2.0), "selu": 3.0 / 4, "linear": 1,
    "conv1d": 1, "conv2d": 1, "conv3d": 1,
    "conv_transpose1d": 1, "conv_transpose2d": 1, "conv_transpose3d": 1,
}  # fmt: skip


def _outside(f: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Run ``f`` with gradients off."""

    @functools.wraps(f)
    def run(*args: Any, **kwargs: Any) -> Tensor:
        before = engine.set_grad_enabled(False)
        try:
            return f(*args, **kwargs)
        finally:
            engine.set_grad_enabled(before)

    return run


def _put(tensor: Any, values: Any) -> Tensor:
    """Copy an array into ``tensor``."""
    made = engine.own_array(
        np.ascontiguousarray(values, tensor.dtype.numpy), tensor.dtype, tensor.device
    )
    engine.assign(tensor, made)
    return tensor  # type: ignore[no-any-return]


def calculate_gain(nonlinearity: str, param: Any = None) -> float:
    """The factor that keeps the spread of values behind an activation."""
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, int | float):
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        raise ValueError(f"Unsupported nonlinearity {nonlinearity}")
    return _GAINS[nonlinearity]


@_outside
def uniform_(
    tensor: Any, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Uniform in [a, b)."""
    return tensor.uniform_(a, b, generator=generator)  # type: ignore[no-any-return]


@_outside
def normal_(
    tensor: Any, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Normal."""
    return tensor.normal_(mean, std, generator=generator)  # type: ignore[no-any-return]


@_outside
def trunc_normal_(
    tensor: Any,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal, drawn again where outside [a, b]."""
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. "
            "The distribution of values may be incorrect.",
            stacklevel=3,
        )
    gen = default_generator if generator is None else generator
    return _put(
        tensor, draws.trunc_normal(gen, tuple(tensor.shape), mean, std, a, b, tensor.dtype.numpy)
    )


@_outside
def constant_(tensor: Any, val: float) -> Tensor:
    """One value everywhere."""
    return tensor.fill_(val)  # type: ignore[no-any-return]


@_outside
def ones_(tensor: Any) -> Tensor:
    """1 everywhere."""
    return tensor.fill_(1.0)  # type: ignore[no-any-return]


@_outside
def zeros_(tensor: Any) -> Tensor:
    """0 everywhere."""
    return tensor.zero_()  # type: ignore[no-any-return]


@_outside
def eye_(tensor: Any) -> Tensor:
    """The identity matrix."""
    if len(tensor.shape) != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    return _put(tensor, np.eye(*tensor.shape))


@_outside
def dirac_(tensor: Any, groups: int = 1) -> Tensor:
    """Convolution weights that pass their input through."""
    n = len(tensor.shape)
    if n not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    if tensor.shape[0] % groups != 0:
        raise ValueError("dim 0 must be divisible by groups")
    values = np.zeros(tuple(tensor.shape))
    per_group = tensor.shape[0] // groups
    middle = tuple(size // 2 for size in tensor.shape[2:])
    for g in range(groups):
        for d in range(min(per_group, tensor.shape[1])):
            values[(g * per_group + d, d, *middle)] = 1
    return _put(tensor, values)


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    shape = tensor.shape
    if len(shape) < 2:
        raise ValueError(
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions"
        )
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def _calculate_correct_fan(tensor: Tensor, mode: str) -> int:
    mode = mode.lower()
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    return fan_in if mode == "fan_in" else fan_out


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Uniform within ``gain * sqrt(6 / (fan_in + fan_out))``.

    Source: Glorot & Bengio,
    "Understanding the difficulty of training deep feedforward neural networks", 2010.
    """
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    bound = math.sqrt(3.0) * (gain * math.sqrt(2.0 / float(fan_in + fan_out)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with deviation ``gain * sqrt(2 / (fan_in + fan_out))``."""
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / float(fan_in + fan_out)), generator)


def _deviation(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float | None:
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
        return None
    fan = _calculate_correct_fan(tensor, mode)
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform within ``gain * sqrt(3 / fan)``.

    Source: He et al., "Delving deep into rectifiers", 2015.
    """
    std = _deviation(tensor, a, mode, nonlinearity)
    if std is None:
        return tensor
    bound = math.sqrt(3.0) * std
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with deviation ``gain / sqrt(fan)``."""
    std = _deviation(tensor, a, mode, nonlinearity)
    return tensor if std is None else normal_(tensor, 0, std, generator)


@_outside
def orthogonal_(tensor: Any, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """An orthogonal matrix, from the QR decomposition of a normal one.

    Source: Saxe et al.,
    "Exact solutions to the nonlinear dynamics of learning in deep linear networks", 2013.
    """
    if len(tensor.shape) < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    size = math.prod(tensor.shape)
    if size == 0:
        return tensor  # type: ignore[no-any-return]
    rows = tensor.shape[0]
    cols = size // rows
    gen = default_generator if generator is None else generator
    flat = draws.normal(gen, (rows, cols), 0, 1, tensor.dtype.numpy)
    q, r = np.linalg.qr(flat.T if rows < cols else flat)
    q = q * np.sign(np.diagonal(r))
    q = q.T if rows < cols else q
    return _put(tensor, (q * q.dtype.type(gain)).reshape(tuple(tensor.shape)))


@_outside
def sparse_(
    tensor: Any, sparsity: float, std: float = 0.01, generator: Generator | None = None
) -> Tensor:
    """Normal, with a fraction ``sparsity`` of each column set to 0."""
    if len(tensor.shape) != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    rows, cols = tensor.shape
    zeros = math.ceil(sparsity * rows)
    gen = default_generator if generator is None else generator
    values = draws.normal(gen, (rows, cols), 0, std, tensor.dtype.numpy)
    for col in range(cols):
        values[draws.randperm(default_generator, rows)[:zeros], col] = 0
    return _put(tensor, values)


def _old_name(new: Callable[..., Tensor]) -> Callable[..., Tensor]:
    name = new.__name__[:-1]

    @functools.wraps(new)
    def old(*args: Any, **kwargs: Any) -> Tensor:
        warnings.warn(
            f"`nn.init.{name}` is now deprecated in favor of `nn.init.{new.__name__}`.",
            FutureWarning,
            stacklevel=2,
        )
        return new(*args, **kwargs)

    old.__name__ = old.__qualname__ = name
    return old


uniform = _old_name(uniform_)
normal = _old_name(normal_)
constant = _old_name(constant_)
eye = _old_name(eye_)
dirac = _old_name(dirac_)
xavier_uniform = _old_name(xavier_uniform_)
xavier_normal = _old_name(xavier_normal_)
kaiming_uniform = _old_name(kaiming_uniform_)
kaiming_normal = _old_name(kaiming_normal_)
orthogonal = _old_name(orthogonal_)
sparse = _old_name(sparse_)
