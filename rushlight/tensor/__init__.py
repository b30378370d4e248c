"""The public tensor API: every family attaches its methods to `Tensor` and enters its functions.

`FUNCTIONS` has the functions of the public namespace by name, for `rushlight/__init__.py`.
"""

from __future__ import annotations

from rushlight.engine import Tensor
from rushlight.tensor import (
    combine,
    complexes,
    composed,
    convert,
    copies,
    creation,
    display,
    factors,
    fourier,
    frames,
    gather,
    history,
    indexing,
    join,
    kinds,
    legacy,
    linalg_basic,
    math,
    matrices,
    more,
    natives,
    order,
    protocol,
    random,
    reduce,
    samples,
    shape,
    sharing,
    sparse,
    special,
    spectra,
    storage,
    windows,
)
from rushlight.tensor.install import FUNCTIONS, numpy_names
from rushlight.tensor.matrices import LINALG
from rushlight.tensor.special import SPECIAL

numpy_names()

__all__ = [
    "FUNCTIONS",
    "LINALG",
    "SPECIAL",
    "Tensor",
    "combine",
    "complexes",
    "composed",
    "convert",
    "copies",
    "creation",
    "display",
    "factors",
    "fourier",
    "frames",
    "gather",
    "history",
    "indexing",
    "join",
    "kinds",
    "legacy",
    "linalg_basic",
    "math",
    "matrices",
    "more",
    "natives",
    "order",
    "protocol",
    "random",
    "reduce",
    "samples",
    "shape",
    "sharing",
    "sparse",
    "special",
    "spectra",
    "storage",
    "windows",
]
