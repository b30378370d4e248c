"""Run random programs three ways and say where they differ; or plant defects and see them caught.

    python scripts/random_programs.py --count 2000 --seed 0 [--no-torch] [--minutes 5]
    python scripts/random_programs.py --planted [--seconds 60]

Exit status 1 when a difference was found, or a planted defect was missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.programs import planted, ways
from tests.programs.check import check, options, signature
from tests.programs.generate import generate
from tests.programs.minimise import minimise
from tests.programs.program import Program


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


def run_programs(args: argparse.Namespace) -> int:
    """Count programs, statements, values and differences."""
    coverage: Counter[tuple[str, str, str]] = Counter()
    torch = not args.no_torch and ways.have_torch()
    start = time.monotonic()
    found = 0
    statements = 0
    done = 0
    for seed in range(args.seed, args.seed + args.count):
        if args.minutes and time.monotonic() - start > 60 * args.minutes:
            break
        p = generate(seed, coverage, args.scale)
        statements += sum(len(b.lines) * b.times for b in p.blocks)
        done += 1
        if check(p, options(seed, torch, args.native)) is not None:
            found += 1
            print(
                f"--- difference {found}",
                report(p, torch, args.native, args.shrink),
                sep="\n",
                flush=True,
            )
    took = time.monotonic() - start
    print(
        f"{done} programs, {statements} statements each way, {found} differences; "
        f"{took:.1f} s, {done / took:.1f} programs/s; PyTorch {'' if torch else 'not '}compared"
    )
    if args.table:
        table(coverage)
    return 1 if found else 0


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
    good = planted.good_seeds(seeds, opts)
    print(f"{len(good)} of {len(seeds)} programs show nothing as it is", flush=True)
    missed = 0
    for p in planted.PLANTS:
        if not planted.applies(p):
            print(f"GONE    {p.name}: its text is no longer in {p.where}")
            missed += 1
            continue
        caught = planted.catch(p, good, opts, args.seconds)
        if caught is None:
            print(f"MISSED  {p.name}", flush=True)
            missed += 1
        else:
            print(f"{caught[0]:5.1f} s, program {caught[1]:4d}: {p.name}", flush=True)
    print(f"{len(planted.PLANTS) - missed} of {len(planted.PLANTS)} planted defects caught")
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
    a.add_argument("--native", type=float, default=0.2, help="share that runs compiled plans")
    a.add_argument("--scale", type=float, default=1.0, help="length of programs")
    a.add_argument("--shrink", type=float, default=15.0, help="seconds to make a program small")
    a.add_argument("--table", action="store_true", help="print what was exercised")
    a.add_argument("--planted", action="store_true", help="plant defects instead")
    a.add_argument("--seconds", type=float, default=60.0, help="for each planted defect")
    args = a.parse_args()
    return run_planted(args) if args.planted else run_programs(args)


if __name__ == "__main__":
    sys.exit(main())
