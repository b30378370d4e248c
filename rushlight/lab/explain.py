"""What the recorder has: the stretches it has seen, what they do, how they run and how often.

import rushlight as torch
...                              # train
print(torch.explain())           # or torch.explain(kernels=True), torch.explain(programs=True)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rushlight.base.settings import settings
from rushlight.base.target import host
from rushlight.compiler import lower
from rushlight.compiler.loops import LoopProgram
from rushlight.engine.core import Engine, mine
from rushlight.engine.execute import REFUSED
from rushlight.engine.memory import nbytes
from rushlight.engine.plan import FlushInfo
from rushlight.engine.records import BACKWARD, DUMMY, FLUSH, MODE, ROOT, STEP, TEMPLATE, Rec

_WORDS = {
    BACKWARD: "backward",
    TEMPLATE: "backward through an earlier stretch",
    STEP: "optimiser step",
}


class Stretch:
    """One stretch of a program, from one run to the next."""

    def __init__(self, end: Rec) -> None:
        self._info: FlushInfo = end.info
        self._path = _path(end)

    @property
    def runs(self) -> int:
        """How often it was run."""
        runs = int(self._info.runs)
        return runs if runs < REFUSED else runs - REFUSED + settings.fuse_after

    @property
    def compiled(self) -> bool:
        """Whether it runs as native code by now."""
        return self._info.code is not None

    @property
    def operations(self) -> int:
        """Operations of its program, inputs and numbers not counted."""
        return sum(n.op.kind not in ("leaf", "const") for n in self._info.program.nodes)

    def program(self) -> str:
        """Its operations as the compiler gets them, gradients and updates included."""
        return str(self._info.program)

    def loops(self) -> LoopProgram:
        """Its kernels.  NotImplementedError where the program has operations for libraries."""
        return lower(self._info.program, host())

    def recorded(self) -> list[str]:
        """What the program did, a line each, in the program's own operations."""
        inputs = [r for r in self._path if r.row is not None and r.row.kind == "leaf"]
        lines = (
            [f"{len(inputs)} inputs: {_grouped(repr(r.spec) for r in inputs)}"] if inputs else []
        )
        same: dict[int, int] = {}  # values that the recorder gave another history
        for r in self._path:
            if r.row is None:
                if r.op in _WORDS:
                    lines.append(f"{_WORDS[r.op]}: {_grouped(_names(r.subs))}")
            elif r.row.kind == "alias":
                same[int(r.slot)] = same.get(r.srcs[0], r.srcs[0])
            elif r.row.kind not in ("leaf", "const"):
                operands = ", ".join(f"%{same.get(s, s)}" if s >= 0 else "number" for s in r.srcs)
                argument = "" if r.arg is None else f" {r.arg}"
                lines.append(f"%{r.slot} = {r.row.name}({operands}){argument} : {r.spec!r}")
        return lines

    def plan(self) -> str:
        """How it runs, in a sentence."""
        if not self._info.outputs:
            return "nothing to compute"
        try:
            loops = self.loops()
        except NotImplementedError as error:
            return f"one operation at a time: {error}"
        products = sum(loops.kernels[c.kernel].kind == "product" for c in loops.calls)
        parts = f"{_count(len(loops.calls), 'kernel')}, {products} of them matrix products"
        nodes = self._info.program.nodes
        written = sum(nbytes(nodes[o].spec) for o in self._info.program.outputs)
        memory = f"{_bytes(written)} of results, {_bytes(loops.workspace)} of workspace"
        if self.compiled:
            return f"{parts}; {memory}"
        when = f"would be compiled at run {settings.fuse_after}, into {parts}"
        return f"one operation at a time so far; {when}"


class Explanation:
    """What `explain` found; printing it shows the text."""

    def __init__(self, engine: Engine, programs: bool, kernels: bool) -> None:
        self.records = int(engine.nrec)
        self.flushes = int(engine.nflush)
        self.pending = int(engine.cur.end) if engine.cur.op != ROOT else 0
        self.stretches = sorted(
            (Stretch(r) for r in _ends(engine)), key=lambda s: (s.runs, s.operations), reverse=True
        )
        self._programs, self._kernels = programs, kernels

    def __str__(self) -> str:
        return "\n".join(self._lines())

    __repr__ = __str__

    def _lines(self) -> Iterator[str]:
        yield (
            f"{_count(self.flushes, 'run')} of {_count(len(self.stretches), 'stretch', 'es')}; "
            f"{_count(self.records, 'record')} kept, {self.pending} pending"
        )
        for k, s in enumerate(self.stretches, 1):
            yield ""
            how = "native code" if s.compiled else "not compiled"
            yield (
                f"Stretch {k}: run {_count(s.runs, 'time')}, {how}, "
                f"{_count(s.operations, 'operation')}"
            )
            yield from (f"  {line}" for line in s.recorded())
            yield f"  plan: {s.plan()}"
            if self._programs:
                yield from (f"    {line}" for line in s.program().splitlines())
            if self._kernels and s.compiled:
                yield from (f"    {line}" for line in str(s.loops()).splitlines())


def explain(*, programs: bool = False, kernels: bool = False) -> Explanation:
    """What this thread's recorder has seen, most often run first; print it.

    `programs`: with every operation of each stretch, those of gradients and updates included.
    `kernels`: with the loops that were compiled.
    Nothing is run by it: what is pending stays pending.
    """
    return Explanation(mine(), programs, kernels)


# ------------------------------------------------------------------- reading the records


def _ends(engine: Engine) -> Iterator[Rec]:
    """The records that end stretches, each once."""
    seen: set[int] = set()
    todo: list[Rec] = list(engine.roots)
    while todo:
        r = todo.pop()
        if r is DUMMY or id(r) in seen:
            continue
        seen.add(id(r))
        if r.op == FLUSH and r.info is not None:
            yield r
            continue
        todo += [r.nxt, *r.alts.values()]


def _path(end: Rec) -> list[Rec]:
    """The records of a stretch, in order."""
    found: list[Rec] = []
    r = end.parent
    while r is not None and r.op != ROOT:
        if r.op != MODE:
            found.append(r)
        r = r.parent
    return found[::-1]


def _names(records: Iterable[Rec]) -> Iterator[str]:
    return (
        r.row.name for r in records if r.row is not None and r.row.kind not in ("leaf", "const")
    )


def _grouped(words: Iterable[str]) -> str:
    """`3 mul, add` for mul, add, mul, mul."""
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return ", ".join(word if n == 1 else f"{n} {word}" for word, n in counts.items()) or "nothing"


def _count(n: int, word: str, plural: str = "s") -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}{plural}"


def _bytes(n: int) -> str:
    return f"{n} bytes" if n < 10_000 else f"{n / 1e3:.0f} KB" if n < 10**7 else f"{n / 1e6:.0f} MB"
