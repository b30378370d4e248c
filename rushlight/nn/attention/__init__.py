"""``torch.nn.attention``: which implementation attention may use.

There is one here, so a choice changes nothing.
"""

from __future__ import annotations

import contextlib
import enum
import importlib
from collections.abc import Iterator, Sequence
from types import ModuleType

__all__ = ["WARN_FOR_UNFUSED_KERNELS", "SDPBackend", "sdpa_kernel"]

WARN_FOR_UNFUSED_KERNELS = False


class SDPBackend(enum.IntEnum):
    """PyTorch's implementations of ``scaled_dot_product_attention``."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


@contextlib.contextmanager
def sdpa_kernel(
    backends: SDPBackend | Sequence[SDPBackend], set_priority: bool = False
) -> Iterator[None]:
    """A block in which these implementations may be used; ``AssertionError`` for anything else."""
    given = [backends] if isinstance(backends, SDPBackend) else backends
    if not isinstance(given, list | tuple) or not all(isinstance(b, SDPBackend) for b in given):
        raise AssertionError(
            "Backend must be an instance of SDPBackend or a list of SDPBackend instances"
        )
    if not given:
        raise AssertionError("At least one backend must be specified")
    yield


def __getattr__(name: str) -> ModuleType:
    """A module that few programs use, when it is first asked for."""
    if name in ("bias", "flex_attention"):
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(
        f"module 'torch.nn.attention' has no attribute {name!r}: torch.nn.attention.{name} is not "
        "in Rushlight yet"
    )
