"""Run random programs three ways and say where they differ; or plant defects and see them caught.

    python scripts/random_programs.py --count 2000 --seed 0 [--no-torch] [--minutes 5] [--jobs 2]
    python scripts/random_programs.py --guarded --count 2000 [--seed 0]
    python scripts/random_programs.py --planted [--seconds 60]

Values that PyTorch is as unsure of, when it rounds otherwise (``tests/programs/rounding.py``), and
other strides than PyTorch's are counted apart: they are no differences.
``--guarded`` puts memory between guard pages (``tests/programs/guard.py``): programs run in
processes of their own, and one that dies is a difference.
Most programs are short, some long, unless ``--scale`` says otherwise: short ones cover more in the
same time.  ``--counts FILE`` keeps what was run over several calls.  Exit status 1 when a
difference was found, or a planted defect was missed.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import random
import signal
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent.parent))

from tests.programs import guard, planted, ways
from tests.programs.check import LAYOUT, ROUNDING, check, options, signature
from tests.programs.generate import generate, generate_orders, scale_of
from tests.programs.layers import generate_layers
from tests.programs.minimise import minimise
from tests.programs.program import Program

CHUNK = 100  # programs between two looks at the clock of several jobs


@dataclass
class Count:
    """What was run and what was found."""

    programs: int = 0
    statements: int = 0
    native: int = 0
    differences: int = 0
    layouts: int = 0  # programs that differ from PyTorch in strides only
    rounding: int = 0  # where PyTorch is as unsure of its own value
    seconds: float = 0.0
    coverage: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    reports: list[str] = field(default_factory=list)

    def add(self, other: Count) -> None:
        """Take in what another part of the work counted."""
        self.programs += other.programs
        self.statements += other.statements
        self.native += other.native
        self.differences += other.differences
        self.layouts += other.layouts
        self.rounding += other.rounding
        self.seconds += other.seconds
        self.coverage.update(other.coverage)

    def line(self) -> str:
        """The totals, for people."""
        rate = self.programs / max(self.seconds, 1e-9)
        return (
            f"{self.programs} programs ({self.native} with compiled plans), {self.statements} "
            f"statements each way, {self.differences} differences, {self.layouts} in strides only, "
            f"{self.rounding} in rounding that PyTorch is as unsure of; {self.seconds:.1f} s, "
            f"{rate:.1f} programs/s"
        )


def program_of(
    seed: int, coverage: Counter[tuple[str, str, str]], scale: float, layers: float, orders: float
) -> Program:
    """The program of a seed: a share has layers, large values and odd layouts, a share of the rest
    derivatives of higher orders."""
    r = random.Random(seed * 5 + 3)
    make = generate_layers if r.random() < layers else generate
    make = generate_orders if make is generate and r.random() < orders else make
    return make(seed, coverage, scale or scale_of(seed))


def report(p: Program, torch: bool, native: float, seconds: float) -> str:
    """What differs in ``p``, made small."""
    o = options(p.seed, torch, native)
    d = check(p, o)
    if d is None:
        return f"seed {p.seed}: a difference that did not come again"
    if not d.kind.startswith("torch"):
        o.torch = False
    want = signature(d)

    def bad(q: Program) -> bool:
        e = check(q, o)
        return e is not None and signature(e) == want

    small = minimise(p, bad, seconds)
    return f"seed {p.seed}, {o}\n{check(small, o) or d}\n{small.text()}"


def tidy(seed: int) -> None:
    """Set when garbage is collected: most programs run between two collections of everything, a
    few with collections all the time, since what dies in a cycle dies in the middle of something.
    """
    if seed % 100 == 0:
        gc.collect()
    gc.set_threshold(*((700, 10, 10) if seed % 20 == 7 else (50_000, 10, 1000)))


def run_seeds(
    seeds: range, torch: bool, native: float, scale: float, layers: float, orders: float,
    shrink: float, end: float, show: bool,
) -> Count:  # fmt: skip
    """Run the programs of ``seeds``, until the clock says ``end``."""
    out = Count()
    start = time.monotonic()
    gc.freeze()  # what was imported is not looked through again and again
    for seed in seeds:
        if time.time() > end:
            break
        tidy(seed)
        p = program_of(seed, out.coverage, scale, layers, orders)
        out.statements += sum(len(b.lines) * b.times for b in p.blocks)
        out.programs += 1
        o = options(seed, torch, native)
        out.native += o.fuse_after < 100
        d = check(p, o)
        if d is not None and d.kind == LAYOUT:
            out.layouts += 1
            if show:
                print(f"seed {seed}: other strides, {d.text}", flush=True)
        elif d is not None and d.kind == ROUNDING:
            out.rounding += 1
            if show:
                print(f"seed {seed}: rounding, {d.text}", flush=True)
        elif d is not None:
            out.differences += 1
            text = report(p, torch, native, shrink)
            out.reports.append(text)
            if show:
                print(f"--- difference {out.differences}", text, sep="\n", flush=True)
        if show and out.programs % 1000 == 0:
            out.seconds = time.monotonic() - start
            print(f"seed {seed}: {out.line()}", flush=True)
    out.seconds = time.monotonic() - start
    return out


def run_programs(args: argparse.Namespace) -> int:
    """Count programs, statements, values and differences."""
    torch = not args.no_torch and ways.have_torch()
    end = time.time() + 60 * args.minutes if args.minutes else float("inf")
    rest = (torch, args.native, args.scale, args.layers, args.orders, args.shrink, end)
    seeds = range(args.seed, args.seed + args.count)
    total = Count()
    if args.jobs == 1:
        total = run_seeds(seeds, *rest, True)
    else:
        start = time.monotonic()
        with ProcessPoolExecutor(
            args.jobs, multiprocessing.get_context("spawn"), max_tasks_per_child=20
        ) as pool:
            tasks = {
                pool.submit(run_seeds, seeds[k : k + CHUNK], *rest, False): seeds[k]
                for k in range(0, len(seeds), CHUNK)
            }
            for f in as_completed(tasks):
                try:
                    part = f.result()
                except BrokenProcessPool:
                    part = Count(differences=1, reports=[f"a process died near seed {tasks[f]}"])
                total.add(part)
                for text in part.reports:
                    print("--- difference", text, sep="\n", flush=True)
        total.seconds = time.monotonic() - start
    if args.counts:
        total.add(load(args.counts))
        save(total, args.counts)
    print(f"{total.line()}; PyTorch {'' if torch else 'not '}compared; {build()}")
    if args.table:
        table(total.coverage)
    return 1 if total.differences else 0


def guarded_part(seeds: range, rest: tuple[Any, ...], at: Any, counted: Any) -> None:
    """`run_seeds` in a process whose memory is guarded; ``at``: the seed it is at."""
    guard.install()
    for seed in seeds:
        at.value = seed
        counted.send(run_seeds(range(seed, seed + 1), *rest, True))


def run_guarded(args: argparse.Namespace) -> int:
    """Programs with memory between guard pages; a process that dies is a difference."""
    why = guard.available()
    if why:
        print(why)
        return 1
    context = multiprocessing.get_context("spawn")
    torch = not args.no_torch and ways.have_torch()
    end = time.time() + 60 * args.minutes if args.minutes else float("inf")
    rest = (torch, args.native, args.scale, args.layers, args.orders, args.shrink, end)
    total = Count()
    start = time.monotonic()
    seed, last = args.seed, args.seed + args.count
    while seed < last and time.time() < end:
        at = context.Value("q", seed)
        ours, theirs = context.Pipe(duplex=False)
        seeds = range(seed, min(seed + CHUNK, last))
        child = context.Process(target=guarded_part, args=(seeds, rest, at, theirs))
        child.start()
        theirs.close()
        seed = seeds.stop
        try:
            while True:
                total.add(ours.recv())
        except EOFError:
            pass
        child.join()
        if child.exitcode:
            name = signal.Signals(-child.exitcode).name if child.exitcode < 0 else child.exitcode
            print(f"--- difference\nseed {at.value}: the process died ({name})", flush=True)
            total.differences += 1
            total.programs += 1
            seed = at.value + 1
        total.seconds = time.monotonic() - start
        print(f"seed {seed}: {total.line()}", flush=True)
    if args.counts:
        total.add(load(args.counts))
        save(total, args.counts)
    print(f"{total.line()}; guarded; PyTorch {'' if torch else 'not '}compared")
    if args.table:
        table(total.coverage)
    return 1 if total.differences else 0


def build() -> str:
    """Which engine ran."""
    return "pure Python" if planted.is_pure() else "compiled core"


def load(path: str) -> Count:
    """Counts kept by earlier calls."""
    if not Path(path).exists():
        return Count()
    d = json.loads(Path(path).read_text(encoding="utf-8"))
    rows = {(a, b, c): n for a, b, c, n in d.pop("coverage")}
    return Count(**d, coverage=Counter(rows))


def save(c: Count, path: str) -> None:
    """Keep counts for later calls."""
    names = ("programs", "statements", "native", "differences", "layouts", "rounding", "seconds")
    d: dict[str, Any] = {k: getattr(c, k) for k in names}
    d["coverage"] = [[*k, n] for k, n in sorted(c.coverage.items())]
    Path(path).write_text(json.dumps(d), encoding="utf-8")


def table(coverage: Counter[tuple[str, str, str]]) -> None:
    """What was written: operations, and writes by kind of view."""
    ops = Counter[str]()
    writes: dict[str, Counter[str]] = {}
    for (op, view, write), n in coverage.items():
        if write:
            writes.setdefault(write, Counter())[view] += n
        else:
            ops[f"{op} of {view}" if view not in ("", "base") else op] += n
    print("operations:", ", ".join(f"{k} {n}" for k, n in ops.most_common()))
    for write, views in sorted(writes.items()):
        print(f"write {write}:", ", ".join(f"{k} {n}" for k, n in views.most_common()))


def run_planted(args: argparse.Namespace) -> int:
    """Plant each defect and see how long it takes to be found."""
    torch = not args.no_torch and ways.have_torch()
    seeds = range(args.seed, args.seed + args.count)
    opts = {s: options(s, torch, args.native) for s in seeds}
    good: dict[bool, list[int]] = {}
    missed = tried = 0
    for p in planted.PLANTS:
        if args.only and args.only not in p.name:
            continue
        tried += 1
        if p.orders not in good:
            good[p.orders] = planted.good_seeds(seeds, opts, p.orders)
            print(f"{len(good[p.orders])} of {len(seeds)} programs show nothing as it is")
        if not planted.applies(p):
            print(f"GONE    {p.name}: its text is no longer in {p.where}")
            missed += 1
            continue
        caught = planted.catch(p, good[p.orders], opts, args.seconds)
        if caught is None:
            print(f"MISSED  {p.name}", flush=True)
            missed += 1
        else:
            print(f"{caught[0]:5.1f} s, program {caught[1]:4d}: {p.name}", flush=True)
    print(f"{tried - missed} of {tried} planted defects caught")
    return 1 if missed else 0


def main() -> int:
    """Read the command line."""
    a = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    a.add_argument("--count", type=int, default=500)
    a.add_argument("--seed", type=int, default=0)
    a.add_argument("--minutes", type=float, default=0.0, help="stop after this long")
    a.add_argument("--no-torch", action="store_true", help="do not compare with PyTorch")
    a.add_argument("--native", type=float, default=0.1, help="share that runs compiled plans")
    a.add_argument("--scale", type=float, default=0.0, help="length of programs; 0: a mix")
    a.add_argument("--layers", type=float, default=0.5, help="share with layers, large values")
    a.add_argument(
        "--orders", type=float, default=0.3, help="share of the rest: derivatives of higher orders"
    )
    a.add_argument("--shrink", type=float, default=15.0, help="seconds to make a program small")
    a.add_argument("--jobs", type=int, default=1, help="processes")
    a.add_argument("--counts", default="", help="file that keeps counts over several calls")
    a.add_argument("--table", action="store_true", help="print what was exercised")
    a.add_argument("--guarded", action="store_true", help="memory between guard pages")
    a.add_argument("--planted", action="store_true", help="plant defects instead")
    a.add_argument("--only", default="", help="planted defects with this in their name")
    a.add_argument("--seconds", type=float, default=60.0, help="for each planted defect")
    args = a.parse_args()
    if args.planted:
        return run_planted(args)
    return run_guarded(args) if args.guarded else run_programs(args)


if __name__ == "__main__":
    sys.exit(main())
