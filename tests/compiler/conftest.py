"""What compiler tests share: running programs, and a NumPy oracle that knows nothing of loops."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import rushlight.graph.ops  # noqa: F401
from rushlight.base import dtype as dt
from rushlight.base.device import CPU
from rushlight.base.dtype import dtype
from rushlight.base.shape import contiguous_strides, numel
from rushlight.base.target import Target, host
from rushlight.codegen.llvm import Code, render
from rushlight.compiler import LoopProgram, lower
from rushlight.graph.node import Program, ProgramBuilder, expand
from rushlight.graph.op import TABLE
from rushlight.graph.ops.movement import CUT
from rushlight.graph.scalar import Scalar, ScalarBuilder
from rushlight.graph.shaping import GEOMETRY
from rushlight.graph.value import Val
from rushlight.runtime.jit import compile_text

PLAN = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)


def op(name: str) -> Any:
    return TABLE[name]


def leaf(
    program: Program, shape: Sequence[int], kind: dtype = dt.float32, strides: Any = None
) -> Val:
    b = ProgramBuilder(program)
    return Val(b, b.make(TABLE["leaf"], [], (tuple(shape), kind, strides, CPU)))


def number(program: Program, kind: str) -> Val:
    """A run-time number as an operand."""
    program.numbers.append(kind)
    return Val(ProgramBuilder(program), ~(len(program.numbers) - 1))


def make(name: str, *operands: Val, arg: Any = None) -> Val:
    b = next(o.builder for o in operands)
    return Val(b, b.make(TABLE[name], [o.slot for o in operands], arg))


def fresh(nbytes: int) -> np.ndarray:
    """Bytes aligned as buffers are, with a margin on both sides."""
    raw = np.full(nbytes + 192, 0xA5, np.uint8)
    start = -raw.ctypes.data % 64 + 64
    return raw[start : start + nbytes]


def margins_hold(x: np.ndarray) -> bool:
    """Whether nothing was written beside memory from `fresh`."""
    raw = x.base
    assert isinstance(raw, np.ndarray)
    start = x.ctypes.data - raw.ctypes.data
    beside = np.concatenate([raw[:start], raw[start + x.nbytes :]])
    return bool((beside == 0xA5).all())


def spread(
    flat: np.ndarray, shape: Sequence[int], strides: Sequence[int], offset: int = 0
) -> np.ndarray:
    """Memory read as a strided array."""
    steps = [s * flat.itemsize for s in strides]
    return np.lib.stride_tricks.as_strided(flat[offset:], tuple(shape), steps)


class Plan:
    """A compiled program with a table of its own."""

    def __init__(self, program: Program, target: Target | None = None) -> None:
        self.target = target or host()
        self.loops: LoopProgram = lower(program, self.target)
        self.code: Code = render(self.loops, self.target)
        library = compile_text(self.code.text, name_hint="test", target=self.target)
        self.call = PLAN(library.address(self.code.symbol))
        self.table = np.zeros(self.code.slots, np.int64)
        self.program = program

    def fill(self, leaves: Sequence[np.ndarray], numbers: Sequence[float] = ()) -> list[np.ndarray]:
        """Fills the table; the flat memory of each output."""
        at = 0
        for x in leaves:
            self.table[at] = x.ctypes.data
            at += 1
        for kind, n in zip(self.program.numbers, numbers, strict=True):
            if kind == "d":
                self.table[at : at + 1].view(np.float64)[0] = n
            else:
                self.table[at] = n
            at += 1
        self.outs = []
        for o in self.loops.outputs:
            flat = fresh(max(1, numel(o.shape)) * o.dtype.itemsize).view(o.dtype.numpy)
            self.outs.append(flat)
            self.table[at] = flat.ctypes.data
            at += 1
        self.work = fresh(self.code.workspace)
        self.table[at] = self.work.ctypes.data
        self.keep = leaves
        return self.outs

    def run(
        self, leaves: Sequence[np.ndarray], numbers: Sequence[float] = (), status: int = 0
    ) -> list[np.ndarray]:
        """Runs on flat leaves; outputs as strided arrays."""
        outs = self.fill(leaves, numbers)
        got = self.call(self.table.ctypes.data)
        assert bool(got) == bool(status), got
        assert all(margins_hold(x) for x in (*outs, self.work)), "written beside its memory"
        return [
            spread(x, o.shape, o.strides) if numel(o.shape) else np.empty(o.shape, o.dtype.numpy)
            for x, o in zip(outs, self.loops.outputs, strict=True)
        ]


# ---------------------------------------------------------------- the oracle


class NumpyBuilder(ScalarBuilder):
    """Rows on NumPy arrays, one rounding a step; our polynomials through plans of one operation."""

    plans: dict[Any, Plan] = {}

    def of(self, v: Any, kind: dtype) -> Scalar:
        return Scalar(self, np.asarray(v).astype(kind.numpy, copy=False), kind)

    def special(self, name: str, *xs: Scalar) -> Scalar:
        shape = np.broadcast_shapes(*(x.v.shape for x in xs))
        kind, n = xs[0].dtype, numel(shape)
        key = (name, kind, n, len(xs))
        if key not in self.plans:
            p = Program()
            r = make(name, *[leaf(p, (n,), kind) for _ in xs])
            p.outputs = [r.slot]
            self.plans[key] = Plan(p)
        flat = [np.ascontiguousarray(np.broadcast_to(x.v, shape)).reshape(-1) for x in xs]
        return self.of(self.plans[key].run(flat)[0].copy().reshape(shape), kind)

    def unary(self, op: str, x: Scalar) -> Scalar:
        simple = {
            "neg": np.negative, "abs": np.abs, "sqrt": np.sqrt, "floor": np.floor,
            "ceil": np.ceil, "trunc": np.trunc, "round": np.rint, "not": np.invert,
        }  # fmt: skip
        if op in simple:
            return self.of(simple[op](x.v), x.dtype)
        return self.special(op, x)

    def binary(self, op: str, x: Scalar, y: Scalar) -> Scalar:
        simple = {
            "add": np.add, "sub": np.subtract, "mul": np.multiply, "and": np.bitwise_and,
            "or": np.bitwise_or, "xor": np.bitwise_xor, "shl": np.left_shift, "shr": np.right_shift,
            "rem": np.fmod,
        }  # fmt: skip
        if x.dtype.kind == "b" and op in ("div", "rem", "shl", "shr"):
            raise NotImplementedError(op)
        if op == "div":
            if x.dtype.kind == "f":
                return self.of(x.v / y.v, x.dtype)
            q = np.where(y.v == 0, 0, x.v - np.fmod(x.v, np.where(y.v == 0, 1, y.v)))
            return self.of(q // np.where(y.v == 0, 1, y.v), x.dtype)
        if op in simple:
            return self.of(simple[op](x.v, y.v), x.dtype)
        if op == "pow" and x.dtype.kind in "iu":
            a, b = np.broadcast_arrays(x.v, y.v)
            whole = np.power(a, np.maximum(b, 0))
            unit = np.where(a == 1, 1, np.where(a == -1, np.where(b % 2 == 0, 1, -1), 0))
            return self.of(np.where(b < 0, unit, whole), x.dtype)
        if x.dtype.kind == "b":
            raise NotImplementedError(op)
        return self.special(op, x, y)

    def compare(self, op: str, x: Scalar, y: Scalar) -> Scalar:
        table = {
            "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal,
            "gt": np.greater, "ge": np.greater_equal,
        }  # fmt: skip
        return self.of(table[op](x.v, y.v), dt.bool_)

    def select(self, c: Scalar, x: Scalar, y: Scalar) -> Scalar:
        return self.of(np.where(c.v, x.v, y.v), x.dtype)

    def const(self, value: Any, dtype: dtype) -> Scalar:
        return self.of(np.asarray(value).astype(dtype.numpy), dtype)

    def cast(self, x: Scalar, to: dtype) -> Scalar:
        if x.dtype.kind == "f" and to.kind in "iu":
            wide, bits = (np.int64, 64) if to.itemsize == 8 else (np.int32, 32)
            edge = 2.0 ** (bits - 1)
            t = np.trunc(x.v.astype(np.float64))
            inside = (t >= -edge) & (t < edge)
            whole = np.where(inside, t, 0).astype(wide)
            return self.of(np.where(inside, whole, np.iinfo(wide).min), to)
        return self.of(x.v, to)


def fold_numpy(name: str, x: np.ndarray, lanes: int, kind: dtype) -> np.ndarray:
    """The law of order on x[..., K]: rows of `lanes`, 16 at a time, then the tree."""
    k = x.shape[-1]
    neutral: Any
    if name in ("any", "all"):
        f, x, neutral = (np.logical_or if name == "any" else np.logical_and), x != 0, name == "all"
    elif name == "sum":
        f, neutral = np.add, -0.0 if kind.kind == "f" else 0
        x = x.astype(kind.numpy)
    elif name == "prod":
        f, neutral = np.multiply, 1
        x = x.astype(kind.numpy)
    else:
        big = name == "amax"
        if kind.kind == "f":
            neutral = -np.inf if big else np.inf
        elif kind.kind == "b":
            neutral = not big
        else:
            neutral = np.iinfo(x.dtype).min if big else np.iinfo(x.dtype).max

        def f(a: Any, b: Any) -> Any:
            take = (b > a) if big else (b < a)
            return np.where(take | (b != b), b, a)

    rows = -(-k // lanes)
    pad = np.full((*x.shape[:-1], rows * lanes - k), neutral, x.dtype)
    items = np.concatenate([x, pad], -1).reshape(*x.shape[:-1], rows, lanes)
    while items.shape[-2] > 1:
        groups = []
        for g in range(0, items.shape[-2], 16):
            acc = items[..., g, :]
            for r in range(g + 1, min(g + 16, items.shape[-2])):
                acc = f(acc, items[..., r, :])
            groups.append(acc)
        items = np.stack(groups, -2)
    acc = items[..., 0, :]
    while acc.shape[-1] > 1:
        half = acc.shape[-1] // 2
        acc = f(acc[..., :half], acc[..., half:])
    acc = acc[..., 0] + x.dtype.type(0) if name == "sum" else acc[..., 0]
    return acc.astype(kind.numpy)


def reduce_numpy(name: str, x: np.ndarray, arg: Any, kind: dtype) -> np.ndarray:
    dims, keepdim = arg
    kept = [d for d in range(x.ndim) if d not in dims]
    shape = tuple(1 if d in dims else n for d, n in enumerate(x.shape))
    out = shape if keepdim else tuple(x.shape[d] for d in kept)
    if not x.size:
        neutral = {"sum": 0, "prod": 1, "any": False, "all": True}.get(name, 0)
        return np.full(out, neutral, kind.numpy)
    last = next((d for d in range(x.ndim - 1, -1, -1) if x.shape[d] != 1), None)
    y = x.transpose(*kept, *dims).reshape(*(x.shape[d] for d in kept), -1)
    if y.shape[-1] == 1 and not name.startswith(("arg", "sum")):
        return (y != 0 if name in ("any", "all") else y).astype(kind.numpy).reshape(out)
    if name == "argmax":
        return np.argmax(y, -1).astype(np.int64).reshape(out)
    if name == "argmin":
        return np.argmin(y, -1).astype(np.int64).reshape(out)
    return fold_numpy(name, y, 32 if last in dims else 1, kind).reshape(out)


def laid_out(x: np.ndarray, strides: Sequence[int], kind: dtype) -> np.ndarray:
    """Flat memory that holds `x` with dense strides."""
    flat = np.zeros(max(1, x.size), kind.numpy)
    if x.size:
        spread(flat, x.shape, strides)[...] = x
    return flat


def interpret(
    program: Program, leaves: Sequence[np.ndarray], numbers: Sequence[float] = ()
) -> list[np.ndarray]:
    """Every node by NumPy, one after the other."""
    e = NumpyBuilder()
    program = expand(program)
    values: list[np.ndarray] = []
    given = iter(leaves)

    def get(s: int) -> np.ndarray:
        if s >= 0:
            return values[s]
        kind = program.numbers[~s]
        return np.asarray(numbers[~s], np.float64 if kind == "d" else np.int64)

    def kind_of(s: int) -> dtype:
        if s >= 0:
            return program.nodes[s].spec.dtype
        return dt.float64 if program.numbers[~s] == "d" else dt.int64

    for n in program.nodes:
        s, kind = n.spec, n.spec.dtype
        xs = [get(i) for i in n.srcs]
        with np.errstate(all="ignore"):
            if n.op.kind == "leaf":
                memory = next(given)
                v = spread(memory, s.shape, s.strides) if numel(s.shape) else np.zeros(s.shape)
            elif n.op.kind == "const":
                v = e.const(*n.arg).v
            elif n.op.kind == "full":
                v = np.broadcast_to(e.cast(e.of(xs[0], kind_of(n.srcs[0])), kind).v, s.shape)
            elif n.op.kind == "iota":
                line = np.arange(s.shape[n.arg[1]])
                steps = [1] * len(s.shape)
                steps[n.arg[1]] = -1
                v = np.broadcast_to(line.reshape(steps), s.shape)
            elif n.op.kind == "elementwise":
                args = [e.cast(e.of(x, kind_of(i)), n.ctype) for x, i in zip(xs, n.srcs)]
                if n.op.types == "where":
                    args[0] = e.of(xs[0], kind_of(n.srcs[0]))
                    args[0] = e.cast(args[0], dt.bool_)
                v = np.broadcast_to(e.cast(n.op.lower(e, *args), kind).v, s.shape)
            elif n.op.kind == "reduce":
                v = reduce_numpy(n.op.name, xs[0], n.arg, kind)
            elif n.op.kind == "alias":
                v = xs[0]
            elif n.op.kind == "join":
                v = np.concatenate(xs, n.arg)
            elif n.op.kind == "write":
                if n.arg is None or n.arg == CUT:
                    v = np.broadcast_to(xs[1], s.shape)
                else:
                    flat = laid_out(xs[0], s.strides, kind)
                    if numel(n.arg[0]):
                        spread(flat, *n.arg)[...] = xs[1]
                    v = spread(flat, s.shape, s.strides)
            elif n.op.name in ("reshape", "view"):
                v = xs[0].reshape(s.shape)
            elif n.op.name == "flip":
                v = np.flip(xs[0], n.arg)
            elif n.op.name == "as_strided":
                base = program.nodes[n.srcs[0]].spec
                v = spread(laid_out(xs[0], base.strides, kind), *n.arg)
            elif n.op in GEOMETRY:
                from rushlight.graph.op import Spec

                x = np.ascontiguousarray(xs[0])
                plain = Spec(x.shape, kind, contiguous_strides(x.shape))
                v = (
                    spread(x.reshape(-1), *GEOMETRY[n.op](plain, n.arg))
                    if x.size and numel(s.shape)
                    else np.zeros(s.shape)
                )
            elif n.op.name == "matmul":
                v = chain_numpy(xs[0], xs[1], kind)
            elif n.op.name == "index":
                where: list[Any] = [slice(None)] * xs[0].ndim
                for d, i in zip(n.arg, xs[1:], strict=True):
                    where[d] = i
                v = xs[0][tuple(where)]
            elif n.op.name in ("gather", "pick"):
                v = np.take_along_axis(xs[0], xs[1], n.arg)
            else:
                raise NotImplementedError(n.op.name)
        values.append(np.array(v, kind.numpy).reshape(s.shape))
    return [values[o] for o in program.outputs]


def chain_numpy(x: np.ndarray, y: np.ndarray, kind: dtype) -> np.ndarray:
    """A matrix product as a chain of fused multiply-adds (float32: by way of float64)."""
    shape = (*np.broadcast_shapes(x.shape[:-2], y.shape[:-2]), x.shape[-2], y.shape[-1])
    acc = np.zeros(shape, kind.numpy)
    for k in range(x.shape[-1]):
        a, b = x[..., :, k, None], y[..., None, k, :]
        acc = fma_numpy(a, b, acc) if kind is dt.float32 else acc + a * b
    return acc


def fma_numpy(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """float32 fma: the product is exact in float64, the sum is rounded to odd there."""
    p = a.astype(np.float64) * b.astype(np.float64)
    c64 = np.broadcast_to(c.astype(np.float64), np.broadcast_shapes(p.shape, c.shape))
    s = p + c64
    t = s - p
    error = (p - (s - t)) + (c64 - t)
    bits = s.view(np.int64).copy()
    odd = (error != 0) & (bits & 1 == 0) & np.isfinite(s)
    away = (error > 0) == (s > 0)
    bits[odd & away] += 1
    bits[odd & ~away] -= 1
    return bits.view(np.float64).astype(np.float32)


def same_bits(x: np.ndarray, y: np.ndarray) -> bool:
    """Equal to the bit; NaNs are all alike."""
    if x.shape != y.shape or x.dtype != y.dtype:
        return False
    if x.dtype.kind != "f":
        return bool((x == y).all())
    whole = x.dtype.str.replace("f", "i")
    a, b = (np.ascontiguousarray(v).view(whole) for v in (x, y))
    return bool(((a == b) | (np.isnan(x) & np.isnan(y))).all())


@pytest.fixture(scope="session")
def kit() -> SimpleNamespace:
    """The helpers above as one object."""
    return SimpleNamespace(
        Plan=Plan, Program=Program, fresh=fresh, interpret=interpret, laid_out=laid_out, leaf=leaf,
        make=make, number=number, op=op, same_bits=same_bits, spread=spread,
    )  # fmt: skip
