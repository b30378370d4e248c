"""Elementwise functions made of several rows, and comparisons of whole tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.engine import Tensor
from rushlight.engine.core import scaled
from rushlight.graph.ops import elementwise as ew
from rushlight.graph.ops.reduce import sum_
from rushlight.graph.shaping import NAMES
from rushlight.tensor import shape as sh
from rushlight.tensor.install import (
    both,
    function,
    give,
    let_write,
    method,
    need_tensor,
    number,
    place,
    refuse,
    row,
)
from rushlight.tensor.kinds import finfo
from rushlight.tensor.math import inplace_of

apply: Callable[..., Tensor] = engine.apply


# ---------------------------------------------------------------- limits
def _limited(x: Tensor, low: Any, high: Any, name: str) -> Tensor:
    if low is None and high is None:
        raise RuntimeError(f"torch.{name}: At least one of 'min' or 'max' must not be None")
    low, high = (
        v if v is None or isinstance(v, Tensor) else number(v, name, "min") for v in (low, high)
    )
    made = x if low is None else apply(ew.clamp_min, x, low)
    return made if high is None else apply(ew.clamp_max, made, high)


@both("clamp", "clip")
def clamp(
    input: Tensor,
    min: Any = None,
    max: Any = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Every element brought between `min` and `max` (numbers or tensors)."""
    need_tensor(input, "clamp")
    return give(_limited(input, min, max, "clamp"), out, "clamp", input, min, max)


@both()
def clamp_min(input: Tensor, min: Any, *, out: Tensor | None = None) -> Tensor:
    """Every element at least `min`."""
    need_tensor(input, "clamp_min")
    return give(_limited(input, min, None, "clamp_min"), out, "clamp_min", input, min)


@both()
def clamp_max(input: Tensor, max: Any, *, out: Tensor | None = None) -> Tensor:
    """Every element at most `max`."""
    need_tensor(input, "clamp_max")
    return give(_limited(input, None, max, "clamp_max"), out, "clamp_max", input, max)


for _name, _f in (
    ("clamp_", clamp), ("clip_", clamp), ("clamp_min_", clamp_min), ("clamp_max_", clamp_max),
):  # fmt: skip
    inplace_of(_name, _f)
    function(_name)(vars(Tensor)[_name])


# ---------------------------------------------------------------- three operands
@both()
def addcmul(
    input: Tensor,
    tensor1: Tensor,
    tensor2: Tensor,
    *,
    value: Any = 1,
    out: Tensor | None = None,
) -> Tensor:
    """`input + value * tensor1 * tensor2`."""
    scaled = tensor1 if value == 1 else tensor1 * value
    return give(input + scaled * tensor2, out, "addcmul")


@both()
def addcdiv(
    input: Tensor,
    tensor1: Tensor,
    tensor2: Tensor,
    *,
    value: Any = 1,
    out: Tensor | None = None,
) -> Tensor:
    """`input + value * tensor1 / tensor2`."""
    if tensor1.dtype.rank < 2 and tensor2.dtype.rank < 2:
        raise RuntimeError(
            "Integer division with addcdiv is no longer supported, and in a future  release "
            "addcdiv will perform a true division of tensor1 and tensor2. The historic addcdiv "
            "behavior can be implemented as (input + value * torch.trunc(tensor1 / "
            "tensor2)).to(input.dtype) for integer inputs and as (input + value * tensor1 / "
            "tensor2) for float inputs."
        )
    scaled = tensor1 if value == 1 else tensor1 * value
    return give(input + scaled / tensor2, out, "addcdiv")


def _named(x: Tensor) -> str:
    name: str = x.dtype.name
    return NAMES.get(name, name)


@both()
def lerp(input: Tensor, end: Tensor, weight: Any, *, out: Tensor | None = None) -> Tensor:
    """`input + weight * (end - input)`, from the nearer end as PyTorch."""
    need_tensor(input, "lerp")
    need_tensor(end, "lerp", "end", 2)
    if end.dtype is not input.dtype:
        raise RuntimeError(f"expected dtype {_named(input)} for `end` but got dtype {_named(end)}")
    away = end - input
    if not isinstance(weight, Tensor):
        w = number(weight, "lerp", "weight", 3)
        first = abs(w) < 0.5
        part = scaled(away, w if first else 1 - w)
        made = input + part if first else end - part
        return give(made, out, "lerp")
    if weight.dtype is not input.dtype:
        raise RuntimeError(
            f"expected dtype {_named(input)} for `weight` but got dtype {_named(weight)}"
        )
    near = apply(ew.lt, apply(ew.abs_, weight), 0.5)
    made = apply(ew.where, near, input + weight * away, end - away * (1 - weight))
    return give(made, out, "lerp")


for _three in (addcmul, addcdiv, lerp):
    inplace_of(f"{_three.__name__}_", _three)


# ---------------------------------------------------------------- repairs
@both()
def nan_to_num(
    input: Tensor,
    nan: float = 0.0,
    posinf: float | None = None,
    neginf: float | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """NaN and the infinities replaced by numbers: 0 and the type's extremes."""
    need_tensor(input, "nan_to_num")
    if input.dtype.rank < 2:
        return give(apply(ew.copy, input), out, "nan_to_num")
    facts = finfo(input.dtype)
    top = facts.max if posinf is None else posinf
    low = facts.min if neginf is None else neginf
    made = apply(ew.where, apply(ew.isnan, input), float(0.0 if nan is None else nan), input)
    made = apply(ew.where, apply(ew.eq, made, math.inf), float(top), made)
    return give(apply(ew.where, apply(ew.eq, made, -math.inf), float(low), made), out, "nan_to_num")


inplace_of("nan_to_num_", nan_to_num)


@both("logit")
def logit(input: Tensor, eps: float | None = None, *, out: Tensor | None = None) -> Tensor:
    """`log(x / (1 - x))`, x first brought into `[eps, 1 - eps]`."""
    need_tensor(input, "logit")
    x = input if eps is None else _limited(input, float(eps), 1.0 - eps, "logit")
    return give(apply(LOGIT, x), out, "logit")


LOGIT: Any = row("logit")
inplace_of("logit_", logit)


@method("sum_to_size")
def sum_to_size(self: Tensor, *size: Any) -> Tensor:
    """Summed over what broadcasting from `size` repeated."""
    shape = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else tuple(size)
    k = len(self.shape) - len(shape)
    if k < 0 or any(n not in (1, self.shape[k + i]) for i, n in enumerate(shape)):
        raise RuntimeError(
            f"size {{{list(shape)}}} is not expandable to size {{{list(self.shape)}}}."
        )
    if not shape:
        return apply(sum_, self, arg=(tuple(range(k)), False))
    dims = tuple(d for d, n in enumerate(self.shape) if d < k or (shape[d - k] == 1 and n != 1))
    made = apply(sum_, self, arg=(dims, True)) if dims else self
    return sh.reshaped(made, shape) if k else made


# ---------------------------------------------------------------- closeness
@both()
def isclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    equal_nan: bool = False,
) -> Tensor:
    """Where `|input - other| <= atol + rtol * |other|`."""
    need_tensor(input, "isclose")
    need_tensor(other, "isclose", "other", 2)
    if input.dtype is not other.dtype:
        raise RuntimeError(f"{input.dtype.typename} did not match {other.dtype.typename}")
    for name, bound in (("rtol", rtol), ("atol", atol)):
        if bound < 0:
            raise RuntimeError(f"{name} must be greater than or equal to zero, but got {bound}")
    close = apply(ew.eq, input, other)
    if equal_nan and input.dtype.rank > 1:
        both_nan = apply(ew.logical_and, apply(ew.isnan, input), apply(ew.isnan, other))
        close = apply(ew.logical_or, close, both_nan)
    if rtol == 0 and atol == 0:
        return close
    a, b = (
        (v if v.dtype.rank > 1 else apply(ew.cast, v, arg=dt.Defaults.float))
        for v in (input, other)
    )
    allowed = apply(ew.abs_, b * float(rtol)) + float(atol)
    actual = apply(ew.abs_, a - b)
    near = apply(ew.logical_and, apply(ISFINITE, actual), apply(ew.le, actual, allowed))
    return apply(ew.logical_or, close, near)


ISFINITE: Any = row("isfinite")


@both()
def allclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    equal_nan: bool = False,
) -> bool:
    """Whether all elements are close; pending work runs."""
    return bool(engine.read(isclose(input, other, rtol, atol, equal_nan)).all())


@both()
def equal(input: Tensor, other: Tensor) -> bool:
    """Whether shapes and all elements are equal; pending work runs."""
    need_tensor(input, "equal")
    need_tensor(other, "equal", "other", 2)
    if tuple(input.shape) != tuple(other.shape):
        return False
    return bool((engine.read(input) == engine.read(other)).all())


@function("isin")
def isin(
    elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False
) -> Tensor:
    """Where elements are among the test elements; pending work runs."""
    for v in (elements, test_elements):
        if isinstance(v, Tensor):
            words = "Unsupported input type encountered for isin(): {type}"
            refuse(v, "bc", words, RuntimeError)
        elif not isinstance(v, int | float | complex):
            raise TypeError(f"isin(): elements have to be tensors or numbers, not {v!r}")
    x, y = (engine.read(v) if isinstance(v, Tensor) else v for v in (elements, test_elements))
    found = np.isin(x, y, assume_unique=assume_unique, invert=invert)
    return engine.own_array(np.array(found), dt.bool_, place(None))


let_write("isin")
