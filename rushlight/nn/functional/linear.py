"""Products with weights: ``linear``, ``bilinear``; numbers as vectors: ``one_hot``."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import engine
from ...base import dtype as dt
from ...engine import Tensor, apply
from ...graph.ops import contract


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``input @ weight.T + bias``: (*, in) with (out, in) and (out,) to (*, out)."""
    if bias is None:
        return apply(contract.linear, input, weight)
    return apply(contract.linear, input, weight, bias)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x1 @ weight[k] @ x2`` for each k: (*, a), (*, b) with (out, a, b) to (*, out)."""
    x: Any = input1
    y: Any = input2
    w: Any = weight
    if x.shape[:-1] != y.shape[:-1]:
        raise RuntimeError(
            f"bilinear(): input batch dimensions do not match: got {list(x.shape)} and "
            f"{list(y.shape)}"
        )
    for which, (have, want) in enumerate(((x, w.shape[1]), (y, w.shape[2])), 1):
        if have.shape[-1] != want:
            raise RuntimeError(
                f"bilinear(): input{which} size does not match weight size: "
                f"got {have.shape[-1]} but expected {want}"
            )
    out, a, b = w.shape
    rows = x.reshape(-1, a)
    pairs = (rows @ w.permute(1, 0, 2).reshape(a, out * b)).reshape(-1, out, b)
    made = (pairs * y.reshape(-1, 1, b)).sum(-1).reshape(*x.shape[:-1], out)
    return made if bias is None else made + bias  # type: ignore[no-any-return]


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """1 at each value's place in a new last dimension of ``num_classes`` (else the largest value +
    1).
    """
    x: Any = tensor
    if x.dtype is not dt.int64:
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    values = engine.read(x)
    if values.size == 0:
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
    else:
        if values.min() < 0:
            raise RuntimeError("Class values must be non-negative.")
        if num_classes == -1:
            num_classes = int(values.max()) + 1
        elif values.max() >= num_classes:
            raise RuntimeError("Class values must be smaller than num_classes.")
    hot = (values[..., None] == np.arange(num_classes)).astype(np.int64)
    return engine.own_array(hot, dt.int64, x.device)
