"""The article programs under PyTorch and under Rushlight: the same text and numbers."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
NUMBER = re.compile(r"-?\d+\.\d+")
# Losses that explode, and a thousand steps, magnify the last bit in which sums differ.
TOLERANCE = {
    "regression_by_hand": (2e-6, 1e-4),
    "numpy_to_torch": (1e-6, 2e-4),
    "classifier": (1e-4, 2e-2),
    "regression_optimisers": (1e-4, 2e-3),
    "linear_regression": (1e-4, 2e-6),
}

# The figures of the article on fitting a line by hand.
FIGURES = [
    1763.8846,
    -989.5273,
    -82.6000,
    112821534720.0,
    1110.275269,
    1139.642456,
    11.4749,
    8.2523,
]


def printed(path, rushlight):
    """What a program prints."""
    command = [sys.executable, "-m", "rushlight", "run"] if rushlight else [sys.executable]
    # One thread: PyTorch's wait for each other in loops, which takes minutes on a busy machine.
    settings = {
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        "OMP_NUM_THREADS": "1",
    }
    run = subprocess.run(
        [*command, str(path)],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.parametrize("name", sorted(TOLERANCE))
def test_both_print_the_same(name):
    path = ROOT / "examples" / f"{name}.py"
    ours, theirs = printed(path, True), printed(path, False)
    assert NUMBER.sub("#", ours) == NUMBER.sub("#", theirs)
    relative, absolute = TOLERANCE[name]
    found, expected = ([float(n) for n in NUMBER.findall(text)] for text in (ours, theirs))
    assert found == pytest.approx(expected, rel=relative, abs=absolute)


@pytest.mark.parametrize("rushlight", [True, False])
def test_the_figures_of_the_article(rushlight):
    text = printed(ROOT / "examples" / "regression_by_hand.py", rushlight)
    numbers = [float(n) for n in NUMBER.findall(text)]
    for figure in FIGURES:
        assert any(n == pytest.approx(figure, rel=2e-6, abs=6e-5) for n in numbers), figure
