"""Programs whose bits are compared between targets: every row, every class of kernel.

A case is a program with the memory of its leaves; what it gives must be the same everywhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rushlight.base import dtype as dt
from rushlight.base.shape import numel
from rushlight.graph.node import Program
from rushlight.graph.op import TABLE
from rushlight.graph.ops.indexing import CHECK
from tests.compiler.conftest import leaf, make, number
from tests.compiler.test_rows import data, operands

FULL = os.environ.get("RUSHLIGHT_BITS_FULL", "0") not in ("", "0")
"""Whether everything is compared, or a sample that takes seconds."""

KINDS = [dt.float32, dt.float64, dt.int64, dt.int32, dt.uint8, dt.bool_]
FLOATS = [dt.float32, dt.float64]


@dataclass
class Case:
    """One program, flat memory for each of its leaves, and its run-time numbers."""

    name: str
    program: Program
    leaves: list[np.ndarray]
    numbers: list[float] = field(default_factory=list)


class Maker:
    """Writes one case."""

    def __init__(self, name: str, seed: int = 0) -> None:
        self.case = Case(name, Program(), [])
        self.rng = np.random.default_rng(seed)

    def leaf(self, *shape: int, kind: Any = dt.float32, given: Any = None) -> Any:
        """A leaf with numbers of mixed size, so that the order of a sum shows."""
        n = max(1, numel(shape))
        if given is None and kind.kind == "f":
            given = self.rng.standard_normal(n) * 2.0 ** self.rng.integers(-6, 7, n)
        elif given is None:
            given = self.rng.integers(0, 2 if kind.kind == "b" else 50, n)
        self.case.leaves.append(np.asarray(given).astype(kind.numpy).reshape(-1))
        return leaf(self.case.program, shape, kind)

    def number(self, value: float) -> Any:
        """A run-time number."""
        self.case.numbers.append(value)
        return number(self.case.program, "d")

    def out(self, *values: Any) -> None:
        """More outputs."""
        self.case.program.outputs.extend(v.slot for v in values)


def rows(size: int = 61) -> Iterator[Case]:
    """Every elementwise row in every type that it takes; the awkward values among the others."""
    for name in sorted(n for n, o in TABLE.items() if o.kind == "elementwise" and n != "cast"):
        op, count, m = TABLE[name], operands(name), Maker(name)
        domains = [op.domain[i] if i < len(op.domain) else (-3.0, 3.0) for i in range(count)]
        for kind in KINDS:
            kinds = [dt.bool_ if op.types == "where" and i == 0 else kind for i in range(count)]
            given = [data(k, size, i, d) for i, (k, d) in enumerate(zip(kinds, domains))]
            try:
                trial = Program()
                xs = [leaf(trial, (size,), k) for k in kinds]
                make(name, *xs)
                bounds = (
                    CHECK[op]([x.builder.spec(x.slot) for x in xs], None) if op in CHECK else ()
                )
            except (TypeError, RuntimeError, NotImplementedError):
                continue  # the row does not take this type
            if kind is dt.bool_ and "shift" in name:
                continue  # never compiled: the recorder runs it one operation at a time
            for b in bounds:
                x = given[b.operand]
                good = (x >= 0) & (x <= 1) if b.test == "unit" else x != 0
                given[b.operand] = np.where(good, x, np.ones(1, x.dtype))
            m.out(make(name, *[m.leaf(size, kind=k, given=x) for k, x in zip(kinds, given)]))
        yield m.case


def wide_rows(size: int = 4099) -> Iterator[Case]:
    """Vector mathematics over wide ranges of float bits, subnormal and huge ones included."""
    for name in sorted(n for n, o in TABLE.items() if o.kind == "elementwise" and n != "cast"):
        op, count = TABLE[name], operands(name)
        if op in CHECK or op.types not in ("float", "promote") or name.startswith("bitwise"):
            continue
        m = Maker(f"{name} wide", 5)
        for kind in FLOATS:
            bits = m.rng.integers(0, 1 << 8 * kind.itemsize, (count, size), np.uint64, False)
            xs = bits.astype(f"u{kind.itemsize}").view(kind.numpy)
            xs[np.isnan(xs)] = np.nan  # no signalling ones
            half = size // 2
            xs[:, :half] = (m.rng.standard_normal((count, half)) * 8).astype(kind.numpy)
            m.out(make(name, *[m.leaf(size, kind=kind, given=x) for x in xs]))
        yield m.case


def casts(size: int = 77) -> Iterator[Case]:
    """Every pair of types."""
    kinds = [*KINDS, dt.int8, dt.int16]
    for kind in kinds:
        x = data(kind, size, 3, (-300.0, 300.0))
        if kind.kind == "f":
            x[20:28] = [2**31, -(2**31), 2.0**63, -(2.0**63), 2.0**62, -1e30, 255.5, -128.9]
        m = Maker(f"cast {kind.name}")
        m.out(*[make("cast", m.leaf(size, kind=kind, given=x), arg=to) for to in kinds])
        yield m.case


SHAPES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((1,), (0,)), ((5,), (0,)), ((33,), (0,)), ((1000,), (0,)), ((5003,), (0,)),
    ((7, 19), (0,)), ((7, 19), (1,)), ((40, 130), (0,)), ((40, 130), (1,)), ((40, 130), (0, 1)),
    ((3, 5, 70), (0, 2)), ((3, 5, 70), (1,)), ((6, 17, 9), (0, 1)), ((600, 3), (0,)),
]  # fmt: skip


def reductions() -> Iterator[Case]:
    """Every reduction over rows, columns and everything, in several types."""
    for name in sorted(n for n, o in TABLE.items() if o.kind == "reduce"):
        m = Maker(name, 2)
        for shape, dims in SHAPES:
            for kind in (dt.float32, dt.float64, dt.int32, dt.bool_):
                if name.startswith("arg") and kind is dt.bool_:
                    continue
                if name == "prod" and kind.kind == "f":
                    given = m.rng.uniform(0.9, 1.1, numel(shape))
                    x = m.leaf(*shape, kind=kind, given=given)
                else:
                    x = m.leaf(*shape, kind=kind)
                m.out(make(name, x, arg=(dims[:1] if name.startswith("arg") else dims, False)))
        yield m.case


def normalised() -> Iterator[Case]:
    """Softmax and its kin, means and variances, over short and long rows and over columns."""
    for shape in [(4, 3), (9, 10), (5, 31), (17, 64), (3, 1000), (130, 257)]:
        m = Maker(f"normalised {shape}", 3)
        for kind in FLOATS:
            x = m.leaf(*shape, kind=kind)
            for dim in (0, 1):
                m.out(*[make(name, x, arg=dim) for name in ("softmax", "log_softmax")])
                m.out(make("logsumexp", x, arg=((dim,), False)))
                m.out(make("mean", x, arg=((dim,), True)))
                m.out(*[make(name, x, arg=((dim,), False, 1)) for name in ("var", "std")])
        yield m.case


def losses() -> Iterator[Case]:
    """Every loss, reduced and not."""
    m = Maker("losses", 4)
    x, y = m.leaf(50, 7), m.leaf(50, 7)
    p, q = (m.leaf(50, 7, given=m.rng.random(350)) for _ in range(2))
    classes = m.leaf(50, kind=dt.int64, given=m.rng.integers(0, 7, 50))
    for how in ("none", "mean", "sum"):
        m.out(make("mse_loss", x, y, arg=(how,)), make("l1_loss", x, y, arg=(how,)))
        m.out(make("binary_cross_entropy_with_logits", x, q, arg=(how,)))
        m.out(make("binary_cross_entropy", p, q, arg=(how,)))
        m.out(make("cross_entropy", x, classes, arg=(how, -100, 0.0)))
        m.out(make("cross_entropy", x, classes, arg=(how, 3, 0.1)))
        m.out(make("nll_loss", x, classes, arg=(how, -100)))
    yield m.case


PRODUCTS = [
    (1, 1, 1), (1, 7, 1), (1, 300, 5), (5, 300, 1), (100, 5, 8), (100, 8, 4), (3, 3, 3),
    (16, 16, 16), (17, 31, 33), (1, 64, 200), (64, 64, 64), (50, 784, 10), (130, 70, 257),
    (200, 300, 180), (9, 1500, 40), (256, 256, 256),
]  # fmt: skip


def products(sizes: Sequence[tuple[int, int, int]] = PRODUCTS) -> Iterator[Case]:
    """Matrix products of each class of size: plain, both operands turned, in batches."""
    for m_, k, n in sizes:
        m = Maker(f"product {m_}x{k}x{n}", 6)
        for kind in FLOATS if m_ * k * n < 1 << 20 else FLOATS[:1]:
            a, b = m.leaf(m_, k, kind=kind), m.leaf(k, n, kind=kind)
            m.out(make("matmul", a, b))
            at, bt = m.leaf(k, m_, kind=kind), m.leaf(n, k, kind=kind)
            turned = [make("permute", x, arg=(1, 0)) for x in (at, bt)]
            m.out(make("matmul", a, turned[1]), make("matmul", turned[0], b))
            m.out(make("relu", make("matmul", turned[0], turned[1])))
        yield m.case
    m = Maker("products in batches", 7)
    for kind in FLOATS:
        m.out(make("matmul", m.leaf(6, 9, 33, kind=kind), m.leaf(6, 33, 12, kind=kind)))
        m.out(make("matmul", m.leaf(2, 1, 20, 20, kind=kind), m.leaf(3, 20, 41, kind=kind)))
    ints = [m.leaf(9, 12, kind=dt.int64), m.leaf(12, 7, kind=dt.int64)]
    m.out(make("matmul", *ints))
    yield m.case


CONVOLUTIONS: list[tuple[tuple[int, ...], tuple[int, ...], Any]] = [
    ((2, 1, 12, 12), (6, 1, 5, 5), ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)),
    ((2, 4, 11, 9), (6, 2, 3, 2), ((2, 3), ((1, 0), (2, 1)), (1, 2), 2)),
    ((1, 40, 9, 9), (37, 40, 3, 3), ((1, 1), ((1, 1), (1, 1)), (1, 1), 1)),
    ((2, 3, 40), (5, 3, 7), ((2,), ((3, 2),), (1,), 1)),
    ((1, 2, 5, 6, 7), (3, 2, 2, 3, 2), ((1, 2, 1), ((0, 1), (1, 1), (0, 0)), (1, 1, 2), 1)),
]


def convolutions() -> Iterator[Case]:
    """Convolutions and both of their gradients: strides, padding, dilation, groups."""
    for x_shape, w_shape, arg in CONVOLUTIONS:
        m = Maker(f"convolution {x_shape} {w_shape}", 11)
        for kind in FLOATS:
            x, w = m.leaf(*x_shape, kind=kind), m.leaf(*w_shape, kind=kind)
            y = make("convolve", x, w, arg=arg)
            g = make("relu", y)
            m.out(y, make("convolve_input", g, w, arg=(*arg, x_shape[2:])))
            m.out(make("convolve_weight", x, g, arg=(*arg, w_shape[2:])))
        yield m.case


POOLS: list[tuple[tuple[int, ...], Any]] = [
    ((2, 3, 12, 31), ((2, 2), (2, 2), (0, 0), (1, 1), (6, 15))),
    ((1, 3, 13, 40), ((3, 3), (2, 2), (1, 1), (1, 1), (7, 20))),
    ((1, 2, 9, 37), ((3, 2), (1, 1), (1, 0), (1, 2), (9, 35))),
    ((2, 2, 50), ((5,), (3,), (2,), (1,), (17,))),
]


def pools() -> Iterator[Case]:
    """Greatest elements of windows, their places, and the way back."""
    for shape, arg in POOLS:
        m = Maker(f"pool {shape}", 12)
        for kind in (*FLOATS, dt.int64, dt.uint8):
            x = m.leaf(*shape, kind=kind)
            y = make("max_pool", x, arg=arg)
            m.out(y, make("max_pool_index", x, arg=arg))
            m.out(make("max_pool_back", make("add", y, y), x, arg=arg))
        yield m.case


def moved() -> Iterator[Case]:
    """Turned, joined, gathered, scattered and overwritten memory, with arithmetic around it."""
    m = Maker("moved", 8)
    for kind in (dt.float32, dt.float64, dt.int32, dt.uint8):
        x = m.leaf(37, 70, kind=kind)
        t = make("permute", x, arg=(1, 0))
        m.out(make("reshape", t, arg=(10, 259)), make("add", make("reshape", t, arg=(37, 70)), x))
        m.out(make("flip", x, arg=(1,)), make("slice", t, arg=(0, 3, 66, 5)))
        m.out(make("cat", x, make("mul", x, x), arg=0), make("cat", x, x, arg=1))
        hole = make("slice", x, arg=(1, 2, 40, 1))
        m.out(make("write", x, make("mul", hole, hole), arg=((37, 38), (70, 1), 2)))
        places = m.leaf(37, 9, kind=dt.int64, given=m.rng.integers(0, 70, 37 * 9))
        m.out(make("gather", x, places, arg=1))
        rows_ = m.leaf(90, kind=dt.int64, given=m.rng.integers(-37, 37, 90))
        m.out(make("index", x, rows_, arg=(0,)))
        value = m.leaf(37, 9, kind=kind)
        for accumulate in (False, True):
            m.out(make("scatter", x, places, value, arg=(1, accumulate)))
            wide = m.leaf(90, 70, kind=kind)
            m.out(make("index_put", x, wide, rows_, arg=((0,), accumulate)))
    yield m.case


def fused() -> Iterator[Case]:
    """What would be contracted, reassociated or turned into a reciprocal by a careless compiler."""
    m = Maker("fused", 9)
    for kind in FLOATS:
        for shape in [(8, 9), (33, 70), (200, 300)]:
            x, y, z = (m.leaf(*shape, kind=kind) for _ in range(3))
            k = m.number(0.1)
            m.out(make("add", make("mul", x, y), z), make("sub", z, make("mul", x, y)))
            m.out(make("div", make("mul", x, k), make("add", make("abs", y), k)))
            m.out(make("div", x, number_const(m, 3.0, kind)), make("sqrt", make("square", x)))
            e = make("exp", make("sub", x, make("amax", x, arg=((1,), True))))
            m.out(make("div", e, make("sum", e, arg=((1,), True))))
            m.out(make("sum", make("mul", x, y), arg=((0, 1), False)))
            m.out(make("sum", make("tanh", make("mul", x, y)), arg=((0,), False)))
    yield m.case


def large() -> Iterator[Case]:
    """What a pool shares out: long lines, many rows, wide columns, products cut in blocks."""
    for kind in FLOATS:
        m = Maker(f"large {kind.name}", 10)
        x, y = m.leaf(70_001, kind=kind), m.leaf(70_001, kind=kind)
        z = make("mul", make("add", make("exp", make("tanh", x)), y), m.number(0.3))
        m.out(z, make("sum", z, arg=((0,), False)), make("amax", z, arg=((0,), False)))
        x = m.leaf(200, 300, kind=kind)
        m.out(make("softmax", x, arg=1), make("log_softmax", x, arg=0))
        m.out(
            make("sum", make("mul", x, x), arg=((0,), False)), make("std", x, arg=((0,), False, 1))
        )
        a, b = m.leaf(203, 120, kind=kind), m.leaf(120, 150, kind=kind)
        c = make("relu", make("matmul", a, b))
        m.out(c, make("mean", c, arg=((0, 1), False)))
        yield m.case


def number_const(m: Maker, value: float, kind: Any) -> Any:
    """A constant."""
    from rushlight.graph.node import ProgramBuilder
    from rushlight.graph.value import Val

    b = ProgramBuilder(m.case.program)
    return Val(b, b.make(TABLE["const"], [], (value, kind)))


GROUPS: dict[str, tuple[Callable[[], Iterator[Case]], int]] = {
    "rows": (rows, 9), "wide rows": (wide_rows, 13), "casts": (casts, 4),
    "reductions": (reductions, 7), "normalised": (normalised, 3), "losses": (losses, 1),
    "products": (products, 4), "convolutions": (convolutions, 2), "moved": (moved, 1),
    "fused": (fused, 1), "large": (large, 1), "pools": (pools, 2),
}  # fmt: skip
"""Each group's cases, and which share of them a short run takes."""


def group(name: str) -> list[Case]:
    """The cases of a group: all of them, or the sample of a short run."""
    make_all, share = GROUPS[name]
    return list(make_all())[:: 1 if FULL else share]
