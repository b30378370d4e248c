"""Draws of categories by weight.

With replacement: one float64 uniform per sample.  Without, or for one sample: one exponential per
category, and the largest ratios of weight to exponential.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.random.arithmetic import floating
from rushlight.random.floats import exponential
from rushlight.random.generator import Generator

Array = np.ndarray[Any, np.dtype[Any]]


def multinomial(
    gen: Generator, weights: Array, num_samples: int, replacement: bool = False
) -> Array:
    """`multinomial`: int64 [num_samples] for weights [n], [rows, num_samples] for [rows, n]."""
    _check(weights, num_samples, replacement)
    if not replacement or num_samples == 1:
        q = exponential(gen, weights.size, 1.0, weights.dtype).reshape(weights.shape)
        with np.errstate(over="ignore"):
            ratio = weights / q
        if ratio.dtype.itemsize < 4:
            ratio = ratio.astype(np.float32)  # NumPy sorts no bfloat16
        if num_samples == 1:
            best: Array = ratio.argmax(-1, keepdims=True)
            return best
        return np.argsort(-ratio, axis=-1, kind="stable")[..., :num_samples]
    rows = np.atleast_2d(weights.astype(np.float32) if weights.dtype.itemsize < 4 else weights)
    out = np.empty((len(rows), num_samples), np.int64)
    with gen.lock:
        for row, found in zip(rows, out, strict=True):
            steps = np.add.accumulate(row)
            steps /= steps[-1]
            steps[-1] = 1
            found[:] = np.searchsorted(steps.astype(np.float64), gen.uniform64(num_samples), "left")
    return out.reshape((*weights.shape[:-1], num_samples))


def _check(weights: Array, num_samples: int, replacement: bool) -> None:
    if not 1 <= weights.ndim <= 2:
        raise RuntimeError(f"multinomial: prob_dist must be 1 or 2 dim, got shape {weights.shape}")
    if not floating(weights.dtype):
        raise RuntimeError(
            f"multinomial only supports floating-point dtypes for input, got: {weights.dtype.name}"
        )
    if num_samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if not replacement and num_samples > weights.shape[-1]:
        raise RuntimeError(
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement, "
            f"got {num_samples} samples of {weights.shape[-1]} categories"
        )
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise RuntimeError(
            "multinomial: probability tensor contains either `inf`, `nan` or element < 0"
        )
    if not (weights.sum(-1) > 0).all():
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")


__all__ = ["multinomial"]
