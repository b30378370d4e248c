"""Resizing with a filter as wide as the pixels of the smaller image: no moire."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.base.device import CPU


def _triangle(x: Any) -> Any:
    return np.clip(1.0 - np.abs(x), 0.0, None)


def _cubic(x: Any) -> Any:
    a, x = -0.5, np.abs(x)
    near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


@functools.lru_cache(maxsize=64)
def _weights(size: int, wanted: int, mode: str, kind: dt.dtype) -> Any:
    """How much of each pixel there is in each new one, [wanted, size]."""
    shape, reach = (_triangle, 1.0) if mode == "bilinear" else (_cubic, 2.0)
    scale = size / wanted
    stretch = max(scale, 1.0)
    center = scale * (np.arange(wanted) + 0.5)
    first = np.maximum((center - reach * stretch + 0.5).astype(np.int64), 0)
    end = np.minimum((center + reach * stretch + 0.5).astype(np.int64), size)
    pixels = np.arange(size)
    found = shape((pixels[None, :] - center[:, None] + 0.5) / stretch)
    found *= (pixels >= first[:, None]) & (pixels < end[:, None])
    found /= found.sum(1, keepdims=True)
    return engine.from_array(found.astype(kind.numpy), kind, CPU)


def resize(batch: Any, size: Sequence[int], mode: str) -> Any:
    """A float batch [N, C, H, W] in another size; modes "bilinear" and "bicubic"."""
    (h, w), (oh, ow), kind = batch.shape[-2:], size, batch.dtype
    if ow != w:
        batch = batch @ _weights(w, ow, mode, kind).t()
    if oh != h:
        batch = _weights(h, oh, mode, kind) @ batch
    return batch
