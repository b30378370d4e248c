"""The shared timer: one program's text under several frameworks, in turn, in one run.

Each framework runs in a child process of its own. The child loads the program, whose `setup()`
returns `step()`, and times blocks of steps when told to; the parent asks the children in turn, so
that what the machine does meanwhile falls on all of them alike. A ratio is the median of the ratios
of neighbouring blocks.

In a child of Rushlight, `import torch` in the program gives Rushlight.
"""

import argparse
import dataclasses
import importlib
import importlib.util
import json
import math
import os
import resource
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

PROGRAMS = Path(__file__).resolve().parent / "programs"
PATIENCE = 180.0  # seconds that a child may take to answer


# ---- in the child ------------------------------------------------------------------------------


def offer_torch() -> None:
    """Let `import torch` find Rushlight, as `rushlight run` does, without importing it yet."""
    spec = importlib.util.find_spec("rushlight")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"{sys.executable} has no package rushlight")
    sys.path.insert(0, str(Path(spec.submodule_search_locations[0], "cli", "shim")))


class Child:
    """Answers the parent's requests about one program."""

    def __init__(self, framework: str) -> None:
        """Serve PyTorch, or put Rushlight in its place."""
        self.framework = framework
        self.step: Callable[[], Any] = lambda: None

    def load(self, path: str, threads: int | None) -> dict[str, Any]:
        """Import the framework, set the program up, take one step; the seconds of each."""
        start = time.perf_counter()
        if self.framework == "rushlight":
            offer_torch()
        torch = importlib.import_module("torch")
        imported = time.perf_counter()
        if threads is not None:
            torch.set_num_threads(threads)
        spec = importlib.util.spec_from_file_location("program", path)
        assert spec is not None and spec.loader is not None
        program = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(program)
        self.step = program.setup()
        ready = time.perf_counter()
        value = self.step()
        return {
            "version": str(torch.__version__),
            "import_s": imported - start,
            "setup_s": ready - imported,
            "first_s": time.perf_counter() - ready,
            "value": value,
        }

    def values(self, count: int) -> dict[str, Any]:
        """What the next steps return."""
        return {"values": [self.step() for _ in range(count)]}

    def time(self, count: int) -> dict[str, Any]:
        """Seconds that `count` steps take."""
        step = self.step
        start = time.perf_counter()
        for _ in range(count):
            step()
        return {"seconds": time.perf_counter() - start}

    def memory(self) -> dict[str, Any]:
        """The most memory the process has had, in MiB."""
        return {"rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}

    def serve(self, requests: TextIO, answers: TextIO) -> None:
        """Answer one JSON line with another until the requests end."""
        for line in requests:
            request = json.loads(line)
            try:
                answer = getattr(self, request.pop("do"))(**request)
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer), file=answers, flush=True)


def serve_child(framework: str) -> None:
    """Serve on stdin and stdout, with what the program itself prints sent to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    Child(framework).serve(sys.stdin, answers)


# ---- in the parent -----------------------------------------------------------------------------


class BenchError(Exception):
    """A child could not do what it was asked."""


@dataclasses.dataclass(frozen=True)
class Framework:
    """Who runs a program: a title, the framework's name, the Python that has it."""

    title: str
    name: str
    python: str


class Runner:
    """A child process as the parent sees it."""

    def __init__(self, framework: Framework) -> None:
        """Start the child."""
        self.framework = framework
        self.process = subprocess.Popen(
            [framework.python, __file__, "--child", framework.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONSAFEPATH": "1"},
        )

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """One request, one answer; BenchError when there is none or it is an error."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            print(json.dumps({"do": do, **request}), file=self.process.stdin, flush=True)
        except BrokenPipeError:
            raise BenchError(f"the child has ended with {self.process.wait()}") from None
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            raise BenchError(f"no answer to {do!r} within {PATIENCE:.0f} s")
        line = self.process.stdout.readline()
        if not line:
            raise BenchError(f"the child ended with {self.process.wait()} during {do!r}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise BenchError(answer["error"])
        return answer

    def close(self) -> None:
        """End the child."""
        self.process.kill()
        self.process.wait()


@dataclasses.dataclass
class Timing:
    """What one framework did with one program."""

    title: str
    step_us: float = math.nan
    fastest_us: float = math.nan
    ratio: float = math.nan
    ratio_lowest: float = math.nan
    ratio_highest: float = math.nan
    import_s: float = math.nan
    setup_s: float = math.nan
    first_s: float = math.nan
    rss_mib: float = math.nan
    difference: float = math.nan
    version: str = ""
    error: str | None = None


def largest_difference(ours: list[Any], theirs: list[Any]) -> float:
    """The largest relative difference between what the same steps returned."""
    worst = 0.0
    for a, b in zip(ours, theirs, strict=True):
        if a is None or b is None:
            worst = worst if a is b else math.inf
        elif a != b:
            worst = max(worst, abs(a - b) / max(abs(a), abs(b)))
    return worst


def steps_per_block(runner: Runner, block: float) -> int:
    """How many steps take about `block` seconds, found while warming up."""
    count = 1
    while (seconds := runner.ask("time", count=count)["seconds"]) < block / 2:
        count = max(2 * count, int(0.9 * count * block / max(seconds, 1e-9)))
    return max(1, int(count * block / seconds))


def compare(
    program: Path,
    frameworks: Sequence[Framework],
    *,
    rounds: int = 9,
    block: float = 0.1,
    check_steps: int = 100,
    threads: int | None = None,
) -> list[Timing]:
    """Time one program under every framework, in turn; the first is what the ratios refer to."""
    timings = [Timing(framework.title) for framework in frameworks]
    runners = [Runner(framework) for framework in frameworks]
    try:
        return measure(program, timings, runners, rounds, block, check_steps, threads)
    finally:
        for runner in runners:
            runner.close()


def measure(
    program: Path,
    timings: list[Timing],
    runners: list[Runner],
    rounds: int,
    block: float,
    check_steps: int,
    threads: int | None,
) -> list[Timing]:
    """Drive the children through loading, comparing values, warming up and timed blocks."""
    values: dict[str, list[Any]] = {}
    counts: dict[str, int] = {}
    pairs = list(zip(timings, runners, strict=True))
    for timing, runner in pairs:
        try:
            loaded = runner.ask("load", path=str(program), threads=threads)
            first = loaded.pop("value")
            for name, value in loaded.items():
                setattr(timing, name, value)
            values[timing.title] = [first, *runner.ask("values", count=check_steps - 1)["values"]]
            runner.ask("time", count=steps_per_block(runner, block))
            counts[timing.title] = steps_per_block(runner, block)
        except BenchError as error:
            timing.error = str(error)
    blocks: dict[str, list[float]] = {title: [] for title in counts}
    for number in range(rounds):
        # Forwards and backwards in turn: who comes after whom must not matter.
        for timing, runner in pairs[:: -1 if number % 2 else 1]:
            if timing.error is None:
                count = counts[timing.title]
                try:
                    seconds = runner.ask("time", count=count)["seconds"]
                except BenchError as error:
                    timing.error = str(error)
                    continue
                blocks[timing.title].append(seconds / count)
    base = timings[0]
    for timing, runner in pairs:
        if timing.error is not None:
            continue
        steps = blocks[timing.title]
        timing.step_us = 1e6 * statistics.median(steps)
        timing.fastest_us = 1e6 * min(steps)
        timing.rss_mib = runner.ask("memory")["rss_mib"]
        if base.error is None:
            ratios = [theirs / ours for theirs, ours in zip(blocks[base.title], steps, strict=True)]
            timing.ratio = statistics.median(ratios)
            timing.ratio_lowest, timing.ratio_highest = min(ratios), max(ratios)
            timing.difference = largest_difference(values[timing.title], values[base.title])
    return timings


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows in aligned columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A child of benchmarks/run.py.")
    parser.add_argument("--child", choices=["torch", "rushlight"], required=True)
    serve_child(parser.parse_args().child)
