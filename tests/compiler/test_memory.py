"""Plans touch their operands' memory and nothing beside it."""

from __future__ import annotations

import ctypes
import mmap
import sys
from typing import Any

import numpy as np
import pytest

from rushlight.base import dtype as dt
from rushlight.base.shape import numel

PAGE = mmap.PAGESIZE
NONE, BOTH = 0, 3


class Fenced:
    """Memory that ends (or begins) at a page that may not be touched."""

    def __init__(self, nbytes: int, at_end: bool) -> None:
        pages = -(-max(nbytes, 1) // PAGE)
        self.map = mmap.mmap(-1, (pages + 2) * PAGE)
        self.base = ctypes.addressof(ctypes.c_char.from_buffer(self.map))
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        for page in (0, pages + 1):
            assert libc.mprotect(self.base + page * PAGE, PAGE, NONE) == 0
        start = self.base + PAGE + (pages * PAGE - nbytes if at_end else 0)
        self.bytes = np.ctypeslib.as_array((ctypes.c_uint8 * nbytes).from_address(start))

    def of(self, x: np.ndarray) -> np.ndarray:
        flat = self.bytes.view(x.dtype)
        flat[...] = x
        return flat


def fenced(x: np.ndarray, at_end: bool, keep: list[Fenced]) -> np.ndarray:
    keep.append(Fenced(x.nbytes, at_end))
    return keep[-1].of(x)


def programs(kit: Any) -> list[Any]:
    """Programs of awkward sizes: tails, transposed reads, rows, columns, regions, places."""
    out = []
    for n in (1, 3, 7, 10, 31, 33, 100):
        p = kit.Program()
        x, y, b = kit.leaf(p, (n, 13)), kit.leaf(p, (13, n)), kit.leaf(p, (13,), dt.bool_)
        i = kit.leaf(p, (5,), dt.int64)
        z = kit.make("add", x, kit.make("permute", y, arg=(1, 0)))
        e = kit.make("exp", kit.make("where", b, z, x))
        m = kit.make("matmul", x, y)
        p.outputs = [
            e.slot,
            kit.make("sum", e, arg=((1,), False)).slot,
            kit.make("amax", e, arg=((0,), False)).slot,
            kit.make("sum", z, arg=((0, 1), False)).slot,
            kit.make("any", kit.make("lt", z, x), arg=((1,), False)).slot,
            kit.make("flip", z, arg=(0, 1)).slot,
            kit.make("cat", x, z, arg=1).slot,
            kit.make("write", x, kit.make("select", z, arg=(0, 0)), arg=((13,), (1,), 0)).slot,
            kit.make("index", x, i, arg=(0,)).slot,
            kit.make("argmax", z, arg=((1,), False)).slot,
            m.slot,
        ]
        out.append(p)
    return out


@pytest.mark.skipif(sys.platform == "win32", reason="pages are fenced with mprotect")
@pytest.mark.parametrize("at_end", [True, False])
def test_fences(kit: Any, at_end: bool) -> None:
    for p in programs(kit):
        keep: list[Fenced] = []
        rng = np.random.default_rng(0)
        leaves = []
        for at in p.leaves:
            s = p.nodes[at].spec
            x = rng.standard_normal(numel(s.shape))
            if s.dtype is dt.int64:
                x = rng.integers(0, p.nodes[p.leaves[0]].spec.shape[0], numel(s.shape))
            leaves.append(
                fenced((x > 0) if s.dtype is dt.bool_ else x.astype(s.dtype.numpy), at_end, keep)
            )
        plan = kit.Plan(p)
        outs = plan.fill(leaves)
        first = len(leaves)
        for k, flat in enumerate(outs):
            n = numel(plan.loops.outputs[k].shape)
            mine = fenced(np.zeros(n, flat.dtype), at_end, keep)
            outs[k] = mine
            plan.table[first + k] = mine.ctypes.data
        work = Fenced(max(64, plan.code.workspace), at_end)
        plan.table[first + len(outs)] = work.bytes.ctypes.data
        before = [x.copy() for x in leaves]
        assert plan.call(plan.table.ctypes.data) == 0
        for o, w, flat in zip(plan.loops.outputs, kit.interpret(p, before), outs, strict=True):
            assert kit.same_bits(w, kit.spread(flat, o.shape, o.strides))
        assert all((a == b).all() for a, b in zip(before, leaves, strict=True))


def test_workspace_is_used_again(kit: Any) -> None:
    """A long chain of products needs memory for a few values, not for all."""
    p = kit.Program()
    x = kit.leaf(p, (32, 32))
    y = x
    for _ in range(12):
        y = kit.make("tanh", kit.make("matmul", y, x))
    p.outputs = [y.slot]
    plan = kit.Plan(p)
    assert plan.loops.workspace <= 3 * 32 * 32 * 4


def test_equal_layers_share_one_function(kit: Any) -> None:
    p = kit.Program()
    x = kit.leaf(p, (16, 16))
    y = x
    for _ in range(6):
        w = kit.leaf(p, (16, 16))
        b = kit.leaf(p, (16,))
        y = kit.make("relu", kit.make("add", kit.make("matmul", y, w), b))
    p.outputs = [y.slot]
    plan = kit.Plan(p)
    assert len(plan.loops.calls) == 12
    assert len(plan.loops.kernels) == 2


def test_texts_are_deterministic(kit: Any) -> None:
    a, b = (kit.Plan(programs(kit)[4]) for _ in range(2))
    assert a.code.text == b.code.text
    assert str(a.loops) == str(b.loops)
