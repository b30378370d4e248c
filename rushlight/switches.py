"""Switches of the whole process: threads, determinism, precision.

None of them changes a bit of any result: results are deterministic and float32 products are in full
precision always.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any, Final

from rushlight.base.device import device as Device
from rushlight.runtime import pool

__all__ = [
    "are_deterministic_algorithms_enabled",
    "get_deterministic_debug_mode",
    "get_device_module",
    "get_float32_matmul_precision",
    "get_num_interop_threads",
    "get_num_threads",
    "is_deterministic_algorithms_warn_only_enabled",
    "is_warn_always_enabled",
    "set_deterministic_debug_mode",
    "set_float32_matmul_precision",
    "set_flush_denormal",
    "set_num_interop_threads",
    "set_num_threads",
    "set_warn_always",
    "use_deterministic_algorithms",
]


class _State:
    """What programs have set, to be told again."""

    interop = 1
    deterministic = False
    warn_only = False
    precision = "highest"
    warn_always = False


# ------------------------------------------------------------------- threads
def get_num_threads() -> int:
    """Threads that one operation is split over, the caller's included."""
    return pool.threads()


def set_num_threads(int: int) -> None:
    """Set `get_num_threads()`; results do not depend on it.  RuntimeError if not positive."""
    pool.set_threads(_whole(int, "set_num_threads"))


def get_num_interop_threads() -> int:
    """What was set; operations are not run beside each other."""
    return _State.interop


def set_num_interop_threads(int: int) -> None:
    """Remembered for `get_num_interop_threads()`.  RuntimeError if not positive."""
    count = _whole(int, "set_num_interop_threads")
    if count < 1:
        raise RuntimeError("set_num_interop_threads expects a positive integer")
    _State.interop = count


def _whole(count: Any, name: str) -> int:
    if isinstance(count, bool) or not hasattr(count, "__index__"):
        raise TypeError(f"{name} expects an int, but got {type(count).__name__}")
    return int(count)


# ------------------------------------------------------------------- determinism, precision
def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Remembered only: there are no other algorithms."""
    _State.deterministic, _State.warn_only = bool(mode), bool(warn_only)


def are_deterministic_algorithms_enabled() -> bool:
    """What `use_deterministic_algorithms` was given; results are deterministic either way."""
    return _State.deterministic


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """What `use_deterministic_algorithms` was given."""
    return _State.deterministic and _State.warn_only


_DEBUG_MODES: Final = ("default", "warn", "error")


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """`use_deterministic_algorithms` by a word or number: default 0, warn 1, error 2."""
    if not isinstance(debug_mode, int | str) or isinstance(debug_mode, bool):
        raise TypeError(f"debug_mode must be str or int, but got {type(debug_mode)}")
    if debug_mode in _DEBUG_MODES:
        debug_mode = _DEBUG_MODES.index(str(debug_mode))
    if debug_mode not in (0, 1, 2):
        raise RuntimeError(
            f"invalid value of debug_mode, expected `default`, `warn`, `error`, 0, 1 or 2, "
            f"but got {debug_mode}"
        )
    use_deterministic_algorithms(debug_mode != 0, warn_only=debug_mode == 1)


def get_deterministic_debug_mode() -> int:
    """0 (default), 1 (warn) or 2 (error)."""
    return 0 if not _State.deterministic else 1 if _State.warn_only else 2


def set_float32_matmul_precision(precision: str) -> None:
    """Remembered only: products of float32 are float32.  RuntimeError for an unknown word."""
    if precision not in ("highest", "high", "medium"):
        raise RuntimeError(
            f"float32 matmul precision: expected 'highest', 'high' or 'medium', got {precision!r}"
        )
    _State.precision = precision


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` was given; "highest" is what there is."""
    return _State.precision


def set_flush_denormal(mode: bool) -> bool:
    """Whether it is as asked: denormal numbers are always kept."""
    return not mode


# ------------------------------------------------------------------- warnings, devices
def set_warn_always(b: bool, /) -> None:
    """Remembered for `is_warn_always_enabled()`: warnings are Python's, and filtered by it."""
    _State.warn_always = bool(b)


def is_warn_always_enabled() -> bool:
    """What was set."""
    return _State.warn_always


def get_device_module(device: Any = None) -> ModuleType:
    """The module of a kind of device: `torch.cpu`, `torch.cuda`."""
    kind = "cpu" if device is None else Device(device).type
    try:
        return importlib.import_module(f"rushlight.{kind}")
    except ModuleNotFoundError:
        raise RuntimeError(
            f"Device '{kind}' does not have a corresponding module registered as 'torch.{kind}'."
        ) from None
