"""`torch.__config__`: what this build is, in words."""

from __future__ import annotations

from rushlight.base.target import host
from rushlight.switches import get_num_interop_threads, get_num_threads
from rushlight.version import __version__

__all__ = ["parallel_info", "show"]


def show() -> str:
    """What computes: one line for each part."""
    target = host()
    return (
        f"Rushlight {__version__}, built with:\n"
        f"  - generated kernels (LLVM) for {target.isa}, {target.vector_bits}-bit vectors\n"
        "  - no CUDA, MKL, oneDNN or OpenMP\n"
    )


def parallel_info() -> str:
    """How many threads there are."""
    return (
        f"ATen/Parallel:\n\tat::get_num_threads() : {get_num_threads()}\n"
        f"\tat::get_num_interop_threads() : {get_num_interop_threads()}\n"
        "ATen parallel backend: Rushlight's thread pool\n"
    )
