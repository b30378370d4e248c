"""Losses of sequences whose alignment is not known: ``ctc_loss``."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import engine
from ...base import dtype as dt
from ...engine import Tensor, apply
from ...graph.ops import ctc as rows
from ...tensor.creation import as_tensor

__all__ = ["ctc_loss"]


def _lengths(given: Any, name: str, count: int) -> Any:
    values = engine.read(given) if isinstance(given, Tensor) else np.asarray(given)
    if values.dtype.kind not in "iu":
        raise RuntimeError(f"{name} must be integral")
    values = values.reshape(-1).astype(np.int64)
    if len(values) != count:
        raise RuntimeError(f"{name} must be of size batch_size")
    return values


def _labels(targets: Any, lengths: Any, blank: int, classes: int) -> Any:
    """The targets (N, S) of concatenated or padded ones, blank behind each."""
    values = engine.read(targets)
    count, longest = len(lengths), int(lengths.max(initial=0))
    out = np.full((count, longest), blank, np.int64)
    if values.ndim == 1:
        if values.shape[0] != lengths.sum():
            raise RuntimeError(
                f"Expected tensor to have size {lengths.sum()} at dimension 0, but got size "
                f"{values.shape[0]} for argument #2 'targets' (while checking arguments for "
                "ctc_loss)"
            )
        at = np.concatenate([[0], np.cumsum(lengths)])
        for i, n in enumerate(lengths):
            out[i, :n] = values[at[i] : at[i] + n]
    else:
        if values.shape[0] != count:
            raise RuntimeError(
                f"Expected tensor to have size {count} at dimension 0, but got size "
                f"{values.shape[0]} for argument #2 'targets' (while checking arguments for "
                "ctc_loss)"
            )
        if values.shape[1] < longest:
            raise RuntimeError(
                f"Expected tensor to have size at least {longest} at dimension 1, but got size "
                f"{list(values.shape)} for argument #2 'targets' (while checking arguments for "
                "ctc_loss)"
            )
        for i, n in enumerate(lengths):
            out[i, :n] = values[i, :n]
    if ((out < 0) | (out >= classes)).any():
        raise RuntimeError(f"ctc_loss: targets have to be between 0 and {classes - 1}")
    return out


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Minus the log-likelihood of each target over all its alignments.

    ``log_probs`` (T, N, C) or (T, C); ``targets`` (N, S) padded, or all one after the other.
    ``mean`` divides each by its target's length first.  Raises ``RuntimeError`` where lengths do
    not fit.
    """
    lp: Any = log_probs
    alone = lp.dim() == 2
    if alone:
        lp = lp.unsqueeze(1)
    if lp.dim() != 3:
        raise RuntimeError(
            f"ctc_loss: log_probs must have 2 or 3 dimensions, got {list(log_probs.shape)}"
        )
    if lp.dtype.rank < 2:
        raise NotImplementedError(f"\"ctc_loss_cpu\" not implemented for '{lp.dtype.typename}'")
    steps, count, classes = lp.shape
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    ins = _lengths(input_lengths, "input_lengths", count)
    ends = _lengths(target_lengths, "target_lengths", count)
    if (ends < 0).any():
        raise RuntimeError("Expected target_lengths to have value at least 0")
    if (ins < 0).any() or (ins > steps).any():
        bad = int(ins.max() if (ins > steps).any() else ins.min())
        raise RuntimeError(
            f"Expected input_lengths to have value at most {steps}, but got value {bad} "
            "(while checking arguments for ctc_loss)"
        )
    given: Any = as_tensor(targets)
    if given.dtype.rank != 1:
        raise RuntimeError("targets must be integral")
    wanted = _labels(given, ends, blank, classes)
    width = 2 * wanted.shape[1] + 1
    labels = np.full((count, width), blank, np.int64)
    labels[:, 1::2] = wanted
    place = np.arange(width)
    starts = (place < 2) & (place < 2 * ends[:, None] + 1)
    skips = np.zeros((count, width), bool)
    skips[:, 3::2] = labels[:, 3::2] != labels[:, 1:-2:2]
    final = (place == 2 * ends[:, None]) | (place == 2 * ends[:, None] - 1)
    time = np.arange(steps)[:, None]
    masks = (starts, skips, final, time < ins, time == ins - 1)
    home = lp.device
    loss: Any = apply(
        rows.ctc,
        lp,
        engine.from_array(labels, dt.int64, home),
        *(engine.from_array(np.ascontiguousarray(m), dt.bool_, home) for m in masks),
        arg=zero_infinity,
    )
    if zero_infinity:
        loss = loss.masked_fill(loss == float("inf"), 0.0)
    if reduction == "mean":
        counts: Any = engine.from_array(np.maximum(ends, 1).astype(lp.dtype.numpy), lp.dtype, home)
        return (loss / counts).mean()  # type: ignore[no-any-return]
    if reduction == "sum":
        return loss.sum()  # type: ignore[no-any-return]
    if reduction != "none":
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return loss.squeeze(0) if alone else loss  # type: ignore[no-any-return]
