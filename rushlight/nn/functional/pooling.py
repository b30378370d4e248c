"""Pooling over windows: the greatest element, averages, power averages, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ... import engine
from ...base import dtype as dt
from ...base.shape import Ints, numel
from ...engine import Tensor, apply
from ...graph.ops import convolve, indexing, movement, window
from ...tensor import shape as sh
from ...tensor.gather import within

Sizes = int | Sequence[int]
_WORDS = {1: "one int", 2: "two ints", 3: "three ints"}


def per_dimension(value: Sizes, name: str, what: str, space: int) -> Ints:
    """One number for each dimension in space."""
    if isinstance(value, int):
        return (value,) * space
    given = tuple(int(n) for n in value)
    if len(given) == 1:
        return given * space
    if len(given) != space:
        raise RuntimeError(
            f"{name}: {what} must either be a single int, or a tuple of {_WORDS[space]}"
        )
    return given


def _sides(name: str, values: Ints) -> str:
    letters = "THW"[3 - len(values) :]
    return " ".join(f"{name}{x}: {n}" for x, n in zip(letters, values, strict=True))


def _steps(stride: Sizes | None, kernel: Ints, name: str) -> Ints:
    if stride is None or (not isinstance(stride, int) and not len(stride)):
        return kernel
    return per_dimension(stride, name, "stride", len(kernel))


def batched_input(x: Tensor, space: int, name: str) -> tuple[Tensor, bool]:
    """The input with a batch dimension, and whether it had one."""
    rank, shape = len(x.shape), list(x.shape)
    if rank not in (space + 1, space + 2):
        if space == 1:
            raise RuntimeError(
                f"{name}: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size for "
                f"input, but got:{shape}"
            )
        raise RuntimeError(
            f"non-empty {space + 1}D or {space + 2}D (batch mode) tensor expected for input, but "
            f"{name} got one of size {shape}"
        )
    if 0 in shape[-space - 1 :]:
        raise RuntimeError(
            f"Expected {space + 1}D or {space + 2}D (batch mode) tensor with optional 0 dim batch "
            f"size for input, but got:{shape}"
        )
    if rank == space + 2:
        return x, True
    return engine.view(movement.unsqueeze, x, 0), False


def unbatched(made: Tensor, batched: bool) -> Tensor:
    """The result without the batch dimension that the input did not have."""
    return made if batched else engine.view(movement.squeeze, made, (0,))


def output_size(
    have: Ints, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil: bool
) -> Ints:
    """How many windows there are along each dimension."""
    out = []
    for n, k, s, p, d in zip(have, kernel, stride, padding, dilation, strict=True):
        count = (n + 2 * p - d * (k - 1) - 1 + (s - 1 if ceil else 0)) // s + 1
        if ceil and (count - 1) * s >= n + p:  # the last window would begin in the padding
            count -= 1
        out.append(count)
    return tuple(out)


def _check(name: str, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints) -> None:
    if name == "max_pool1d":
        for what, values in (("stride", stride), ("kernel_size", kernel), ("dilation", dilation)):
            if values[0] <= 0:
                raise RuntimeError(f"{name}() {what} must be greater than zero, but got "
                                   f"{values[0]}")  # fmt: skip
        if padding[0] < 0:
            raise RuntimeError(f"{name}() padding must be non-negative, but got {padding[0]}")
        if padding[0] > kernel[0] // 2:
            raise RuntimeError(
                f"{name}() padding should be at most half of kernel size, but got "
                f"padding={padding[0]} and kernel_size={kernel[0]}"
            )
        return
    if any(s == 0 for s in stride):
        raise RuntimeError("stride should not be zero")
    if any(k <= 0 for k in kernel):
        raise RuntimeError(
            f"kernel size should be greater than zero, but got {_sides('k', kernel)}"
        )
    if any(s < 0 for s in stride):
        raise RuntimeError(f"stride should be greater than zero, but got {_sides('d', stride)}")
    if any(d <= 0 for d in dilation):
        raise RuntimeError(
            f"dilation should be greater than zero, but got {_sides('dilation', dilation)}"
        )
    for k, p, d in zip(kernel, padding, dilation, strict=True):
        if p < 0:
            raise RuntimeError(f"pad must be non-negative, but got pad: {p}")
        if p > ((k - 1) * d + 1) // 2:
            raise RuntimeError(
                "pad should be at most half of effective kernel size, but got "
                f"pad={p}, kernel_size={k} and dilation={d}"
            )


def _too_small(name: str, x: Tensor, size: Ints) -> None:
    if all(n >= 1 for n in size):
        return
    if name == "max_pool1d":
        raise RuntimeError(f"{name}() Invalid computed output size: {size[0]}")
    have = "x".join(map(str, x.shape[1:]))
    made = "x".join(map(str, (x.shape[1], *size)))
    raise RuntimeError(
        f"Given input size: ({have}). Calculated output size: ({made}). Output size is too small"
    )


# ---------------------------------------------------------------- the greatest element
def _max_pool(
    space: int, input: Tensor, kernel_size: Sizes, stride: Sizes | None, padding: Sizes,
    dilation: Sizes, ceil_mode: bool, return_indices: bool,
) -> Any:  # fmt: skip
    name = f"max_pool{space}d"
    kernel = per_dimension(kernel_size, name, "kernel_size", space)
    steps = _steps(stride, kernel, name)
    around = per_dimension(padding, name, "padding", space)
    wide = per_dimension(dilation, name, "dilation", space)
    x, batched = batched_input(input, space, name)
    _check(name, kernel, steps, around, wide)
    if input.dtype is dt.bool_:
        raise NotImplementedError(f"\"{name}\" not implemented for 'Bool'")
    size = output_size(tuple(x.shape[2:]), kernel, steps, around, wide, ceil_mode)
    _too_small(name, x, size)
    arg = (kernel, steps, around, wide, size)
    if not x.shape[0]:
        empty = (0, x.shape[1], *size)
        made = engine.full(empty, 0, input.dtype, input.device)
        return (made, engine.full(empty, 0, dt.int64, input.device)) if return_indices else made
    made = unbatched(apply(window.max_pool, x, arg=arg), batched)
    if not return_indices:
        return made
    return made, unbatched(apply(window.max_pool_index, x, arg=arg), batched)


def max_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The greatest element of each window of (N, C, L); with ``return_indices`` also its place."""
    return _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The greatest element of each window of (N, C, H, W); NaN counts as the greatest.

    Example:
        >>> max_pool2d(torch.arange(4.0).reshape(1, 1, 2, 2), 2).tolist()
        [[[[3.0]]]]
    """
    return _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The greatest element of each window of (N, C, D, H, W)."""
    return _max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _with_indices(f: Callable[..., Any]) -> Callable[..., tuple[Tensor, Tensor]]:
    def pool(
        input: Tensor,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> tuple[Tensor, Tensor]:
        made: tuple[Tensor, Tensor] = f(
            input, kernel_size, stride, padding, dilation, ceil_mode, True
        )
        return made

    pool.__name__ = pool.__qualname__ = f"{f.__name__}_with_indices"
    pool.__doc__ = f"``{f.__name__}`` with the places of the greatest elements."
    return pool


max_pool1d_with_indices = _with_indices(max_pool1d)
max_pool2d_with_indices = _with_indices(max_pool2d)
max_pool3d_with_indices = _with_indices(max_pool3d)


# ---------------------------------------------------------------- and the way back
def _unpool_size(
    have: Ints, kernel: Ints, stride: Ints, padding: Ints, wanted: Sequence[int] | None
) -> Ints:
    usual = tuple(
        (n - 1) * s + k - 2 * p for n, k, s, p in zip(have, kernel, stride, padding, strict=True)
    )
    if wanted is None:
        return usual
    size = tuple(int(n) for n in wanted)
    space = len(kernel)
    if len(size) == space + 2:
        size = size[2:]
    if len(size) != space:
        raise ValueError(
            f"output_size should be a sequence containing {space} or {space + 2} elements, but it "
            f"has a length of '{len(size)}'"
        )
    for d, (n, u, s) in enumerate(zip(size, usual, stride, strict=True)):
        if not u - s < n < u + s:
            raise ValueError(
                f'invalid output_size "{size}" (dim {d} must be between {u - s} and {u + s})'
            )
    return size


def _max_unpool(
    space: int, input: Tensor, indices: Tensor, kernel_size: Sizes, stride: Sizes | None,
    padding: Sizes, output_size: Sequence[int] | None,
) -> Tensor:  # fmt: skip
    name = f"max_unpool{space}d"
    kernel = per_dimension(kernel_size, name, "kernel_size", space)
    steps = _steps(stride, kernel, name)
    around = per_dimension(padding, name, "padding", space)
    shape = tuple(input.shape)
    size = _unpool_size(shape[-space:], kernel, steps, around, output_size)
    for d, n in enumerate(size):
        if n < 0:
            raise ValueError(
                "max_unpooling: output_size must contain non-negative spatial dimensions, but got "
                f"output_size[{d}]={n}"
            )
    if indices.dtype is not dt.int64:
        raise RuntimeError(
            f"elements in indices should be type int64 but got: {indices.dtype.typename}"
        )
    if len(shape) not in (space + 1, space + 2):
        raise RuntimeError(
            f"Input to {name} should be a {space + 1}d or {space + 2}d Tensor, but got {len(shape)}"
            " dimensions"
        )
    if shape != tuple(indices.shape):
        raise RuntimeError(
            "Expected shape of indices to be same as that of the input tensor "
            f"({list(shape)}) but got indices tensor with shape: {list(indices.shape)}"
        )
    lead = shape[:-space]
    flat = (*lead, numel(shape[-space:]))
    base = engine.full((*lead, numel(size)), 0.0, input.dtype, input.device)
    volume = "x".join([str(n) for n in size]) if space > 1 else f"{size[0]}x1"
    words = f"Found an invalid max index: {{i}} (output volumes are of size {volume})"
    at, value = sh.reshaped(indices, flat), sh.reshaped(input, flat)
    at = within(at, numel(size), words)
    made = apply(indexing.scatter, base, at, value, arg=(len(lead), False))
    return sh.reshaped(made, (*lead, *size))


def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Zeros with each element put where ``max_pool1d`` had found it."""
    return _max_unpool(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Zeros with each element put where ``max_pool2d`` had found it."""
    return _max_unpool(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Zeros with each element put where ``max_pool3d`` had found it."""
    return _max_unpool(3, input, indices, kernel_size, stride, padding, output_size)


# ---------------------------------------------------------------- averages
def _counts(
    have: Ints, size: Ints, kernel: Ints, stride: Ints, padding: Ints, whole: bool
) -> list[Any]:
    """How many elements each window has along each dimension; with ``whole``, padding included."""
    found = []
    for n, q, k, s, p in zip(have, size, kernel, stride, padding, strict=True):
        first = np.arange(q) * s - p
        last = np.minimum(first + k, n + p)
        if not whole:
            first, last = np.maximum(first, 0), np.minimum(last, n)
        found.append(last - first)
    return found


def _sums(x: Tensor, kernel: Ints, stride: Ints, padding: Ints, size: Ints) -> Tensor:
    """The sums of windows: a convolution of each plane with ones."""
    n, c, *have = x.shape
    planes = sh.reshaped(x, (n * c, 1, *have))
    ones = engine.full((1, 1, *kernel), 1, x.dtype, x.device)
    pads = tuple(
        (p, (q - 1) * s + k - m - p)
        for m, q, k, s, p in zip(have, size, kernel, stride, padding, strict=True)
    )
    arg = (stride, pads, (1,) * len(kernel), 1)
    return sh.reshaped(apply(convolve.convolve, planes, ones, arg=arg), (n, c, *size))


def _avg_pool(
    space: int, input: Tensor, kernel_size: Sizes, stride: Sizes | None, padding: Sizes,
    ceil_mode: bool, count_include_pad: bool, divisor_override: int | None,
) -> Tensor:  # fmt: skip
    name = f"avg_pool{space}d"
    if space == 1 and len(input.shape) not in (2, 3):
        raise RuntimeError(
            f"Expected 2 to 3 dimensions, but got {len(input.shape)}-dimensional tensor for "
            f"argument #1 'self' (while checking arguments for {name})"
        )
    kernel = per_dimension(kernel_size, name, "kernel_size", space)
    steps = _steps(stride, kernel, name)
    around = per_dimension(padding, name, "padding", space)
    if divisor_override is not None and divisor_override == 0:
        raise RuntimeError("divisor must be not zero")
    x, batched = batched_input(input, space, name)
    _check(name, kernel, steps, around, (1,) * space)
    if input.dtype is dt.bool_:
        raise NotImplementedError(f"\"{name}\" not implemented for 'Bool'")
    have = tuple(x.shape[2:])
    size = output_size(have, kernel, steps, around, (1,) * space, ceil_mode)
    _too_small(name, x, size)
    if not x.shape[0]:
        return engine.full((0, x.shape[1], *size), 0, input.dtype, input.device)
    total: Any = _sums(x, kernel, steps, around, size)
    divisor: Any
    if divisor_override is not None:
        divisor = divisor_override
    else:
        counts = _counts(have, size, kernel, steps, around, count_include_pad)
        if all((c == c[0]).all() for c in counts):
            divisor = int(np.prod([c[0] for c in counts]))
        else:
            divisor = 1
            for d, c in enumerate(counts):
                divisor = divisor * c.reshape([-1 if i == d else 1 for i in range(space)])
            kind = x.dtype
            divisor = np.ascontiguousarray(divisor, kind.numpy)
            divisor = engine.own_array(divisor, kind, x.device)
    if x.dtype.rank > 1:
        return unbatched(total / divisor, batched)
    return unbatched(total.div(divisor, rounding_mode="trunc"), batched)


def avg_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The average of each window of (N, C, L)."""
    return _avg_pool(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The average of each window of (N, C, H, W)."""
    return _avg_pool(
        2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def avg_pool3d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The average of each window of (N, C, D, H, W)."""
    return _avg_pool(
        3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


# ---------------------------------------------------------------- power averages
def _lp_pool(
    space: int, input: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None,
    ceil_mode: bool,
) -> Tensor:  # fmt: skip
    x: Any = input
    if norm_type == float("inf"):
        greatest: Tensor = _max_pool(space, x.abs(), kernel_size, stride, 0, 1, ceil_mode, False)
        return greatest
    if norm_type == -float("inf"):
        least: Any = _max_pool(space, -x.abs(), kernel_size, stride, 0, 1, ceil_mode, False)
        return -least  # type: ignore[no-any-return]
    kernel = per_dimension(kernel_size, f"lp_pool{space}d", "kernel_size", space)
    mean: Any = _avg_pool(space, x.pow(norm_type), kernel, stride, 0, ceil_mode, True, None)
    total = (mean.sign() * mean.abs().relu()) * numel(kernel)
    return total.pow(1.0 / norm_type)  # type: ignore[no-any-return]


def lp_pool1d(
    input: Tensor,
    norm_type: float,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """The ``norm_type``-norm of each window of (N, C, L)."""
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Tensor,
    norm_type: float,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """The ``norm_type``-norm of each window of (N, C, H, W)."""
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Tensor,
    norm_type: float,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """The ``norm_type``-norm of each window of (N, C, D, H, W)."""
    return _lp_pool(3, input, norm_type, kernel_size, stride, ceil_mode)


# ---------------------------------------------------------------- averages over channels
def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """``x / (k + alpha * m) ** beta``, m being the mean square of ``size`` channels around."""
    x: Any = input
    rank = len(x.shape)
    if rank < 3:
        raise ValueError(
            f"Expected 3D or higher dimensionality                          input (got {rank} "
            "dimensions)"
        )
    if 0 in x.shape:
        return input
    if size < 1:
        raise RuntimeError(
            f"kernel size should be greater than zero, but got kT: {size} kH: 1 kW: 1"
        )
    n, c, *space = x.shape
    square = sh.reshaped(x * x, (n, 1, c, numel(tuple(space))))
    pads = ((size // 2, (size - 1) // 2), (0, 0))
    ones = engine.full((1, 1, size, 1), 1.0, x.dtype, x.device)
    arg = ((1, 1), pads, (1, 1), 1)
    total: Any = apply(convolve.convolve, square, ones, arg=arg)
    mean = sh.reshaped(total / size, tuple(x.shape))
    return x / (mean * alpha + k).pow(beta)  # type: ignore[no-any-return]
