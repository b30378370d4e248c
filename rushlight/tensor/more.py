"""Functions made of others that programs call now and then: distances, moments, settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.engine import Tensor
from rushlight.engine.core import scaled
from rushlight.graph.ops import complexes as cx
from rushlight.graph.ops import contract, movement
from rushlight.graph.ops import elementwise as ew
from rushlight.tensor import reduce
from rushlight.tensor import shape as sh
from rushlight.tensor.creation import filled, owned
from rushlight.tensor.install import (
    both,
    element_type,
    function,
    let_write,
    need_tensor,
    number,
    place,
    refuse,
)
from rushlight.tensor.kinds import contiguous_format

apply: Callable[..., Tensor] = engine.apply
look: Callable[..., Tensor] = engine.view


@function()
def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str = "") -> Tensor:
    """Distances between all rows of two matrices (or batches of them)."""
    need_tensor(x1, "cdist", "x1")
    need_tensor(x2, "cdist", "x2", 2)
    for i, x in enumerate((x1, x2), 1):
        refuse(x, "buic", f"cdist only supports floating-point dtypes, X{i} got: {{type}}",
               RuntimeError)  # fmt: skip
        if len(x.shape) < 2:
            raise RuntimeError(
                f"cdist only supports at least 2D tensors, X{i} got: {len(x.shape)}D"
            )
    if x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(
            f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}"
        )
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    away = apply(ew.sub, look(movement.unsqueeze, x1, len(x1.shape) - 1),
                 look(movement.unsqueeze, x2, len(x2.shape) - 2))  # fmt: skip
    return reduce.vector_norm(away, float(p), (len(away.shape) - 1,), False)


def _weights(w: Any, name: str, count: int, kind: Any) -> Tensor | None:
    if w is None:
        return None
    if len(w.shape) > 1:
        raise RuntimeError(f"cov(): expected {name} to have one or fewer dimensions but got "
                           f"{name} with {len(w.shape)} dimensions")  # fmt: skip
    if (w.dtype.rank < 2) is not (name == "fweights"):
        what = "integral" if name == "fweights" else "floating point"
        raise RuntimeError(f"cov(): expected {name} to have {what} dtype but got {name} with "
                           f"{w.dtype.typename} dtype")  # fmt: skip
    if w.shape.numel() != count:
        raise RuntimeError(
            f"cov(): expected {name} to have the same numel as there are observations in the input "
            f"but got {w.shape.numel()} != {count}"
        )
    if (engine.read(w) < 0).any():
        raise RuntimeError(f"cov(): {name} cannot be negative")
    return apply(ew.cast, sh.reshape(w, -1), arg=kind) if w.dtype is not kind else w


@both()
def cov(
    input: Tensor,
    *,
    correction: int = 1,
    fweights: Tensor | None = None,
    aweights: Tensor | None = None,
) -> Tensor:
    """The covariance matrix of variables in rows; observations may have weights."""
    need_tensor(input, "cov")
    if len(input.shape) > 2:
        raise RuntimeError(
            "cov(): expected input to have two or fewer dimensions but got an input with "
            f"{len(input.shape)} dimensions"
        )
    if input.dtype.kind == "b":
        raise RuntimeError("cov(): bool dtype is not supported for input")
    x = input if len(input.shape) == 2 else sh.reshape(input, 1, -1)
    if x.dtype.rank < 2:
        x = apply(ew.cast, x, arg=dt.Defaults.float)
    count = x.shape[1]
    parts = [
        _weights(w, name, count, x.dtype)
        for w, name in ((fweights, "fweights"), (aweights, "aweights"))
    ]
    given = [w for w in parts if w is not None]
    if not given:
        away = apply(ew.sub, x, reduce.mean(x, 1, True))
        made = apply(contract.matmul, away, _turned(away))
        made = apply(ew.div, made, float(max(count - correction, 0)))
    else:
        w = given[0] if len(given) == 1 else apply(ew.mul, *given)
        total = reduce.sum_(w)
        mean = apply(ew.div, reduce.sum_(apply(ew.mul, x, w), 1, True), total)
        away = apply(ew.sub, x, mean)
        norm = total - float(correction)
        if parts[1] is not None and correction:
            norm = total - float(correction) * (reduce.sum_(apply(ew.mul, w, parts[1])) / total)
        made = apply(contract.matmul, apply(ew.mul, away, w), _turned(away))
        made = apply(ew.div, made, apply(ew.clamp_min, norm, 0.0))
    return made if made.shape[0] != 1 else sh.reshaped(made, ())


def _turned(x: Tensor) -> Tensor:
    """A matrix transposed and conjugated."""
    return apply(cx.conj, sh.t(x)) if x.dtype.kind == "c" else sh.t(x)


@both()
def corrcoef(input: Tensor) -> Tensor:
    """The correlation matrix of variables in rows."""
    c = cov(input)
    if not c.shape:
        return apply(ew.div, c, c)
    d = sh.diagonal(c)
    d = apply(ew.sqrt, apply(cx.real, d) if c.dtype.kind == "c" else d)
    return apply(ew.div, apply(ew.div, c, look(movement.unsqueeze, d, 1)), d)


@function("trapezoid", "trapz")
def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = 1, dim: int = -1) -> Tensor:
    """The integral of samples along a dimension."""
    d = reduce.one_dim(y, dim)[0]
    n = y.shape[d]
    pairs = apply(ew.add, sh.narrow(y, d, 1, n - 1), sh.narrow(y, d, 0, n - 1))
    if x is None:
        return scaled(reduce.sum_(pairs, d), number(dx, "trapezoid", "dx") / 2)
    last = len(x.shape) - 1
    steps = apply(ew.sub, sh.narrow(x, last, 1, n - 1), sh.narrow(x, last, 0, n - 1))
    if last == 0:
        steps = sh.reshaped(steps, tuple(n - 1 if k == d else 1 for k in range(len(y.shape))))
    return apply(ew.div, reduce.sum_(apply(ew.mul, pairs, steps), d), 2.0, arg=ew.SCALED)


@function()
def vander(x: Tensor, N: int | None = None, *, increasing: bool = False) -> Tensor:
    """Powers of a vector's elements, one element a row."""
    if len(x.shape) != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    n = x.shape[0] if N is None else N
    if n < 0:
        raise RuntimeError("N must be non-negative.")
    powers = np.arange(n) if increasing else np.arange(n)[::-1]
    exponents = owned(np.ascontiguousarray(powers).astype(x.dtype.numpy), x.dtype, x.device)
    return apply(ew.pow_, look(movement.unsqueeze, x, 1), exponents)


@function()
def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """Coordinates in `shape` of indices into its flattened form."""
    given = engine.read(shape).reshape(-1) if isinstance(shape, Tensor) else shape
    sizes = [given] if isinstance(given, int) else [int(n) for n in given]
    found = np.stack(np.unravel_index(engine.read(indices), tuple(sizes)), -1)
    table = owned(np.ascontiguousarray(found, np.int64), dt.int64, indices.device)
    return tuple(sh.select(table, -1, i) for i in range(len(sizes)))


@function()
def scalar_tensor(
    s: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """A number as a tensor without dimensions, of the default type."""
    kind = dt.Defaults.float if dtype is None else element_type(dtype, "scalar_tensor")
    made = filled((), number(s, "scalar_tensor", "s", 1), kind, place(device))
    return engine.require_grad(made, True) if requires_grad else made


@both()
def narrow_copy(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """`narrow` as a copy."""
    if dim >= max(len(input.shape), 1):
        raise RuntimeError(
            f"narrow_copy(): dimension {dim} of a tensor of {len(input.shape)} dimensions"
        )
    return apply(ew.copy, sh.narrow(input, dim, start, length))


@both()
def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """Slices along a dimension scaled down to a norm of at most `maxnorm`."""
    if len(input.shape) < 2:
        raise RuntimeError(
            f"renorm: input needs at least 2 dimensions, got {len(input.shape)} dimensions"
        )
    words = "linalg.vector_norm: Expected a floating point or complex tensor as input. Got {type}"
    refuse(input, "bui", words, RuntimeError)
    d = reduce.one_dim(input, dim)[0]
    others = tuple(k for k in range(len(input.shape)) if k != d)
    kind = input.dtype
    wide = apply(ew.cast, input, arg=dt.float32) if kind.narrow else input  # norms stay in range
    size = reduce.vector_norm(wide, float(p), others, True)
    scale = apply(ew.where, apply(ew.gt, size, maxnorm), maxnorm / (size + 1e-7), 1.0)
    scale = apply(ew.cast, scale, arg=kind) if kind.narrow else scale
    return sh.laid_out(apply(ew.mul, input, scale), contiguous_format)


def _renorm_(self: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """`renorm`, written into the tensor."""
    engine.check_inplace(self)
    return engine.settle("renorm_", self, renorm(self, p, dim, maxnorm))


setattr(Tensor, "renorm_", _renorm_)


@function()
def typename(obj: Any, /) -> str:
    """`'torch.FloatTensor'` for a tensor, else the type's full name."""
    if isinstance(obj, Tensor):
        return f"torch.{obj.dtype.typename}Tensor"
    kind = obj if isinstance(obj, type) else type(obj)
    where = kind.__module__
    return kind.__qualname__ if where in ("builtins", "") else f"{where}.{kind.__qualname__}"


@function()
def set_default_tensor_type(t: Any, /) -> None:
    """The old `set_default_dtype`: `torch.DoubleTensor` or its name."""
    name = t if isinstance(t, str) else t.__name__
    for kind in (dt.float32, dt.float64):
        if name.removeprefix("torch.") == f"{kind.typename}Tensor":
            dt.Defaults.float = kind
            return
    raise TypeError(f"only floating-point types are supported as the default type, not {name}")


@both("is_nonzero")
def is_nonzero(input: Tensor) -> bool:
    """Whether the one element is not zero."""
    return bool(number(input, "is_nonzero", "input", 1) != 0)


let_write("narrow_copy", "renorm")
