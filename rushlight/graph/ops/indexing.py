"""Reading and writing at places that values say: gather, scatter, index, index_put.

A write is functional: it gives a new value of the base.  Where an index comes several times the
places are written in row-major order of the index: the last stays, or all are added in turn.

    gather(x, index)            arg = dim                 out[i, j] = x[index[i, j], j]
    pick(x, index)              arg = dim                 gather by class targets: other errors
    scatter(base, index, value) arg = (dim, accumulate)   base[index[i, j], j] = or += value[i, j]
    index(x, *places)           arg = dims                x[:, p, q]: places broadcast together
    index_put(base, value, *places)  arg = (dims, accumulate)   base[:, p, q] = or += value

``index`` with one place is ``index_select``, ``embedding`` and (of a flat tensor) ``take``;
``index_put`` is ``index_add``, ``index_copy``, ``put_``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from ...base import dtype as dt
from ...base.shape import Ints, broadcast_shapes, is_dense
from ..op import COMPOSITE, INDEX, LIBRARY, Op, Spec, register
from ..value import Val
from .core import zeros
from .elementwise import define, eq, where
from .movement import ADD_AT, unsqueeze
from .reduce import sum_to


class Bound(NamedTuple):
    """What a value has to be before an operation may run.

    ``operand``: which one.  ``test`` says what of each of its elements: ``index`` (an integer in
    [0, size), or in [-size, size) if ``negative``), ``unit`` (a float in [0, 1]), ``nonzero``.
    ``besides``: an integer that is allowed wherever it lies.  ``error`` is raised with ``words``,
    in which ``{dim}``, ``{size}``, ``{i}`` and ``{at}`` (the first such element's place) are filled
    in.
    """

    operand: int
    size: int = 0
    dim: int = 0
    negative: bool = False
    error: type[Exception] = IndexError
    words: str = "index {i} is out of bounds for dimension {dim} with size {size}"
    test: str = "index"
    besides: int | None = None

    def message(self, i: int, at: int) -> str:
        """What is said of the first value that is outside."""
        return self.words.format(i=i, dim=self.dim, size=self.size, at=at)

    def require(self, values: Any) -> None:
        """Raise unless every element of an array is allowed."""
        if self.test == "unit":
            wrong = ~((values >= 0) & (values <= 1))
        elif self.test == "nonzero":
            wrong = np.equal(values, 0)
        else:
            wrong = (values < (-self.size if self.negative else 0)) | (values >= self.size)
            if self.besides is not None:
                wrong = wrong & (values != self.besides)
        if np.any(wrong):
            at = int(np.argmax(np.ravel(wrong)))
            first = np.ravel(values)[at]
            raise self.error(self.message(int(first) if self.test == "index" else 0, at))


Bounds = Callable[[Sequence[Spec], Any], tuple[Bound, ...]]
# Bounds from operands' specs and argument.  A composite is in it when what it is made of is: its
# operands can then be looked at before it is taken apart.
CHECK: Final[dict[Op, Bounds]] = {}


def may_fail(op: Op) -> bool:
    """May the operation be refused for a value of its operands?  Then it is looked at even where
    nobody reads its result."""
    return op.kind == INDEX or op.kind == LIBRARY or op in CHECK


def kept(s: Spec) -> Ints | None:
    """Strides of a new value of ``s``: its own where they are dense."""
    return s.strides if is_dense(s.shape, s.strides) else None


def _integers(op: Op, index: Spec) -> None:
    if index.dtype not in (dt.int64, dt.int32):
        raise RuntimeError(f"{op.name}(): Expected dtype int32/int64 for index")


def _same_rank(op: Op, x: Spec, index: Spec) -> None:
    if max(len(x.shape), 1) != max(len(index.shape), 1):
        raise RuntimeError(
            "Index tensor must have the same number of dimensions as "
            + ("input" if op is not scatter else "self")
            + " tensor"
        )


# An index as it is, looked at for an operation that refuses it in words of its own;
# arg = (size, negative, besides, is it an IndexError, words)
within: Op = define("within", lambda e, x: x, lambda g, out, x: g, reference=np.positive)


def _wanted(srcs: Sequence[Spec], arg: Any) -> tuple[Bound, ...]:
    if arg is None:
        return ()
    size, negative, besides, index_error, words = arg
    error = IndexError if index_error else RuntimeError
    return (Bound(0, size, 0, negative, error, words, besides=besides),)


CHECK[within] = _wanted


# ---------------------------------------------------------------- along one dimension
def _infer_gather(op: Op, srcs: Sequence[Spec], dim: Any) -> Spec:
    x, index = srcs
    _integers(op, index)
    _same_rank(op, x, index)
    for d, n in enumerate(index.shape):
        if d != dim and x.shape and n > x.shape[d]:
            raise RuntimeError(
                f"Size does not match at dimension {d} expected index {list(index.shape)} to be "
                "no larger than "
                f"self {list(x.shape)} apart from dimension {dim}"
            )
    return Spec(index.shape, x.dtype, None, x.device)


def _infer_scatter(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    base, index, value = srcs
    dim, _ = arg
    _integers(op, index)
    _same_rank(op, base, index)
    if base.dtype is not value.dtype:
        raise RuntimeError("scatter(): Expected self.dtype to be equal to src.dtype")
    if value.shape != index.shape:
        raise RuntimeError(
            f"scatter: value of shape {list(value.shape)} for an index of shape "
            f"{list(index.shape)}; slice it first"
        )
    if any(n > base.shape[d] for d, n in enumerate(index.shape) if d != dim and base.shape):
        raise RuntimeError(
            f"Expected index {list(index.shape)} to be no larger than self {list(base.shape)} "
            "apart from dimension "
            f"{dim} and to be no larger size than src {list(value.shape)}"
        )
    return Spec(base.shape, base.dtype, kept(base), base.device)


def _along(dim: Callable[[Any], int], **more: Any) -> Bounds:
    def bounds(srcs: Sequence[Spec], arg: Any) -> tuple[Bound, ...]:
        d = dim(arg)
        shape = srcs[0].shape
        return (Bound(1, shape[d] if shape else 1, d, False, **more),)

    return bounds


def _gather_grad(g: Val, out: Val, x: Val, index: Val) -> Val:
    return scatter(zeros(g, x.shape), index, g, arg=(out.arg, True))


def _scatter_grad(i: int, g: Val, out: Val, base: Val, index: Val, value: Val) -> Val | None:
    dim, accumulate = out.arg
    if i == 0:
        return g if accumulate else scatter(g, index, zeros(g, index.shape), arg=out.arg)
    return gather(g, index, arg=dim) if i == 2 else None


TARGET: Final = "Target {i} is out of bounds."
gather: Op = register(Op("gather", INDEX, _infer_gather))
gather.grads = (_gather_grad, None)
pick: Op = register(Op("pick", INDEX, _infer_gather))
pick.grads = (_gather_grad, None)
scatter: Op = register(Op("scatter", INDEX, _infer_scatter))
scatter.grads = _scatter_grad
CHECK[gather] = _along(int, error=RuntimeError)
CHECK[pick] = _along(int, words=TARGET)
CHECK[scatter] = _along(lambda arg: int(arg[0]), error=RuntimeError)


# ---------------------------------------------------------------- several dimensions at once
def indexed_shape(x: Ints, dims: Ints, places: Sequence[Ints]) -> tuple[Ints, int]:
    """Shape of ``x`` read at ``places`` in ``dims``, and where the dimensions of places begin."""
    shape: Ints = ()
    for p in places:
        try:
            shape = broadcast_shapes(shape, p)
        except RuntimeError:
            raise IndexError(
                "shape mismatch: indexing tensors could not be broadcast together with shapes "
                + ", ".join(str(list(q)) for q in places)
            ) from None
    rest = tuple(n for d, n in enumerate(x) if d not in dims)
    together = dims[-1] - dims[0] + 1 == len(dims)
    at = dims[0] if together else 0
    return rest[:at] + shape + rest[at:], at


def _check_places(op: Op, x: Spec, dims: Ints, places: Sequence[Spec]) -> None:
    if len(dims) != len(places) or list(dims) != sorted(set(dims)) or not dims:
        raise ValueError(f"{op.name}: {len(places)} indices for the dimensions {dims}")
    if dims[-1] >= len(x.shape):
        raise IndexError(f"too many indices for tensor of dimension {len(x.shape)}")
    for p in places:
        if p.dtype.kind not in "iu":
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")


def _infer_index(op: Op, srcs: Sequence[Spec], dims: Any) -> Spec:
    x, places = srcs[0], srcs[1:]
    _check_places(op, x, dims, places)
    shape, _ = indexed_shape(x.shape, dims, [p.shape for p in places])
    return Spec(shape, x.dtype, None, x.device)


def _infer_put(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    base, value, places = srcs[0], srcs[1], srcs[2:]
    dims, _ = arg
    _check_places(op, base, dims, places)
    if base.dtype is not value.dtype:
        raise RuntimeError(
            "Index put requires the source and destination dtypes match, got "
            f"{base.dtype.typename} for the destination and {value.dtype.typename} for the source."
        )
    shape, _ = indexed_shape(base.shape, dims, [p.shape for p in places])
    k = len(shape) - len(value.shape)
    if k < 0 or any(n not in (1, shape[k + i]) for i, n in enumerate(value.shape)):
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(value.shape)} cannot be broadcast to "
            "indexing result of "
            f"shape {list(shape)}"
        )
    return Spec(base.shape, base.dtype, kept(base), base.device)


def _index_grad(i: int, g: Val, out: Val, x: Val, *places: Val) -> Val | None:
    return index_put(zeros(g, x.shape), g, *places, arg=(out.arg, True)) if i == 0 else None


def _put_grad(i: int, g: Val, out: Val, base: Val, value: Val, *places: Val) -> Val | None:
    dims, accumulate = out.arg
    if i == 0:
        return g if accumulate else index_put(g, zeros(g, ()), *places, arg=(dims, False))
    return sum_to(index(g, *places, arg=dims), value.shape) if i == 1 else None


def _select_grad(i: int, g: Val, out: Val, x: Val, place: Val) -> Val | None:
    return index_add(zeros(g, x.shape), g, place, arg=(out.arg, True)) if i == 0 else None


index: Op = register(Op("index", INDEX, _infer_index))
index.grads = _index_grad
index_put: Op = register(Op("index_put", INDEX, _infer_put))
index_put.grads = _put_grad
ADD_AT.append(index_put)
CHECK[index] = lambda srcs, dims: tuple(
    Bound(1 + i, srcs[0].shape[d], d, True) for i, d in enumerate(dims)
)
CHECK[index_put] = lambda srcs, arg: tuple(
    Bound(2 + i, srcs[0].shape[d], d, True) for i, d in enumerate(arg[0])
)
# The same along one dimension, where places do not count from the end.
index_select: Op = register(Op("index_select", INDEX, _infer_index))
index_select.grads = _select_grad
index_add: Op = register(Op("index_add", INDEX, _infer_put))
index_copy: Op = register(Op("index_copy", INDEX, _infer_put))
index_add.grads = index_copy.grads = _put_grad
BEYOND: Final = "index out of range in self"
CHECK[index_select] = lambda srcs, dims: (Bound(1, srcs[0].shape[dims[0]], dims[0], words=BEYOND),)
CHECK[index_add] = lambda srcs, arg: (
    Bound(2, srcs[0].shape[arg[0][0]], arg[0][0], error=RuntimeError),
)
CHECK[index_copy] = lambda srcs, arg: (
    Bound(
        2, srcs[0].shape[arg[0][0]], arg[0][0],
        words="index_copy_(): index {i} is out of bounds for dimension {dim} with size {size}",
    ),
)  # fmt: skip
READS: Final = frozenset({"index", "index_select"})
WRITES: Final = frozenset({"index_put", "index_add", "index_copy"})


# ---------------------------------------------------------------- embedding
def _infer_embedding(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    weight, places = srcs
    if len(weight.shape) != 2:
        raise RuntimeError("'weight' must be 2-D")
    if places.dtype not in (dt.int64, dt.int32):
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar "
            "types: Long, Int; but got "
            f"torch.{places.dtype.typename}Tensor instead (while checking arguments for embedding)"
        )
    return Spec((*places.shape, weight.shape[1]), weight.dtype, None, weight.device)


def _embedding_grad(g: Val, out: Val, weight: Val, places: Val) -> Val:
    if out.arg is not None:  # the padding row gets no gradient
        g = where(unsqueeze(eq(places, out.arg), arg=len(places.shape)), 0.0, g)
    return index_add(zeros(g, weight.shape), g, places, arg=((0,), True))


# (weight, places): rows of weight; arg = padding_idx (not negative) or None
embedding: Op = register(Op("embedding", COMPOSITE, _infer_embedding))
embedding.decompose = lambda weight, places, arg=None: index_select(weight, places, arg=(0,))
embedding.grads = (_embedding_grad, None)
CHECK[embedding] = lambda srcs, arg: (Bound(1, srcs[0].shape[0], words=BEYOND),)
