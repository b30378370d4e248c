"""The reverse walk: where paths meet and stop, shapes and types brought back, long chains."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rushlight.base import dtype as dt
from rushlight.engine.eager import run_program
from rushlight.graph.gradient import differentiate, ones_like
from rushlight.graph.node import expand
from rushlight.graph.op import COMPOSITE, OPS, TABLE
from rushlight.graph.ops import core
from rushlight.graph.ops import elementwise as ew
from rushlight.graph.ops import movement as mv
from rushlight.graph.ops import reduce as rd
from tests.graph.rows import Expression, check_gradients, gradients

X = np.array([[0.5, -1.5, 2.0], [1.0, 0.25, -0.75]])


def grads(build: Any, *operands: Any) -> list[Any]:
    e = Expression(operands)
    v = build(*e.vals)
    found = differentiate(e.builder, {v.slot: ones_like(v)}, e.vals)
    values = iter(e.value(*[g for g in found if g is not None]))
    return [None if g is None else next(values) for g in found]


def test_paths_meet() -> None:
    (g,) = grads(lambda x: x * x + x * 3.0 + ew.exp(x), X)
    np.testing.assert_allclose(g, 2 * X + 3 + np.exp(X), rtol=1e-13)


def test_broadcast_is_summed_and_types_brought_back() -> None:
    gx, gy = grads(lambda x, y: x * y, X, np.array([2.0, 3.0, 4.0], np.float32))
    assert gx.dtype == np.float64 and gy.dtype == np.float32 and gy.shape == (3,)
    np.testing.assert_allclose(gy, X.sum(0), rtol=1e-6)
    gx, gz = grads(lambda x, z: x * z, X, np.array(2.0))
    assert gz.shape == () and gz == pytest.approx(X.sum())


def test_where_gradients_stop() -> None:
    (g,) = grads(lambda x: core.detach(x) * x, X)
    np.testing.assert_array_equal(g, X)
    (none,) = grads(core.detach, X)
    assert none is None
    (none,) = grads(lambda x: ew.cast(ew.cast(x, arg=dt.int64), arg=dt.float64), X)
    assert none is None
    _, none = grads(lambda x, y: x + x, X, X)
    assert none is None


def test_a_wanted_value_in_the_middle() -> None:
    e = Expression([X])
    x = e.vals[0]
    y = ew.exp(x)
    z = y * y
    gy, gx = differentiate(e.builder, {z.slot: ones_like(z)}, [y, x])
    assert gy is not None and gx is not None
    got = e.value(gy, gx)
    np.testing.assert_allclose(got[0], 2 * np.exp(X), rtol=1e-13)
    np.testing.assert_allclose(got[1], 2 * np.exp(2 * X), rtol=1e-13)


def test_several_seeds() -> None:
    e = Expression([X])
    x = e.vals[0]
    a, b = x * 2.0, x * x
    (g,) = differentiate(e.builder, {a.slot: ones_like(a), b.slot: ones_like(b)}, [x])
    assert g is not None
    np.testing.assert_allclose(e.value(g)[0], 2 + 2 * X)


def test_long_chains_do_not_recurse() -> None:
    e = Expression([np.array([1.0])])
    v = e.vals[0]
    for _ in range(5000):
        v = v * 1.0001
    (g,) = differentiate(e.builder, {v.slot: ones_like(v)}, e.vals)
    assert g is not None
    assert e.value(g)[0][0] == pytest.approx(1.0001**5000, rel=1e-9)


VIEWS: list[tuple[Any, Any]] = [
    (mv.view, (3, 2)),
    (mv.permute, (1, 0)),
    (mv.slice_, (1, 0, 3, 2)),
    (mv.select, (0, 1)),
    (mv.unsqueeze, 1),
    (mv.diagonal, (0, 0, 1)),
    (mv.as_strided, ((2, 2), (1, 2), 1)),
    (mv.reshape, (6,)),
    (mv.flip, (1,)),
    (mv.relayout, (1, 2)),
]


@pytest.mark.parametrize(("op", "arg"), VIEWS)
def test_views(op: Any, arg: Any) -> None:
    check_gradients(lambda x: ew.exp(op(x, arg=arg)), [X], [0])


def test_expansion_and_writes() -> None:
    check_gradients(lambda x: ew.exp(mv.expand(x, arg=(4, 2, 3))), [X], [0])
    region = ((2,), (3,), 1)
    check_gradients(
        lambda b, v: ew.exp(mv.write(b, v, arg=region)), [X, np.array([0.3, -0.2])], [0, 1]
    )
    check_gradients(lambda b, v: ew.exp(mv.write(b, v, arg=region)), [X, np.array(0.3)], [0, 1])


def test_third_order() -> None:
    e = Expression([np.array([0.4, 1.1])])
    v = ew.tanh(e.vals[0])
    for _ in range(3):
        total = rd.sum_(v, arg=((0,), False))
        (g,) = gradients(total, e.vals)
        assert g is not None
        v = g
    t = np.tanh(e.builder.leaves[0])
    np.testing.assert_allclose(e.value(v)[0], (1 - t * t) * (6 * t * t - 2), rtol=1e-12)


def test_composites_are_expanded_and_keep_their_specs() -> None:
    """Taking a composite apart gives the shape and type its row says."""
    for op in OPS:
        if op.kind == COMPOSITE and not op.name.startswith("_"):
            assert op.decompose is not None, op.name
    e = Expression([X, X + 1])
    v = TABLE["mse_loss"](*e.vals, arg=("mean",))
    e.program.outputs = [v.slot]
    flat = expand(e.program)
    assert all(n.op.kind != COMPOSITE for n in flat.nodes)
    assert flat.nodes[flat.outputs[0]].spec.shape == ()
    assert run_program(e.program, e.builder.leaves)[0] == 1.0
