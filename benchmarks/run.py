"""Times the programs of benchmarks/programs under PyTorch and under Rushlight, in turn.

    python benchmarks/run.py [NAME ...] [--pure PYTHON] [--json FILE]

This Python must have PyTorch and Rushlight; `--pure` names another that has Rushlight in plain
Python. `make bench` gives both; `make bench BENCH='classifier_sgd tanh_curve'` chooses programs.
"""

import argparse
import dataclasses
import json
import math
import os
import platform
import statistics
import sys
from pathlib import Path

# The folder of this file is not on the path when Python runs with PYTHONSAFEPATH.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from common import PROGRAMS, Framework, Timing, compare, table

# What Rushlight sets itself: at least so many times PyTorch's speed, compiled and in plain Python.
BY_HAND = ("regression_by_hand", "autograd_by_hand", "inference_batch1")
BUDGET = {
    "loop": (25.0, 10.0),
    "by hand": (10.0, None),
    "variant": (8.0, None),
    "medium": (2.0, None),
    "convolutions": (1.1, None),
    "captured": (60.0, None),
    "kernel": (1.5, None),
}


def kind(name: str) -> str:
    """Which budget a program has: by the first word of its name, or named above."""
    if name in BY_HAND:
        return "by hand"
    prefix = name.partition("_")[0]
    return prefix if prefix in BUDGET else "loop"


def processor() -> str:
    """The processor's name as Linux has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def figure(value: float, digits: int, unit: str = "") -> str:
    """A number for the table; a dash for none."""
    return "-" if math.isnan(value) else f"{value:.{digits}f}{unit}"


def row(name: str, timings: list[Timing]) -> list[str]:
    """A program's line of the table."""
    base, *ours = timings
    cells = [name, figure(base.step_us, 1)]
    budgets = dict(zip(("Rushlight", "plain"), BUDGET[kind(name)], strict=True))
    for timing in ours:
        budget = budgets.get(timing.title)
        wanted = f" (>={budget:g})" if budget else ""
        cells += [figure(timing.step_us, 1), figure(timing.ratio, 1, "x") + wanted]
    same = max((timing.difference for timing in ours), default=math.nan)
    first = ours[0].first_s if ours else math.nan
    cells += [f"{same:.0e}", figure(1e3 * base.first_s, 1), figure(1e3 * first, 1)]
    memory = ours[0].rss_mib if ours else math.nan
    return [*cells, figure(base.rss_mib, 0), figure(memory, 0)]


def heading(frameworks: list[Framework]) -> list[str]:
    """The table's first line."""
    cells = ["us a step (median)", frameworks[0].title]
    for framework in frameworks[1:]:
        cells += [framework.title, "ratio"]
    return [*cells, "max diff", "1st ms", "ours", "RSS MiB", "ours"]


def summary(results: dict[str, list[Timing]], title: str) -> str:
    """Median and worst ratio of each kind of program."""
    parts = []
    for wanted in BUDGET:
        ratios = [
            timing.ratio
            for name, timings in results.items()
            for timing in timings
            if kind(name) == wanted and timing.title == title and not math.isnan(timing.ratio)
        ]
        if ratios:
            parts.append(
                f"{wanted}: median {statistics.median(ratios):.1f}x, worst {min(ratios):.1f}x"
            )
    return f"{title}: " + "; ".join(parts)


def main() -> int:
    """Run what was asked for; 1 when a program failed or returned other numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", help="programs; all when none is named")
    parser.add_argument("--torch", default=sys.executable, help="a Python that has PyTorch")
    parser.add_argument("--compiled", default=sys.executable, help="a Python that has Rushlight")
    parser.add_argument("--pure", help="a Python that has Rushlight in plain Python")
    parser.add_argument("--only-torch", action="store_true", help="run PyTorch alone")
    parser.add_argument(
        "--twice", action="store_true", help="PyTorch a second time: what a ratio of 1 looks like"
    )
    parser.add_argument("--rounds", type=int, default=9, help="timed blocks of each framework")
    parser.add_argument("--block", type=float, default=0.1, help="seconds of one block")
    parser.add_argument("--threads", type=int, help="threads of each framework (its own default)")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="largest relative difference")
    parser.add_argument("--json", type=Path, help="a file for all figures")
    options = parser.parse_args()

    known = {path.stem: path for path in sorted(PROGRAMS.glob("*.py"))}
    unknown = [name for name in options.names if name not in known]
    if unknown:
        parser.error(f"no program {', '.join(unknown)}; there are {', '.join(known)}")
    frameworks = [Framework("PyTorch", "torch", options.torch)]
    if not options.only_torch:
        frameworks.append(Framework("Rushlight", "rushlight", options.compiled))
        if options.pure:
            frameworks.append(Framework("plain", "rushlight", options.pure))
    if options.twice:
        frameworks.append(Framework("PyTorch again", "torch", options.torch))

    print(f"{processor()}, {os.cpu_count()} CPUs, Python {platform.python_version()}", flush=True)
    results: dict[str, list[Timing]] = {}
    problems: list[str] = []
    rows = [heading(frameworks)]
    for name in options.names or known:
        timings = compare(
            known[name],
            frameworks,
            rounds=options.rounds,
            block=options.block,
            threads=options.threads,
        )
        results[name] = timings
        rows.append(row(name, timings))
        print(f"  {name}: {', '.join(figure(t.step_us, 1) for t in timings)} us", flush=True)
        for timing in timings:
            if timing.error:
                problems.append(f"{name}, {timing.title}: {timing.error}")
            elif timing.difference > options.tolerance:
                problems.append(f"{name}, {timing.title}: values differ by {timing.difference:.1e}")
    print("\n" + table(rows))
    for framework in frameworks[1:]:
        print(summary(results, framework.title))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        figures = {name: [dataclasses.asdict(t) for t in ts] for name, ts in results.items()}
        options.json.write_text(json.dumps({"processor": processor(), "programs": figures}))
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
