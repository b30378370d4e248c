"""`torch.backends.xnnpack`: this library is not used."""

from __future__ import annotations

enabled: bool = False
