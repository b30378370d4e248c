"""Functions of sparse tensors: ``torch.sparse``.

mm(A, B), addmm(C, A, B)     products with a dense matrix, gradients included
sum(A[, dim])                the sum of what is there
softmax(A, dim)              over what is there; the rest stays 0
"""

from __future__ import annotations

from typing import Any

from ..base import dtype as dt
from ..engine import Tensor
from ..tensor.sparse import SparseTensor, sparse_coo_tensor, spmm

__all__ = [
    "ByteTensor",
    "CharTensor",
    "DoubleTensor",
    "FloatTensor",
    "IntTensor",
    "LongTensor",
    "ShortTensor",
    "SparseTensor",
    "addmm",
    "log_softmax",
    "mm",
    "softmax",
    "sum",
]


def _legacy(kind: Any) -> Any:
    """The old constructor of one dtype: ``FloatTensor(indices, values, size)``."""

    def make(indices: Any = (0,), values: Any = None, size: Any = None) -> SparseTensor:
        return sparse_coo_tensor(indices, values, size, dtype=kind)

    make.__doc__ = f"A sparse tensor of {kind} values: indices, values, size."
    return make


FloatTensor = _legacy(dt.float32)
DoubleTensor = _legacy(dt.float64)
LongTensor = _legacy(dt.int64)
IntTensor = _legacy(dt.int32)
ShortTensor = _legacy(dt.int16)
CharTensor = _legacy(dt.int8)
ByteTensor = _legacy(dt.uint8)


def mm(mat1: Any, mat2: Any, reduce: str = "sum") -> Any:
    """A sparse matrix times a dense one; of two sparse ones a sparse one."""
    if reduce != "sum":
        raise NotImplementedError(f"sparse.mm: reduce={reduce!r} is not supported, only 'sum'")
    made = spmm(mat1, mat2)
    both = isinstance(mat1, SparseTensor) and isinstance(mat2, SparseTensor)
    return made.to_sparse() if both else made


def addmm(mat: Tensor, mat1: Any, mat2: Any, *, beta: float = 1.0, alpha: float = 1.0) -> Any:
    """``beta * mat + alpha * (mat1 @ mat2)`` with a sparse ``mat1``."""
    dense: Any = mat
    return beta * dense + alpha * spmm(mat1, mat2)


def sum(input: SparseTensor, dim: Any = None, dtype: Any = None) -> Any:
    """The sum: of everything a dense scalar, over dimensions a sparse tensor."""
    x = input if dtype is None else input.to(dtype)
    made = x.sum(dim)
    return made if dim is None or not made.dim() else made.to_sparse()


def _among_present(input: SparseTensor, dim: int, logarithm: bool) -> SparseTensor:
    at = input.coalesce()
    ones = SparseTensor(at.indices(), at.values().detach() * 0 + 1, at.shape, True).to_dense()
    scores = at.to_dense().masked_fill(ones == 0, float("-inf"))
    dense = scores.log_softmax(dim) if logarithm else scores.softmax(dim)
    places = tuple(at.indices().unbind(0))
    return SparseTensor(at.indices(), dense[places], at.shape, True)


def softmax(input: SparseTensor, dim: int, *, dtype: Any = None) -> SparseTensor:
    """Softmax along a dimension over the places that are there."""
    return _among_present(input if dtype is None else input.to(dtype), dim, False)


def log_softmax(input: SparseTensor, dim: int, *, dtype: Any = None) -> SparseTensor:
    """The logarithm of ``softmax``."""
    return _among_present(input if dtype is None else input.to(dtype), dim, True)
