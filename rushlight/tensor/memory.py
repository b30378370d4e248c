"""Storages as users see them: `x.storage()` and `x.untyped_storage()`.

A storage is the whole memory that a tensor and its views share. Here it is shown through a flat
tensor on that memory, so that reads and writes take part in what the program records.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.base.dtype import dtype as _dtype
from rushlight.base.shape import numel
from rushlight.engine import Tensor
from rushlight.graph.ops import movement
from rushlight.tensor.creation import tensor
from rushlight.tensor.install import function, method
from rushlight.tensor.shape import look

_DEPRECATED: Final = (
    "TypedStorage is deprecated. It will be removed in the future and UntypedStorage will be the "
    "only storage class. This should only matter to you if you are using storages directly.  To "
    "access UntypedStorage directly, use tensor.untyped_storage() instead of tensor.storage()"
)
_warned: list[bool] = []


def _flat(x: Tensor) -> Tensor:
    """All elements of the memory that `x` is a view of, without history."""
    engine.read(x)
    assert x.st is not None
    count = numel(x.st.spec.shape)
    before = engine.set_grad_enabled(False)
    try:
        return look(movement.as_strided, engine.detach(x), ((count,), (1,), 0))
    finally:
        engine.set_grad_enabled(before)


def _place(index: int, size: int) -> int:
    if not -size <= index < size:
        raise IndexError(f"index {index} out of range for storage of size {size}")
    return index % size


class _Memory:
    """What both kinds of storage have."""

    _held: Tensor

    @property
    def device(self) -> Any:
        """Where the memory is."""
        return self._held.device

    @property
    def is_cuda(self) -> bool:
        """Whether the memory is a GPU's."""
        return bool(self._held.device.type == "cuda")

    def elements(self, dtype: _dtype) -> Tensor:
        """The memory as a flat tensor.

        Raises:
            RuntimeError: where that is elements of another type.
        """
        held = self._held
        if held.dtype is not dtype:
            raise RuntimeError(
                f"Could not set tensor of type {dtype} to a storage of type {held.dtype}"
            )
        return held

    def data_ptr(self) -> int:
        """The address of the first byte; pending work runs."""
        return engine.address(self._held)

    def nbytes(self) -> int:
        """How many bytes."""
        return int(self._held.shape[0]) * int(self._held.dtype.itemsize)

    def is_shared(self) -> bool:
        """Whether other processes can see the memory."""
        return bool(self._held.is_shared())  # type: ignore[attr-defined]

    def is_pinned(self, device: Any = None) -> bool:
        """Whether a GPU can read the memory directly: never here."""
        return False

    def tolist(self) -> list[Any]:
        """The elements, or bytes, as Python numbers."""
        raise NotImplementedError

    def size(self) -> int:
        """How many elements, or bytes."""
        return len(self.tolist())

    def __len__(self) -> int:
        return self.size()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def _lines(self) -> str:
        return "\n ".join(str(v) for v in self.tolist())


class UntypedStorage(_Memory):
    """The bytes of a tensor's memory; `UntypedStorage(n)` is n bytes of zeros."""

    def __init__(self, nbytes: int | Tensor = 0) -> None:
        if not isinstance(nbytes, Tensor):
            nbytes = tensor([0] * nbytes, dtype=dt.uint8)
        self._held = _flat(nbytes)

    def _bytes(self) -> Any:
        a = np.ascontiguousarray(engine.read(self._held))
        return a.view(np.uint8)

    def _give(self, array: Any) -> None:
        values = np.ascontiguousarray(array).view(dt.array_type(self._held.dtype))
        made = engine.own_array(values, self._held.dtype, self._held.device)
        engine.assign(self._held, made)

    def size(self) -> int:
        """How many bytes."""
        return self.nbytes()

    def tolist(self) -> list[int]:
        """The bytes as integers."""
        return self._bytes().tolist()  # type: ignore[no-any-return]

    def __getitem__(self, index: Any) -> Any:
        a = self._bytes()
        if not isinstance(index, slice):
            return int(a[_place(index, len(a))])
        if index.step not in (None, 1):
            raise RuntimeError(
                f"Trying to slice with a step of {index.step}, but only a step of 1 is supported"
            )
        cut = a[index].copy()
        return UntypedStorage(engine.own_array(cut, dt.uint8, self.device))

    def __setitem__(self, index: Any, value: int) -> None:
        a = self._bytes().copy()
        a[index if isinstance(index, slice) else _place(index, len(a))] = value
        self._give(a)

    def fill_(self, value: int) -> UntypedStorage:
        """Set every byte."""
        self._give(np.full(self.nbytes(), value, np.uint8))
        return self

    def copy_(self, source: _Memory, non_blocking: bool = False) -> UntypedStorage:
        """Take over the bytes of a storage of the same size."""
        other = source if isinstance(source, UntypedStorage) else UntypedStorage(source._held)
        if other.nbytes() != self.nbytes():
            raise RuntimeError("size does not match")
        self._give(other._bytes().copy())
        return self

    def clone(self) -> UntypedStorage:
        """The same bytes in memory of their own."""
        return UntypedStorage(engine.own_array(self._bytes().copy(), dt.uint8, self.device))

    def element_size(self) -> int:
        """One byte."""
        return 1

    def cpu(self) -> UntypedStorage:
        """The bytes in the CPU's memory."""
        if self.device.type == "cpu":
            return self
        return UntypedStorage(self._held.cpu())  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        kind = f"device={self.device}) of size {len(self)}"
        return f" {self._lines()}\n[torch.storage.UntypedStorage({kind}]"


class TypedStorage(_Memory):
    """The elements of a tensor's memory; also of a list, or a number of zeros."""

    def __init__(
        self,
        *args: Any,
        wrap_storage: UntypedStorage | None = None,
        dtype: _dtype | None = None,
        device: Any = None,
        _internal: bool = False,
    ) -> None:
        kind = dt.float32 if dtype is None else dtype
        if wrap_storage is not None:
            held = wrap_storage._held
            if held.dtype is not kind:  # other numbers from the same bytes are a copy here
                bits = wrap_storage._bytes().view(dt.array_type(kind)).copy()
                held = engine.own_array(bits, kind, held.device)
        elif args and isinstance(args[0], Tensor):
            held = args[0]
        else:
            given = args[0] if args else 0
            held = tensor(
                [0] * given if isinstance(given, int) else list(given), dtype=kind, device=device
            )
        self._held = _flat(held)

    @property
    def dtype(self) -> _dtype:
        """The type of the elements."""
        kind: _dtype = self._held.dtype
        return kind

    def size(self) -> int:
        """How many elements."""
        return int(self._held.shape[0])

    def tolist(self) -> list[Any]:
        """The elements as Python numbers."""
        return engine.read(self._held).tolist()  # type: ignore[no-any-return]

    def element_size(self) -> int:
        """The bytes of one element."""
        return self.dtype.itemsize

    def untyped(self) -> UntypedStorage:
        """The same memory as bytes."""
        return UntypedStorage(self._held)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            raise RuntimeError("slices are only supported in UntypedStorage.__getitem__")
        return self._held[_place(index, len(self))].item()

    def __setitem__(self, index: Any, value: Any) -> None:
        self._held[index if isinstance(index, slice) else _place(index, len(self))] = value

    def fill_(self, value: Any) -> TypedStorage:
        """Set every element."""
        self._held.fill_(value)  # type: ignore[attr-defined]
        return self

    def copy_(self, source: TypedStorage, non_blocking: bool = False) -> TypedStorage:
        """Take over the elements of a storage of the same size, as this one's type."""
        if len(source) != len(self):
            raise RuntimeError("size does not match")
        engine.assign(self._held, source._held)
        return self

    def clone(self) -> TypedStorage:
        """The same elements in memory of their own."""
        return TypedStorage(self._held.clone())  # type: ignore[attr-defined]

    def type(self, dtype: Any = None, non_blocking: bool = False) -> Any:
        """The elements as another type; without one, the name of this one."""
        if dtype is None:
            return f"torch.{_name(self.dtype)}"
        return TypedStorage(self._held.to(dtype))  # type: ignore[attr-defined]

    def cpu(self) -> TypedStorage:
        """The elements in the CPU's memory."""
        if self.device.type == "cpu":
            return self
        return TypedStorage(self._held.cpu())  # type: ignore[attr-defined]

    def pickle_storage_type(self) -> str:
        """`'FloatStorage'` for `float32`: what files call it."""
        return _name(self.dtype)

    def __repr__(self) -> str:
        kind = f"dtype={self.dtype}, device={self.device}) of size {len(self)}"
        return f" {self._lines()}\n[torch.storage.TypedStorage({kind}]"


def _as(kind: _dtype) -> Any:
    def convert(self: TypedStorage) -> TypedStorage:
        return self if self.dtype is kind else self.type(kind)

    convert.__doc__ = f"The elements as {kind}."
    return convert


for _word, _kind in {
    "double": dt.float64, "float": dt.float32, "half": dt.float16, "bfloat16": dt.bfloat16,
    "long": dt.int64, "int": dt.int32, "short": dt.int16, "char": dt.int8, "byte": dt.uint8,
    "bool": dt.bool_,
}.items():  # fmt: skip
    setattr(TypedStorage, _word, _as(_kind))


def _name(kind: _dtype) -> str:
    return f"{kind.typename}Storage"


class _Legacy(type):
    """`FloatStorage` and the like: not types of their own, names for storages of one dtype."""

    kind: _dtype

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, TypedStorage) and instance.dtype is cls.kind

    def __call__(cls, *args: Any, **kwargs: Any) -> TypedStorage:
        return TypedStorage(*args, **kwargs, dtype=cls.kind)


LEGACY: Final[dict[str, Any]] = {
    _name(_kind): _Legacy(_name(_kind), (), {"kind": _kind, "__module__": "torch"})
    for _kind in (
        dt.float64, dt.float32, dt.float16, dt.bfloat16, dt.int64, dt.int32, dt.int16, dt.int8,
        dt.uint8, dt.bool_, dt.complex64, dt.complex128,
    )
}  # fmt: skip


@function()
def is_storage(obj: Any, /) -> bool:
    """Whether something is a storage, as `x.storage()` and `x.untyped_storage()` give them."""
    return isinstance(obj, _Memory)


@method()
def storage(self: Tensor) -> TypedStorage:
    """The memory that a tensor and its views share, as elements; warns once, as PyTorch does."""
    if not _warned:
        _warned.append(True)
        warnings.warn(_DEPRECATED, UserWarning, stacklevel=2)
    return TypedStorage(self)


@method()
def untyped_storage(self: Tensor) -> UntypedStorage:
    """The memory that a tensor and its views share, as bytes."""
    return UntypedStorage(self)


@method()
def storage_type(self: Tensor) -> Any:
    """The name of such storages as a class: `torch.FloatStorage`."""
    return LEGACY[_name(self.dtype)]


for _class in (UntypedStorage, TypedStorage):
    _class.__module__ = "torch.storage"  # where users find them
