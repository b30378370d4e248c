"""Compiling text: addresses, caching, threads, and that nothing is contracted."""

import ctypes
import gc
import os
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import pytest

from rushlight.base.target import Isa, Target, at_level, host, levels
from rushlight.runtime import jit
from rushlight.runtime.jit import assembly, compile_text

INCREMENT = """
define i64 @plan(ptr %t) {{
  %a = load i64, ptr %t
  %b = add i64 %a, {step}
  store i64 %b, ptr %t
  ret i64 0
}}
"""

# x * y + z with separate instructions
SEPARATE = """
define void @f(ptr %x, ptr %y, ptr %z) nounwind {
  %a = load <8 x float>, ptr %x, align 4
  %b = load <8 x float>, ptr %y, align 4
  %c = load <8 x float>, ptr %z, align 4
  %m = fmul <8 x float> %a, %b
  %s = fadd <8 x float> %m, %c
  store <8 x float> %s, ptr %z, align 4
  ret void
}
"""


def run(address: int, *arrays: np.ndarray) -> None:
    kinds = [ctypes.c_void_p] * len(arrays)
    ctypes.CFUNCTYPE(ctypes.c_int64, *kinds)(address)(*[a.ctypes.data for a in arrays])


def test_runs_and_is_cached_in_memory() -> None:
    library = compile_text(INCREMENT.format(step=7), name_hint="increment")
    assert compile_text(INCREMENT.format(step=7)) is library
    assert compile_text(INCREMENT.format(step=8)) is not library
    word = np.zeros(1, np.int64)
    run(library.address("plan"), word)
    assert word[0] == 7


CALLS = """
define i64 @step(i64 %a) {
  %b = add i64 %a, {step}
  ret i64 %b
}
; ---- module
declare i64 @step(i64)
define i64 @plan(ptr %t) {
  %a = load i64, ptr %t
  %b = call i64 @step(i64 %a)
  store i64 %b, ptr %t
  ret i64 {status}
}
"""


def calling(step: int, status: int) -> str:
    """Two modules: the second calls the first."""
    return CALLS.replace("{step}", str(step)).replace("{status}", str(status))


def test_passing_code_goes_by_generations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever refers to a library keeps its whole generation; nothing else is kept."""
    monkeypatch.setattr(jit, "GENERATION", 0)  # a new one, whatever ran before
    first = compile_text(calling(100, 0), passing=True)
    monkeypatch.setattr(jit, "GENERATION", 8)
    linker = weakref.ref(first._linker)
    assert compile_text(calling(100, 0), passing=True) is first
    assert compile_text(calling(100, 0)) is not first  # the one that lasts
    for number in range(40):
        made = compile_text(calling(100, number + 1), passing=True)
        assert len(jit._PASSING) <= 8
    assert made._linker is not first._linker
    word = np.zeros(1, np.int64)
    run(first.address("plan"), word)
    run(made.address("plan"), word)
    assert word[0] == 200
    again = compile_text(calling(100, 0), passing=True)
    assert again is not first and again.from_disk
    del first
    gc.collect()
    assert linker() is None
    for number in range(40):
        compile_text(INCREMENT.format(step=70_000 + number), passing=True)
    assert len(jit._DEAD) <= 1


def test_an_unknown_symbol_names_the_known_ones() -> None:
    library = compile_text(INCREMENT.format(step=9), name_hint="increment")
    with pytest.raises(KeyError, match=r"no function 'other' in library 'increment'; it has plan"):
        library.address("other")


def test_bad_text_says_where() -> None:
    with pytest.raises(RuntimeError, match="LLVM refuses the text of 'broken'"):
        compile_text("define i64 @plan() { ret i32 0 }", name_hint="broken")


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("isa", levels())
def test_a_product_and_a_sum_are_not_contracted(isa: Isa, level: int) -> None:
    rng = np.random.default_rng(3)
    x, y, z = (rng.standard_normal((1000, 8)).astype(np.float32) for _ in range(3))
    expected = x * y + z
    fused = (x.astype(np.float64) * y + z).astype(np.float32)
    assert (fused != expected).any()  # the data can tell
    address = compile_text(SEPARATE, target=at_level(isa), level=level).address("f")
    for row in range(len(x)):
        run(address, x[row], y[row], z[row])
    assert z.tobytes() == expected.tobytes()


@pytest.mark.skipif("avx2" not in levels(), reason="reads AVX2 assembly")
def test_assembly_has_wide_vectors_and_no_fused_instruction() -> None:
    text = assembly(SEPARATE, target=at_level("avx2"))
    assert "vmulps" in text and "vaddps" in text and "ymm" in text
    assert "vfmadd" not in text


@pytest.mark.skipif(not host().triple.startswith("x86_64"), reason="an x86 target")
def test_avx512_keeps_512_bits() -> None:
    target = Target("avx512", host().triple, "x86-64-v4", "-prefer-256-bit", "", 512, 0, 0, 1)
    assert "zmm" in assembly(SEPARATE.replace("<8 x", "<16 x"), target=target)


def test_denormals_are_kept() -> None:
    x = np.full(8, 1e-30, np.float32)
    y, z = np.full(8, 1e-10, np.float32), np.zeros(8, np.float32)
    run(compile_text(SEPARATE).address("f"), x, y, z)
    assert (z == x * y).all() and (z > 0).all()


def test_fma_is_rounded_once_at_every_level() -> None:
    text = """
declare <4 x float> @llvm.fma.v4f32(<4 x float>, <4 x float>, <4 x float>)
define void @f(ptr %x, ptr %y, ptr %z) {
  %a = load <4 x float>, ptr %x, align 4
  %b = load <4 x float>, ptr %y, align 4
  %c = load <4 x float>, ptr %z, align 4
  %s = call <4 x float> @llvm.fma.v4f32(<4 x float> %a, <4 x float> %b, <4 x float> %c)
  store <4 x float> %s, ptr %z, align 4
  ret void
}
"""
    one = np.full(4, 1 + 2.0**-12, np.float32)
    for isa in levels():
        z = np.full(4, -(1 + 2.0**-11), np.float32)
        run(compile_text(text, target=at_level(isa)).address("f"), one, one, z)
        assert (z == np.float32(2.0**-24)).all(), isa


def test_threads_get_one_library() -> None:
    found: list[jit.Library] = []
    text = INCREMENT.format(step=12345)

    def work() -> None:
        found.append(compile_text(text))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(map(id, found))) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_forked_while_another_thread_compiles_can_compile() -> None:
    stop = threading.Event()

    def work() -> None:
        number = 1_000_000
        while not stop.is_set():
            number += 1
            compile_text(INCREMENT.format(step=number))

    busy = threading.Thread(target=work)
    busy.start()
    try:
        for turn in range(8):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    word = np.zeros(1, np.int64)
                    run(compile_text(INCREMENT.format(step=500 + turn)).address("plan"), word)
                    code = 0 if word[0] == 500 + turn else 2
                finally:
                    os._exit(code)
            end = time.monotonic() + 60
            finished, status = 0, 0
            while not finished and time.monotonic() < end:
                finished, status = os.waitpid(child, os.WNOHANG)
                time.sleep(0.002)
            if not finished:
                os.kill(child, 9)
                os.waitpid(child, 0)
            assert finished and status == 0
    finally:
        stop.set()
        busy.join()


def test_importing_does_not_load_llvmlite() -> None:
    code = (
        "import sys, rushlight.runtime.jit, rushlight.runtime.native, rushlight.runtime.pool;"
        "assert 'llvmlite' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_llvmlite_is_named() -> None:
    code = (
        "import sys; sys.modules['llvmlite'] = None\n"
        "from rushlight.runtime.jit import compile_text\n"
        "try: compile_text('')\n"
        "except RuntimeError as error: assert 'pip install llvmlite' in str(error), error\n"
        "else: raise SystemExit('no error')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
