"""Tensors handed between threads in the middle of a stretch, threads that fail, die and watch."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.bits.crowd import SCENARIOS


@pytest.fixture(autouse=True, params=[1e-5, 5e-3])
def switching(request: pytest.FixtureRequest) -> Iterator[None]:
    """Threads take turns often, or as usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(request.param)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda f: f.__name__)
def test_scenario(scenario: Callable[[random.Random], None]) -> None:
    for turn in range(2):
        scenario(random.Random(turn))
