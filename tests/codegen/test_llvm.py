"""Loop programs as text: the table, the scalar steps, blocks turned over, levels of machines."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

from rushlight.base import dtype as dt
from rushlight.base.target import at_level, host, levels
from rushlight.codegen.llvm import render
from rushlight.codegen.llvm_scalar import ELEMENT, LaneBuilder, literal
from rushlight.codegen.llvm_tile import transpose
from rushlight.codegen.text import Emitter, module_text
from rushlight.compiler import lower
from rushlight.graph.node import Program
from rushlight.runtime.jit import compile_text
from tests.compiler.conftest import NumpyBuilder, Plan, leaf, make, number

INTEGERS = [dt.int64, dt.int32, dt.int16, dt.int8, dt.uint8]
STEPS = ["div", "rem", "and", "or", "xor", "shl", "shr", "add", "sub", "mul", "pow"]


def call(e: Emitter, *arrays: np.ndarray) -> None:
    """Compiles and runs a body that reads and writes `%p0`, `%p1`, ..."""
    e.emit("ret void")
    parameters = [f"ptr %p{i}" for i in range(len(arrays))]
    library = compile_text(module_text([e.function("f", parameters)], e.declarations))
    signature = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(arrays))
    signature(library.address("f"))(*[x.ctypes.data for x in arrays])


@pytest.mark.parametrize("kind", INTEGERS)
@pytest.mark.parametrize("step", STEPS)
def test_integer_steps(kind: Any, step: str) -> None:
    """Nothing traps: dividing by zero gives 0, the least number by -1 wraps, long shifts end."""
    reference = NumpyBuilder()
    rng = np.random.default_rng(0)
    info = np.iinfo(kind.numpy)
    x = rng.integers(info.min, info.max, 16, kind.numpy, endpoint=True)
    y = rng.integers(0 if kind.kind == "u" else -5, 9, 16).astype(kind.numpy)
    x[:5] = [info.min, info.min, 7, info.max, 3]
    y[:5] = [info.max if kind.kind == "u" else -1, 0, 0, 1, 100]
    e = Emitter()
    b = LaneBuilder(e, {})
    operands = [b.make(e.load(p, ELEMENT[kind], 16), 16, kind) for p in ("%p0", "%p1")]
    e.store(b.binary(step, *operands).v.name, "%p2", ELEMENT[kind], 16)
    out = np.empty_like(x)
    call(e, x, y, out)
    with np.errstate(all="ignore"):
        want = reference.binary(step, reference.of(x, kind), reference.of(y, kind)).v
    if step in ("div", "rem"):
        want = np.where(y == 0, 0, want)
    if step == "div" and kind.kind == "i":
        want = np.where((x == info.min) & (y == -1), info.min, want)
    assert (want == out).all(), (x, y, want, out)


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (1, dt.float32, "0x3FF0000000000000"),
        (-0.0, dt.float64, "0x8000000000000000"),
        (float("-inf"), dt.float32, "0xFFF0000000000000"),
        (300, dt.uint8, "44"),
        (200, dt.int8, "-56"),
        (2.9, dt.int32, "2"),
        (True, dt.bool_, "true"),
        (0.0, dt.bool_, "false"),
    ],
)
def test_literals(value: Any, kind: Any, text: str) -> None:
    assert literal(value, kind) == text


@pytest.mark.parametrize("size", [2, 4, 8, 16])
def test_transpose(size: int) -> None:
    e = Emitter()
    rows = [e.load(e.gep("%p0", i * size), "float", size) for i in range(size)]
    for i, column in enumerate(transpose(e, rows, "float")):
        e.store(column, e.gep("%p1", i * size), "float", size)
    x = np.arange(size * size, dtype=np.float32).reshape(size, size)
    out = np.zeros_like(x)
    call(e, x, out)
    assert (out == x.T).all()


def test_table() -> None:
    """Leaves nobody reads keep their slots; numbers lie between leaves and outputs."""
    p = Program()
    unused, x = leaf(p, (3,)), leaf(p, (3,))
    a, q = number(p, "d"), number(p, "q")
    p.outputs = [make("mul", x, a).slot, make("add", x, q).slot]
    plan = Plan(p)
    assert (plan.code.leaves, plan.code.numbers, plan.code.outputs) == (2, "dq", 2)
    assert plan.code.slots == 2 + 2 + 2 + 3
    got = plan.run([np.zeros(3, np.float32), np.ones(3, np.float32)], [0.5, 3])
    assert got[0].tolist() == [0.5] * 3
    assert got[1].tolist() == [4.0] * 3
    assert unused.shape == (3,)


def test_nothing_to_do() -> None:
    """Empty outputs make an empty plan."""
    p = Program()
    x = leaf(p, (0, 3))
    p.outputs = [make("exp", x).slot]
    plan = Plan(p)
    assert plan.loops.calls == []
    assert plan.run([np.zeros(1, np.float32)])[0].shape == (0, 3)


def test_texts_of_levels() -> None:
    """One loop program, a text for each level; no instruction may be relaxed."""
    p = Program()
    x = leaf(p, (100, 40))
    e = make("exp", make("mul", x, x))
    p.outputs = [make("div", e, make("sum", e, arg=((1,), True))).slot]
    loops = {str(lower(p, at_level(isa))) for isa in levels()}
    assert len(loops) == 1
    texts = [render(lower(p, at_level(isa)), at_level(isa)).text for isa in levels()]
    for text in texts:
        for word in (" fast ", "contract", "reassoc", "nnan", "ninf", " arcp ", " afn "):
            assert word not in text
    assert render(lower(p, host()), host()).text in texts
