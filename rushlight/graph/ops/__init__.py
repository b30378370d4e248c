"""The operation table.  Importing this package fills it."""

from . import contract, core, elementwise, indexing, join, movement, reduce

__all__ = ["contract", "core", "elementwise", "indexing", "join", "movement", "reduce"]
