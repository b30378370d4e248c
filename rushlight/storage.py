"""`torch.storage`: the memory that tensors and their views share, as users see it."""

from __future__ import annotations

from rushlight.tensor.memory import LEGACY, TypedStorage, UntypedStorage, is_storage

globals().update(LEGACY)  # FloatStorage, LongStorage ...

__all__ = ["TypedStorage", "UntypedStorage", "is_storage"]
__all__ += list(LEGACY)
