"""PyTorch's format before 1.6: pickles one after another, then the storages' bytes."""

from __future__ import annotations

import pickle
import struct
import sys
from typing import Any, Final

from .pickler import dumps
from .storages import UntypedStorage, checked_id, content, is_typed, restorer
from .unpickler import loads_anything, loads_weights

MAGIC_NUMBER: Final = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION: Final = 1001


def write(obj: Any, out: Any, pickle_module: Any, protocol: int) -> None:
    """Write an object in the old format."""
    facts = {
        "protocol_version": PROTOCOL_VERSION,
        "little_endian": sys.byteorder == "little",
        "type_sizes": {"short": 2, "int": 4, "long": 4},
    }
    data, storages = dumps(obj, pickle_module, protocol, old=True)
    for head in (MAGIC_NUMBER, PROTOCOL_VERSION, facts):
        out.write(pickle.dumps(head, protocol))
    out.write(data)
    keys = sorted(storages)
    out.write(pickle.dumps(keys, protocol))
    for key in keys:
        memory = content(storages[key])
        kind = storages[key].spec.dtype
        size = kind.itemsize if is_typed(kind) else 1
        out.write(struct.pack("<q", memory.size // size))
        out.write(memoryview(memory) if sys.byteorder == "little" else _little(memory, size))


def _little(memory: Any, size: int) -> bytes:
    if size > 1:
        memory = memory.view(f"u{size}").byteswap()
    return memory.tobytes()  # type: ignore[no-any-return]


def read(
    file: Any, map_location: Any, pickle_module: Any, weights_only: bool, arguments: dict[str, Any]
) -> Any:
    """Read an object in the old format.

    Raises:
        RuntimeError: the file is of another kind, damaged or cut off.
    """
    start = file.tell()
    data = file.read()
    if not data:
        raise EOFError("Ran out of input")
    if data[257:262] == b"ustar":
        raise RuntimeError(
            "the file is in PyTorch's oldest format (tar, before 0.2): load it with PyTorch and "
            "save it again"
        )
    storages = _Storages(len(data), map_location)

    def unpickled(at: int, persistent: Any = None) -> tuple[Any, int]:
        if weights_only:
            return loads_weights(data, persistent, at)
        return loads_anything(data, persistent, pickle_module, arguments, at)

    number, at = unpickled(0)
    if number != MAGIC_NUMBER:
        raise RuntimeError("Invalid magic number; corrupt file?")
    version, at = unpickled(at)
    if version != PROTOCOL_VERSION:
        raise RuntimeError(f"Invalid protocol version: {version}")
    _, at = unpickled(at)
    out, at = unpickled(at, storages.get)
    keys, at = unpickled(at)
    if not isinstance(keys, list):
        raise RuntimeError("the list of storages is damaged")
    for key in keys:
        at = storages.fill(key, data, at)
    storages.check()
    if hasattr(file, "seek"):
        file.seek(start + at)
    return out


class _Storages:
    """Storages that the pickle refers to: memory at first, its bytes when the pickle has ended."""

    def __init__(self, room: int, map_location: Any) -> None:
        self._restore = restorer(map_location)
        self._left = room
        self._memory: dict[str, UntypedStorage] = {}
        self._restored: dict[str, UntypedStorage] = {}
        self._views: dict[Any, UntypedStorage] = {}

    def get(self, identity: Any) -> Any:
        """The storage of ``('storage', type, key, location, numel, view)``."""
        if isinstance(identity, tuple) and identity and identity[0] in ("module", b"module"):
            return identity[1]  # a class with its source, which is not looked at
        kind, key, location, count = checked_id(identity, 6)
        found = self._restored.get(key)
        if found is None:
            nbytes = count * kind.dtype.itemsize
            self._left -= nbytes
            if self._left < 0:
                raise RuntimeError(
                    f"storage {key!r} is to have {nbytes} bytes, more than the file holds: it is "
                    "cut off or damaged"
                )
            memory = UntypedStorage.new(nbytes, kind.dtype)
            memory.array()[...] = 0
            found = self._restore(memory, location)
            self._memory[key] = memory
            self._restored[key] = found
        view = identity[5]
        return found if view is None else self._view(found, view)

    def _view(self, root: UntypedStorage, view: Any) -> UntypedStorage:
        """A part of a storage, which very old files refer to by a key of its own."""
        if not isinstance(view, tuple) or len(view) != 3:
            raise RuntimeError("a view of a storage has a key, an offset and a size")
        key, offset, count = view
        size = root.dtype.itemsize
        if (
            type(offset) is not int
            or type(count) is not int
            or min(offset, count) < 0
            or (offset + count) * size > root.nbytes()
        ):
            raise RuntimeError(f"the view {view!r:.100} reaches outside of its storage")
        if offset or count * size != root.nbytes():
            raise NotImplementedError(
                "the file has views of storages (PyTorch before 0.4): load it with PyTorch and "
                "save it again"
            )
        return self._views.setdefault(key, root)

    def fill(self, key: Any, data: bytes, at: int) -> int:
        """Take a storage's bytes from the file; where they end."""
        storage = self._memory.get(key) if isinstance(key, str) else None
        if storage is None:
            raise RuntimeError(f"the file has a storage {key!r:.100} that nothing refers to")
        if at + 8 > len(data):
            raise RuntimeError("the file is cut off before the bytes of a storage")
        (count,) = struct.unpack_from("<q", data, at)
        nbytes = storage.nbytes()
        if count * storage.dtype.itemsize != nbytes:
            raise RuntimeError(
                f"storage {key!r} has {count} elements in the file, but {storage.size()} in its "
                "pickle: the file is damaged"
            )
        at += 8
        if at + nbytes > len(data):
            raise RuntimeError(f"the file ends inside the bytes of storage {key!r}")
        if nbytes:
            import numpy as np

            storage.array()[...] = np.frombuffer(data, np.uint8, nbytes, at)
        if sys.byteorder == "big":
            storage.byteswap(storage.dtype)
        del self._memory[key]
        return at + nbytes

    def check(self) -> None:
        """`RuntimeError` when the bytes of a storage are missing."""
        if self._memory:
            raise RuntimeError(f"the file lacks the bytes of storages {sorted(self._memory)}")
