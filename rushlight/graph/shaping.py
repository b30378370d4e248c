"""Shape and type rules of the operations that programs meet most.

A program whose shapes are always new asks a rule at every record, so these are typed code that
mypyc compiles; they stand apart from the rows, which mypyc could not take: those of elementwise,
reduce, movement, contract and core in ``ops``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from mypy_extensions import i64

from ..base import dtype as dt
from ..base.dtype import dtype
from ..base.shape import (
    Ints,
    broadcast_shapes,
    broadcast_strides,
    contiguous_strides,
    elementwise_strides,
    infer_size,
    is_contiguous,
    numel,
    view_strides,
)
from .complexes import LOWER
from .op import Op, Spec, compute_type, result_dtype

Region = tuple[Ints, Ints, int]  # shape, strides, offset in a storage
Check = Callable[[Sequence[Spec], dtype], None]  # (operands, the type worked in): may raise

# ---------------------------------------------------------------- elementwise
# operation -> what it asks of its operands beyond shape and type rule
REFUSED: Final[dict[str, Check]] = {}


def elementwise(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    """Broadcast shape, promoted type, TensorIterator's strides."""
    specs: list[Spec] = list(srcs)
    first = specs[0]
    shape = first.shape
    for s in specs:
        if s is not first and s.shape != shape:
            shape = broadcast_shapes(shape, s.shape)
    ctype = compute_type(op.types, specs, arg)
    if ctype.rank > 2 and op.name not in LOWER:
        raise NotImplementedError(f"\"{op.name}_cpu\" not implemented for '{ctype.typename}'")
    check = REFUSED.get(op.name)
    if check is not None:
        check(specs, ctype)
    plain = True
    for s in specs:
        if not s.number and (s.shape != shape or not is_contiguous(s.shape, s.strides)):
            plain = False
            break
    if plain or len(shape) < 2:
        strides = contiguous_strides(shape)
    else:
        strides = elementwise_strides(shape, [(s.shape, s.strides) for s in specs if not s.number])
    return Spec(shape, result_dtype(op.types, ctype, arg), strides, first.device)


NO_BOOL_SUB: Final = (
    "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to "
    "invert a mask, use the `~` or `logical_not()` operator instead."
)


def check_sub(srcs: Sequence[Spec], ctype: dtype) -> None:
    """Truth values cannot be subtracted."""
    tensors = 0
    bools = 0
    for s in srcs:
        if s.number == "b":
            raise RuntimeError(NO_BOOL_SUB)
        if not s.number:
            tensors += 1
            if s.dtype is dt.bool_:
                bools += 1
    if bools == 2 and tensors == 2:
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or "
            "`logical_xor()` operator instead."
        )
    if bools:
        raise RuntimeError(NO_BOOL_SUB)


# ---------------------------------------------------------------- reductions, arg = (dims, keepdim)
def reduced_shape(shape: Ints, dims: Ints, keepdim: bool) -> Ints:
    """The shape after reducing ``dims``."""
    if len(dims) == len(shape) and not keepdim:
        return ()
    out: list[int] = []
    for d in range(len(shape)):
        if d not in dims:
            out.append(shape[d])
        elif keepdim:
            out.append(1)
    return tuple(out)


def checked(op: Op, x: Spec, arg: Any) -> Ints:
    """The shape of a reduction whose dimensions are in order."""
    dims: Ints = arg[0]
    keepdim: bool = arg[1]
    last: i64 = -1
    rank: i64 = len(x.shape)
    for d in dims:
        n: i64 = d
        if n <= last or n >= rank:
            raise ValueError(
                f"{op.name}: dims {dims} of {x!r} have to be ascending and within its shape"
            )
        last = n
    return reduced_shape(x.shape, dims, keepdim)


def sums(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    """A sum or product: integers become int64."""
    x = srcs[0]
    return Spec(checked(op, x, arg), x.dtype if x.dtype.rank > 1 else dt.int64, None, x.device)


def needs_elements(op: Op, x: Spec, dims: Ints) -> None:
    """A winner among no elements does not exist; PyTorch's words."""
    if 0 not in x.shape:
        return
    arg = op.name.startswith("arg")
    if len(dims) == len(x.shape) and (len(dims) > 1 or arg or 0 in x.shape):
        text = f"{op.name}(): Expected reduction dim to be specified for input.numel() == 0."
        if arg:
            raise IndexError(text)
        raise RuntimeError(f"{text} Specify the reduction dim with the 'dim' argument.")
    for d in dims:
        if x.shape[d] == 0:
            raise IndexError(f"{op.name}(): Expected reduction dim {d} to have non-zero size.")


def needs_order(op: Op, x: Spec) -> None:
    """Complex numbers have no order."""
    if x.dtype.kind == "c":
        raise NotImplementedError(f"\"{op.name}_cpu\" not implemented for '{x.dtype.typename}'")


def winner(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    """The largest or smallest."""
    x = srcs[0]
    needs_order(op, x)
    shape = checked(op, x, arg)
    needs_elements(op, x, arg[0])
    return Spec(shape, x.dtype, None, x.device)


def place_of_winner(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    """Where the largest or smallest is."""
    x = srcs[0]
    needs_order(op, x)
    shape = checked(op, x, arg)
    needs_elements(op, x, arg[0])
    if x.dtype is dt.bool_:
        raise RuntimeError(f"{op.name}(): does not support bool input")
    return Spec(shape, dt.int64, None, x.device)


def test_of_all(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    """Whether any or all are true."""
    x = srcs[0]
    kept: dtype = dt.uint8 if x.dtype is dt.uint8 else dt.bool_
    return Spec(checked(op, x, arg), kept, None, x.device)


# ---------------------------------------------------------------- views: (spec, arg) -> region
Geometry = Callable[[Spec, Any], Region]
GEOMETRY: Final[dict[Op, Geometry]] = {}


def is_view(op: Op) -> bool:
    """Does the operation's result share its operand's memory?"""
    return op in GEOMETRY


def region_of(op: Op, spec: Spec, arg: Any) -> Region:
    """Shape, strides and offset of a view of ``spec``; raises what PyTorch raises."""
    return GEOMETRY[op](spec, arg)


def viewed(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    """A view of the first operand."""
    x = srcs[0]
    shape, strides, offset = GEOMETRY[op](x, arg)
    return Spec(shape, x.dtype, strides, x.device, offset=offset)


def view(s: Spec, arg: Any) -> Region:
    """The same elements in the same order under another shape, -1 worked out."""
    new = infer_size(arg, numel(s.shape))
    strides = view_strides(s.shape, s.strides, new)
    if strides is None:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one "
            "dimension spans across two contiguous subspaces). Use .reshape(...) instead."
        )
    return new, strides, s.offset


def permute(s: Spec, arg: Any) -> Region:
    """Dimensions in another order."""
    order: Ints = tuple(arg)
    shape = s.shape
    strides = s.strides
    if len(order) == 2:
        i, j = order[0], order[1]
        return (shape[i], shape[j]), (strides[i], strides[j]), s.offset
    return tuple([shape[d] for d in order]), tuple([strides[d] for d in order]), s.offset


def expand(s: Spec, arg: Any) -> Region:
    """Dimensions of size 1 repeated, new ones in front."""
    k = len(arg) - len(s.shape)
    if k < 0:
        raise RuntimeError(
            f"expand({{{', '.join([str(n) for n in s.shape])}}}, size={list(arg)}): the number of "
            f"sizes provided ({len(arg)}) must be greater or equal to the number of dimensions in "
            f"the tensor ({len(s.shape)})"
        )
    out: list[int] = list(arg)
    for i in range(len(out) - 1, -1, -1):  # the last that does not fit is named
        d = out[i]
        have = s.shape[i - k] if i >= k else 1
        if d == -1:
            if i < k:
                raise RuntimeError(
                    "The expanded size of the tensor (-1) isn't allowed in a leading, "
                    f"non-existing dimension {i}"
                )
            out[i] = have
        elif d != have and have != 1:
            raise RuntimeError(
                f"The expanded size of the tensor ({d}) must match the existing size ({have}) at "
                f"non-singleton dimension {i}.  Target sizes: {list(arg)}.  "
                f"Tensor sizes: {list(s.shape)}"
            )
    shape = tuple(out)
    return shape, broadcast_strides(s.shape, s.strides, shape), s.offset


def slice_(s: Spec, arg: Any) -> Region:
    """Every ``step``-th element of a dimension, from ``start`` to before ``stop``."""
    dim: int = arg[0]
    start: int = arg[1]
    step: int = arg[3]
    n = 0
    stop: int = arg[2]
    if stop > start:
        n = (stop - start + step - 1) // step
    shape = list(s.shape)
    strides = list(s.strides)
    shape[dim] = n
    at = s.offset + start * strides[dim]
    strides[dim] *= step
    return tuple(shape), tuple(strides), at


def select(s: Spec, arg: Any) -> Region:
    """One place of a dimension, which goes."""
    dim: int = arg[0]
    i: int = arg[1]
    size = s.shape[dim]
    if not -size <= i < size:
        raise IndexError(f"index {i} is out of bounds for dimension {dim} with size {size}")
    i %= size
    return (
        s.shape[:dim] + s.shape[dim + 1 :],
        s.strides[:dim] + s.strides[dim + 1 :],
        s.offset + i * s.strides[dim],
    )


def unsqueeze(s: Spec, arg: Any) -> Region:
    """A new dimension of size 1."""
    at: int = arg
    step = s.shape[at] * s.strides[at] if at < len(s.shape) else 1
    return (
        s.shape[:at] + (1,) + s.shape[at:],
        s.strides[:at] + (step,) + s.strides[at:],
        s.offset,
    )


def squeeze(s: Spec, arg: Any) -> Region:
    """Dimensions of size 1 taken out."""
    keep = [d for d in range(len(s.shape)) if d not in arg or s.shape[d] != 1]
    return tuple([s.shape[d] for d in keep]), tuple([s.strides[d] for d in keep]), s.offset


# ---------------------------------------------------------------- memory of its own
def same(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    """The first operand as it is."""
    s = srcs[0]
    return Spec(s.shape, s.dtype, s.strides, s.device, offset=s.offset)


def filled(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    """Rows of one number; arg = (shape, dtype), and the device when it is not the CPU."""
    if len(arg) == 2:
        return Spec(arg[0], arg[1])
    return Spec(arg[0], arg[1], None, arg[2])


def reshaped(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    """The elements in logical order under another shape."""
    x = srcs[0]
    return Spec(infer_size(arg, numel(x.shape)), x.dtype, None, x.device)


def laid(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    """The same value in memory with the strides ``arg``."""
    x = srcs[0]
    return Spec(x.shape, x.dtype, arg, x.device)


def written(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    """A base in which a value replaces a region."""
    base = srcs[0]
    value = srcs[1]
    if value.dtype is not base.dtype:
        raise RuntimeError(f"write: a value of {value.dtype} into memory of {base.dtype}")
    return Spec(base.shape, base.dtype, base.strides, base.device)


# ---------------------------------------------------------------- products
NAMES: Final = {
    "float32": "float", "float64": "double", "int64": "long int", "int32": "int",
    "int8": "signed char", "uint8": "unsigned char", "int16": "short int", "float16": "c10::Half",
    "bfloat16": "c10::BFloat16", "complex64": "c10::complex<float>",
    "complex128": "c10::complex<double>",
}  # fmt: skip


def product(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    """A product of matrices, or of batches of them."""
    x = srcs[0]
    y = srcs[1]
    a = x.shape
    b = y.shape
    if len(a) < 2 or len(b) < 2:
        raise ValueError(
            f"{op.name}: operands have to be matrices or batches of them, not {x!r} and {y!r}"
        )
    flat = len(b) == 2
    if a[-1] != b[-2]:
        if flat or len(a) == 2:
            rows = numel(a[:-1])
            raise RuntimeError(
                f"mat1 and mat2 shapes cannot be multiplied ({rows}x{a[-1]} and {b[-2]}x{b[-1]})"
            )
        raise RuntimeError(
            "Expected size for first two dimensions of batch2 tensor to be: "
            f"[{numel(a[:-2])}, {a[-1]}] but got: [{numel(b[:-2])}, {b[-2]}]."
        )
    if x.dtype is not y.dtype and not flat:
        raise RuntimeError(f"expected scalar type {x.dtype.typename} but found {y.dtype.typename}")
    if x.dtype is not y.dtype:
        names = (NAMES.get(x.dtype.name, x.dtype.name), NAMES.get(y.dtype.name, y.dtype.name))
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {names[0]} != {names[1]}"
        )
    if x.dtype is dt.bool_:
        raise NotImplementedError("\"addmm_impl_cpu_\" not implemented for 'Bool'")
    if flat and len(a) == 2:
        return Spec((a[0], b[1]), x.dtype, None, x.device)
    batch = broadcast_shapes(a[:-2], b[:-2])
    return Spec((*batch, a[-2], b[-1]), x.dtype, None, x.device)
