"""When compiling a plan pays: a program whose sizes vary must not wait for code it hardly uses.

Running one operation at a time is the rent, compiling the price.  A second of compiling, and later
one part in twenty of the time since, is free for a stretch that comes again soon: a program with a
few plans is compiled at once.  That a stretch comes again may be chance, as of two batches of one
size among many: where others came between, the one before it has to have come again as well, since
a program that repeats does so with all that it does.  Otherwise a plan is compiled when it has
spent as long running one operation at a time as compiling it is expected to take, so that both
together never take more than twice the better choice.
"""

from __future__ import annotations

import math
import time
from typing import Final

from ..base.settings import settings
from .plan import FlushInfo

SHARE: Final = 0.05  # of the time since the start, which compiling may take without a reason
SOON: Final = 100  # stretches that may run before one comes again
NEAR: Final = 8  # with no more than these in between it is no chance
FIRST: Final = 0.1  # seconds: loading the compiler, and a plan, while no price is known


class Spent:
    """What compiling has cost so far."""

    def __init__(self) -> None:
        self.start: float = time.perf_counter()
        self.seconds: float = 0.0
        self.nodes: int = 0
        self.runs: int = 0  # stretches that ran one operation at a time
        self.again: bool = False  # had the last of them done so before?


SPENT: Final = Spent()


def pays(info: FlushInfo) -> bool:
    """Is it time to compile this plan?"""
    if settings.compile_free == math.inf:
        return True
    others = SPENT.runs - info.last
    soon = others <= NEAR or (others <= SOON and SPENT.again)
    if SPENT.nodes == 0:
        return soon or info.alone >= FIRST
    if soon:
        free = settings.compile_free + SHARE * (time.perf_counter() - SPENT.start)
        if SPENT.seconds <= free:
            return True
    return info.alone * SPENT.nodes >= SPENT.seconds * len(info.recs)


def compiled(info: FlushInfo, seconds: float) -> None:
    """A plan was compiled in so many seconds."""
    SPENT.seconds += seconds
    SPENT.nodes += len(info.recs)
