"""``capturable=True``: PyTorch's optimisers take it where steps can be captured, on a device."""

from __future__ import annotations

from typing import Any, Final

CAPTURING: Final = ["cuda", "xpu", "hpu", "privateuseone", "xla"]


def need_device(group: dict[str, Any], states: str) -> None:
    """``AssertionError`` in PyTorch's words for parameters that stand on none of these devices."""
    if any(p.device.type not in CAPTURING for p in group["params"]):
        raise AssertionError(
            f"If capturable=True, {states} must be on supported devices: {CAPTURING}."
        )
