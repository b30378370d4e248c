"""``torch.nn.attention.bias``: causal masks of attention between sequences of two lengths."""

from __future__ import annotations

import enum
from typing import Any

from rushlight.engine import Tensor
from rushlight.tensor.install import FUNCTIONS

__all__ = ["CausalVariant", "causal_lower_right", "causal_upper_left"]


class CausalVariant(enum.IntEnum):
    """Which corner the diagonal of a causal mask starts at."""

    UPPER_LEFT = 1
    LOWER_RIGHT = 2


def _seen(size: tuple[Any, ...], offset: int) -> Tensor:
    ones = FUNCTIONS["ones"](*size, dtype=FUNCTIONS["tensor"](True).dtype)
    made: Tensor = FUNCTIONS["tril"](ones, diagonal=offset)
    return made


def _two(size: tuple[Any, ...]) -> tuple[int, int]:
    if len(size) == 1:
        size = tuple(size[0])
    if len(size) != 2:
        raise RuntimeError(f"a causal mask has 2 sizes, got {len(size)}")
    return size[0], size[1]


def causal_upper_left(*size: Any) -> Tensor:
    """(L, S): query i sees keys 0 to i; an ``attn_mask`` of ``scaled_dot_product_attention``."""
    return _seen(_two(size), 0)


def causal_lower_right(*size: Any) -> Tensor:
    """(L, S): the last query sees all keys, those before one less each."""
    queries, keys = _two(size)
    return _seen((queries, keys), keys - queries)
