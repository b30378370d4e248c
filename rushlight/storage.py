"""`torch.storage`: the memory that tensors and their views share, as users see it."""

from __future__ import annotations

from rushlight.tensor.storage import TYPES, TypedStorage, UntypedStorage, is_storage

globals().update(TYPES)  # FloatStorage, LongStorage ...

__all__ = ["TypedStorage", "UntypedStorage", "is_storage"]
__all__ += list(TYPES)
