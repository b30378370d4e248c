"""`torch.types`: the types that programs write in annotations."""

from __future__ import annotations

import builtins
import os
from collections.abc import Sequence
from typing import IO, Any, TypeAlias

from rushlight.base.device import device as _device_class
from rushlight.base.dtype import dtype as _dtype  # noqa: F401
from rushlight.base.size import Size
from rushlight.engine import Tensor
from rushlight.tensor.kinds import layout as _layout  # noqa: F401
from rushlight.tensor.storage import UntypedStorage as Storage

_int: TypeAlias = builtins.int
_float: TypeAlias = builtins.float
_bool: TypeAlias = builtins.bool
_complex: TypeAlias = builtins.complex
_size: TypeAlias = Size | list[int] | tuple[int, ...]
_device: TypeAlias = _device_class
_symsize: TypeAlias = _size
_dispatchkey: TypeAlias = str
_TensorOrTensors: TypeAlias = Tensor | Sequence[Tensor]
TensorOrTensors: TypeAlias = _TensorOrTensors

Number: TypeAlias = int | float | bool
_Number = (int, float, bool)
IntLikeType: TypeAlias = int
FloatLikeType: TypeAlias = float
BoolLikeType: TypeAlias = bool
Device: TypeAlias = _device_class | str | int | None
FileLike: TypeAlias = str | os.PathLike[str] | IO[bytes]

__all__ = ["Any", "Device", "FileLike", "Number", "Storage"]
py_sym_types: tuple[type, ...] = ()
