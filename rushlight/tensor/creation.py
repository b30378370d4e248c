"""New tensors: from data, filled, in ranges, like others."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.base.device import CPU, device
from rushlight.base.dtype import dtype
from rushlight.base.shape import Ints, contiguous_strides, is_dense, numel
from rushlight.engine import Tensor
from rushlight.graph.op import Spec
from rushlight.graph.ops import movement
from rushlight.graph.ops.elementwise import cast as CAST
from rushlight.graph.ops.placing import to_device
from rushlight.tensor.install import (
    Number,
    element_type,
    function,
    give,
    integer,
    kind_of,
    method,
    need_tensor,
    number,
    place,
    sizes,
    strides,
)
from rushlight.tensor.kinds import channels_last, contiguous_format, preserve_format
from rushlight.tensor.literals import array_of


def owned(a: Any, kind: dtype, where: device, requires_grad: bool = False) -> Tensor:
    """A tensor that takes over a fresh array of `kind`'s NumPy type."""
    if requires_grad:
        _need_float(kind)
    out = engine.own_array(a, kind, where)
    return engine.require_grad(out, True) if requires_grad else out


# ---------------------------------------------------------------- from data
@function()
def tensor(
    data: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A new tensor that holds a copy of `data`: numbers, nested sequences, an array, a tensor.

    `ValueError` for ragged sequences, `RuntimeError` for what has no dtype.
    """
    if isinstance(data, Tensor):
        warnings.warn(
            "To copy construct from a tensor, it is recommended to use sourceTensor.detach()"
            ".clone() or sourceTensor.detach().clone().requires_grad_(True), rather than "
            "torch.tensor(sourceTensor).",
            UserWarning,
            stacklevel=2,
        )
        data = engine.read(data)
    a, kind = array_of(data, None if dtype is None else element_type(dtype, "tensor"))
    if requires_grad:
        _need_float(kind)
    return owned(a, kind, place(device), requires_grad)


def _need_float(kind: dtype) -> None:
    if kind.rank < 2:
        raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")


@function("as_tensor", "asarray")
def as_tensor(
    data: Any,
    dtype: Any = None,
    device: Any = None,
    *,
    copy: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """`data` as a tensor, without a copy where it is one or is an array of the right type."""
    kind = None if dtype is None else element_type(dtype, "as_tensor")
    if isinstance(data, Tensor):
        out = data if kind is None or data.dtype is kind else _cast(data, kind)
        if device is not None and place(device) != out.device:
            return engine.apply(to_device, out, arg=place(device))
        if copy and out is data:
            out = engine.apply(movement.relayout, data, arg=contiguous_strides(data.shape))
        return out
    if isinstance(data, np.ndarray) and not copy:
        own = dt.from_numpy(data.dtype)
        if (kind is None or kind is own) and place(device).type == "cpu":
            return from_numpy(data)
    a, kind = array_of(data, kind)
    return owned(a, kind, place(device), requires_grad)


def _cast(x: Tensor, kind: dtype) -> Tensor:
    return engine.apply(CAST, x, arg=kind)


@function()
def from_numpy(ndarray: Any, /) -> Tensor:
    """A tensor on the array's memory: writes through either show in both."""
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    kind = dt.from_numpy(ndarray.dtype)
    if any(s < 0 for s in ndarray.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative "
            "strides are not currently supported. (You can probably work around this by making a "
            "copy of your array  with array.copy().) "
        )
    if not ndarray.flags.writeable:
        warnings.warn(
            "The given NumPy array is not writable, and PyTorch does not support non-writable "
            "tensors. This means writing to this tensor will result in undefined behavior. You may "
            "want to copy the array to protect its data or make it writable before converting it "
            "to a tensor. This type of warning will be suppressed for the rest of this program.",
            UserWarning,
            stacklevel=2,
        )
        return engine.from_array(ndarray, kind, CPU)
    return engine.from_numpy(ndarray, Spec((), kind))


@function()
def frombuffer(
    buffer: Any, *, dtype: dtype, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """A 1-d tensor on the memory of an object that exports its buffer."""
    kind = element_type(dtype, "frombuffer")
    out = from_numpy(np.frombuffer(buffer, kind.numpy, count, offset))
    if requires_grad:
        out.requires_grad = True
    return out


# ---------------------------------------------------------------- filled
def filled(
    shape: Ints, value: Number, kind: dtype, where: device, requires_grad: bool = False
) -> Tensor:
    """A new tensor of one value; checks the sizes."""
    for d in shape:
        if d < 0:
            raise RuntimeError(
                f"Trying to create tensor with negative dimension {d}: {list(shape)}"
            )
    if requires_grad:
        _need_float(kind)
    out = engine.full(shape, value, kind, where)
    return engine.require_grad(out, True) if requires_grad else out


def _filler(name: str, value: Number) -> Any:
    def fill(
        *size: Any,
        out: Tensor | None = None,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
        memory_format: Any = None,
        names: Any = None,
        **more: Any,
    ) -> Tensor:
        if more:
            if set(more) != {"size"} or size:
                unknown = next(k for k in more if k != "size" or size)
                raise TypeError(f"{name}() got an unexpected keyword argument '{unknown}'")
            size = (more["size"],)
        if not size:
            raise TypeError(f'{name}() missing 1 required positional arguments: "size"')
        kind = dt.Defaults.float if dtype is None else element_type(dtype, name)
        made = filled(sizes(size, name), value, kind, place(device), requires_grad)
        return give(made, out, name)

    fill.__doc__ = f"`{name}(*size)`: a new tensor filled with {value}."
    return function(name)(fill)


zeros = _filler("zeros", 0)
ones = _filler("ones", 1)
empty = _filler("empty", 0)


@function()
def full(
    size: Any,
    fill_value: Any,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    names: Any = None,
) -> Tensor:
    """A tensor of `size` filled with one number; its type decides the dtype when none is given."""
    if not isinstance(size, tuple | list):
        raise TypeError(
            f"full(): argument 'size' (position 1) must be tuple of ints, not {type(size).__name__}"
        )
    value = number(fill_value, "full", "fill_value")
    if dtype is not None:
        kind = element_type(dtype, "full")
    elif isinstance(fill_value, Tensor):
        kind = fill_value.dtype
    else:
        kind = dt.number_type(kind_of(value))
    made = filled(sizes((size,), "full"), value, kind, place(device), requires_grad)
    return give(made, out, "full")


@function()
def empty_strided(
    size: Any,
    stride: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A new tensor of given strides; its values are zeros."""
    kind = dt.Defaults.float if dtype is None else element_type(dtype, "empty_strided")
    shape, steps = sizes((size,), "empty_strided"), sizes((stride,), "empty_strided", "stride", 2)
    if len(shape) != len(steps):
        raise RuntimeError(
            f"dimensionality of sizes ({len(shape)}) must match dimensionality of strides "
            f"({len(steps)})"
        )
    out = strided_like(shape, steps, 0, kind, place(device))
    if requires_grad:
        out.requires_grad = True
    return out


def strided_like(shape: Ints, steps: Ints, value: Number, kind: dtype, where: device) -> Tensor:
    """A filled tensor in the given strides, a view of a larger one where they leave gaps."""
    if steps == contiguous_strides(shape) or not numel(shape):
        return filled(shape, value, kind, where)
    if is_dense(shape, steps):
        order = sorted(range(len(shape)), key=lambda d: (-steps[d], -shape[d]))
        flat = filled(tuple(shape[d] for d in order), value, kind, where)
        back = tuple(order.index(d) for d in range(len(shape)))
        return engine.view(movement.permute, flat, back)
    room = 1 + sum((n - 1) * s for n, s in zip(shape, steps))
    return engine.view(movement.as_strided, filled((room,), value, kind, where), (shape, steps, 0))


def like_strides(x: Tensor, form: Any = None) -> Ints:
    """The strides a result "like `x`" has: x's own where dense, else its order without gaps."""
    shape = tuple(x.shape)
    steps = strides(x)
    if form is channels_last:
        _, c, h, w = shape
        return (c * h * w, 1, w * c, c)
    if form is contiguous_format:
        return contiguous_strides(shape)
    return steps if is_dense(shape, steps) else x.rec.spec.laid_alike()


def _like(name: str, value: Number | None) -> Any:
    def make(
        input: Tensor,
        *fill: Any,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
        memory_format: Any = preserve_format,
        **more: Any,
    ) -> Tensor:
        need_tensor(input, name)
        content: Any = value
        if value is None:
            content = number(fill[0] if fill else more.pop("fill_value"), name, "fill_value")
        elif fill:
            raise TypeError(f"{name}() takes 1 positional argument but {1 + len(fill)} were given")
        if more:
            raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(more))}'")
        kind = input.dtype if dtype is None else element_type(dtype, name)
        where = input.device if device is None else place(device)
        steps = like_strides(input, memory_format)
        if requires_grad:
            _need_float(kind)
        out = strided_like(tuple(input.shape), steps, content, kind, where)
        if requires_grad:
            out.requires_grad = True
        return out

    make.__doc__ = f"`{name}`: a new tensor of the input's shape, dtype, device and layout."
    return function(name)(make)


zeros_like = _like("zeros_like", 0)
ones_like = _like("ones_like", 1)
empty_like = _like("empty_like", 0)
full_like = _like("full_like", None)


# ---------------------------------------------------------------- new_*: as a tensor is
def _new(name: str, make: Any) -> None:
    def new(self: Tensor, *size: Any, dtype: Any = None, device: Any = None, **rest: Any) -> Any:
        rest["dtype"] = self.dtype if dtype is None else dtype
        rest["device"] = self.device if device is None else device
        return make(*size, **rest)

    new.__doc__ = f"`torch.{name[4:]}` with this tensor's dtype and device."
    method(name)(new)


_new("new_zeros", zeros)
_new("new_ones", ones)
_new("new_empty", empty)
_new("new_full", full)
_new("new_tensor", tensor)
_new("new_empty_strided", empty_strided)


def need_sequence(data: Any) -> None:
    """`TypeError` in the words of the old constructors for a number or a text."""
    if data is None or isinstance(data, float | bool | complex):
        raise TypeError(f"new(): data must be a sequence (got {type(data).__name__})")
    if isinstance(data, str):
        raise TypeError("new(): invalid data type 'str'")


@method()
def new(self: Tensor, *args: Any, device: Any = None) -> Tensor:
    """A tensor of this one's dtype: of a size, or of data (the old constructor)."""
    if not args:
        return filled((0,), 0, self.dtype, self.device)
    if len(args) == 1 and not hasattr(args[0], "__index__"):
        need_sequence(args[0])
        return tensor(args[0], dtype=self.dtype)
    return filled(sizes(args, "new"), 0, self.dtype, self.device)


# ---------------------------------------------------------------- ranges
@function()
def arange(*args: Any, **kwargs: Any) -> Tensor:
    """`arange(end)`, `arange(start, end, step=1, *, dtype, device, requires_grad)`.

    int64 when all arguments are integers, else the default float.  `RuntimeError` for a step of the
    wrong sign.
    """
    out = kwargs.pop("out", None)
    kind = kwargs.pop("dtype", None)
    where = place(kwargs.pop("device", None))
    requires_grad = kwargs.pop("requires_grad", False)
    for ignored in ("layout", "pin_memory"):
        kwargs.pop(ignored, None)
    names = ("end",) if len(args) == 1 else ("start", "end", "step")
    if len(args) > 3:
        raise TypeError(f"arange() takes at most 3 positional arguments, {len(args)} were given")
    given = dict(zip(names, args)) | kwargs
    if "end" not in given or not given.keys() <= {"start", "end", "step"}:
        raise TypeError(f"arange() takes end, or start, end and step; got {', '.join(given)}")
    start, end, step = (
        number(given.get(k, d), "arange", k) for k, d in (("start", 0), ("end", 0), ("step", 1))
    )
    if kind is None and isinstance(out, Tensor):
        kind = out.dtype
    elif kind is None:
        floating = any(isinstance(v, float) for v in (start, end, step))
        kind = dt.Defaults.float if floating else dt.int64
    else:
        kind = element_type(kind, "arange")
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if not (math.isfinite(start) and math.isfinite(end)):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if (end - start) * (1 if step > 0 else -1) < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    if kind.kind in "iu":
        start, end, step = int(start), int(end), int(step)
        if step == 0:
            raise ValueError("step must be nonzero")
        values = np.arange(start, end, step, dtype=np.int64).astype(kind.numpy)
    else:
        values = _float_range(start, step, math.ceil((end - start) / step), kind)
    return give(owned(values, kind, where, requires_grad), out, "arange")


def _float_range(start: Number, step: Number, count: int, kind: dtype) -> Any:
    """PyTorch's: in vectors of 32 bytes from a rounded base, the rest one by one in float64."""
    i = np.arange(count)
    if kind.itemsize == 8 or count < 1:
        return (start + step * i).astype(kind.numpy)
    lanes = 8
    body = count - count % (2 * lanes)
    base = (start + step * (i[:body] // lanes * lanes)).astype(kind.numpy).astype(np.float64)
    rest = start + step * i[body:]
    return np.concatenate([base + step * (i[:body] % lanes), rest]).astype(kind.numpy)


@function("range")
def range_(start: Any, end: Any = None, step: Any = 1, **kwargs: Any) -> Tensor:
    """The old `torch.range`: the end belongs to it."""
    if end is None:
        start, end = 0, start
    count = math.floor((end - start) / step) + 1
    kind = element_type(kwargs.pop("dtype", None) or dt.Defaults.float, "range")
    values = np.asarray(start + step * np.arange(count)).astype(kind.numpy)
    return owned(values, kind, place(None), kwargs.pop("requires_grad", False))


def _steps(steps: Any, name: str) -> int:
    count = integer(steps, name, "steps", 3)
    if count < 0:
        raise RuntimeError("number of steps must be non-negative")
    return count


def _spread(start: Number, end: Number, count: int, kind: dtype) -> Any:
    """`count` values from both ends towards the middle, as PyTorch makes them."""
    if count == 1:
        return np.array([start]).astype(kind.numpy)
    work: Any = np.float32 if kind.name == "float32" else np.float64
    if kind.kind in "iu":
        start, end = int(start), int(end)
    a, b = work(start), work(end)
    step = (b - a) / work(max(count - 1, 1))
    i: Any = np.arange(count)
    half = count // 2
    values = np.where(i < half, a + step * i.astype(work), b - step * (count - 1 - i).astype(work))
    return values.astype(kind.numpy)


@function()
def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """`steps` values evenly from `start` to `end`, both included."""
    kind = dt.Defaults.float if dtype is None else element_type(dtype, "linspace")
    first, last = number(start, "linspace", "start", 1), number(end, "linspace", "end")
    values = _spread(first, last, _steps(steps, "linspace"), kind)
    return give(owned(values, kind, place(device), requires_grad), out, "linspace")


@function()
def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """`base` to the power of `linspace(start, end, steps)`."""
    kind = dt.Defaults.float if dtype is None else element_type(dtype, "logspace")
    first, last = number(start, "logspace", "start", 1), number(end, "logspace", "end")
    powers = np.linspace(first, last, _steps(steps, "logspace"), dtype=np.float64)
    values = np.power(float(base), powers).astype(kind.numpy)
    return give(owned(values, kind, place(device), requires_grad), out, "logspace")


@function()
def eye(
    n: int,
    m: int | None = None,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Ones on the diagonal of an `n` x `m` matrix of zeros."""
    rows = integer(n, "eye", "n", 1)
    columns = rows if m is None else integer(m, "eye", "m")
    for name, d in (("n", rows), ("m", columns)):
        if d < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {d}")
    kind = dt.Defaults.float if dtype is None else element_type(dtype, "eye")
    values = np.eye(rows, columns, dtype=kind.numpy)
    return give(owned(values, kind, place(device), requires_grad), out, "eye")


def _corner(name: str, find: Any) -> None:
    def indices(
        row: int,
        col: int,
        offset: int = 0,
        *,
        dtype: Any = dt.int64,
        device: Any = None,
        layout: Any = None,
    ) -> Tensor:
        kind = element_type(dtype, name)
        for what, n in (("row", row), ("col", col)):
            if n < 0:
                raise RuntimeError(f"{what} must be non-negative, got{n}")
        return owned(np.stack(find(row, offset, col)).astype(kind.numpy), kind, place(device))

    indices.__doc__ = f"`{name}`: row and column indices of a triangle, shape (2, n)."
    function(name)(indices)


_corner("tril_indices", np.tril_indices)
_corner("triu_indices", np.triu_indices)
