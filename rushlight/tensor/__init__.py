"""The public tensor API: every family attaches its methods to `Tensor` and enters its functions.

`FUNCTIONS` has the functions of the public namespace by name, for `rushlight/__init__.py`; the
families of `later.py` load when one of their names is first used.
"""

from __future__ import annotations

from rushlight.engine import Tensor
from rushlight.tensor import (
    complexes,
    composed,
    convert,
    creation,
    display,
    gather,
    history,
    indexing,
    join,
    kinds,
    legacy,
    linalg_basic,
    math,
    order,
    protocol,
    random,
    reduce,
    shape,
)
from rushlight.tensor.install import FUNCTIONS, numpy_names

numpy_names()

__all__ = [
    "FUNCTIONS",
    "Tensor",
    "complexes",
    "composed",
    "convert",
    "creation",
    "display",
    "gather",
    "history",
    "indexing",
    "join",
    "kinds",
    "legacy",
    "linalg_basic",
    "math",
    "order",
    "protocol",
    "random",
    "reduce",
    "shape",
]
