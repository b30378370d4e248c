"""Attention: a softmax of products of queries and keys, times values."""

from __future__ import annotations

import math
from typing import Any

from ...engine import Tensor
from .dropout import dropout

MASKED = float("-inf")


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """``softmax(query @ key.T * scale + mask) @ value`` for (..., L, E), (..., S, E), (..., S, V).

    A bool mask says what takes part; a mask of floats is added.  ``is_causal``: each place sees
    those up to its own.  ``enable_gqa``: groups of query heads share a key head.  Lines without
    anything that takes part give zeros.
    """
    q: Any = query
    k: Any = key
    v: Any = value
    for name, x in (("query", q), ("key", k), ("value", v)):
        if len(x.shape) < 2:
            raise RuntimeError(
                "scaled_dot_product_attention: Expected query, key, and value to all be at least 2 "
                f"dimensional, but got {name}.dim: {len(x.shape)}"
            )
    if not q.dtype is k.dtype is v.dtype:
        raise RuntimeError(
            "Expected query, key, and value to have the same dtype, but got query.dtype: "
            f"{q.dtype.name} key.dtype: {k.dtype.name} and value.dtype: {v.dtype.name} instead."
        )
    if attn_mask is not None and is_causal:
        raise RuntimeError(
            "scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True"
        )
    if enable_gqa:
        k = k.repeat_interleave(q.shape[-3] // k.shape[-3], -3)
        v = v.repeat_interleave(q.shape[-3] // v.shape[-3], -3)
    factor = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    scores = (q * factor) @ k.transpose(-2, -1)
    seen: Any = None
    mask: Any = attn_mask
    if is_causal:
        seen = scores.detach().new_ones(tuple(scores.shape[-2:])).tril() != 0
    elif mask is not None and mask.dtype.kind == "b":
        seen = mask
    elif mask is not None:
        scores = scores + mask
    if seen is None:
        weights = scores.softmax(-1)
        if mask is not None:
            nothing = (scores.detach() == MASKED).all(-1, keepdim=True)
            weights = weights.masked_fill(nothing, 0.0)
    else:
        weights = scores.masked_fill(~seen, MASKED).softmax(-1)
        weights = weights.masked_fill(~seen.any(-1, keepdim=True), 0.0)
    if dropout_p > 0.0:
        weights = dropout(weights, dropout_p)
    result: Tensor = weights @ v
    return result
