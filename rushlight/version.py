"""`torch.version`: what programs look up there.  Nothing of CUDA, ROCm or XPU is inside."""

from __future__ import annotations

from rushlight import __version__

__all__ = ["__version__", "cuda", "debug", "git_version", "hip", "xpu"]

debug: bool = False
cuda: str | None = None
hip: str | None = None
xpu: str | None = None
git_version: str = "unknown"
