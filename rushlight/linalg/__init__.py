"""`torch.linalg`: decompositions, equations, inverses, norms and products of matrices.

Decompositions and what `torch` shows too are defined in `tensor/matrices.py` and
`tensor/factors.py`; norms and products are here.
"""

from __future__ import annotations

from rushlight.linalg.norms import cond, matrix_norm, norm, vector_norm
from rushlight.linalg.products import (
    cross,
    diagonal,
    householder_product,
    matmul,
    multi_dot,
    tensorinv,
    tensorsolve,
    vander,
    vecdot,
)
from rushlight.tensor import spectra as _spectra  # noqa: F401 - enters its functions
from rushlight.tensor.matrices import LINALG as _LINALG

globals().update(_LINALG)

__all__ = [
    "cond",
    "cross",
    "diagonal",
    "householder_product",
    "matmul",
    "matrix_norm",
    "multi_dot",
    "norm",
    "tensorinv",
    "tensorsolve",
    "vander",
    "vecdot",
    "vector_norm",
]
__all__.extend(_LINALG)
