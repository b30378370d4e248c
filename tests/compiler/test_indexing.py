"""Gather and scatter, their order, and what a plan says of an index that is out of bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rushlight.base import dtype as dt

READS = [
    ("gather", (10, 7), [(7, (10, 3))], 1), ("gather", (10, 7), [(10, (4, 7))], 0),
    ("pick", (100, 10), [(10, (100, 1))], 1), ("index", (50, 16), [(50, (33,))], (0,)),
    ("index", (50, 17), [(50, (3, 4))], (0,)), ("index", (5, 6, 7), [(6, (4,))], (1,)),
    ("index", (5, 6, 7), [(6, (4,)), (7, (4,))], (1, 2)),
    ("index", (5, 6, 7), [(5, (4,)), (7, (2, 1))], (0, 2)), ("index", (40,), [(40, (100,))], (0,)),
]  # fmt: skip
WRITES = [
    ("scatter", (10, 7), [(7, (10, 5))], 1, (10, 5)),
    ("scatter", (10, 7), [(10, (30, 7))], 0, (30, 7)),
    ("index_put", (20, 16), [(20, (70,))], (0,), (70, 16)),
    ("index_put", (20, 19), [(20, (70,))], (0,), (70, 19)),
    ("index_put", (20, 19), [(20, (70,))], (0,), ()),
    ("index_put", (5, 6, 7), [(6, (40,)), (7, (40,))], (1, 2), (5, 40)),
    ("index_put", (5, 6, 7), [(5, (4,)), (7, (2, 1))], (0, 2), (2, 4, 6)),
    ("index_put", (30,), [(30, (200,))], (0,), (200,)),
]  # fmt: skip


def places(indices: Any, negative: bool, rng: Any) -> list[np.ndarray]:
    return [rng.integers(-n if negative else 0, n, shape) for n, shape in indices]


def slices(ndim: int, dims: Any, found: Any) -> tuple[Any, ...]:
    out: list[Any] = [slice(None)] * ndim
    for d, i in zip(dims, found, strict=True):
        out[d] = i
    return tuple(out)


@pytest.mark.parametrize(("name", "shape", "indices", "arg"), READS)
@pytest.mark.parametrize("kind", [dt.float32, dt.bool_, dt.int64])
def test_reads(kit: Any, name: str, shape: Any, indices: Any, arg: Any, kind: Any) -> None:
    rng = np.random.default_rng(0)
    x = (rng.standard_normal(shape) * 3).astype(kind.numpy)
    found = places(indices, name == "index", rng)
    for fused in (False, True):
        p = kit.Program()
        a = kit.leaf(p, shape, kind)
        ix = [kit.leaf(p, i.shape, dt.int64) for i in found]
        base = kit.make("eq", a, a) if fused else a
        z = kit.make(name, base, *ix, arg=arg)
        total = kit.make("sum", z, arg=(tuple(range(len(z.shape))), False))
        p.outputs = [z.slot, kit.make("cast", z, arg=dt.float64).slot, total.slot]
        got = kit.Plan(p).run([x.reshape(-1), *[i.reshape(-1) for i in found]])
        source = (x == x) if fused else x
        if name == "index":
            want = source[slices(x.ndim, arg, found)]
        else:
            want = np.take_along_axis(source, found[0], arg)
        assert kit.same_bits(np.ascontiguousarray(want), np.ascontiguousarray(got[0]))
        assert kit.same_bits(want.astype(np.float64), np.ascontiguousarray(got[1]))


@pytest.mark.parametrize(("name", "shape", "indices", "dims", "value"), WRITES)
@pytest.mark.parametrize("accumulate", [False, True])
def test_writes(
    kit: Any, name: str, shape: Any, indices: Any, dims: Any, value: Any, accumulate: bool
) -> None:
    """Places that come several times are written in row-major order."""
    rng = np.random.default_rng(0)
    x, v = (rng.standard_normal(s).astype(np.float32) for s in (shape, value))
    found = places(indices, name == "index_put", rng)
    p = kit.Program()
    a, b = kit.leaf(p, shape), kit.leaf(p, value)
    ix = [kit.leaf(p, i.shape, dt.int64) for i in found]
    base = kit.make("neg", a)
    if name == "scatter":
        z = kit.make(name, base, ix[0], b, arg=(dims, accumulate))
    else:
        z = kit.make(name, base, b, *ix, arg=(dims, accumulate))
    p.outputs = [kit.make("neg", z).slot, base.slot, z.slot]
    leaves = [x.reshape(-1), v.reshape(-1), *[i.reshape(-1) for i in found]]
    got = kit.Plan(p).run(leaves)
    want = -x
    if name == "scatter":
        for at in np.ndindex(*found[0].shape):
            to = tuple(found[0][at] if d == dims else n for d, n in enumerate(at))
            want[to] = want[to] + v[at] if accumulate else v[at]
    elif accumulate:
        np.add.at(want, slices(x.ndim, dims, found), v)
    else:
        want[slices(x.ndim, dims, found)] = v
    assert kit.same_bits(want, got[2])
    assert kit.same_bits(-want, got[0])
    assert kit.same_bits(-x, got[1])


@pytest.mark.parametrize("bad", [-51, 50, 1 << 40, -(1 << 62)])
@pytest.mark.parametrize("at", [0, 17, 32])
def test_out_of_bounds(kit: Any, bad: int, at: int) -> None:
    """The plan says no, having read and written nothing outside its memory."""
    for name in ("index", "gather", "index_put"):
        p = kit.Program()
        a = kit.leaf(p, (50,))
        i = kit.leaf(p, (33,), dt.int64)
        v = kit.leaf(p, (33,))
        if name == "index_put":
            z = kit.make(name, a, v, i, arg=((0,), True))
        else:
            z = kit.make(name, a, i, arg=(0,) if name == "index" else 0)
        p.outputs = [kit.make("add", z, z).slot]
        plan = kit.Plan(p)
        x, index = np.ones(50, np.float32), np.arange(33)
        v = np.ones(33, np.float32)
        plan.run([x, index, v])
        index[at] = bad
        plan.run([x, index, v], status=1)
        index[at] = -1 if name != "gather" else 49
        plan.run([x, index, v])
        assert (x == 1).all()
