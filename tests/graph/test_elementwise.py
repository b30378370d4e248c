"""Every elementwise row of the table: type, shape, layout, value, two orders of gradient."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest

import rushlight.graph.ops  # noqa: F401 - fills the table
from rushlight.base import dtype as dt
from rushlight.base.shape import contiguous_strides
from rushlight.graph.op import ELEMENTWISE, OPS, TABLE, Op
from tests.graph.rows import Expression, check_gradients, evaluate, spec_of

# Rows of complex numbers alone are tested in tests/tensor/test_complex.py.
ROWS = [op for op in OPS if op.kind == ELEMENTWISE and op.name not in ("complex", "imag")]
NAMES = [op.name for op in ROWS]
WHOLE = {"bitwise_not", "bitwise_and", "bitwise_or", "bitwise_xor"}
SHIFTS = {"bitwise_left_shift", "bitwise_right_shift"}
# no gradient: tests, comparisons, bits, and what is constant between steps
FLAT = (
    WHOLE
    | SHIFTS
    | {
        *(
            "eq",
            "ge",
            "gt",
            "isfinite",
            "isinf",
            "isnan",
            "isneginf",
            "isposinf",
            "le",
            "logical_and",
        ),
        *("logical_not", "logical_or", "logical_xor", "lt", "ne", "signbit", "zeros_like"),
    }
)


def draw(op: Op, shape: tuple[int, ...], kind: Any = np.float64) -> list[Any]:
    """Operands within the row's domain: arrays where a gradient is defined, else numbers."""
    r = np.random.default_rng(zlib.crc32(op.name.encode()))
    out: list[Any] = []
    for i, (lo, hi) in enumerate(op.domain):
        v = r.uniform(lo, hi, shape)
        if op.types == "bool" or (op.types == "where" and i == 0):
            out.append(v > (lo + hi) / 2)
        elif op.name in WHOLE:
            out.append(np.round(v * 10).astype(np.int64))
        elif op.name in SHIFTS:
            out.append(np.abs(np.round(v * 2)).astype(np.int64))
        elif i and op.gradient(i) is None and op.grads:
            out.append(float(r.uniform(lo, hi)))
        else:
            out.append(v.astype(kind))
    return out


def build(op: Op) -> Any:
    if op.types == "cast":
        return lambda *v: op(*v, arg=dt.float64)
    return op


@pytest.mark.parametrize("name", NAMES)
def test_value_and_type(name: str) -> None:
    op = TABLE[name]
    operands = draw(op, (2, 3))
    spec = spec_of(build(op), *operands)
    got = evaluate(build(op), *operands)
    assert got.shape == spec.shape == (2, 3)
    assert dt.from_numpy(got.dtype) is spec.dtype
    if op.reference is not None:
        want = op.reference(*operands)
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-13)
        assert (got.dtype == bool) == (np.asarray(want).dtype == bool)


@pytest.mark.parametrize("name", NAMES)
def test_float32_within_ulps(name: str) -> None:
    op = TABLE[name]
    operands = draw(op, (5,), np.float32)
    if op.reference is None or not any(
        isinstance(o, np.ndarray) and o.dtype == np.float32 for o in operands
    ):
        pytest.skip("has no reference on floats")
    got = evaluate(build(op), *operands)
    assert got.dtype in (np.float32, np.bool_, np.float64 if op.types == "cast" else np.float32)
    wide = [
        o.astype(np.float64) if isinstance(o, np.ndarray) and o.dtype != bool else o
        for o in operands
    ]
    np.testing.assert_allclose(got, op.reference(*wide), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", NAMES)
def test_layout(name: str) -> None:
    """Transposed operands give a transposed result; empty ones an empty result."""
    op = TABLE[name]
    flipped = [o.T if isinstance(o, np.ndarray) else o for o in draw(op, (2, 3))]
    spec = spec_of(build(op), *flipped)
    assert spec.strides == (1, 3)
    got = evaluate(build(op), *flipped)
    assert tuple(s // got.itemsize for s in got.strides) == (1, 3)
    straight = evaluate(
        build(op), *[np.ascontiguousarray(o) if isinstance(o, np.ndarray) else o for o in flipped]
    )
    assert got.tobytes() == straight.tobytes()
    empty = [o[:0] if isinstance(o, np.ndarray) else o for o in draw(op, (2, 3))]
    assert evaluate(build(op), *empty).shape == (0, 3)
    zero = evaluate(build(op), *draw(op, ()))
    assert zero.shape == () and isinstance(zero, np.ndarray)


@pytest.mark.parametrize("name", [n for n in NAMES if len(TABLE[n].domain) == 2])
def test_broadcast(name: str) -> None:
    op = TABLE[name]
    x, y = draw(op, (2, 3))
    if not isinstance(y, np.ndarray):
        pytest.skip("the second operand is a number")
    got = evaluate(op, x, y[:1])
    assert spec_of(op, x, y[:1]).strides == contiguous_strides((2, 3))
    np.testing.assert_array_equal(got, evaluate(op, x, np.repeat(y[:1], 2, axis=0)))


@pytest.mark.parametrize("name", [n for n in NAMES if n not in FLAT])
def test_gradients(name: str) -> None:
    op = TABLE[name]
    operands = draw(op, (4,))
    wants = [i for i in range(len(op.domain)) if op.gradient(i) is not None]
    check_gradients(build(op), operands, wants)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in FLAT and len(TABLE[n].domain) == 2])
def test_gradient_of_broadcast_operand(name: str) -> None:
    op = TABLE[name]
    x, y = draw(op, (2, 3))
    if not isinstance(y, np.ndarray):
        pytest.skip("the second operand is a number")
    check_gradients(op, [x, y[:1]], [0, 1], second=False)


def test_rows_are_complete() -> None:
    """A float row has a reference, domains and a gradient, or is listed as flat."""
    for op in ROWS:
        assert op.lower is not None and op.domain, op.name
        assert op.lower.__code__.co_argcount == len(op.domain) + 1, op.name
        assert op.reference is not None or op.name == "cast", op.name
        has = any(op.gradient(i) is not None for i in range(len(op.domain)))
        assert has != (op.name in FLAT), op.name
    assert set(NAMES) >= FLAT


@pytest.mark.parametrize("name", ["floor_divide", "trunc_divide", "remainder", "fmod"])
@pytest.mark.parametrize("kind", [np.int64, np.int8, np.uint8])
def test_whole_division(name: str, kind: Any) -> None:
    x = np.array([7, 7, 6, 0, 100], kind)
    y = np.array([2, 3, 3, 5, 7], kind)
    if kind is not np.uint8:
        x, y = np.concatenate([x, -x, x, -x]), np.concatenate([y, y, -y, -y])
    want = {
        "floor_divide": np.floor_divide(x, y),
        "trunc_divide": np.trunc(x / y).astype(kind),
        "remainder": np.mod(x, y),
        "fmod": np.fmod(x, y),
    }[name]
    got = evaluate(TABLE[name], x, y)
    assert got.dtype == kind and got.tolist() == want.tolist()
    with pytest.raises(RuntimeError, match=r"^ZeroDivisionError$"):
        evaluate(TABLE[name], x, np.zeros(1, kind))
    with pytest.raises(RuntimeError, match=r"^ZeroDivisionError$"):
        evaluate(TABLE[name], x, 0)


def test_refused_pairs() -> None:
    flags, whole = np.ones(2, bool), np.ones(2, np.int64)
    with pytest.raises(RuntimeError, match="with a bool tensor is not supported"):
        spec_of(TABLE["sub"], whole, flags)
    with pytest.raises(RuntimeError, match="with a bool tensor is not supported"):
        spec_of(TABLE["sub"], flags, 1.5)
    with pytest.raises(RuntimeError, match="with different dtypes"):
        spec_of(TABLE["heaviside"], whole, whole.astype(np.float32))


def test_lowest_integer_by_minus_one() -> None:
    x, y = np.array([-(2**63)]), np.array([-1])
    assert evaluate(TABLE["trunc_divide"], x, y).tolist() == [-(2**63)]
    assert evaluate(TABLE["fmod"], x, y).tolist() == [0]


def test_floor_division_of_floats() -> None:
    x = np.array([7.0, -7.0, 0.0, -0.0, 1.0, -1.0, 0.3])
    y = np.array([2.0, 2.0, 2.0, 2.0, 0.0, 0.0, 0.1])
    got = evaluate(TABLE["floor_divide"], x, y)
    assert got.tolist() == [3.0, -4.0, 0.0, 0.0, np.inf, -np.inf, 2.0]
    assert np.signbit(got).tolist() == [False, True, False, True, False, True, False]


@pytest.mark.parametrize(
    ("name", "kind", "error", "words"),
    [
        ("sub", bool, RuntimeError, "Subtraction, the `-` operator, with two bool tensors"),
        ("neg", bool, RuntimeError, "Negation, the `-` operator, on a bool tensor"),
        ("relu", bool, RuntimeError, "Boolean inputs not supported for relu"),
        ("bitwise_or", np.float32, NotImplementedError, "not implemented for 'Float'"),
        ("bitwise_left_shift", np.float32, NotImplementedError, "not implemented for 'Float'"),
        ("floor", bool, NotImplementedError, "not implemented for 'Bool'"),
        ("pow", bool, NotImplementedError, "not implemented for 'Bool'"),
        ("hypot", np.int64, NotImplementedError, "\"hypot_cpu\" not implemented for 'Long'"),
        ("frac", np.uint8, NotImplementedError, "not implemented for 'Byte'"),
    ],
)
def test_refused_types(name: str, kind: Any, error: Any, words: str) -> None:
    x = np.ones(2, kind)
    with pytest.raises(error, match=words):
        spec_of(TABLE[name], *[x] * len(TABLE[name].domain))


@pytest.mark.parametrize("default", [dt.float32, dt.float64])
@pytest.mark.parametrize("late", [True, False])
def test_a_float_beside_whole_numbers_brings_the_default_type(
    monkeypatch: pytest.MonkeyPatch, default: Any, late: bool
) -> None:
    """Whether the number is known when recorded or only when run."""
    monkeypatch.setattr(dt.Defaults, "float", default)
    whole = np.arange(3)
    if late:
        e = Expression([whole, 2.5])
        v = e.vals[0] + e.vals[1]
    else:
        e = Expression([whole])
        v = e.vals[0] + 2.5
    assert e.builder.spec(v.slot).dtype is default
    (found,) = e.value(v)
    assert found.dtype == np.dtype(default.numpy)
    np.testing.assert_array_equal(found, [2.5, 3.5, 4.5])


def test_a_float_beside_floats_takes_their_type() -> None:
    for kind in (np.float32, np.float64):
        e = Expression([np.ones(3, kind), 2.5])
        (found,) = e.value(e.vals[0] * e.vals[1])
        assert found.dtype == kind
