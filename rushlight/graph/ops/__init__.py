"""The operation table.  Importing this package fills it."""

from . import (
    activations,
    contract,
    core,
    division,
    elementwise,
    indexing,
    join,
    losses,
    movement,
    normalised,
    parts,
    powers,
    reduce,
    scans,
    special,
    trigonometry,
)

__all__ = [
    "activations",
    "contract",
    "core",
    "division",
    "elementwise",
    "indexing",
    "join",
    "losses",
    "movement",
    "normalised",
    "parts",
    "powers",
    "reduce",
    "scans",
    "special",
    "trigonometry",
]
