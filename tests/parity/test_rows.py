"""Every row beside PyTorch: values and gradients, ordinary and extreme operands, layouts, types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from rushlight.base.dtype import from_numpy
from rushlight.base.shape import is_dense
from rushlight.graph.gradient import differentiate
from rushlight.graph.op import TABLE
from rushlight.graph.value import Val
from tests.graph.rows import Expression

RNG = np.random.default_rng(1)
EXTREME = np.array(
    [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        -0.5,
        2.0,
        20.0,
        -20.0,
        90.0,
        -90.0,
        1e-30,
        1e30,
        np.inf,
        -np.inf,
        np.nan,
    ]
)

ROWS: dict[str, Callable[..., Any]] = {
    **{
        n: getattr(torch, n)
        for n in [
            "neg",
            "add",
            "sub",
            "mul",
            "div",
            "abs",
            "sign",
            "square",
            "reciprocal",
            "sqrt",
            "rsqrt",
            "pow",
            "exp",
            "expm1",
            "log",
            "log1p",
            "tanh",
            "sigmoid",
            "sin",
            "cos",
            "erf",
            "relu",
            "maximum",
            "minimum",
            "floor",
            "ceil",
            "round",
            "trunc",
            "eq",
            "ne",
            "lt",
            "le",
            "gt",
            "ge",
            "isnan",
            "logical_not",
            "logical_and",
            "logical_or",
            "logical_xor",
        ]
    },
    "cube": lambda x: x**3,
    "clamp_min": torch.clamp_min,
    "clamp_max": torch.clamp_max,
    "where": lambda c, x, y: torch.where(c != 0, x, y),
    "log_sigmoid": F.logsigmoid,
    "silu": F.silu,
    "mish": F.mish,
    "softplus": lambda x, b, t: F.softplus(x, float(b), float(t)),
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "leaky_relu": lambda x, s: F.leaky_relu(x, float(s)),
    "prelu": lambda x, w: torch.where(x > 0, x, w * x),
    "hardtanh": lambda x, lo, hi: F.hardtanh(x, float(lo), float(hi)),
    "clamp": torch.clamp,
    "threshold": lambda x, t, v: F.threshold(x, float(t), float(v)),
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "hardshrink": lambda x, b: F.hardshrink(x, float(b)),
    "softshrink": lambda x, b: F.softshrink(x, float(b)),
    "softsign": F.softsign,
    "tanhshrink": F.tanhshrink,
    "smooth_l1": lambda x, t, b: F.smooth_l1_loss(x, t, beta=float(b), reduction="none"),
    "huber": lambda x, t, d: F.huber_loss(x, t, delta=float(d), reduction="none"),
    "bce": lambda x, t: F.binary_cross_entropy(x, t, reduction="none"),
    "bce_logits": lambda x, t: F.binary_cross_entropy_with_logits(x, t, reduction="none"),
    "bce_logits_pos": lambda x, t, p: F.binary_cross_entropy_with_logits(
        x, t, pos_weight=p, reduction="none"
    ),
}


def ours(
    build: Callable[..., Val], operands: Sequence[Any], wants: Sequence[int], seed: Any = None
) -> list[Any]:
    """The value, then gradients with ``seed`` (ones without)."""
    e = Expression(operands)
    v = build(*e.vals)
    if not wants:
        return e.value(v)
    weights = e.builder.leaf(np.ones(v.shape, v.dtype.numpy) if seed is None else seed)
    found = differentiate(e.builder, {v.slot: weights}, [e.vals[i] for i in wants])
    return e.value(v, *[g for g in found if g is not None])


def theirs(
    f: Callable[..., Any], operands: Sequence[Any], wants: Sequence[int], seed: Any = None
) -> list[Any]:
    ts = [
        torch.from_numpy(np.array(o, order="K")) if isinstance(o, np.ndarray) else o
        for o in operands
    ]
    for i in wants:
        ts[i].requires_grad_()
    v = f(*ts)
    if not wants:
        return [v.numpy()]
    weights = torch.ones_like(v) if seed is None else torch.from_numpy(seed)
    return [
        v.detach().numpy(),
        *[g.numpy() for g in torch.autograd.grad(v, [ts[i] for i in wants], weights)],
    ]


def compare(
    build: Any, f: Any, operands: Sequence[Any], wants: Sequence[int], rtol: float, atol: float
) -> None:
    seed = None
    if wants:
        seed = np.asarray(
            RNG.uniform(0.5, 1.5, ours(build, operands, [])[0].shape), operands[wants[0]].dtype
        )
    for a, b in zip(
        ours(build, operands, wants, seed), theirs(f, operands, wants, seed), strict=True
    ):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


def parameter(op: Any, i: int) -> bool:
    """Is the operand a number in PyTorch's signature?"""
    return bool(i and op.grads and op.gradient(i) is None)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("name", ROWS)
def test_ordinary(name: str, kind: Any) -> None:
    op = TABLE[name]
    n = len(op.domain)
    operands = [
        float(RNG.uniform(lo, hi)) if parameter(op, i) else RNG.uniform(lo, hi, (4, 5)).astype(kind)
        for i, (lo, hi) in enumerate(op.domain)
    ]
    wants = [i for i in range(n) if op.gradient(i) is not None and i not in NOT_THERE.get(name, ())]
    rtol = 2e-5 if kind is np.float32 else 1e-7 if name in SINGLE else 1e-12
    compare(op, ROWS[name], operands, wants, rtol, rtol / 10)


# what has no values there, or whose gradient PyTorch composes and loses in inf * 0
COMPOSED_THERE = ("bce", "where", "prelu", "softsign", "bce_logits_pos")
NOT_THERE = {"bce_logits_pos": (2,)}  # gradients PyTorch does not have
# where PyTorch's code for AVX-512 errs: the argument, which result (value, gradient), what is right
ERRS_THERE = {
    ("gelu", np.float32): (np.inf, 0, np.inf),
    ("gelu", np.float64): (np.inf, 0, np.inf),
    ("hardswish", np.float32): (np.nan, 1, np.nan),
}
SINGLE = {"hardsigmoid", "bce at the ends"}  # where PyTorch has constants of float32


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("name", [n for n in ROWS if n not in COMPOSED_THERE])
def test_extreme(name: str, kind: Any) -> None:
    """Zeros of both signs, infinities, NaN: the same value and gradient, or NaN in both."""
    op = TABLE[name]
    n = len(op.domain)
    arrays = [i for i in range(n) if not parameter(op, i)]
    grid = np.meshgrid(*[EXTREME] * len(arrays))
    operands: list[Any] = [float(np.mean(op.domain[i])) for i in range(n)]
    for i, g in zip(arrays, grid, strict=True):
        operands[i] = np.ascontiguousarray(g.ravel()).astype(kind)
    wants = [i for i in range(n) if op.gradient(i) is not None and i not in NOT_THERE.get(name, ())]
    got, want = ours(op, operands, wants), theirs(ROWS[name], operands, wants)
    rtol = 2e-5 if kind is np.float32 else 1e-7 if name in SINGLE else 1e-11
    at, which, right = ERRS_THERE.get((name, kind), (0.0, -1, 0.0))
    for k, (a, b) in enumerate(zip(got, want, strict=True)):
        if k == which:
            b = np.where(np.isclose(operands[0], at, equal_nan=True), kind(right), b)
        same = np.isclose(a, b, rtol=rtol, atol=1e-30, equal_nan=True) | (np.isnan(a) & np.isnan(b))
        bad = [
            (k, *[float(o[j]) if isinstance(o, np.ndarray) else o for o in operands], a[j], b[j])
            for j in np.flatnonzero(~same)
        ]
        assert not bad, f"{len(bad)}: {bad[:12]}"


KINDS = [np.bool_, np.uint8, np.int8, np.int16, np.int32, np.int64, np.float32, np.float64]


@pytest.mark.parametrize("a", KINDS)
@pytest.mark.parametrize("b", KINDS)
@pytest.mark.parametrize(
    "name", ["add", "mul", "div", "maximum", "eq", "lt", "where", "bitwise_and"]
)
def test_types(name: str, a: Any, b: Any) -> None:
    f = ROWS.get(name) or getattr(torch, name)
    if name == "bitwise_and" and (np.dtype(a).kind == "f" or np.dtype(b).kind == "f"):
        pytest.skip("bits of floats")
    x, y = np.array([0, 1, 3, 100]).astype(a), np.array([1, 2, 1, 100]).astype(b)
    first = [np.array([True, False, True, True])] if name == "where" else []
    seconds: list[Any] = [y, y[:1].reshape(())]
    if name not in ("maximum", "where"):
        seconds += [3] if name == "bitwise_and" else [3, 2.5, 0]
    for second in seconds:
        want = theirs(f, [*first, x, second], [])[0]
        got = ours(TABLE[name], [*first, x, second], [])[0]
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("a", KINDS)
@pytest.mark.parametrize("b", KINDS)
def test_conversions(a: Any, b: Any) -> None:
    x = np.array([0, 1, 2, 100, 127])
    if np.dtype(a).kind in "if":
        x = np.concatenate([x, [-1, -128, -100]])
    if np.dtype(a).kind == "f":
        x = np.concatenate(
            [x, [0.5, -0.5, 1.5, 3e9, -3e9] if b in (np.int64, np.float32, np.float64) else [0.5]]
        )
    operands = [x.astype(a)]
    want = torch.from_numpy(operands[0]).to(getattr(torch, np.dtype(b).name)).numpy()
    got = ours(lambda v: TABLE["cast"](v, arg=from_numpy(np.dtype(b))), operands, [])[0]
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("a", KINDS)
def test_reductions_of_types(a: Any) -> None:
    x = RNG.integers(0, 2, (3, 4)).astype(a)
    for name in ("sum", "prod", "amax", "amin", "any", "all", "argmax", "argmin"):
        if name.startswith("arg") and a is np.bool_:
            continue
        want = theirs(lambda v: getattr(torch, name)(v, dim=1, keepdim=True), [x], [])[0]
        if name.startswith("arg"):
            want = x.argmax(1, keepdims=True) if name == "argmax" else x.argmin(1, keepdims=True)
        got = ours(lambda v: TABLE[name](v, arg=((1,), True)), [x], [])[0]
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


COMPOSED: dict[str, tuple[Any, Any, list[Any], list[int]]] = {}


def case(name: str, build: Any, f: Any, operands: list[Any], wants: list[int]) -> None:
    COMPOSED[name] = (build, f, operands, wants)


X, Y, W = (RNG.standard_normal(s) for s in ((6, 5), (6, 5), (4, 5)))
P, Q = RNG.uniform(0.05, 0.95, (2, 6, 5))
T = RNG.integers(0, 5, 6)
T[2] = -100
CW = RNG.uniform(0.5, 2, 5)
I = RNG.integers(0, 6, (3, 5))
for dims in ((0,), (1,), (0, 1)):
    for n in ("sum", "mean", "amax", "amin", "logsumexp"):
        case(
            f"{n}{dims}",
            lambda x, n=n, d=dims: TABLE[n](x, arg=(d, False)),
            lambda x, n=n, d=dims: getattr(torch, n)(x, dim=d),
            [X],
            [0],
        )
    for n in ("var", "std"):
        case(
            f"{n}{dims}",
            lambda x, n=n, d=dims: TABLE[n](x, arg=(d, False, 1)),
            lambda x, n=n, d=dims: getattr(torch, n)(x, dim=d),
            [X],
            [0],
        )
for n in ("softmax", "log_softmax"):
    for d in (0, 1):
        case(
            f"{n}{d}",
            lambda x, n=n, d=d: TABLE[n](x, arg=d),
            lambda x, n=n, d=d: getattr(torch, n)(x, d),
            [X],
            [0],
        )
case("prod", lambda x: TABLE["prod"](x, arg=((1,), False)), lambda x: x.prod(1), [X], [0])
zeros = X.copy()
zeros[0, 1] = zeros[1, 2] = zeros[1, 3] = 0
case(
    "prod of zeros",
    lambda x: TABLE["prod"](x, arg=((1,), False)),
    lambda x: x.prod(1),
    [zeros],
    [0],
)
case("matmul", TABLE["matmul"], torch.matmul, [X, W.T.copy()], [0, 1])
case(
    "batched",
    TABLE["matmul"],
    torch.matmul,
    [RNG.standard_normal((2, 1, 3, 4)), RNG.standard_normal((3, 4, 2))],
    [0, 1],
)
case("linear", TABLE["linear"], F.linear, [X, W, W[:, 0].copy()], [0, 1, 2])
case("linear3", TABLE["linear"], F.linear, [RNG.standard_normal((2, 3, 5)), W], [0, 1])
case("cat", lambda *v: TABLE["cat"](*v, arg=1), lambda *v: torch.cat(v, 1), [X, Y], [0, 1])
case("gather", lambda x, i: TABLE["gather"](x, i, arg=0), lambda x, i: x.gather(0, i), [X, I], [0])
case(
    "scatter_add",
    lambda x, i, v: TABLE["scatter"](x, i, v, arg=(0, True)),
    lambda x, i, v: x.scatter_add(0, i, v),
    [X, I, Y[:3].copy()],
    [0, 2],
)
case("index", lambda x, i: TABLE["index"](x, i, arg=(0,)), lambda x, i: x[i], [X, I], [0])
case(
    "index_add",
    lambda x, i, v: TABLE["index_put"](x, v, i, arg=((0,), True)),
    lambda x, i, v: x.index_add(0, i, v),
    [X, I[0], Y[:5].copy()],
    [0, 2],
)
case(
    "embedding",
    lambda w, i: TABLE["embedding"](w, i, arg=3),
    lambda w, i: F.embedding(i, w, padding_idx=3),
    [X, I],
    [0],
)
for r in ("none", "mean", "sum"):
    for w in (None, CW):
        more = [] if w is None else [w]
        for eps in (0.0, 0.1):
            case(
                f"cross_entropy {r} {w is not None} {eps}",
                lambda x, t, *m, r=r, e=eps: TABLE["cross_entropy"](x, t, *m, arg=(r, -100, e)),
                lambda x, t, *m, r=r, e=eps: F.cross_entropy(
                    x, t, *m, reduction=r, label_smoothing=e
                ),
                [X, T, *more],
                [0],
            )
            case(
                f"cross_entropy_soft {r} {w is not None} {eps}",
                lambda x, t, *m, r=r, e=eps: TABLE["cross_entropy_soft"](x, t, *m, arg=(r, e)),
                lambda x, t, *m, r=r, e=eps: F.cross_entropy(
                    x, t, *m, reduction=r, label_smoothing=e
                ),
                [X, P, *more],
                [0, 1],
            )
        case(
            f"nll_loss {r} {w is not None}",
            lambda x, t, *m, r=r: TABLE["nll_loss"](x, t, *m, arg=(r, -100)),
            lambda x, t, *m, r=r: F.nll_loss(x, t, *m, reduction=r),
            [X, T, *more],
            [0],
        )
        case(
            f"bce {r} {w is not None}",
            lambda x, t, *m, r=r: TABLE["binary_cross_entropy"](x, t, *m, arg=(r,)),
            lambda x, t, *m, r=r: F.binary_cross_entropy(x, t, *m, reduction=r),
            [P, Q, *more],
            [0, 1],
        )
    case(
        f"bce_logits {r}",
        lambda x, t, r=r: TABLE["binary_cross_entropy_with_logits"](x, t, arg=(r,)),
        lambda x, t, r=r: F.binary_cross_entropy_with_logits(x, t, reduction=r),
        [X, Q],
        [0, 1],
    )
    for n in ("mse_loss", "l1_loss"):
        case(
            f"{n} {r}",
            lambda x, t, n=n, r=r: TABLE[n](x, t, arg=(r,)),
            lambda x, t, n=n, r=r: getattr(F, n)(x, t, reduction=r),
            [X, Y],
            [0, 1],
        )
ends = np.array([0.0, 1.0, 0.0, 1.0, 0.3])
case(
    "bce at the ends",
    lambda x, t: TABLE["bce"](x, t),
    lambda x, t: F.binary_cross_entropy(x, t, reduction="none"),
    [ends, np.array([0.0, 1.0, 1.0, 0.0, 1.0])],
    [0],
)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("name", COMPOSED)
def test_composed(name: str, kind: Any) -> None:
    build, f, operands, wants = COMPOSED[name]
    operands = [
        o.astype(kind) if isinstance(o, np.ndarray) and o.dtype.kind == "f" else o for o in operands
    ]
    rtol = 2e-5 if kind is np.float32 else 1e-7 if name in SINGLE else 1e-12
    compare(build, f, operands, wants, rtol, rtol / 10)


@pytest.mark.parametrize("name", ["add", "exp", "where", "clamp"])
def test_strides(name: str) -> None:
    """Results are laid out as PyTorch lays them out."""
    base = RNG.standard_normal((2, 3, 4, 5))
    for order in ((0, 1, 2, 3), (0, 2, 3, 1), (3, 2, 1, 0), (1, 0, 3, 2)):
        x = np.ascontiguousarray(base.transpose(order)).transpose(np.argsort(order))
        operands: list[Any] = [x, base, x, x][: len(TABLE[name].domain)]
        if name == "where":
            operands[0] = x > 0
        t = ROWS[name](*[torch.from_numpy(o) for o in operands])
        e = Expression(operands)
        spec = e.builder.spec(TABLE[name](*e.vals).slot)
        assert spec.strides == t.stride() and is_dense(spec.shape, spec.strides)
