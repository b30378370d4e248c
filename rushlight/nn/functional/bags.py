"""Looking rows of a table up: one by one (``embedding``), or summed in bags (``embedding_bag``)."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ... import engine
from ...base import dtype as dt
from ...engine import Tensor, apply
from ...graph.ops import bags, indexing
from ...tensor.gather import within
from ...tensor.sparse import SparseTensor

__all__ = ["embedding", "embedding_bag"]


def _within(padding_idx: int | None, rows: int, name: str) -> int | None:
    if padding_idx is None:
        return None
    if padding_idx >= rows or padding_idx < -rows:
        raise AssertionError(f"{name} must be within num_embeddings")
    return padding_idx % rows


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of ``weight`` at the places ``input`` says: (*) to (*, width).

    ``max_norm``: rows that are longer are scaled down first, in place.  ``scale_grad_by_freq``:
    gradients are divided by how often the row is looked up.  ``sparse``: the gradient of ``weight``
    is a sparse tensor, a row for each place in their order (dense where ``weight`` is no leaf).
    """
    if len(weight.shape) != 2:
        raise RuntimeError("'weight' must be 2-D")
    pad = _within(padding_idx, weight.shape[0], "Padding_idx")
    if max_norm is not None:
        renormalise(weight, input, max_norm, norm_type)
    if sparse and engine.is_grad_enabled() and engine.needs_grad(weight):
        if scale_grad_by_freq:
            raise RuntimeError(
                "embedding_backward: scale_grad_by_freq not supported with sparse gradients"
            )
        return _sparsely(input, weight, pad, None)
    out = apply(indexing.embedding, weight, input, arg=pad)
    return _shared(out, input) if scale_grad_by_freq and engine.needs_grad(out) else out


def _sparsely(places: Any, weight: Any, pad: int | None, known: Any) -> Tensor:
    """The rows of ``weight`` at ``places``, with a sparse gradient; ``known`` (an array): which
    places count."""
    rows = apply(indexing.embedding, engine.detach(weight), places)
    shape, width = tuple(weight.shape), weight.shape[1]
    at = engine.read(places).reshape(-1).astype(np.int64)
    there = np.ones(at.shape, np.bool_) if known is None else known.reshape(-1)
    if pad is not None:
        there = there & (at != pad)
    kept = None if there.all() else np.flatnonzero(there).astype(np.int64)
    index = engine.from_array((at if kept is None else at[kept])[None], dt.int64, weight.device)

    def backward(g: Any) -> list[Any]:
        values = g.reshape(-1, width)
        if kept is not None:
            values = values.index_select(0, engine.from_array(kept, dt.int64, g.device))
        return [SparseTensor(index, values, shape)]

    (out,) = engine.attach_function([rows], [weight], backward)
    engine.records(out).info = "EmbeddingBackward0"
    return out


def _shared(rows: Tensor, places: Tensor) -> Tensor:
    """``rows`` whose gradients are divided by how often their place occurs."""
    at = engine.read(places)
    _, inverse, counts = np.unique(at, return_inverse=True, return_counts=True)
    factor = (1.0 / counts[inverse.reshape(at.shape)])[..., None].astype(rows.dtype.numpy)
    return apply(bags.scaled_back, rows, engine.from_array(factor, rows.dtype, rows.device))


def renormalise(weight: Tensor, places: Tensor, max_norm: float, norm_type: float) -> None:
    """Scale the rows that are about to be read down to ``max_norm``, in place."""
    before = engine.set_grad_enabled(False)
    try:
        used: Any = engine.from_array(np.unique(engine.read(places)), dt.int64, weight.device)
        table: Any = weight
        rows = table.index_select(0, used)
        norms = rows.norm(norm_type, 1, keepdim=True)
        scaled = (norms > max_norm).to(rows.dtype) * (max_norm / (norms + 1e-7) - 1.0) + 1.0
        table.index_copy_(0, used, rows * scaled)
    finally:
        engine.set_grad_enabled(before)


def _bag_places(count: int, offsets: Any, last: bool) -> tuple[Any, Any]:
    """For every bag of ``count`` entries the entries' places (B, longest), and which there are."""
    starts = engine.read(offsets).astype(np.int64)
    if starts.size and starts[0] != 0:
        raise RuntimeError(
            "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from "
            f"position 0. However, got {starts[0]}"
        )
    if starts.size and starts[-1] > count:
        raise RuntimeError(
            f"offsets[-1] can not be greater than input's length {count} but got offsets[-1] of "
            f"{starts[-1]}"
        )
    if last:
        if not starts.size:
            raise RuntimeError("include_last_offset: number of offsets should be at least 1")
        starts, ends = starts[:-1], starts[1:]
    else:
        ends = np.append(starts[1:], count)
    column = np.arange(max(int((ends - starts).max(initial=0)), 1))
    there = column < (ends - starts)[:, None]
    return np.where(there, starts[:, None] + column, 0), there


def _rows_there(places: Tensor, weight: Tensor, mode: str) -> Tensor:
    """``places``, refused where the table has no such row; PyTorch has two ways to say so."""
    if weight.dtype is dt.float32 and mode != "max":
        words = "Index {at} of input takes value {i} which is not in the valid range [0, {size})"
    else:
        words = "embedding_bag: Expected idx >= 0 && idx < num_embeddings but found idx to be {i}"
    return within(places, weight.shape[0], words)


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Sums, means or maxima of rows of ``weight``: bags of a fixed size (B, n), or of entries (n)
    that begin at ``offsets`` (B); the result is (B, width).

    An empty bag gives zeros.  ``per_sample_weights``: factors of the entries, for sums.
    """
    x: Any = input
    w: Any = weight
    if w.dtype is dt.int64 and x.is_floating_point():
        warnings.warn(
            "Argument order of nn.functional.embedding_bag was changed. "
            "Usage `embedding_bag(weight, input, ...)` is deprecated, "
            "and should now be `embedding_bag(input, weight, ...)`.",
            stacklevel=2,
        )
        w, x = x, w
    factors: Any = per_sample_weights
    if factors is not None and x.shape != factors.shape:
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({factors.shape}) is not None, "
            f"then it must have the same shape as the input ({x.shape})"
        )
    if w.dim() != 2:
        raise ValueError(f"weight has to be a 2D Tensor, but got Tensor of dimension {w.dim()}")
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("max mode does not support scaling the gradient by the frequency")
    if mode == "max" and sparse:
        raise ValueError("max mode does not support sparse weights")
    if factors is not None and mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. "
            "per_sample_weights is only supported for mode='sum' "
            f"(got mode='{mode}'). Please open a feature request on GitHub."
        )
    pad = _within(padding_idx, w.shape[0], "padding_idx")
    starts: Any = offsets
    if x.dim() == 2:
        if starts is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None"
                ", as input is treated is a mini-batch of"
                " fixed length sequences. However, found "
                f"offsets of type {type(starts)}"
            )
    elif x.dim() != 1:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {x.dim()}")
    elif starts is None:
        raise ValueError("offsets has to be a 1D Tensor but got None")
    elif starts.dim() != 1:
        raise ValueError("offsets has to be a 1D Tensor")
    places: Any = None
    known: Any = None
    if x.dim() == 1 and x.shape[0]:
        places, known = _bag_places(x.shape[0], starts, include_last_offset)
    x = _rows_there(x, w, mode)
    if max_norm is not None:
        renormalise(w, x, max_norm, norm_type)
    there: Any = None  # (B, n, 1): which entries count
    if x.dim() == 1:
        if not x.shape[0]:
            bags_wanted = starts.shape[0] - include_last_offset
            return w.new_zeros((bags_wanted, w.shape[1])) + w.sum() * 0  # type: ignore[no-any-return]
        at: Any = engine.from_array(places, dt.int64, w.device)
        x = x[at]
        factors = None if factors is None else factors[at]
        if not known.all():
            there = engine.from_array(known[..., None], dt.bool_, w.device)
    if pad is not None:
        real = (x != pad).unsqueeze(-1)
        there = real if there is None else there & real
    rows: Any
    if sparse and engine.is_grad_enabled() and engine.needs_grad(w) and not scale_grad_by_freq:
        rows = _sparsely(x, w, pad, known)
    else:
        rows = embedding(x, w, pad, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse)
    rows = rows if factors is None else rows * factors.unsqueeze(-1)
    if mode == "max":
        if there is not None:
            rows = rows.masked_fill(~there, float("-inf"))
        best: Any = rows.max(1).values
        return best if there is None else best.masked_fill(~there.any(1), 0.0)  # type: ignore[no-any-return]
    if there is not None:
        rows = rows.masked_fill(~there, 0.0)
    total = rows.sum(1)
    if mode == "sum":
        return total  # type: ignore[no-any-return]
    if there is None:
        return total / max(x.shape[1], 1)  # type: ignore[no-any-return]
    return total / there.sum(1).clamp(min=1).to(w.dtype)  # type: ignore[no-any-return]
