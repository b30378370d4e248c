"""Transforms on whole batches, for loaders: the values and the draws of one sample after the other.

A pipeline is planned against the form of its images.  Each step says how many of the generator's
32-bit words one sample takes; a batch takes the words of all its samples at once, sample by sample
and step by step within a sample, as PyTorch would, and each step gets its own.

Only our own classes are planned, exactly as they are: a subclass, a hook or any other callable
sends the loader back to samples made one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.base.device import CPU
from rushlight.engine import Tensor
from rushlight.nn import Module
from rushlight.random import Generator
from rushlight.tensor.kinds import get_default_dtype
from rushlight.vision.transforms import _basic as basic
from rushlight.vision.transforms import functional as F

Words = NDArray[np.uint32]  # [samples, words of one]


@dataclass(frozen=True, slots=True)
class Form:
    """What one image is: a PIL image of a mode, or (mode None) a tensor of a dtype."""

    mode: str | None
    channels: int
    height: int
    width: int
    dtype: dt.dtype


@dataclass(frozen=True, slots=True)
class Step:
    """A transform of a batch: the form it gives, the words a sample takes, and what it does.

    PIL images stand in a batch as [N, H, W] or [N, H, W, channels], tensors as [N, C, H, W].
    """

    form: Form
    words: int
    run: Callable[[Any, Words], Any]


PLANS: Final[dict[type, Callable[[Any, Form], Step | None]]] = {}


def planned(transform: Any, form: Form) -> list[Step] | None:
    """The steps from images of `form` to tensors; None where a sample at a time is needed."""
    steps: list[Step] = []
    for t in _flattened(transform):
        plan = PLANS.get(type(t))
        if plan is None or (isinstance(t, Module) and _hooked(t)):
            return None
        step = plan(t, form)
        if step is None:
            return None
        steps.append(step)
        form = step.form
    return steps if form.mode is None else None


def _flattened(transform: Any) -> list[Any]:
    if type(transform) is not basic.Compose:
        return [transform]
    return [one for t in transform.transforms for one in _flattened(t)]


def _hooked(module: Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def run(steps: list[Step], batch: Any, generator: Generator) -> Any:
    """Take a batch of images through the steps, with the draws of all its samples."""
    count = int(batch.shape[0])
    each = sum(step.words for step in steps)
    words: Words = np.empty((count, 0), np.uint32)
    if each:
        words = generator.words(count * each).reshape(count, each)
    at = 0
    for step in steps:
        batch = step.run(batch, words[:, at : at + step.words])
        at += step.words
    return batch


def _plan(kind: type) -> Callable[[Any], Any]:
    def enter(function: Callable[[Any, Form], Step | None]) -> Any:
        PLANS[kind] = function
        return function

    return enter


# ---------------------------------------------------------------------- to tensors


def _planes(batch: Any, form: Form) -> Any:
    """The channels of PIL images as planes: [N, C, H, W]."""
    if form.channels == 1:
        return batch.unsqueeze(1)
    return batch.permute(0, 3, 1, 2).contiguous()


@_plan(basic.ToTensor)
def _to_tensor(t: Any, form: Form) -> Step | None:
    if form.mode not in ("L", "RGB"):
        return None
    kind = get_default_dtype()
    return Step(
        replace(form, mode=None, dtype=kind),
        0,
        lambda batch, _: _planes(batch, form).to(kind).div(255),
    )


@_plan(basic.PILToTensor)
def _pil_to_tensor(t: Any, form: Form) -> Step | None:
    if form.mode not in ("L", "RGB"):
        return None
    return Step(replace(form, mode=None), 0, lambda batch, _: _planes(batch, form))


@_plan(basic.ConvertImageDtype)
def _convert(t: Any, form: Form) -> Step | None:
    if form.mode is not None:
        return None
    return Step(
        replace(form, dtype=t.dtype), 0, lambda batch, _: F.convert_image_dtype(batch, t.dtype)
    )


@_plan(basic.Normalize)
def _normalize(t: Any, form: Form) -> Step | None:
    if form.mode is not None or form.dtype.kind != "f":
        return None
    mean, std = np.asarray(t.mean, form.dtype.numpy), np.asarray(t.std, form.dtype.numpy)
    if {mean.shape, std.shape} - {(form.channels,), (1,), ()} or not np.all(std):
        return None  # the sample by itself has the message

    def normalized(batch: Any, _: Words) -> Any:
        return (batch - _constant(mean)) / _constant(std)

    return Step(form, 0, normalized)


_constants: Final[dict[tuple[str, bytes], Tensor]] = {}


def _constant(values: Any) -> Tensor:
    """The same tensor for the same values of channels: nobody else sees it."""
    key = (values.dtype.str, values.tobytes())
    found = _constants.get(key)
    if found is None:
        if len(_constants) >= 256:
            _constants.clear()
        array = np.array(values).reshape(-1, 1, 1)
        found = _constants[key] = engine.from_array(array, dt.from_numpy(array.dtype), CPU)
    return found
