"""Making a program that shows a defect as small as it gets."""

from __future__ import annotations

import time
from collections.abc import Callable

from .program import Block, Program


def minimise(p: Program, bad: Callable[[Program], bool], seconds: float = 20.0) -> Program:
    """Drop statements, then turns, as long as ``bad`` says the defect is still there."""
    end = time.monotonic() + seconds
    best = p

    def attempt(q: Program) -> bool:
        nonlocal best
        if time.monotonic() > end:
            return False
        if bad(q):
            best = q
            return True
        return False

    changed = True
    while changed and time.monotonic() < end:
        changed = False
        for k in range(len(best.blocks) - 1, -1, -1):
            q = Program(best.blocks[:k] + best.blocks[k + 1 :], p.seed)
            if len(best.blocks) > 1 and attempt(q):
                changed = True
        for k in range(len(best.blocks) - 1, -1, -1):
            size = max(len(best.blocks[k].lines) // 2, 1)
            while size:
                at = len(best.blocks[k].lines) - size
                while at >= 0 and time.monotonic() < end:
                    if attempt(without(best, k, at, size)):
                        changed = True
                    at -= size
                size //= 2
        for k, b in enumerate(best.blocks):
            for times in range(1, b.times):
                if attempt(replace(best, k, Block(b.lines, times, b.numbers, b.sizes))):
                    changed = True
                    break
            b = best.blocks[k]
            if b.numbers and attempt(replace(best, k, Block(b.lines, b.times, [], b.sizes))):
                changed = True
            b = best.blocks[k]
            if b.sizes and attempt(replace(best, k, Block(b.lines, b.times, b.numbers, []))):
                changed = True
    return best


def replace(p: Program, k: int, b: Block) -> Program:
    """``p`` with another block ``k``."""
    return Program([*p.blocks[:k], b, *p.blocks[k + 1 :]], p.seed)


def without(p: Program, k: int, at: int, size: int) -> Program:
    """``p`` less ``size`` statements of block ``k``."""
    b = p.blocks[k]
    lines = b.lines[: max(at, 0)] + b.lines[max(at, 0) + size :]
    return replace(p, k, Block(lines, b.times, b.numbers, b.sizes))
