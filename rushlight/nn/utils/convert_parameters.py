"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...engine import Tensor
from ...tensor.join import cat


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """The parameters, flattened, one after the other."""
    flat: list[Any] = []
    for p in parameters:
        x: Any = p
        flat.append(x.reshape(-1))
    return cat(flat)


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Take the parameters' values from a vector, whose memory they then share."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec).__name__}")
    rest: Any = vec
    at = 0
    for p in parameters:
        x: Any = p
        n = x.numel()
        x.data = rest[at : at + n].view_as(x).data
        at += n
