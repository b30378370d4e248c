"""Clipping gradients by their common norm or by value."""

from __future__ import annotations

import types
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from ... import engine
from ...engine import Tensor, apply
from ...engine.core import binary
from ...engine.grads import gradients_of
from ...graph.op import COMPOSITE, Op, Spec, register
from ...graph.ops.elementwise import clamp_max, mul, sqrt, square
from ...graph.ops.join import stack as stack_rows
from ...graph.ops.reduce import sum_
from ...graph.value import Val
from ...tensor.creation import tensor as make_tensor
from ...tensor.join import stack
from ...tensor.math import inplace

Tensors = Tensor | Iterable[Tensor]


# ---------------------------------------------------------------- the norm of norms as one record
def _infer_total(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    return Spec((), srcs[0].dtype, None, srcs[0].device)


def _length(x: Val) -> Val:
    return sqrt(sum_(square(x), arg=(tuple(range(len(x.shape))), False)))


def _total(*parts: Val, arg: Any = None) -> Val:
    return _length(stack_rows([_length(x) for x in parts], 0))


total_norm: Op = register(Op("total_norm", COMPOSITE, _infer_total))  # any number, one dtype
total_norm.decompose = _total
total_norm.domain = ((-3.0, 3.0), (-3.0, 3.0))


def _listed(tensors: Tensors) -> list[Any]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _norms(found: list[Any], p: float) -> Tensor:
    kind = found[0].dtype
    if p == 2.0 and kind.rank > 1 and all(x.dtype is kind for x in found):
        return apply(total_norm, *found)
    total: Any = stack([x.norm(p) for x in found])
    return total.norm(p)  # type: ignore[no-any-return]


def get_total_norm(
    tensors: Tensors,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all tensors as one vector: the norm of their norms."""
    found = _listed(tensors)
    p = float(norm_type)
    if not found:
        return make_tensor(0.0)
    before = engine.set_grad_enabled(False)
    try:
        total: Any = _norms(found, p)
    finally:
        engine.set_grad_enabled(before)
    if error_if_nonfinite and not abs(total.item()) < float("inf"):
        raise RuntimeError(
            f"The total norm of order {p} for gradients from "
            "`parameters` is non-finite, so it cannot be clipped. To disable "
            "this error and scale the gradients by the non-finite norm anyway, "
            "set `error_if_nonfinite=False`"
        )
    return total  # type: ignore[no-any-return]


def clip_grads_with_norm_(
    parameters: Tensors, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale the gradients by ``max_norm / total_norm``, never up, in place."""
    _scale(gradients_of(_listed(parameters)), max_norm, total_norm)


def _scale(grads: list[Any], max_norm: float, total: Any) -> None:
    if not grads:
        return
    before = engine.set_grad_enabled(False)
    try:
        scale = binary(clamp_max.code, float(max_norm) / (total + 1e-6), 1.0)
        code = mul.code
        for g in grads:
            inplace(code, g, scale)
    finally:
        engine.set_grad_enabled(before)


def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients down, in place, so that their common norm is at most ``max_norm``.

    Returns the norm before.  ``RuntimeError`` with ``error_if_nonfinite`` when that is not finite.
    """
    listed = _listed(parameters)
    if not listed and isinstance(parameters, types.GeneratorType):
        warnings.warn(
            "`parameters` is an empty generator, no gradient clipping will occur.", stacklevel=2
        )
    grads = gradients_of(listed)
    total = get_total_norm(grads, norm_type, error_if_nonfinite, foreach)
    _scale(grads, max_norm, total)
    return total


def clip_grad_norm(*args: Any, **kwargs: Any) -> Tensor:
    """The old name of ``clip_grad_norm_``."""
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of "
        "`torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(*args, **kwargs)


def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Keep every element of the gradients within ``[-clip_value, clip_value]``, in place."""
    limit = float(clip_value)
    before = engine.set_grad_enabled(False)
    try:
        for p in _listed(parameters):
            if p.grad is not None:
                p.grad.clamp_(min=-limit, max=limit)
    finally:
        engine.set_grad_enabled(before)
