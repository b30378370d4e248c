"""The example programs run under the name torch, and print the figures of the articles."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NUMBER = re.compile(r"-?\d+\.\d+(?:e[-+]\d+)?")

# What the article prints of its ten epochs with each learning rate.
LOSSES = [
    1763.884644, 10424.541016, 76423.132812, 579046.562500, 4406547.0, 33552814.0, 255500272.0,
    1945619584.0, 14815792128.0, 112821534720.0,
    1763.884644, 1667.137939, 1577.523560, 1494.515503, 1417.625854, 1346.403809, 1280.430786,
    1219.319702, 1162.712036, 1110.275269,
    2806.242188, 2534.330811, 2289.593994, 2069.307129, 1871.018311, 1692.521973, 1531.833618,
    1387.168457, 1256.919678, 1139.642456,
]  # fmt: skip


def output(path):
    """What a program prints under Rushlight."""
    run = subprocess.run(
        [sys.executable, "-m", "rushlight", "run", str(path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_there_are_examples():
    assert {p.stem for p in EXAMPLES} >= {"regression_by_hand", "numpy_to_torch", "classifier"}


def test_regression_by_hand_prints_the_figures_of_the_article():
    text = output(ROOT / "examples" / "regression_by_hand.py")
    losses = [float(n) for n in re.findall(r"Loss (\S+)", text)]
    assert losses == pytest.approx(LOSSES, rel=2e-6)
    numbers = [float(n) for n in NUMBER.findall(text)]
    for figure in (
        1763.8846,
        -989.5273,
        -82.6000,
        -67495.0859,
        -3787.7676,
        1.8376,
        0.0741,
        11.4749,
        8.2523,
    ):
        assert any(n == pytest.approx(figure, rel=2e-6, abs=6e-5) for n in numbers), figure


def test_all_ways_from_numpy_to_torch_agree():
    lines = output(ROOT / "examples" / "numpy_to_torch.py").splitlines()
    found = [tuple(float(n) for n in NUMBER.findall(line)[-2:]) for line in lines]
    assert len(found) == 7
    assert all(pair == pytest.approx((1.5131, 0.5019), abs=2e-4) for pair in found)


def test_the_classifier_learns():
    text = output(ROOT / "examples" / "classifier.py")
    assert "(hidden1): Linear(in_features=5, out_features=8, bias=True)" in text
    losses = [float(n) for n in re.findall(r"Epoch - \d+, Loss - ([\d.]+)", text)]
    assert losses[:2] == pytest.approx([0.6858, 0.6820], abs=2e-4)
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.02
    assert float(re.findall(r"two activations.* ([\d.]+), accuracy", text)[0]) < 0.05
