"""Normalisations: by batch, by layer, by group; and of vectors to length one."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

from ... import engine
from ...base.dtype import float32, promote_types
from ...base.shape import broadcast_shapes
from ...engine import Tensor
from ...graph.ops.normalised import standardise
from ...graph.shaping_layers import is_channels_last
from ...tensor.kinds import channels_last, channels_last_3d


def _wide(x: Any, *params: Any) -> Any:
    """`x` as it is worked with: half precision in single, so that squares stay in range and the
    result, for `_narrow`, is rounded once.

    `RuntimeError` unless scale, shift and statistics have `x`'s type, or are single beside half.
    """
    kind = x.dtype
    if any(p is not None and p.dtype is not kind for p in params):
        if any(p is not None and p.dtype is not float32 for p in params):
            raise RuntimeError("mixed dtype (CPU): expect parameter to have scalar type of Float")
        if not kind.narrow:
            raise RuntimeError("mixed dtype (CPU): all inputs must share same datatype.")
    return x.float() if kind.narrow else x


def _narrow(out: Any, x: Any) -> Tensor:
    """A result in the type of `x`."""
    return out if out.dtype is x.dtype else out.to(x.dtype)  # type: ignore[no-any-return]


def _in_order(x: Any) -> Any:
    """`x` in row-major memory, or with channels last where it is: the result is laid out so."""
    if x.is_contiguous() or is_channels_last(tuple(x.shape), x.stride()):
        return x
    return x.contiguous()


def _standard(
    x: Any, dims: tuple[int, ...], eps: float, shape: Any = None, weight: Any = None,
    bias: Any = None,
) -> Any:  # fmt: skip
    """``x`` less its mean, over its deviation; scaled and shifted."""
    affine = [v for v in (weight, bias) if v is not None]
    arg = (dims, shape, weight is not None, bias is not None)
    return engine.apply(standardise, x, float(eps), *affine, arg=arg)


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Standardise over the last dimensions, whose sizes are ``normalized_shape``; then scale and
    shift.
    """
    x: Any = input
    dims = _last_dims(x, normalized_shape)
    for name, v in (("weight", weight), ("bias", bias)):
        if v is not None and v.shape != x.shape[dims[0] :]:
            raise RuntimeError(
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
                f"{list(v.shape)} and normalized_shape = {list(normalized_shape)}"
            )
    if not x.is_contiguous():
        x = x.contiguous()  # the result is row-major, whatever the input is
    return _narrow(_standard(_wide(x, weight, bias), dims, eps, None, weight, bias), x)


def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """Divide by the root mean square over the last dimensions, then scale."""
    x: Any = input
    dims = _last_dims(x, normalized_shape)
    x = _in_order(x)
    v = _wide(x)
    eps = (
        (1.1920928955078125e-07 if v.dtype.itemsize == 4 else 2.220446049250313e-16)
        if eps is None
        else eps
    )
    out = v * ((v * v).mean(dims, keepdim=True) + eps).rsqrt()
    return _narrow(out if weight is None else out * weight, x)


def _last_dims(x: Any, normalized_shape: Sequence[int]) -> tuple[int, ...]:
    want = tuple(normalized_shape)
    if len(want) == 0:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least "
            "one element, "
            f"but got normalized_shape = {list(want)}"
        )
    n = len(x.shape)
    if n < len(want) or tuple(x.shape[n - len(want) :]) != want:
        stars = ", ".join(["*", *map(str, want)])
        raise RuntimeError(
            f"Given normalized_shape={list(want)}, expected input with shape [{stars}], but got "
            "input of "
            f"size{list(x.shape)}"
        )
    return tuple(range(n - len(want), n))


def _of_channels(channels: int, *given: Any) -> None:
    """``RuntimeError`` unless statistics, scale and shift have an element for each channel."""
    for name, v in zip(("running_mean", "running_var", "weight", "bias"), given):
        if v is not None and v.shape.numel() != channels:
            raise RuntimeError(f"{name} should contain {channels} elements not {v.shape.numel()}")


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Standardise each channel (dimension 1): over the batch in training,
    by the running statistics else.

    In training the running statistics move towards the batch's by ``momentum``.
    """
    x: Any = input
    n = len(x.shape)
    if n > 1:
        _of_channels(x.shape[1], running_mean, running_var, weight, bias)
    dims = (0, *range(2, n))
    shape = (1, -1) + (1,) * (n - 2)
    if eps < 0 or (eps == 0 and training):
        must = "positive during training" if training else "non-negative"
        raise ValueError(f"batch_norm eps must be {must}, but got {eps}")
    v = _wide(x, weight, bias, running_mean, running_var)
    if not any(v.is_contiguous(memory_format=f) for f in (channels_last, channels_last_3d)):
        v = _in_order(v)
    if training:
        if not x.numel():
            w: Any = weight
            b: Any = bias
            out = x.clone() if w is None or not w.numel() else x * w.reshape(-1)[0]
            out = out if b is None or not b.numel() else out + b.reshape(-1)[0]
            return _narrow(out, x)
        count = x.numel() // max(x.shape[1], 1)
        if count <= 1:
            raise ValueError(
                f"Expected more than 1 value per channel when training, got input size {x.shape}"
            )
        if running_mean is not None or running_var is not None:
            mean, var = _statistics(v, dims)
            _follow(running_mean, mean, 1.0, momentum)
            _follow(running_var, var, count / (count - 1), momentum)
        return _narrow(
            _standard(v, dims, eps, (1, int(x.shape[1])) + (1,) * (n - 2), weight, bias), x
        )
    else:
        if running_mean is None or running_var is None:
            which = "running_mean" if running_mean is None else "running_var"
            raise RuntimeError(f"{which} must be defined in evaluation mode")
        where: Any = running_mean
        spread: Any = running_var
        away = v - where.reshape(shape)
        var = spread.reshape(shape)
    out = away * (var + eps).rsqrt()
    if weight is not None:
        scale: Any = weight
        out = out * scale.reshape(shape)
    if bias is not None:
        shift: Any = bias
        out = out + shift.reshape(shape)
    return _narrow(out, x)


def _statistics(x: Any, dims: tuple[int, ...]) -> tuple[Any, Any]:
    """Mean and variance as `standardise` works them out: where both are run, once."""
    before = engine.set_grad_enabled(False)
    try:
        mean = x.mean(dims, keepdim=True)
        away = x - mean
        return mean, (away * away).mean(dims, keepdim=True)
    finally:
        engine.set_grad_enabled(before)


def _follow(running: Any, batch: Any, scale: float, momentum: float) -> None:
    """Move a running statistic towards a batch's."""
    if running is None:
        return
    before = engine.set_grad_enabled(False)
    try:
        new = batch.detach().reshape(-1)
        new = new * scale if scale != 1.0 else new
        engine.assign(running, new * momentum + running * (1.0 - momentum))
    finally:
        engine.set_grad_enabled(before)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Standardise each channel of each example over its places."""
    x: Any = input
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    if not x.is_contiguous():
        x = x.contiguous()
    dims = tuple(range(2, len(x.shape)))
    count = 1
    for d in dims:
        count *= x.shape[d]
    if count <= 1:
        raise ValueError(
            f"Expected more than 1 spatial element when training, got input size {x.shape}"
        )
    shape = (1, int(x.shape[1])) + (1,) * (len(x.shape) - 2)
    wide = _wide(x, weight, bias, running_mean, running_var)
    if running_mean is not None or running_var is not None:
        mean, var = _statistics(wide, dims)
        _follow(running_mean, mean.mean(0), 1.0, momentum)
        _follow(running_var, var.mean(0), count / (count - 1), momentum)
    return _narrow(_standard(wide, dims, eps, shape, weight, bias), x)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Standardise groups of channels of each example."""
    x: Any = input
    if len(x.shape) < 2:
        raise RuntimeError(
            f"Expected at least 2 dimensions for input tensor but received {len(x.shape)}"
        )
    channels = x.shape[1]
    if num_groups < 0:
        raise RuntimeError(f"Expected num groups to be greater than 0, got {num_groups}")
    if channels % num_groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of "
            "shape "
            f"{list(x.shape)} and num_groups={num_groups}"
        )
    for name, given in (("weight", weight), ("bias", bias)):
        if given is not None and tuple(given.shape) != (channels,):
            raise RuntimeError(
                f"Expected {name} to be a vector of size equal to the number of channels in input, "
                f"but got {name} of shape {list(given.shape)} and input of shape {list(x.shape)}"
            )
    rest = list(x.shape[2:])
    if x.shape[0] * channels // num_groups * math.prod(rest) == 1:
        size = [x.shape[0] * channels // num_groups, num_groups, *rest]
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {size}"
        )
    shape = (1, -1) + (1,) * (len(x.shape) - 2)
    wide = _wide(x, weight, bias)
    last = is_channels_last(tuple(x.shape), x.stride())
    wide = wide if wide.is_contiguous() else wide.contiguous()
    out = _standard(wide.reshape(x.shape[0], num_groups, -1), (2,), eps).reshape(x.shape)
    if last:  # a result of its own is laid out like the input
        out = out.contiguous(memory_format=channels_last)
    for value, add in ((weight, False), (bias, True)):
        if value is not None:
            v: Any = value
            out = out + v.reshape(shape) if add else out * v.reshape(shape)
    return _narrow(out, x)


def normalize(
    input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Any = None
) -> Tensor:
    """``x`` over its p-norm along ``dim``, which counts as at least ``eps``."""
    x: Any = input
    made = x / x.norm(p, dim, keepdim=True).clamp_min(eps).expand_as(x)
    return made if out is None else engine.assign(out, made)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors along ``dim``."""
    a: Any = x1
    b: Any = x2
    shape = broadcast_shapes(tuple(a.shape), tuple(b.shape))
    a, b = _wide(a).expand(shape), _wide(b).expand(shape)
    dots = (a * b).sum(dim)
    lengths = a.norm(2.0, dim).clamp_min(eps) * b.norm(2.0, dim).clamp_min(eps)
    return (dots / lengths).to(promote_types(x1.dtype, x2.dtype))  # type: ignore[no-any-return]


def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The p-norm of ``x1 - x2 + eps`` along the last dimension."""
    a: Any = x1
    return (a - x2 + eps).norm(p, -1, keepdim=keepdim)  # type: ignore[no-any-return]


def legacy_reduction(size_average: bool | None, reduce: bool | None, stacklevel: int = 4) -> str:
    """The reduction that the arguments of old say, with PyTorch's warning."""
    size_average = True if size_average is None else size_average
    reduce = True if reduce is None else reduce
    found = ("mean" if size_average else "sum") if reduce else "none"
    warnings.warn(
        f"size_average and reduce args will be deprecated, please use reduction='{found}' instead.",
        stacklevel=stacklevel,
    )
    return found
