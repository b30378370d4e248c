"""Random programs against PyTorch, with saved values that nobody can change."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest

from tests.programs import rounding, ways
from tests.programs.check import LAYOUT, ROUNDING, Options, check, compared, options, with_torch
from tests.programs.compare import Difference
from tests.programs.generate import Generator, generate, generate_orders
from tests.programs.layers import generate_layers
from tests.programs.names import LEAF
from tests.programs.program import Block, Program

COUNT = int(os.environ.get("RUSHLIGHT_RANDOM_PROGRAMS", "120"))
SHARE = 20
DEFINED = (*range(30), 44, 73, 78, 116, 243, 249, 264, 461, 520, 638)  # some of these were not

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
GRADED = "x = T.tensor(A(1, (4, 3), 'float32'), requires_grad=True)\n"


def test_how_a_gradient_lies_is_compared() -> None:
    """But for one value with strides of 0, which is memory here."""
    text = GRADED + "y = x.t().flatten()\nR(T.autograd.grad((y * y).sum(), x)[0])"
    d = wrong(text, "x.t().flatten()", "x.flatten()")
    assert d is not None
    assert d.kind == LAYOUT
    assert wrong(text, "x.t().flatten()", "x.t().reshape(-1)") is None
    text = GRADED + "R(T.autograd.grad(x.sum(), x)[0])"
    assert wrong(text, "x.sum()", "x.sum((0, 1))") is None


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
        GRADED + "(x * 1e9).sin().sum().backward()\nR(x.grad * 1e-9)", "1e9", "1e9 * 1.0000002",
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


def test_what_is_nearer_to_the_truth_is_not_wrong() -> None:
    """In every element that differs; what is not finite is never nearer."""
    ours, theirs, truth = np.array([1.0, 2.0, 3.1]), np.array([1.5, 2.0, 3.0]), np.array([1, 2, 3])
    u = rounding.Unsure(ours, theirs, np.array([True, False, False]))
    assert u.nearer(ours, truth)
    assert not rounding.Unsure(ours, theirs, ours != theirs).nearer(ours, truth)
    assert not rounding.Unsure(theirs, ours, ours != theirs).nearer(theirs, truth)
    ours[0] = np.inf
    assert not rounding.Unsure(ours, theirs, ours != theirs).nearer(ours, np.array([np.inf, 2, 3]))


def test_a_program_in_float64_starts_from_the_same_numbers() -> None:
    """Only one of float32 alone has such a twin."""
    p = Program([Block(["x = T.tensor(A(1, (4, 3), 'float32'))", "R(x)", "R(x.tanh())"])])
    single, double = ways.pytorch(p), ways.in_double(p)
    assert double is not None
    assert double.seen[0].value.dtype == np.float64
    assert np.array_equal(double.seen[0].value, single.seen[0].value)
    assert np.allclose(double.seen[1].value, single.seen[1].value)
    assert ways.in_double(Program([Block(["R(T.ones(2, dtype=T.float64))"])])) is None


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


def places(t: Any) -> Any:
    """Where in its storage the elements of a tensor lie."""
    at = np.array(t.storage_offset())
    for n, step in zip(t.shape, t.stride()):
        at = at[..., None] + np.arange(n) * step
    return at.reshape(-1)


def undefined_writes() -> Any:
    """A mode of PyTorch's that notes writes whose result depends on the order of a loop: to
    memory that is also read, but in another order, and to several elements in one place."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    class Notes(TorchDispatchMode):
        found: ClassVar[list[str]] = []

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None):  # type: ignore[no-untyped-def]
            info = [
                a.alias_info is not None and a.alias_info.is_write for a in func._schema.arguments
            ]
            tensors = [isinstance(q, torch.Tensor) and not q._is_zerotensor() for q in args]
            for x, _, _ in (q for q in zip(args, info, tensors) if q[1] and q[2]):
                there = places(x)
                if x.numel() and len(np.unique(there)) < x.numel():
                    self.found.append(f"{func} of memory that overlaps itself")
                for y, _, _ in (q for q in zip(args, info, tensors) if not q[1] and q[2]):
                    if y.untyped_storage().data_ptr() != x.untyped_storage().data_ptr():
                        continue
                    same = (y.storage_offset(), y.shape, y.stride()) == (
                        x.storage_offset(), x.shape, x.stride(),
                    )  # fmt: skip
                    if not same and len(np.intersect1d(there, places(y))):
                        self.found.append(f"{func} of an operand that overlaps what is written")
            return func(*args, **(kwargs or {}))

    return Notes()


def undefined(p: Program) -> list[str]:
    """The writes of a program that PyTorch leaves undefined."""
    with undefined_writes() as notes:
        notes.found.clear()
        ways.pytorch(p)
        return list(notes.found)


def test_undefined_writes_are_seen() -> None:
    lines = ["x = T.tensor(A(1, (3, 3)))", "x.t().add_(x)", "x[0].expand(2, 3).exp_()", "x.mul_(x)"]
    assert len(undefined(Program([Block(lines)]))) == 2


@pytest.mark.parametrize("make", [generate, generate_layers, generate_orders])
def test_programs_are_defined(make: Callable[[int, None, float], Program]) -> None:
    """No program writes what it reads in another order: PyTorch's result would be an accident."""
    found = {seed: undefined(make(seed, None, 0.35)) for seed in DEFINED}
    assert not {k: v for k, v in found.items() if v}


def test_leaves_of_one_number_have_their_own_gradients() -> None:
    """PyTorch gives all of them the same tensor, and adds to it for each in a second backward."""
    g = Generator(0)
    g.graded = True
    while g.scalars < 3:
        g.new((), "float64")
    leaves = [k for k, v in g.vars.items() if v.rg == LEAF]
    loss = " + ".join(f"{k}.sum()" for k in leaves)
    lines = [*g.lines, f"({loss}).backward()", *(f"R({k}.grad.data_ptr())" for k in leaves)]
    addresses = [x.value for x in ways.pytorch(Program([Block(lines)])).seen]
    assert len(addresses) == len(set(addresses)) == 3
