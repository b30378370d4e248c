"""Builtins over native addresses, tables, and what the liveness helpers see."""

import gc
import sys
import weakref
from typing import Any

import pytest

from rushlight.runtime import native
from rushlight.runtime.jit import Library, compile_text
from rushlight.runtime.native import Table, builtin, live_helpers, livecheck, livemask

# adds slot 1 to the word at slot 0; returns slot 2
PLAN = """
define i64 @plan(ptr %t) {
  %p = load ptr, ptr %t
  %one.at = getelementptr i64, ptr %t, i64 1
  %one = load i64, ptr %one.at
  %a = load i64, ptr %p
  %b = add i64 %a, %one
  store i64 %b, ptr %p
  %status.at = getelementptr i64, ptr %t, i64 2
  %status = load i64, ptr %status.at
  ret i64 %status
}
"""


@pytest.fixture(scope="module")
def plan() -> Library:
    return compile_text(PLAN, name_hint="plan")


@pytest.mark.parametrize("release", [False, True])
@pytest.mark.parametrize("supported", [False, True])
def test_a_plan_reads_its_table(
    plan: Library, release: bool, supported: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if supported and not native.SUPPORTED:
        pytest.skip("no native builtins here")
    monkeypatch.setattr(native, "SUPPORTED", supported)
    word, table = Table(1), Table(3)
    table.q[0], table.q[1] = word.address, 5
    call = table.callable(plan.address("plan"), keep=(plan, word), release=release)
    assert call() is None
    assert call() is None
    assert word.q[0] == 10
    table.q[1], table.q[2] = -1, 1
    assert call() is True
    assert word.q[0] == 9


def test_slots_are_integers_and_doubles_over_one_memory() -> None:
    table = Table(4)
    table.d[2] = 1.0
    assert table.q[2] == 0x3FF0000000000000
    table.q[3] = -1
    assert len(table) == 4 and table.address % 64 == 0
    with pytest.raises(IndexError):
        table.q[4] = 0
    assert len(Table(0)) == 1


def test_the_result_is_counted_right(plan: Library) -> None:
    word, table = Table(1), Table(3)
    table.q[0] = word.address
    call = table.callable(plan.address("plan"), keep=(plan, word))
    for status, result in ((0, None), (1, True)):
        table.q[2] = status
        before = sys.getrefcount(result)
        kept = [call() for _ in range(1000)]
        held = sys.getrefcount(result) - before
        del kept
        freed = sys.getrefcount(result) - before
        immortal = sys.version_info >= (3, 12)
        assert (held, freed) == ((0, 0) if immortal else (1000, 0))


def test_a_function_keeps_what_it_needs_and_lets_it_go(plan: Library) -> None:
    word, table = Table(1), Table(3)
    table.q[0], table.q[1] = word.address, 2
    call = table.callable(plan.address("plan"), keep=word)
    alive, inner = weakref.ref(table), weakref.ref(word)
    del table
    gc.collect()
    call()
    assert word.q[0] == 2
    del word
    gc.collect()
    call()
    assert inner() is not None and alive() is not None
    del call
    gc.collect()
    assert inner() is None and alive() is None


@pytest.mark.skipif(not native.SUPPORTED, reason="no native builtins here")
def test_fastcall_and_one_argument() -> None:
    text = """
define ptr @second(ptr %self, ptr %arguments, i64 %n) {
  %at = getelementptr ptr, ptr %arguments, i64 1
  %x = load ptr, ptr %at
  %c = load i64, ptr %x
  %d = add i64 %c, 1
  store i64 %d, ptr %x
  ret ptr %x
}
define ptr @same(ptr %self, ptr %x) {
  %c = load i64, ptr %x
  %d = add i64 %c, 1
  store i64 %d, ptr %x
  ret ptr %x
}
"""
    library = compile_text(text)
    thing = object()
    before = sys.getrefcount(thing)
    second = builtin(library.address("second"), None, native.METH_FASTCALL, name="second")
    assert second(1, thing, 3) is thing
    same = builtin(library.address("same"), None, native.METH_O)
    assert same(thing) is thing
    assert sys.getrefcount(thing) == before
    assert second.__name__ == "second"
    with pytest.raises(TypeError):
        same()


Helpers = list[tuple[Any, Any]]
HELPERS: Helpers = [
    (livemask, livecheck),
    (native.livemask_python, native.livecheck_python),
]


@pytest.mark.parametrize(("mask", "check"), HELPERS)
def test_liveness(mask: Any, check: Any) -> None:
    items = [object() for _ in range(70)]
    assert mask(items) == bytes(70)
    held = items[3:20]
    other = {"x": items[40]}
    expected = bytes(3 <= k < 20 or k == 40 for k in range(70))
    assert mask(items) == expected
    assert check(items, expected) is True
    assert check(items, bytes(70)) is False
    assert check(items, expected[:-1]) is False
    del held
    assert check(items, expected) is False
    assert mask(items) == bytes(k == 40 for k in range(70))
    del other
    assert check(items, bytes(70)) is True
    assert mask([]) == b"" and check([], b"") is True


@pytest.mark.parametrize(("mask", "check"), HELPERS)
def test_shared_and_immortal_objects_are_live(mask: Any, check: Any) -> None:
    twice = object()
    items = [None, True, twice, (), 5, []]
    assert mask(items)[:5] == b"\1\1\1\1\1"
    assert mask(items)[5] == 0
    assert mask([items[5], items[5]]) == b"\1\1"
    assert check(items, b"\1\1\1\1\1\0") is True


@pytest.mark.parametrize(("mask", "check"), HELPERS)
def test_wrong_arguments(mask: Any, check: Any) -> None:
    with pytest.raises(TypeError, match=r"livemask\(items\) expects a list"):
        mask((1, 2))
    for arguments in (((1,), b"\0"), ([1], [1])):
        with pytest.raises(TypeError, match=r"expects a list and bytes"):
            check(*arguments)


@pytest.mark.skipif(not native.SUPPORTED, reason="no native builtins here")
def test_the_native_helpers_check_their_count_of_arguments() -> None:
    helpers = live_helpers()
    with pytest.raises(TypeError):
        helpers.livecheck([1])  # type: ignore[call-arg]


def test_helpers_do_not_leak() -> None:
    items = [object() for _ in range(5)]
    expected = bytes(5)
    before = sys.getrefcount(items), sys.getrefcount(expected), sys.getrefcount(False)
    for _ in range(1000):
        livecheck(items, expected)
        livecheck(items, b"\1" * 5)
        livemask(items)
    after = sys.getrefcount(items), sys.getrefcount(expected), sys.getrefcount(False)
    assert all(abs(a - b) < 10 for a, b in zip(before, after, strict=True))


def test_a_writer_fills_the_table_and_runs(plan: Library) -> None:
    word, table = Table(1), Table(8)
    call = table.callable(plan.address("plan"), keep=(plan, word))
    write = table.writer(plan.address("plan"), 6, keep=(plan, word))
    rest = [0, -1, 1 << 31, -(1 << 40)]
    done = write([word.address, 5, *rest[:1]])
    if done is False:  # an interpreter whose integers are not known: nothing was run
        assert word.q[0] == 0
        return
    assert done is None and word.q[0] == 5
    assert write([word.address, -2, 1, *rest[1:]]) is True
    assert word.q[0] == 3
    assert list(table.q)[1:6] == [-2, 1, -1, 1 << 31, -(1 << 40)]
    largest = (1 << 60) - 1
    assert write([word.address, 0, 0, largest, -largest]) is None
    assert list(table.q)[3:5] == [largest, -largest]
    assert call() is None


@pytest.mark.parametrize(
    "words", [(1, 2, 3), [0] * 7, [1 << 60], [1.0], [None], [True], "12"], ids=repr
)
def test_a_writer_refuses_what_it_cannot_write(plan: Library, words: Any) -> None:
    word, table = Table(1), Table(8)
    table.q[0], table.q[1] = word.address, 1
    write = table.writer(plan.address("plan"), 6, keep=(plan, word))
    assert write(words) is False
    assert word.q[0] == 0


def test_a_writer_keeps_counts_of_references(plan: Library) -> None:
    word, table = Table(1), Table(3)
    write = table.writer(plan.address("plan"), 3, keep=(plan, word))
    words = [word.address, 1 << 50, 1]
    before = [sys.getrefcount(w) for w in words]
    for _ in range(100):
        write(words)
    assert [sys.getrefcount(w) for w in words] == before
