"""`torch.backends.cpu`: the instructions that kernels use."""

from __future__ import annotations

from rushlight.base.target import host

__all__ = ["get_cpu_capability"]


def get_cpu_capability() -> str:
    """AVX512, AVX2, or DEFAULT for all else."""
    return {"avx512": "AVX512", "avx2": "AVX2"}.get(host().isa, "DEFAULT")
