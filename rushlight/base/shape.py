"""Shapes and strides, as PyTorch computes them: broadcasting, views of views, strides of results.

Strides are in elements.  Everything here is integers in, integers out.
"""

from __future__ import annotations

from typing import Any, Final

from mypy_extensions import i64

Ints = tuple[int, ...]


def numel(shape: Ints) -> int:
    """How many elements a shape has."""
    n = 1
    for d in shape:
        n *= d
    return n


def contiguous_strides(shape: Ints) -> Ints:
    """Row-major strides; a dimension of size 0 counts as 1, as in PyTorch."""
    rank = len(shape)
    if rank == 1:
        return ONE
    if rank == 2:
        return (max(shape[1], 1), 1)
    out = [1] * rank
    n = 1
    for d in range(rank - 1, -1, -1):
        out[d] = n
        n *= max(shape[d], 1)
    return tuple(out)


ONE: Final[Ints] = (1,)


def is_contiguous(shape: Ints, strides: Ints) -> bool:
    """Row-major without gaps; dimensions of size 1 do not count, an empty tensor is contiguous."""
    want: i64 = 1
    for d in range(len(shape) - 1, -1, -1):
        n: i64 = shape[d]
        if n == 0:
            return True
        if n != 1:
            s: i64 = strides[d]
            if s != want:
                return False
            want *= n
    return True


def is_dense(shape: Ints, strides: Ints) -> bool:
    """Some permutation of the dimensions is contiguous: no gaps and no overlap."""
    if is_contiguous(shape, strides) and 0 not in shape:
        return True
    if len(shape) == 2 and 0 not in shape:
        return is_contiguous((shape[1], shape[0]), (strides[1], strides[0]))
    want = 1
    for s, d in sorted([(s, d) for d, s in zip(shape, strides) if d != 1]):
        if d == 0:
            return True
        if s != want:
            return False
        want *= d
    return True


def broadcast_shapes(a: Ints, b: Ints) -> Ints:
    """The shape two operands meet in; ``RuntimeError`` in PyTorch's words when they cannot."""
    if a == b:
        return a
    la, lb = len(a), len(b)
    n = max(la, lb)
    out: list[int] = []
    for i in range(n - 1, -1, -1):  # from the end, where PyTorch begins too
        x = a[i - n + la] if i - n + la >= 0 else 1
        y = b[i - n + lb] if i - n + lb >= 0 else 1
        if x != y and x != 1 and y != 1:
            raise RuntimeError(
                f"The size of tensor a ({x}) must match the size of tensor b ({y}) "
                f"at non-singleton dimension {i}"
            )
        out.append(y if x == 1 else x)
    out.reverse()
    return tuple(out)


def broadcast_strides(shape: Ints, strides: Ints, to: Ints) -> Ints:
    """Strides of an operand of ``shape`` read as ``to``: 0 where it is repeated."""
    k = len(to) - len(shape)
    out = [0] * k
    for i in range(len(shape)):
        out.append(0 if shape[i] == 1 and to[k + i] != 1 else strides[i])
    return tuple(out)


def is_one(dims: Any) -> bool:
    """Whether an argument names one dimension (an integer, or what counts as one)."""
    return hasattr(dims, "__index__") and not getattr(dims, "shape", ())


def wrap_dim(dim: Any, ndim: int) -> int:
    """A dimension counted from either end; ``IndexError`` in PyTorch's words when out of range,
    ``TypeError`` for what is no integer.
    """
    if type(dim) is not int:
        if isinstance(dim, bool) or not hasattr(dim, "__index__"):
            raise TypeError(f"argument 'dim' must be int, not {type(dim).__name__}")
        dim = dim.__index__()
    n = ndim if ndim > 0 else 1
    if not -n <= dim < n:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})"
        )
    return int(dim % n)


def infer_size(shape: Ints, n: int) -> Ints:
    """``shape`` with its one -1 worked out for ``n`` elements; ``RuntimeError`` if it cannot be."""
    known = 1
    hole = -1
    for i, d in enumerate(shape):
        if d == -1:
            if hole >= 0:
                raise RuntimeError("only one dimension can be inferred")
            hole = i
        elif d < 0:
            raise RuntimeError(f"invalid shape dimension {d} at index {i} of shape {list(shape)}")
        else:
            known *= d
    if hole < 0:
        if known != n:
            raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {n}")
        return shape
    if known == 0:
        if n == 0:
            raise RuntimeError(
                f"cannot reshape tensor of 0 elements into shape {list(shape)} because the "
                "unspecified dimension size -1 can be any value and is ambiguous"
            )
        raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {n}")
    if n % known:
        raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {n}")
    return shape[:hole] + (n // known,) + shape[hole + 1 :]


def view_strides(shape: Ints, strides: Ints, new: Ints) -> Ints | None:
    """Strides that read memory of ``shape``/``strides`` as ``new``; None when that needs a copy.

    PyTorch's ``computeStride`` (aten/src/ATen/TensorUtils.cpp).
    """
    if numel(shape) == 0:
        return strides if shape == new else contiguous_strides(new)
    if not shape:
        return (1,) * len(new)
    out = [0] * len(new)
    j = len(new) - 1
    chunk = 1
    base = strides[-1]
    for i in range(len(shape) - 1, -1, -1):
        chunk *= shape[i]
        if i == 0 or (shape[i - 1] != 1 and strides[i - 1] != chunk * base):
            got = 1
            while j >= 0 and (got < chunk or new[j] == 1):
                out[j] = got * base
                got *= new[j]
                j -= 1
            if got != chunk:
                return None
            if i > 0:
                base = strides[i - 1]
                chunk = 1
    return tuple(out) if j < 0 else None


def elementwise_strides(shape: Ints, operands: list[tuple[Ints, Ints]]) -> Ints:
    """Strides of an elementwise result, by PyTorch's TensorIterator.

    ``operands`` are (shape, strides) as given by the user.  Operands that are all contiguous, or
    all dense with the same strides, hand their layout on; otherwise dimensions are sorted by the
    operands' strides.
    """
    plain = True
    for s, st in operands:
        if s != shape or not is_contiguous(s, st):
            plain = False
            break
    if plain or len(shape) < 2:
        return contiguous_strides(shape)
    same = operands[0][1]
    if all(s == shape and st == same for s, st in operands) and is_dense(shape, same):
        return same
    wide = [broadcast_strides(s, st, shape) for s, st in operands]
    n = len(shape)
    perm = list(range(n - 1, -1, -1))

    def before(d0: int, d1: int) -> int:
        for st in wide:
            a, b = st[d0], st[d1]
            if a == 0 or b == 0:
                continue
            if a < b:
                return -1
            if a > b:
                return 1
            if shape[d0] > shape[d1]:
                return 1
        return 0

    for i in range(1, n):
        d1 = i
        for d0 in range(i - 1, -1, -1):
            c = before(perm[d0], perm[d1])
            if c > 0:
                perm[d0], perm[d1] = perm[d1], perm[d0]
                d1 = d0
            elif c < 0:
                break
    out = [0] * n
    step = 1
    for d in perm:
        out[d] = step
        step *= max(shape[d], 1)
    return tuple(out)
