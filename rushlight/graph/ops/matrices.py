"""Decompositions, solutions and determinants of (batches of) matrices: LAPACK computes them.

    inv(a), det(a), signdet(a), logabsdet(a), cofactor(a), pinv(a), expm(a)
    solve(a, b)              broadcasts
    solve_triangular(a, b)   arg = (upper, unitriangular); broadcasts
    cholesky(a)              arg: whether failure raises; reads the lower triangle
    cholesky_info(a)         0, or the order of the leading minor that is not positive
    eigh(a)                  arg: whether the upper triangle is read: eigenvalues, eigenvectors
    svd(a)                   arg = full: U, S, Vh
    qr(a)                    arg = complete: Q, R
    lu(a)                    L, U of the rows in the order of `lu_order`
    lu_order(a)              row i of L U is row order[i] of a
    lu_pivots(a)             LAPACK's interchanges, from 1

What has several results gives them packed along one last dimension, each flat and in column-major
order; `parts` takes them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...base import dtype as dt
from ...base.errors import LinAlgError
from ...base.shape import Ints, broadcast_shapes, numel
from ..op import LIBRARY, Op, Spec, register
from ..value import Val
from .contract import matmul, transpose
from .core import iota, zeros
from .elementwise import eq, ge, le, logical_and, where
from .join import cat
from .movement import reshape, slice_, unsqueeze
from .reduce import sum_, sum_to

Call = Callable[..., Any]


def column_major(shape: Ints) -> Ints:
    """Strides of matrices that lie column by column."""
    strides, step = [1] * len(shape), 1
    for d in (len(shape) - 2, len(shape) - 1, *range(len(shape) - 3, -1, -1)):
        strides[d] = step
        step *= max(shape[d], 1)
    return tuple(strides)


def _matrix(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    a = srcs[0]
    return Spec(a.shape, a.dtype, column_major(a.shape), a.device)


def _row_major(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    return Spec(srcs[0].shape, srcs[0].dtype, None, srcs[0].device)


def _number(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    return Spec(srcs[0].shape[:-2], srcs[0].dtype, None, srcs[0].device)


def _transposed(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    a = srcs[0]
    return Spec((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype, None, a.device)


def _solution(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    a, b = srcs
    batch = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    shape = (*batch, *b.shape[-2:])
    return Spec(shape, b.dtype, column_major(shape), b.device)


def _packed(sizes: Callable[[Ints, Any], tuple[Ints, ...]]) -> Callable[..., Spec]:
    def infer(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
        a = srcs[0]
        total = sum(numel(s) for s in sizes(a.shape[-2:], arg))
        return Spec((*a.shape[:-2], total), a.dtype, None, a.device)

    return infer


def _whole(last: Callable[[Ints], Ints], kind: Any) -> Callable[..., Spec]:
    def infer(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
        a = srcs[0]
        return Spec((*a.shape[:-2], *last(a.shape[-2:])), kind, None, a.device)

    return infer


# ---------------------------------------------------------------- several results in one
def eigh_sizes(shape: Ints, arg: Any) -> tuple[Ints, ...]:
    """Shapes of eigenvalues and eigenvectors."""
    return (shape[-1:], shape)


def svd_sizes(shape: Ints, full: bool) -> tuple[Ints, ...]:
    """Shapes of U, S and Vh."""
    m, n = shape
    k = min(m, n)
    return ((m, m if full else k), (k,), (n if full else k, n))


def qr_sizes(shape: Ints, complete: bool) -> tuple[Ints, ...]:
    """Shapes of Q and R."""
    m, n = shape
    k = m if complete else min(m, n)
    return ((m, k), (k, n))


def lu_sizes(shape: Ints, arg: Any) -> tuple[Ints, ...]:
    """Shapes of L and U."""
    m, n = shape
    k = min(m, n)
    return ((m, k), (k, n))


def _pack(parts: Sequence[Any], batch: Ints) -> Any:
    flat = []
    for p in parts:
        if p.ndim > len(batch) + 1:
            p = p.swapaxes(-1, -2).reshape(*batch, p.shape[-1] * p.shape[-2])
        flat.append(p)
    return np.concatenate(flat, -1)


def parts(packed: Val, sizes: tuple[Ints, ...]) -> list[Val]:
    """The results that lie in `packed` along its last dimension, as values."""
    out, at, d = [], 0, len(packed.shape) - 1
    for shape in sizes:
        n = numel(shape)
        one = slice_(packed, arg=(d, at, at + n, 1))
        at += n
        if len(shape) == 2:
            one = transpose(reshape(one, arg=(*packed.shape[:-1], shape[1], shape[0])))
        out.append(one)
    return out


def packed(values: Sequence[Val]) -> Val:
    """The opposite of `parts`: matrices, and vectors of one dimension less than the first."""
    rank = max(len(v.shape) for v in values)
    flat = []
    for v in values:
        if len(v.shape) == rank:
            v = transpose(v)
            v = reshape(v, arg=(*v.shape[:-2], v.shape[-2] * v.shape[-1]))
        flat.append(v)
    return cat(*flat, arg=rank - 2)


def _unbatched(f: Callable[[Any], Any], a: Any, shape: Ints, kind: Any) -> Any:
    """`f` of every matrix of a batch."""
    batch = a.shape[:-2]
    out = np.empty((*batch, *shape), kind)
    for at in np.ndindex(batch):
        out[at] = f(a[at])
    return out


# ---------------------------------------------------------------- masks in rules
def _places(x: Val) -> tuple[Val, Val]:
    m, n = x.shape[-2:]
    b = x.builder
    rows = Val(b, b.make(iota, [], ((m, 1), 0, dt.int64)))
    columns = Val(b, b.make(iota, [], ((1, n), 1, dt.int64)))
    return rows, columns


def lower(x: Val) -> Val:
    """The lower triangle."""
    rows, columns = _places(x)
    return where(ge(rows, columns), x, 0.0)


def upper(x: Val) -> Val:
    """The upper triangle."""
    rows, columns = _places(x)
    return where(le(rows, columns), x, 0.0)


def on_diagonal(x: Val, there: Any, elsewhere: Any) -> Val:
    """`there` on the diagonal of a matrix like `x`, `elsewhere` beside it."""
    rows, columns = _places(x)
    return where(eq(rows, columns), there, elsewhere)


def diag(v: Val) -> Val:
    """Matrices with the vectors `v` as diagonals."""
    wide = unsqueeze(v, arg=len(v.shape)) + zeros(v, (*v.shape, v.shape[-1]))
    return on_diagonal(wide, wide, 0.0)


def _quotient(x: Val, y: Val) -> Val:
    """`x / y`; 0 for 0 / 0: a gradient that nobody asked for where values coincide."""
    return where(eq(x, 0.0), 0.0, x / where(logical_and(eq(x, 0.0), eq(y, 0.0)), 1.0, y))


def _row(name: str, infer: Any, call: Call, grads: Any = ()) -> Op:
    op = register(Op(name, LIBRARY, infer))
    op.call, op.grads = call, grads
    return op


# ---------------------------------------------------------------- inverses and determinants
def _inv(a: Any, arg: Any = None) -> Any:
    try:
        return np.linalg.inv(a)
    except np.linalg.LinAlgError:
        raise LinAlgError(
            "linalg.inv: The inversion could not be completed because the input matrix is "
            "singular: a diagonal element of its factors is zero."
        ) from None


def _inv_grad(g: Val, out: Val, a: Val) -> Val:
    back = transpose(out)
    return -matmul(back, matmul(g, back))


def _scaled(g: Val, m: Val) -> Val:
    n = len(g.shape)
    return unsqueeze(unsqueeze(g, arg=n), arg=n + 1) * m


def _cofactor(a: Any, arg: Any = None) -> Any:
    """Derivatives of the determinant, of singular matrices too: from the singular values."""
    u, s, vh = np.linalg.svd(a.astype(np.float64))
    n = s.shape[-1]
    others = np.stack(
        [np.delete(s, i, -1).prod(-1) for i in range(n)], -1
    ) if n else s  # fmt: skip
    sign = np.linalg.det(u) * np.linalg.det(vh)
    return (sign[..., None, None] * ((u * others[..., None, :]) @ vh)).astype(a.dtype)


def _cofactor_grad(g: Val, out: Val, a: Val) -> Val:
    """Of matrices that have an inverse."""
    back = transpose(inv(a))
    total = sum_(g * out, arg=((len(a.shape) - 2, len(a.shape) - 1), False))
    return _scaled(total, back) - matmul(matmul(out, transpose(g)), back)


def _pinv(a: Any, arg: Any = None) -> Any:
    """`arg`: bounds below which singular values count as zero, absolute and relative; whether the
    lower triangle says all.
    """
    absolute, relative, symmetric = arg
    if symmetric:
        a = np.tril(a) + np.tril(a, -1).swapaxes(-1, -2)
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    top = s.max(-1, initial=0)[..., None]
    kept = s > np.maximum(absolute, relative * top)
    inverse = np.where(kept, 1 / np.where(kept, s, 1), 0).astype(a.dtype)
    return (vh.swapaxes(-1, -2) * inverse[..., None, :]) @ u.swapaxes(-1, -2)


def _pinv_grad(g: Val, out: Val, a: Val) -> Val:
    m, n = a.shape[-2:]
    gh, outh = transpose(g), transpose(out)
    if m <= n:
        k = matmul(gh, out)
        kp = matmul(k, outh)
        return (
            kp
            - transpose(matmul(out, k))
            - matmul(matmul(a, out), kp)
            + matmul(matmul(outh, out), gh - matmul(k, a))
        )
    k = matmul(out, gh)
    pk = matmul(outh, k)
    return (
        matmul(matmul(gh - matmul(a, k), out), outh)
        - transpose(matmul(k, out))
        + pk
        - matmul(matmul(pk, out), a)
    )


def _expm(a: Any, arg: Any = None) -> Any:
    import scipy.linalg

    return scipy.linalg.expm(a).astype(a.dtype, copy=False) if a.size else a.copy()


def _expm_grad(g: Val, out: Val, a: Val) -> Val:
    n, d = a.shape[-1], len(a.shape)
    back = transpose(a)
    top = cat(back, g, arg=d - 1)
    bottom = cat(zeros(g, a.shape), back, arg=d - 1)
    both = expm(cat(top, bottom, arg=d - 2))
    return slice_(slice_(both, arg=(d - 2, 0, n, 1)), arg=(d - 1, n, 2 * n, 1))


inv = _row("inv", _matrix, _inv, (_inv_grad,))
cofactor = _row("cofactor", _row_major, _cofactor, (_cofactor_grad,))
det = _row(
    "det", _number, lambda a, arg=None: np.linalg.det(a),
    (lambda g, out, a: _scaled(g, cofactor(a)),),
)  # fmt: skip
signdet = _row(
    "signdet", _number, lambda a, arg=None: np.linalg.slogdet(a)[0],
    (lambda g, out, a: zeros(g, a.shape),),
)  # fmt: skip
logabsdet = _row(
    "logabsdet", _number, lambda a, arg=None: np.linalg.slogdet(a)[1],
    (lambda g, out, a: _scaled(g, transpose(inv(a))),),
)  # fmt: skip
pinv = _row("pinv", _transposed, _pinv, (_pinv_grad,))
expm = _row("expm", _row_major, _expm, (_expm_grad,))


# ---------------------------------------------------------------- equations
def _solve(a: Any, b: Any, arg: Any = None) -> Any:
    try:
        return np.linalg.solve(a, b)
    except np.linalg.LinAlgError:
        raise LinAlgError(
            "torch.linalg.solve: The solver failed because the input matrix is singular."
        ) from None


def _solve_grad(i: int, g: Val, out: Val, a: Val, b: Val) -> Val:
    back = solve(transpose(a), g)
    if i == 1:
        return sum_to(back, b.shape)
    return sum_to(-matmul(back, transpose(out)), a.shape)


def _solve_triangular(a: Any, b: Any, arg: Any = None) -> Any:
    from scipy.linalg import lapack

    upper_, unit = arg
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a = np.broadcast_to(a, (*batch, *a.shape[-2:]))
    out = np.array(np.broadcast_to(b, (*batch, *b.shape[-2:])))
    trtrs = lapack.dtrtrs if a.dtype == np.float64 else lapack.strtrs
    for at in np.ndindex(batch):
        if out[at].size:
            found, info = trtrs(a[at], out[at], lower=not upper_, unitdiag=unit)
            out[at] = found if not info else np.inf
    return out


def _triangular_grad(i: int, g: Val, out: Val, a: Val, b: Val) -> Val:
    upper_, unit = out.arg
    back = solve_triangular(transpose(a), g, arg=(not upper_, unit))
    if i == 1:
        return sum_to(back, b.shape)
    full = -matmul(back, transpose(out))
    full = upper(full) if upper_ else lower(full)
    return sum_to(on_diagonal(full, 0.0, full) if unit else full, a.shape)


solve = _row("solve", _solution, _solve, _solve_grad)
solve_triangular = _row("solve_triangular", _solution, _solve_triangular, _triangular_grad)


# ---------------------------------------------------------------- Cholesky
def _factor(a: Any) -> tuple[Any, int]:
    from scipy.linalg import lapack

    if not a.size:
        return a, 0
    potrf = lapack.dpotrf if a.dtype == np.float64 else lapack.spotrf
    found, info = potrf(a, lower=1, clean=1)
    return found, int(info)


def _cholesky(a: Any, arg: Any = None) -> Any:
    out = np.empty_like(a)
    for at in np.ndindex(a.shape[:-2]):
        found, info = _factor(a[at])
        if info and arg:
            where_ = f"(Batch element {at[-1]}): " if at else ""
            raise LinAlgError(
                f"linalg.cholesky: {where_}The factorization could not be completed because the "
                f"input is not positive-definite (the leading minor of order {info} is not "
                "positive-definite)."
            )
        out[at] = found
    return out


def _cholesky_grad(g: Val, out: Val, a: Val) -> Val:
    phi = lower(matmul(transpose(out), g))
    phi = on_diagonal(phi, phi * 0.5, phi)
    half = solve_triangular(transpose(out), phi, arg=(True, False))  # L^-T phi
    full = transpose(solve_triangular(transpose(out), transpose(half), arg=(True, False)))
    return (full + transpose(full)) * 0.5


cholesky = _row("cholesky", _matrix, _cholesky, (_cholesky_grad,))
cholesky_info = _row(
    "cholesky_info", _whole(lambda shape: (), dt.int32),
    lambda a, arg=None: _unbatched(lambda one: _factor(one)[1], a, (), np.int32),
)  # fmt: skip


# ---------------------------------------------------------------- eigenvalues, singular values
def _eigh(a: Any, arg: Any = None) -> Any:
    w, v = np.linalg.eigh(a, "U" if arg else "L")
    return _pack((w, v), a.shape[:-2])


def _eigh_grad(g: Val, out: Val, a: Val) -> Val:
    sizes = eigh_sizes(a.shape[-2:], None)
    (w, v), (gw, gv) = parts(out, sizes), parts(g, sizes)
    d = len(w.shape)
    away = unsqueeze(w, arg=d - 1) - unsqueeze(w, arg=d)
    turn = matmul(transpose(v), gv)
    turn = (turn - transpose(turn)) * 0.5  # eigenvectors of a symmetric matrix can only rotate
    inner = on_diagonal(away, 0.0, _quotient(turn, on_diagonal(away, 1.0, away)))
    return matmul(matmul(v, inner + diag(gw)), transpose(v))


def _svd(a: Any, arg: Any = None) -> Any:
    u, s, vh = np.linalg.svd(a, full_matrices=bool(arg))
    return _pack((u, s, vh), a.shape[:-2])


def _svd_grad(g: Val, out: Val, a: Val) -> Val:
    """By the first min(m, n) vectors of each side."""
    m, n = a.shape[-2:]
    k, d = min(m, n), len(a.shape)
    sizes = svd_sizes((m, n), out.arg)
    (u, s, vh), (gu, gs, gvh) = parts(out, sizes), parts(g, sizes)
    u, gu = (slice_(x, arg=(d - 1, 0, k, 1)) for x in (u, gu))
    vh, gvh = (slice_(x, arg=(d - 2, 0, k, 1)) for x in (vh, gvh))
    column = unsqueeze(s, arg=d - 1)
    row = unsqueeze(s, arg=d - 2)
    squares = (row - column) * (row + column)
    squares = on_diagonal(squares, 1.0, squares)

    def turned(x: Val) -> Val:
        return _quotient(x - transpose(x), squares)

    left, right = matmul(transpose(u), gu), matmul(gvh, transpose(vh))
    core = turned(left) * row + turned(transpose(right)) * column + diag(gs)
    made = matmul(matmul(u, core), vh)
    if m > k:
        rest = _quotient(gu - matmul(u, left), row + zeros(gu, gu.shape))
        made = made + matmul(rest, vh)
    if n > k:
        rest = _quotient(gvh - matmul(right, vh), column + zeros(gvh, gvh.shape))
        made = made + matmul(u, rest)
    return made


eigh = _row("eigh", _packed(eigh_sizes), _eigh, (_eigh_grad,))
svd = _row("svd", _packed(svd_sizes), _svd, (_svd_grad,))


# ---------------------------------------------------------------- QR
def _qr(a: Any, arg: Any = None) -> Any:
    q, r = np.linalg.qr(a, "complete" if arg else "reduced")
    return _pack((q, r), a.shape[:-2])


def _qr_grad(g: Val, out: Val, a: Val) -> Val:
    m, n = a.shape[-2:]
    d = len(a.shape)
    if out.arg and m > n:
        raise RuntimeError(
            "The QR decomposition is not differentiable when mode='complete' and nrows > ncols"
        )
    sizes = qr_sizes((m, n), out.arg)
    (q, r), (gq, gr) = parts(out, sizes), parts(g, sizes)
    wide = None
    if m < n:  # a = [a1 a2]: r2 = q^T a2
        a2, gr2 = (slice_(x, arg=(d - 1, m, n, 1)) for x in (a, gr))
        r, gr = (slice_(x, arg=(d - 1, 0, m, 1)) for x in (r, gr))
        gq = gq + matmul(a2, transpose(gr2))
        wide = matmul(q, gr2)
    middle = upper(matmul(gr, transpose(r)) - matmul(transpose(q), gq))
    both = middle + transpose(middle)
    both = on_diagonal(both, both * 0.5, both)
    made = gq + matmul(q, both)
    made = transpose(solve_triangular(r, transpose(made), arg=(True, False)))
    return made if wide is None else cat(made, wide, arg=d - 1)


qr = _row("qr", _packed(qr_sizes), _qr, (_qr_grad,))


# ---------------------------------------------------------------- LU
def _getrf(a: Any) -> tuple[Any, Any]:
    from scipy.linalg import lapack

    if not a.size:
        return a, np.zeros(min(a.shape), np.int32)
    getrf = lapack.dgetrf if a.dtype == np.float64 else lapack.sgetrf
    found, pivots, _ = getrf(a)
    return found, pivots


def _lu(a: Any, arg: Any = None) -> Any:
    batch, (m, n) = a.shape[:-2], a.shape[-2:]
    k = min(m, n)
    both = _unbatched(lambda one: _getrf(one)[0], a, (m, n), a.dtype)
    low = np.tril(both[..., :k], -1) + np.eye(m, k, dtype=a.dtype)
    return _pack((low, np.triu(both[..., :k, :])), batch)


def _order(a: Any, arg: Any = None) -> Any:
    def one(x: Any) -> Any:
        order = np.arange(x.shape[0])
        for i, p in enumerate(_getrf(x)[1]):
            order[[i, p]] = order[[p, i]]
        return order

    return _unbatched(one, a, a.shape[-2:-1], np.int64)


def _lu_grad(g: Val, out: Val, a: Val) -> Val:
    """For rows in order; whoever asks puts them there (`lu_order` is piecewise constant)."""
    m, n = a.shape[-2:]
    k, d = min(m, n), len(a.shape)
    sizes = lu_sizes((m, n), None)
    (low, up), (gl, gu) = parts(out, sizes), parts(g, sizes)
    wide = tall = None
    l1, u1, gl1, gu1 = low, up, gl, gu
    if n > k:  # u = [u1 u2], u2 = l^-1 a2
        u1, gu1 = (slice_(x, arg=(d - 1, 0, k, 1)) for x in (up, gu))
        u2, gu2 = (slice_(x, arg=(d - 1, k, n, 1)) for x in (up, gu))
        wide = solve_triangular(transpose(low), gu2, arg=(True, True))
        gl1 = gl - matmul(wide, transpose(u2))
    if m > k:  # l = [l1; l2], l2 = a2 u^-1
        l1, gl1 = (slice_(x, arg=(d - 2, 0, k, 1)) for x in (low, gl))
        l2, gl2 = (slice_(x, arg=(d - 2, k, m, 1)) for x in (low, gl))
        tall = transpose(solve_triangular(up, transpose(gl2), arg=(True, False)))
        gu1 = gu - matmul(transpose(l2), tall)
    left, right = matmul(transpose(l1), gl1), matmul(gu1, transpose(u1))
    left = lower(left)
    inner = on_diagonal(left, 0.0, left) + upper(right)
    made = solve_triangular(transpose(l1), inner, arg=(True, True))
    made = transpose(solve_triangular(u1, transpose(made), arg=(True, False)))
    if wide is not None:
        return cat(made, wide, arg=d - 1)
    return made if tall is None else cat(made, tall, arg=d - 2)


lu = _row("lu", _packed(lu_sizes), _lu, (_lu_grad,))
lu_order = _row("lu_order", _whole(lambda shape: shape[:1], dt.int64), _order)
lu_pivots = _row(
    "lu_pivots", _whole(lambda shape: (min(shape),), dt.int32),
    lambda a, arg=None: _unbatched(
        lambda one: _getrf(one)[1] + 1, a, (min(a.shape[-2:]),), np.int32
    ),
)  # fmt: skip
