"""Products, diagonals, and equations of tensors read as matrices."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from rushlight import engine
from rushlight.base.shape import broadcast_shapes, numel, wrap_dim
from rushlight.engine import Tensor
from rushlight.graph.ops import elementwise as ew
from rushlight.graph.ops import movement
from rushlight.graph.ops import reduce as rd
from rushlight.tensor import linalg_basic, matrices, reduce
from rushlight.tensor import shape as sh
from rushlight.tensor.creation import eye, ones_like
from rushlight.tensor.install import FUNCTIONS, give, need_tensor, row
from rushlight.tensor.join import cat

apply: Callable[..., Tensor] = engine.apply
look: Callable[..., Tensor] = engine.view
CUMPROD: Any = row("cumprod")


def matmul(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`torch.matmul`."""
    return linalg_basic.matmul(input, other, out=out)


def multi_dot(tensors: Any, *, out: Tensor | None = None) -> Tensor:
    """The product of matrices in the cheapest order; the ends may be vectors."""
    chain = list(tensors)
    if len(chain) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(chain)}")
    for i, x in enumerate(chain):
        ends = i in (0, len(chain) - 1)
        if len(x.shape) != 2 and not (ends and len(x.shape) == 1):
            raise RuntimeError(
                f"multi_dot(): tensor {i} must be {'1D or 2D' if ends else '2D'} but got "
                f"{len(x.shape)}D"
            )
    shape: tuple[int, ...] = ()
    if len(chain[0].shape) == 1:
        chain[0] = sh.unsqueeze(chain[0], 0)
    else:
        shape = (chain[0].shape[0],)
    if len(chain[-1].shape) == 1:
        chain[-1] = sh.unsqueeze(chain[-1], 1)
    else:
        shape = (*shape, chain[-1].shape[1])
    for i, (x, y) in enumerate(pairwise(chain)):
        if x.shape[1] != y.shape[0]:
            raise RuntimeError(
                f"multi_dot(): tensors {i} and {i + 1} with shapes {list(x.shape)} and "
                f"{list(y.shape)} cannot be multiplied"
            )
    made = _chained(chain, _order([x.shape[0] for x in chain] + [chain[-1].shape[1]]))
    return give(sh.reshaped(made, shape), out, "linalg.multi_dot")


def _order(sizes: list[int]) -> dict[tuple[int, int], int]:
    """Where to split each run of matrices, for the fewest multiplications."""
    n = len(sizes) - 1
    cost = {(i, i): 0 for i in range(n)}
    split: dict[tuple[int, int], int] = {}
    for width in range(1, n):
        for i in range(n - width):
            j = i + width
            ways = [
                (cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                for k in range(i, j)
            ]
            cost[i, j], split[i, j] = min(ways)
    return split


def _chained(chain: list[Tensor], split: dict[tuple[int, int], int]) -> Tensor:
    def run(i: int, j: int) -> Tensor:
        if i == j:
            return chain[i]
        k = split[i, j]
        return linalg_basic.product(run(i, k), run(k + 1, j))

    return run(0, len(chain) - 1)


def cross(input: Tensor, other: Tensor, *, dim: int = -1, out: Tensor | None = None) -> Tensor:
    """The vector product along a dimension of size 3."""
    need_tensor(input, "linalg.cross")
    need_tensor(other, "linalg.cross", "other", 2)
    if len(input.shape) != len(other.shape):
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    wrap_dim(dim, len(input.shape))
    if input.shape[dim] != 3 or other.shape[dim] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {input.shape[dim]} and "
            f"{other.shape[dim]}"
        )
    return give(linalg_basic.cross(input, other, dim), out, "linalg.cross")


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """A view of the diagonals of matrices."""
    return sh.diagonal(A, offset, dim1, dim2)


def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """Powers 0 to N - 1 of the elements, along a new last dimension."""
    need_tensor(x, "linalg.vander", "x")
    x = x if x.shape else sh.unsqueeze(x, 0)
    count = x.shape[-1] if N is None else N
    if count <= 1:
        raise RuntimeError("N must be greater than 1.")
    ones = ones_like(sh.unsqueeze(x, -1))
    line = look(movement.expand, sh.unsqueeze(x, -1), (*x.shape, count - 1))
    return cat([ones, apply(CUMPROD, line, arg=len(x.shape))], -1)


def vecdot(x: Tensor, y: Tensor, *, dim: int = -1, out: Tensor | None = None) -> Tensor:
    """Sums of products along a dimension."""
    need_tensor(x, "linalg.vecdot", "x")
    need_tensor(y, "linalg.vecdot", "y", 2)
    if x.dtype is not y.dtype:
        raise RuntimeError(f"linalg.vecdot: Expected one dtype, found {x.dtype} and {y.dtype}")
    rank = len(broadcast_shapes(tuple(x.shape), tuple(y.shape)))
    if x.dtype.kind == "b":
        made = apply(ew.logical_and, x, y)
        return give(
            apply(rd.any_, made, arg=(reduce.dims_of(made, dim), False)), out, "linalg.vecdot"
        )
    made = apply(ew.mul, x, y)
    return give(reduce.sum_(made, dim if rank else None), out, "linalg.vecdot")


def tensorinv(A: Tensor, ind: int = 2, *, out: Tensor | None = None) -> Tensor:
    """The inverse of `tensordot(A, ., ind)`."""
    if ind <= 0:
        raise RuntimeError("Expected a strictly positive integer for 'ind'")
    need_tensor(A, "linalg.tensorinv", "A")
    shape = tuple(A.shape)
    rows, columns = numel(shape[:ind]), numel(shape[ind:])
    if rows != columns:
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == "
            f"prod(self.shape[:ind]), but got {columns} != {rows}"
        )
    made = matrices.LINALG["inv"](sh.reshaped(A, (rows, columns)))
    return give(sh.reshaped(made, shape[ind:] + shape[:ind]), out, "linalg.tensorinv")


def tensorsolve(A: Tensor, B: Tensor, dims: Any = None, *, out: Tensor | None = None) -> Tensor:
    """X of `tensordot(A, X, X.ndim) = B`."""
    need_tensor(A, "linalg.tensorsolve", "A")
    x = A if dims is None else sh.movedim(A, tuple(dims), tuple(range(-len(dims), 0)))
    shape = tuple(x.shape)[len(B.shape) :]
    if numel(shape) != numel(tuple(x.shape)[: len(B.shape)]):
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == "
            f"prod(self.shape[:other.ndim]), but got {numel(shape)} != "
            f"{numel(tuple(x.shape)[: len(B.shape)])}"
        )
    square = sh.reshaped(x, (numel(shape), numel(shape)))
    made = matrices.LINALG["solve"](square, sh.reshape(B, -1))
    return give(sh.reshaped(made, shape), out, "linalg.tensorsolve")


def householder_product(A: Tensor, tau: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The first columns of the product of reflections `I - tau v v^T` that A holds (`geqrf`)."""
    name = "linalg.householder_product"
    matrices.need_matrices(A, name, "A", square=False)
    m, n = A.shape[-2:]
    if m < n:
        raise RuntimeError(
            f"torch.{name}: input.shape[-2] must be greater than or equal to input.shape[-1]"
        )
    k = tau.shape[-1]
    if n < k:
        raise RuntimeError(
            f"torch.{name}: input.shape[-1] must be greater than or equal to tau.shape[-1]"
        )
    if A.dtype is not tau.dtype:
        raise RuntimeError(
            f"torch.{name}: tau dtype {tau.dtype} does not match input dtype {A.dtype}"
        )
    one = eye(m, dtype=A.dtype)
    vectors = FUNCTIONS["tril"](A, -1) + eye(m, n, dtype=A.dtype)
    made = look(movement.expand, sh.narrow(one, 1, 0, n), tuple(A.shape))
    for i in range(k - 1, -1, -1):
        v = sh.narrow(vectors, -1, i, 1)
        scale = sh.unsqueeze(sh.narrow(tau, -1, i, 1), -1)
        along = linalg_basic.product(sh.transpose(v, -2, -1), made)
        made = made - scale * v * along
    return give(matrices.column_major(made), out, name)
