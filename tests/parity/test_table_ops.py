"""PyTorch's table of operators: every entry passes, or stands in the ledger; the ledger's form."""

import pytest

from tests.parity import tables


@pytest.mark.timeout(7200 if tables.full_wanted() else 1200)
def test_ops(capsys):
    full = tables.full_wanted()
    run = tables.run_table("ops", full=full)
    with capsys.disabled():
        print(f"\n{run.totals()}")
    assert len(run.found) > 600
    assert not (told := tables.difference(run, full)), told


def test_lines():
    """Alike in all keys: one line; alike in all dtypes of a form: one for the form."""
    bad, good = ("value", "x"), ("", "")
    lines = tables.ledger_lines
    assert lines("a", {" float32": bad, " int64": bad}) == ["a value"]
    assert lines("a", {" float32": bad, " int64": good}) == ["a float32 value"]
    assert lines("a", {" float32": good, ":method float32": bad}) == ["a:method value"]
    assert lines("a", {" float32": good, ":errors": bad}) == ["a:errors value"]
    assert lines("a", {" float32": good}) == []


def test_differences(monkeypatch, tmp_path):
    """A new failure, a vanished one and a line that names nothing are told apart."""
    monkeypatch.setattr(tables, "LEDGER", tmp_path)
    tables.write_ledger("ops", {"a float32 value", "b missing", "gone missing"})
    found = {"a": {" float32": ("", "")}, "b": {"": ("missing", "")}, "c": {"": ("crash", "")}}
    run = tables.Run("ops", ["a", "b", "c"], found)
    told = tables.difference(run, full=False)
    assert [line.strip() for line in told.splitlines() if line][:-1] == [
        "fails, but does not stand in the ledger:", "c crash",
        "vanished: stands in the ledger, but no longer fails so:", "a float32 value",
        "stands in the ledger, but names nothing in the table:", "gone missing",
    ]  # fmt: skip
    tables.write_ledger("ops", {"c crash", "b missing"})
    assert not tables.difference(run, False)


@pytest.mark.parametrize("table", tables.TABLES)
def test_form(table):
    """Every line is `name[:form] [dtype] reason`, sorted, each once."""
    text = (tables.LEDGER / f"{table}.txt").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines == sorted(set(lines))
    for line in lines:
        _, *dtype, reason = line.split(" ")
        assert reason in tables.REASONS, line
        assert len(dtype) <= 1, line
        assert set(dtype) <= {"float32", "float64", "int64", "bool"}, line
