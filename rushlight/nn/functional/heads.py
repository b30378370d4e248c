"""Attention of several heads, with its projections: ``multi_head_attention_forward``."""

from __future__ import annotations

import math
import warnings
from typing import Any

from ...base import dtype as dt
from ...engine import Tensor
from ...tensor.creation import zeros
from ...tensor.join import cat
from .activation import softmax
from .attention import scaled_dot_product_attention
from .dropout import dropout
from .linear import linear
from .padding import pad

__all__ = ["multi_head_attention_forward"]


def _need(fits: bool, words: str) -> None:
    if not fits:
        raise AssertionError(words)


def _mha_shape_check(
    query: Any, key: Any, value: Any, key_padding_mask: Any, attn_mask: Any, num_heads: int
) -> bool:
    """Does the input have a batch dimension?  ``AssertionError`` where ranks do not agree."""
    n = query.dim()
    if n not in (2, 3):
        raise AssertionError(
            f"query should be unbatched 2D or batched 3D tensor but received {n}-D query tensor"
        )
    batched = bool(n == 3)
    start = f"For {'batched' if batched else 'unbatched'} ({n}-D) `query`, expected"
    _need(
        key.dim() == n and value.dim() == n,
        f"{start} `key` and `value` to be {n}-D"
        f" but found {key.dim()}-D and {value.dim()}-D tensors respectively",
    )
    if key_padding_mask is not None:
        _need(
            key_padding_mask.dim() == n - 1,
            f"{start} `key_padding_mask` to be `None` or {n - 1}-D"
            f" but found {key_padding_mask.dim()}-D tensor instead",
        )
    if attn_mask is not None:
        _need(
            attn_mask.dim() in (2, 3),
            f"{start} `attn_mask` to be `None`, 2-D or 3-D"
            f" but found {attn_mask.dim()}-D tensor instead",
        )
        if not batched and attn_mask.dim() == 3:
            want = (num_heads, query.shape[0], key.shape[0])
            _need(
                tuple(attn_mask.shape) == want,
                f"Expected `attn_mask` shape to be {want} but got {attn_mask.shape}",
            )
    return batched


def _none_or_dtype(input: Any) -> Any:
    return None if input is None else input.dtype


def _canonical_mask(
    mask: Any,
    mask_name: str,
    other_type: Any,
    other_name: str,
    target_type: Any,
    check_other: bool = True,
) -> Any:
    """A mask of floats to be added: a bool mask is -inf where it is true."""
    if mask is None:
        return None
    floating = mask.is_floating_point()
    _need(
        floating or mask.dtype is dt.bool_,
        f"only bool and floating types of {mask_name} are supported",
    )
    if check_other and other_type is not None and mask.dtype is not other_type:
        warnings.warn(
            f"Support for mismatched {mask_name} and {other_name} "
            "is deprecated. Use same type for both instead.",
            stacklevel=3,
        )
    if floating:
        return mask
    return zeros(tuple(mask.shape), dtype=target_type, device=mask.device).masked_fill_(
        mask, float("-inf")
    )


def _projected(q: Any, k: Any, v: Any, weight: Any, bias: Any) -> tuple[Any, Any, Any]:
    """Queries, keys and values from one weight of three parts; what is alike in one product."""
    e = q.shape[-1]
    if k is v:
        if q is k:
            return linear(q, weight, bias).chunk(3, -1)  # type: ignore[attr-defined,no-any-return]
        b_q, b_kv = (None, None) if bias is None else bias.split([e, 2 * e])
        w_q, w_kv = weight.split([e, 2 * e])
        both: Any = linear(k, w_kv, b_kv)
        return linear(q, w_q, b_q), *both.chunk(2, -1)
    ws = weight.chunk(3)
    bs = (None, None, None) if bias is None else bias.chunk(3)
    made: Any = tuple(linear(x, w, b) for x, w, b in zip((q, k, v), ws, bs, strict=True))
    return made  # type: ignore[no-any-return]


def _separately(q: Any, k: Any, v: Any, weights: Any, bias: Any) -> tuple[Any, Any, Any]:
    for name, w in zip("qkv", weights, strict=True):
        _need(w is not None, f"use_separate_proj_weight is True but {name}_proj_weight is None")
    bs = (None, None, None) if bias is None else bias.chunk(3)
    made: Any = tuple(linear(x, w, b) for x, w, b in zip((q, k, v), weights, bs, strict=True))
    return made  # type: ignore[no-any-return]


def _shaped_mask(mask: Any, batch: int, heads: int, length: int, source: int) -> Any:
    """A mask of two dimensions gets a third."""
    if mask.dim() == 2:
        if tuple(mask.shape) != (length, source):
            raise RuntimeError(
                f"The shape of the 2D attn_mask is {mask.shape}, but should be {(length, source)}."
            )
        return mask.unsqueeze(0)
    if mask.dim() == 3:
        want = (batch * heads, length, source)
        if tuple(mask.shape) != want:
            raise RuntimeError(
                f"The shape of the 3D attn_mask is {mask.shape}, but should be {want}."
            )
        return mask
    raise RuntimeError(f"attn_mask's dimension {mask.dim()} is not supported")


def _static(given: Any, made: Any, name: str, count: int, width: int) -> Any:
    """Keys or values by head (batch * heads, S, width): those given ready-made, else ``made``."""
    if given is None:
        return made.reshape(made.shape[0], count, width).transpose(0, 1)
    _need(given.shape[0] == count, f"expecting {name}.size(0) of {count}, but got {given.shape[0]}")
    _need(given.shape[2] == width, f"expecting {name}.size(2) of {width}, but got {given.shape[2]}")
    return given


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attention of ``num_heads`` heads for (L, N, E), (S, N, E), (S, N, E), or without N.

    The output (L, N, E), and with ``need_weights`` the weights (N, L, S), or (N, heads, L, S)
    unless they are averaged.  Masks: true, or -inf added, where nothing is to be seen.
    """
    q: Any = query
    k: Any = key
    v: Any = value
    mask: Any = attn_mask
    padding: Any = key_padding_mask
    batched = _mha_shape_check(q, k, v, padding, mask, num_heads)
    if not batched:
        same = k is v, q is k
        q, k, v = (x.unsqueeze(1) for x in (q, k, v))
        v = k if same[0] else v
        k, v = (q, q) if same == (True, True) else (k, v)
        padding = None if padding is None else padding.unsqueeze(0)
    length, batch, width = q.shape
    source = k.shape[0]
    padding = _canonical_mask(
        padding, "key_padding_mask", _none_or_dtype(mask), "attn_mask", q.dtype
    )
    if is_causal and mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. "
            "You may use the Transformer module method "
            "`generate_square_subsequent_mask` to create this mask."
        )
    if is_causal and padding is None and not need_weights:
        mask = None
    else:
        mask = _canonical_mask(mask, "attn_mask", None, "", q.dtype, check_other=False)
        is_causal = is_causal and padding is None
    _need(
        width == embed_dim_to_check,
        f"was expecting embedding dimension of {embed_dim_to_check}, but got {width}",
    )
    head = width // num_heads
    _need(head * num_heads == width, f"embed_dim {width} not divisible by num_heads {num_heads}")
    if use_separate_proj_weight:
        _need(
            k.shape[:2] == v.shape[:2],
            f"key's sequence and batch dims {k.shape[:2]} do not match value's {v.shape[:2]}",
        )
        weights = (q_proj_weight, k_proj_weight, v_proj_weight)
        q, k, v = _separately(q, k, v, weights, in_proj_bias)
    else:
        _need(k.shape == v.shape, f"key shape {k.shape} does not match value shape {v.shape}")
        _need(
            in_proj_weight is not None,
            "use_separate_proj_weight is False but in_proj_weight is None",
        )
        q, k, v = _projected(q, k, v, in_proj_weight, in_proj_bias)
    if mask is not None:
        mask = _shaped_mask(mask, batch, num_heads, length, source)
    extra = 0
    if bias_k is not None and bias_v is not None:
        _need(static_k is None, "bias cannot be added to static key.")
        _need(static_v is None, "bias cannot be added to static value.")
        own: tuple[Any, Any] = (bias_k, bias_v)
        k, v = (cat([x, b.expand(1, batch, width)]) for x, b in zip((k, v), own, strict=True))
        extra = 1
    else:
        _need(bias_k is None, "bias_k is set but bias_v is None")
        _need(bias_v is None, "bias_v is set but bias_k is None")
    count = batch * num_heads
    q = q.reshape(length, count, head).transpose(0, 1)
    k = _static(static_k, k, "static_k", count, head)
    v = _static(static_v, v, "static_v", count, head)
    if add_zero_attn:
        none = zeros((count, 1, head), dtype=k.dtype, device=k.device)
        k, v = cat([k, none], 1), cat([v, none], 1)
        extra += 1
    if extra:
        mask = None if mask is None else pad(mask, (0, extra))
        padding = None if padding is None else pad(padding, (0, extra))
    source = k.shape[1]
    if padding is not None:
        for d, n in enumerate((batch, source)):
            _need(
                padding.shape[d] == n,
                f"Expected key_padded_mask.shape[{d}] to be {n}, but got {padding.shape[d]}",
            )
        padding = padding.reshape(batch, 1, 1, source).expand(-1, num_heads, -1, -1)
        padding = padding.reshape(count, 1, source)
        mask = padding if mask is None else mask + padding
    p = dropout_p if training else 0.0
    if need_weights:
        _need(
            not (is_causal and mask is None),
            "is_causal: the mask is needed where the weights are wanted",
        )
        scores = (q * math.sqrt(1.0 / head)) @ k.transpose(-2, -1)
        if mask is not None:
            scores = mask + scores
        seen: Any = softmax(scores, dim=-1)
        if p > 0.0:
            seen = dropout(seen, p)
        out: Any = (seen @ v).transpose(0, 1).reshape(length * batch, width)
        seen = seen.reshape(batch, num_heads, length, source)
        if average_attn_weights:
            seen = seen.mean(dim=1)
        seen = seen if batched else seen.squeeze(0)
    else:
        if mask is not None:
            alone = mask.shape[0] == 1 and mask.dim() == 3
            mask = mask.unsqueeze(0) if alone else mask.reshape(batch, num_heads, -1, source)
        q, k, v = (x.reshape(batch, num_heads, -1, head) for x in (q, k, v))
        out = scaled_dot_product_attention(q, k, v, mask, p, is_causal)
        out = out.permute(2, 0, 1, 3).reshape(batch * length, width)
        seen = None
    out = linear(out, out_proj_weight, out_proj_bias)
    out = out.reshape(length, batch, out.shape[1])
    return (out if batched else out.squeeze(1)), seen
