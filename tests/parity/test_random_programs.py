"""Random programs against PyTorch, with saved values that nobody can change."""

from __future__ import annotations

import os

import numpy as np
import pytest

from tests.programs import rounding, ways
from tests.programs.check import ROUNDING, Options, check, compared, options, with_torch
from tests.programs.compare import Difference
from tests.programs.generate import generate
from tests.programs.program import Block, Program

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


def wrong(text: str, right: str, wrong: str) -> Difference | None:
    """What is said when we run a program with something wrong in it."""
    p = Program([Block(text.split("\n"))])
    q = Program([Block(text.replace(right, wrong).split("\n"))])
    assert p.text() != q.text()
    return with_torch(p, ways.one_at_a_time(q), Options(), {})


X = "x = T.tensor(A(1, (4, 3), 'float32'))\n"
LEAF = "x = T.tensor(A(1, (4, 3), 'float32'), requires_grad=True)\n"
UNSURE = {
    "a sine of billions": (X + "R((x * 1e9).sin())", "1e9", "1e9 * 1.0000002"),
    "a mask of its sign": (X + "R((x * 1e9).sin() > 0)", "1e9", "1e9 * 1.0000002"),
    "where rounding decides": (
        X + "R(x * 2 if float((x * 1e9).sin()[0, 0]) > 0 else x + 1)", "x + 1", "x * 2",
    ),
    "rounding divided by rounding": (
        X + "y = x.exp()\ny = y / 3 * 3 - y\nR(y / (y.abs() + 1e-12))", "/ 3", "/ 3.0000005",
    ),
    "in a backward pass": (
        LEAF + "(x * 1e9).sin().sum().backward()\nR(x.grad * 1e-9)", "1e9", "1e9 * 1.0000002",
    ),
}  # fmt: skip
ERRORS = {
    "well conditioned": (X + "R(x.tanh())", "tanh()", "tanh() * 1.001"),
    "many terms": (
        "x = T.tensor(A(1, (130, 130), 'float32'))\nR((x @ x).sum())", "x @ x", "x @ x * 1.01",
    ),
    "double": ("x = T.tensor(A(1, (4, 3)))\nR(x.exp())", "exp()", "exp() * 1.00000001"),
    "beside what is unsure": (
        X + "y = (x * 1e9).sin()\nR(T.cat([y, x.tanh()]))", "tanh()", "tanh() * 1.001",
    ),
    "a comparison of what is equal": (X + "R(x.exp() > x.exp())", ">", ">="),
    "a comparison of numbers": (X + "R(T.full((3,), 0.1) * 0 + 3 > 3)", "> 3", ">= 3"),
    "of what was copied": (X + "y = x / 3\nR(T.cat([y, y])[:4].neg() < -y)", "<", "<="),
    "a maximum of equals": (
        "x = T.full((3,), 0.3, requires_grad=True)\nx.exp().amax().backward()\nR(x.grad)",
        "x.exp().amax()",
        "x.exp()[0]",
    ),
    "rounded numbers": (X + "R((x * 2).round() == 2)", "== 2", "> 2"),
    "a sign": (X + "R(x.sin().sign())", "x.sin()", "x.sin().neg()"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNSURE)
def test_rounding_is_told(name: str) -> None:
    """What PyTorch gives otherwise when it rounds otherwise is not held against us."""
    d = wrong(*UNSURE[name])
    assert d is not None and d.kind == ROUNDING, d


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_not_taken_for_rounding(name: str) -> None:
    """What is wrong by more than PyTorch's rounding is found, however small."""
    d = wrong(*ERRORS[name])
    assert d is not None and d.kind == "torch: value", d


def test_own_ways_have_no_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recorded programs have the bits of those that run one operation at a time."""
    text, right, other = UNSURE["a sine of billions"]
    p, q = (Program([Block(t.split("\n"))]) for t in (text, text.replace(right, other)))
    monkeypatch.setattr(ways, "recorded", lambda *_: [ways.one_at_a_time(q)])
    d = compared(p, Options())
    assert d is not None and d.kind == "recorded: value", d


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_moved(dtype: str) -> None:
    """The same for the same number, the other way for its negative."""
    x = rounding.array(3, (50, 4), dtype)
    y = rounding.moved(x, 1)
    assert (np.abs(x - y) <= 2 * np.spacing(np.abs(x))).all()
    assert (x != y).mean() > 0.7
    assert (rounding.moved(-x, 1) == -y).all()
    assert (rounding.moved(x, 2) != y).any()
    exact = np.array([0.0, 1.0, 0.5, -3.0, 1024.0, np.inf, -np.inf], dtype)
    assert (rounding.moved(exact, 1) == exact).all()
    assert (rounding.moved(x, 1, rounding.digits(x * -4)) == x).all()
