"""Kernels that are found by name: no text is written for what an earlier process has noted."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rushlight.runtime import disk_cache, jit, named
from tests.runtime.test_jit import run

STEP = """
define i64 @named_step_{name}(i64 %a) {{
  %b = add i64 %a, {step}
  ret i64 %b
}}
; ---- module
declare i64 @named_step_{name}(i64)

define i64 @named_{name}(ptr %t) {{
  %a = load i64, ptr %t
  %b = call i64 @named_step_{name}(i64 %a)
  store i64 %b, ptr %t
  ret i64 0
}}
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder of its own, and files that were there before the process."""
    monkeypatch.setenv("RUSHLIGHT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(jit, "STARTED", float("inf"))
    named._STATE.clear()
    yield
    named._STATE.clear()


def forgotten(name: str) -> None:
    """As in a new process."""
    library = named._KNOWN.pop(name)
    for digest in library.digests:
        jit._LIBRARIES.pop(digest, None)
    named._STATE.clear()


def text(name: str, step: int) -> str:
    return STEP.format(name=name, step=step)


def refuse() -> str:
    raise AssertionError("the text is not needed")


def value(library: jit.Library, name: str) -> int:
    word = np.zeros(1, np.int64)
    run(library.address(f"named_{name}"), word)
    return int(word[0])


def test_the_text_is_written_once() -> None:
    assert named.recalled("once") is None
    first = named.compile_named("once", lambda: text("once", 3))
    assert named.compile_named("once", refuse) is first
    forgotten("once")
    again = named.compile_named("once", refuse)
    assert again is not first and again.digests == first.digests and again.from_disk
    assert value(again, "once") == value(first, "once") == 3


def test_what_is_gone_is_made_again() -> None:
    first = named.compile_named("gone", lambda: text("gone", 4))
    forgotten("gone")
    root = disk_cache.directory()
    assert root is not None
    (Path(root) / first.digests[0][0] / first.digests[0]).unlink()
    assert named.recalled("gone") is None
    assert value(named.compile_named("gone", lambda: text("gone", 4)), "gone") == 4


def test_notes_hold_for_one_state_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    named.compile_named("state", lambda: text("state", 5))
    forgotten("state")
    monkeypatch.setattr(named, "FOLDERS", ("base", "codegen"))
    assert named.recalled("state") is None
    named._STATE.clear()
    monkeypatch.undo()


def test_files_that_change_while_it_runs_leave_no_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jit, "STARTED", 0.0)
    named.note("changing", "1 2")
    assert named.fact("changing") is None


def test_facts() -> None:
    assert named.fact("blocks") is None
    named.note("blocks", "8 16")
    assert named.fact("blocks") == "8 16"
