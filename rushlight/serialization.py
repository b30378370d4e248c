"""``torch.serialization``: saving, loading, and what loading weights may make."""

from __future__ import annotations

import os
from typing import Any

from rushlight.io.allowed import (
    add_safe_globals,
    clear_safe_globals,
    get_safe_globals,
    safe_globals,
)
from rushlight.io.archive import Reader
from rushlight.io.checkpoint import DEFAULT_PROTOCOL, load, save
from rushlight.io.legacy import MAGIC_NUMBER, PROTOCOL_VERSION
from rushlight.io.pickler import _get_layout  # noqa: F401 - pickles name it
from rushlight.io.storages import (
    MapLocation,
    StorageType,
    default_restore_location,
    location_tag,
    register_package,
)
from rushlight.io.unpickler import unsafe_names

FILE_LIKE = FileLike = Any
MAP_LOCATION = MapLocation


def get_unsafe_globals_in_checkpoint(f: Any) -> list[str]:
    """What a checkpoint names beyond weights: to be allowed before it loads with
    ``weights_only=True``.  Nothing of the file is run.
    """
    if isinstance(f, str | os.PathLike):
        with open(f, "rb") as file:
            return unsafe_names(Reader(file).read("data.pkl"))
    return unsafe_names(Reader(f).read("data.pkl"))


__all__ = [
    "DEFAULT_PROTOCOL",
    "MAGIC_NUMBER",
    "MAP_LOCATION",
    "PROTOCOL_VERSION",
    "StorageType",
    "add_safe_globals",
    "clear_safe_globals",
    "default_restore_location",
    "get_safe_globals",
    "get_unsafe_globals_in_checkpoint",
    "load",
    "location_tag",
    "register_package",
    "safe_globals",
    "save",
]
