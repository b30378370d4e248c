"""Storages: the memory behind tensors, as bytes (`UntypedStorage`) or elements (`TypedStorage`).

A storage is a flat tensor over all of the memory; what is written through it every tensor on that
memory sees, and the other way round.  Elements of memory have one type: a storage of bytes takes
the type of the first tensor that is set on it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.base.device import CPU
from rushlight.base.shape import contiguous_strides, numel
from rushlight.engine import Tensor
from rushlight.graph.ops import movement
from rushlight.tensor.install import element_type, function, method
from rushlight.tensor.kinds import get_default_dtype
from rushlight.tensor.shape import look

_TYPED: Final = (
    *("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"),
    *("bfloat16", "complex128", "complex64"),
)
_OLD: Final = (
    "TypedStorage is deprecated. It will be removed in the future and UntypedStorage will be the "
    "only storage class. This should only matter to you if you are using storages directly.  To "
    "access UntypedStorage directly, use tensor.untyped_storage() instead of tensor.storage()"
)


def _whole(x: Tensor) -> Tensor:
    """All elements of the memory that a tensor is on, as a flat tensor without history."""
    plain = engine.detach(x)
    engine.read(plain)
    memory = plain.st
    assert memory is not None
    before = engine.set_grad_enabled(False)
    try:
        return look(movement.as_strided, plain, ((numel(memory.spec.shape),), (1,), 0))
    finally:
        engine.set_grad_enabled(before)


def _fresh(values: Any, kind: dt.dtype) -> Tensor:
    made: Tensor = engine.from_array(values, kind, CPU)
    return made


class UntypedStorage:
    """The bytes of memory that tensors share.

    Args:
        what: how many bytes (they are zero), or the bytes.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor([1, 2], dtype=torch.int16)
        >>> x.untyped_storage().tolist()
        [1, 0, 2, 0]
    """

    def __init__(self, what: Any = 0, *, device: Any = None) -> None:
        if isinstance(what, int):
            if what < 0:
                raise RuntimeError(f"UntypedStorage(): a negative number of bytes, {what}")
            values = np.zeros(what, np.uint8)
        else:
            values = np.array(list(what), np.uint8)
        self._flat = _fresh(values, dt.uint8)
        self._free = True  # no tensor is on it yet
        self._of: Tensor | None = None

    @classmethod
    def _over(cls, x: Tensor) -> UntypedStorage:
        made = cls.__new__(cls)
        made._flat = _whole(x)
        made._free = False
        made._of = x
        return made

    def _as(self, kind: dt.dtype) -> Tensor:
        """The memory as elements of a type."""
        if kind is not self._flat.dtype:
            size = kind.itemsize
            if not self._free:
                raise NotImplementedError(
                    f"set_: a storage whose elements are {self._flat.dtype} has no tensors of type "
                    f"{kind}: memory has one type here; view(dtype) gives a copy"
                )
            values = self._bytes()
            values = values[: len(values) // size * size]
            self._flat = _fresh(np.frombuffer(values.tobytes(), dt.array_type(kind)), kind)
        return self._flat

    def _bytes(self) -> Any:
        values = np.ascontiguousarray(engine.read(self._flat))
        return np.frombuffer(values.tobytes(), np.uint8)

    def _put(self, values: Any) -> None:
        """Write all bytes."""
        kind = self._flat.dtype
        engine.assign(self._flat, _fresh(values.view(dt.array_type(kind)), kind))

    def _place(self, at: int) -> int:
        if not isinstance(at, int):
            raise TypeError(f"can't index a {type(self).__name__} with {type(at).__name__}")
        n = len(self)
        if not -n <= at < n:
            raise IndexError(f"index {at} out of range for storage of size {n}")
        return int(at) % n

    def __len__(self) -> int:
        return int(self._flat.shape[0]) * int(self._flat.dtype.itemsize)

    def nbytes(self) -> int:
        """How many bytes."""
        return len(self)

    def size(self) -> int:
        """How many bytes."""
        return len(self)

    def element_size(self) -> int:
        """1: an element is a byte."""
        return 1

    def data_ptr(self) -> int:
        """Where the memory begins; 0 for no bytes."""
        return engine.address(self._flat) if len(self) else 0

    @property
    def _cdata(self) -> int:
        return id(self._flat.st)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UntypedStorage) and self._flat.st is other._flat.st

    def __hash__(self) -> int:
        return hash(self._cdata)

    @property
    def device(self) -> Any:
        """Where it is."""
        return self._flat.device

    @property
    def is_cuda(self) -> bool:
        """Whether it is on a GPU."""
        return bool(self.device.type == "cuda")

    @property
    def filename(self) -> None:
        """None: the memory is of no file."""
        return None

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            if at.step not in (None, 1):
                raise RuntimeError("Trying to slice with a step of other than 1, which is not "
                                   "supported")  # fmt: skip
            return UntypedStorage(self._bytes()[at].tolist())
        return int(self._bytes()[self._place(at)])

    def __setitem__(self, at: Any, value: int) -> None:
        values = self._bytes().copy()
        values[at if isinstance(at, slice) else self._place(at)] = int(value) & 255
        self._put(values)

    def __iter__(self) -> Iterator[int]:
        return iter(self.tolist())

    def tolist(self) -> list[int]:
        """The bytes."""
        found: list[int] = self._bytes().tolist()
        return found

    def fill_(self, value: int) -> UntypedStorage:
        """Set every byte."""
        self._put(np.full(len(self), int(value) & 255, np.uint8))
        return self

    def copy_(self, source: Any, non_blocking: bool = False) -> UntypedStorage:
        """Take the bytes of another storage of the same size."""
        values = source.untyped()._bytes()
        if len(values) != len(self):
            raise RuntimeError("size does not match, self was "
                               f"{len(self)} bytes but src was {len(values)} bytes")  # fmt: skip
        self._put(values)
        return self

    def clone(self) -> UntypedStorage:
        """A copy."""
        made = UntypedStorage()
        made._flat = _fresh(engine.read(self._flat).copy(), self._flat.dtype)
        return made

    def cpu(self) -> UntypedStorage:
        """Itself: it is on the CPU."""
        return self

    def untyped(self) -> UntypedStorage:
        """Itself."""
        return self

    def resize_(self, size: int) -> UntypedStorage:
        """Change how many bytes there are, of a storage that no tensor is on."""
        if size == len(self):
            return self
        if not self._free:
            raise NotImplementedError(
                "resize_: the storage of a tensor keeps its size; tensor.resize_ takes new memory"
            )
        values = np.zeros(size, np.uint8)
        old = self._bytes()[:size]
        values[: len(old)] = old
        self._flat = _fresh(values, dt.uint8)
        return self

    def is_shared(self) -> bool:
        """Whether other processes see the bytes."""
        return bool(_tensor(self._flat).is_shared())

    def share_memory_(self) -> UntypedStorage:
        """Move the tensor that this storage was taken from to shared memory; itself."""
        here = self._of
        if here is not None and here.st is self._flat.st:
            _tensor(here).share_memory_()
            self._flat = _whole(here)
        else:
            _tensor(self._flat).share_memory_()
        return self

    def is_pinned(self, device: Any = "cuda") -> bool:
        """False: memory is memory."""
        return False

    def type(self, dtype: Any = None, non_blocking: bool = False) -> Any:
        """The class's name."""
        return "torch.storage.UntypedStorage" if dtype is None else TypedStorage(
            wrap_storage=self, dtype=dtype
        )  # fmt: skip

    def __reduce__(self) -> Any:
        return _again, (self._bytes().tobytes(), self._flat.dtype, self._free)

    def __copy__(self) -> UntypedStorage:
        return self.clone()

    def __repr__(self) -> str:
        lines = "\n ".join(map(str, self.tolist()))
        return f" {lines}\n[torch.storage.UntypedStorage(device={self.device}) of size {len(self)}]"


def _tensor(x: Any) -> Any:
    return x


def _again(content: bytes, kind: dt.dtype, free: bool) -> UntypedStorage:
    """A storage from its pickle."""
    made = UntypedStorage()
    made._flat = _fresh(np.frombuffer(content, dt.array_type(kind)), kind)
    made._free = free
    return made


class TypedStorage:
    """The elements of memory that tensors share.

    Args:
        what: how many elements, or the elements.
        wrap_storage: the memory, instead.
        dtype: the type of the elements.
    """

    def __init__(
        self,
        what: Any = 0,
        *,
        wrap_storage: UntypedStorage | None = None,
        dtype: Any = None,
        device: Any = None,
        _internal: bool = False,
    ) -> None:
        kind = get_default_dtype() if dtype is None else element_type(dtype, "TypedStorage")
        self.dtype: dt.dtype = kind
        if wrap_storage is not None:
            self._memory = wrap_storage
        elif isinstance(what, int):
            self._memory = UntypedStorage(what * kind.itemsize)
        else:
            values = np.array(list(what), dt.array_type(kind))
            self._memory = UntypedStorage()
            self._memory._flat = _fresh(values, kind)

    def untyped(self) -> UntypedStorage:
        """The memory as bytes."""
        return self._memory

    def _untyped(self) -> UntypedStorage:
        return self._memory

    @property
    def _flat(self) -> Any:
        """The elements as a tensor: on the memory where that has their type, else a copy."""
        memory = self._memory
        if memory._free or memory._flat.dtype is self.dtype:
            return memory._as(self.dtype)
        values = memory._bytes()
        size = self.dtype.itemsize
        whole = values[: len(values) // size * size].tobytes()
        return _fresh(np.frombuffer(whole, dt.array_type(self.dtype)), self.dtype)

    def __len__(self) -> int:
        return len(self._memory) // self.dtype.itemsize

    def size(self) -> int:
        """How many elements."""
        return len(self)

    def nbytes(self) -> int:
        """How many bytes."""
        return len(self._memory)

    def element_size(self) -> int:
        """Bytes of an element."""
        return int(self.dtype.itemsize)

    def data_ptr(self) -> int:
        """Where the memory begins; 0 for no bytes."""
        return self._memory.data_ptr()

    @property
    def _cdata(self) -> int:
        return self._memory._cdata

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, TypedStorage)
            and self.dtype is other.dtype
            and self._memory == other._memory
        )

    def __hash__(self) -> int:
        return hash((self._memory, self.dtype))

    @property
    def device(self) -> Any:
        """Where it is."""
        return self._memory.device

    @property
    def is_cuda(self) -> bool:
        """Whether it is on a GPU."""
        return self._memory.is_cuda

    def __getitem__(self, at: int) -> Any:
        if isinstance(at, slice):
            raise RuntimeError("slices are only supported in UntypedStorage.__getitem__")
        n = len(self)
        if not -n <= at < n:
            raise IndexError(f"index {at} out of range for storage of size {n}")
        return self._flat[at % n].item()

    def __setitem__(self, at: Any, value: Any) -> None:
        flat = self._flat
        if isinstance(at, int) and not -len(self) <= at < len(self):
            raise IndexError(f"index {at} out of range for storage of size {len(self)}")
        flat[at] = value
        if flat is not self._memory._flat:
            self._memory._put(np.frombuffer(engine.read(flat).tobytes(), np.uint8))

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def tolist(self) -> list[Any]:
        """The elements."""
        found: list[Any] = self._flat.tolist()
        return found

    def fill_(self, value: Any) -> TypedStorage:
        """Set every element."""
        self[:] = value
        return self

    def copy_(self, source: Any, non_blocking: bool | None = None) -> TypedStorage:
        """Take the elements of another storage of the same size."""
        if len(source) != len(self):
            raise RuntimeError(
                f"size does not match, self was {len(self)} elements but src was {len(source)}"
            )
        self[:] = source._flat.to(self.dtype)
        return self

    def clone(self) -> TypedStorage:
        """A copy."""
        return TypedStorage(wrap_storage=self._memory.clone(), dtype=self.dtype)

    def __copy__(self) -> TypedStorage:
        return self.clone()

    def cpu(self) -> TypedStorage:
        """Itself: it is on the CPU."""
        return self

    def type(self, dtype: Any = None, non_blocking: bool = False) -> Any:
        """The class's name, or the elements as another type."""
        if dtype is None:
            return f"torch.{self.pickle_storage_type()}"
        return self._to(element_type(dtype, "type"))

    def pickle_storage_type(self) -> str:
        """`FloatStorage` for float32."""
        return f"{self.dtype.typename}Storage"

    def _to(self, kind: Any) -> TypedStorage:
        made = TypedStorage(dtype=kind)
        made._memory._flat = self._flat.to(kind).clone()
        return made

    def resize_(self, size: int) -> TypedStorage:
        """Change how many elements there are, of a storage that no tensor is on."""
        values = self._flat
        if size != len(self):
            self._memory.resize_(size * self.dtype.itemsize)
            fitting = min(size, values.shape[0])
            self._flat[:fitting] = values[:fitting]
        return self

    def is_shared(self) -> bool:
        """Whether other processes see the elements."""
        return self._memory.is_shared()

    def share_memory_(self) -> TypedStorage:
        """Move the tensor that this storage was taken from to shared memory; itself."""
        self._memory.share_memory_()
        return self

    def is_pinned(self, device: Any = "cuda") -> bool:
        """False: memory is memory."""
        return False

    def __reduce__(self) -> Any:
        return _typed_again, (self._memory, self.dtype)

    def __repr__(self) -> str:
        lines = "\n ".join(map(str, self.tolist()))
        return (
            f" {lines}\n[torch.storage.TypedStorage(dtype={self.dtype}, device={self.device}) of "
            f"size {len(self)}]"
        )


def _typed_again(memory: UntypedStorage, kind: dt.dtype) -> TypedStorage:
    return TypedStorage(wrap_storage=memory, dtype=kind)


def _conversion(name: str, kind: dt.dtype) -> None:
    def f(self: TypedStorage) -> TypedStorage:
        return self if self.dtype is kind else self._to(kind)

    f.__name__, f.__qualname__ = name, f"TypedStorage.{name}"
    f.__doc__ = f"The elements as {kind.name}."
    setattr(TypedStorage, name, f)


for _name, _kind in (
    *(("double", dt.float64), ("float", dt.float32), ("half", dt.float16), ("long", dt.int64)),
    *(("int", dt.int32), ("short", dt.int16), ("char", dt.int8), ("byte", dt.uint8)),
    *(("bool", dt.bool_), ("bfloat16", dt.bfloat16), ("complex_double", dt.complex128)),
    ("complex_float", dt.complex64),
):
    _conversion(_name, _kind)


class _OfOneType(type):
    """Classes such as `FloatStorage`: typed storages of their type are their instances."""

    dtype: dt.dtype

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, TypedStorage) and instance.dtype is cls.dtype

    def __call__(cls, what: Any = 0, **named: Any) -> TypedStorage:
        return TypedStorage(what, dtype=cls.dtype, **named)


#: `FloatStorage` and its like, by name.
TYPES: Final[dict[str, Any]] = {
    f"{kind.typename}Storage": _OfOneType(
        f"{kind.typename}Storage",
        (),
        {"dtype": kind, "__module__": "torch", "__doc__": f"Typed storages of {kind.name}."},
    )
    for kind in dt.ALL
    if kind.name in _TYPED
}


# --------------------------------------------------------------------------- of tensors


@method()
def untyped_storage(self: Tensor) -> UntypedStorage:
    """The memory that the tensor is on, as bytes."""
    return UntypedStorage._over(self)


_TOLD: Final[set[str]] = set()


@method()
def storage(self: Tensor) -> TypedStorage:
    """The memory that the tensor is on, as elements."""
    if "storage" not in _TOLD:
        _TOLD.add("storage")
        warnings.warn(_OLD, UserWarning, stacklevel=2)
    return TypedStorage(wrap_storage=UntypedStorage._over(self), dtype=self.dtype)


@method()
def storage_type(self: Tensor) -> Any:
    """The class of typed storages for this type of elements."""
    return TYPES[f"{self.dtype.typename}Storage"]


@method()
def set_(
    self: Tensor,
    source: Any = None,
    storage_offset: int = 0,
    size: Any = None,
    stride: Any = None,
) -> Tensor:
    """Put the tensor on other memory: a tensor's, or a storage's from an offset on.

    Raises:
        RuntimeError: for a leaf that needs a gradient, for elements of another type, and for sizes
            that reach outside of the storage.
    """
    if self.requires_grad and engine.is_grad_enabled():
        raise RuntimeError(
            "a leaf Variable that requires grad is being used in an in-place operation."
        )
    kind = self.dtype
    if isinstance(source, Tensor):
        if source.dtype is not kind:
            raise RuntimeError(
                f"Could not set tensor of type {_word(source.dtype)} to a tensor of type "
                f"{_word(kind)}"
            )
        if size is None:
            engine.set_data(self, engine.detach(source))
            return self
        memory, start = UntypedStorage._over(source), storage_offset
    elif source is None:
        engine.set_data(self, _fresh(np.empty(0, dt.array_type(kind)), kind))
        return self
    else:
        if isinstance(source, TypedStorage) and source.dtype is not kind:
            raise RuntimeError(
                f"Expected a Storage of type {_word(kind)} or an UntypedStorage, but got type "
                f"{source.dtype.typename} for argument 1 'storage'"
            )
        memory = source.untyped()
        start = storage_offset
    if size is None:
        shape: tuple[int, ...] = (len(memory) // kind.itemsize - start,)
    else:
        shape = (size,) if isinstance(size, int) else tuple(size)
    steps = contiguous_strides(shape) if stride is None else tuple(stride)
    flat = memory._as(kind)
    memory._free = False
    engine.set_data(self, _tensor(flat).as_strided(shape, steps, start))
    return self


def _word(kind: dt.dtype) -> str:
    return kind.alias or kind.name


@function("is_storage")
def is_storage(obj: Any, /) -> bool:
    """Whether something is a storage."""
    return isinstance(obj, UntypedStorage | TypedStorage)


for _class in (UntypedStorage, TypedStorage):
    _class.__module__ = "torch.storage"  # where users find them

__all__ = ["TYPES", "TypedStorage", "UntypedStorage", "is_storage"]
