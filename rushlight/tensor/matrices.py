"""Matrix decompositions, inverses, equations and determinants: `torch.linalg`, and older names.

Names, argument names and result types are PyTorch's; `rushlight.linalg` shows what is `linalg`'s,
and what is `torch`'s as well is entered here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.base.errors import LinAlgError
from rushlight.base.shape import Ints, broadcast_shapes, numel
from rushlight.engine import Tensor
from rushlight.graph.ops import elementwise as ew
from rushlight.graph.ops import matrices as mx
from rushlight.graph.ops import movement
from rushlight.graph.ops import reduce as rd
from rushlight.tensor import shape as sh
from rushlight.tensor.creation import eye
from rushlight.tensor.install import (
    both,
    give,
    let_write,
    named,
    need_tensor,
    result_type,
)
from rushlight.tensor.join import cat
from rushlight.tensor.linalg_basic import product

apply: Callable[..., Tensor] = engine.apply
look: Callable[..., Tensor] = engine.view

LINALG: Final[dict[str, Any]] = {}  # the functions of `torch.linalg` that are defined here


def linalg(name: str) -> Callable[[Any], Any]:
    """Enter a function of `torch.linalg`."""

    def enter(f: Any) -> Any:
        LINALG[name] = f
        return named(f, name)

    return enter


eigh_result = result_type("linalg_eigh", "eigenvalues eigenvectors")
svd_result = result_type("linalg_svd", "U S Vh")
old_svd_result = result_type("svd", "U S V")
slogdet_result = result_type("linalg_slogdet", "sign logabsdet")
inv_ex_result = result_type("linalg_inv_ex", "inverse info")
solve_ex_result = result_type("linalg_solve_ex", "result info")
cholesky_ex_result = result_type("linalg_cholesky_ex", "L info")
lstsq_result = result_type("linalg_lstsq", "solution residuals rank singular_values")
triangular_result = result_type("triangular_solve", "solution cloned_coefficient")


# ---------------------------------------------------------------- checks
def need_matrices(x: Any, name: str, argument: str = "A", square: bool = True) -> None:
    """A batch of matrices of floats; `RuntimeError` in PyTorch's words."""
    need_tensor(x, name, argument)
    if len(x.shape) < 2:
        raise RuntimeError(f"{name}: The input tensor {argument} must have at least 2 dimensions.")
    if square and x.shape[-1] != x.shape[-2]:
        raise RuntimeError(
            f"{name}: {argument} must be batches of square matrices, but they are "
            f"{x.shape[-2]} by {x.shape[-1]} matrices"
        )
    need_float(x, name)


HALVES: Final = (dt.float16, dt.bfloat16)


def need_float(x: Tensor, name: str) -> None:
    """`RuntimeError` for integers."""
    if x.dtype.rank < 2:
        raise RuntimeError(
            f"{name}: Expected a floating point or complex tensor as input. Got {x.dtype.typename}"
        )


def same_kind(a: Tensor, b: Tensor, name: str) -> None:
    """`RuntimeError` unless both have one dtype."""
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"{name}: Expected A and B to have the same dtype, but found A of type "
            f"{a.dtype.typename} and B of type {b.dtype.typename} instead"
        )


def turned(x: Tensor) -> Tensor:
    """The last two dimensions exchanged."""
    return sh.transpose(x, -2, -1)


def column_major(x: Tensor) -> Tensor:
    """A copy whose matrices lie column by column."""
    return apply(movement.relayout, x, arg=mx.column_major(tuple(x.shape)))


def parts_of(packed: Tensor, sizes: tuple[Ints, ...]) -> list[Tensor]:
    """What a decomposition packs in one value: matrices in column-major order."""
    out, at, d = [], 0, len(packed.shape) - 1
    batch = tuple(packed.shape[:-1])
    for shape in sizes:
        n = numel(shape)
        one = look(movement.slice_, packed, (d, at, at + n, 1))
        at += n
        if batch:
            one = sh.contiguous_copy(one)
        if len(shape) == 2:
            one = turned(sh.reshaped(one, (*batch, shape[1], shape[0])))
        out.append(one)
    return out


def decided(x: Tensor) -> Tensor:
    """``x``, a factorisation that may not exist, run at once: a program that would go on without
    it catches the error at the call."""
    engine.flush()
    return x


def no_info(x: Tensor) -> Tensor:
    """Zeros: no matrix of the batch failed."""
    return engine.full(tuple(x.shape[:-2]), 0, dt.int32, x.device)


# ---------------------------------------------------------------- inverses, determinants
@linalg("inv")
def linalg_inv(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse of square matrices; `LinAlgError` where there is none."""
    need_matrices(A, "linalg.inv")
    return give(decided(apply(mx.inv, A)), out, "linalg.inv")


@both("inverse")
def inverse(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse of square matrices."""
    return linalg_inv(input, out=out)  # type: ignore[no-any-return]


@linalg("inv_ex")
def linalg_inv_ex(A: Tensor, *, check_errors: bool = False, out: Any = None) -> Any:
    """`inv`, and 0 for each matrix that has an inverse."""
    need_matrices(A, "linalg.inv_ex")
    return inv_ex_result(apply(mx.inv, A), no_info(A))


@both("det")
def det(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The determinant of square matrices."""
    need_matrices(input, "linalg.det")
    return give(apply(mx.det, input), out, "linalg.det")


@linalg("det")
def linalg_det(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The determinant of square matrices."""
    return det(A, out=out)


@both("slogdet")
def slogdet(input: Tensor) -> Any:
    """The sign of the determinant, and the logarithm of its size."""
    need_matrices(input, "linalg.slogdet")
    return slogdet_result(apply(mx.signdet, input), apply(mx.logabsdet, input))


@linalg("slogdet")
def linalg_slogdet(A: Tensor, *, out: Any = None) -> Any:
    """The sign of the determinant, and the logarithm of its size."""
    return slogdet(A)


@both("logdet")
def logdet(input: Tensor) -> Tensor:
    """The logarithm of the determinant; NaN where that is negative."""
    sign, size = slogdet(input)
    negative = apply(ew.lt, sign, 0.0)
    return apply(ew.where, negative, float("nan"), size)


def _pinv(x: Tensor, atol: Any, rtol: Any, symmetric: bool = False) -> Tensor:
    need_matrices(x, "linalg.pinv", square=False)
    return apply(mx.pinv, x, arg=(*_bounds(x, atol, rtol), symmetric))


def _bounds(x: Tensor, atol: Any, rtol: Any) -> tuple[float, float]:
    """Below which absolute and which relative size a value counts as zero."""
    usual = 0.0 if atol is not None else max(x.shape[-2:]) * _epsilon(x)
    return (
        float(0.0 if atol is None else _number(atol)),
        float(usual if rtol is None else _number(rtol)),
    )


def _number(value: Any) -> Any:
    """A bound given as a number, or as a tensor that holds one."""
    if not isinstance(value, Tensor):
        return value
    found = engine.read(value)
    if found.size and (found != found.flat[0]).any():
        raise NotImplementedError("linalg: a bound for each matrix is not supported; give one")
    return found.flat[0] if found.size else 0.0


def _epsilon(x: Tensor) -> float:
    return 2.0**-52 if x.dtype is dt.float64 else 2.0**-23


@linalg("pinv")
def linalg_pinv(
    A: Tensor,
    rcond: Any = None,
    hermitian: bool = False,
    *,
    atol: Any = None,
    rtol: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """The pseudo-inverse; singular values below `max(atol, rtol * largest)` count as zero."""
    rtol = rcond if rtol is None else rtol
    if not hermitian:
        return give(_pinv(A, atol, rtol), out, "linalg.pinv")
    need_matrices(A, "linalg.pinv")
    return give(_pinv(A, atol, rtol, True), out, "linalg.pinv")


@both("pinverse")
def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """The pseudo-inverse."""
    if input.dtype in HALVES:
        raise RuntimeError(
            f"linalg.pinv({input.dtype.typename}{{{list(input.shape)}}}): expected a tensor with 2 "
            "or more dimensions of float, double, cfloat or cdouble types"
        )
    return _pinv(input, None, rcond)


@both("matrix_exp")
def matrix_exp(input: Tensor) -> Tensor:
    """The exponential of square matrices."""
    need_matrices(input, "linalg.matrix_exp")
    return apply(mx.expm, input)


LINALG["matrix_exp"] = matrix_exp


@both("matrix_power")
def matrix_power(input: Tensor, n: int, *, out: Tensor | None = None) -> Tensor:
    """Square matrices multiplied by themselves; of the inverse for a negative power."""
    need_tensor(input, "matrix_power")
    if len(input.shape) < 2 or input.shape[-1] != input.shape[-2]:
        need_matrices(input, "linalg.matrix_power")
    if n == 0:
        one = eye(input.shape[-1], dtype=input.dtype)
        return give(engine.assign(apply(ew.copy, input), one), out, "matrix_power")
    x = input if n > 0 else linalg_inv(input)
    made: Tensor | None = None
    n = abs(n)
    while n:
        if n & 1:
            made = x if made is None else product(made, x)
        n >>= 1
        x = product(x, x) if n else x
    assert made is not None
    return give(apply(ew.copy, made) if made is input else made, out, "matrix_power")


@linalg("matrix_power")
def linalg_matrix_power(A: Tensor, n: int, *, out: Tensor | None = None) -> Tensor:
    """Square matrices multiplied by themselves; of the inverse for a negative power."""
    return matrix_power(A, n, out=out)


# ---------------------------------------------------------------- equations
def _solve(A: Tensor, B: Tensor, left: bool, name: str) -> Tensor:
    need_matrices(A, name)
    need_tensor(B, name, "B", 2)
    same_kind(A, B, name)
    if not B.shape:
        raise RuntimeError(f"{name}: The tensor B must have at least 1 dimension.")
    vector = len(B.shape) == 1 or tuple(B.shape) == tuple(A.shape[:-1])
    b = look(movement.unsqueeze, B, len(B.shape)) if vector else B
    if vector and not left:
        raise RuntimeError(
            f"{name}: Vector broadcasting of the left hand side is not supported for left=False. "
            "In this case solve is equivalent to B / A.squeeze(-1)"
        )
    if (b.shape[-2] if left else b.shape[-1]) != A.shape[-1]:
        raise RuntimeError(
            f"{name}: Incompatible shapes of A and B for the equation "
            f"{'AX = B' if left else 'XA = B'} ({A.shape[-2]}x{A.shape[-1]} and "
            f"{b.shape[-2]}x{b.shape[-1]})"
        )
    made = apply(mx.solve, A, b) if left else apply(mx.solve, turned(A), turned(b))
    made = decided(made) if left else turned(decided(made))
    return sh.squeeze(made, -1) if vector else made


@linalg("solve")
def linalg_solve(A: Tensor, B: Tensor, *, left: bool = True, out: Tensor | None = None) -> Tensor:
    """X of `A X = B` (of `X A = B` with `left=False`); B may be a vector for each matrix."""
    return give(_solve(A, B, left, "linalg.solve"), out, "linalg.solve")


@linalg("solve_ex")
def linalg_solve_ex(
    A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False, out: Any = None
) -> Any:
    """`solve`, and 0 for each matrix that could be solved."""
    return solve_ex_result(_solve(A, B, left, "linalg.solve_ex"), no_info(A))


@linalg("solve_triangular")
def linalg_solve_triangular(
    A: Tensor,
    B: Tensor,
    *,
    upper: bool,
    left: bool = True,
    unitriangular: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """X of `A X = B` (`X A = B` with `left=False`) for triangular A."""
    need_matrices(A, "linalg.solve_triangular")
    need_matrices(B, "linalg.solve_triangular", "B", square=False)
    same_kind(A, B, "linalg.solve_triangular")
    if B.shape[-2 if left else -1] != A.shape[-1]:
        raise RuntimeError(
            "linalg.solve_triangular: Incompatible shapes of A and B for the equation "
            f"{'AX = B' if left else 'XA = B'} ({A.shape[-2]}x{A.shape[-1]} and "
            f"{B.shape[-2]}x{B.shape[-1]})"
        )
    made = triangular(A, B, upper, left, unitriangular)
    return give(made, out, "linalg.solve_triangular")


def triangular(A: Tensor, B: Tensor, upper: bool, left: bool, unit: bool) -> Tensor:
    """X of `A X = B` (of `X A = B` unless `left`) for triangular A."""
    if left:
        return apply(mx.solve_triangular, A, B, arg=(bool(upper), bool(unit)))
    made = apply(mx.solve_triangular, turned(A), turned(B), arg=(not upper, bool(unit)))
    return column_major(turned(made))


@both("triangular_solve")
def triangular_solve(
    input: Tensor,
    A: Tensor,
    upper: bool = True,
    transpose: bool = False,
    unitriangular: bool = False,
    *,
    out: Any = None,
) -> Any:
    """The older `linalg.solve_triangular`: the right side first, and a copy of A beside."""
    need_matrices(A, "triangular_solve")
    need_matrices(input, "triangular_solve", "b", square=False)
    a = turned(A) if transpose else A
    made = triangular(a, input, bool(upper) is not bool(transpose), True, unitriangular)
    shape = broadcast_shapes(tuple(A.shape[:-2]), tuple(input.shape[:-2]))
    kept = look(movement.expand, A, (*shape, *A.shape[-2:]))
    return triangular_result(made, column_major(kept))


@linalg("lstsq")
def linalg_lstsq(A: Tensor, B: Tensor, rcond: Any = None, *, driver: str | None = None) -> Any:
    """X of smallest `|A X - B|`; of several, the smallest."""
    need_tensor(A, "torch.linalg.lstsq", "input")
    need_tensor(B, "torch.linalg.lstsq", "other", 2)
    if len(A.shape) < 2:
        raise RuntimeError("torch.linalg.lstsq: input must have at least 2 dimensions.")
    if not B.shape:
        raise RuntimeError("torch.linalg.lstsq: other must have at least 1 dimension.")
    if driver not in (None, "gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError(
            "torch.linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, gelss)"
        )
    if A.dtype is not B.dtype:
        raise RuntimeError(
            "torch.linalg.lstsq: Expected input and other to have the same dtype, but got input's "
            f"dtype {A.dtype.typename} and other's dtype {B.dtype.typename}"
        )
    need_float(A, "linalg.lstsq")
    m, n = A.shape[-2:]
    vector = len(B.shape) == 1 or tuple(B.shape) == tuple(A.shape[:-1])
    b = look(movement.unsqueeze, B, len(B.shape)) if vector else B
    if b.shape[-2] != m:
        at = len(B.shape) - (1 if vector else 2)
        raise RuntimeError(
            f"torch.linalg.lstsq: input.size(-2) should match other.size({at - len(B.shape)})"
        )
    made = product(_pinv(A, None, rcond), b)
    empty = engine.full((0,), 0.0, A.dtype, A.device)
    rank = values = empty
    residuals = sh.narrow(sh.reshape(made, -1), 0, 0, 0)
    if driver == "gels":
        rank = engine.full((0,), 0, dt.int64, A.device)
    else:
        rank = matrix_rank(engine.detach(A), rtol=rcond)
    if driver in ("gelsd", "gelss"):
        values = linalg_svdvals(engine.detach(A))
    if m > n and driver != "gelsy" and (driver == "gels" or (engine.read(rank) == n).all()):
        away = b - product(A, made)
        residuals = apply(rd.sum_, away * away, arg=((len(away.shape) - 2,), False))
    if m > n:  # the solution lies in what B's copy took, as LAPACK leaves it
        shape = (*made.shape[:-2], m - n, made.shape[-1])
        made = cat([made, engine.full(shape, 0.0, A.dtype, A.device)], -2)
    made = sh.narrow(column_major(made), -2, 0, n)
    return lstsq_result(sh.squeeze(made, -1) if vector else made, residuals, rank, values)


# ---------------------------------------------------------------- Cholesky
def _cholesky(x: Tensor, upper: bool, check: bool) -> Tensor:
    made = apply(mx.cholesky, turned(x) if upper else x, arg=check)
    if check:
        decided(made)
    return column_major(turned(made)) if upper else made


@linalg("cholesky")
def linalg_cholesky(A: Tensor, *, upper: bool = False, out: Tensor | None = None) -> Tensor:
    """L of `A = L L^T` (or U of `U^T U`); `LinAlgError` unless A is positive definite."""
    need_matrices(A, "linalg.cholesky")
    return give(_cholesky(A, upper, True), out, "linalg.cholesky")


@linalg("cholesky_ex")
def linalg_cholesky_ex(
    A: Tensor, *, upper: bool = False, check_errors: bool = False, out: Any = None
) -> Any:
    """`cholesky`, and for each matrix 0 or the order of the minor that failed."""
    need_matrices(A, "linalg.cholesky_ex")
    info = apply(mx.cholesky_info, engine.detach(turned(A) if upper else A))
    return cholesky_ex_result(_cholesky(A, upper, bool(check_errors)), info)


@both("cholesky")
def cholesky(input: Tensor, upper: bool = False, *, out: Tensor | None = None) -> Tensor:
    """The older `linalg.cholesky`."""
    need_matrices(input, "cholesky")
    return give(_cholesky(input, upper, True), out, "cholesky")


@both("cholesky_solve")
def cholesky_solve(
    B: Tensor, L: Tensor, upper: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """X of `(L L^T) X = B`, from the factor."""
    need_matrices(B, "cholesky_solve", "b", square=False)
    need_matrices(L, "cholesky_solve", "A")
    first = turned(L) if upper else L
    half = triangular(first, B, False, True, False)
    return give(triangular(turned(first), half, True, True, False), out, "cholesky_solve")


@both("cholesky_inverse")
def cholesky_inverse(input: Tensor, upper: bool = False, *, out: Tensor | None = None) -> Tensor:
    """The inverse of `L L^T`, from the factor."""
    need_matrices(input, "cholesky_inverse")
    one = look(movement.expand, eye(input.shape[-1], dtype=input.dtype), tuple(input.shape))
    return cholesky_solve(one, input, upper, out=out)


# ---------------------------------------------------------------- eigenvalues, singular values
@linalg("eigh")
def linalg_eigh(A: Tensor, UPLO: str = "L", *, out: Any = None) -> Any:
    """Eigenvalues, ascending, and eigenvectors of symmetric matrices (one triangle is read)."""
    need_matrices(A, "linalg.eigh")
    if UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    packed = apply(mx.eigh, A, arg=UPLO.upper() == "U")
    return eigh_result(*parts_of(packed, mx.eigh_sizes(tuple(A.shape[-2:]), None)))


@linalg("eigvalsh")
def linalg_eigvalsh(A: Tensor, UPLO: str = "L", *, out: Tensor | None = None) -> Tensor:
    """Eigenvalues of symmetric matrices, ascending."""
    return give(linalg_eigh(A, UPLO).eigenvalues, out, "linalg.eigvalsh")


@linalg("svd")
def linalg_svd(
    A: Tensor, full_matrices: bool = True, *, driver: str | None = None, out: Any = None
) -> Any:
    """U, the singular values descending, and V^T of `A = U S V^T`."""
    need_matrices(A, "linalg.svd", square=False)
    if A.dtype in HALVES:
        raise NotImplementedError(f"\"linalg_svd_cpu\" not implemented for '{A.dtype.typename}'")
    packed = decided(apply(mx.svd, A, arg=bool(full_matrices)))
    return svd_result(*parts_of(packed, mx.svd_sizes(tuple(A.shape[-2:]), bool(full_matrices))))


@linalg("svdvals")
def linalg_svdvals(A: Tensor, *, driver: str | None = None, out: Tensor | None = None) -> Tensor:
    """Singular values, descending."""
    need_matrices(A, "linalg.svdvals", square=False)
    packed = decided(apply(mx.svd, A, arg=False))
    values = parts_of(packed, mx.svd_sizes(tuple(A.shape[-2:]), False))[1]
    return give(values, out, "linalg.svdvals")


@both("svd")
def svd(input: Tensor, some: bool = True, compute_uv: bool = True, *, out: Any = None) -> Any:
    """The older `linalg.svd`: V, not its transpose; reduced unless `some` is False."""
    u, s, vh = linalg_svd(input, not some)
    if not compute_uv:
        m, n = input.shape[-2:]
        batch = tuple(input.shape[:-2])
        u, v = (engine.full((*batch, k, k), 0.0, input.dtype, input.device) for k in (m, n))
        return old_svd_result(u, s, v)
    return old_svd_result(u, s, turned(vh))


@linalg("matrix_rank")
def matrix_rank(
    A: Tensor,
    tol: Any = None,
    hermitian: bool = False,
    *,
    atol: Any = None,
    rtol: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """How many singular values are above `max(atol, rtol * largest)`."""
    need_matrices(A, "linalg.matrix_rank", square=bool(hermitian))
    x = engine.detach(A)
    if 0 in x.shape[-2:]:
        return give(engine.full(tuple(x.shape[:-2]), 0, dt.int64, x.device), out, "")
    s = linalg_svdvals(x) if not hermitian else apply(ew.abs_, linalg_eigvalsh(x))
    atol = tol if atol is None else atol
    if rtol is None:
        rtol = max(x.shape[-2:]) * _epsilon(x) if atol is None else 0.0
    wide = [
        look(movement.unsqueeze, b, len(b.shape)) if isinstance(b, Tensor) else b
        for b in (rtol, 0.0 if atol is None else atol)
    ]
    if tol is not None:  # absolute, however large the largest is
        wide[0] = 0.0
    top = apply(rd.amax, s, arg=((len(s.shape) - 1,), True))
    bound = top * wide[0]
    floor = wide[1] if isinstance(wide[1], Tensor) else bound * 0.0 + wide[1]
    above = apply(ew.gt, s, apply(ew.maximum, bound, floor))
    return give(apply(rd.sum_, above, arg=((len(s.shape) - 1,), False)), out, "linalg.matrix_rank")


LINALG["LinAlgError"] = LinAlgError

let_write("slogdet", "svd", "triangular_solve")
let_write("cholesky_ex", "eigh", "inv_ex", "lstsq", "slogdet", "solve_ex", "svd", table=LINALG)
