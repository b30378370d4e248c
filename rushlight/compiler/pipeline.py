"""The compiler as a list: a program in, loops out."""

from __future__ import annotations

from ..base.dtype import FLOAT8
from ..base.target import Target
from ..graph.node import Program, expand
from .group import Grouping, group
from .loops import LoopProgram
from .recompute import recompute
from .resolve import resolve
from .schedule import schedule
from .values import Values


def lower(program: Program, target: Target) -> LoopProgram:
    """The loop program of a program; bits never depend on `target`.

    Raises:
        NotImplementedError: a node of a kind or type that plans do not hold (library calls,
            complex numbers, floats of 8 bits).
    """
    del target  # the loop form is the same on every machine
    for n in program.nodes:
        if n.spec.dtype.kind == "c" or n.spec.dtype in FLOAT8:
            raise NotImplementedError(f"plans do not hold {n.spec.dtype}")
    flat: Program = expand(program)  # composites are taken apart by their rows
    values: Values = resolve(flat)  # views are index maps; dead and repeated work is gone
    groups: Grouping = group(values)  # what is computed together, and what has memory
    groups = recompute(groups)  # what is cheap is made where it is read, and not kept
    return schedule(groups, flat)  # loops, tasks and memory
