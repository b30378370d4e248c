"""`torch.special`: special functions; `tensor/special.py` defines them."""

from __future__ import annotations

from rushlight.tensor.special import SPECIAL as _SPECIAL

globals().update(_SPECIAL)

__all__: list[str] = []
__all__.extend(_SPECIAL)
