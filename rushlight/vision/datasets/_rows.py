"""Whole batches of the image datasets: rows of what they hold, through batched transforms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.base.device import CPU
from rushlight.engine import Tensor
from rushlight.random import Generator
from rushlight.tensor.entering import entered, kind_of
from rushlight.utils.data import default_collate
from rushlight.utils.data._utils.ahead import plain
from rushlight.vision.datasets.vision import Column
from rushlight.vision.transforms import _batched


def image_columns(
    images: Any, targets: Any, transform: Any, generator: Generator
) -> Sequence[Column] | None:
    """Columns of images, [N, H, W] or [N, H, W, 3] of uint8, and of their class numbers.

    Images and targets may be tensors or arrays, targets a list too; None where they are something
    else, or where the transform needs one sample at a time.  Random transforms draw from
    `generator`.
    """
    shape = tuple(images.shape) if isinstance(images, Tensor | np.ndarray) else ()
    if len(shape) not in (3, 4) or not _is_of(images, dt.uint8) or shape[3:] not in ((), (3,)):
        return None
    classes = _classes(targets)
    if classes is None:
        return None
    mode, channels = ("RGB", 3) if len(shape) == 4 else ("L", 1)
    form = _batched.Form(mode, channels, shape[1], shape[2], dt.uint8)
    steps = _batched.planned(transform, form)
    if steps is None:
        return None
    return [lambda rows: _batched.run(steps, _taken(images, rows), generator), classes]


def _is_of(values: Any, kind: dt.dtype) -> bool:
    if isinstance(values, Tensor):
        return plain(values) and values.dtype is kind
    return bool(values.dtype == kind.numpy)


def _taken(values: Any, rows: Any) -> Tensor:
    """A copy of some rows."""
    data = engine.read(values) if isinstance(values, Tensor) else values
    if isinstance(rows, slice):
        out = data[rows].copy()
    else:  # `take` would copy all of an array with gaps
        out = data.take(rows, axis=0) if data.flags.c_contiguous else data[rows]
    kind = kind_of(out.shape, dt.from_numpy(out.dtype), CPU)
    return entered(out.reshape(-1), kind) if out.flags.c_contiguous else _dense(out)


def _dense(array: Any) -> Tensor:
    return engine.own_array(np.ascontiguousarray(array), dt.from_numpy(array.dtype), CPU)


def _classes(targets: Any) -> Column | None:
    if isinstance(targets, Tensor | np.ndarray):
        if len(targets.shape) != 1 or not _is_of(targets, dt.int64):
            return None
        return lambda rows: _taken(targets, rows)
    if type(targets) is not list or not targets:
        return None

    def chosen(rows: Any) -> Tensor:
        some = targets[rows] if isinstance(rows, slice) else [targets[i] for i in rows.tolist()]
        out: Tensor = default_collate(some)
        return out

    return chosen if type(targets[0]) is int else None
