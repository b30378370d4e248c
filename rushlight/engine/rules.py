"""Gradient rules, remembered: what a rule records is a function of the operation, its static
argument, the specs it sees and which operands want a gradient, so it is worked out once.

A ``Lesson`` is a rule's records on places: operand ``k`` is place ``k``, then come the result, its
gradient, and what the rule records, in order.
"""

from __future__ import annotations

from typing import Any, Final

from mypy_extensions import mypyc_attr

from ..base import dtype as dt
from ..base.device import CPU
from ..graph.op import Op, Spec
from .records import Rec
from .specs import exact

MOST: Final = 2048  # lessons that are kept
MOST_STEPS: Final = 40_000  # and steps of them
LESSONS: Final[dict[Any, Lesson]] = {}
READS: Final[dict[Any, tuple[int, ...]]] = {}  # places whose values a rule reads
_steps: Final[list[int]] = [0]


@mypyc_attr(acyclic=True)
class Step:
    """One record of a rule (``op``), or a gradient handed on: of ``operand``, at ``srcs[0]``."""

    __slots__ = ("arg", "op", "operand", "rg", "spec", "srcs")

    def __init__(
        self, op: Op | None, srcs: tuple[int, ...], arg: Any, spec: Any, rg: bool, operand: int
    ) -> None:
        self.op: Op | None = op
        self.srcs: tuple[int, ...] = srcs
        self.arg: Any = arg
        self.spec: Any = spec
        self.rg: bool = rg
        self.operand: int = operand


@mypyc_attr(acyclic=True)
class Lesson:
    """What a rule does with operands of a kind."""

    __slots__ = ("steps",)

    def __init__(self, steps: list[Step]) -> None:
        self.steps: list[Step] = steps


class Log:
    """What a rule that is being applied hands on: (records so far, operand's slot, slot, was it
    added to what was there)."""

    __slots__ = ("events", "first", "operands")

    def __init__(self, operands: tuple[int, ...], first: int) -> None:
        self.operands: tuple[int, ...] = operands
        self.first: int = first  # records of the tape before it
        self.events: list[tuple[int, int, int, bool]] = []


def question(n: Rec, specs: list[Spec], gradient: Spec | None, wanted: int, create: bool) -> Any:
    """What a rule's answer depends on; None where it is not remembered (other devices)."""
    spec: Spec = n.spec
    if spec.device is not CPU:
        return None
    for s in specs:
        if s.device is not CPU:
            return None
    return (
        n.row, exact(n.arg), wanted, create, dt.Defaults.float, spec, gradient, *specs,
    )  # fmt: skip


def learn(key: Any, n: Rec, g: int, made: list[Rec], log: Log) -> None:
    """Keep what a rule did: ``made`` are its records, sums of gradients included."""
    place: dict[int, int] = {}
    for s in n.srcs:
        place[s] = len(place)
    place[int(n.slot)] = len(place)
    place[g] = len(place)
    first = len(n.srcs) + 2
    if len(place) != first:
        return  # one value in two places: which of them the rule meant cannot be told
    steps: list[Step] = []
    events = log.events
    at = 0
    count = 0
    i = 0
    while True:
        while at < len(events) and events[at][0] == i:
            _, s, slot, added = events[at]
            found = place.get(slot)
            if found is None:
                return
            steps.append(Step(None, (found,), None, None, False, n.srcs.index(s)))
            at += 1
            if added:
                i += 1
        if i >= len(made):
            break
        r = made[i]
        srcs: list[int] = []
        for s in r.srcs:
            found = place.get(s)
            if found is None:
                return
            srcs.append(found)
        place[int(r.slot)] = first + count
        count += 1
        steps.append(Step(r.row, tuple(srcs), r.arg, r.spec, r.rg, 0))
        i += 1
    if len(LESSONS) >= MOST or _steps[0] > MOST_STEPS:
        LESSONS.clear()
        _steps[0] = 0
    _steps[0] += len(steps)
    LESSONS[key] = Lesson(steps)


def readings(key: Any, n: Rec, slots: list[int]) -> None:
    """Keep which of its operands and whether its result a rule reads."""
    places: list[int] = []
    srcs = n.srcs
    for s in slots:
        if s == n.slot:
            if s in srcs:
                return
            places.append(len(srcs))
        elif srcs.count(s) == 1:
            places.append(srcs.index(s))
        else:
            return
    if len(READS) >= MOST:
        READS.clear()
    READS[key] = tuple(places)
