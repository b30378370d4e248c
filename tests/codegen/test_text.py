"""The IR builder: literals, structured control flow, memory, and that LLVM accepts and runs it."""

import ctypes
import math
import struct

import llvmlite.binding as llvm
import pytest

from rushlight.codegen.text import (
    Emitter,
    float_literal,
    lane_mask,
    module_text,
    splat_literal,
    type_bytes,
    type_suffix,
    vector_type,
)

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()


class Compiled:
    """A module compiled for the host, kept alive with its engine."""

    def __init__(self, ir: str) -> None:
        target = llvm.Target.from_default_triple()
        machine = target.create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=1
        )
        self.engine = llvm.create_mcjit_compiler(llvm.parse_assembly(ir), machine)
        self.engine.finalize_object()

    def function(self, name: str, returns: object, *arguments: object) -> object:
        return ctypes.CFUNCTYPE(returns, *arguments)(self.engine.get_function_address(name))


@pytest.mark.parametrize(
    ("value", "element", "literal"),
    [
        (1.0, "float", "0x3FF0000000000000"),
        (-0.0, "double", "0x8000000000000000"),
        (math.inf, "float", "0x7FF0000000000000"),
        (1e300, "float", "0x7FF0000000000000"),
        (-1e300, "float", "0xFFF0000000000000"),
        (1e300, "double", "0x7E37E43C8800759C"),
        (0.1, "double", "0x3FB999999999999A"),
        (0.1, "float", "0x3FB99999A0000000"),
    ],
)
def test_float_literals_are_exact(value: float, element: str, literal: str) -> None:
    assert float_literal(value, element) == literal


def test_nan_literal_is_a_nan() -> None:
    bits = int(float_literal(math.nan), 16)
    assert math.isnan(struct.unpack("<d", struct.pack("<Q", bits))[0])


def test_type_spelling() -> None:
    assert vector_type("float", 8) == "<8 x float>"
    assert vector_type("double", 1) == "double"
    assert [type_bytes(kind) for kind in ("float", "double", "i1", "i64", "ptr", "half")] == [
        4,
        8,
        1,
        8,
        8,
        2,
    ]
    assert type_suffix("double", 4) == "v4f64"
    assert splat_literal(2.0, "float", 4) == "splat (float 0x4000000000000000)"
    assert lane_mask(1, 2) == "<i1 true, i1 false>"


def test_address_arithmetic_folds() -> None:
    e = Emitter()
    assert e.add(2, 3) == "5"
    assert e.add("%x", 0) == "%x"
    assert e.multiply("%x", 1) == "%x"
    assert e.multiply("%x", 0) == "0"
    assert e.gep("%p", 0) == "%p"
    assert e.lines == []


def test_loop_that_may_be_empty_and_choose() -> None:
    """Sum of i*i for i in range(0, n, 2); a branch stores another value for n > 5."""
    e = Emitter()

    def body(index: str, values: list[str]) -> list[str]:
        return [e.value(f"add i64 {values[0]}, {e.multiply(index, index)}")]

    (total,) = e.loop(0, "%n", 2, body, [("i64", "0")], may_be_empty=True)
    large = e.value("icmp ugt i64 %n, 5")
    e.choose(
        large,
        lambda: e.store("1", "%flag", "i64"),
        lambda: e.store("2", "%flag", "i64"),
    )
    e.guard(large, lambda: e.store("7", e.gep("%flag", 1, "i64"), "i64"))
    e.emit(f"ret i64 {total}")
    ir = module_text([e.function("squares", ["i64 %n", "ptr %flag"], returns="i64")], ())
    compiled = Compiled(ir)
    run = compiled.function("squares", ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
    for n in (0, 1, 2, 5, 6, 11):
        flag = (ctypes.c_int64 * 2)(0, 0)
        assert run(n, ctypes.addressof(flag)) == sum(i * i for i in range(0, n, 2))
        assert list(flag) == ([1, 7] if n > 5 else [2, 0])


def test_loop_body_must_return_what_it_carries() -> None:
    e = Emitter()
    with pytest.raises(ValueError, match="returned 0 values for 1"):
        e.loop(0, 4, 1, lambda index, values: None, [("i64", "0")])


def test_static_empty_loop_writes_nothing() -> None:
    e = Emitter()
    assert e.loop(3, 3, 1, lambda index, values: ["%never"], [("i64", "9")]) == ["9"]
    assert e.lines == []


def test_vectors_masks_and_fma() -> None:
    """y[0:5] = fma(a, x[0:5], 1) through masked 8-lane access, exact-sized buffers."""
    e = Emitter()
    mask = lane_mask(5, 8)
    x = e.load_masked("%x", mask, "zeroinitializer", "float", 8)
    a = e.splat(e.load("%a"), "float", 8)
    y = e.fma(a, x, splat_literal(1.0, "float", 8), "float", 8)
    e.store_masked(e.shuffle(y, y, [4, 3, 2, 1, 0, 5, 6, 7], "float", 8), "%y", mask, "float", 8)
    e.prefetch("%x")
    e.emit("ret void")
    ir = module_text([e.function("f", ["ptr %a", "ptr %x", "ptr %y"])], e.declarations)
    compiled = Compiled(ir)
    run = compiled.function("f", None, *[ctypes.c_void_p] * 3)
    a_buffer, x_buffer = (ctypes.c_float * 1)(2.0), (ctypes.c_float * 5)(0, 1, 2, 3, 4)
    y_buffer = (ctypes.c_float * 6)(-1, -1, -1, -1, -1, -1)
    run(*[ctypes.addressof(buffer) for buffer in (a_buffer, x_buffer, y_buffer)])
    assert list(y_buffer) == [9, 7, 5, 3, 1, -1]
