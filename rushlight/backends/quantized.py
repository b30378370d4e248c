"""`torch.backends.quantized`: there are no quantized kernels."""

from __future__ import annotations

engine: str = "none"
supported_engines: list[str] = ["none"]
