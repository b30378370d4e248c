"""Reductions of all lengths, layouts, products and places, against NumPy to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rushlight.base import dtype as dt

LENGTHS = [1, 2, 3, 5, 8, 10, 16, 17, 31, 32, 33, 40, 63, 64, 96, 100, 511, 512, 513, 1000, 8200]
NAMES = ["sum", "prod", "amax", "amin", "any", "all", "argmax", "argmin"]


def check(kit: Any, p: Any, leaves: list[np.ndarray], numbers: Any = ()) -> Any:
    want = kit.interpret(p, leaves, numbers)
    plan = kit.Plan(p)
    got = plan.run(leaves, numbers)
    for o, w, g in zip(p.outputs, want, got, strict=True):
        assert kit.same_bits(w, g), f"%{o}: {w} {g}\n{p}\n{plan.loops}"
    return plan


def values(kind: Any, n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if kind.kind == "f":
        return rng.uniform(0.9, 1.1, n).astype(kind.numpy) * rng.choice([-1, 1], n).astype(
            kind.numpy
        )
    if kind.kind == "b":
        return rng.random(n) < 0.9
    return rng.integers(0, 9, n).astype(kind.numpy)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dim", [0, 1])
def test_lengths(kit: Any, name: str, dim: int) -> None:
    """Along rows (32 virtual lanes) and down columns (one)."""
    for n in LENGTHS:
        for kind in (
            (dt.float32, dt.int32) if n > 40 else (dt.float32, dt.float64, dt.bool_, dt.uint8)
        ):
            if kind is dt.bool_ and name.startswith("arg"):
                continue
            p = kit.Program()
            x = kit.leaf(p, (3, n) if dim == 1 else (n, 3), kind)
            p.outputs = [kit.make(name, x, arg=((dim,), False)).slot]
            check(kit, p, [values(kind, 3 * n, n)])


@pytest.mark.parametrize("name", ["amax", "amin", "argmax", "argmin", "sum"])
def test_nan_and_zeros(kit: Any, name: str) -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        x = rng.choice(np.array([0.0, -0.0, 1.0, np.nan, -np.inf], np.float32), 5 * 50)
        if seed < 3:
            x = np.where(np.isnan(x), np.float32(-0.0), x)
        p = kit.Program()
        a = kit.leaf(p, (5, 50))
        p.outputs = [kit.make(name, a, arg=((d,), True)).slot for d in (0, 1)]
        check(kit, p, [x])


LONG = [
    ((70_001,), (0,)), ((131_072,), (0,)), ((3, 66_000), (1,)), ((2000, 100), (0,)),
    ((1999, 33), (0,)), ((5000, 7), (0,)), ((3, 600, 100), (1,)), ((4, 300, 4, 30), (1, 2)),
]  # fmt: skip


PIECES = [
    ((4, 3, 7, 7), (0, 2, 3)), ((20, 6, 10, 9), (0, 2, 3)), ((5, 4, 33), (0, 2)),
    ((90, 2, 1511), (0, 2)),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "dims"), PIECES)
@pytest.mark.parametrize("name", ["sum", "amax", "argmax"])
def test_rows_in_pieces(kit: Any, shape: Any, dims: Any, name: str) -> None:
    """Batch normalisation's rows: they lie scattered, in pieces that are no whole vectors."""
    n = int(np.prod(shape))
    p = kit.Program()
    x = kit.leaf(p, shape)
    if name == "argmax":
        r = kit.make(
            name, kit.make("permute", x, arg=(1, 0, *range(2, len(shape)))), arg=((1,), True)
        )
        p.outputs = [r.slot]
        check(kit, p, [values(dt.float32, n)])
        return
    y = kit.make("mul", x, x)
    r = kit.make(name, y, arg=(dims, True))
    k = kit.number(p, "d")
    scaled = kit.make("mul", r, k)
    p.outputs = [scaled.slot, kit.make("neg", y).slot]
    if n < 1 << 16:
        p.outputs.append(kit.make("sub", x, scaled).slot)
    check(kit, p, [values(dt.float32, n)], [0.5])


@pytest.mark.parametrize(("shape", "dims"), LONG)
@pytest.mark.parametrize("name", ["sum", "amax", "any"])
def test_cut_reductions(kit: Any, shape: Any, dims: Any, name: str) -> None:
    """Long ones are two kernels; what comes before and after goes with them."""
    n = int(np.prod(shape))
    for kind in (dt.float32, dt.bool_, dt.uint8):
        p = kit.Program()
        x = kit.leaf(p, shape, kind)
        y = kit.make("cast", x, arg=dt.float32)
        r = kit.make(name, x, arg=(dims, False))
        s = kit.make("sum", kit.make("mul", y, y), arg=(dims, False))
        p.outputs = [kit.make("add", r, s).slot, r.slot, kit.make("neg", y).slot]
        plan = check(kit, p, [values(kind, n)])
        assert len(plan.loops.calls) > 1


@pytest.mark.parametrize("shape", [(7, 10), (5, 1000), (64, 33), (3, 4, 40), (1000, 3)])
@pytest.mark.parametrize("last", [True, False])
def test_row_programs(kit: Any, shape: Any, last: bool) -> None:
    """Softmax and a normalisation are one kernel each, in either direction."""
    dim = len(shape) - 1 if last else 0
    p = kit.Program()
    x = kit.leaf(p, shape)
    arg = ((dim,), True)
    e = kit.make("exp", kit.make("sub", x, kit.make("amax", x, arg=arg)))
    soft = kit.make("div", e, kit.make("sum", e, arg=arg))
    p.outputs = [soft.slot]
    plan = check(kit, p, [values(dt.float32, int(np.prod(shape)))])
    assert len(plan.loops.calls) == 1
    p = kit.Program()
    x, k = kit.leaf(p, shape), kit.number(p, "d")
    mean = kit.make("mul", kit.make("sum", x, arg=arg), k)
    d = kit.make("sub", x, mean)
    var = kit.make("mul", kit.make("sum", kit.make("square", d), arg=arg), k)
    p.outputs = [kit.make("mul", d, kit.make("rsqrt", var)).slot, mean.slot]
    plan = check(kit, p, [values(dt.float32, int(np.prod(shape)))], [1 / shape[dim]])
    assert len(plan.loops.calls) == 1


PRODUCTS = [
    ((100, 5), (5, 8)), ((3, 10, 5), (5, 8)), ((3, 1, 10, 5), (2, 5, 8)), ((1, 5), (5, 1)),
    ((4, 1), (1, 3)), ((7, 1, 4), (7, 4, 1)), ((70, 80), (80, 90)),
    ((0, 3), (3, 2)), ((2, 0), (0, 3)),
]  # fmt: skip


@pytest.mark.parametrize(("a", "b"), PRODUCTS)
@pytest.mark.parametrize("turned", [False, True])
def test_products(kit: Any, a: Any, b: Any, turned: bool) -> None:
    for kind in (dt.float32, dt.int64):
        p = kit.Program()
        x = kit.leaf(p, a, kind)
        shape = (*b[:-2], b[-1], b[-2]) if turned else b
        y = kit.leaf(p, shape, kind)
        right = (
            kit.make("permute", y, arg=(*range(len(b) - 2), len(b) - 1, len(b) - 2))
            if turned
            else y
        )
        z = kit.make("matmul", x, right)
        p.outputs = [z.slot, kit.make("neg", z).slot]
        check(kit, p, [values(kind, max(1, int(np.prod(s)))) for s in (a, shape)])


def test_products_of_constants(kit: Any) -> None:
    """What a product reads is memory, be it a fill or a number."""
    p = kit.Program()
    x, k = kit.leaf(p, (3, 4)), kit.number(p, "d")
    ones = kit.make("full", k, arg=((5, 3), dt.float32))
    one = kit.make("full", k, arg=((1, 1), dt.float32))
    const = type(x)(x.builder, x.builder.make(kit.op("const"), [], (2.0, dt.float32)))
    twos = kit.make("full", const, arg=((4, 2), dt.float32))
    p.outputs = [
        kit.make("matmul", ones, x).slot,
        kit.make("matmul", x, twos).slot,
        kit.make("matmul", one, kit.make("slice", x, arg=(0, 1, 2, 1))).slot,
    ]
    check(kit, p, [values(dt.float32, 12)], [0.7])


def test_writes(kit: Any) -> None:
    """Regions one after the other, in one memory; what was read before stays as it was."""
    p = kit.Program()
    x, v = kit.leaf(p, (6, 7)), kit.leaf(p, (3,))
    a = kit.make("write", x, v, arg=((2, 3), (7, 2), 8))
    b = kit.make("write", a, kit.make("neg", v), arg=((3,), (7,), 3))
    c = kit.make("as_strided", b, arg=((4, 3), (5, 2), 1))
    p.outputs = [b.slot, c.slot, kit.make("add", x, x).slot]
    check(kit, p, [values(dt.float32, 42), values(dt.float32, 3, 1)])
    p = kit.Program()
    x = kit.leaf(p, (6, 7))
    a = kit.make("write", x, kit.make("exp", x), arg=((6, 7), (7, 1), 0))
    p.outputs = [
        a.slot,
        kit.make("write", a, kit.make("select", x, arg=(0, 1)), arg=((7,), (1,), 7)).slot,
        x.slot,
    ]
    check(kit, p, [values(dt.float32, 42)])


def test_layouts(kit: Any) -> None:
    """Outputs lie in their own strides; the same value may leave in several."""
    p = kit.Program()
    x = kit.leaf(p, (5, 6, 7))
    t = kit.make("permute", x, arg=(2, 0, 1))
    e = kit.make("exp", t)
    r = kit.make("relayout", e, arg=(30, 6, 1))
    f = kit.make("flip", e, arg=(0, 2))
    p.outputs = [e.slot, r.slot, f.slot, x.slot, kit.make("reshape", f, arg=(210,)).slot, e.slot]
    plan = check(kit, p, [values(dt.float32, 210)])
    assert plan.loops.outputs[0].strides == (1, 42, 7)


@pytest.mark.parametrize("n", [40, 1000])
def test_numbers(kit: Any, n: int) -> None:
    """A run-time number is converted once to the type of the operation."""
    p = kit.Program()
    x, y = kit.leaf(p, (n,)), kit.leaf(p, (n,), dt.int64)
    a, b = kit.number(p, "d"), kit.number(p, "q")
    full = kit.make("full", a, arg=((n,), dt.float32))
    p.outputs = [
        kit.make("mul", x, a).slot, kit.make("add", y, b).slot, kit.make("mul", y, a).slot,
        kit.make("add", x, full).slot, full.slot,
    ]  # fmt: skip
    check(kit, p, [values(dt.float32, n), values(dt.int64, n)], [0.1, 7])


def test_iota(kit: Any) -> None:
    p = kit.Program()
    x = kit.leaf(p, (33, 50))
    make = x.builder.make
    i = [make(kit.op("iota"), [], ((33, 50), d, k)) for d in (0, 1) for k in (dt.int64, dt.float32)]
    same = [type(x)(x.builder, s) for s in i]
    p.outputs = [kit.make("mul", x, same[1]).slot, kit.make("add", same[0], same[2]).slot]
    p.outputs += [kit.make("sum", kit.make("mul", x, same[3]), arg=((1,), False)).slot, i[2]]
    check(kit, p, [values(dt.float32, 33 * 50)])


@pytest.mark.parametrize("shape", [(8, 8), (9, 20), (33, 64), (4, 40), (5, 12, 9)])
@pytest.mark.parametrize("kind", [dt.float32, dt.float64, dt.bool_, dt.int64])
def test_turned_over(kit: Any, shape: Any, kind: Any) -> None:
    """Operands that lie along the other dimension are read in blocks."""
    order = (*range(len(shape) - 2), len(shape) - 1, len(shape) - 2)
    turned = tuple(shape[d] for d in order)
    p = kit.Program()
    x, y = kit.leaf(p, shape, kind), kit.leaf(p, turned, kind)
    b = kit.leaf(p, shape[-1:], kind)
    t = kit.make("permute", y, arg=order)
    p.outputs = [
        kit.make("maximum", kit.make("maximum", x, t), b).slot,
        kit.make("relayout", kit.make("permute", x, arg=order), arg=_dense(turned)).slot,
    ]
    check(kit, p, [values(kind, int(np.prod(s))) for s in (shape, turned, shape[-1:])])


def _dense(shape: Any) -> tuple[int, ...]:
    out, n = [], 1
    for size in reversed(shape):
        out.append(n)
        n *= size
    return tuple(reversed(out))
