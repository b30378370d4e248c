"""Names that PyTorch's own Python uses and programs meet: native normalisations, functions that
write into their argument, DLPack, and what a tensor is asked about itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.base.shape import numel
from rushlight.engine import Tensor
from rushlight.graph.ops import elementwise as ew
from rushlight.graph.ops import movement
from rushlight.graph.ops.join import cat as CAT
from rushlight.random import draws
from rushlight.tensor import reduce
from rushlight.tensor import shape as sh
from rushlight.tensor.convert import clone, detach, numpy, resize_, resize_as_
from rushlight.tensor.creation import filled, owned, strided_like
from rushlight.tensor.install import (
    FUNCTIONS,
    attach,
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
from rushlight.tensor.random import generator_of

apply: Callable[..., Tensor] = engine.apply
look: Callable[..., Tensor] = engine.view


# ---------------------------------------------------------------- padding, layout
@function()
def constant_pad_nd(input: Tensor, pad: Sequence[int], value: Any = 0) -> Tensor:
    """More (or, below zero, fewer) elements at both ends of the last dimensions."""
    need_tensor(input, "constant_pad_nd")
    n = len(input.shape)
    if len(pad) % 2 or len(pad) > 2 * n:
        raise RuntimeError(
            f"Length of pad must be even and no more than twice the number of dimensions of the "
            f"input ({n}), but is {len(pad)}"
        )
    x = input
    for k in range(len(pad) // 2):
        d, low, high = n - 1 - k, int(pad[2 * k]), int(pad[2 * k + 1])
        have = x.shape[d]
        if have + low + high < 0:
            raise RuntimeError(
                f"The input size {have}, plus negative padding {low} and {high} resulted in a "
                "negative output size, which is invalid. Check dimension "
                f"{d} of your input."
            )
        first, last = max(-low, 0), have + min(high, 0)
        if (first, last) != (0, have):
            x = look(movement.slice_, x, (d, first, max(first, last), 1))
        parts = [
            engine.full(tuple(w if i == d else m for i, m in enumerate(x.shape)), value,
                        x.dtype, x.device) if w > 0 else None
            for w in (low, high)
        ]  # fmt: skip
        given = [p for p in (parts[0], x, parts[1]) if p is not None]
        if len(given) > 1:
            x = apply(CAT, *given, arg=d)
    return clone(x) if x is input else x


@function()
def empty_permuted(
    size: Any,
    physical_layout: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A new tensor whose dimensions lie in memory in the order `physical_layout`."""
    shape = sizes((size,), "empty_permuted")
    if len(physical_layout) != len(shape):
        raise RuntimeError(
            "Number of dimensions in size does not match the length of the physical_layout; i.e. "
            f"len(size) = {len(shape)} is not equal to len(physical_layout) = "
            f"{len(physical_layout)}"
        )
    order = list(physical_layout)
    for i, d in enumerate(order):
        if not 0 <= d < len(shape):
            raise RuntimeError(
                f"Dimension out of range (expected to be between 0 and {len(shape) - 1}, but got "
                f"{d} at index {i}).  NB: negative dims not currently supported; file an issue if "
                "you want it."
            )
    if sorted(order) != list(range(len(shape))):
        raise RuntimeError(f"Duplicate dim not allowed in physical_layout: {list(physical_layout)}")
    steps, step = [1] * len(shape), 1
    for d in reversed(order):
        steps[d] = step
        step *= max(shape[d], 1)
    kind = dt.Defaults.float if dtype is None else element_type(dtype, "empty_permuted")
    made = strided_like(shape, tuple(steps), 0, kind, place(device))
    return engine.require_grad(made, True) if requires_grad else made


# ---------------------------------------------------------------- normalisations with statistics
def _scaled(x: Tensor, weight: Any, bias: Any, shape: Sequence[int]) -> Tensor:
    for op, t in ((ew.mul, weight), (ew.add, bias)):
        if t is not None:
            x = apply(op, x, sh.reshaped(t, tuple(shape)))
    return x


def _standard(x: Tensor, dims: Any, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """`x` less its mean, over its deviation; the mean; one over the deviation."""
    mean = reduce.mean(x, dims, True)
    away = apply(ew.sub, x, mean)
    spread = apply(ew.rsqrt, apply(ew.add, reduce.mean(apply(ew.square, away), dims, True), eps))
    return apply(ew.mul, away, spread), mean, spread


@function()
def native_layer_norm(
    input: Tensor, normalized_shape: Any, weight: Any, bias: Any, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """`layer_norm`, with the mean and one over the deviation of every group."""
    shape = sizes((normalized_shape,), "native_layer_norm", "normalized_shape", 2)
    if not shape or tuple(input.shape[-len(shape) :]) != shape:
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape "
            f"[*, {', '.join(map(str, shape))}], but got input of size{list(input.shape)}"
        )
    n = len(input.shape)
    made, mean, spread = _standard(input, tuple(range(n - len(shape), n)), eps)
    return _scaled(made, weight, bias, shape), detach(mean), detach(spread)


@function()
def native_group_norm(
    input: Tensor, weight: Any, bias: Any, N: int, C: int, HxW: int, group: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """`group_norm`, with the mean and one over the deviation of every group."""
    lines = sh.reshape(input, N, group, -1)
    made, mean, spread = _standard(lines, (2,), eps)
    made = sh.reshaped(made, tuple(input.shape))
    channels = [1, C] + [1] * (len(input.shape) - 2)
    flat = (N, group)
    return (
        _scaled(made, weight, bias, channels), sh.reshaped(mean, flat), sh.reshaped(spread, flat)
    )  # fmt: skip


@function()
def native_batch_norm(
    input: Tensor,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """`batch_norm`, with the mean and one over the deviation of every channel while training."""
    n, channels = len(input.shape), input.shape[1]
    dims = tuple(d for d in range(n) if d != 1)
    shape = [1, channels] + [1] * (n - 2)
    if not training:
        mean, var = (sh.reshaped(t, tuple(shape)) for t in (running_mean, running_var))
        made = apply(ew.mul, apply(ew.sub, input, mean), apply(ew.rsqrt, apply(ew.add, var, eps)))
        nothing = [filled((0,), 0, input.dtype, input.device) for _ in range(2)]
        return _scaled(made, weight, bias, shape), nothing[0], nothing[1]
    made, mean, spread = _standard(input, dims, eps)
    if running_mean is not None:
        count = numel(tuple(input.shape)) // max(channels, 1)
        var = apply(ew.mul, reduce.mean(apply(ew.square, apply(ew.sub, input, mean)), dims),
                    count / max(count - 1, 1))  # fmt: skip
        for old, new in ((running_mean, sh.reshape(mean, -1)), (running_var, var)):
            kept = apply(ew.mul, old, 1 - momentum)
            engine.assign(old, apply(ew.add, kept, apply(ew.mul, detach(new), momentum)))
    flat = (channels,)
    mean, spread = (detach(sh.reshaped(t, flat)) for t in (mean, spread))
    return _scaled(made, weight, bias, shape), mean, spread


@function("_native_batch_norm_legit")
def _native_batch_norm_legit(
    input: Tensor, weight: Any, bias: Any, *rest: Any, **named_: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """`native_batch_norm`, with or without running statistics."""
    if rest and isinstance(rest[0], bool):
        rest = (None, None, *rest)
    elif not rest and "running_mean" not in named_:
        named_ = {"running_mean": None, "running_var": None, **named_}
    return native_batch_norm(input, weight, bias, *rest, **named_)


@function()
def native_dropout(input: Tensor, p: float, train: bool | None) -> tuple[Tensor, Tensor]:
    """`dropout`, with the mask of what stayed."""
    if train is False or p == 0:
        return clone(input), filled(tuple(input.shape), True, dt.bool_, input.device)
    if p == 1:
        zero = filled(tuple(input.shape), 0, input.dtype, input.device)
        return apply(ew.mul, input, zero), filled(tuple(input.shape), False, dt.bool_, input.device)
    a = draws.bernoulli_number(generator_of(None), tuple(input.shape), 1 - p, input.dtype.numpy)
    mask = owned(np.asarray(a) != 0, dt.bool_, input.device)
    return apply(ew.mul, apply(ew.mul, input, mask), 1 / (1 - p)), mask


@function()
def native_dropout_backward(grad_output: Tensor, mask: Tensor, scale: float) -> Tensor:
    """`grad_output * mask * scale`."""
    return apply(ew.mul, apply(ew.mul, grad_output, mask), scale)


# ---------------------------------------------------------------- random
@function()
def binomial(count: Tensor, prob: Tensor, generator: Any = None) -> Tensor:
    """How many of `count` trials succeed, each with probability `prob`."""
    need_tensor(count, "binomial", "count")
    need_tensor(prob, "binomial", "prob", 2)
    a = draws.binomial(generator_of(generator), engine.read(count), engine.read(prob))
    return owned(np.asarray(a, count.dtype.numpy), count.dtype, count.device)


# ---------------------------------------------------------------- functions that write
WRITING: Final = (
    "round_ gcd_ lcm_ ldexp_ logit_ nan_to_num_ conj_physical_ fill_ as_strided_ addmv_"
)
ASKING: Final = "get_device is_same_size"
for _name in f"{WRITING} {ASKING}".split():
    _f = getattr(Tensor, _name, None)
    if _f is not None and _name not in FUNCTIONS:
        FUNCTIONS[_name] = _f


@function("detach_copy")
def detach_copy(input: Tensor) -> Tensor:
    """A copy without history."""
    return clone(detach(input))


for _name in ("view_as_real", "view_as_complex"):
    FUNCTIONS[f"{_name}_copy"] = FUNCTIONS[_name]
if "split_with_sizes" in FUNCTIONS:
    both("unsafe_split_with_sizes")(FUNCTIONS["split_with_sizes"])


@method()
def fill_diagonal_(self: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """Write one number along the diagonal; `wrap`: of a tall matrix, again below it."""
    n = len(self.shape)
    if n < 2:
        raise RuntimeError("dimensions must larger than 1")
    if n > 2 and len(set(self.shape)) > 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    count, steps = min(self.shape), self.rec.spec.strides
    line = look(movement.as_strided, self, ((count,), (sum(steps),), self.rec.spec.offset))
    engine.fill(line, number(fill_value, "fill_diagonal_", "fill_value"))
    rows, columns = self.shape[0], self.shape[1]
    start = columns + 1
    while wrap and n == 2 and start < rows:
        part = sh.narrow(self, 0, start, min(columns, rows - start))
        count = min(part.shape)
        engine.fill(sh.narrow(sh.diagonal(part), 0, 0, count), fill_value)
        start += columns + 1
    return self


def _mapped(name: str, count: int) -> None:
    def f(self: Tensor, *args: Any) -> Tensor:
        *others, callable_ = args
        if len(others) != count:
            raise TypeError(f"{name}() takes {count} tensors and a function")
        shape = tuple(self.shape)
        lists = [
            np.broadcast_to(engine.read(t), shape).reshape(-1).tolist() for t in (self, *others)
        ]
        made = np.array([callable_(*xs) for xs in zip(*lists, strict=True)], self.dtype.numpy)
        return engine.assign(self, owned(made.reshape(shape), self.dtype, self.device))

    f.__doc__ = "Replace every element by a Python function of it and of those of other tensors."
    method(name)(named(f, name, "Tensor."))


_mapped("map_", 1)
_mapped("map2_", 2)


@method()
def as_subclass(self: Tensor, cls: Any) -> Any:
    """The tensor as an instance of a subclass, on the same memory."""
    return engine.become(cls, self, self.requires_grad)


@method()
def dim_order(self: Tensor, *, ambiguity_check: Any = False) -> tuple[int, ...]:
    """The dimensions from the outermost in memory to the innermost."""
    steps = self.rec.spec.strides
    return tuple(sorted(range(len(steps)), key=lambda d: -steps[d]))


attach("resize", lambda self, *size: resize_(clone(self), *size))
attach("resize_as", lambda self, other: resize_as_(clone(self), other))
setattr(Tensor, "volatile", property(lambda self: False))


# ---------------------------------------------------------------- DLPack
def __dlpack__(self: Tensor, **kwargs: Any) -> Any:
    """A capsule of the tensor's memory, for other libraries."""
    if self.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    return numpy(self).__dlpack__(**kwargs)


attach("__dlpack__", __dlpack__)
attach("__dlpack_device__", lambda self: (1, 0))


class _Capsule:
    """What `to_dlpack` gave, as an object that gives it."""

    def __init__(self, capsule: Any) -> None:
        self._capsule = capsule

    def __dlpack__(self, **kwargs: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


class _Writable:
    """An array's memory, to be written."""

    def __init__(self, array: Any) -> None:
        self._array = array
        there = array.__array_interface__
        self.__array_interface__ = there | {"data": (there["data"][0], False)}


@function()
def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor on the memory of anything with `__dlpack__` (NumPy, JAX, CuPy arrays on the CPU)."""
    capsule = type(ext_tensor).__name__ == "PyCapsule"
    if capsule:
        ext_tensor = _Capsule(ext_tensor)
    if not hasattr(ext_tensor, "__dlpack__"):
        raise RuntimeError(
            "from_dlpack: expected an object with __dlpack__ or a DLPack capsule, not "
            f"{type(ext_tensor).__name__}"
        )
    a = np.from_dlpack(ext_tensor)
    if capsule and not a.flags.writeable:  # capsules of the first version do not say
        a = np.asarray(_Writable(a))
    made: Tensor = FUNCTIONS["from_numpy"](a if a.flags.writeable else a.copy())
    return clone(made) if copy else made


@function()
def to_dlpack(tensor: Tensor) -> Any:
    """`tensor.__dlpack__()`."""
    return __dlpack__(tensor)


# ---------------------------------------------------------------- symbolic numbers, control flow
FUNCTIONS.update(
    sym_int=int, sym_float=float, sym_max=max, sym_min=min, sym_not=lambda a: not a,
    sym_ite=lambda b, t, f: t if b else f, sym_sqrt=math.sqrt, sym_sum=sum,
)  # fmt: skip


@function()
def cond(pred: Any, true_fn: Any, false_fn: Any, operands: Sequence[Any] = ()) -> Any:
    """`true_fn(*operands)` where `pred` is true, `false_fn(*operands)` elsewhere."""
    return (true_fn if bool(pred) else false_fn)(*operands)


@function()
def while_loop(cond_fn: Any, body_fn: Any, carried_inputs: Sequence[Any]) -> tuple[Any, ...]:
    """`body_fn` of the values it gave before, as long as `cond_fn` of them is true."""
    values = tuple(carried_inputs)
    while bool(cond_fn(*values)):
        made = body_fn(*values)
        values = tuple(made) if isinstance(made, tuple | list) else (made,)
    return values


attach("is_distributed", lambda self: False)


@method()
def record_stream(self: Tensor, stream: Any) -> None:
    """Nothing: work is done in order."""
