"""One operation at a time: conversions, numbers, layouts, views, writes, programs."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

from rushlight.base import dtype as dt
from rushlight.base.device import CPU
from rushlight.engine import eager, eager_native
from rushlight.graph.node import Node, Program, ProgramBuilder
from rushlight.graph.op import LIBRARY, TABLE, Op, Spec
from rushlight.graph.ops import core, join
from rushlight.graph.ops import elementwise as ew
from rushlight.graph.ops import movement as mv
from rushlight.graph.value import Val
from tests.graph.rows import Expression, evaluate

RNG = np.random.default_rng(4)
LOW32, LOW64 = -(2**31), -(2**63)


def cast(x: Any, to: Any) -> Any:
    return evaluate(lambda v: ew.cast(v, arg=to), x)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_floats_to_integers(kind: Any) -> None:
    """As x86 converts: towards zero; out of range and NaN give the register's lowest number."""
    x = np.array([1.9, -1.9, 3e9, -3e9, 1e19, -1e19, np.inf, -np.inf, np.nan, 300.0, -129.0], kind)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cast(x, dt.int64).tolist() == [
            1, -1, 3000000000, -3000000000, LOW64, LOW64, LOW64, LOW64, LOW64, 300, -129
        ]  # fmt: skip
        wrapped = [1, -1, LOW32, LOW32, LOW32, LOW32, LOW32, LOW32, LOW32, 300, -129]
        assert cast(x, dt.int32).tolist() == wrapped
        assert cast(x, dt.int8).tolist() == [1, -1, 0, 0, 0, 0, 0, 0, 0, 44, 127]
        assert cast(x, dt.uint8).tolist() == [1, 255, 0, 0, 0, 0, 0, 0, 0, 44, 127]
        assert cast(x, dt.bool_).all()
    assert cast(np.array([0.0, -0.0, np.nan], kind), dt.bool_).tolist() == [False, False, True]


def test_edges_of_the_range() -> None:
    x = np.array([2147483647.5, -2147483648.5, -2147483649.0])
    assert cast(x, dt.int32).tolist() == [2147483647, LOW32, LOW32]


def test_numbers_are_rounded_to_the_work_type_first() -> None:
    x = np.array([1.0, 3.0], np.float32)
    assert evaluate(ew.mul, x, 0.1).tobytes() == (x * np.float32(0.1)).tobytes()
    assert evaluate(ew.mul, x, 0.1).dtype == np.float32
    whole = 2**60 + 2**36 + 1  # one rounding, from int64 to float32 at once
    assert evaluate(ew.add, np.zeros(1, np.float32), whole)[0] == np.float32(np.array(whole))
    assert evaluate(ew.mul, np.array([2, 3], np.int32), 5).tolist() == [10, 15]
    assert evaluate(ew.mul, x, 1e300).tolist() == [math.inf, math.inf]


def test_no_warning_leaks() -> None:
    x = np.array([0.0, -1.0, np.inf, np.nan, 1e38], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("add", "sub", "mul", "div", "pow", "maximum", "eq"):
            evaluate(TABLE[name], x, x)
        for name in ("sqrt", "log", "exp", "reciprocal", "rsqrt", "square", "cube", "tanh", "gelu"):
            evaluate(TABLE[name], x)
        evaluate(lambda v: TABLE["sum"](v, arg=((0,), False)), x)
        evaluate(lambda v: ew.cast(v, arg=dt.float32), x.astype(np.float64) * 1e200)
        evaluate(TABLE["div"], np.array([1, 0]), np.array([0, 0]))


def test_integer_arithmetic_wraps() -> None:
    top = np.array([127, -128], np.int8)
    assert evaluate(ew.add, top, top).tolist() == [-2, 0]
    assert evaluate(ew.neg, top).tolist() == [-127, -128]
    assert evaluate(ew.abs_, top).tolist() == [127, -128]
    big = np.array([2**62, -(2**63)])
    assert evaluate(ew.mul, big, big).tolist() == [0, 0]
    assert evaluate(ew.pow_, np.array([2, -3, 5]), np.array([10, 3, 0])).tolist() == [1024, -27, 1]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_special_functions(kind: Any) -> None:
    """Within 2.5 units in the last place; the same bits whatever the layout and the neighbours."""
    x = RNG.uniform(-20, 20, (7, 9)).astype(kind)
    eps = np.finfo(kind).eps
    cases: dict[str, tuple[Any, Any]] = {
        "exp": (np.exp, x), "tanh": (np.tanh, x), "sin": (np.sin, x), "cos": (np.cos, x),
        "expm1": (np.expm1, x), "log": (np.log, np.abs(x) + 1), "log1p": (np.log1p, np.abs(x)),
        "sigmoid": (lambda v: 1 / (1 + np.exp(-v)), x),
    }  # fmt: skip
    for name, (reference, at) in cases.items():
        got = evaluate(TABLE[name], at)
        want = reference(at.astype(np.longdouble))
        assert (np.abs(got - want) <= 2.6 * eps * np.abs(want)).all(), name
        turned = evaluate(TABLE[name], np.asfortranarray(at))
        assert turned.tobytes("C") == got.tobytes()
        assert evaluate(TABLE[name], at[3:4, 2:3].copy()).tobytes() == got[3:4, 2:3].tobytes()


# ---------------------------------------------------------------- views
BASE = np.arange(24.0).reshape(2, 3, 4)
VIEWS: list[tuple[Any, Any, Any]] = [
    (mv.view, (4, 6), lambda x: x.reshape(4, 6)),
    (mv.permute, (2, 0, 1), lambda x: x.transpose(2, 0, 1)),
    (mv.slice_, (1, 0, 3, 2), lambda x: x[:, 0:3:2]),
    (mv.select, (1, 2), lambda x: x[:, 2]),
    (mv.select, (0, -1), lambda x: x[-1]),
    (mv.unsqueeze, 1, lambda x: x[:, None]),
    (mv.unsqueeze, 3, lambda x: x[..., None]),
    (mv.diagonal, (1, 1, 2), lambda x: np.diagonal(x, 1, 1, 2)),
    (mv.as_strided, ((2, 2), (1, 5), 3), lambda x: np.array([[3.0, 8], [4, 9]])),
    (mv.reshape, (6, 4), lambda x: x.reshape(6, 4)),
    (mv.flip, (0, 2), lambda x: np.flip(x, (0, 2))),
]


@pytest.mark.parametrize(("op", "arg", "reference"), VIEWS)
def test_views(op: Any, arg: Any, reference: Any) -> None:
    got = evaluate(lambda v: op(v, arg=arg), BASE)
    np.testing.assert_array_equal(got, reference(BASE))


def test_views_of_views_are_views() -> None:
    e = Expression([BASE])
    x = mv.permute(mv.slice_(e.vals[0], arg=(2, 1, 4, 2)), arg=(2, 1, 0))
    x = mv.expand(mv.unsqueeze(mv.select(x, arg=(1, 1)), arg=0), arg=(5, 2, 2))
    p = e.program
    arrays: list[Any] = [BASE]
    for n in p.nodes[1:]:
        arrays.append(eager.run_node(n, arrays, p, []))
        assert np.shares_memory(arrays[-1], BASE)
        assert eager.fits(arrays[-1], n.spec)
    want = np.broadcast_to(BASE[:, :, 1:4:2].transpose(2, 1, 0)[:, 1], (5, 2, 2))
    np.testing.assert_array_equal(arrays[-1], want)


@pytest.mark.parametrize(
    ("region", "value"),
    [
        (None, BASE + 1),
        (mv.CUT, np.array(7.0)),
        (((2, 4), (12, 1), 4), np.ones((2, 4))),
        (((3,), (5,), 1), np.array(2.0)),
    ],
)
def test_writes(region: Any, value: Any) -> None:
    before = BASE.copy()
    got = evaluate(lambda b, v: mv.write(b, v, arg=region), BASE, value)
    want = BASE.copy()
    if region is None or region == mv.CUT:
        want[...] = value
    else:
        shape, strides, offset = region
        for at in np.ndindex(*shape):
            want.flat[offset + sum(i * s for i, s in zip(at, strides, strict=True))] = (
                np.broadcast_to(value, shape)[at]
            )
    np.testing.assert_array_equal(got, want)
    assert (before == BASE).all() and not np.shares_memory(got, BASE)


def test_write_into_transposed_memory() -> None:
    base = np.asfortranarray(BASE[0])
    got = evaluate(lambda b, v: mv.write(b, v, arg=((4,), (3,), 1)), base, np.full(4, -1.0))
    want = BASE[0].copy()
    want[1] = -1
    np.testing.assert_array_equal(got, want)
    assert got.strides == base.strides


def test_results_do_not_share_memory() -> None:
    """Only views and aliases show their operand's memory."""
    x = RNG.standard_normal((3, 4))
    for build in (
        ew.copy,
        lambda v: ew.cast(v, arg=dt.float64),
        lambda v: mv.reshape(v, arg=(4, 3)),
        lambda v: join.cat(v, arg=0),
        lambda v: mv.relayout(v, arg=(4, 1)),
        lambda v: TABLE["sum"](v, arg=((), False)),
    ):
        e = Expression([x])
        n = e.builder.program.nodes[build(e.vals[0]).slot]
        assert not np.shares_memory(eager.run_node(n, [x], e.program, []), x)
    whole = np.arange(3)
    assert not np.shares_memory(evaluate(ew.floor, whole), whole)


# ---------------------------------------------------------------- other kinds, programs
def test_constants_fills_counts() -> None:
    p = Program()
    b = ProgramBuilder(p)
    const = Val(b, b.make(core.const, [], (3, dt.int32)))
    p.numbers.append("d")
    full = core.full(const, arg=((2, 2), dt.float32))
    number = Val(b, b.make(core.full, [-1], ((2,), dt.int64)))
    count = Val(b, b.make(core.iota, [], ((2, 3), 1, dt.int64)))
    p.outputs = [const.slot, full.slot, number.slot, count.slot]
    got = eager.run_program(p, [], [2.75])
    assert [g.tolist() for g in got] == [3, [[3.0, 3], [3, 3]], [2, 2], [[0, 1, 2], [0, 1, 2]]]
    assert [g.dtype for g in got] == [np.int32, np.float32, np.int64, np.int64]


def test_relayout_and_aliases() -> None:
    x = RNG.standard_normal((2, 3))
    got = evaluate(lambda v: mv.relayout(v, arg=(1, 2)), x)
    assert got.strides == (8, 16) and (got == x).all()
    assert (evaluate(lambda v: core.detach(v), x) == x).all()


def test_library_operation() -> None:
    op = Op("twice", LIBRARY, lambda op, srcs, arg: Spec(srcs[0].shape, srcs[0].dtype))
    op.call = lambda x, arg: x.T * arg
    p = Program()
    p.nodes.append(Node(TABLE["leaf"], (), None, Spec((2, 2), dt.float64), None))
    p.nodes.append(Node(op, (0,), 2, Spec((2, 2), dt.float64), None))
    p.outputs = [1]
    x = np.array([[1.0, 2], [3, 4]])
    (got,) = eager.run_program(p, [x])
    assert got.tolist() == [[2, 6], [4, 8]] and got.flags.c_contiguous


def test_composite_as_one_node_and_expanded() -> None:
    e = Expression([RNG.standard_normal((4, 3)), RNG.standard_normal((2, 3))])
    y = TABLE["softmax"](TABLE["linear"](*e.vals), arg=1)
    (expanded,) = e.value(y)
    arrays: list[Any] = list(e.builder.leaves)
    for n in e.program.nodes[2:]:
        arrays.append(eager.run_node(n, arrays, e.program, []))
    assert arrays[y.slot].tobytes() == expanded.tobytes()
    number = Expression([np.array([0.5, 2.0]), np.array([0.0, 0.0]), 0.7])
    loss = TABLE["huber_loss"](*number.vals, arg=("sum",))
    arrays = list(number.builder.leaves)
    for n in number.program.nodes[2:]:
        arrays.append(eager.run_node(n, arrays, number.program, [0.7]))
    assert arrays[loss.slot] == pytest.approx(0.125 + 0.7 * (2 - 0.35))


def test_leaves_are_checked_and_laid_out() -> None:
    p = Program()
    b = ProgramBuilder(p)
    x = Val(b, b.make(core.leaf, [], ((2, 3), dt.float32, (1, 2), CPU)))
    p.outputs = [(x + x).slot]
    (got,) = eager.run_program(p, [np.ones((2, 3), np.float32)])
    assert got.strides == (4, 8)
    with pytest.raises(ValueError, match="leaf %0 has to be float32"):
        eager.run_program(p, [np.ones((2, 3))])


def test_kernels_without_builtin_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the interpreter has no builtins of our own, calls go through ctypes: the same bits."""

    x = RNG.standard_normal(50).astype(np.float32)
    want = evaluate(TABLE["exp"], x)
    monkeypatch.setattr(eager_native, "SUPPORTED", False)
    monkeypatch.setattr(eager_native, "_KERNELS", {})
    f = eager_native.special("exp", dt.float32)
    assert f(x).tobytes() == want.tobytes()


def test_unknown_special_function() -> None:

    with pytest.raises(NotImplementedError, match="no such vector function"):
        eager_native.special("gamma", dt.float32)
