"""Real programs, unmodified, under PyTorch and under `rushlight run`: the same output.

The programs are fetched, never committed: RUSHLIGHT_PROGRAMS names a folder that holds them as
`<owner>/<repository>/...`, and in `data` what they read.  Text must be equal, numbers close; both
runs begin with the seed 0.  `program_list.py` says which programs and what they are given.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location(
    "program_list", Path(__file__).with_name("program_list.py")
)
program_list = importlib.util.module_from_spec(_spec)
sys.modules["program_list"] = program_list  # dataclasses look there
_spec.loader.exec_module(program_list)
PROGRAMS = program_list.PROGRAMS

RTOL, ATOL = 2e-3, 1e-4
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+|inf\b|nan\b)")
# What no two runs share: clock times, where an object lies.
VOLATILE = (
    (re.compile(r"\b\d+(?:\.\d+)? ?(?:ms|s|sec|secs|seconds|it/s|s/it)\b"), "TIME"),
    (re.compile(r"(time(?: \w+)?:? *=? *)\d+\.\d+", re.IGNORECASE), r"\1TIME"),
    (re.compile(r"mfu -?\d+\.\d+%"), "mfu"),
    (re.compile(r"\b0x[0-9a-f]+\b"), "ADDRESS"),
)
SEEDED = """\
import random, runpy, sys
import numpy, torch
random.seed(0), numpy.random.seed(0), torch.manual_seed(0)
try:  # environments that are given no seed take one of the system's
    from gymnasium.utils import seeding
    seeding.np_random.__defaults__ = (0,)
except ImportError:
    pass
del sys.argv[0]
sys.path[0] = __import__("os").path.dirname(sys.argv[0]) or "."
runpy.run_path(sys.argv[0], run_name="__main__")
"""
# PyTorch on other machines: the instructions of its own kernels, or of its convolutions' library.
MACHINES = tuple(
    {name: level}
    for name, levels in (
        ("ATEN_CPU_CAPABILITY", ("default", "avx2")),
        ("ONEDNN_MAX_CPU_ISA", ("SSE41", "AVX2")),
    )
    for level in levels
)
THREADS = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended, what it printed, the seconds of its own part, and those of processors."""

    status: int
    stdout: str
    stderr: str
    seconds: float
    cpu: float = 0.0


@pytest.mark.timeout(900)
@pytest.mark.parametrize("program", PROGRAMS, ids=[p.id for p in PROGRAMS])
def test_program(program, tmp_path):
    """Both frameworks print the same text and close numbers."""
    folder = os.environ.get("RUSHLIGHT_PROGRAMS")
    if not folder:
        pytest.skip("not run: RUSHLIGHT_PROGRAMS names no folder of fetched programs")
    if not (Path(folder) / program.repository / program.path).exists():
        pytest.skip(f"not run: {program.repository}/{program.path} was not fetched")
    expected = run(program, Path(folder), tmp_path / "torch", [sys.executable])
    if expected.status:
        last = expected.stderr.strip().splitlines()[-1:]
        pytest.skip(f"not run: PyTorch's own run ended with {last}")
    ours = [sys.executable, "-m", "rushlight", "run"]
    found = run(program, Path(folder), tmp_path / "rushlight", ours)
    print(
        f"{program.id}: PyTorch {expected.seconds:.1f} s ({expected.cpu:.1f} of processors), "
        f"Rushlight {found.seconds:.1f} s ({found.cpu:.1f})"
    )
    assert found.status == 0, found.stderr[-3000:]
    try:
        compare(expected.stdout, found.stdout)
    except AssertionError:
        # Long training magnifies the last bit in which sums differ: PyTorch's own, too.
        others = [
            run(program, Path(folder), tmp_path / f"torch{i}", [sys.executable], machine).stdout
            for i, machine in enumerate(MACHINES)
        ]
        compare(expected.stdout, found.stdout, others)


def run(program, programs, folder, command, machine=None):
    """Run a program, with its edits, in a copy of its own folder.

    `machine`: settings for the instructions that PyTorch uses, where not the best.
    """
    source = programs / program.repository / program.path
    inside = folder.joinpath(*Path(program.path).parent.parts)
    shutil.copytree(source.parent, inside, dirs_exist_ok=True)
    for place, make in program.data:
        target = Path(os.path.normpath(inside / place))
        target.parent.mkdir(parents=True, exist_ok=True)
        make(programs / "data", target)
    script = source.with_suffix(".py").name
    if source.suffix == ".ipynb":
        (inside / script).write_text(code_of(source), "utf-8")
    edit(program, [inside / name for name in (script, *program.first)])
    start = folder / "seeded.py"
    start.write_text(SEEDED, "utf-8")
    settings = os.environ | THREADS | (machine or {})
    settings |= {"MPLBACKEND": "Agg", "PYTHONHASHSEED": "0", "PYTHONWARNINGS": "ignore"}
    # some import their own repository as if it were installed
    paths = [str(folder), os.environ.get("PYTHONPATH", "")]
    settings["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    for step in [*([name] for name in program.first), [script, *program.arguments]]:
        began, before = time.perf_counter(), used()
        done = subprocess.run(
            [*command, str(start), *step],
            cwd=inside,
            env=settings,
            capture_output=True,
            text=True,
            check=False,
            timeout=400,
        )
        seconds, cpu = time.perf_counter() - began, used() - before
        if done.returncode:
            break
    return Outcome(done.returncode, done.stdout, done.stderr, seconds, cpu)


def used():
    """The seconds of processors that finished children have used."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def edit(program, files):
    """Make the program's edits, each where its text is found."""
    texts = {file: file.read_text("utf-8") for file in files}
    for before, after in program.edits:
        holders = [file for file, text in texts.items() if before in text]
        assert holders, f"{program.id}: {before!r} is not there to be edited"
        for file in holders:
            texts[file] = texts[file].replace(before, after)
    for file, text in texts.items():
        file.write_text(text, "utf-8")


def code_of(notebook):
    """A notebook's code cells as one script, without magics."""
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    code = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    lines = "\n\n".join(code).splitlines()
    return "\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in lines) + "\n"


def settled(line):
    """A line without what no two runs share."""
    for pattern, word in VOLATILE:
        line = pattern.sub(word, line)
    return line


def compare(expected, found, others=()):
    """Line by line: the same words, and numbers that differ little.

    `others`: the same program's output in PyTorch with other instructions; a number may be away by
    three times as much, relatively, as those were from each other up to that line.
    """
    worst = 0.0
    theirs, ours, *rest = (
        [settled(line) for line in text.splitlines()] for text in (expected, found, *others)
    )
    for line, (e, f) in enumerate(zip(theirs, ours, strict=False), 1):
        where = f"line {line}:\n  PyTorch:   {e}\n  Rushlight: {f}"
        assert NUMBER.sub("#", e).split() == NUMBER.sub("#", f).split(), where
        spread = [NUMBER.findall(lines[line - 1]) for lines in rest if len(lines) >= line]
        for i, (x, y) in enumerate(zip(NUMBER.findall(e), NUMBER.findall(f), strict=True)):
            near = pytest.approx(float(y), rel=RTOL, abs=ATOL, nan_ok=True)
            size = abs(float(x))
            for other in spread:
                if len(other) > i and size > 0.01:
                    worst = max(worst, abs(float(x) - float(other[i])) / size)
            assert float(x) == near or abs(float(x) - float(y)) <= 3 * worst * size, where
    assert len(theirs) == len(ours), "one of the two prints more lines"


def test_comparison_tells():
    """What the comparison lets pass, and what it does not."""
    compare("loss 1.0000 at 3", "loss 1.0001 at 3")
    compare("loss 1.0 in 31.2ms at 0x7f12", "loss 1.0 in 4ms at 0x9a")
    compare("loss 1.00 at 3", "loss 1.05 at 3", ["loss 1.02 at 3", "loss 0.99 at 3"])
    with pytest.raises(AssertionError):
        compare("loss 1.00 at 3", "loss 1.07 at 3", ["loss 1.02 at 3", "loss 0.99 at 3"])
    for other in ("loss 1.1 at 3", "lost 1.0 at 3", "loss 1.0 at 3\nmore"):
        with pytest.raises(AssertionError):
            compare("loss 1.0 at 3", other)
