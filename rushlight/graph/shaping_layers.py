"""Shape and type rules of joins, and of what layers and losses record.

Typed code that mypyc compiles, as ``shaping.py`` is and for the same reason; the rows are those of
join, contract, normalised, losses and indexing in ``ops``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..base import dtype as dt
from ..base.dtype import dtype
from ..base.shape import Ints, numel, wrap_dim
from .op import Op, Spec
from .shaping import product, reduced_shape


# ---------------------------------------------------------------- joins, arg = dim
def joined(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    """Operands one behind the other along a dimension."""
    first = srcs[0]
    have = first.shape
    rank = len(have)
    if not rank:
        raise RuntimeError("zero-dimensional tensor (at position 0) cannot be concatenated")
    dim = wrap_dim(arg, rank)
    total = 0
    last = True
    for i in range(len(srcs)):
        s = srcs[i]
        shape = s.shape
        if len(shape) != rank:
            raise RuntimeError(
                f"Tensors must have same number of dimensions: got {rank} and {len(shape)}"
            )
        for d in range(rank):
            if have[d] != shape[d] and d != dim:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {dim}. Expected size "
                    f"{have[d]} but got size {shape[d]} for tensor number {i} in the list."
                )
        if s.dtype is not first.dtype:
            raise RuntimeError(
                f"cat: operands of {first.dtype} and {s.dtype}; convert them to one type first"
            )
        total += shape[dim]
        last = last and is_channels_last(shape, s.strides)
    out = have[:dim] + (total,) + have[dim + 1 :]
    return Spec(out, first.dtype, channels_last_strides(out) if last else None, first.device)


def is_channels_last(shape: Ints, strides: Ints) -> bool:
    """Four dimensions laid out as batch, height, width, channel (and not row-major as well)."""
    if len(shape) != 4:
        return False
    want = 0
    if strides[1] == 0:
        return False
    for d in (1, 3, 2, 0):
        if shape[d] == 0 or strides[d] < want:
            return False
        if d == 0 and want == strides[1]:
            return False
        want = strides[d] * max(shape[d], 1)
    return True


def channels_last_strides(shape: Ints) -> Ints:
    """Dense strides of a batch of images with the channel innermost."""
    c, h, w = shape[1], shape[2], shape[3]
    return (h * w * c, 1, w * c, c)


# ---------------------------------------------------------------- products with a bias
def linear_layer(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    """``x @ weight.T + bias``."""
    x = srcs[0]
    w = srcs[1]
    if len(w.shape) != 2 or not x.shape:
        raise RuntimeError(
            f"linear: weight has to be a matrix and input to have dimensions, not {w!r} and {x!r}"
        )
    rows, columns = w.shape
    if x.shape[-1] != columns or x.dtype is not w.dtype or x.dtype is dt.bool_:
        if len(srcs) > 2 and x.shape[-1] == columns:
            same_type("self and mat2", srcs[2].dtype, w.dtype)
            same_type("mat1 and mat2", x.dtype, w.dtype)
        left = Spec((numel(x.shape[:-1]), x.shape[-1]), x.dtype, None, x.device)
        product(op, (left, Spec((columns, rows), w.dtype, None, w.device)), None)  # raises
    out = x.shape[:-1] + (rows,)
    if len(srcs) > 2:
        check_bias(op, srcs[2], out, x)
    return Spec(out, x.dtype, None, x.device)


def same_type(which: str, a: dtype, b: dtype) -> None:
    """What is multiplied and added has to be of one type; PyTorch's words."""
    if a is not b:
        raise RuntimeError(
            f"{which} must have the same dtype, but got {a.typename} and {b.typename}"
        )


def added_product(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    """``c + x @ y``."""
    c, x, y = srcs[0], srcs[1], srcs[2]
    if len(x.shape) != 2 or len(y.shape) != 2:
        raise RuntimeError(f"addmm: mat1 and mat2 have to be matrices, not {x!r} and {y!r}")
    out = product(op, (x, y), None)
    check_bias(op, c, out.shape, x)
    return out


def check_bias(op: Op, b: Spec, out: Ints, x: Spec) -> None:
    """What is added to a product has to have its type and to fit its shape."""
    if b.dtype is not x.dtype:
        raise RuntimeError(
            f"{op.name}: bias of {b.dtype} beside operands of {x.dtype}; convert one of them"
        )
    for i in range(-1, -len(b.shape) - 1, -1):
        if -i > len(out) or (b.shape[i] != 1 and b.shape[i] != out[i]):
            at = i if -i <= len(out) else -1
            raise RuntimeError(
                f"The expanded size of the tensor ({out[at]}) must match the existing size "
                f"({b.shape[at]}) at "
                f"non-singleton dimension {len(out) + at}.  Target sizes: {list(out)}.  Tensor "
                f"sizes: {list(b.shape)}"
            )


# ---------------------------------------------------------------- normalised values
def averaged(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    """A mean; arg = (dims, keepdim)."""
    x = srcs[0]
    if x.dtype.rank < 2:
        raise RuntimeError(
            "mean(): could not infer output dtype. Input dtype must be either a floating point or "
            f"complex dtype. Got: {x.dtype.typename}"
        )
    return Spec(reduced_shape(x.shape, arg[0], arg[1]), x.dtype, None, x.device)


def normalised(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    """A softmax or its logarithm."""
    x = srcs[0]
    if x.dtype.rank < 2:
        raise NotImplementedError(
            f"\"{op.name}_lastdim_kernel_impl\" not implemented for '{x.dtype.typename}'"
        )
    return Spec(x.shape, x.dtype, None, x.device)


# ---------------------------------------------------------------- losses of classes
def check_reduction(reduction: str) -> None:
    """How a loss may bring its elements together."""
    if reduction != "none" and reduction != "mean" and reduction != "sum":
        raise ValueError(f"{reduction} is not a valid value for reduction")


def of_classes(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    """(x, target[, weight]), classes in dimension 1 (0 of a vector).

    The target is without that dimension.
    """
    x = srcs[0]
    t = srcs[1]
    check_reduction(arg[0])
    have = x.shape
    rank = len(have)
    if rank < 1:
        raise RuntimeError("input tensor should be 1D or 2D")
    if x.dtype.rank < 2:
        raise NotImplementedError(
            f"\"log_softmax_lastdim_kernel_impl\" not implemented for '{x.dtype.typename}'"
        )
    if rank == 1:
        if t.shape != () and t.shape != (1,):
            raise ValueError(
                f"For 1D input, 1D target must have size 1, but got target size: {t.shape[0]}"
            )
    elif not t.shape or t.shape[0] != have[0]:
        got = t.shape[0] if t.shape else 0
        raise ValueError(
            f"Expected input batch_size ({have[0]}) to match target batch_size ({got})."
        )
    elif rank == 2 and len(t.shape) != 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    elif rank > 2 and t.shape != have[:1] + have[2:]:
        want = list(have[:1] + have[2:])
        raise RuntimeError(f"Expected target size {want}, got {list(t.shape)}")
    if t.dtype is not dt.int64 and t.dtype is not dt.uint8:
        raise RuntimeError(f"expected target dtype to be Long or Byte, but got {t.dtype.typename}")
    count = have[1] if rank > 1 else have[0]
    for w in srcs[2:]:
        if w.dtype is not x.dtype:
            raise RuntimeError(
                f"expected scalar type {x.dtype.typename} but found {w.dtype.typename}"
            )
        if w.shape != (count,):
            raise RuntimeError(
                f"weight tensor should be defined either for all {count} classes or no classes "
                f"but got weight tensor of shape: {list(w.shape)}"
            )
    return Spec(t.shape if arg[0] == "none" else (), x.dtype, None, x.device)
