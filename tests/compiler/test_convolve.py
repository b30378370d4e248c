"""Convolutions in plans: kernels against a chain in NumPy, and shared out among tasks."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np
import pytest

from rushlight.base import dtype as dt
from rushlight.base.target import host
from rushlight.codegen import convolve
from rushlight.codegen.convolve_image import Tiles
from rushlight.graph.ops.convolve import Conv, places
from rushlight.runtime.jit import compile_text
from tests.compiler.conftest import chain_numpy
from tests.compiler.test_parallel import PFOR, TASK

ONE = ((0, 0), (0, 0))
CASES: list[Any] = [
    ((2, 1, 12, 12), (6, 1, 5, 5), ((1, 1), ONE, (1, 1), 1)),
    ((2, 6, 9, 14), (16, 6, 5, 5), ((1, 1), ONE, (1, 1), 1)),
    ((3, 4, 8, 7), (6, 2, 3, 2), ((2, 3), ((1, 0), (2, 1)), (1, 2), 2)),
    ((2, 8, 6, 6), (8, 1, 3, 3), ((1, 1), ((1, 1), (1, 1)), (1, 1), 8)),
    ((1, 40, 5, 5), (70, 40, 3, 3), ((1, 1), ((1, 1), (1, 1)), (1, 1), 1)),
    ((2, 3, 60, 61), (4, 3, 3, 3), ((2, 2), ((1, 1), (1, 1)), (1, 1), 1)),
    ((1, 40, 14, 28), (4, 40, 3, 3), ((1, 1), ONE, (1, 1), 1)),
    ((1, 52, 9, 20), (2, 52, 3, 3), ((1, 1), ((1, 1), (1, 1)), (1, 1), 1)),
    ((2, 5, 7, 7), (9, 5, 1, 1), ((2, 2), ONE, (1, 1), 1)),
    ((2, 2, 9, 9), (3, 2, 2, 3), ((1, 1), ((-1, 0), (-2, 1)), (2, 1), 1)),
]


def columns(x: Any, kernel: Any, arg: Any) -> Any:
    """Windows of a channel-grouped x: (N, groups, k, places)."""
    stride, pads, dilation, groups = arg
    x = np.pad(x, ((0, 0), (0, 0), *((max(a, 0), max(b, 0)) for a, b in pads)))
    at = tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape[2:], pads))
    x = x[(slice(None), slice(None), *at)]
    size = [(n - d * (k - 1) - 1) // s + 1
            for n, k, s, d in zip(x.shape[2:], kernel, stride, dilation)]  # fmt: skip
    n, c = x.shape[:2]
    out = np.empty((n, c, *kernel, *size), x.dtype)
    for k in np.ndindex(*kernel):
        place = tuple(
            slice(t * d, t * d + (q - 1) * s + 1, s)
            for t, d, q, s in zip(k, dilation, size, stride)
        )
        out[(slice(None), slice(None), *k)] = x[(slice(None), slice(None), *place)]
    taps = c // groups * int(np.prod(kernel))
    return out.reshape(n, groups, taps, -1), tuple(size)


def forward(x: Any, w: Any, arg: Any, kind: Any) -> Any:
    seen, size = columns(x, w.shape[2:], arg)
    rows = w.reshape(1, arg[3], w.shape[0] // arg[3], -1)
    return chain_numpy(rows, seen, kind).reshape(x.shape[0], w.shape[0], *size)


def weight(x: Any, g: Any, kernel: Any, arg: Any, kind: Any) -> Any:
    seen, _ = columns(x, kernel, arg)
    groups, n, o = arg[3], x.shape[0], g.shape[1]
    b = np.moveaxis(seen, 0, 2).reshape(groups, seen.shape[2], -1)
    a = np.moveaxis(g.reshape(n, groups, o // groups, -1), 0, 2).reshape(groups, o // groups, -1)
    return chain_numpy(a, np.swapaxes(b, 1, 2), kind).reshape(o, x.shape[1] // groups, *kernel)


def program(kit: Any, x: Any, w: Any, arg: Any, kind: Any) -> tuple[Any, list[Any], list[Any]]:
    """A convolution and the gradient of its weight; flat leaves, what comes out."""
    rng = np.random.default_rng(1)
    p = kit.Program()
    xs, ws = kit.leaf(p, x, kind), kit.leaf(p, w, kind)
    y = kit.make("convolve", xs, ws, arg=arg)
    g = kit.leaf(p, y.shape, kind)
    made = kit.make("convolve_weight", xs, g, arg=(*arg, w[2:]))
    p.outputs = [y.slot, made.slot]
    leaves = [rng.standard_normal(s).astype(kind.numpy) for s in (x, w, y.shape)]
    want = [forward(*leaves[:2], arg, kind), weight(leaves[0], leaves[2], w[2:], arg, kind)]
    return p, [v.reshape(-1) for v in leaves], want


@pytest.mark.parametrize(("x", "w", "arg"), CASES)
def test_bits(kit: Any, x: Any, w: Any, arg: Any) -> None:
    p, leaves, want = program(kit, x, w, arg, dt.float32)
    for got, right in zip(kit.Plan(p).run(leaves), want, strict=True):
        assert kit.same_bits(np.ascontiguousarray(got), right)


ACROSS: list[Any] = [
    ((2, 3, 13, 5), (20, 3, 3, 3), ((1, 1), ((2, 2), (2, 2)), (1, 1), 1)),
    ((1, 4, 23, 29), (42, 2, 3, 2), ((2, 3), ((1, 0), (2, 1)), (1, 2), 2)),
    ((1, 40, 14, 26), (9, 40, 3, 3), ((1, 1), ONE, (1, 1), 1)),
    ((2, 5, 4, 4), (17, 5, 2, 2), ((1, 1), ONE, (1, 1), 1)),
    ((2, 5, 18, 2), (17, 5, 2, 2), ((1, 1), ONE, (1, 1), 1)),
    ((1, 130, 40, 40), (8, 130, 1, 1), ((1, 1), ((1, 1), (1, 1)), (1, 1), 1)),
]


@pytest.mark.parametrize(("x", "w", "arg"), ACROSS)
@pytest.mark.parametrize("kind", [dt.float32, dt.float64])
@pytest.mark.parametrize("way", ["", "_across"])
def test_ways(
    kit: Any, monkeypatch: pytest.MonkeyPatch, x: Any, w: Any, arg: Any, kind: Any, way: str
) -> None:
    """Every kernel gives the bits of the chain, whichever is chosen of those that can be."""

    def chosen(c: Conv, sizes: Tiles, _: int) -> str:
        return way if math.prod(c.places) >= sizes.vector.lanes else ""

    monkeypatch.setattr(convolve, "_way", chosen)
    p, leaves, want = program(kit, x, w, arg, kind)
    got = kit.Plan(p).run(leaves)[0]
    if kind is dt.float32:
        assert kit.same_bits(np.ascontiguousarray(got), want[0])
    else:
        np.testing.assert_allclose(got, want[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("x", "w", "arg"), CASES[2:4])
def test_doubles(kit: Any, x: Any, w: Any, arg: Any) -> None:
    p, leaves, want = program(kit, x, w, arg, dt.float64)
    for got, right in zip(kit.Plan(p).run(leaves), want, strict=True):
        np.testing.assert_allclose(got, right, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("turn", [1, -1])
def test_tasks(kit: Any, turn: int) -> None:
    """Images and channels may be taken in any order."""
    shape, w, arg = (7, 6, 24, 24), (16, 6, 3, 3), ((1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    p, leaves, want = program(kit, shape, w, arg, dt.float32)
    plan = kit.Plan(p, host()._replace(cores=4))
    ran: list[int] = []

    def share(_: Any, function: Any, args: Any, count: int) -> None:
        for i in range(count)[::turn]:
            ran.append(i)
            TASK(function)(args, i)

    callback = PFOR(share)
    outs = plan.fill(leaves)
    plan.table[-2] = 1  # any pool that is not null
    plan.table[-1] = ctypes.cast(callback, ctypes.c_void_p).value or 0
    assert plan.call(plan.table.ctypes.data) == 0
    assert max(ran) > 2
    for got, right in zip(outs, want, strict=True):
        assert kit.same_bits(got.reshape(right.shape), right)


KERNEL = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 5, ctypes.c_int64, ctypes.c_int64)


def run_alone(conv: Any, weight: bool, y: Any, x: Any, w: Any) -> None:
    """One kernel on its own; its workspace begins as NaN."""
    made = convolve.prepared(conv, dt.float32, host(), weight)
    library = compile_text(made.kernel.text, name_hint="convolution", target=host())
    geometry = np.array(made.numbers, np.int64)
    raw = np.full(made.workspace + 64, 0xFF, np.uint8)
    work = raw.ctypes.data + -raw.ctypes.data % 64
    pointers = [geometry.ctypes.data, *(a.ctypes.data for a in (y, x, w)), work]
    KERNEL(library.address(made.kernel.symbol))(
        *pointers, 0, conv.channels if weight else conv.images
    )


@pytest.mark.parametrize("seed", range(4))
def test_any_shape(monkeypatch: pytest.MonkeyPatch, kit: Any, seed: int) -> None:
    """Long chains, few and many outputs, rows of any length: every kernel that may be chosen."""
    rng = np.random.default_rng(seed)
    lanes = host().lanes(4)
    for _ in range(12):
        groups = int(rng.choice([1, 1, 1, 2]))
        channels = groups * int(rng.choice([1, 3, 16, 33, 64]))
        outputs = groups * int(rng.choice([1, 2, 4, 7, 8, 13, 16, 20, 32]))
        kernel = tuple(int(n) for n in rng.choice([1, 3, 5], 2))
        stride = tuple(int(n) for n in rng.choice([1, 1, 2], 2))
        pads = tuple((int(p), int(p)) for p in rng.integers(0, 3, 2))
        space = (int(rng.integers(5, 12)), int(rng.integers(5, 30)))
        arg = (stride, pads, (1, 1), groups)
        size = tuple(places(n, k, s, p, 1) for n, k, s, p in zip(space, kernel, stride, pads))
        x = rng.standard_normal((2, channels, *space)).astype(np.float32)
        w = rng.standard_normal((outputs, channels // groups, *kernel)).astype(np.float32)
        g = rng.standard_normal((2, outputs, *size)).astype(np.float32)
        before = tuple(p for p, _ in pads)
        conv = Conv(2, channels, outputs, space, kernel, stride, before, (1, 1), size, groups)
        want = forward(x, w, arg, dt.float32)
        ways = [""]
        ways += ["_direct"] if size[1] >= lanes else []
        ways += ["_across"] if size[0] * size[1] >= lanes > 1 else []
        for way in ways:
            with monkeypatch.context() as m:
                m.setattr(convolve, "_way", lambda *_, way=way: way)
                y = np.full_like(want, np.nan)
                run_alone(conv, False, y, x, w)
            assert kit.same_bits(y, want), (way, conv)
        made = np.full_like(w, np.nan)
        run_alone(conv, True, made, x, g)
        assert kit.same_bits(made, weight(x, g, kernel, arg, dt.float32)), conv
