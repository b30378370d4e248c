"""The operation table.  Importing this package fills it."""

from . import core, elementwise, movement

__all__ = ["core", "elementwise", "movement"]
