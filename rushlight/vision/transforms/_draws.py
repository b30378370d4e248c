"""Single draws from the default generator, as `torch.rand(1)` and its kind make them."""

from __future__ import annotations

import numpy as np

from rushlight.random import default_generator, draws
from rushlight.tensor.creation import tensor
from rushlight.tensor.install import FUNCTIONS
from rushlight.tensor.kinds import get_default_dtype


def uniform(low: float = 0.0, high: float = 1.0) -> float:
    """`torch.empty(1).uniform_(low, high).item()`; `torch.rand(1).item()` without arguments."""
    kind = get_default_dtype().numpy
    return float(draws.uniform(default_generator, 1, low, high, kind)[0])


def below(p: float) -> bool:
    """`torch.rand(1) < p`: `p` is rounded as the draw is."""
    return uniform() < float(np.array(p, get_default_dtype().numpy))


def above(p: float) -> bool:
    """`torch.rand(1) > p`."""
    return uniform() > float(np.array(p, get_default_dtype().numpy))


def integer(low: int, high: int) -> int:
    """`torch.randint(low, high, (1,)).item()`: within [low, high)."""
    return int(draws.randint(default_generator, low, high, 1)[0])


def logarithm_of(x: float) -> float:
    """`torch.log(torch.tensor(x)).item()`"""
    return float(FUNCTIONS["log"](tensor(x)).item())


def exponential_of(x: float) -> float:
    """`torch.exp(torch.tensor(x)).item()`"""
    return float(FUNCTIONS["exp"](tensor(float(x))).item())


def permutation(n: int) -> list[int]:
    """`torch.randperm(n)`."""
    order: list[int] = draws.randperm(default_generator, n).tolist()
    return order
