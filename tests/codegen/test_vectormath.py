"""Vector mathematics: accuracy, special values, and the same bits at every width and level."""

import ctypes
import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from rushlight.base.target import Isa, at_level, levels
from rushlight.codegen.vectormath import BINARY, FUNCTIONS, kernel_text
from rushlight.runtime.jit import compile_text

Array = np.ndarray[Any, Any]

TYPES = {"float": np.float32, "double": np.float64}
LIMIT = 2.5
"""Units in the last place that any result may be off."""

# What was measured when the functions were written, and a little more: a step back must show.
EXPECTED = {
    "acos": 1.2, "acosh": 2.35, "asin": 2.35, "asinh": 2.15, "atan": 2.25, "atan2": 2.3,
    "atanh": 1.85, "cos": 0.9, "cosh": 1.5, "erf": 1.05, "exp": 1.05, "exp2": 1.35, "expm1": 1.9,
    "log": 0.9, "log10": 1.05, "log1p": 1.1, "log2": 1.05, "pow": 1.1, "rsqrt": 1.55,
    "sigmoid": 2.45, "sin": 0.9, "sinh": 1.7, "sqrt": 0.501, "tan": 1.25, "tanh": 1.25,
}  # fmt: skip

Long = np.longdouble
ACCURATE = np.finfo(Long).nmant >= 63  # elsewhere long double is double

REFERENCES: dict[str, Callable[..., Array]] = {
    "acos": np.arccos, "acosh": np.arccosh, "asin": np.arcsin, "asinh": np.arcsinh,
    "atan": np.arctan, "atan2": np.arctan2, "atanh": np.arctanh, "cosh": np.cosh, "sinh": np.sinh,
    "cos": np.cos, "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log,
    "log10": np.log10, "log1p": np.log1p, "log2": np.log2, "pow": np.power, "sin": np.sin,
    "sqrt": np.sqrt, "tan": np.tan, "tanh": np.tanh,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sigmoid": lambda x: np.where(x >= 0, 1, np.exp(-np.abs(x))) / (1 + np.exp(-np.abs(x))),
}  # fmt: skip

# Where a function is neither 0, 1, infinity nor the identity
RANGES = {
    "asin": ((-1, 1), (-1, 1)), "acos": ((-1, 1), (-1, 1)), "atanh": ((-1, 1), (-1, 1)),
    "acosh": ((1, 3), (1, 3)), "sinh": ((-91, 91), (-712, 712)), "cosh": ((-91, 91), (-712, 712)),
    "exp": ((-105, 90), (-746, 711)), "exp2": ((-151, 129), (-1076, 1025)),
    "expm1": ((-20, 90), (-40, 711)), "sigmoid": ((-105, 20), (-746, 40)),
    "tanh": ((-10, 10), (-20, 20)), "erf": ((-4.2, 4.2), (-6.2, 6.2)),
}  # fmt: skip


def erf_reference(x: Array) -> Array:
    """erf in extended precision: its series up to 3.5, a continued fraction of erfc beyond."""
    x = x.astype(Long)
    a = np.abs(np.where(np.isfinite(x), x, 0))
    near = np.minimum(a, Long(3.5))
    term = near.copy()  # e**-a² sum of 2**n a**(2n+1) / (2n+1)!!: all terms positive
    total = near.copy()
    for n in range(1, 90):
        term = term * 2 * near * near / (2 * n + 1)
        total = total + term
    root_pi = np.sqrt(Long("3.14159265358979323846264338327950288"))
    small = total * 2 / root_pi * np.exp(-near * near)
    far = np.maximum(a, Long(3.5))
    tail = far.copy()
    for n in range(120, 0, -1):
        tail = far + Long(n) / 2 / tail
    large = 1 - np.exp(-far * far) / root_pi / tail
    y = np.copysign(np.where(a <= 3.5, small, large), x)
    return np.where(np.isinf(x), np.sign(x), np.where(np.isnan(x), x, y))


REFERENCES["erf"] = erf_reference


@cache
def kernel(
    name: str, ty: str, width: int, isa: Isa, level: int = 1, scalef: bool = False
) -> Callable[..., Array]:
    """The 1-d kernel as a function of arrays."""
    text = kernel_text(name, ty, width, scalef=scalef)
    library = compile_text(text, name_hint=name, target=at_level(isa), level=level)
    count = 3 if name in BINARY else 2
    call = ctypes.CFUNCTYPE(None, ctypes.c_int64, *[ctypes.c_void_p] * count)(library.address("k"))

    def run(*inputs: Array) -> Array:
        arrays = [np.ascontiguousarray(x, TYPES[ty]) for x in inputs]
        out = np.full_like(arrays[0], 77)
        call(out.size, *(a.ctypes.data for a in arrays), out.ctypes.data)
        return out

    return run


def best(name: str, ty: str) -> Callable[..., Array]:
    return kernel(name, ty, 8, levels()[0])


def special(dtype: Any) -> Array:
    info = np.finfo(dtype)
    tiny, least, most, eps = info.tiny, info.smallest_subnormal, info.max, info.eps
    sizes = [
        0, least, 3 * least, tiny / 3, tiny - least, tiny, eps / 4, eps, 1e-20, 0.25, 0.5, 0.625,
        1 - info.epsneg, 1, 1 + eps, math.sqrt(0.5), math.sqrt(2), math.e, math.pi / 2, math.pi,
        2, 3, 4, 5, 10, 88, 100, 1e5, 1e6, 2.0**24, 2.0**24 + 2, 1e20, most / 2, most, math.inf,
    ]  # fmt: skip
    positive = np.array(sizes, dtype)
    return np.concatenate([positive, -positive, np.array([math.nan], dtype)])


def points(name: str, ty: str, count: int) -> Array:
    """Special values, every exponent, the interesting range, near one, near zero."""
    dtype, rng = TYPES[ty], np.random.default_rng(len(name))
    unsigned = np.uint32 if ty == "float" else np.uint64
    anything = rng.integers(0, np.iinfo(unsigned).max, count, unsigned, endpoint=True).view(dtype)
    low, high = RANGES.get(name, ((-100, 100),) * 2)[ty == "double"]
    parts = [
        special(dtype),
        anything,
        rng.uniform(low, high, 2 * count),
        rng.uniform(-2, 2, count),
        1 + rng.standard_normal(count) * 10.0 ** rng.uniform(-7, 0, count),
        rng.standard_normal(count) * 10.0 ** rng.uniform(-9, 0, count),
    ]
    if name in ("sin", "cos", "tan"):
        parts += [
            rng.uniform(-1.2e5, 1.2e5, count),
            rng.uniform(-2e6, 2e6, count),
            rng.integers(-70000, 70000, count) * (math.pi / 2),
            rng.integers(-(2**40), 2**40, count) * (math.pi / 2),
        ]
    with np.errstate(over="ignore"):
        return np.concatenate([part.astype(dtype) for part in parts])


def errors(got: Array, exact: Array) -> tuple[Array, Array]:
    """Units in the last place where finite, and a mask of results that are plainly wrong."""
    with np.errstate(all="ignore"):
        info = np.finfo(got.dtype)
        right = exact.astype(got.dtype)
        finite = np.isfinite(right)
        unit = np.spacing(np.abs(np.where(finite, right, info.max))).astype(Long)
        ulps = np.where(finite & np.isfinite(got), np.abs(got.astype(Long) - exact) / unit, 0)
        same = (got == right) | (np.isnan(got) & np.isnan(right))
        # next to the overflow threshold either of the largest number and infinity is within an ulp
        edge = np.abs(exact) >= Long(info.max) * (1 - Long(info.eps))
        edge &= np.isfinite(exact) & (np.sign(got) == np.sign(exact)) & (np.abs(got) >= info.max)
        wrong = np.where(finite, ~np.isfinite(got), ~same) & ~edge
        zero = (right == 0) & (got == 0) & (np.signbit(right) != np.signbit(got))
    return ulps.astype(np.float64), wrong | zero


@pytest.mark.skipif(not ACCURATE, reason="needs an extended long double as reference")
@pytest.mark.parametrize("ty", TYPES)
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_accuracy_and_special_values(name: str, ty: str) -> None:
    x = points(name, ty, 3000 if name == "erf" else 20_000)
    y = best(name, ty)(x)
    with np.errstate(all="ignore"):
        exact = REFERENCES[name](x.astype(Long))
    ulps, wrong = errors(y, exact)
    at = int(np.argmax(ulps))
    assert not wrong.any(), [(x[i], y[i], exact[i]) for i in np.nonzero(wrong)[0][:5]]
    assert ulps[at] <= min(LIMIT, EXPECTED[name]), (x[at], y[at], exact[at], ulps[at])


@pytest.mark.skipif(not ACCURATE, reason="needs an extended long double as reference")
@pytest.mark.parametrize("ty", TYPES)
def test_pow(ty: str) -> None:
    dtype = TYPES[ty]
    rng = np.random.default_rng(5)
    count, ends = 20_000, 88 if ty == "float" else 709
    halves = np.concatenate([special(dtype), np.array([1.5, 2.5, -7, 7, 1e10, -1e10], dtype)])
    grid = [a.ravel() for a in np.meshgrid(halves, halves)]
    x = np.exp(rng.uniform(-0.99, 0.99, count) * ends)
    near = 1 + rng.standard_normal(count) * 10.0 ** rng.uniform(-5, -1, count)
    near = np.where(near == 1, 1.5, near).astype(dtype).astype(float)
    near = np.where((near == 1) | (near <= 0), 1.5, near)
    bases = [grid[0], x, near, rng.uniform(0, 10, count), -rng.integers(1, 30, count)]
    powers = [
        grid[1],
        rng.uniform(-1.1, 1.1, count) * ends / np.log(x),
        rng.uniform(-1.2, 1.2, count) * ends / np.log(near),
        rng.uniform(-5, 5, count),
        rng.integers(-40, 40, count),
    ]
    with np.errstate(all="ignore"):
        a = np.concatenate([b.astype(dtype) for b in bases])
        b = np.concatenate([p.astype(dtype) for p in powers])
        exact = np.power(a.astype(Long), b.astype(Long))
    y = best("pow", ty)(a, b)
    ulps, wrong = errors(y, exact)
    at = int(np.argmax(ulps))
    assert not wrong.any(), [(a[i], b[i], y[i], exact[i]) for i in np.nonzero(wrong)[0][:5]]
    assert ulps[at] <= EXPECTED["pow"], (a[at], b[at], y[at], ulps[at])


@pytest.mark.skipif(not ACCURATE, reason="needs an extended long double as reference")
@pytest.mark.parametrize("ty", TYPES)
def test_atan2(ty: str) -> None:
    dtype, rng, count = TYPES[ty], np.random.default_rng(6), 20_000
    ends = 36 if ty == "float" else 306
    grid = [a.ravel() for a in np.meshgrid(special(dtype), special(dtype))]
    sizes = [10.0 ** rng.uniform(-ends, ends, count) for _ in range(2)]
    signs = [rng.choice([-1.0, 1.0], count) for _ in range(2)]
    angles = rng.uniform(-4, 4, count)
    y = np.concatenate([grid[0], sizes[0] * signs[0], rng.uniform(-3, 3, count), np.sin(angles)])
    x = np.concatenate([grid[1], sizes[1] * signs[1], rng.uniform(-3, 3, count), np.cos(angles)])
    y, x = y.astype(dtype), x.astype(dtype)
    got = best("atan2", ty)(y, x)
    exact = np.arctan2(y.astype(Long), x.astype(Long))
    ulps, wrong = errors(got, exact)
    at = int(np.argmax(ulps))
    assert not wrong.any(), [(y[i], x[i], got[i], exact[i]) for i in np.nonzero(wrong)[0][:5]]
    assert ulps[at] <= EXPECTED["atan2"], (y[at], x[at], got[at], exact[at], ulps[at])


# From C99 (7.12 and annex F), with the signs of zeros.
C99 = [
    ("pow", (-0.0, -3.0), -math.inf), ("pow", (-0.0, -2.0), math.inf), ("pow", (-0.0, 3.0), -0.0),
    ("pow", (-0.0, 2.5), 0.0), ("pow", (-1.0, math.inf), 1.0), ("pow", (1.0, math.nan), 1.0),
    ("pow", (math.nan, 0.0), 1.0), ("pow", (-8.0, 1 / 3), math.nan), ("pow", (-2.0, 3.0), -8.0),
    ("pow", (0.5, -math.inf), math.inf), ("pow", (-0.5, math.inf), 0.0),
    ("pow", (-math.inf, 3.0), -math.inf), ("pow", (-math.inf, -3.0), -0.0),
    ("pow", (-math.inf, 0.5), math.inf), ("pow", (math.inf, -1.0), 0.0),
    ("pow", (math.nan, 1.0), math.nan), ("pow", (2.0, math.nan), math.nan),
    ("pow", (10.0, 2.0), 100.0), ("pow", (3.0, 4.0), 81.0),
    ("atan2", (0.0, -0.0), math.pi), ("atan2", (-0.0, -0.0), -math.pi),
    ("atan2", (-0.0, 0.0), -0.0),
    ("atan2", (math.inf, -math.inf), 3 * math.pi / 4), ("atan2", (-math.inf, 1.0), -math.pi / 2),
    ("atan2", (1.0, -math.inf), math.pi), ("atan2", (-1.0, math.inf), -0.0),
    ("atan2", (math.nan, 1.0), math.nan), ("atan2", (1.0, 0.0), math.pi / 2),
    ("atan", (-math.inf,), -math.pi / 2), ("atan", (-0.0,), -0.0), ("atan", (1.0,), math.pi / 4),
    ("asin", (1.0,), math.pi / 2), ("asin", (-0.0,), -0.0), ("asin", (2.0,), math.nan),
    ("acos", (1.0,), 0.0), ("acos", (-1.0,), math.pi), ("acos", (-2.0,), math.nan),
    ("sinh", (-math.inf,), -math.inf), ("sinh", (-0.0,), -0.0), ("cosh", (-math.inf,), math.inf),
    ("cosh", (0.0,), 1.0), ("asinh", (-math.inf,), -math.inf), ("asinh", (-0.0,), -0.0),
    ("acosh", (1.0,), 0.0), ("acosh", (0.5,), math.nan), ("acosh", (-math.inf,), math.nan),
    ("acosh", (math.inf,), math.inf), ("atanh", (-1.0,), -math.inf), ("atanh", (2.0,), math.nan),
    ("atanh", (math.inf,), math.nan), ("atanh", (-0.0,), -0.0),
    ("exp", (-math.inf,), 0.0), ("exp", (math.inf,), math.inf), ("exp", (-0.0,), 1.0),
    ("exp2", (10.0,), 1024.0), ("exp2", (-math.inf,), 0.0), ("expm1", (-0.0,), -0.0),
    ("expm1", (-math.inf,), -1.0), ("log", (-0.0,), -math.inf), ("log", (-1.0,), math.nan),
    ("log", (math.inf,), math.inf), ("log", (1.0,), 0.0), ("log2", (1024.0,), 10.0),
    ("log2", (2.0**-140,), -140.0), ("log1p", (-1.0,), -math.inf), ("log1p", (-2.0,), math.nan),
    ("log1p", (-0.0,), -0.0), ("tanh", (-0.0,), -0.0), ("tanh", (math.inf,), 1.0),
    ("erf", (-0.0,), -0.0), ("erf", (-math.inf,), -1.0), ("sin", (-0.0,), -0.0),
    ("sin", (math.inf,), math.nan), ("cos", (-math.inf,), math.nan), ("cos", (0.0,), 1.0),
    ("tan", (-0.0,), -0.0), ("tan", (math.inf,), math.nan), ("sqrt", (-0.0,), -0.0),
    ("sqrt", (-1.0,), math.nan), ("rsqrt", (0.0,), math.inf), ("rsqrt", (math.inf,), 0.0),
    ("sigmoid", (-math.inf,), 0.0), ("sigmoid", (math.inf,), 1.0), ("sigmoid", (0.0,), 0.5),
]  # fmt: skip


@pytest.mark.parametrize("ty", TYPES)
@pytest.mark.parametrize(("name", "inputs", "result"), C99)
def test_c99(name: str, inputs: tuple[float, ...], result: float, ty: str) -> None:
    dtype = TYPES[ty]
    got = best(name, ty)(*(np.array([x], dtype) for x in inputs))[0]
    if math.isnan(result):
        assert np.isnan(got)
    else:
        assert got == dtype(result) and np.signbit(got) == np.signbit(result)


# Known hard cases of the reduction: these lie next to multiples of pi/2.
HARD = [
    ("cos", 6381956970095103 * 2.0**797, -4.687165924254628e-19),
    ("sin", 6381956970095103 * 2.0**797, 1.0),
    ("sin", 1e22, -0.8522008497671888),
    ("cos", 1e22, 0.523214785395139),
    ("sin", 1.7976931348623157e308, 0.004961954789184062),
    ("cos", 1.7976931348623157e308, -0.9999876894265599),
    ("sin", 22.0, -0.008851309290403876),
    ("tan", 1e22, -1.6287782256068988),
]


@pytest.mark.parametrize(("name", "x", "exact"), HARD)
def test_hard_angles(name: str, x: float, exact: float) -> None:
    got = best(name, "double")(np.array([x, -x]))
    odd = 1 if name == "cos" else -1
    assert abs(got[0] - exact) <= 2.5 * math.ulp(exact)
    assert got[1] == odd * got[0]


def same_bits(a: Array, b: Array) -> bool:
    unsigned = np.uint32 if a.dtype == np.float32 else np.uint64
    return bool(((a.view(unsigned) == b.view(unsigned)) | (np.isnan(a) & np.isnan(b))).all())


ALL = sorted([*FUNCTIONS, *BINARY])


@pytest.mark.parametrize("ty", TYPES)
@pytest.mark.parametrize("name", ALL)
def test_the_same_bits_at_every_width_and_level(name: str, ty: str) -> None:
    x = points(name, ty, 700)
    inputs = (x, np.roll(x, 311)) if name in BINARY else (x,)
    expected = best(name, ty)(*inputs)
    for width, isa in [(width, levels()[0]) for width in (1, 2, 3, 4, 16)] + [
        (width, isa) for isa in levels()[1:] for width in (1, 4)
    ]:
        assert same_bits(kernel(name, ty, width, isa)(*inputs), expected), (width, isa)
    assert same_bits(kernel(name, ty, 8, levels()[0], 0)(*inputs), expected)  # unoptimised


@pytest.mark.skipif("avx512" not in levels(), reason="needs AVX-512")
@pytest.mark.parametrize("ty", TYPES)
@pytest.mark.parametrize("name", ["cosh", "exp", "exp2", "pow", "sigmoid", "sinh"])
@pytest.mark.parametrize("width", [8, 16, 32])
def test_scaling_by_one_instruction_has_the_same_bits(name: str, ty: str, width: int) -> None:
    x = points(name, ty, 4000)
    ends = np.linspace(-160, 160, 40_001) if ty == "float" else np.linspace(-1100, 1100, 40_001)
    x = np.concatenate([x, ends.astype(TYPES[ty])])
    inputs = (np.abs(x), np.roll(x, 311)) if name in BINARY else (x,)
    if (name, ty) != ("pow", "float"):  # which has results of normal size only
        used = "mask.scalef" in kernel_text(name, ty, width, scalef=True)
        assert used == (width * x.itemsize >= 64)
    assert "scalef" not in kernel_text(name, ty, width)
    found = kernel(name, ty, width, "avx512", scalef=True)(*inputs)
    assert same_bits(found, best(name, ty)(*inputs))


@pytest.mark.parametrize("ty", TYPES)
@pytest.mark.parametrize("name", ALL)
def test_a_lane_does_not_depend_on_its_neighbours(name: str, ty: str) -> None:
    x = points(name, ty, 300)
    inputs = (x, np.roll(x, 5)) if name in BINARY else (x,)
    order = np.random.default_rng(1).permutation(len(x))
    shuffled = best(name, ty)(*(a[order] for a in inputs))
    assert same_bits(shuffled, best(name, ty)(*inputs)[order])


@pytest.mark.parametrize("name", ["exp", "pow", "sin"])
def test_any_length_in_place(name: str) -> None:
    run = best(name, "float")
    for count in (0, 1, 7, 8, 9, 31):
        x = np.linspace(0.1, 3, count, dtype=np.float32)
        inputs = (x, x) if name in BINARY else (x,)
        padded = [np.concatenate([a, np.full(40, 0.5, np.float32)]) for a in inputs]
        assert same_bits(run(*inputs), run(*padded)[:count])
    # the memory behind the end stays as it was, and the output may be the input
    width = 3 if name in BINARY else 2
    library = compile_text(kernel_text(name, "float", 8))
    call = ctypes.CFUNCTYPE(None, ctypes.c_int64, *[ctypes.c_void_p] * width)(library.address("k"))
    memory = np.full(30, 0.75, np.float32)
    call(13, *[memory.ctypes.data] * width)
    assert (memory[13:] == 0.75).all() and (
        memory[:13] == run(*[memory[13:14]] * (width - 1))
    ).all()


def test_only_floats() -> None:
    with pytest.raises(ValueError, match="for float and double, not half"):
        kernel_text("exp", "half")
