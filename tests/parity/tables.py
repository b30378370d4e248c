"""PyTorch's own tables of operators, modules and optimisers, run against Rushlight; the ledgers.

A table's entries run in worker processes, so that a crash or a hang costs one entry.  What does not
pass stands in `ledger/<table>.txt`, one line each: `name[:form] [dtype] reason`, sorted; without a
dtype when all dtypes fail alike.  `python -m tests.parity.tables --write [TABLE ...]` writes the
ledgers again, `--details FILE` says more about every failure, `--only REGEX` runs some entries.

With RUSHLIGHT_PARITY_FULL=1 every sample runs, and the ledgers are `ledger/<table>-full.txt`.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
import types
import warnings
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
LEDGER: Final = Path(__file__).with_name("ledger")
TABLES: Final = ("ops", "modules", "optim")
# Worst first: an entry that fails in several ways is listed under the first of them.
REASONS: Final = (
    "crash", "missing", "error", "type", "dtype", "shape", "value", "grad", "state", "stride",
)  # fmt: skip
# Seconds: to import PyTorch and its tables, of processor time for one entry, until it is killed.
START, LIMIT, KILL = 300, 60, 300
COMMAND: Final = "python -m tests.parity.tables"
_WORKER: Final = (
    "import sys; sys.path.append({root!r}); "
    "from tests.parity import tables; tables.work({table!r}, {full!r})"
)

Found = dict[str, tuple[str, str]]


def worst(outcomes: list[tuple[str, str]]) -> tuple[str, str]:
    """Of several (reason, detail), the one with the first reason of REASONS; "" for none."""
    failed = [o for o in outcomes if o[0]]
    return min(failed, key=lambda o: REASONS.index(o[0]), default=("", ""))


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """What a table's entries gave: `found` by name, with every key's outcome."""

    table: str
    names: list[str]
    found: dict[str, Found]

    def lines(self) -> set[str]:
        """The ledger's lines for what fails."""
        return {line for name, keys in self.found.items() for line in ledger_lines(name, keys)}

    def totals(self) -> str:
        """How many entries pass whole, partly and not at all; the same of their cases."""
        whole = partly = missing = cases = passed = 0
        for keys in self.found.values():
            good = sum(not reason for reason, _ in keys.values())
            cases, passed = cases + len(keys), passed + good
            if good == len(keys):
                whole += 1
            elif good:
                partly += 1
            else:
                missing += 1
        return (
            f"{self.table}: {len(self.found)} entries: {whole} whole, {partly} partly, "
            f"{missing} missing; {passed} of {cases} cases pass"
        )


def ledger_lines(name: str, keys: Found) -> list[str]:
    """Lines for the failing keys (`:form dtype`); those alike in all dtypes or forms as one."""
    reasons = {key: reason for key, (reason, _) in keys.items()}
    if len(reasons) > 1 and len(set(reasons.values())) == 1 and "" not in reasons.values():
        return [f"{name} {next(iter(reasons.values()))}"]
    forms: dict[str, dict[str, str]] = {}
    for key, reason in reasons.items():
        form, _, dtype = key.partition(" ")
        forms.setdefault(form, {})[dtype] = reason
    lines = []
    for form, dtypes in forms.items():
        alike = set(dtypes.values())
        # A bare name stands for the whole entry, so a plain function keeps its dtypes.
        if len(alike) == 1 and form:
            dtypes = {"": alike.pop()}
        for dtype, reason in dtypes.items():
            if reason:
                lines.append(" ".join(filter(None, [name + form, dtype, reason])))
    return lines


def ledger_file(table: str, full: bool = False) -> Path:
    """Where a table's ledger is."""
    return LEDGER / (f"{table}-full.txt" if full else f"{table}.txt")


def read_ledger(table: str, full: bool = False) -> set[str]:
    """The lines of a table's ledger; comments begin with `#`."""
    file = ledger_file(table, full)
    if not file.exists():
        setting = "RUSHLIGHT_PARITY_FULL=1 " if full else ""
        raise FileNotFoundError(f"{file}: write it with `{setting}{COMMAND} --write {table}`")
    text = file.read_text("utf-8")
    return {line for line in text.splitlines() if line and line[0] != "#"}


def write_ledger(table: str, lines: set[str], full: bool = False) -> None:
    """Write a ledger."""
    LEDGER.mkdir(exist_ok=True)
    head = f"# What does not pass yet of PyTorch's {table}; tests/parity/tables.py writes this.\n"
    text = head + "".join(f"{line}\n" for line in sorted(lines))
    ledger_file(table, full).write_text(text, "utf-8")


# ---- workers ---------------------------------------------------------------------------------


def work(table: str, full: bool) -> None:
    """A worker: an index on each line of its input, an entry's outcome on each of its output."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what entries print is not an answer
    warnings.simplefilter("ignore")
    checks = _checks(table)
    print(json.dumps(checks.names()), file=answers, flush=True)
    signal.signal(signal.SIGPROF, _too_long)
    for line in sys.stdin:
        signal.setitimer(signal.ITIMER_PROF, LIMIT)
        try:
            found = checks.check(int(line), full)
        except TimeoutError as error:
            found = {"": ("error", str(error))}
        except Exception as error:  # of the table's own functions
            found = {"": ("error", f"the table: {type(error).__name__}: {error}"[:300])}
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps(found), file=answers, flush=True)


def _checks(table: str) -> types.ModuleType:
    import torch

    torch.set_num_threads(1)
    return importlib.import_module(f"tests.parity.check_{table}")


def _too_long(*_: Any) -> None:
    raise TimeoutError(f"more than {LIMIT} s of processor time")


class _Worker:
    """A process that checks entries, started again when it dies."""

    def __init__(self, table: str, full: bool) -> None:
        self.command = [
            sys.executable, "-c", _WORKER.format(root=str(ROOT), table=table, full=full)
        ]  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None
        self.names: list[str] = []
        self.rest = b""

    def start(self) -> None:
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=quiet
        )
        self.rest = b""
        names = self.answer(START)
        if names is None:
            self.stop()
            told = subprocess.run(self.command, stdin=quiet, capture_output=True, check=False)
            raise RuntimeError(f"a parity worker does not start:\n{told.stderr.decode()[-2000:]}")
        self.names = names

    def check(self, index: int) -> Found:
        if self.process is None:
            self.start()
        assert self.process is not None and self.process.stdin is not None
        try:
            self.process.stdin.write(f"{index}\n".encode())
            self.process.stdin.flush()
            answer = self.answer(KILL)
        except BrokenPipeError:
            answer = None
        if answer is None:
            status = self.stop()
            return {"": ("crash", f"the process ended, or hung, with status {status}")}
        return {key: (reason, detail) for key, (reason, detail) in answer.items()}

    def answer(self, seconds: float) -> Any:
        """The next line the process writes, or None when it ends or stays silent."""
        assert self.process is not None and self.process.stdout is not None
        pipe = self.process.stdout.fileno()
        while b"\n" not in self.rest:
            if not select.select([pipe], [], [], seconds)[0]:
                return None
            more = os.read(pipe, 1 << 16)
            if not more:
                return None
            self.rest += more
        line, self.rest = self.rest.split(b"\n", 1)
        return json.loads(line)

    def stop(self) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.kill()
        status = self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass
        self.process = None
        return status


def run_table(table: str, *, full: bool = False, only: str = "", workers: int = 2) -> Run:
    """Run every entry of a table (or those whose name matches `only`)."""
    first = _Worker(table, full)
    first.start()
    names = first.names
    chosen = [i for i, name in enumerate(names) if re.search(only, name)]
    found: dict[int, Found] = {}
    failures: list[BaseException] = []
    alone = len(chosen) < 20
    crew = [first] + [_Worker(table, full) for _ in range(0 if alone else workers - 1)]
    # Fixed shares: what a process has run before an entry is the same in every run.
    threads = [
        threading.Thread(target=_drain, args=(w, chosen[i :: len(crew)], found, failures))
        for i, w in enumerate(crew)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return Run(table, names, {names[i]: found[i] for i in chosen})


def _drain(
    worker: _Worker, share: list[int], found: dict[int, Found], failures: list[BaseException]
) -> None:
    try:
        for index in share:
            found[index] = worker.check(index)
    except BaseException as error:
        failures.append(error)
    finally:
        if worker.process is not None:
            worker.stop()


# ---- tests and the command -------------------------------------------------------------------


def full_wanted() -> bool:
    """Whether every sample is to run."""
    return os.environ.get("RUSHLIGHT_PARITY_FULL", "0") not in ("", "0")


def difference(run: Run, full: bool) -> str:
    """What a ledger and a run say differently, for a person; "" when they agree."""
    ledger, lines = read_ledger(run.table, full), run.lines()
    known = set(run.names)
    stray = {line for line in ledger if line.split()[0].split(":")[0] not in known}
    parts = [
        ("fails, but does not stand in the ledger", lines - ledger),
        ("vanished: stands in the ledger, but no longer fails so", ledger - lines - stray),
        ("stands in the ledger, but names nothing in the table", stray),
    ]
    told = "\n".join(
        f"{title}:\n" + "".join(f"  {line}\n" for line in sorted(found))
        for title, found in parts
        if found
    )
    return told and f"{told}\n(`{COMMAND} {run.table} --only NAME` says more; `--write` accepts.)"


def main(arguments: list[str] | None = None) -> int:
    """The command: run tables, print totals, and write or compare the ledgers."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=", ".join(TABLES))
    parser.add_argument("--write", action="store_true", help="write the ledgers again")
    parser.add_argument("--details", metavar="FILE", type=Path, help="every failure, as JSON")
    parser.add_argument("--only", metavar="REGEX", default="", help="run these entries, print them")
    options = parser.parse_args(arguments)
    full, status = full_wanted(), 0
    details: dict[str, Any] = {}
    for table in options.tables or TABLES:
        run = run_table(table, full=full, only=options.only)
        print(run.totals(), flush=True)
        failed = {n: {k: v for k, v in keys.items() if v[0]} for n, keys in run.found.items()}
        details[table] = {n: keys for n, keys in failed.items() if keys}
        if options.only:
            for name, keys in details[table].items():
                for key, (reason, detail) in keys.items():
                    print(f"  {name}{key}: {reason}: {detail}")
        elif options.write:
            write_ledger(table, run.lines(), full)
        elif told := difference(run, full):
            print(told)
            status = 1
    if options.details:
        options.details.write_text(json.dumps(details, indent=1), "utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main())
