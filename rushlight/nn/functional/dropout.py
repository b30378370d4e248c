"""Dropout: values dropped at random in training, the others scaled up.

Masks are drawn from PyTorch's stream in program order; they enter the program as memory.
"""

from __future__ import annotations

import math
from typing import Any

from ... import engine
from ...engine import Tensor
from ...random import default_generator, draws
from ...tensor.entering import entered, kind_of

_ALPHA = 1.7580993408473766  # SELU's lower limit, negated


def _check(p: float) -> None:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _keeps(x: Any, p: float, feature: bool) -> Any:
    """0 or 1 of x's type for every value (``feature``: for every channel), as an array."""
    shape = draws.feature_shape(tuple(x.shape)) if feature else tuple(x.shape)
    if feature or x.is_contiguous():
        return draws.bernoulli_number(default_generator, shape, 1 - p, x.dtype.numpy)
    # drawn in the order of memory
    steps = x.rec.spec.laid_alike()
    order = sorted(range(len(shape)), key=lambda d: -steps[d])
    drawn = draws.bernoulli_number(
        default_generator, tuple(shape[d] for d in order), 1 - p, x.dtype.numpy
    )
    back = sorted(range(len(shape)), key=order.__getitem__)
    return drawn.transpose(back)


def _enter(array: Any, x: Any) -> Tensor:
    return engine.own_array(array, x.dtype, x.device)


def _factors(x: Any, p: float, feature: bool) -> Tensor:
    """0 or ``1 / (1 - p)`` for every value."""
    spec = x.rec.spec
    kind = None if feature else kind_of(spec.shape, spec.dtype, spec.device)
    if kind is None or kind.spec.strides != spec.strides:
        keeps = _keeps(x, p, feature)
        keeps /= keeps.dtype.type(1 - p)
        return _enter(keeps, x)
    count = math.prod(spec.shape)
    keeps = draws.bernoulli_number(default_generator, count, 1 - p, spec.dtype.numpy)
    keeps /= keeps.dtype.type(1 - p)
    return entered(keeps, kind)


def _drop(x: Any, p: float, training: bool, inplace: bool, feature: bool, name: str) -> Tensor:
    if not training or p == 0 or 0 in x.shape:
        return x  # type: ignore[no-any-return]
    if inplace:
        engine.check_inplace(x)
    if p == 1:
        out = x * 0.0
    else:
        out = x * _factors(x, p, feature)
    return engine.settle(name, x, out) if inplace else out


def _alpha_drop(
    x: Any, p: float, training: bool, inplace: bool, feature: bool, name: str
) -> Tensor:
    if not training or p == 0 or x.numel() == 0:
        return x  # type: ignore[no-any-return]
    if inplace:
        engine.check_inplace(x)
    if p == 1:
        out = x * 0.0
    else:
        keeps = _keeps(x, p, feature)
        one = keeps.dtype.type
        a = 1.0 / math.sqrt((_ALPHA * _ALPHA * p + 1) * (1 - p))
        shift = (keeps + one(-1)) * one(_ALPHA * a) + one(_ALPHA * a * p)
        out = x * _enter(keeps * one(a), x) + _enter(shift, x)
    return engine.settle(name, x, out) if inplace else out


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Each value dropped with probability ``p``, the others divided by ``1 - p``."""
    _check(p)
    return _drop(input, p, training, inplace, False, "dropout_")


def _channels(name: str, dims: tuple[int, int]) -> Any:
    """dropout1d/2d/3d: whole channels; ``dims``: of an input without and with a batch."""

    def f(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        _check(p)
        x: Any = input
        n = len(x.shape)
        if name != "dropout2d" and n not in dims:
            raise RuntimeError(
                f"{name}: Expected {dims[0]}D or {dims[1]}D input, but received a {n}D input. "
                "Note that dropout1d exists to provide channel-wise dropout on inputs with 1 "
                "spatial "
                "dimension, a channel dimension, and an optional batch dimension (i.e. 2D or 3D "
                "inputs)."
                if name == "dropout1d"
                else f"{name}: Expected {dims[0]}D or {dims[1]}D input, but received a {n}D input."
            )
        alone = n == dims[0] and name != "dropout2d"
        out: Any = _drop(x.unsqueeze(0) if alone else x, p, training, inplace, True, f"{name}_")
        return out.squeeze(0) if alone else out  # type: ignore[no-any-return]

    f.__name__ = f.__qualname__ = name
    f.__doc__ = "Whole channels dropped with probability ``p``, the others divided by ``1 - p``."
    return f


dropout1d = _channels("dropout1d", (2, 3))
dropout2d = _channels("dropout2d", (3, 4))
dropout3d = _channels("dropout3d", (4, 5))


def feature_dropout(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Whole channels (dimension 1) dropped with probability ``p``."""
    _check(p)
    return _drop(input, p, training, inplace, True, "feature_dropout_")


def alpha_dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """Values set to SELU's lower limit with probability ``p``; mean and variance are kept."""
    _check(p)
    return _alpha_drop(input, p, training, inplace, False, "alpha_dropout_")


def feature_alpha_dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """``alpha_dropout`` of whole channels."""
    _check(p)
    return _alpha_drop(input, p, training, inplace, True, "feature_alpha_dropout_")
