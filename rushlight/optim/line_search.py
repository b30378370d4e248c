"""Line searches for optimisers that look along a direction: the strong Wolfe conditions.

Source: Nocedal & Wright, "Numerical optimization", 2006, algorithms 3.5 and 3.6, in the form of
minFunc and PyTorch, decision for decision.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple


class Point(NamedTuple):
    """A step length, the loss there, the gradient, and its part along the direction."""

    t: float
    f: float
    g: Any
    slope: float


def cubic_minimum(a: Point, b: Point, bounds: tuple[float, float] | None = None) -> float:
    """Where the cubic through two points with their slopes is smallest, within bounds."""
    low, high = bounds if bounds is not None else (min(a.t, b.t), max(a.t, b.t))
    d1 = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t)
    square = d1**2 - a.slope * b.slope
    if square < 0 or math.isnan(square):
        return (low + high) / 2.0
    d2 = math.sqrt(square)
    if a.t <= b.t:
        at = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
    else:
        at = a.t - (a.t - b.t) * ((a.slope + d2 - d1) / (a.slope - b.slope + 2 * d2))
    return min(max(at, low), high)


def strong_wolfe(
    look: Callable[[float], Point],
    t: float,
    start: Point,
    width: float,
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance: float = 1e-9,
    most: int = 25,
) -> tuple[Point, int]:
    """A point along a direction that satisfies the strong Wolfe conditions, and how many were
    looked at.

    ``look(t)`` evaluates; ``start`` is the point at 0; ``width`` the direction's largest element.
    """
    new = look(t)
    looked = 1
    before = start
    bracket: list[Point] = []
    done = False
    rounds = 0
    while rounds < most:
        if new.f > start.f + c1 * new.t * start.slope or (rounds > 1 and new.f >= before.f):
            bracket = [before, new]
            break
        if abs(new.slope) <= -c2 * start.slope:
            bracket = [new]
            done = True
            break
        if new.slope >= 0:
            bracket = [before, new]
            break
        bounds = (new.t + 0.01 * (new.t - before.t), new.t * 10)
        t = cubic_minimum(before, new, bounds)
        before = new
        new = look(t)
        looked += 1
        rounds += 1
    if rounds == most:
        bracket = [start, new]
    low, high = (0, len(bracket) - 1) if bracket[0].f <= bracket[-1].f else (len(bracket) - 1, 0)
    stuck = False
    while not done and rounds < most:
        first, last = bracket
        left, right = min(first.t, last.t), max(first.t, last.t)
        if abs(last.t - first.t) * width < tolerance:
            break
        t = cubic_minimum(first, last)
        # Too close to an end twice: take a tenth of the bracket from there.
        margin = 0.1 * (right - left)
        if min(right - t, t - left) < margin:
            if stuck or t >= right or t <= left:
                t = right - margin if abs(t - right) < abs(t - left) else left + margin
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        new = look(t)
        looked += 1
        rounds += 1
        if new.f > start.f + c1 * new.t * start.slope or new.f >= bracket[low].f:
            bracket[high] = new
            low, high = (0, 1) if bracket[0].f <= bracket[1].f else (1, 0)
        else:
            if abs(new.slope) <= -c2 * start.slope:
                done = True
            elif new.slope * (bracket[high].t - bracket[low].t) >= 0:
                bracket[high] = bracket[low]
            bracket[low] = new
    return bracket[low], looked
