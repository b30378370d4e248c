"""Every elementwise row, in every type it takes: plans against NumPy's reading of `lower`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rushlight.base import dtype as dt
from rushlight.graph.op import TABLE

ROWS = sorted(n for n, o in TABLE.items() if o.kind == "elementwise" and n != "cast")
KINDS = [dt.float32, dt.float64, dt.int64, dt.int32, dt.uint8, dt.bool_]
EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, np.inf, -np.inf, np.nan, 1e-40, 3e38, -2.5, 100.0]


def data(kind: Any, n: int, seed: int, domain: Any) -> np.ndarray:
    """Values of a row's domain, and in floats the awkward ones."""
    rng = np.random.default_rng(seed)
    if kind.kind == "f":
        x = rng.uniform(*domain, n).astype(kind.numpy)
        x[: len(EDGES)] = np.roll(np.array(EDGES), seed)
        return x
    if kind.kind == "b":
        return rng.random(n) < 0.5
    low = 0 if kind.kind == "u" else -9
    return rng.integers(low, 10, n).astype(kind.numpy)


def operands(name: str) -> int:
    """How many operands a row takes: its domain says, or its meaning."""
    op = TABLE[name]
    assert op.lower is not None
    return int(op.lower.__code__.co_argcount) - 1


@pytest.mark.parametrize("name", ROWS)
def test_row(kit: Any, name: str) -> None:
    op, count, n = TABLE[name], operands(name), 61
    tested = 0
    for kind in KINDS:
        p = kit.Program()
        kinds = [dt.bool_ if op.types == "where" and i == 0 else kind for i in range(count)]
        xs = [kit.leaf(p, (n,), k) for k in kinds]
        domains = [op.domain[i] if i < len(op.domain) else (-3.0, 3.0) for i in range(count)]
        given = [data(k, n, i, d) for i, (k, d) in enumerate(zip(kinds, domains, strict=True))]
        try:
            out = kit.make(name, *xs)
            p.outputs = [out.slot]
            want = kit.interpret(p, given)
        except (TypeError, RuntimeError, NotImplementedError):
            continue  # the row does not take this type
        got = kit.Plan(p).run(given)
        assert kit.same_bits(want[0], got[0]), (name, kind, want[0], got[0], given)
        tested += 1
    assert tested, f"{name} takes no type at all"


@pytest.mark.parametrize("to", [*KINDS, dt.int8, dt.int16])
@pytest.mark.parametrize("kind", [*KINDS, dt.int8, dt.int16])
def test_cast(kit: Any, kind: Any, to: Any) -> None:
    n = 77
    x = data(kind, n, 3, (-300.0, 300.0))
    if kind.kind == "f":
        x[20:28] = [2**31, -(2**31), 2.0**63, -(2.0**63), 2.0**62, -1e30, 255.5, -128.9]
    p = kit.Program()
    a = kit.leaf(p, (n,), kind)
    p.outputs = [kit.make("cast", a, arg=to).slot]
    want, got = kit.interpret(p, [x])[0], kit.Plan(p).run([x])[0]
    assert kit.same_bits(want, got), (want[:30], got[:30], x[:30])


def test_scalar_steps(kit: Any) -> None:
    """Operations that no row may use yet: division, remainder and shifts of integers."""
    import ctypes

    from rushlight.base.target import host
    from rushlight.codegen.llvm_scalar import ELEMENT, LaneBuilder
    from rushlight.codegen.text import Emitter, module_text
    from rushlight.runtime.jit import compile_text
    from tests.compiler.conftest import NumpyBuilder

    reference = NumpyBuilder()
    rng = np.random.default_rng(0)
    for kind in (dt.int64, dt.int32, dt.uint8, dt.int8):
        info = np.iinfo(kind.numpy)
        x = rng.integers(info.min, info.max, 16, kind.numpy, endpoint=True)
        y = rng.integers(0 if kind.kind == "u" else -5, 9, 16).astype(kind.numpy)
        x[:4], y[:4] = (
            [info.min, info.min, 7, info.max],
            [info.max if kind.kind == "u" else -1, 0, 0, 1],
        )
        for op in ("div", "rem", "and", "or", "xor", "shl", "shr", "add", "sub", "mul"):
            e = Emitter()
            b = LaneBuilder(e, {})
            loaded = [b.make(e.load(p, ELEMENT[kind], 16), 16, kind) for p in ("%x", "%y")]
            e.store(b.binary(op, *loaded).v.name, "%o", ELEMENT[kind], 16)
            e.emit("ret void")
            text = module_text([e.function("f", ["ptr %x", "ptr %y", "ptr %o"])], e.declarations)
            library = compile_text(text, target=host())
            out = np.empty_like(x)
            call = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3)(library.address("f"))
            call(x.ctypes.data, y.ctypes.data, out.ctypes.data)
            with np.errstate(all="ignore"):
                want = reference.binary(op, reference.of(x, kind), reference.of(y, kind)).v
                if op in ("div", "rem"):  # by zero: 0
                    want = np.where(y == 0, 0, want)
                if op == "div" and kind.kind == "i":
                    want = np.where((x == info.min) & (y == -1), info.min, want)
            assert (want == out).all(), (kind, op, x, y, want, out)
