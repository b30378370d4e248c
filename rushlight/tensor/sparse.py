"""Sparse tensors by coordinates: places, values, a shape.

A ``SparseTensor`` holds two tensors, and what is done with it is recorded on them; other operations
on it are a ``NotImplementedError``.  Gradients flow to its values and to dense operands.  Sparse
gradients are the ones that ``nn.Embedding(sparse=True)`` makes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.base.size import Size
from rushlight.engine import Tensor
from rushlight.tensor import display
from rushlight.tensor.creation import as_tensor, zeros
from rushlight.tensor.install import function, method
from rushlight.tensor.kinds import sparse_coo

__all__ = ["SparseTensor", "sparse_coo_tensor", "spmm"]


class SparseTensor(engine.Scattered):
    """``indices`` (sparse dimensions, count) and ``values`` (count, *) of a tensor that is 0
    elsewhere; places that come twice are added.
    """

    __module__ = "torch"
    is_sparse = True
    is_sparse_csr = False
    layout = sparse_coo

    def __init__(self, indices: Any, values: Any, shape: Any, coalesced: bool = False) -> None:
        super().__init__(shape, values.dtype, values.device)
        self._at: Any = indices
        self._held: Any = values
        self._coalesced = coalesced

    # ------------------------------------------------------------ what it is
    @property
    def is_cuda(self) -> bool:
        return bool(self._held.is_cuda)

    @property
    def requires_grad(self) -> bool:
        return bool(self._held.requires_grad)

    @requires_grad.setter
    def requires_grad(self, flag: bool) -> None:
        self._held.requires_grad = flag

    @property
    def grad(self) -> Any:
        """The gradient, with the places of this tensor."""
        g = self._held.grad
        return None if g is None else self._with(g)

    @grad.setter
    def grad(self, g: Any) -> None:
        self._held.grad = None if g is None else g._values()

    @property
    def is_leaf(self) -> bool:
        return engine.is_leaf(self._held)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def requires_grad_(self, requires_grad: bool = True) -> SparseTensor:
        """Whether the values want a gradient."""
        self._held.requires_grad_(requires_grad)
        return self

    def dim(self) -> int:
        """How many dimensions it has."""
        return len(self.shape)

    def size(self, dim: int | None = None) -> Any:
        """Its shape, or one size."""
        return self.shape if dim is None else self.shape[dim]

    def numel(self) -> int:
        """The elements of the dense tensor."""
        return int(self.shape.numel())

    def sparse_dim(self) -> int:
        """The dimensions that indices say."""
        return int(self._at.shape[0])

    def dense_dim(self) -> int:
        """The dimensions of one value."""
        return len(self.shape) - self.sparse_dim()

    def is_coalesced(self) -> bool:
        """Is every place there once, in order?"""
        return self._coalesced

    def is_floating_point(self) -> bool:
        """Are the values floats?"""
        return bool(self._held.is_floating_point())

    def _nnz(self) -> int:
        return int(self._at.shape[1])

    def _indices(self) -> Any:
        return self._at

    def _values(self) -> Any:
        return self._held

    def indices(self) -> Any:
        """The places, of a coalesced tensor."""
        self._need_coalesced("indices")
        return self._at

    def values(self) -> Any:
        """The values, of a coalesced tensor."""
        self._need_coalesced("values")
        return self._held

    def _need_coalesced(self, what: str) -> None:
        if not self._coalesced:
            raise RuntimeError(
                f"Cannot get {what} on an uncoalesced tensor, please call .coalesce() first"
            )

    def __repr__(self) -> str:
        made = self.grad_fn
        return display.sparse_text(
            engine.read(self._at),
            engine.read(self._held),
            self.dtype,
            tuple(self.shape),
            device=self.device,
            requires_grad=self.requires_grad,
            grad_fn=None if made is None else made.name().rpartition("::")[2],
        )

    # ------------------------------------------------------------ other forms
    def _with(self, values: Any) -> SparseTensor:
        return SparseTensor(self._at, values, self.shape, self._coalesced)

    def _flat(self) -> Any:
        """Each place as one number."""
        sizes = self.shape[: self.sparse_dim()]
        at = engine.read(self._at)
        return np.ravel_multi_index(tuple(at), sizes) if self._nnz() else np.zeros(0, np.int64)

    def coalesce(self) -> SparseTensor:
        """The same with every place once, in order."""
        if self._coalesced:
            return self
        flat, where = np.unique(self._flat(), return_inverse=True)
        at = np.stack(np.unravel_index(flat, self.shape[: self.sparse_dim()])).astype(np.int64)
        to = engine.from_array(where.reshape(-1).astype(np.int64), dt.int64, self.device)
        total = self._held.new_zeros((len(flat), *self._held.shape[1:]))
        values = total.index_add(0, to, self._held)
        return SparseTensor(engine.from_array(at, dt.int64, self.device), values, self.shape, True)

    def to_dense(self, dtype: Any = None, *, masked_grad: bool | None = None) -> Any:
        """The dense tensor."""
        n = self.sparse_dim()
        rows = Size(self.shape[:n]).numel()
        rest = tuple(self.shape[n:])
        flat = engine.from_array(self._flat().astype(np.int64), dt.int64, self.device)
        out = self._held.new_zeros((rows, *rest)).index_add(0, flat, self._held)
        out = out.reshape(tuple(self.shape))
        return out if dtype is None else out.to(dtype)

    def to_sparse(self, *args: Any, **kwargs: Any) -> SparseTensor:
        """Itself."""
        return self

    def detach(self) -> SparseTensor:
        """The same values without history."""
        return self._with(self._held.detach())

    def clone(self) -> SparseTensor:
        """A copy."""
        return SparseTensor(self._at.clone(), self._held.clone(), self.shape, self._coalesced)

    def to(self, *args: Any, **kwargs: Any) -> SparseTensor:
        """Values of another dtype, or everything on another device."""
        held = self._held.to(*args, **kwargs)
        if held is self._held:
            return self
        return SparseTensor(self._at.to(held.device), held, self.shape, self._coalesced)

    def cuda(self, *args: Any, **kwargs: Any) -> SparseTensor:
        """On a GPU."""
        held = self._held.cuda(*args, **kwargs)
        return SparseTensor(self._at.to(held.device), held, self.shape, self._coalesced)

    def cpu(self) -> SparseTensor:
        """In CPU memory."""
        return SparseTensor(self._at.cpu(), self._held.cpu(), self.shape, self._coalesced)

    def float(self) -> SparseTensor:
        """As float32."""
        return self._with(self._held.float())

    def double(self) -> SparseTensor:
        """As float64."""
        return self._with(self._held.double())

    def t(self) -> SparseTensor:
        """The transpose of a matrix."""
        if self.dim() != 2:
            raise RuntimeError(
                f"t() expects a tensor with <= 2 sparse and 0 dense dimensions, but got "
                f"{self.sparse_dim()} sparse, {self.dense_dim()} dense dimensions"
            )
        return SparseTensor(self._at.flip(0), self._held, (self.shape[1], self.shape[0]))

    def transpose(self, dim0: int, dim1: int) -> SparseTensor:
        """Two sparse dimensions exchanged."""
        n = self.dim()
        a, b = dim0 % n, dim1 % n
        if max(a, b) >= self.sparse_dim():
            raise RuntimeError("transpose: only sparse dimensions can be exchanged")
        order, shape = list(range(self.sparse_dim())), list(self.shape)
        order[a], order[b] = order[b], order[a]
        shape[a], shape[b] = shape[b], shape[a]
        return SparseTensor(self._at[order], self._held, shape)

    @property
    def T(self) -> SparseTensor:
        return self.t()

    # ------------------------------------------------------------ arithmetic
    def _scaled(self, other: Any, what: Callable[[Any, Any], Any]) -> SparseTensor:
        scalar = not isinstance(other, Tensor) or not other.shape
        if isinstance(other, SparseTensor) or not scalar:
            raise NotImplementedError(
                "a sparse tensor can be multiplied by or divided by a number only; use .to_dense()"
            )
        return self._with(what(self._held, other))

    def __mul__(self, other: Any) -> SparseTensor:
        return self._scaled(other, lambda v, k: v * k)

    __rmul__ = mul = __mul__

    def __truediv__(self, other: Any) -> SparseTensor:
        return self._scaled(other, lambda v, k: v / k)

    div = __truediv__

    def __neg__(self) -> SparseTensor:
        return self._with(-self._held)

    def __add__(self, other: Any) -> Any:
        if not isinstance(other, SparseTensor):
            return other + self.to_dense()
        return self._merged(other)

    __radd__ = add = __add__

    def _merged(self, other: SparseTensor) -> SparseTensor:
        """The sum with another: as PyTorch merges them, one walk along both lists of places."""
        if self.shape != other.shape:
            raise RuntimeError(
                f"add: expected sizes of 'self' and 'other' to match, but {list(self.shape)} != "
                f"{list(other.shape)}"
            )
        coalesced = self._coalesced and other._coalesced
        mine, theirs = engine.read(self._at), engine.read(other._at)
        if np.array_equal(mine, theirs):
            return SparseTensor(self._at, self._held + other._held, self.shape, coalesced)
        to_mine, to_theirs = _walk(mine.T.tolist(), theirs.T.tolist())
        count = 1 + max(max(to_mine, default=-1), max(to_theirs, default=-1))
        at = np.zeros((len(mine), count), np.int64)
        at[:, to_mine] = mine
        at[:, to_theirs] = theirs
        values = self._held.new_zeros((count, *self._held.shape[1:]))
        for to, x in ((to_mine, self), (to_theirs, other)):
            places = engine.from_array(np.array(to, np.int64), dt.int64, self.device)
            values = values.index_add(0, places, x._held)
        places = engine.from_array(at, dt.int64, self.device)
        return SparseTensor(places, values, self.shape, coalesced)

    # ------------------------------------------------------------ as a gradient
    def plus(self, other: Tensor) -> Tensor:
        """``self + other``: sparse when both are."""
        if isinstance(other, SparseTensor):
            return self._merged(other)
        return other + self.filled()  # type: ignore[no-any-return]

    def gather(self, other: Any) -> None:
        """``self += other``."""
        self.become(self._merged(other).detach())

    def pour(self, into: Any, factor: Any = None) -> None:
        """``into += factor * self`` for a dense tensor, value by value."""
        values = self._held if factor is None else self._held * factor
        if self.sparse_dim() == 1:
            into.index_add_(0, self._at[0], values)
        else:
            into.index_put_(tuple(self._at.unbind(0)), values, accumulate=True)

    def handed(self) -> SparseTensor:
        """Another handle on the same places and values."""
        return self._with(self._held)

    def filled(self) -> Tensor:
        """The dense tensor."""
        return self.to_dense()  # type: ignore[no-any-return]

    def become(self, other: SparseTensor) -> None:
        """Take over the places and values of another."""
        self._at, self._held, self._coalesced = other._at, other._held, other._coalesced

    def zero_(self) -> SparseTensor:
        """Nothing is left, in place."""
        self._at, self._held, self._coalesced = self._at[:, :0], self._held[:0], True
        return self

    def mul_(self, other: Any) -> SparseTensor:
        """Multiply by a number, in place."""
        self.become(self._scaled(other, lambda v, k: v * k).detach())
        return self

    def div_(self, other: Any) -> SparseTensor:
        """Divide by a number, in place."""
        self.become(self._scaled(other, lambda v, k: v / k).detach())
        return self

    def detach_(self) -> SparseTensor:
        """Without history from now on."""
        self._held = self._held.detach()
        return self

    @property
    def grad_fn(self) -> Any:
        return self._held.grad_fn

    def norm(self, p: Any = "fro", dim: Any = None, keepdim: bool = False) -> Any:
        """The norm of everything."""
        if dim is not None:
            raise NotImplementedError("norm: of a sparse tensor only over everything")
        return self.coalesce()._held.norm(p)

    def sparse_mask(self, mask: SparseTensor) -> SparseTensor:
        """What is at the places of ``mask``."""
        return mask._with(mask.rows(self.to_dense()))

    def rows(self, dense: Any) -> Any:
        """The values of a dense tensor at the places."""
        if self.sparse_dim() == 1:
            return dense.index_select(0, self._at[0])
        return dense[tuple(self._at.unbind(0))]

    def __deepcopy__(self, memo: dict[int, Any]) -> SparseTensor:
        made = memo[id(self)] = self.detach().clone().requires_grad_(self.requires_grad)
        return made

    def __sub__(self, other: Any) -> Any:
        return self + (-other)

    def __rsub__(self, other: Any) -> Any:
        return other + (-self)

    def __rmatmul__(self, other: Any) -> Any:
        return other @ self.to_dense()

    def __matmul__(self, other: Any) -> Any:
        return spmm(self, other)

    def matmul(self, other: Any, *, out: Any = None) -> Any:
        """A product with a dense matrix or vector."""
        return spmm(self, other)

    def mm(self, mat2: Any, *, out: Any = None) -> Any:
        """A product with a dense matrix."""
        return spmm(self, mat2)

    def mv(self, vec: Any) -> Any:
        """A product with a dense vector."""
        return spmm(self, vec)

    def sum(self, dim: Any = None, *rest: Any, **words: Any) -> Any:
        """The sum of everything, or over dimensions of the dense tensor."""
        if dim is None:
            return self._held.sum(*rest, **words)
        return self.to_dense().sum(dim, *rest, **words)


def _walk(mine: list[Any], theirs: list[Any]) -> tuple[list[int], list[int]]:
    """Where the places of two lists come when both are walked at once: the smaller first, equal
    ones together."""
    to_mine: list[int] = []
    to_theirs: list[int] = []
    i = j = k = 0
    while i < len(mine) or j < len(theirs):
        first = i < len(mine) and (j == len(theirs) or mine[i] <= theirs[j])
        second = j < len(theirs) and (i == len(mine) or theirs[j] <= mine[i])
        if first:
            to_mine.append(k)
            i += 1
        if second:
            to_theirs.append(k)
            j += 1
        k += 1
    return to_mine, to_theirs


@function()
def sparse_coo_tensor(
    indices: Any,
    values: Any = None,
    size: Any = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
    is_coalesced: bool | None = None,
) -> SparseTensor:
    """A sparse tensor of places (dimensions, count), values (count, *) and a size, which else is
    the smallest that has all places.  Only a size: no values.
    """
    if values is None:
        shape = tuple(indices) if size is None else tuple(size)
        at: Any = zeros((len(shape), 0), dtype=dt.int64, device=device)
        none = zeros((0,), dtype=dtype, device=device)
        return SparseTensor(at, none, shape, True).requires_grad_(requires_grad)
    at = as_tensor(indices, device=device)
    at = at.to(dt.int64)
    held: Any = as_tensor(values, dtype=dtype, device=device)
    if at.dim() == 1 and at.numel() == 0:
        at = at.reshape(0 if size is None else len(size), 0)
    if at.dim() != 2:
        raise RuntimeError(f"indices must be sparse_dim x nnz, but got: {list(at.shape)}")
    if not held.dim():
        held = held.expand(at.shape[1]).clone()
    if held.shape[0] != at.shape[1]:
        raise RuntimeError(
            f"number of dimensions must be sparse_dim ({at.shape[0]}) + dense_dim "
            f"({held.dim() - 1}), and indices and values must have same nnz, but got nnz from "
            f"indices: {at.shape[1]}, nnz from values: {held.shape[0]}"
        )
    places = engine.read(at)
    n = places.shape[0]
    if size is None:
        top = places.max(1) + 1 if places.shape[1] else np.zeros(n, np.int64)
        shape = (*(int(v) for v in top), *held.shape[1:])
    else:
        shape = tuple(int(v) for v in size)
    if len(shape) != n + held.dim() - 1:
        raise RuntimeError(
            f"number of dimensions must be sparse_dim ({n}) + dense_dim ({held.dim() - 1}), but "
            f"got {len(shape)}"
        )
    for d in range(n):
        if places.shape[1] and places[d].min() < 0:
            raise RuntimeError(f"found negative index {places[d].min()} for dim {d}")
        if places.shape[1] and places[d].max() >= shape[d]:
            raise RuntimeError(
                f"size is inconsistent with indices: for dim {d}, size is {shape[d]} but found "
                f"index {places[d].max()}"
            )
    made = SparseTensor(
        at, held.detach() if requires_grad else held, shape, bool(is_coalesced) or at.shape[1] < 2
    )
    return made.requires_grad_(True) if requires_grad else made


@function("spmm")
def spmm(mat1: Any, mat2: Any) -> Any:
    """A sparse matrix (m, k) times a dense matrix (k, n) or vector (k): dense."""
    if not isinstance(mat1, SparseTensor):
        return mat1 @ (mat2.to_dense() if isinstance(mat2, SparseTensor) else mat2)
    dense = mat2.to_dense() if isinstance(mat2, SparseTensor) else mat2
    if mat1.dim() != 2 or mat1.sparse_dim() != 2:
        raise RuntimeError(
            f"sparse.mm: expected a sparse matrix, got {mat1.sparse_dim()} sparse and "
            f"{mat1.dense_dim()} dense dimensions"
        )
    if dense.shape[0] != mat1.shape[1]:
        rest = "x".join(map(str, dense.shape))
        raise RuntimeError(
            "mat1 and mat2 shapes cannot be multiplied "
            f"({mat1.shape[0]}x{mat1.shape[1]} and {rest})"
        )
    if dense.dtype is not mat1.dtype:
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {mat1.dtype} != {dense.dtype}"
        )
    rows, columns = mat1._indices()[0], mat1._indices()[1]
    values = mat1._values()
    parts = dense.index_select(0, columns)
    parts = parts * (values if dense.dim() == 1 else values.unsqueeze(1))
    out = dense.new_zeros((mat1.shape[0], *dense.shape[1:]))
    return out.index_add(0, rows, parts)


# ---------------------------------------------------------------- methods of dense tensors
@method()
def to_sparse(self: Tensor, sparse_dim: int | None = None, *, layout: Any = None) -> SparseTensor:
    """The sparse tensor of what is not 0; the last dimensions stay dense with ``sparse_dim``."""
    if layout is not None and layout is not sparse_coo:
        raise NotImplementedError(f"to_sparse: layout {layout} is not supported, only sparse_coo")
    x: Any = self
    n = x.dim() if sparse_dim is None else sparse_dim
    there = engine.read(x) != 0
    places = np.stack(np.nonzero(there.reshape(*there.shape[:n], -1).any(-1))).astype(np.int64)
    at: Any = engine.from_array(places, dt.int64, x.device)
    return SparseTensor(at, x[tuple(at.unbind(0))], x.shape, True)


@method()
def to_dense(self: Tensor, dtype: Any = None, *, masked_grad: bool | None = None) -> Tensor:
    """The tensor itself, which is dense."""
    x: Any = self
    return x if dtype is None else x.to(dtype)  # type: ignore[no-any-return]


@method()
def to_sparse_coo(self: Tensor) -> SparseTensor:
    """The sparse tensor by coordinates of what is not 0."""
    return to_sparse(self)


@method()
def sparse_dim(self: Tensor) -> int:
    """The dimensions that indices say: none, of a dense tensor."""
    return 0


@method()
def dense_dim(self: Tensor) -> int:
    """The dimensions of one value: all, of a dense tensor."""
    return len(self.shape)


@method()
def sparse_mask(self: Tensor, mask: SparseTensor) -> SparseTensor:
    """What is at the places of a sparse tensor of the same shape; gradients flow back there."""
    if not isinstance(mask, SparseTensor):
        raise NotImplementedError(
            "Could not run 'aten::sparse_mask' with arguments from the 'CPU' backend: "
            "sparse_mask(): the mask must be a sparse tensor"
        )
    if tuple(mask.shape) != tuple(self.shape):
        raise RuntimeError(
            f"sparse_mask(): operands have incompatible sizes; self has size {list(self.shape)} "
            f"but mask has size {list(mask.shape)}"
        )
    return mask._with(mask.rows(self))


def _of_sparse_only(name: str, layout: str) -> None:
    def refuse(self: Tensor) -> Any:
        raise RuntimeError(f"{name} expected {layout} layout but got Strided")

    refuse.__doc__ = f"`{name}` of a sparse tensor; `RuntimeError` for a dense one."
    method(name)(refuse)


for _name in ("coalesce", "indices", "is_coalesced"):
    _of_sparse_only(_name, "sparse coordinate tensor")
_of_sparse_only("values", "sparse tensor")
