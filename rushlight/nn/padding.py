"""Layers that add edges: constant, zero, reflection, replication and circular padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import functional as F
from .module import Module


class _Pad(Module):
    """Edges around the last ``_dims`` dimensions, in one mode."""

    _dims = 1
    _mode = "constant"
    padding: Sequence[int]
    value: float | None = None

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__()
        self.padding = (padding,) * (2 * self._dims) if isinstance(padding, int) else tuple(padding)

    def forward(self, input: Any) -> Any:
        """The padded input."""
        if self._mode == "circular" and len(input.shape) not in (self._dims + 1, self._dims + 2):
            raise ValueError(
                f"expected {self._dims + 1}D or {self._dims + 2}D input (got {len(input.shape)}D "
                "input)"
            )
        return F.pad(input, self.padding, self._mode, self.value)

    def extra_repr(self) -> str:
        """The widths."""
        return f"{self.padding}"


class _ConstantPad(_Pad):
    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        """The widths and the value."""
        return f"padding={self.padding}, value={self.value}"


class _ZeroPad(_ConstantPad):
    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        """The widths."""
        return f"{self.padding}"


def _kind(base: type[_Pad], name: str, dims: int, mode: str) -> Any:
    words = {1: "the last dimension", 2: "the last two dimensions", 3: "the last three dimensions"}
    space = {
        "_dims": dims,
        "_mode": mode,
        "__doc__": f"Padding of {words[dims]} ({mode}).",
        "__module__": "torch.nn.modules.padding",
    }
    return type(name, (base,), space)


ConstantPad1d = _kind(_ConstantPad, "ConstantPad1d", 1, "constant")
ConstantPad2d = _kind(_ConstantPad, "ConstantPad2d", 2, "constant")
ConstantPad3d = _kind(_ConstantPad, "ConstantPad3d", 3, "constant")
ZeroPad1d = _kind(_ZeroPad, "ZeroPad1d", 1, "constant")
ZeroPad2d = _kind(_ZeroPad, "ZeroPad2d", 2, "constant")
ZeroPad3d = _kind(_ZeroPad, "ZeroPad3d", 3, "constant")
ReflectionPad1d = _kind(_Pad, "ReflectionPad1d", 1, "reflect")
ReflectionPad2d = _kind(_Pad, "ReflectionPad2d", 2, "reflect")
ReflectionPad3d = _kind(_Pad, "ReflectionPad3d", 3, "reflect")
ReplicationPad1d = _kind(_Pad, "ReplicationPad1d", 1, "replicate")
ReplicationPad2d = _kind(_Pad, "ReplicationPad2d", 2, "replicate")
ReplicationPad3d = _kind(_Pad, "ReplicationPad3d", 3, "replicate")
CircularPad1d = _kind(_Pad, "CircularPad1d", 1, "circular")
CircularPad2d = _kind(_Pad, "CircularPad2d", 2, "circular")
CircularPad3d = _kind(_Pad, "CircularPad3d", 3, "circular")
