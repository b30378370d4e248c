"""`torch.backends.cuda`: its switches, without CUDA."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final

from rushlight.backends.switches import Switches

__all__ = [
    "cudnn_sdp_enabled",
    "enable_cudnn_sdp",
    "enable_flash_sdp",
    "enable_math_sdp",
    "enable_mem_efficient_sdp",
    "flash_sdp_enabled",
    "is_built",
    "is_flash_attention_available",
    "math_sdp_enabled",
    "matmul",
    "mem_efficient_sdp_enabled",
    "preferred_blas_library",
    "preferred_linalg_library",
    "sdp_kernel",
]

matmul = Switches(
    allow_tf32=False,
    allow_fp16_reduced_precision_reduction=True,
    allow_bf16_reduced_precision_reduction=True,
    allow_fp16_accumulation=False,
    fp32_precision="none",
)
cufft_plan_cache = Switches(size=0, max_size=0)
_attention: Final = {"flash": True, "math": True, "mem_efficient": True, "cudnn": True}


def is_built() -> bool:
    """False."""
    return False


def is_flash_attention_available() -> bool:
    """False."""
    return False


def preferred_linalg_library(backend: Any = None) -> str:
    """The CPU's library whatever is asked for."""
    return "default"


def preferred_blas_library(backend: Any = None) -> str:
    """The generated kernels whatever is asked for."""
    return "default"


def enable_flash_sdp(enabled: bool) -> None:
    """Remembered."""
    _attention["flash"] = bool(enabled)


def enable_math_sdp(enabled: bool) -> None:
    """Remembered."""
    _attention["math"] = bool(enabled)


def enable_mem_efficient_sdp(enabled: bool) -> None:
    """Remembered."""
    _attention["mem_efficient"] = bool(enabled)


def enable_cudnn_sdp(enabled: bool) -> None:
    """Remembered."""
    _attention["cudnn"] = bool(enabled)


def flash_sdp_enabled() -> bool:
    """What was set."""
    return _attention["flash"]


def math_sdp_enabled() -> bool:
    """What was set."""
    return _attention["math"]


def mem_efficient_sdp_enabled() -> bool:
    """What was set."""
    return _attention["mem_efficient"]


def cudnn_sdp_enabled() -> bool:
    """What was set."""
    return _attention["cudnn"]


@contextlib.contextmanager
def sdp_kernel(
    enable_flash: bool = True,
    enable_math: bool = True,
    enable_mem_efficient: bool = True,
    enable_cudnn: bool = True,
) -> Iterator[None]:
    """A context with these switches; attention has one way of being computed here."""
    before = dict(_attention)
    _attention.update(
        flash=enable_flash,
        math=enable_math,
        mem_efficient=enable_mem_efficient,
        cudnn=enable_cudnn,
    )
    try:
        yield
    finally:
        _attention.update(before)
