"""Matrix products: each kernel gives, to the bit, one fma chain in ascending k an element."""

import ctypes
import mmap
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from rushlight.base.dtype import dtype, float32, float64, int32
from rushlight.base.target import Target, at_level, host, levels
from rushlight.codegen.matmul import (
    MatmulSpec,
    choose,
    emit_matmul,
    general_matmul,
    general_workspace,
    prefers_general,
)
from rushlight.codegen.text import Emitter, float_literal, module_text
from rushlight.runtime.jit import compile_text

POINTER, NUMBER = ctypes.c_void_p, ctypes.c_int64
STRIDED = [POINTER, NUMBER, NUMBER, POINTER, NUMBER, NUMBER, POINTER, NUMBER]
ELEMENT = {float32: "float", float64: "double"}
Layout = str  # one word for A, one for B, of those in `operand`


@cache
def reference_function(kind: dtype) -> Any:
    """Three plain loops around `llvm.fma`: the meaning, written down."""
    element = ELEMENT[kind]
    e = Emitter()

    def row(i: str, _: list[str]) -> None:
        def column(j: str, _: list[str]) -> None:
            a = e.gep("%a", e.multiply(i, "%am"), element)
            b = e.gep("%b", e.multiply(j, "%bn"), element)

            def step(k: str, sums: list[str]) -> list[str]:
                left = e.load(e.gep(a, e.multiply(k, "%ak"), element), element)
                right = e.load(e.gep(b, e.multiply(k, "%bk"), element), element)
                return [e.fma(left, right, sums[0], element)]

            start = [(element, float_literal(0.0, element))]
            (total,) = e.loop(0, "%k", 1, step, start, may_be_empty=True)
            e.store(total, e.gep(e.gep("%c", e.multiply(i, "%cm"), element), j, element), element)

        e.loop(0, "%n", 1, column, may_be_empty=True)

    e.loop(0, "%m", 1, row, may_be_empty=True)
    e.emit("ret void")
    names = ["ptr %a", "i64 %am", "i64 %ak", "ptr %b", "i64 %bk", "i64 %bn", "ptr %c", "i64 %cm"]
    text = e.function("reference", [*names, "i64 %m", "i64 %k", "i64 %n"])
    library = compile_text(module_text([text], e.declarations), name_hint="reference")
    return ctypes.CFUNCTYPE(None, *STRIDED, *[NUMBER] * 3)(library.address("reference"))


def strides(array: np.ndarray) -> list[int]:
    return [stride // array.itemsize for stride in array.strides]


def reference(a: np.ndarray, b: np.ndarray, kind: dtype) -> np.ndarray:
    m, k, n = *a.shape, b.shape[1]
    c = np.full((m, n), np.nan, kind.name)
    reference_function(kind)(
        a.ctypes.data, *strides(a), b.ctypes.data, *strides(b), c.ctypes.data, n, m, k, n
    )
    return c


def operand(rng: np.random.Generator, rows: int, columns: int, layout: str, kind: dtype) -> Any:
    """A matrix laid out as asked; values of mixed size, so that the order of a sum shows."""

    def numbers(*shape: int) -> np.ndarray:
        values = rng.standard_normal(shape) * 2.0 ** rng.integers(-8, 9, shape)
        return values.astype(kind.name)

    match layout:
        case "N":
            return numbers(rows, columns)
        case "T":
            return numbers(columns, rows).T
        case "wide":  # rows of a wider matrix
            return numbers(rows, columns + 3)[:, :columns]
        case "sliced":  # neither stride is 1
            return numbers(2 * rows, 3 * columns)[::2, ::3]
        case "reversed":
            return numbers(rows, columns)[::-1, ::-1]
        case "row":
            return np.broadcast_to(numbers(1, columns), (rows, columns))
        case "column":
            return np.broadcast_to(numbers(rows, 1), (rows, columns))
    raise ValueError(layout)


def same_bits(left: np.ndarray, right: np.ndarray) -> bool:
    return left.tobytes() == right.tobytes()


def spec_of(a: np.ndarray, b: np.ndarray, kind: dtype, c_row: int) -> MatmulSpec:
    return MatmulSpec(kind, a.shape[0], a.shape[1], b.shape[1], *strides(a), *strides(b), c_row)


def workspace(size: int) -> np.ndarray:
    """Exactly `size` bytes and a tail that nobody may touch."""
    return np.full(size + 64, 0xA5, np.uint8)


def run_spec(
    a: np.ndarray, b: np.ndarray, kind: dtype, target: Target, *, pad: int = 0, tasks: int = 1
) -> list[np.ndarray]:
    """The product by the kernel of its shape: all at once, and task by task in reverse."""
    m, n = a.shape[0], b.shape[1]
    code = emit_matmul(spec_of(a, b, kind, n + pad), target, tasks)
    library = compile_text(code.text, name_hint=code.symbol, target=target)
    work = workspace(code.workspace)
    results = []
    for whole in (True, False):
        c = np.full((m, n + pad), 7, kind.name)
        pointers = [x.ctypes.data for x in (a, b, c, work)]
        if whole:
            ctypes.CFUNCTYPE(None, *[POINTER] * 4)(library.address(code.symbol))(*pointers)
        else:
            task = ctypes.CFUNCTYPE(None, POINTER, NUMBER)(library.address(code.task_symbol))
            arguments = (POINTER * 4)(*pointers)
            for index in reversed(range(code.tasks)):
                task(ctypes.addressof(arguments), index)
        assert (c[:, n:] == 7).all(), "wrote between the rows of C"
        results.append(c[:, :n].copy())
    assert (work[code.workspace :] == 0xA5).all(), "wrote past the workspace"
    return results


def run_general(a: np.ndarray, b: np.ndarray, kind: dtype, target: Target) -> np.ndarray:
    m, k, n = *a.shape, b.shape[1]
    general = general_matmul(kind, target)
    library = compile_text(general.text, name_hint=general.symbol, target=target)
    run = ctypes.CFUNCTYPE(None, *STRIDED, *[NUMBER] * 3, POINTER)(library.address(general.symbol))
    size = general.workspace(m, k, n)
    assert size == general_workspace(kind, target, m, k, n)
    work = workspace(size)
    c = np.full((m, n + 2), 7, kind.name)
    arguments = [a.ctypes.data, *strides(a), b.ctypes.data, *strides(b), c.ctypes.data, n + 2]
    run(*arguments, m, k, n, work.ctypes.data)
    assert (c[:, n:] == 7).all(), "wrote between the rows of C"
    assert (work[size:] == 0xA5).all(), "wrote past the workspace"
    return c[:, :n].copy()


SIZES = [
    (1, 1, 1), (1, 37, 1), (10, 2, 1), (100, 5, 8), (2, 3, 2), (50, 1, 60), (1, 70, 33),
    (1, 200, 300), (300, 130, 1), (33, 70, 1), (12, 100, 3), (40, 65, 10), (17, 17, 17),
    (64, 64, 64), (6, 16, 16), (7, 8, 15), (13, 31, 9), (97, 390, 49), (5, 800, 100),
    (20, 300, 260), (128, 64, 128), (1, 1024, 40), (9, 1024, 40),
]  # fmt: skip
LAYOUTS = ["N N", "N T", "T N", "T T", "sliced sliced", "wide reversed", "row column", "column row"]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
def test_every_size_class_and_layout(size: tuple[int, int, int]) -> None:
    m, k, n = size
    rng = np.random.default_rng(m * 1000 + k * 10 + n)
    layouts = LAYOUTS if m * k * n < 50_000 else LAYOUTS[:3]
    for number, layout in enumerate(layouts):
        kind = (float32, float64)[number % 3 == 1]
        left, right = layout.split()
        a, b = operand(rng, m, k, left, kind), operand(rng, k, n, right, kind)
        wanted = reference(a, b, kind)
        for result in run_spec(a, b, kind, host(), pad=number % 3):
            assert same_bits(result, wanted), layout
        assert same_bits(run_general(a, b, kind, host()), wanted), layout
        ours, numpys = wanted.astype(float), a.astype(float) @ b.astype(float)
        scale = abs(a.astype(float)) @ abs(b.astype(float))
        assert (abs(ours - numpys) <= (k + 2) * np.finfo(kind.name).eps * scale).all()


def test_random_sizes() -> None:
    rng = np.random.default_rng(5)
    words = ["N", "T", "sliced", "wide", "reversed", "row", "column"]
    for _ in range(40):
        m, k, n = (int(2 ** rng.uniform(0, 6.3)) for _ in range(3))
        kind = (float32, float64)[int(rng.integers(2))]
        left, right = rng.choice(words, 2)
        a, b = operand(rng, m, k, left, kind), operand(rng, k, n, right, kind)
        wanted = reference(a, b, kind)
        context = (m, k, n, left, right, kind)
        assert same_bits(run_general(a, b, kind, host()), wanted), context
        assert same_bits(run_spec(a, b, kind, host())[0], wanted), context


def wider_and_narrower() -> Iterator[Target]:
    """Other vector widths and register counts; LLVM splits what this machine cannot hold."""
    yield host()._replace(isa="avx512", vector_bits=512)
    yield host()._replace(isa="neon", vector_bits=128)
    yield host()._replace(isa="sse2", vector_bits=128)
    yield host()._replace(isa="scalar", vector_bits=0)


@pytest.mark.parametrize("kind", [float32, float64], ids=lambda kind: kind.name)
@pytest.mark.parametrize(
    "size",
    [(37, 50, 45), (1, 150, 40), (21, 140, 6), (4, 9, 70), (1, 1024, 40), (9, 1024, 40)],
    ids=lambda s: "x".join(map(str, s)),
)
def test_vector_width_changes_no_bit(size: tuple[int, int, int], kind: dtype) -> None:
    m, k, n = size
    rng = np.random.default_rng(m)
    for layout in ("N N", "N T"):
        left, right = layout.split()
        a, b = operand(rng, m, k, left, kind), operand(rng, k, n, right, kind)
        wanted = reference(a, b, kind)
        for target in wider_and_narrower():
            assert same_bits(run_spec(a, b, kind, target)[0], wanted), (target.isa, layout)
            assert same_bits(run_general(a, b, kind, target), wanted), (target.isa, layout)


@pytest.mark.parametrize("isa", levels())
def test_instruction_sets_change_no_bit(isa: Any) -> None:
    """Without fma in hardware `llvm.fma` is a call: slow, and the same."""
    rng = np.random.default_rng(0)
    for kind in (float32, float64):
        a, b = operand(rng, 19, 40, "N", kind), operand(rng, 40, 21, "T", kind)
        wanted = reference(a, b, kind)
        assert same_bits(run_spec(a, b, kind, at_level(isa))[0], wanted)
        assert same_bits(run_general(a, b, kind, at_level(isa)), wanted)


@pytest.mark.parametrize(
    ("size", "layout"),
    [
        ((150, 300, 140), "N N"),
        ((150, 300, 140), "T T"),
        ((90, 700, 100), "N sliced"),
        ((1, 3000, 600), "N N"),
        ((1, 3000, 600), "N T"),
        ((900, 700, 1), "N N"),
        ((5000, 40, 30), "N N"),
        ((4000, 60, 9), "N N"),
    ],
)
def test_tasks_write_disjoint_blocks_and_do_the_whole(
    size: tuple[int, int, int], layout: str
) -> None:
    m, k, n = size
    rng = np.random.default_rng(m)
    left, right = layout.split()
    a, b = operand(rng, m, k, left, float32), operand(rng, k, n, right, float32)
    wanted = reference(a, b, float32)
    for tasks in (2, 5):
        whole, parts = run_spec(a, b, float32, host(), tasks=tasks, pad=1)
        assert same_bits(whole, wanted)
        assert same_bits(parts, wanted)
    code = emit_matmul(spec_of(a, b, float32, n), host(), 5)
    assert code.tasks > 1
    library = compile_text(code.text, name_hint=code.symbol)
    task = ctypes.CFUNCTYPE(None, POINTER, NUMBER)(library.address(code.task_symbol))
    work = workspace(code.workspace)
    written = np.zeros((m, n), int)
    for index in range(code.tasks):
        c = np.full((m, n), np.nan, np.float32)
        arguments = (POINTER * 4)(*(x.ctypes.data for x in (a, b, c, work)))
        task(ctypes.addressof(arguments), index)
        written += ~np.isnan(c)
    assert (written == 1).all()


@pytest.mark.parametrize(
    "size", [(150, 300, 140), (33, 5000, 40), (700, 60, 50), (3, 4, 5), (0, 2, 3)]
)
def test_general_tasks(size: tuple[int, int, int]) -> None:
    m, k, n = size
    rng = np.random.default_rng(m)
    general = general_matmul(float32, host())
    library = compile_text(general.text, name_hint=general.symbol)
    run = ctypes.CFUNCTYPE(None, *STRIDED, *[NUMBER] * 3, POINTER)(library.address(general.symbol))
    for layout in ("N T", "sliced reversed"):
        left, right = layout.split()
        a, b = operand(rng, m, k, left, float32), operand(rng, k, n, right, float32)
        for tasks in (1, 4, 6):
            split = general.split(m, k, n, tasks)
            assert 1 <= split.tasks <= tasks
            work = workspace(split.workspace)
            written = np.zeros((m, n), int)
            whole = np.zeros((m, n), np.float32)
            for index in reversed(range(split.tasks)):
                c = np.full((m, n), np.nan, np.float32)
                row = index // split.across * split.rows
                column = index % split.across * split.columns
                run(
                    a[row:].ctypes.data, *strides(a), b[:, column:].ctypes.data, *strides(b),
                    c[row:, column:].ctypes.data, n,
                    min(split.rows, m - row), k, min(split.columns, n - column),
                    work.ctypes.data + index * split.share,
                )  # fmt: skip
                written += ~np.isnan(c)
                whole = np.where(np.isnan(c), whole, c)
            assert (written == 1).all()
            assert same_bits(whole, reference(a, b, float32))
            assert (work[split.workspace :] == 0xA5).all()
        assert general.split(m, k, n, 4).tasks > 1 or m * k * n < 1 << 19


@pytest.mark.parametrize(
    "size", [(0, 3, 4), (3, 0, 4), (3, 4, 0), (0, 0, 0), (40, 0, 70), (1, 0, 1)]
)
def test_empty_sizes(size: tuple[int, int, int]) -> None:
    m, k, n = size
    for kind in (float32, float64):
        a, b = np.ones((m, k), kind.name), np.ones((k, n), kind.name)
        zero = np.zeros((m, n), kind.name)
        for result in run_spec(a, b, kind, host(), tasks=4):
            assert same_bits(result, zero)
        assert same_bits(run_general(a, b, kind, host()), zero)


@pytest.mark.parametrize("size", [(3, 4, 5), (40, 300, 40), (1, 90, 40), (70, 6, 1)])
def test_special_values(size: tuple[int, int, int]) -> None:
    """NaN and infinity reach exactly their rows and columns; a chain starts from +0."""
    m, k, n = size
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((m, k), (k, n)))
    a[m - 1, k - 1] = np.nan
    a[0, 0] = np.inf
    b[k - 1, n - 1] = -np.inf
    b[k // 2, 0] = 1e-42  # denormals are kept
    a[:, k // 2] = 1.0
    wanted = reference(a, b, float32)
    for result in (*run_spec(a, b, float32, host()), run_general(a, b, float32, host())):
        assert np.array_equal(np.isnan(result), np.isnan(wanted))
        assert np.array_equal(np.nan_to_num(result), np.nan_to_num(wanted))
    minus, plus = np.full((m, k), -0.0, np.float32), np.ones((k, n), np.float32)
    for result in (
        *run_spec(minus, plus, float32, host()),
        run_general(minus, plus, float32, host()),
    ):
        assert not np.signbit(result).any()
    tiny, one = np.full((m, 1), 1e-42, np.float32), np.ones((1, n), np.float32)
    assert (run_spec(tiny, one, float32, host())[0] == np.float32(1e-42)).all()


class Guarded:
    """Memory that ends, or starts, at a page which must not be touched."""

    def __init__(self, array: np.ndarray, at_end: bool) -> None:
        page = mmap.PAGESIZE
        length = -(-max(1, array.nbytes) // page) * page
        self.map = mmap.mmap(-1, length + 2 * page)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self.map))
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mprotect.argtypes = [POINTER, ctypes.c_size_t, ctypes.c_int]
        for guard in (base, base + page + length):
            assert libc.mprotect(guard, page, 0) == 0
        offset = page + (length - array.nbytes if at_end else 0)
        raw = np.frombuffer(self.map, np.uint8, array.nbytes, offset)
        self.array = raw.view(array.dtype).reshape(array.shape)
        self.array[...] = array


@pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect")
@pytest.mark.parametrize("at_end", [True, False])
def test_nothing_outside_the_operands_is_touched(at_end: bool) -> None:
    rng = np.random.default_rng(1)
    sizes = [(1, 1, 1), (10, 2, 1), (3, 7, 5), (1, 67, 19), (19, 67, 1), (21, 70, 10), (50, 90, 35)]
    for m, k, n in sizes:
        for left, right in ("NN", "NT", "TN"):
            a = Guarded(operand(rng, *((m, k) if left == "N" else (k, m)), "N", float32), at_end)
            b = Guarded(operand(rng, *((k, n) if right == "N" else (n, k)), "N", float32), at_end)
            c = Guarded(np.zeros((m, n), np.float32), at_end)
            av = a.array if left == "N" else a.array.T
            bv = b.array if right == "N" else b.array.T
            wanted = reference(av, bv, float32)
            code = emit_matmul(spec_of(av, bv, float32, n), host())
            library = compile_text(code.text, name_hint=code.symbol)
            work = workspace(code.workspace)
            pointers = [x.ctypes.data for x in (av, bv, c.array, work)]
            ctypes.CFUNCTYPE(None, *[POINTER] * 4)(library.address(code.symbol))(*pointers)
            assert same_bits(c.array, wanted)
            assert same_bits(run_general(av, bv, float32, host()), wanted)


def test_symbols_are_shared_by_structure() -> None:
    one_row = MatmulSpec(float32, 1, 8, 4, 8, 1, 4, 1, 4)
    assert one_row.symbol == replace(one_row, a_row=999, c_row=77).symbol
    assert one_row.symbol != replace(one_row, b_row=5).symbol
    assert one_row.symbol != replace(one_row, dtype=float64).symbol
    backwards = MatmulSpec(float32, 3, 8, 4, -8, -1, 4, 1, 4)
    assert backwards.symbol.replace("_", "").isalnum()
    assert emit_matmul(one_row, host()).text == emit_matmul(replace(one_row, a_row=9), host()).text
    big = MatmulSpec(float32, 256, 256, 256, 256, 1, 256, 1, 256)
    assert emit_matmul(big, host(), 4).symbol != emit_matmul(big, host(), 1).symbol


def test_small_products_are_not_split_and_large_ones_share_the_general_kernel() -> None:
    small = MatmulSpec(float32, 100, 5, 8, 5, 1, 8, 1, 8)
    assert emit_matmul(small, host(), 8).tasks == 1
    assert not prefers_general(small, host())
    assert choose(small, host()).direct is not None
    large = MatmulSpec(float32, 512, 512, 512, 512, 1, 512, 1, 512)
    assert prefers_general(large, host())


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(TypeError, match="float32 or float64, not torch"):
        MatmulSpec(int32, 1, 1, 1, 1, 1, 1, 1, 1)
    with pytest.raises(ValueError, match="negative: 1x-1 @ -1x1"):
        MatmulSpec(float32, 1, -1, 1, 1, 1, 1, 1, 1)
    with pytest.raises(ValueError, match="rows of 4 elements overlap: stride 3"):
        MatmulSpec(float32, 2, 1, 4, 1, 1, 4, 1, 3)
    with pytest.raises(TypeError, match="float32 or float64"):
        general_matmul(int32, host())
