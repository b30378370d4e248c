"""Other types, other owners: `to`, casts, copies, NumPy, lists, history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.base.device import CPU
from rushlight.base.device import device as Device
from rushlight.base.dtype import ALL, dtype
from rushlight.base.shape import broadcast_shapes, numel
from rushlight.engine import Tensor
from rushlight.engine.leaves import rewire
from rushlight.graph.ops import elementwise as ew
from rushlight.graph.ops.placing import to_device
from rushlight.tensor import shape as sh
from rushlight.tensor.install import (
    both,
    element_type,
    function,
    method,
    named,
    need_tensor,
    number,
    place,
    sizes,
)
from rushlight.tensor.kinds import contiguous_format, memory_format, preserve_format, strided
from rushlight.tensor.literals import array_of

apply: Callable[..., Tensor] = engine.apply


# ---------------------------------------------------------------- copies
@both()
def clone(input: Tensor, *, memory_format: Any = preserve_format) -> Tensor:
    """A copy with the same history, in the same layout unless another is asked for."""
    need_tensor(input, "clone")
    if memory_format is contiguous_format and not sh.is_contiguous_(input):
        return sh.contiguous_copy(input)
    made = apply(ew.copy, input)
    return made if memory_format is preserve_format else sh.laid_out(made, memory_format)


@both("detach")
def detach(input: Tensor) -> Tensor:
    """The same memory without history."""
    need_tensor(input, "detach")
    return engine.detach(input)


@both("detach_")
def detach_(input: Tensor) -> Tensor:
    """Forget the history of this very tensor; `RuntimeError` for a view."""
    if input.rec.region is not None and input.requires_grad and not engine.is_leaf(input):
        raise RuntimeError(
            "Can't detach views in-place. Use detach() instead. If you are using "
            "DistributedDataParallel (DDP) for training, and gradient_as_bucket_view is set as "
            "True, gradients are views of DDP buckets, and hence detach_() cannot be called on "
            "these gradients. To fix this error, please refer to the Optimizer.zero_grad() "
            "function in torch/optim/optimizer.py as a solution."
        )
    if input.requires_grad:
        rewire(input, None)
    return input


@method()
def requires_grad_(self: Tensor, requires_grad: bool = True) -> Tensor:
    """Say whether gradients are wanted for this leaf."""
    if not isinstance(requires_grad, bool):
        raise TypeError(
            "requires_grad_(): argument 'requires_grad' (position 1) must be bool, not "
            f"{type(requires_grad).__name__}"
        )
    return engine.require_grad(self, requires_grad)


@method()
def copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """Write `src`, broadcast and converted, into this tensor."""
    if isinstance(src, int | float | complex):
        src = engine.full((), src, self.dtype, self.device)
    need_tensor(src, "copy_", "other", 1)
    have, want = tuple(src.shape), tuple(self.shape)
    if have != want:
        shape = broadcast_shapes(want, have)
        if shape != want:
            raise RuntimeError(
                f"output with shape {list(want)} doesn't match the broadcast shape {list(shape)}"
            )
    return engine.assign(self, src)


@method()
def fill_(self: Tensor, value: Any) -> Tensor:
    """Write one number everywhere."""
    if isinstance(value, Tensor):
        if value.shape:
            raise RuntimeError(
                "fill_ only supports 0-dimension value tensor but got tensor with "
                f"{len(value.shape)} dimensions."
            )
        if value is not self and engine.same_storage(self, value):
            value = apply(ew.copy, value)
        return engine.assign(self, value)
    return engine.fill(self, number(value, "fill_", "value", 1))


@method()
def zero_(self: Tensor) -> Tensor:
    """Write zeros everywhere."""
    return engine.fill(self, 0)


@function("zero_")
def zero_of(input: Tensor) -> Tensor:
    """Write zeros everywhere."""
    return engine.fill(input, 0)


@function("fill")
def fill(input: Tensor, value: Any) -> Tensor:
    """A tensor like the input, filled with one number."""
    return fill_(clone(input), value)


def _data(self: Tensor) -> Tensor:
    return engine.data(self)


def _set_data(self: Tensor, other: Tensor) -> None:
    need_tensor(other, "data", "data", 1)
    engine.set_data(self, other)


setattr(Tensor, "data", property(_data, _set_data))


# ---------------------------------------------------------------- types
def cast(x: Tensor, kind: dtype, copy: bool = False) -> Tensor:
    """`x` as another type; itself when it has it, unless a copy is wanted."""
    if x.dtype is kind:
        return apply(ew.copy, x) if copy else x
    return apply(ew.cast, x, arg=kind)


def _target(x: Tensor, args: tuple[Any, ...]) -> tuple[dtype, Device]:
    kind, where = x.dtype, x.device
    for a in args:
        if a is None or isinstance(a, bool):
            continue
        if isinstance(a, Tensor):
            kind, where = a.dtype, a.device
        elif isinstance(a, str | Device) or type(a) is int:
            where = place(a)
        else:
            kind = element_type(a, "to")
    return kind, where


@method()
def to(
    self: Tensor,
    *args: Any,
    dtype: Any = None,
    device: Any = None,
    other: Tensor | None = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: Any = preserve_format,
) -> Tensor:
    """The tensor with a dtype, on a device, like another: itself where nothing changes."""
    flags = [a for a in args if isinstance(a, bool)]
    if len(flags) > 1:
        copy = flags[1]
    if len(args) == 1 and dtype is None and device is None and other is None and not copy:
        kind = args[0]
        if kind is self.dtype and memory_format is preserve_format:
            return self
    kind, where = _target(self, (*args, other, device, dtype))
    if where != self.device:
        made = apply(to_device, self if kind is self.dtype else cast(self, kind), arg=where)
    else:
        made = cast(self, kind, copy)
    return made if memory_format is preserve_format else sh.laid_out(made, memory_format)


def _caster(name: str, kind: dtype) -> None:
    def convert(self: Tensor, memory_format: Any = preserve_format) -> Tensor:
        return cast(self, kind)

    convert.__doc__ = f"The tensor as {kind}."
    setattr(Tensor, name, named(convert, name, "Tensor."))


for _name, _kind in (
    ("bool", dt.bool_), ("byte", dt.uint8), ("char", dt.int8), ("short", dt.int16),
    ("int", dt.int32), ("long", dt.int64), ("half", dt.float16), ("bfloat16", dt.bfloat16),
    ("float", dt.float32), ("double", dt.float64), ("chalf", dt.complex32),
    ("cfloat", dt.complex64), ("cdouble", dt.complex128),
):  # fmt: skip
    _caster(_name, _kind)


@method("type")
def type_(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The name of the tensor's type (`'torch.FloatTensor'`), or the tensor as another type."""
    if dtype is None:
        where = "" if self.device.type == "cpu" else f"{self.device.type}."
        return f"torch.{where}{self.dtype.typename}Tensor"
    if isinstance(dtype, str):
        for kind in ALL:
            if dtype == f"torch.{kind.typename}Tensor":
                return cast(self, kind)
        raise ValueError(f"invalid type: '{dtype}'")
    kind = getattr(dtype, "dtype", dtype)
    return cast(self, element_type(kind, "type"))


@method()
def type_as(self: Tensor, other: Tensor) -> Tensor:
    """The tensor with the dtype of another, on its device."""
    return to(self, other)


# ---------------------------------------------------------------- devices
@method()
def cpu(self: Tensor, memory_format: Any = preserve_format) -> Tensor:
    """The tensor in CPU memory: itself when it is there."""
    return self if self.device is CPU else to(self, CPU)


@method()
def cuda(self: Tensor, device: Any = None, non_blocking: bool = False) -> Tensor:
    """`AssertionError`: this build has no CUDA."""
    return to(self, place("cuda" if device is None else device))


@method()
def pin_memory(self: Tensor, device: Any = None) -> Tensor:
    """The tensor itself: there is no device that pinned memory would help."""
    return self


@method()
def is_pinned(self: Tensor, device: Any = None) -> bool:
    """False: memory is never pinned."""
    return False


def _constant(value: Any) -> property:
    return property(lambda self: value)


for _name, _value in (
    ("is_sparse", False), ("is_sparse_csr", False), ("is_quantized", False), ("is_mkldnn", False),
    ("is_nested", False), ("is_vulkan", False), ("is_ipu", False), ("is_xla", False),
    ("layout", strided), ("names", None),
):  # fmt: skip
    setattr(Tensor, _name, _constant(_value))


def _lives(kind: str) -> property:
    return property(lambda self: self.device.type == kind)


for _name in ("cpu", "cuda", "mps", "xpu", "meta"):
    setattr(Tensor, f"is_{_name}", _lives(_name))
setattr(Tensor, "itemsize", property(lambda self: self.dtype.itemsize))
setattr(Tensor, "nbytes", property(lambda self: self.dtype.itemsize * self.shape.numel()))


@method()
def get_device(self: Tensor) -> int:
    """The index of the tensor's device; -1: CPU memory."""
    return -1 if self.device.index is None else int(self.device.index)


# ---------------------------------------------------------------- NumPy and lists
@method()
def numpy(self: Tensor, *, force: bool = False) -> Any:
    """The tensor's memory as an array; `force`: detached first."""
    x = engine.detach(self) if force else self
    if x.dtype is dt.bfloat16 or x.dtype in dt.FLOAT8:
        raise TypeError(
            f"Got unsupported ScalarType {x.dtype.typename}; NumPy has no such type: use "
            ".float().numpy()"
        )
    if 0 in x.shape and not x.requires_grad and self.device is CPU:
        return np.empty(x.shape, x.dtype.numpy)
    return engine.to_numpy(x)


@method("tolist")
def tolist(self: Tensor) -> Any:
    """Nested lists of Python numbers; a number for a tensor without dimensions."""
    return engine.read(self).tolist()


def __array__(self: Tensor, dtype: Any = None, copy: Any = None) -> Any:
    """What `np.asarray(tensor)` uses."""
    a = numpy(self)
    if dtype is not None and np.dtype(dtype) != a.dtype:
        return a.astype(dtype)
    return a.copy() if copy else a


def __array_wrap__(
    self: Tensor, array: Any, context: Any = None, return_scalar: bool = False
) -> Any:
    """Results of NumPy functions on tensors are tensors."""
    return from_operand(np.asarray(array))


setattr(Tensor, "__array__", __array__)
setattr(Tensor, "__array_wrap__", __array_wrap__)
setattr(Tensor, "__array_priority__", 1000)


def from_operand(x: Any) -> Tensor | None:
    """A tensor of a NumPy array or scalar met as an operand; None for anything else."""
    if isinstance(x, np.generic) and x.dtype.kind in "biufc":
        # like a Python number: without dimensions, it does not widen the other operand
        a, kind = array_of(x.item(), None)
        return engine.own_array(a, kind, place(None))
    if isinstance(x, np.ndarray):
        a, kind = array_of(x, None)
        return engine.own_array(a, kind, place(None))
    return None


def entry(x: Any, like: Tensor | None) -> Tensor | None:
    """A tensor of a NumPy scalar or a complex number beside `like`; None for anything else.

    A complex number has the precision of what it stands beside.
    """
    if isinstance(x, complex):
        part = dt.Defaults.float if like is None or like.dtype.rank < 2 else like.dtype.to_real()
        kind = part.to_complex()
        return engine.own_array(np.array(x, kind.numpy), kind, place(None))
    return from_operand(x) if isinstance(x, np.generic) else None


engine.set_entry(entry)


# ---------------------------------------------------------------- another shape on the spot
def _reshaped_in_place(name: str, f: Callable[..., Tensor]) -> None:
    def write(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if self.requires_grad:
            engine.check_inplace(self)
            engine.turn_into(self, f(self, *args, **kwargs))
        else:
            engine.set_data(self, f(self, *args, **kwargs))
        return self

    write.__doc__ = f"`{name[:-1]}`, of this very tensor."
    method(name)(write)


for _name, _f in (
    ("t_", sh.t), ("transpose_", sh.transpose), ("swapaxes_", sh.transpose),
    ("swapdims_", sh.transpose), ("squeeze_", sh.squeeze), ("unsqueeze_", sh.unsqueeze),
    ("as_strided_", sh.as_strided),
):  # fmt: skip
    _reshaped_in_place(_name, _f)


@method()
def resize_(self: Tensor, *size: Any, memory_format: Any = contiguous_format) -> Tensor:
    """Another size: the elements in order, zeros where there were none."""
    if self.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    shape = sizes(size, "resize_")
    if any(d < 0 for d in shape):
        raise RuntimeError(f"resize_: sizes must not be negative, got {list(shape)}")
    old = engine.read(self).reshape(-1)
    a = np.zeros(numel(shape), self.dtype.numpy)
    a[: old.size] = old[: a.size]
    engine.set_data(self, engine.own_array(a.reshape(shape), self.dtype, self.device))
    return self


@both()
def resize_as_(self: Tensor, the_template: Tensor, *, memory_format: Any = None) -> Tensor:
    """`resize_` to the size of another."""
    return resize_(self, tuple(the_template.shape))


@method()
def apply_(self: Tensor, callable: Callable[[Any], Any]) -> Tensor:
    """Replace every element by a Python function of it."""
    a = engine.read(self)
    made = np.array([callable(v) for v in a.reshape(-1).tolist()], self.dtype.numpy)
    return engine.assign(self, engine.own_array(made.reshape(a.shape), self.dtype, self.device))


# ---------------------------------------------------------------- tests of type
function("is_tensor")(lambda obj, /: isinstance(obj, Tensor))


@both()
def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype is a floating type."""
    need_tensor(input, "is_floating_point")
    return bool(input.dtype.kind == "f")


@both()
def is_complex(input: Tensor) -> bool:
    """Whether the dtype is complex."""
    need_tensor(input, "is_complex")
    return bool(input.dtype.kind == "c")


@both()
def is_signed(input: Tensor) -> bool:
    """Whether the dtype has negative numbers."""
    return bool(input.dtype.is_signed)


@both()
def is_conj(input: Tensor) -> bool:
    """False: there is no lazy conjugation."""
    return False


@both()
def is_neg(input: Tensor) -> bool:
    """False: there is no lazy negation."""
    return False


@both()
def is_inference(input: Tensor) -> bool:
    """False: inference mode only turns gradients off."""
    return False


__all__ = ["cast", "clone", "contiguous_format", "from_operand", "memory_format"]
