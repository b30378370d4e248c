"""Count the Python instructions that a step of a benchmark's program takes, by part.

    python scripts/instructions.py [classifier_sgd ...]

For Rushlight in plain Python (compiled modules run none): what cannot be recorded, found and run
with fewer instructions cannot be faster there.  The programs are those of ``benchmarks/programs``;
steps are counted once all that they do is recognised.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import rushlight

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = str(Path(rushlight.__file__).parent) + "/"
LOOPS = [
    "classifier_sgd", "classifier_adam", "tanh_curve", "regression_loader",
    "regression_by_hand", "autograd_by_hand", "inference_batch1",
]  # fmt: skip
PARTS = ("program", "tensor, nn, optim", "engine", "elsewhere")
STEPS = 20
WARM = 1.0  # seconds of steps before anything is counted


def part_of(file: str) -> str:
    """Which part of a step a file belongs to."""
    if file.startswith(str(ROOT / "benchmarks")):
        return "program"
    if not file.startswith(PACKAGE):
        return "elsewhere"
    return "engine" if file[len(PACKAGE) :].startswith("engine/") else "tensor, nn, optim"


def step_of(name: str) -> Any:
    """The function ``step`` of a program."""
    sys.modules["torch"] = rushlight
    file = ROOT / "benchmarks" / "programs" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.setup()


def count(step: Any) -> tuple[Counter[str], Counter[str], float]:
    """Instructions and calls of one step, by part; microseconds of a step that is not watched."""
    end = time.perf_counter() + WARM
    while time.perf_counter() < end:
        step()
    start = time.perf_counter()
    for _ in range(STEPS * 10):
        step()
    took = (time.perf_counter() - start) / (STEPS * 10)
    instructions: Counter[str] = Counter()
    calls: Counter[str] = Counter()

    def watch(frame: FrameType, event: str, arg: Any) -> Any:
        part = part_of(frame.f_code.co_filename)
        calls[part] += 1
        frame.f_trace_opcodes, frame.f_trace_lines = True, False

        def one(frame: FrameType, event: str, arg: Any) -> Any:
            if event == "opcode":
                instructions[part] += 1
            return one

        return one

    sys.settrace(watch)
    try:
        for _ in range(STEPS):
            step()
    finally:
        sys.settrace(None)
    return instructions, calls, took * 1e6


def main() -> int:
    """Print a line for each program."""
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("programs", nargs="*", default=LOOPS)
    print(f"{'Python instructions (calls) a step':34}", *(f"{p:>20}" for p in PARTS), " us a step")
    for name in a.parse_args().programs:
        instructions, calls, took = count(step_of(name))
        cells = [f"{instructions[p] / STEPS:,.0f} ({calls[p] / STEPS:,.0f})" for p in PARTS]
        print(f"{name:34}", *(f"{c:>20}" for c in cells), f"{took:11.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
