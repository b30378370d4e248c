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
from rushlight.nn.functional import pad
from rushlight.random import Generator
from rushlight.random.generator import unit32
from rushlight.tensor.kinds import get_default_dtype
from rushlight.vision.transforms import _basic as basic
from rushlight.vision.transforms import _crops as crops
from rushlight.vision.transforms import _turns as turns
from rushlight.vision.transforms import functional as F
from rushlight.vision.transforms._functional_pil import sides

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


# ------------------------------------------------------------------------ sizes


def _axes(form: Form) -> tuple[int, int]:
    """Where height and width are in a batch."""
    return (1, 2) if form.mode is not None else (2, 3)


@_plan(crops.CenterCrop)
def _center_crop(t: Any, form: Form) -> Step | None:
    th, tw = t.size
    if th > form.height or tw > form.width:
        return None
    top, left = round((form.height - th) / 2.0), round((form.width - tw) / 2.0)
    y, x = _axes(form)

    def cropped(batch: Any, _: Words) -> Any:
        return batch.narrow(y, top, th).narrow(x, left, tw)

    return Step(replace(form, height=th, width=tw), 0, cropped)


def _bordered(form: Form, padding: Any, fill: Any, mode: str) -> tuple[Form, Any] | None:
    """The form with a constant border, and the widths of that; None for other borders."""
    if mode != "constant" or not isinstance(fill, int | float) or isinstance(fill, bool):
        return None
    try:
        left, right, top, bottom = sides(padding)
    except (TypeError, ValueError):
        return None
    if min(left, right, top, bottom) < 0 or (form.dtype is dt.uint8 and int(fill) != fill):
        return None
    wider = replace(form, height=form.height + top + bottom, width=form.width + left + right)
    return wider, (left, right, top, bottom)


def _with_border(batch: Any, form: Form, widths: Any, fill: float) -> Any:
    left, right, top, bottom = widths
    around = [left, right, top, bottom]
    if form.mode is not None and form.channels > 1:
        around = [0, 0, *around]
    return pad(batch, around, "constant", fill)


@_plan(crops.Pad)
def _pad(t: Any, form: Form) -> Step | None:
    found = _bordered(form, t.padding, t.fill, t.padding_mode)
    if found is None:
        return None
    wider, widths = found
    return Step(wider, 0, lambda batch, _: _with_border(batch, form, widths, t.fill))


@_plan(crops.RandomCrop)
def _random_crop(t: Any, form: Form) -> Step | None:
    wider, widths = form, (0, 0, 0, 0)
    if t.padding is not None:
        found = _bordered(form, t.padding, t.fill, t.padding_mode)
        if found is None:
            return None
        wider, widths = found
    th, tw = t.size
    if th > wider.height or tw > wider.width:
        return None
    out = replace(form, height=th, width=tw)
    if (th, tw) == (wider.height, wider.width):
        return Step(out, 0, lambda batch, _: _with_border(batch, form, widths, t.fill))
    rows, columns = wider.height - th + 1, wider.width - tw + 1

    def cropped(batch: Any, words: Words) -> Any:
        if any(widths):
            batch = _with_border(batch, form, widths, t.fill)
        return _windows(batch, form, words[:, 0] % rows, words[:, 1] % columns, th, tw)

    return Step(out, 2, cropped)


def _windows(batch: Any, form: Form, top: Any, left: Any, height: int, width: int) -> Any:
    """Of each image the part that begins at its own row and column."""
    data = engine.read(batch)
    y, x = _axes(form)
    every = np.lib.stride_tricks.sliding_window_view(data, (height, width), axis=(y, x))
    chosen = (
        every[np.arange(len(top)), ..., top, left, :, :]
        if form.mode is None
        else (every[np.arange(len(top)), top, left])
    )
    if form.mode is not None and form.channels > 1:
        chosen = chosen.transpose(0, 2, 3, 1)
    return engine.own_array(np.array(chosen, order="C"), form.dtype, CPU)


# ------------------------------------------------------------------------ flips


def _flip_plan(t: Any, form: Form, dim: int) -> Step | None:
    if get_default_dtype() is not dt.float32:
        return None  # a draw takes another number of words

    def flipped(batch: Any, words: Words) -> Any:
        turned = unit32(words[:, 0]) < np.float32(t.p)
        data = engine.read(batch)
        # A batch has few images: mirroring those in place beats two copies and a choice.
        out = np.array(data, order="C")
        out[turned] = np.flip(data[turned], dim)
        return engine.own_array(out, form.dtype, CPU)

    return Step(form, 1, flipped)


@_plan(turns.RandomHorizontalFlip)
def _horizontal(t: Any, form: Form) -> Step | None:
    return _flip_plan(t, form, _axes(form)[1])


@_plan(turns.RandomVerticalFlip)
def _vertical(t: Any, form: Form) -> Step | None:
    return _flip_plan(t, form, _axes(form)[0])
