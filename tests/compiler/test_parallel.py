"""Kernels shared out by a pool: any order of tasks, the same bits as one thread."""

from __future__ import annotations

import ctypes
import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from rushlight.base import dtype as dt
from rushlight.base.target import host
from rushlight.codegen.matmul import MatmulSpec, general_matmul, prefers_general
from rushlight.codegen.text import MODULE
from rushlight.runtime.jit import compile_text

TASK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)
PFOR = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)


def programs(kit: Any) -> dict[str, tuple[Any, list[Any]]]:
    out = {}
    p = kit.Program()
    x, y = kit.leaf(p, (70_001,)), kit.leaf(p, (70_001,))
    k = kit.number(p, "d")
    z = kit.make("mul", kit.make("add", kit.make("exp", x), y), k)
    p.outputs = [z.slot, kit.make("sum", z, arg=((0,), False)).slot]
    out["line"] = p, [0.3]
    p = kit.Program()
    x = kit.leaf(p, (200, 300))
    e = kit.make("exp", kit.make("sub", x, kit.make("amax", x, arg=((1,), True))))
    p.outputs = [kit.make("div", e, kit.make("sum", e, arg=((1,), True))).slot]
    out["rows"] = p, []
    p = kit.Program()
    x = kit.leaf(p, (300, 200))
    y = kit.make("mul", x, x)
    p.outputs = [kit.make("sum", y, arg=((0,), False)).slot, y.slot]
    p.outputs.append(kit.make("permute", y, arg=(1, 0)).slot)
    out["columns"] = p, []
    p = kit.Program()
    x, y = kit.leaf(p, (210, 120)), kit.leaf(p, (120, 150))
    m = kit.make("matmul", kit.make("slice", x, arg=(0, 3, 203, 1)), y)
    p.outputs = [m.slot, kit.make("relu", m).slot]
    out["product"] = p, []
    p = kit.Program()
    x, y = kit.leaf(p, (150, 300)), kit.leaf(p, (300, 280))
    m = kit.make("matmul", kit.make("slice", x, arg=(0, 2, 148, 1)), y)
    turned = kit.make("permute", m, arg=(1, 0))
    n = kit.make("matmul", turned, kit.make("slice", x, arg=(0, 0, 146, 1)))
    p.outputs = [m.slot, n.slot]
    out["products that share a kernel"] = p, []
    return out


@pytest.mark.parametrize(
    "name", ["line", "rows", "columns", "product", "products that share a kernel"]
)
def test_any_order(kit: Any, name: str) -> None:
    p, numbers = programs(kit)[name]
    rng = np.random.default_rng(1)
    leaves = [
        rng.standard_normal(int(np.prod(p.nodes[i].spec.shape))).astype(np.float32)
        for i in p.leaves
    ]
    plan = kit.Plan(p)
    alone = [x.copy() for x in plan.run(leaves, numbers)]
    assert all(
        kit.same_bits(a, b) for a, b in zip(alone, kit.interpret(p, leaves, numbers), strict=True)
    )
    calls: list[int] = []
    order = random.Random(3)

    with ThreadPoolExecutor(4) as pool:

        def pfor(_: Any, function: Any, args: Any, count: int) -> None:
            calls.append(count)
            task = TASK(function)
            tasks = list(range(count))
            order.shuffle(tasks)
            list(pool.map(lambda i: task(args, i), tasks))

        callback = PFOR(pfor)
        outs = plan.fill(leaves, numbers)
        at = len(plan.table) - 2
        plan.table[at] = 1  # any pool that is not null
        plan.table[at + 1] = ctypes.cast(callback, ctypes.c_void_p).value or 0
        assert plan.call(plan.table.ctypes.data) == 0
    together = [
        kit.spread(x, o.shape, o.strides) for x, o in zip(outs, plan.loops.outputs, strict=True)
    ]
    assert calls and max(calls) > 1
    assert all(kit.same_bits(a, b) for a, b in zip(alone, together, strict=True))


def test_large_products_share_one_kernel(kit: Any) -> None:
    """Plans with different large products call one library, which is compiled once."""
    library = general_matmul(dt.float32, host()).text
    found = []
    n = 512
    while not prefers_general(MatmulSpec(dt.float32, n, n, n, n, 1, n, 1, n), host()):
        n *= 2  # how large is large depends on the machine's caches
    for m in (n, n + 44):
        p = kit.Program()
        x, y = kit.leaf(p, (m, n)), kit.leaf(p, (n, n))
        p.outputs = [kit.make("matmul", x, y).slot]
        plan = kit.Plan(p)
        before, own = plan.code.text.split(MODULE)
        assert before == library
        assert len(own) < len(library) // 10
        found.append(compile_text(before, target=host()))
        rng = np.random.default_rng(0)
        a, b = (rng.integers(-3, 4, n).astype(np.float32) for n in (m * n, n * n))
        assert np.array_equal(plan.run([a, b])[0], a.reshape(m, n) @ b.reshape(n, n))
    assert found[0] is found[1]
