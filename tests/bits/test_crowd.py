"""Tensors handed between threads in the middle of a stretch, threads that fail, die and watch."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator

import pytest

from rushlight.engine import core
from tests.bits.crowd import SCENARIOS

# In plain Python, seeing that another thread is outside the recorder and taking its stretch over
# are two steps, between which it may be let in: threads that change a hundred times as often as
# usual are for the compiled core, where they are one.
COMPILED = not hasattr(core.record1, "__code__")


@pytest.fixture(autouse=True, params=[1e-5, 5e-3] if COMPILED else [5e-3])
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
