"""Objects that are linked without LLVM, and those that are left to it."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rushlight.runtime import jit, loading
from rushlight.runtime.jit import compile_text

TEXT = """
@table = private constant [4 x i64] [i64 3, i64 5, i64 7, i64 {last}], align 32
define i64 @twice(i64 %x) {
  %y = add i64 %x, %x
  ret i64 %y
}
; ---- module
declare i64 @twice(i64)
declare i64 @labs(i64)
@table = private constant [4 x i64] [i64 3, i64 5, i64 7, i64 {last}], align 32
define i64 @inner(i64 %i) noinline {
  %p = getelementptr [4 x i64], ptr @table, i64 0, i64 %i
  %v = load i64, ptr %p
  ret i64 %v
}
define i64 @plan(ptr %t) {
  %i = load i64, ptr %t
  %v = call i64 @inner(i64 %i)
  %w = call i64 @twice(i64 %v)
  %n = sub i64 0, %w
  %a = call i64 @labs(i64 %n)
  ret i64 %a
}
"""


def text(last: int) -> str:
    """Constants, a call within, one into another module and one into the C library."""
    return TEXT.replace("{last}", str(last))


def results(library: jit.Library) -> list[int]:
    """What its plan gives for each element of the table."""
    run = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(library.address("plan"))
    places = np.arange(4)
    return [run(places.ctypes.data + 8 * i) for i in range(4)]


def test_calls_and_constants_are_found() -> None:
    library = compile_text(text(11))
    assert results(library) == [6, 10, 14, 22]


@pytest.mark.skipif(not loading.SUPPORTED, reason="for x86-64 and Linux")
def test_llvm_links_what_is_not_handled(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = loading.load
    taken: list[object] = []

    def counted(*args: object) -> object:
        taken.append(whole(*args))  # type: ignore[arg-type]
        return taken[-1]

    monkeypatch.setattr(loading, "load", counted)
    assert results(compile_text(text(13))) == [6, 10, 14, 26]
    assert taken and None not in taken
    # The first module's library is here already: LLVM links the second against it.
    monkeypatch.setattr(loading, "load", lambda *args: None)
    assert results(compile_text(text(13).replace("i64 0, %w", "i64 1, %w"))) == [5, 9, 13, 25]
    assert results(compile_text(text(17))) == [6, 10, 14, 34]


@pytest.mark.skipif(not loading.SUPPORTED, reason="for x86-64 and Linux")
def test_strange_objects_are_refused() -> None:
    session = jit._session()
    target = jit.host()
    writes = "@count = global i64 3\ndefine ptr @plan(ptr %t) {\n  ret ptr @count\n}\n"
    for ir in (writes, "declare i64 @no_such_function_anywhere()\n" + CALLER):
        code = session.emit(ir, "strange", target, 1)
        assert loading.load(code, ["plan"], {}) is None
    good = session.emit("define i64 @plan(ptr %t) {\n  ret i64 4\n}\n", "good", target, 1)
    assert loading.load(good, ["plan"], {}) is not None
    assert loading.load(good, ["other"], {}) is None
    for n in range(len(good)):  # a part, and a damaged whole: never an exception
        assert loading.load(good[:n], ["plan"], {}) is None or n > len(good) // 2
        loading.load(good[:n] + bytes([good[n] ^ 0xFF]) + good[n + 1 :], ["plan"], {})
    assert loading.load(b"", [], {}) is None


CALLER = """define i64 @plan(ptr %t) {
  %v = call i64 @no_such_function_anywhere()
  ret i64 %v
}
"""


@pytest.mark.skipif(not loading.SUPPORTED, reason="for x86-64 and Linux")
def test_what_is_on_disk_needs_no_llvm(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "import rushlight as torch\n"
        "x = torch.tensor([1.0, 2.0, 4.0], requires_grad=True)\n"
        "y = (x * x).sum()\n"
        "y.backward()\n"
        "assert y.item() == 21.0 and x.grad.tolist() == [2.0, 4.0, 8.0]\n"
        "print('llvmlite.binding' in sys.modules)\n"
    )
    folder = {"RUSHLIGHT_CACHE": "1", "RUSHLIGHT_CACHE_DIR": str(tmp_path / "kernels")}
    said = [
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | folder,
        ).stdout.strip()
        for _ in range(2)
    ]
    assert said == ["True", "False"]
