"""The functions that PyTorch's pickles call to make tensors, by PyTorch's names.

Their arguments come from files: every one is looked at.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

import numpy as np

from .. import engine
from ..base.device import device
from ..base.dtype import dtype
from ..engine import Tensor
from ..nn.parameter import Buffer, Parameter
from ..tensor.creation import from_numpy
from ..tensor.kinds import sparse_coo
from ..tensor.sparse import sparse_coo_tensor
from .storages import UntypedStorage, default_restore_location


def _storage(value: Any) -> UntypedStorage:
    if not isinstance(value, UntypedStorage):
        raise RuntimeError(f"a tensor needs a storage, not {type(value).__name__}")
    return value


def _flag(value: Any) -> bool:
    if value is not True and value is not False:
        raise RuntimeError(f"requires_grad must be True or False, not {type(value).__name__}")
    return value


def _sizes(value: Any) -> tuple[Any, ...]:
    if not isinstance(value, tuple | list):
        raise RuntimeError(f"sizes and strides are tuples, not {type(value).__name__}")
    return tuple(value)


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, kind: Any, flag: Any) -> Tensor:
    if not isinstance(kind, dtype):
        raise RuntimeError(f"a tensor needs a dtype, not {type(kind).__name__}")
    wants = _flag(flag)
    if wants and not (kind.is_floating_point or kind.is_complex):
        raise RuntimeError("only Tensors of floating point and complex dtype can require gradients")
    return _storage(storage).tensor(kind, offset, _sizes(size), _sizes(stride), wants)


def _marked(t: Any, metadata: Any) -> Tensor:
    """Apply what a file says of a tensor beside its bytes: that it is conjugated or negated."""
    if not metadata:
        return t  # type: ignore[no-any-return]
    if not isinstance(metadata, dict) or not metadata.keys() <= {"conj", "neg"}:
        raise RuntimeError(f"unknown metadata of a tensor: {metadata!r}")
    if metadata.get("conj"):
        t = t.conj()
    return -t if metadata.get("neg") else t  # type: ignore[no-any-return]


def _rebuild_tensor(storage: Any, storage_offset: Any, size: Any, stride: Any) -> Tensor:
    """A tensor on a typed storage."""
    return _tensor(storage, storage_offset, size, stride, _storage(storage).dtype, False)


def _rebuild_tensor_v2(
    storage: Any,
    storage_offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any,
    backward_hooks: Any,
    metadata: Any = None,
) -> Tensor:
    """A tensor on a typed storage; hooks are not restored, as in PyTorch."""
    kind = _storage(storage).dtype
    return _marked(_tensor(storage, storage_offset, size, stride, kind, requires_grad), metadata)


def _rebuild_tensor_v3(
    storage: Any,
    storage_offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any,
    backward_hooks: Any,
    dtype: Any,
    metadata: Any = None,
) -> Tensor:
    """A tensor of a type that has no typed storage."""
    return _marked(_tensor(storage, storage_offset, size, stride, dtype, requires_grad), metadata)


def _leaf(data: Any) -> Tensor:
    if not isinstance(data, Tensor):
        raise RuntimeError(f"a parameter needs a tensor, not {type(data).__name__}")
    return data


def _own(data: Any) -> Tensor:
    """A parameter's memory is its own: an optimiser writes all of it."""
    made = _leaf(data)
    if made.rec.region is None:
        return made
    return engine.from_array(engine.read(made), made.dtype, made.device)


def _rebuild_parameter(data: Any, requires_grad: Any, backward_hooks: Any) -> Parameter:
    """``nn.Parameter``."""
    return Parameter(_own(data), _flag(requires_grad))


def _rebuild_parameter_with_state(
    data: Any, requires_grad: Any, backward_hooks: Any, state: Any
) -> Parameter:
    """``nn.Parameter`` with attributes."""
    return _with_state(Parameter(_own(data), _flag(requires_grad)), state)  # type: ignore[no-any-return]


def _with_state(t: Any, state: Any) -> Any:
    """Give attributes back, as far as the class can hold them; none that hides what it defines."""
    slots: Any = {}
    if isinstance(state, tuple):
        if len(state) != 2:
            raise RuntimeError(f"Invalid serialized state: {state}")
        state, slots = state
    for part in (state or {}), (slots or {}):
        if not isinstance(part, dict):
            raise RuntimeError(f"the attributes of a tensor are a dict, not {type(part).__name__}")
        for name, value in part.items():
            if not isinstance(name, str) or callable(getattr(type(t), name, None)):
                raise RuntimeError(f"{name!r} cannot be an attribute of {type(t).__name__}")
            try:
                setattr(t, name, value)
            except AttributeError:
                pass  # a plain tensor has no attributes of its own
    return t


def _rebuild_from_type_v2(func: Any, new_type: Any, args: Any, state: Any) -> Any:
    """A tensor with attributes, or of a subclass."""
    if func not in TENSOR_FUNCTIONS:
        raise RuntimeError(f"{func!r} does not make tensors")
    made = func(*args)
    if not (isinstance(new_type, type) and issubclass(new_type, Tensor)):
        raise RuntimeError(f"{new_type!r} is not a class of tensors")
    if new_type is Tensor and isinstance(state, dict) and state.get("_is_buffer") is True:
        return Buffer(made, persistent=bool(state.get("persistent", True)))
    if type(made) is not new_type:
        made = engine.become(new_type, made, made.requires_grad)
    if getattr(new_type, "__setstate__", None) is not getattr(Tensor, "__setstate__", None):
        made.__setstate__(state)
        return made
    return _with_state(made, state)


def _rebuild_device_tensor_from_numpy(
    data: Any, dtype: Any, device: Any, requires_grad: Any
) -> Tensor:
    """A tensor that was saved as a NumPy array."""
    if not isinstance(data, np.ndarray) or data.dtype.hasobject:
        raise RuntimeError("a tensor saved as an array needs an array of numbers")
    return _placed(from_numpy(data), dtype, device, requires_grad)


def _rebuild_device_tensor_from_cpu_tensor(
    data: Any, dtype: Any, device: Any, requires_grad: Any
) -> Tensor:
    """A tensor of a device without storages, saved as one of the CPU."""
    return _placed(_leaf(data), dtype, device, requires_grad)


def _placed(data: Any, kind: Any, where: Any, requires_grad: Any) -> Tensor:
    default_restore_location(UntypedStorage.new(0), str(device(where)))  # raises if not there
    return data.to(dtype=kind, device=where).requires_grad_(_flag(requires_grad))  # type: ignore[no-any-return]


def _rebuild_sparse_tensor(layout: Any, data: Any) -> Any:
    """A sparse tensor of places and values."""
    if layout is not sparse_coo:
        raise NotImplementedError(f"rebuilding sparse tensor for layout {layout}")
    if type(data) is not tuple or len(data) not in (3, 4):
        raise RuntimeError("a sparse tensor has places, values and a size")
    coalesced = data[3] if len(data) == 4 else None
    places, held = _leaf(data[0]), _leaf(data[1])
    return sparse_coo_tensor(places, held, _sizes(data[2]), is_coalesced=coalesced is True)


def _unsupported(what: str) -> Any:
    def raising(*args: Any) -> Any:
        raise NotImplementedError(f"the checkpoint has a {what}, which is not in Rushlight yet")

    return raising


TENSOR_FUNCTIONS: Final[tuple[Any, ...]] = (
    _rebuild_tensor,
    _rebuild_tensor_v2,
    _rebuild_tensor_v3,
    _rebuild_parameter,
    _rebuild_parameter_with_state,
    _rebuild_device_tensor_from_numpy,
    _rebuild_device_tensor_from_cpu_tensor,
    _rebuild_sparse_tensor,
)
# All that `torch._utils` has for pickles.
UTILS: Final[dict[str, Any]] = {f.__name__: f for f in TENSOR_FUNCTIONS} | {
    "_rebuild_xla_tensor": _rebuild_device_tensor_from_numpy,
    "_rebuild_qtensor": _unsupported("quantized tensor"),
    "_rebuild_nested_tensor": _unsupported("nested tensor"),
    "_rebuild_meta_tensor_no_storage": _unsupported("tensor on the meta device"),
    "_rebuild_wrapper_subclass": _unsupported("tensor of a wrapping class"),
}


# ---------------------------------------------------------------- how tensors are taken apart
def parts_of(t: Tensor, storage: Any, place: tuple[int, Any, Any], typed: bool) -> tuple[Any, Any]:
    """The function and arguments that PyTorch's pickle of a plain tensor holds."""
    offset, shape, strides = place
    args: Any = (storage, offset, shape, strides, t.requires_grad, OrderedDict())
    if typed:
        return _rebuild_tensor_v2, args
    return _rebuild_tensor_v3, (*args, t.dtype)
