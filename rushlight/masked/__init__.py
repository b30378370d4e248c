"""`torch.masked`: reductions and normalisations of what a bool mask says is there.

What is not there counts as the reduction's neutral element; without a mask everything is there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.base.lazy import later
from rushlight.base.shape import wrap_dim
from rushlight.engine import Tensor
from rushlight.graph.ops import elementwise as ew
from rushlight.graph.ops import movement
from rushlight.graph.ops import reduce as rd
from rushlight.tensor import FUNCTIONS as _F
from rushlight.tensor import reduce, samples
from rushlight.tensor.install import element_type, named

__all__ = [
    "MaskedTensor", "amax", "amin", "argmax", "argmin", "as_masked_tensor", "cumprod", "cumsum",
    "is_masked_tensor", "log_softmax", "logaddexp", "logsumexp", "masked_tensor", "mean", "median",
    "norm", "normalize", "prod", "softmax", "softmin", "std", "sum", "var",
]  # fmt: skip


_masked_tensors: Any = later("rushlight.masked.maskedtensor")


def __getattr__(name: str) -> Any:
    """Masked tensors load when first used: from then on the functions of `torch` know them."""
    if name not in ("MaskedTensor", "as_masked_tensor", "is_masked_tensor", "masked_tensor"):
        raise AttributeError(f"module 'torch.masked' has no attribute {name!r}")
    _masked_tensors.install()
    found = globals()[name] = getattr(_masked_tensors, name)
    return found


_apply: Callable[..., Tensor] = engine.apply


def _there(x: Tensor, mask: Tensor | None) -> Tensor | None:
    """The mask in the tensor's shape."""
    if mask is None:
        return None
    if len(mask.shape) > len(x.shape):
        raise IndexError(
            "mask must have the same or fewer dimensions than input "
            f"({len(mask.shape)} > {len(x.shape)})"
        )
    return engine.view(movement.expand, mask, tuple(x.shape))


def _filled(x: Tensor, mask: Tensor | None, value: Any) -> Tensor:
    there = _there(x, mask)
    if there is None:
        return x
    fill: Any = float(value) if x.dtype.rank > 1 else value
    return _apply(ew.where, there, x, fill)


def _kind(x: Tensor, dtype: Any, name: str) -> Tensor:
    if dtype is None:
        return x
    kind = element_type(dtype, name)
    return x if kind is x.dtype else _apply(ew.cast, x, arg=kind)


def _edge(x: Tensor, high: bool) -> Any:
    if x.dtype.rank > 1:
        return math.inf if high else -math.inf
    if x.dtype.kind == "b":
        return high
    bits = 8 * x.dtype.itemsize - (x.dtype.kind == "i")
    if x.dtype.kind == "u":
        return 2**bits - 1 if high else 0
    return 2**bits - 1 if high else -(2**bits)


def _reduction(name: str, op: Any, neutral: Callable[[Tensor], Any]) -> Any:
    def f(
        input: Tensor,
        dim: Any = None,
        *,
        keepdim: bool | None = False,
        dtype: Any = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        x = _kind(input, dtype, name)
        if name in ("sum", "prod") and dtype is None and x.dtype.rank < 2:
            x = _kind(x, dt.int64, name)
        arg = (reduce.dims_of(x, dim), bool(keepdim))
        return _apply(op, _filled(x, mask, neutral(x)), arg=arg)

    f.__doc__ = f"`{name}` of what is there, over dimensions."
    return named(f, name)


sum = _reduction("sum", rd.sum_, lambda x: 0)
prod = _reduction("prod", rd.prod, lambda x: 1)
amax = _reduction("amax", rd.amax, lambda x: _edge(x, False))
amin = _reduction("amin", rd.amin, lambda x: _edge(x, True))


def _winner(name: str, high: bool) -> Any:
    def f(
        input: Tensor,
        dim: int | None = None,
        *,
        keepdim: bool | None = False,
        dtype: Any = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        x = _kind(input, dtype, name)
        found: Tensor = _F[name](_filled(x, mask, _edge(x, not high)), dim, bool(keepdim))
        return found

    f.__doc__ = f"`{name}` of what is there."
    return named(f, name)


argmax = _winner("argmax", True)
argmin = _winner("argmin", False)


def _count(x: Tensor, mask: Tensor | None, dims: Any, keepdim: bool) -> Tensor:
    there = _there(x, mask)
    if there is None:
        there = engine.full(tuple(x.shape), True, dt.bool_, x.device)
    return _apply(rd.sum_, there, arg=(dims, keepdim))


def mean(
    input: Tensor,
    dim: Any = None,
    *,
    keepdim: bool | None = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The mean of what is there."""
    x = _kind(input, dtype, "mean")
    if x.dtype.rank < 2:
        x = _kind(x, dt.float32, "mean")
    dims = reduce.dims_of(x, dim)
    total = _apply(rd.sum_, _filled(x, mask, 0), arg=(dims, bool(keepdim)))
    return _apply(ew.div, total, _count(x, mask, dims, bool(keepdim)))


def median(
    input: Tensor,
    dim: int = -1,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The middle value (the lower of two) of what is there, along a dimension."""
    x = _kind(input, dtype, "median")
    if x.dtype.rank < 2:
        x = _kind(x, dt.Defaults.float, "median")
    if mask is None:
        return _F["median"](x, dim, keepdim).values  # type: ignore[no-any-return]
    found: Tensor = samples.nanmedian(_filled(x, mask, math.nan), dim, keepdim).values
    return found


def logsumexp(
    input: Tensor,
    dim: Any = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """`log(sum(exp))` of what is there."""
    x = _kind(input, dtype, "logsumexp")
    x = x if x.dtype.rank > 1 else _kind(x, dt.Defaults.float, "logsumexp")
    dims = reduce.dims_of(x, dim)
    return reduce.logsumexp(_filled(x, mask, -math.inf), dims, keepdim)


def logaddexp(
    input: Tensor,
    other: Tensor,
    *,
    dtype: Any = None,
    input_mask: Tensor | None = None,
    other_mask: Tensor | None = None,
) -> Tensor:
    """`log(exp(input) + exp(other))` of what is there in each."""
    x = _filled(_kind(input, dtype, "logaddexp"), input_mask, -math.inf)
    y = _filled(_kind(other, dtype, "logaddexp"), other_mask, -math.inf)
    found: Tensor = _F["logaddexp"](x, y)
    return found


def norm(
    input: Tensor,
    ord: Any = 2.0,
    dim: Any = None,
    *,
    keepdim: bool | None = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The vector norm of what is there."""
    x = _kind(input, dtype, "norm")
    order = 2.0 if ord is None else float(ord)
    filled = _filled(x, mask, math.inf if order < 0 else 0.0)
    return reduce.vector_norm(filled, order, reduce.dims_of(x, dim), bool(keepdim))


def normalize(
    input: Tensor,
    ord: float,
    dim: int,
    *,
    eps: float = 1e-12,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Divided by the norm of what is there along a dimension."""
    x = _kind(input, dtype, "normalize")
    size = norm(x, ord, dim, keepdim=True, mask=mask)
    return _apply(ew.div, _filled(x, mask, 0), _apply(ew.maximum, size, eps))


def _moment(name: str, root: bool) -> Any:
    def f(
        input: Tensor,
        dim: Any = None,
        unbiased: bool | None = None,
        *,
        correction: Any = None,
        keepdim: bool | None = False,
        dtype: Any = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        x = _kind(input, dtype, name)
        x = x if x.dtype.rank > 1 else _kind(x, dt.float32, name)
        less = (1 if unbiased is None or unbiased else 0) if correction is None else correction
        dims = reduce.dims_of(x, dim)
        n = _count(x, mask, dims, True)
        middle = _apply(ew.div, _apply(rd.sum_, _filled(x, mask, 0), arg=(dims, True)), n)
        away = _filled(_apply(ew.sub, x, middle), mask, 0)
        total = _apply(rd.sum_, _apply(ew.square, away), arg=(dims, bool(keepdim)))
        count = _count(x, mask, dims, bool(keepdim))
        made = _apply(ew.div, total, _apply(ew.maximum, _apply(ew.sub, count, less), 0))
        return _apply(ew.sqrt, made) if root else made

    f.__doc__ = f"`{name}` of what is there."
    return named(f, name)


var = _moment("var", False)
std = _moment("std", True)


def _along(name: str, neutral: float, f: Callable[[Tensor, int], Tensor]) -> Any:
    def g(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
        x = _kind(input, dtype, name)
        if name in ("cumsum", "cumprod") and dtype is None and x.dtype.rank < 2:
            x = _kind(x, dt.int64, name)
        fill = neutral if x.dtype.rank > 1 else int(neutral)
        return f(_filled(x, mask, fill), wrap_dim(dim, len(x.shape)))

    g.__doc__ = f"`{name}` of what is there, along a dimension."
    return named(g, name)


cumsum = _along("cumsum", 0.0, _F["cumsum"])
cumprod = _along("cumprod", 1.0, _F["cumprod"])
softmax = _along("softmax", -math.inf, _F["softmax"])
log_softmax = _along("log_softmax", -math.inf, _F["log_softmax"])
softmin = _along("softmin", math.inf, lambda x, d: _F["softmax"](-x, d))
