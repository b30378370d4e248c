"""Pickles of whole objects, spelled with PyTorch's names and tensors kept by reference.

Python's own pickler does the work.  What is ours is named as PyTorch names it: at protocols below 4
a name appears in the stream once, as text, and is exchanged there; where that is not possible the
interpreted pickler writes the names itself.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections import OrderedDict
from types import BuiltinFunctionType, FunctionType
from typing import Any, Final

from ..base.device import device
from ..base.dtype import dtype
from ..base.shape import numel
from ..base.size import Size
from ..engine import Tensor
from ..nn.handles import Hooks
from ..nn.parameter import Buffer, Parameter
from ..random import Generator
from ..tensor import kinds
from ..tensor.creation import from_numpy
from ..tensor.kinds import layout, memory_format
from ..tensor.sparse import SparseTensor
from . import rebuild
from .names import ours, torch_name
from .storages import STORAGE_TYPES, geometry, is_typed, location_tag, storage_name, storage_of


def _get_layout(name: str) -> Any:
    """A layout by its text, ``'torch.strided'``."""
    found = getattr(kinds, name.removeprefix("torch."), None)
    if not isinstance(found, layout):
        raise pickle.UnpicklingError(f"{name!r:.100} is not a layout")
    return found


def _size(sizes: tuple[int, ...]) -> Size:
    """A size of its integers."""
    return Size(sizes)


# Stand for PyTorch's storage classes in what is written.
_CLASSES: Final[dict[str, Any]] = {
    name: type(name, (), {"__module__": __name__, "__doc__": "A class of PyTorch's, by name."})
    for name in STORAGE_TYPES
}
globals().update(_CLASSES)

# What has a name in PyTorch that does not follow from ours.
_NAMES: Final[dict[Any, tuple[str, str]]] = {
    **{f: ("torch._utils", name) for name, f in rebuild.UTILS.items() if f.__name__ == name},
    **{c: ("torch", name) for name, c in _CLASSES.items()},
    _CLASSES["UntypedStorage"]: ("torch.storage", "UntypedStorage"),
    rebuild._rebuild_from_type_v2: ("torch._tensor", "_rebuild_from_type_v2"),
    _get_layout: ("torch.serialization", "_get_layout"),
    _size: ("torch", "Size"),
    Size: ("torch", "Size"),
    device: ("torch", "device"),
    dtype: ("torch", "dtype"),
    Tensor: ("torch", "Tensor"),
    Parameter: ("torch.nn.parameter", "Parameter"),
    Buffer: ("torch.nn.parameter", "Buffer"),
    Generator: ("torch._C", "Generator"),
}


_PICKLER: Final[Any] = vars(pickle)["_Pickler"]  # the interpreted one


class _Reference:
    """Stands for a tensor's storage in the object that is pickled."""

    __slots__ = ("storage", "typed")

    def __init__(self, storage: Any, typed: bool) -> None:
        self.storage = storage
        self.typed = typed


class _NeedsNames(Exception):
    """A name of ours that Python's fast pickler would not find."""


class Pickled:
    """What pickling one object gathers: its storages by key, and the names to exchange."""

    def __init__(self, old: bool = False) -> None:
        self.old = old  # PyTorch's format before 1.6
        self.storages: dict[str, Any] = {}
        self._keys: dict[int, str] = {}
        self.renamed: dict[bytes, bytes] = {}

    # ------------------------------------------------------------ what is kept by reference
    def persistent_id(self, obj: Any) -> Any:
        """The reference to a storage; None for everything else."""
        if type(obj) is not _Reference:
            return None
        s = obj.storage
        key = self._keys.setdefault(id(s), str(len(self._keys)))
        self.storages[key] = s
        kind = s.spec.dtype
        count = numel(s.spec.shape)
        if not obj.typed:
            count *= kind.itemsize
        name = storage_name(kind) if obj.typed else "UntypedStorage"
        found = "storage", _CLASSES[name], key, sys.intern(location_tag(s)), count
        return (*found, None) if self.old else found

    # ------------------------------------------------------------ what is taken apart
    def reduce(self, obj: Any, fast: bool) -> Any:
        """How an object of ours is pickled; NotImplemented for all others."""
        cls = type(obj)
        if cls is SparseTensor:
            data = (obj._indices(), obj._values(), obj.size(), obj.is_coalesced())
            return rebuild._rebuild_sparse_tensor, (obj.layout, data)
        if isinstance(obj, Tensor):
            return self._tensor(obj)
        if isinstance(obj, type | FunctionType | BuiltinFunctionType):
            pair = name_of(obj)
            if pair is not None:
                if fast:
                    self._rename(obj, obj.__qualname__, pair)
                return NotImplemented
            return NotImplemented
        if cls is dtype:
            return self._constant(obj, f"{obj.name}_" if obj.name == "bool" else obj.name, fast)
        if cls is memory_format:
            return self._constant(obj, obj.name, fast)
        if cls is layout:
            return _get_layout, (str(obj),)
        if cls is device:
            return device, (obj.type,) if obj.index is None else (obj.type, obj.index)
        if cls is Size:
            return _size, (tuple(obj),)
        if cls is Hooks:
            return OrderedDict, (), None, None, iter(obj.items())
        if cls is Generator:
            state = from_numpy(obj.state_bytes())
            return Generator, (obj.device,), (obj.initial_seed(), None, state)
        return NotImplemented

    def _tensor(self, t: Any) -> Any:
        cls: Any = type(t)
        if cls.__reduce_ex__ not in (Tensor.__reduce_ex__, Parameter.__reduce_ex__):
            return NotImplemented  # the class says itself how it is pickled
        if isinstance(t, Parameter):
            data, state = t.detach(), dict(t.__dict__)
            hooks: Any = OrderedDict()
            if state:
                return rebuild._rebuild_parameter_with_state, (data, t.requires_grad, hooks, state)
            return rebuild._rebuild_parameter, (data, t.requires_grad, hooks)
        typed = is_typed(t.dtype)
        reference = _Reference(storage_of(t), typed)
        function, args = rebuild.parts_of(t, reference, geometry(t), typed)
        state = dict(getattr(t, "__dict__", None) or {})
        if cls is Buffer:
            cls = Tensor
            state = {"persistent": t.persistent, "_is_buffer": True}
        if cls is Tensor and not state:
            return function, args
        return rebuild._rebuild_from_type_v2, (function, cls, args, state)

    def _constant(self, obj: Any, name: str, fast: bool) -> str:
        if obj.__module__ == "torch":
            name = obj.name
        if fast:
            self._rename(obj, name, ("torch", obj.name))
        return name

    def _rename(self, obj: Any, name: str, pair: tuple[str, str]) -> None:
        """Note that the fast pickler's name for ``obj`` is to become ``pair``."""
        home = sys.modules.get(obj.__module__)
        found: Any = home
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is not obj:
            raise _NeedsNames
        old = f"c{obj.__module__}\n{name}\n".encode()
        self.renamed[old] = f"c{pair[0]}\n{pair[1]}\n".encode()


def name_of(obj: Any) -> tuple[str, str] | None:
    """PyTorch's name for a class or function of ours."""
    found = _NAMES.get(obj)
    return torch_name(obj) if found is None else found


def dumps(
    obj: Any, pickle_module: Any, protocol: int, old: bool = False
) -> tuple[bytes, dict[str, Any]]:
    """The pickle of ``obj`` with PyTorch's names, and the storages it refers to, by key.

    ``old``: as PyTorch before 1.6 wrote it.
    """
    own = pickle_module is not pickle and not issubclass(pickle_module.Pickler, _PICKLER)
    if protocol < 4 or own:
        # A compiled pickler of somebody else's at a later protocol keeps our names.
        try:
            return _fast(obj, pickle_module, protocol, Pickled(old))
        except _NeedsNames:
            pass
    return _slow(obj, pickle_module, protocol, Pickled(old))


def _fast(
    obj: Any, pickle_module: Any, protocol: int, found: Pickled
) -> tuple[bytes, dict[str, Any]]:
    base: Any = pickle_module.Pickler
    exchange = protocol < 4

    class Pickler(base):  # type: ignore[misc]
        def persistent_id(self, obj: Any) -> Any:
            return found.persistent_id(obj)

        def reducer_override(self, obj: Any) -> Any:
            out = found.reduce(obj, exchange)
            if out is NotImplemented and hasattr(base, "reducer_override"):
                return super().reducer_override(obj)
            return out

    out = io.BytesIO()
    Pickler(out, protocol=protocol).dump(obj)
    data = out.getvalue()
    for old in found.renamed:
        if data.count(old) != 1:  # a text that looks like a name: only a parser can tell them apart
            raise _NeedsNames
    for old, new in found.renamed.items():
        data = data.replace(old, new)
    return data, found.storages


def _slow(
    obj: Any, pickle_module: Any, protocol: int, found: Pickled
) -> tuple[bytes, dict[str, Any]]:
    base: Any = pickle_module.Pickler
    if not issubclass(base, _PICKLER):
        base = _PICKLER

    class Pickler(base):  # type: ignore[misc]
        dispatch = dict(base.dispatch)

        def persistent_id(self, obj: Any) -> Any:
            return found.persistent_id(obj)

        def reducer_override(self, obj: Any) -> Any:
            return found.reduce(obj, False)

        def save_global(self, obj: Any, name: str | None = None) -> None:
            pair = ("torch", obj.name) if isinstance(obj, dtype | memory_format) else name_of(obj)
            if pair is None:
                super().save_global(obj, name)
                return
            module, name = pair
            if self.proto >= 4:
                self.save(module)
                self.save(name)
                self.write(pickle.STACK_GLOBAL)
            else:
                self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())
            self.memoize(obj)

        dispatch[FunctionType] = save_global

        def save_type(self, obj: Any) -> None:
            if obj in (type(None), type(NotImplemented), type(...)):
                super().save_type(obj)
            else:
                self.save_global(obj)

        dispatch[type] = save_type

    out = io.BytesIO()
    Pickler(out, protocol=protocol).dump(obj)
    return out.getvalue(), found.storages


__all__ = ["dumps", "name_of", "ours"]
