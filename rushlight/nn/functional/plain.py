"""Functions of ``torch`` itself that are spelled otherwise there than in ``nn.functional``."""

from __future__ import annotations

from typing import Any

from ...engine import Tensor
from . import conv
from .adaptive import adaptive_max_pool1d_with_indices as adaptive_max_pool1d
from .grid import EDGES, MODES, sampled
from .grid import affine_places as affine_grid_generator

__all__ = [
    "adaptive_max_pool1d",
    "affine_grid_generator",
    "convolution",
    "grid_sampler",
    "grid_sampler_2d",
    "grid_sampler_3d",
]


def grid_sampler(
    input: Tensor,
    grid: Tensor,
    interpolation_mode: int,
    padding_mode: int,
    align_corners: bool,
) -> Tensor:
    """``grid_sample`` with its modes by number."""
    mode, edges = MODES[interpolation_mode], EDGES[padding_mode]
    return sampled(input, grid, mode, edges, align_corners)


grid_sampler_2d = grid_sampler_3d = grid_sampler


def convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
) -> Tensor:
    """A convolution, transposed or not, over as many dimensions as ``weight`` has."""
    space = len(weight.shape) - 2
    if not 1 <= space <= 3:
        raise RuntimeError(f"convolution: weight has {len(weight.shape)} dimensions, not 3 to 5")
    if transposed:
        back = (conv.conv_transpose1d, conv.conv_transpose2d, conv.conv_transpose3d)[space - 1]
        return back(input, weight, bias, stride, padding, output_padding, groups, dilation)
    f = (conv.conv1d, conv.conv2d, conv.conv3d)[space - 1]
    return f(input, weight, bias, stride, padding, dilation, groups)
