"""Every elementwise row, in every type it takes: plans against NumPy's reading of `lower`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rushlight.base import dtype as dt
from rushlight.graph.op import TABLE
from rushlight.graph.ops.indexing import CHECK

# plans hold no complex numbers: what makes them of pairs is tested with the tensors
ROWS = sorted(
    n for n, o in TABLE.items()
    if o.kind == "elementwise" and n != "cast" and o.types != "pair"
)  # fmt: skip
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
            for b in CHECK[op]([x.builder.spec(x.slot) for x in xs], None) if op in CHECK else ():
                x = given[b.operand]  # what a plan refuses is tested elsewhere
                good = (x >= 0) & (x <= 1) if b.test == "unit" else x != 0
                given[b.operand] = np.where(good, x, np.ones(1, x.dtype))
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
