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
    reduce,
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
    "reduce",
]
