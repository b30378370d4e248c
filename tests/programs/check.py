"""Running one program all three ways and saying what differs."""

from __future__ import annotations

import random
import re
import traceback
from dataclasses import dataclass

from rushlight.engine import eager_steps
from rushlight.engine.records import CREDIT

from . import guard, rounding, ways
from .compare import Difference, beyond, differ
from .higher import BEYOND
from .program import Program, Trace

TOLERANCE = {"float32": 2e-5, "float64": 1e-10}


@dataclass
class Options:
    """How a program is recorded."""

    fuse_after: int = 2
    verify: bool = False
    checking: bool = False
    again: int = 1
    limit: int = 1000
    credit: int = CREDIT
    torch: bool = True
    strides: bool = True
    patience: int = 64  # how often a general kernel is wanted before it is compiled


def options(seed: int, torch: bool, native: float = 0.3) -> Options:
    """What a seed is run with: a share has native plans (they cost compile time)."""
    r = random.Random(seed * 7 + 1)
    o = Options(torch=torch)
    if r.random() < native:
        o.fuse_after = r.choice((1, 2, 2))
        o.verify = r.random() < 0.3
        o.again = r.choice((1, 2))
    else:
        o.fuse_after = 1 << 40
        o.again = r.choice((1, 2, 2, 3))
    o.checking = r.random() < 0.25
    if r.random() < 0.3:  # stretches end in the middle of everything
        o.limit = r.choice((3, 4, 5, 6, 8, 10, 12, 14, 20, 40))
    if r.random() < 0.3:
        o.credit = r.choice((-1, -1, 10, 60))
    if r.random() < 0.5:
        o.patience = 0
    return o


LAYOUT = "torch: layout"  # the kind of a difference in nothing but strides
ROUNDING = "torch: rounding"  # of a value that PyTorch is as unsure of itself


def tolerance(p: Program) -> float:
    """What PyTorch may differ by."""
    text = p.text()
    rtol = TOLERANCE["float32" if "float32" in text or ".float()" in text else "float64"]
    return rtol * 50 if "T.nn." in text else rtol  # layers add up much


def check(p: Program, o: Options) -> Difference | None:
    """The first difference, None when all ways agree."""
    patience = eager_steps.PATIENCE[0]
    eager_steps.PATIENCE[0] = o.patience
    guard.strays()  # another program's
    try:
        d = compared(p, o)
    finally:
        eager_steps.PATIENCE[0] = patience
    stray = guard.strays()
    return Difference("stray", "; ".join(stray)) if stray and d is None else d


def compared(p: Program, o: Options) -> Difference | None:
    """`check` without a look at guarded memory."""
    codes: dict[str, object] = {}
    try:
        alone = ways.one_at_a_time(p, codes)
    except Exception as error:
        return broke("one at a time", error)
    try:
        traces = ways.recorded(
            p, o.fuse_after, o.verify, o.checking, o.again, o.limit, codes, o.credit
        )
    except Exception as error:
        return broke("recorded", error)
    for k, t in enumerate(traces):
        d = differ(p, alone, t)
        if d is not None:
            d.kind = f"recorded {k + 1}: {d.kind}" if k else f"recorded: {d.kind}"
            return d
    if o.torch:
        return with_torch(p, alone, o, codes)
    return None


def with_torch(p: Program, alone: Trace, o: Options, codes: dict[str, object]) -> Difference | None:
    """Compare what ran one at a time with PyTorch."""
    text = p.text()
    if BEYOND in text:
        return None
    strides = o.strides
    theirs = ways.pytorch(p, codes)
    d = differ(p, alone, theirs, tolerance(p), strides)
    if d is not None and strides:
        e = differ(p, alone, theirs, tolerance(p), False)
        d = Difference("layout", d.text) if e is None else e
    if d is not None and d.kind == "value":
        why = unsure(p, codes, alone, theirs, d.at)
        d = Difference("rounding", f"{why}: {d.text}") if why else d
    if d is not None:
        d.kind = f"torch: {d.kind}"
    return d


def unsure(p: Program, codes: dict[str, object], ours: Trace, theirs: Trace, at: int) -> str | None:
    """Does PyTorch's own value move as far, when it rounds otherwise, or is it farther from its
    value in float64 than ours?  By how much, then."""
    x, y = ours.seen[at].value, theirs.seen[at].value
    if not (rounding.is_number(x) and rounding.is_number(y)):
        return None
    u = rounding.Unsure(x, y, beyond(x, y, tolerance(p)))
    double = ways.in_double(p)
    truth = rounding.place(double, theirs, at) if double is not None else None
    if truth is not None and u.nearer(x, truth):
        return u.text(True)
    for turn in range(1, rounding.RUNS + 1):
        u.see(rounding.place(ways.pytorch(p, codes, turn), theirs, at))
        if u.explained():
            return u.text()
    return None


def broke(where: str, error: Exception) -> Difference:
    """An exception no statement may raise."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{last.filename.split('/')[-1]}:{last.lineno}"
    text = f"{type(error).__name__} at {place}: {str(error)[:400]}"
    return Difference(f"{where}: broke {type(error).__name__}", text)


def signature(d: Difference) -> str:
    """What stays the same while a program is made smaller: the kind, the words of errors."""
    lines = d.text.split("\n")
    if "broke" in d.kind:
        return f"{d.kind} {lines[0][:60]}"
    words = [
        re.sub(r"[0-9.]+", "#", q.strip())[:60] for q in lines if q.strip().startswith("raised")
    ]
    meta = [q for q in lines[1:] if "meta" in d.kind]
    return " ".join([d.kind, *words, *(re.sub(r"\(?\(.*\), 'torch", "", q) for q in meta)])
