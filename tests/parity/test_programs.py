"""Real programs, unmodified, under PyTorch and under `rushlight run`: the same output.

The programs are fetched, never committed: RUSHLIGHT_PROGRAMS names a folder that holds them as
`<owner>/<repository>/...`.  Text must be equal, numbers close; both runs begin with the seed 0.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RTOL, ATOL = 2e-3, 1e-4
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+|inf\b|nan\b)")
SEEDED = """\
import random, runpy, sys
import numpy, torch
random.seed(0), numpy.random.seed(0), torch.manual_seed(0)
del sys.argv[0]
sys.path[0] = __import__("os").path.dirname(sys.argv[0]) or "."
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@dataclasses.dataclass(frozen=True)
class Program:
    """A program: its repository and path, what runs before it, its arguments and small edits."""

    id: str
    repository: str
    path: str
    arguments: tuple[str, ...] = ()
    first: str = ""
    edits: tuple[tuple[str, str], ...] = ()


PROGRAMS = [
    Program("tensors", "jcjohnson/pytorch-examples", "tensor/two_layer_net_tensor.py"),
    Program("autograd", "jcjohnson/pytorch-examples", "autograd/two_layer_net_autograd.py"),
    Program(
        "custom-function",
        "jcjohnson/pytorch-examples",
        "autograd/two_layer_net_custom_function.py",
    ),
    Program("module", "jcjohnson/pytorch-examples", "nn/two_layer_net_module.py"),
    Program("optim", "jcjohnson/pytorch-examples", "nn/two_layer_net_optim.py"),
    Program("dynamic", "jcjohnson/pytorch-examples", "nn/dynamic_net.py"),
    Program(
        "linear-regression",
        "yunjey/pytorch-tutorial",
        "tutorials/01-basics/linear_regression/main.py",
    ),
    Program(
        "save-reload",
        "MorvanZhou/PyTorch-Tutorial",
        "tutorial-contents/304_save_reload.py",
        edits=(("torch.load('net.pkl')", "torch.load('net.pkl', weights_only=False)"),),
    ),
    Program(
        "hooks", "PyTorchKorea/tutorials-kr", "beginner_source/former_torchies/nnft_tutorial.py"
    ),
    Program("word2vec", "graykode/nlp-tutorial", "1-2.Word2Vec/Word2Vec-Skipgram(Softmax).py"),
    Program("transformer", "graykode/nlp-tutorial", "5-1.Transformer/Transformer.py"),
    Program("seq2seq", "graykode/nlp-tutorial", "4-1.Seq2Seq/Seq2Seq.py"),
    Program(
        "ppo",
        "seungeunrho/minimalRL",
        "ppo.py",
        edits=(("import gym\n", "import gymnasium as gym\n"), ("range(10000)", "range(40)")),
    ),
    Program(
        "sine-waves",
        "pytorch/examples",
        "time_sequence_prediction/train.py",
        ("--steps", "1"),
        first="generate_sine_wave.py",
        edits=(
            ("L = 1000", "L = 200"),
            ("future = 1000", "future = 100"),
            ("torch.load('traindata.pt')", "torch.load('traindata.pt', weights_only=False)"),
        ),
    ),
]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("program", PROGRAMS, ids=[p.id for p in PROGRAMS])
def test_program(program, tmp_path):
    """Both frameworks print the same text and close numbers."""
    folder = os.environ.get("RUSHLIGHT_PROGRAMS")
    if not folder:
        pytest.skip("not run: RUSHLIGHT_PROGRAMS names no folder of fetched programs")
    source = Path(folder) / program.repository / program.path
    if not source.exists():
        pytest.skip(f"not run: {program.repository}/{program.path} was not fetched")
    expected = run(program, source, tmp_path / "torch", [sys.executable])
    if expected.returncode:
        last = expected.stderr.strip().splitlines()[-1:]
        pytest.skip(f"not run: PyTorch's own run ended with {last}")
    ours = [sys.executable, "-m", "rushlight", "run"]
    found = run(program, source, tmp_path / "rushlight", ours)
    assert found.returncode == 0, found.stderr[-3000:]
    compare(expected.stdout, found.stdout)


def run(program, source, folder, command):
    """Run a program, with its edits, in a copy of its own folder."""
    shutil.copytree(source.parent, folder)
    text = source.read_text("utf-8")
    for before, after in program.edits:
        assert before in text, f"{program.id}: {before!r} is not there to be edited"
        text = text.replace(before, after)
    (folder / source.name).write_text(text, "utf-8")
    start = folder.parent / "seeded.py"
    start.write_text(SEEDED, "utf-8")
    settings = os.environ | {
        "MPLBACKEND": "Agg",
        "OMP_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONWARNINGS": "ignore",
    }
    steps = [[program.first]] if program.first else []
    for step in [*steps, [source.name, *program.arguments]]:
        done = subprocess.run(
            [*command, str(start), *step],
            cwd=folder,
            env=settings,
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
        if done.returncode:
            break
    return done


def compare(expected, found):
    """Line by line: the same words, and numbers that differ little."""
    theirs, ours = expected.splitlines(), found.splitlines()
    for line, (e, f) in enumerate(zip(theirs, ours, strict=False), 1):
        where = f"line {line}:\n  PyTorch:   {e}\n  Rushlight: {f}"
        assert NUMBER.sub("#", e).split() == NUMBER.sub("#", f).split(), where
        for x, y in zip(NUMBER.findall(e), NUMBER.findall(f), strict=True):
            close = float(x) == pytest.approx(float(y), rel=RTOL, abs=ATOL, nan_ok=True)
            assert close, where
    assert len(theirs) == len(ours), "one of the two prints more lines"


def test_comparison_tells():
    """What the comparison lets pass, and what it does not."""
    compare("loss 1.0000 at 3", "loss 1.0001 at 3")
    for other in ("loss 1.1 at 3", "lost 1.0 at 3", "loss 1.0 at 3\nmore"):
        with pytest.raises(AssertionError):
            compare("loss 1.0 at 3", other)
