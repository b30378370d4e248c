"""`torch.masked`: what is not there does not count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rushlight as torch
from rushlight import masked

X = torch.tensor([[1.0, 5.0, 3.0], [4.0, 2.0, 9.0]], dtype=torch.float64)
M = torch.tensor([[True, False, True], [True, True, False]])
LINES = ([1.0, 3.0], [4.0, 2.0])
WANT: dict[str, Any] = {
    "sum": np.sum, "prod": np.prod, "amax": np.max, "amin": np.min, "mean": np.mean,
    "var": lambda v: np.var(v, ddof=1), "std": lambda v: np.std(v, ddof=1),
    "norm": np.linalg.norm, "logsumexp": lambda v: np.log(np.sum(np.exp(v))),
}  # fmt: skip


@pytest.mark.parametrize("name", WANT)
def test_reductions(name: str) -> None:
    got = getattr(masked, name)(X, dim=1, mask=M)
    assert np.allclose(got.numpy(), [WANT[name](v) for v in LINES])
    assert getattr(masked, name)(X, dim=1, keepdim=True, mask=M).shape == (2, 1)


def test_places_and_middles() -> None:
    assert masked.argmax(X, 1, mask=M).tolist() == [2, 0]
    assert masked.argmin(X, 1, mask=M).tolist() == [0, 1]
    assert masked.median(X, 1, mask=M).tolist() == [1.0, 2.0]


def test_along_a_dimension() -> None:
    assert masked.cumsum(X, 1, mask=M).tolist() == [[1, 1, 4], [4, 6, 6]]
    assert masked.cumprod(X, 1, mask=M).tolist() == [[1, 1, 3], [4, 8, 8]]
    weights = masked.softmax(X, 1, mask=M)
    assert weights[0, 1].item() == 0.0 and np.allclose(weights.sum(1).numpy(), 1.0)
    assert masked.softmin(X, 1, mask=M)[1, 1] > masked.softmin(X, 1, mask=M)[1, 0]
    assert np.allclose(masked.normalize(X, 2.0, 1, mask=M)[0].numpy(), [0.1**0.5, 0, 0.9**0.5])


def test_gradients_reach_what_is_there_only() -> None:
    x = X.clone().requires_grad_()
    masked.mean(x, mask=M).backward()
    assert x.grad.tolist() == [[0.25, 0.0, 0.25], [0.25, 0.25, 0.0]]
