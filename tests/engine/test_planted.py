"""Random programs without PyTorch, and planted defects that they have to find."""

from __future__ import annotations

import os

import pytest

from rushlight.engine import core
from tests.programs import planted
from tests.programs.check import check, options
from tests.programs.generate import generate

FULL = "RUSHLIGHT_PLANTED" in os.environ
SEEDS = range(400 if FULL else 90)
OPTIONS = {s: options(s, torch=False, native=0.1) for s in SEEDS}
PURE = hasattr(core.record1, "__code__")

# Found within a few programs, so that a run of all tests can afford them; the rest by
# `scripts/random_programs.py --planted`, or with RUSHLIGHT_PLANTED=1.
QUICK = (
    "stale number",
    "numbers of a template misaligned",
    "graft the wrong way round",
    "history of a write lost",
    "version not counted",
    "members not made stale",
    "view read at the start",
    "memory taken for settled",
    "plan of other handles",
    "written memory not stored",
    "outputs taken for one another",
)


@pytest.fixture(scope="module")
def good() -> list[int]:
    """Seeds at which the engine as it is shows nothing."""
    return planted.good_seeds(SEEDS, OPTIONS)


def test_programs_show_nothing(good: list[int]) -> None:
    bad = [s for s in SEEDS if s not in good]
    assert not bad, "\n".join(f"seed {s}: {check(generate(s), OPTIONS[s])}" for s in bad[:5])


@pytest.mark.skipif(not PURE, reason="the compiled core cannot be changed")
@pytest.mark.parametrize("plant", planted.PLANTS, ids=lambda p: p.name)
def test_text_is_there(plant: planted.Plant) -> None:
    """Planted defects follow the engine: what they change is still in it."""
    assert planted.applies(plant), f"{plant.old!r} is no longer in {plant.where}"


@pytest.mark.skipif(not PURE, reason="the compiled core cannot be changed")
@pytest.mark.parametrize(
    "plant", [p for p in planted.PLANTS if FULL or p.name in QUICK], ids=lambda p: p.name
)
def test_defect_is_found(plant: planted.Plant, good: list[int]) -> None:
    if plant.orders:
        good = planted.good_seeds(SEEDS, OPTIONS, True)
    assert planted.catch(plant, good, OPTIONS, 60.0 if FULL else 20.0) is not None
