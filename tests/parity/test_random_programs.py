"""Random programs against PyTorch, with saved values that nobody can change."""

from __future__ import annotations

import os

import pytest

from tests.programs import ways
from tests.programs.check import check, options
from tests.programs.generate import generate

COUNT = int(os.environ.get("RUSHLIGHT_RANDOM_PROGRAMS", "120"))
SHARE = 20

pytestmark = pytest.mark.skipif(not ways.have_torch(), reason="PyTorch is not installed")


@pytest.mark.parametrize("first", range(0, COUNT, SHARE))
def test_random_programs(first: int) -> None:
    """Recorded, one at a time and PyTorch: the same values, shapes, types, histories and errors."""
    wrong = []
    for seed in range(first, min(first + SHARE, COUNT)):
        d = check(generate(seed), options(seed, True))
        if d is not None:
            wrong.append(f"seed {seed}: {d}")
    assert not wrong, "\n".join(wrong)
