"""Reductions: sums, extremes, moments, norms, and what normalises with them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.base.shape import Ints, is_one, wrap_dim
from rushlight.engine import Tensor
from rushlight.engine.core import record1
from rushlight.graph.ops import complexes as cx
from rushlight.graph.ops import elementwise as ew
from rushlight.graph.ops import indexing as ix
from rushlight.graph.ops import matrices as mx
from rushlight.graph.ops import movement
from rushlight.graph.ops import normalised as nm
from rushlight.graph.ops import reduce as rd
from rushlight.graph.ops.movement import normal_dims
from rushlight.graph.shaping import reduced_shape
from rushlight.tensor import shape as sh
from rushlight.tensor.install import (
    both,
    element_type,
    give,
    let_write,
    need_tensor,
    number,
    refuse,
    result_type,
)

apply: Callable[..., Tensor] = engine.apply
look: Callable[..., Tensor] = engine.view


# The arguments of whole reductions by number of dimensions, and of those of one dimension.
ALL: Final = tuple(tuple(range(n)) for n in range(9))
WHOLE: Final = tuple((dims, False) for dims in ALL)
ONE: Final = tuple(((d,), False) for d in range(9))


def all_dims(x: Tensor) -> Ints:
    """Every dimension."""
    n = len(x.shape)
    return ALL[n] if n < 9 else tuple(range(n))


def usual(x: Any, dim: Any, keepdim: Any) -> Any:
    """The argument of a reduction where it needs no parsing: all of a tensor, or one dimension
    counted from the front; None otherwise.
    """
    if keepdim is False and isinstance(x, Tensor):
        n = len(x.shape)
        if n < 9:
            if dim is None:
                return WHOLE[n]
            if type(dim) is int and 0 <= dim < n:
                return ONE[dim]
    return None


def dims_of(x: Tensor, dim: Any) -> Ints:
    """The dimensions an argument names, ascending; None and () are all."""
    if type(dim) is int and 0 <= dim < len(x.shape):
        return (dim,)
    if dim is None or (isinstance(dim, tuple | list) and not dim):
        return all_dims(x)
    n = len(x.shape)
    found = sorted(normal_dims(dim if is_one(dim) else tuple(dim), n))
    return tuple(found) if n else ()


def one_dim(x: Tensor, dim: int) -> Ints:
    """One dimension; none for a tensor without dimensions, as PyTorch takes 0 and -1 there."""
    d = wrap_dim(dim, len(x.shape))
    return (d,) if x.shape else ()


def converted(x: Tensor, kind: Any, name: str) -> Tensor:
    """`x` in the dtype a `dtype=` argument names."""
    if kind is None:
        return x
    kind = element_type(kind, name)
    return x if kind is x.dtype else apply(ew.cast, x, arg=kind)


# ---------------------------------------------------------------- sums and products
SUM: Final[int] = rd.sum_.code
MEAN: Final[int] = nm.mean.code


@both("sum")
def sum_(
    input: Tensor,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
    axis: Any = None,
    keepdims: bool | None = None,
) -> Tensor:
    """The sum over dimensions (all when none is given); integers add up in int64."""
    if axis is not None:
        dim = axis
    if keepdims is not None:
        keepdim = keepdims
    if dtype is None and out is None and (arg := usual(input, dim, keepdim)) is not None:
        return record1(SUM, input, arg)
    need_tensor(input, "sum")
    kind = None if dtype is None else element_type(dtype, "sum")
    x = converted(input, kind, "sum")
    made = apply(rd.sum_, x, arg=(dims_of(x, dim), keepdim))
    if kind is not None and made.dtype is not kind:
        made = apply(ew.cast, made, arg=kind)
    return made if out is None else give(made, out, "sum")


def _no_nan(x: Tensor) -> Tensor:
    return apply(ew.where, apply(ew.isnan, x), 0, x)


@both()
def nansum(
    input: Tensor,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """`sum` with NaN counted as zero."""
    need_tensor(input, "nansum")
    refuse(input, "c", "nansum on CPU does not support complex inputs", RuntimeError)
    return sum_(_no_nan(input), dim, keepdim, dtype=dtype, out=out)


@both()
def mean(
    input: Tensor,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
    axis: Any = None,
    keepdims: bool | None = None,
) -> Tensor:
    """The mean over dimensions; `RuntimeError` for integers without `dtype`."""
    if axis is not None:
        dim = axis
    if keepdims is not None:
        keepdim = keepdims
    if dtype is None and out is None and (arg := usual(input, dim, keepdim)) is not None:
        return record1(MEAN, input, arg)
    need_tensor(input, "mean")
    x = converted(input, dtype, "mean")
    made = apply(nm.mean, x, arg=(dims_of(x, dim), keepdim))
    return made if out is None else give(made, out, "mean")


@both()
def nanmean(
    input: Tensor,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """The mean of what is not NaN."""
    need_tensor(input, "nanmean")
    words = "nanmean(): expected input to have floating point or complex dtype but got {type}"
    refuse(input, "bui", words, RuntimeError)
    known = sum_(apply(ew.logical_not, apply(ew.isnan, input)), dim, keepdim)
    return give(nansum(input, dim, keepdim, dtype=dtype) / known, out, "nanmean")


@both()
def prod(
    input: Tensor,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """The product of all elements, or along one dimension."""
    need_tensor(input, "prod")
    x = converted(input, dtype, "prod")
    dims = all_dims(x) if dim is None else one_dim(x, dim)
    return give(apply(rd.prod, x, arg=(dims, keepdim)), out, "prod")


@both()
def count_nonzero(input: Tensor, dim: Any = None) -> Tensor:
    """How many elements are not zero."""
    return sum_(apply(ew.ne, input, 0), dim)


# ---------------------------------------------------------------- tests
def _test(name: str, op: Any) -> None:
    def f(
        input: Tensor,
        dim: Any = None,
        keepdim: bool = False,
        *,
        out: Tensor | None = None,
        axis: Any = None,
        keepdims: bool | None = None,
    ) -> Tensor:
        if axis is not None:
            dim = axis
        if keepdims is not None:
            keepdim = keepdims
        need_tensor(input, name)
        return give(apply(op, input, arg=(dims_of(input, dim), keepdim)), out, name)

    f.__doc__ = f"Whether {name} elements are true, over dimensions; bool (uint8 for uint8)."
    both(name)(f)


_test("all", rd.all_)
_test("any", rd.any_)


# ---------------------------------------------------------------- extremes
max_result = result_type("max", "values indices")
min_result = result_type("min", "values indices")
aminmax_result = result_type("aminmax", "min max")


def picked(x: Tensor, indices: Tensor, dims: Ints) -> Tensor:
    """The elements of `x` at `indices` (of the reduced shape, kept) along one dimension."""
    return apply(ix.gather, x, indices, arg=dims[0]) if dims else apply(ew.copy, x)


def _extreme(name: str, whole: Any, where: Any, pairwise: Any, result: Any) -> None:
    def f(
        input: Tensor,
        dim: Any = None,
        keepdim: bool = False,
        *,
        other: Any = None,
        out: Any = None,
        axis: Any = None,
        keepdims: bool | None = None,
    ) -> Any:
        if axis is not None:
            dim = axis
        if keepdims is not None:
            keepdim = keepdims
        need_tensor(input, name)
        if isinstance(dim, Tensor):
            other, dim = dim, None
        if other is not None:
            return give(apply(pairwise, input, other), out, name)
        if 0 in input.shape and (dim is None or not input.shape[one_dim(input, dim)[0]]):
            _refuse_nothing(name, input, dim)
        if dim is None:
            return give(apply(whole, input, arg=(all_dims(input), False)), out, name)
        dims = one_dim(input, dim)
        indices = winner(input, where, dims, True)
        values = picked(input, indices, dims)
        if dims and not keepdim:
            values, indices = sh.squeeze(values, dims[0]), sh.squeeze(indices, dims[0])
        if out is None:
            return result(values, indices)
        return result(give(values, out[0], name), give(indices, out[1], name))

    f.__doc__ = (
        f"`{name}(x)`: of all elements; `{name}(x, dim)`: values and indices along a dimension; "
        f"`{name}(x, y)`: elementwise."
    )
    both(name)(f)


def _refuse_nothing(name: str, x: Tensor, dim: Any) -> None:
    """Of no elements there is no extreme."""
    if dim is None:
        raise RuntimeError(
            f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the "
            "reduction dim with the 'dim' argument."
        )
    d = one_dim(x, dim)[0]
    raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")


def winner(x: Tensor, op: Any, dims: Ints, keepdim: bool) -> Tensor:
    """`argmax` or `argmin` over `dims`."""
    if x.dtype.kind == "b":
        x = apply(ew.cast, x, arg=dt.uint8)
    if not x.shape:
        return apply(ew.cast, apply(ew.zeros_like, engine.detach(x)), arg=dt.int64)
    if 0 in x.shape and all(x.shape[d] for d in dims):
        return engine.full(reduced_shape(tuple(x.shape), dims, keepdim), 0, dt.int64, x.device)
    return apply(op, x, arg=(dims, keepdim))


_extreme("max", rd.amax, rd.argmax, ew.maximum, max_result)
_extreme("min", rd.amin, rd.argmin, ew.minimum, min_result)


def _amost(name: str, op: Any) -> None:
    def f(
        input: Tensor,
        dim: Any = (),
        keepdim: bool = False,
        *,
        out: Tensor | None = None,
        axis: Any = None,
        keepdims: bool | None = None,
    ) -> Tensor:
        if axis is not None:
            dim = axis
        if keepdims is not None:
            keepdim = keepdims
        need_tensor(input, name)
        dims = dims_of(input, dim)
        if 0 in input.shape and dim is not None and dim != ():
            for d in dims:
                if input.shape[d] == 0:
                    raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")
        return give(apply(op, input, arg=(dims, keepdim)), out, name)

    f.__doc__ = f"The {name[1:]} over dimensions; a gradient is shared by all that are equal to it."
    both(name)(f)


_amost("amax", rd.amax)
_amost("amin", rd.amin)


@both()
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """Both extremes."""
    arg = (all_dims(input) if dim is None else one_dim(input, dim), keepdim)
    return aminmax_result(apply(rd.amin, input, arg=arg), apply(rd.amax, input, arg=arg))


def _arg(name: str, op: Any) -> None:
    code = op.code

    def f(
        input: Tensor,
        dim: int | None = None,
        keepdim: bool = False,
        *,
        out: Tensor | None = None,
        axis: Any = None,
        keepdims: bool | None = None,
    ) -> Tensor:
        if axis is not None:
            dim = axis
        if keepdims is not None:
            keepdim = keepdims
        if (
            dim is not None
            and out is None
            and (arg := usual(input, dim, keepdim)) is not None
            and input.dtype.kind != "b"
            and 0 not in input.shape
        ):
            return record1(code, input, arg)
        need_tensor(input, name)
        if input.dtype.kind == "b":
            raise RuntimeError(f"\"{name}_cpu\" not implemented for 'Bool'")
        dims = all_dims(input) if dim is None else one_dim(input, dim)
        return give(winner(input, op, dims, keepdim), out, name)

    f.__doc__ = f"The index of the {name[3:]}: in the flattened tensor, or along a dimension."
    both(name)(f)


_arg("argmax", rd.argmax)
_arg("argmin", rd.argmin)


# ---------------------------------------------------------------- moments
def _correction(args: tuple[Any, ...], kwargs: dict[str, Any], name: str) -> tuple[Any, bool, Any]:
    """`(dim, keepdim, correction)` of the overloads with `unbiased` and with `correction`."""
    unbiased = kwargs.pop("unbiased", None)
    correction = kwargs.pop("correction", 1)
    dim = kwargs.pop("dim", kwargs.pop("axis", None))
    keepdim = kwargs.pop("keepdim", kwargs.pop("keepdims", False))
    if kwargs:
        raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(kwargs))}'")
    rest = list(args)
    if rest and not isinstance(rest[0], bool):
        dim = rest.pop(0)
        if rest:
            unbiased = rest.pop(0)
        if rest:
            keepdim = rest.pop(0)
    elif rest:
        unbiased = rest.pop(0)
    if unbiased is not None:
        correction = 1 if unbiased else 0
    return dim, keepdim, correction


def _moment(name: str, op: Any, with_mean: bool) -> None:
    def f(input: Tensor, *args: Any, **kwargs: Any) -> Any:
        need_tensor(input, name)
        out = None if with_mean else kwargs.pop("out", None)
        dim, keepdim, correction = _correction(args, kwargs, name)
        dims = dims_of(input, dim)
        how = (dims, keepdim, 1 if correction is None else correction)
        if input.dtype.kind == "c":  # the variance of both parts together
            both_parts = [apply(nm.var, apply(f, input), arg=how) for f in (cx.real, cx.imag)]
            made = apply(ew.add, *both_parts)
            made = root_of(made) if name.startswith("std") else made
        else:
            made = apply(op, input, arg=how)
        if with_mean:
            return made, apply(nm.mean, input, arg=(dims, keepdim))
        return made if out is None else give(made, out, name)

    f.__doc__ = f"`{name}(input, dim=None, *, correction=1, keepdim=False)`."
    both(name)(f)


_moment("var", nm.var, False)
_moment("std", nm.std, False)
_moment("var_mean", nm.var, True)
_moment("std_mean", nm.std, True)


# ---------------------------------------------------------------- norms
def vector_norm(x: Tensor, p: Any, dims: Ints, keepdim: bool) -> Tensor:
    """`sum(|x|**p) ** (1/p)` over `dims`; infinite and zero orders as limits.

    Slopes at zero are zero for p = 2, as PyTorch's.  Powers of half precision are taken in single,
    where they stay in range.
    """
    if x.dtype.narrow and p and math.isfinite(p):
        made = vector_norm(apply(ew.cast, x, arg=dt.float32), p, dims, keepdim)
        return apply(ew.cast, made, arg=x.dtype)
    arg = (dims, keepdim)
    if x.dtype.kind == "c":
        if p == 2:
            parts = [apply(ew.square, apply(f, x)) for f in (cx.real, cx.imag)]
            return root_of(apply(rd.sum_, apply(ew.add, *parts), arg=arg))
        x = apply(ew.abs_, x)
    if p == 2:
        total = apply(rd.sum_, apply(ew.square, x), arg=arg)
        return root_of(total)
    size = apply(ew.abs_, x)
    if p == math.inf:
        return apply(rd.amax, size, arg=arg)
    if p == -math.inf:
        return apply(rd.amin, size, arg=arg)
    if p == 0:
        count = apply(ew.cast, apply(ew.ne, x, 0), arg=x.dtype)
        if x.requires_grad:  # the gradient is zero
            count = count + (apply(ew.sign, x) - apply(ew.sign, x))
        return apply(rd.sum_, count, arg=arg)
    if p == 1:
        return apply(rd.sum_, size, arg=arg)
    total = apply(rd.sum_, powers_of(size, float(p)), arg=arg)
    return powers_of(total, 1.0 / p)


def powers_of(x: Tensor, p: float) -> Tensor:
    """`x ** p` of what is not negative; where it is zero and the slope infinite, the slope is 0."""
    if p >= 1 or not x.requires_grad:
        return apply(ew.pow_, x, p)
    zero = apply(ew.eq, x, 0.0)
    made = apply(ew.pow_, apply(ew.where, zero, 1.0, x), p)
    return apply(ew.where, zero, 0.0 if p > 0 else math.inf, made)


def singular_values(x: Tensor) -> Tensor:
    """The singular values of matrices, descending."""
    m, n = x.shape[-2:]
    k, last = min(m, n), len(x.shape) - 2
    packed = apply(mx.svd, x, arg=False)
    values = look(movement.slice_, packed, (last, m * k, m * k + k, 1))
    return sh.contiguous_copy(values)


def root_of(total: Tensor) -> Tensor:
    """The square root whose slope at zero is zero instead of infinite."""
    if not total.requires_grad:
        return apply(ew.sqrt, total)
    zero = apply(ew.eq, total, 0.0)
    safe = apply(ew.where, zero, 1.0, total)
    return apply(ew.where, zero, 0.0, apply(ew.sqrt, safe))


@both()
def norm(
    input: Tensor,
    p: Any = "fro",
    dim: Any = None,
    keepdim: bool = False,
    out: Tensor | None = None,
    dtype: Any = None,
) -> Tensor:
    """The Frobenius norm, or the vector norm of order `p`, over dimensions."""
    need_tensor(input, "norm")
    x = converted(input, dtype, "norm")
    if x.dtype.rank < 2:
        raise RuntimeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
            f"{x.dtype.typename}"
        )
    if p == "nuc":
        dims = (0, 1) if dim is None else tuple(wrap_dim(d, len(x.shape)) for d in dim)
        if len(dims) != 2 or len(x.shape) < 2:
            raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {list(dims)}")
        rest = tuple(d for d in range(len(x.shape)) if d not in dims)
        total = apply(
            rd.sum_, singular_values(sh.permuted(x, rest + dims)), arg=((-2 + len(x.shape),), False)
        )
        if keepdim:
            total = sh.reshaped(total, reduced_shape(tuple(x.shape), dims, True))
        return give(total, out, "norm")
    order = 2.0 if p is None or p == "fro" else float(number(p, "norm", "p"))
    return give(vector_norm(x, order, dims_of(x, dim), keepdim), out, "norm")


@both()
def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The norm of the difference."""
    need_tensor(input, "dist")
    need_tensor(other, "dist", "other", 2)
    return norm(input - other, p)


# ---------------------------------------------------------------- normalisation
@both()
def logsumexp(
    input: Tensor,
    dim: Any,
    keepdim: bool = False,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """`log(sum(exp(x)))` over dimensions, without overflow."""
    need_tensor(input, "logsumexp")
    x = input if input.dtype.rank > 1 else apply(ew.cast, input, arg=dt.Defaults.float)
    dims = dims_of(x, dim)
    return give(apply(nm.logsumexp, x, arg=(dims, keepdim)), out, "logsumexp")


def _softened(name: str, op: Any) -> None:
    def f(
        input: Tensor,
        dim: int | None = None,
        dtype: Any = None,
        *,
        out: Tensor | None = None,
        axis: int | None = None,
    ) -> Tensor:
        if axis is not None:
            dim = axis
        need_tensor(input, name)
        x = converted(input, dtype, name)
        refuse(x, "c", f"\"{name}_kernel_impl\" not implemented for '{{type}}'")
        if dim is None:
            raise TypeError(f"{name}() missing 1 required positional argument: 'dim'")
        dims = one_dim(x, dim)
        made = apply(op, x, arg=dims[0] if dims else 0)
        return made if out is None else give(made, out, name)

    f.__doc__ = f"`{name}` along a dimension, without overflow."
    both(name)(f)


_softened("softmax", nm.softmax)
_softened("log_softmax", nm.log_softmax)

let_write("aminmax")
