"""The layout in memory of convolutions' weights."""

from __future__ import annotations

from typing import Any

__all__ = ["convert_conv2d_weight_memory_format", "convert_conv3d_weight_memory_format"]


def _convert(module: Any, names: tuple[str, ...], memory_format: Any) -> Any:
    if type(module).__name__ in names:
        weight = module.weight
        weight.data = weight.detach().contiguous(memory_format=memory_format)
    for child in module.children():
        _convert(child, names, memory_format)
    return module


def convert_conv2d_weight_memory_format(module: Any, memory_format: Any) -> Any:
    """Lay out the weights of two-dimensional convolutions so, all through the module."""
    return _convert(module, ("Conv2d", "ConvTranspose2d"), memory_format)


def convert_conv3d_weight_memory_format(module: Any, memory_format: Any) -> Any:
    """Lay out the weights of three-dimensional convolutions so, all through the module."""
    return _convert(module, ("Conv3d", "ConvTranspose3d"), memory_format)
