"""Anomaly mode: a backward that gives NaN, or fails, names the line of the forward pass behind it.

    with torch.autograd.detect_anomaly():
        loss = model(x)
        loss.backward()

`RuntimeError: Function 'SqrtBackward0' returned nan values in its 0th output.`, after a warning
with the traceback of the line that called `sqrt`.  The mode belongs to the thread that sets it.
While it is on every operation runs by itself and every gradient is read: slow, but values are the
same bits.
"""

from __future__ import annotations

import warnings

from rushlight.autograd.tracing import looking

__all__ = ["detect_anomaly", "set_detect_anomaly"]


def set_anomaly_enabled(mode: bool, check_nan: bool = True) -> None:
    """Anomaly mode on or off in this thread."""
    mine = looking()
    mine.each = bool(mode)
    mine.check_nan = bool(check_nan)
    mine.switch()


def is_anomaly_enabled() -> bool:
    """Is anomaly mode on in this thread?"""
    return looking().each


def is_anomaly_check_nan_enabled() -> bool:
    """Does anomaly mode look for NaN?"""
    return looking().check_nan


class detect_anomaly:
    """Anomaly mode inside a `with` block; `check_nan=False`: exceptions alone are explained."""

    def __init__(self, check_nan: bool = True) -> None:
        self.prev = is_anomaly_enabled()
        self.check_nan = check_nan
        self.prev_check_nan = is_anomaly_check_nan_enabled()
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should "
            "only be enabled for debugging.",
            stacklevel=2,
        )

    def __enter__(self) -> None:
        set_anomaly_enabled(True, self.check_nan)

    def __exit__(self, *_: object) -> None:
        set_anomaly_enabled(self.prev, self.prev_check_nan)


class set_detect_anomaly:
    """Anomaly mode on or off from here on; as a context manager, until the block ends."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.prev = is_anomaly_enabled()
        self.prev_check_nan = is_anomaly_check_nan_enabled()
        set_anomaly_enabled(mode, check_nan)

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        set_anomaly_enabled(self.prev, self.prev_check_nan)
