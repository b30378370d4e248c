"""Eigenvalues of matrices that need not be symmetric: LAPACK computes them, complex ones.

eig(A)    n eigenvalues, then n x n eigenvectors column by column, in one last dimension
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..op import LIBRARY, Op, Spec, register
from ..value import Val
from .complexes import conj, real
from .contract import matmul, transpose
from .elementwise import cast
from .matrices import _pack, diag, eigh_sizes, on_diagonal, parts, solve
from .movement import diagonal, unsqueeze


def _infer(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    a = srcs[0]
    n = a.shape[-1]
    return Spec((*a.shape[:-2], n + n * n), a.dtype.to_complex(), None, a.device)


def _eig(a: Any, arg: Any = None) -> Any:
    kind = np.result_type(a.dtype, np.complex64)
    w, v = np.linalg.eig(a)
    return _pack((w.astype(kind), v.astype(kind)), a.shape[:-2])


def _adjoint(x: Val) -> Val:
    return conj(transpose(x))


def _grad(g: Val, out: Val, a: Val) -> Val:
    """Eigenvectors are free up to a phase: a gradient that depends on it is not looked for."""
    sizes = eigh_sizes(a.shape[-2:], None)
    (w, v), (gw, gv) = parts(out, sizes), parts(g, sizes)
    d = len(w.shape)
    away = conj(unsqueeze(w, arg=d - 1) - unsqueeze(w, arg=d))
    inner = matmul(_adjoint(v), gv)
    along = real(_diagonal(inner))
    inner = inner - matmul(_adjoint(v), v) * unsqueeze(cast(along, arg=inner.dtype), arg=d - 1)
    inner = on_diagonal(away, 0.0, inner / on_diagonal(away, 1.0, away))
    made = solve(_adjoint(v), matmul(inner + diag(gw), _adjoint(v)))
    return made if a.dtype.kind == "c" else real(made)


def _diagonal(x: Val) -> Val:
    n = len(x.shape)
    return diagonal(x, arg=(0, n - 2, n - 1))


eig: Op = register(Op("eig", LIBRARY, _infer))
eig.call = _eig
eig.grads = (_grad,)
