"""The memory behind tensors, as checkpoints see it: flat bytes that several tensors may share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from .. import engine
from ..base import dtype as dt
from ..base.device import CPU, device, located
from ..base.dtype import dtype
from ..base.shape import is_dense, numel
from ..engine import Tensor
from ..engine.leaves import entered
from ..engine.memory import Held
from ..engine.records import Storage
from ..graph.op import Spec
from ..graph.ops import movement
from ..runtime.buffer import Buffer
from ..tensor.shape import look

# Types whose tensors PyTorch writes with a typed storage; tensors of all others carry their type
# themselves and have bytes as storage.
_TYPED: Final = frozenset(
    {
        *("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16"),
        *("float32", "float64", "complex64", "complex128"),
    }
)
_LARGEST: Final = (1 << 63) - 1
_BYTES: Final = np.dtype(np.uint8)


class StorageType:
    """What ``torch.FloatStorage`` stands for in a checkpoint: a type of elements."""

    def __init__(self, kind: dtype) -> None:
        self.dtype = kind

    def __repr__(self) -> str:
        return f"StorageType(dtype={self.dtype})"


UNTYPED: Final = StorageType(dt.uint8)  # torch.storage.UntypedStorage


def storage_name(kind: dtype) -> str:
    """``'FloatStorage'`` for ``float32``, ``'UntypedStorage'`` for types that have none."""
    return f"{kind.typename}Storage" if kind.name in _TYPED else "UntypedStorage"


def is_typed(kind: dtype) -> bool:
    """Does PyTorch write tensors of this type with a typed storage?"""
    return kind.name in _TYPED


STORAGE_TYPES: Final[dict[str, StorageType]] = {
    storage_name(kind): StorageType(kind) for kind in dt.ALL if kind.name in _TYPED
} | {"UntypedStorage": UNTYPED}


# ---------------------------------------------------------------- what tensors have
def storage_of(t: Tensor) -> Any:
    """The engine's storage behind ``t``; pending work runs."""
    engine.read(t)
    s = t.st
    assert s is not None
    return s


def content(s: Any) -> Any:
    """A storage's bytes as a flat array that shares its memory."""
    n = numel(s.spec.shape) * s.spec.dtype.itemsize
    return s.mem.array(_BYTES, (n,), (1,), 0) if n else np.empty(0, np.uint8)


# ---------------------------------------------------------------- what checkpoints have
class UntypedStorage:
    """Bytes read from a checkpoint; tensors on it share them.

    ``map_location`` functions get one, and give one back.
    """

    def __init__(
        self, memory: Any, nbytes: int, kind: dtype = dt.uint8, where: device = CPU
    ) -> None:
        self.memory: Any = memory  # a Buffer or Held; filled before anything reads a tensor on it
        self._nbytes = nbytes
        self.dtype = kind
        self.device = where
        self._bases: dict[dtype, Tensor] = {}

    @classmethod
    def new(cls, nbytes: int, kind: dtype = dt.uint8) -> UntypedStorage:
        """Fresh memory."""
        return cls(Buffer(nbytes), nbytes, kind)

    def array(self) -> Any:
        """The bytes, flat, shared."""
        n = self._nbytes
        return self.memory.array(_BYTES, (n,), (1,), 0) if n else np.empty(0, np.uint8)

    def byteswap(self, kind: dtype) -> None:
        """Turn the order of the bytes of each number around."""
        size = kind.itemsize // 2 if kind.is_complex else kind.itemsize
        if size > 1 and self._nbytes:
            self.array().view(f"u{size}").byteswap(inplace=True)

    def nbytes(self) -> int:
        """How many bytes."""
        return self._nbytes

    def size(self) -> int:
        """How many elements."""
        return self._nbytes // self.dtype.itemsize

    __len__ = size

    @property
    def is_cuda(self) -> bool:
        return self.device.type == "cuda"

    def to(self, where: Any) -> UntypedStorage:
        """The storage on another device; raises PyTorch's errors for devices that are not there."""
        place = located(device(where))
        if place == self.device:
            return self
        out = UntypedStorage(self.memory, self._nbytes, self.dtype, place)
        return out

    def cpu(self) -> UntypedStorage:
        """The storage on the CPU."""
        return self.to("cpu")

    def cuda(self, index: int | None = None, non_blocking: bool = False) -> UntypedStorage:
        """The storage on a GPU."""
        return self.to(device("cuda", index))

    def tensor(
        self, kind: dtype, offset: Any, shape: Any, strides: Any, wants_grad: bool = False
    ) -> Tensor:
        """A tensor on this memory.

        Raises:
            RuntimeError: for sizes, strides or an offset that are no natural numbers or reach
                outside of the storage.
        """
        shape, strides = tuple(shape), tuple(strides)
        _check(shape, strides, offset)
        room = self._nbytes // kind.itemsize
        count = math.prod(shape)
        last = offset + sum((n - 1) * step for n, step in zip(shape, strides))
        if count > _LARGEST or (count and last >= room):
            size = kind.itemsize
            raise RuntimeError(
                f"setStorage: sizes {list(shape)}, strides {list(strides)}, storage offset "
                f"{offset}, and itemsize {size} requiring a storage size of {(last + 1) * size} "
                f"are out of bounds for storage of size {self._nbytes}"
            )
        base = self._bases.get(kind)
        whole = offset == 0 and count == room and is_dense(shape, strides)
        if base is None:
            if count == 0 and room:
                return _empty(shape, kind, self.device, wants_grad)
            if whole:
                spec = Spec(shape, kind, strides, self.device)
            else:
                spec = Spec((room,), kind, None, self.device)
            base = entered(Storage(self.memory if room else Buffer(0), spec), None)
            self._bases[kind] = base
        spec = base.rec.spec
        if spec.shape == shape and spec.strides == strides and offset == 0:
            return engine.become(Tensor, base, wants_grad)  # type: ignore[no-any-return]
        if wants_grad and not is_dense(shape, strides):
            # A leaf's gradient needs memory without gaps: the values move to memory of their own.
            made = _strided(base, shape, strides, offset)
            alone = engine.from_array(engine.read(made), kind, self.device)
            return engine.require_grad(alone, True)
        made = _strided(base, shape, strides, offset)
        return engine.become(Tensor, made, wants_grad)  # type: ignore[no-any-return]


def _strided(base: Tensor, shape: Any, strides: Any, offset: int) -> Tensor:
    before = engine.set_grad_enabled(False)
    try:
        return look(movement.as_strided, base, (shape, strides, offset))
    finally:
        engine.set_grad_enabled(before)


def _empty(shape: Any, kind: dtype, where: device, wants_grad: bool) -> Tensor:
    made = engine.from_array(np.empty(shape, dt.array_type(kind)), kind, where)
    return engine.require_grad(made, True) if wants_grad else made


def _check(shape: tuple[Any, ...], strides: tuple[Any, ...], offset: Any) -> None:
    if len(shape) != len(strides):
        raise RuntimeError(
            f"mismatch in length of strides and shape: sizes {list(shape)}, strides {list(strides)}"
        )
    if len(shape) > 64:
        raise RuntimeError(f"a tensor of {len(shape)} dimensions: at most 64 are possible")
    for n in (*shape, *strides, offset):
        if type(n) is not int:
            raise RuntimeError(f"sizes, strides and offsets are integers, not {type(n).__name__}")
        if n < 0 or n > _LARGEST:
            raise RuntimeError(
                f"sizes, strides and the offset of a tensor must lie between 0 and 2**63 - 1: "
                f"sizes {list(shape)}, strides {list(strides)}, storage offset {offset}"
            )


def held(flat: Any) -> Held:
    """An array's memory as it is, such as a mapped file's."""
    return Held(flat)


def checked_id(identity: Any, length: int) -> tuple[StorageType, str, str, int]:
    """The parts of a reference to a storage, looked at.

    Raises:
        RuntimeError: for anything else.
    """
    if not isinstance(identity, tuple) or len(identity) != length:
        raise RuntimeError(f"a reference to a storage has {length} parts: {identity!r:.100}")
    word, kind, key, location, count = identity[:5]
    if word not in ("storage", b"storage"):
        raise RuntimeError(
            f"Unknown typename for persistent_load, expected 'storage' but got {word!r:.100}"
        )
    if not isinstance(kind, StorageType):
        raise RuntimeError(f"a storage of type {kind!r:.100} is not in Rushlight yet")
    key = key.decode("ascii", "replace") if isinstance(key, bytes) else key
    location = location.decode("ascii", "replace") if isinstance(location, bytes) else location
    if not isinstance(key, str) or not isinstance(location, str):
        raise RuntimeError("the key and the location of a storage are texts")
    if type(count) is not int or count < 0 or count > 1 << 62:
        raise RuntimeError(f"a storage cannot have {count!r:.100} elements")
    return kind, key, location, count


# ---------------------------------------------------------------- where it goes
MapLocation = (
    Callable[[UntypedStorage, str], UntypedStorage | None]
    | device
    | str
    | bytes
    | Mapping[str, str]
    | None
)

Restorer = Callable[[Any, str], Any]
Tagger = Callable[[Any], str | None]
_packages: list[tuple[int, Tagger, Restorer]] = []


def register_package(priority: int, tagger: Tagger, deserializer: Restorer) -> None:
    """Register functions that tag storages with a location and bring them there when loaded."""
    _packages.append((priority, tagger, deserializer))
    _packages.sort(key=lambda item: item[0])


def location_tag(storage: Any) -> str:
    """The location of a storage as checkpoints name it: ``'cpu'``, ``'cuda:0'``."""
    for _, tagger, _ in _packages:
        found = tagger(storage)
        if found:
            return found
    where = storage.device if isinstance(storage, UntypedStorage) else storage.spec.device
    return str(where)


def default_restore_location(storage: Any, location: Any) -> Any:
    """Bring a storage to where its tag says; ``RuntimeError`` in PyTorch's words if that is not
    there.
    """
    for _, _, restore in _packages:
        found = restore(storage, location)
        if found is not None:
            return found
    tag = location.decode("ascii") if isinstance(location, bytes) else str(location)
    if tag.startswith("cuda"):
        try:
            return storage.to(tag)
        except AssertionError:
            raise RuntimeError(
                "Attempting to deserialize object on a CUDA device but torch.cuda.is_available() "
                "is False. If you are running on a CPU-only machine, please use torch.load with "
                "map_location=torch.device('cpu') to map your storages to the CPU."
            ) from None
    try:
        return storage.to(tag)
    except RuntimeError:
        raise RuntimeError(
            "don't know how to restore data location of torch.storage.UntypedStorage (tagged with "
            f"{tag})"
        ) from None


def restorer(map_location: Any) -> Restorer:
    """What ``map_location`` means, as a function of storage and tag."""
    if map_location is None:
        return default_restore_location
    if isinstance(map_location, Mapping):
        return lambda s, tag: default_restore_location(s, map_location.get(tag, tag))
    if isinstance(map_location, str | bytes | device):
        return lambda s, tag: default_restore_location(s, map_location)
    if not callable(map_location):
        raise TypeError(
            "map_location must be a function, torch.device, string or dict, not "
            f"{type(map_location).__name__}"
        )

    def restore(storage: Any, tag: str) -> Any:
        found = map_location(storage, tag)
        return default_restore_location(storage, tag) if found is None else found

    return restore


def geometry(t: Tensor) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """Offset, sizes and strides of ``t`` in its storage."""
    spec = t.rec.spec
    region = t.rec.region
    # Fresh tuples: a pickler that met the same ones again would refer back to them.
    shape = (*spec.shape,)
    if region is not None:
        return region[2], shape, (*region[1],)
    return spec.offset, shape, (*spec.strides,)


__all__ = [
    "STORAGE_TYPES", "UNTYPED", "MapLocation", "StorageType", "UntypedStorage", "checked_id",
    "content", "default_restore_location", "geometry", "held", "is_typed",
    "location_tag", "register_package", "restorer", "storage_name", "storage_of",
]  # fmt: skip
