"""Rows and losses with their gradients: compiled plans give the bits of one operation at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rushlight.engine.eager import run_program
from rushlight.graph.node import expand
from rushlight.graph.op import ELEMENTWISE, OPS, TABLE
from rushlight.graph.ops import elementwise as ew
from tests.compiler.conftest import Plan
from tests.graph.rows import Expression, gradients, weighed
from tests.graph.test_elementwise import build, draw

RNG = np.random.default_rng(8)


def normal(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def same_bits(e: Expression, roots: list[Any]) -> None:
    e.program.outputs = [r.slot for r in roots]
    want = run_program(e.program, e.builder.leaves, e.numbers)
    program = expand(e.program)
    flat = [memory(a) for a in e.builder.leaves]
    got = Plan(program).run(flat, e.numbers)
    for a, b in zip(got, want, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        bits = f"u{a.itemsize}"
        same = np.ascontiguousarray(a).view(bits) == np.ascontiguousarray(b).view(bits)
        assert (same | ((a != a) & (b != b))).all()


def memory(a: Any) -> Any:
    """A dense array's elements as they lie."""
    return a.ravel(order="K").copy()


def with_gradients(f: Callable[..., Any], operands: list[Any], wants: list[int]) -> None:
    e = Expression(operands)
    e.builder.create = False
    v = f(*e.vals)
    roots = [v]
    if wants:
        found = gradients(weighed(v, 3), [e.vals[i] for i in wants])
        roots += [g for g in found if g is not None]
    same_bits(e, roots)


COMPLEX = ("complex", "imag")  # their value, or their gradient, is complex


@pytest.mark.parametrize("name", COMPLEX)
def test_plans_refuse_complex_numbers(name: str) -> None:
    op = TABLE[name]
    operands = draw(op, (3, 7), np.float32)
    with pytest.raises(NotImplementedError, match="complex"):
        with_gradients(build(op), operands, list(range(len(operands))))


ROWS = [op.name for op in OPS if op.kind == ELEMENTWISE and op.name not in COMPLEX]


@pytest.mark.parametrize("name", ROWS)
def test_rows(name: str) -> None:
    op = TABLE[name]
    wants = [i for i in range(len(op.domain)) if op.gradient(i) is not None]
    operands = draw(op, (3, 7), np.float32)
    floats = [i for i in wants if operands[i].dtype.kind == "f"]
    with_gradients(build(op), operands, floats)


T = np.array([0, 4, 2, -100, 1, 3])
CASES: dict[str, tuple[Callable[..., Any], list[Any], list[int]]] = {
    "linear": (TABLE["linear"], [normal(6, 9), normal(5, 9), normal(5)], [0, 1, 2]),
    "batched": (TABLE["matmul"], [normal(2, 1, 3, 4), normal(3, 4, 5)], [0, 1]),
    "softmax": (lambda x: TABLE["softmax"](x, arg=1), [normal(4, 50)], [0]),
    "log_softmax 0": (lambda x: TABLE["log_softmax"](x, arg=0), [normal(40, 3)], [0]),
    "logsumexp": (lambda x: TABLE["logsumexp"](x, arg=((0, 1), False)), [normal(7, 9)], [0]),
    "var": (lambda x: TABLE["var"](x, arg=((1,), False, 1)), [normal(7, 40)], [0]),
    "std": (lambda x: TABLE["std"](x, arg=((0,), True, 0)), [normal(70, 4)], [0]),
    "mean": (lambda x: TABLE["mean"](x, arg=((0, 2), False)), [normal(3, 4, 5)], [0]),
    "prod": (lambda x: TABLE["prod"](x, arg=((1,), False)), [normal(4, 40)], [0]),
    "amax": (lambda x: TABLE["amax"](x, arg=((0,), False)), [normal(40, 5)], [0]),
    "cat": (lambda *v: TABLE["cat"](*v, arg=1), [normal(3, 2), normal(3, 5)], [0, 1]),
    "gather": (
        lambda x, i: TABLE["gather"](x, i, arg=0),
        [normal(4, 5), RNG.integers(0, 4, (2, 5))],
        [0],
    ),
    "index": (
        lambda x, i: TABLE["index"](x, i, arg=(1,)),
        [normal(4, 5), RNG.integers(-5, 5, 7)],
        [0],
    ),
    "index_put": (
        lambda b, v, i: TABLE["index_put"](b, v, i, arg=((0,), True)),
        [normal(4, 5), normal(6, 5), RNG.integers(0, 4, 6)],
        [0, 1],
    ),
    "embedding": (
        lambda w, i: TABLE["embedding"](w, i, arg=2),
        [normal(5, 3), T.clip(0).reshape(2, 3)],
        [0],
    ),
    "cross_entropy": (
        lambda x, t: TABLE["cross_entropy"](x, t, arg=("mean", -100, 0.0)),
        [normal(6, 5), T],
        [0],
    ),
    "cross_entropy smoothed": (
        lambda x, t, w: TABLE["cross_entropy"](x, t, w, arg=("mean", -100, 0.1)),
        [normal(6, 5), T, np.abs(normal(5))],
        [0],
    ),
    "mse_loss": (
        lambda x, t: TABLE["mse_loss"](x, t, arg=("mean",)),
        [normal(6, 5), normal(6, 5)],
        [0, 1],
    ),
    "bce_with_logits": (
        lambda x, t: TABLE["binary_cross_entropy_with_logits"](x, t, arg=("mean",)),
        [normal(6, 5), np.abs(normal(6, 5))],
        [0, 1],
    ),
    "two layers": (
        lambda x, w, v: TABLE["softmax"](TABLE["linear"](ew.relu(TABLE["linear"](x, w)), v), arg=1),
        [normal(10, 6), normal(8, 6), normal(3, 8)],
        [0, 1, 2],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_composites(name: str) -> None:
    f, operands, wants = CASES[name]
    with_gradients(f, operands, wants)


@pytest.mark.parametrize("name", ["sum", "prod", "amax", "amin", "argmax", "argmin", "any", "all"])
@pytest.mark.parametrize("dims", [(0,), (1,), (0, 1)])
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int32])
def test_reductions(name: str, dims: tuple[int, ...], kind: Any) -> None:
    x = np.round(RNG.standard_normal((37, 45)) * 2).astype(kind)
    if kind is not np.int32 and name in ("sum", "prod"):
        x = (1 + 0.1 * RNG.standard_normal((37, 45))).astype(kind)
    e = Expression([x])
    same_bits(e, [TABLE[name](e.vals[0], arg=(dims, False))])


def test_numbers() -> None:
    e = Expression([normal(5), 0.1, 7])
    x, f, i = e.vals
    same_bits(e, [x * f, x + i, ew.pow_(ew.abs_(x), f), ew.where(ew.gt(x, f), x, i)])
