"""The reverse walk: gradients of a program's values, as more nodes of the same program.

``differentiate(builder, seeds, wants)``.  It goes once through the nodes from last to first, asks
each row's rules, brings what comes back to its operand's shape and type, and adds where paths meet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from .node import Node, ProgramBuilder
from .op import ALIAS, CONTROL, FULL, INDEX, JOIN, MOVE, TABLE, WRITE, Op
from .ops.core import const, full
from .ops.elementwise import add, cast
from .ops.reduce import sum_to
from .value import Val

# Rules that say themselves what a complex gradient is; those of other operations are written for
# functions of real numbers.
_OWN: Final = frozenset(
    {
        "abs",
        "angle",
        "as_complex",
        "as_real",
        "cast",
        "complex",
        "conj",
        "eig",
        "fft_c2c",
        "fft_c2r",
        "fft_r2c",
        "imag",
        "real",
        "sgn",
    }
)
# Operations that only move, choose or add elements: conjugating would undo itself.
_LINEAR: Final = frozenset({ALIAS, CONTROL, FULL, INDEX, JOIN, MOVE, WRITE})
_SUMS: Final = frozenset({"add", "copy", "neg", "sub", "sum", "to_device", "where"})


def pulled(
    op: Op, k: int, rule: Callable[..., Any], g: Val, out: Val, operands: Sequence[Val]
) -> Val | None:
    """What a row's rule gives for operand ``k``; for complex numbers in PyTorch's convention.

    A rule multiplies by the derivative f'; a complex gradient is multiplied by its conjugate, so
    both ends are conjugated.
    """
    if out.dtype.kind != "c" and operands[k].dtype.kind != "c":
        found: Val | None = rule(g, out, *operands)
        return found
    if op.kind in _LINEAR or op.name in _OWN or op.name in _SUMS:
        made: Val | None = rule(g, out, *operands)
        return made
    turn = TABLE["conj"]
    v: Val | None = rule(turn(g) if g.dtype.kind == "c" else g, out, *operands)
    return turn(v) if v is not None and v.dtype.kind == "c" else v


def ones_like(v: Val) -> Val:
    """Ones of ``v``'s shape and type: what a scalar root starts with."""
    b = v.builder
    one = Val(b, b.make(const, [], (1.0, v.dtype)))
    return full(one, arg=(v.shape, v.dtype))


def differentiate(
    builder: ProgramBuilder, seeds: Mapping[int, Val], wants: Sequence[Val]
) -> list[Val | None]:
    """Gradients at ``wants`` of the nodes in ``seeds`` (node -> gradient), None where none comes.

    Nodes are appended to the builder's program.
    """
    walk = _Walk(builder, {w.slot for w in wants})
    found = walk.run({s: g.slot for s, g in seeds.items()})
    return [Val(builder, found[w.slot]) if w.slot in found else None for w in wants]


class _Walk:
    """One walk; ``needed`` holds the nodes a gradient has to reach or pass through."""

    def __init__(self, builder: ProgramBuilder, wants: set[int]) -> None:
        self.b = builder
        self.nodes = builder.program.nodes
        self.wants = wants
        self.needed = set(wants)
        self.mark(0)
        self.g: dict[int, int] = {}

    def mark(self, first: int) -> None:
        """Which nodes from ``first`` on depend on what is wanted."""
        for i in range(first, len(self.nodes)):
            n = self.nodes[i]
            if n.spec.dtype.rank > 1 and any(
                s in self.needed and (n.op.decompose is not None or n.op.gradient(k) is not None)
                for k, s in enumerate(n.srcs)
            ):
                self.needed.add(i)

    def run(self, seeds: dict[int, int]) -> dict[int, int]:
        for s, g in seeds.items():
            self.add(s, g)
        self.back(0, max(seeds, default=-1) + 1)
        return self.g

    def back(self, first: int, last: int) -> None:
        """Hand on the gradients of the nodes first..last-1, the latest first."""
        for i in range(last - 1, first - 1, -1):
            g = self.g.get(i)
            if g is None or i not in self.needed:
                continue
            if i not in self.wants:
                del self.g[i]
            self.rule(i, self.nodes[i], g)

    def rule(self, i: int, n: Node, g: int) -> None:
        if not n.srcs:
            return
        operands = [Val(self.b, s) for s in n.srcs]
        if n.op.grads == () and n.op.decompose is not None:
            first = len(self.nodes)
            root = n.op.decompose(*operands, arg=n.arg).slot
            last = len(self.nodes)
            self.mark(first)
            self.add(root, g)
            self.back(first, last)
            return
        out = Val(self.b, i)
        for k, s in enumerate(n.srcs):
            f = n.op.gradient(k) if s in self.needed else None
            made = pulled(n.op, k, f, Val(self.b, g), out, operands) if f is not None else None
            if made is not None:
                self.add(s, made.slot)

    def add(self, s: int, g: int) -> None:
        """Add ``g`` to the gradient of node ``s``, in its shape and type."""
        spec = self.nodes[s].spec
        v = sum_to(Val(self.b, g), spec.shape)
        if v.dtype is not spec.dtype:
            v = cast(v, arg=spec.dtype)
        have = self.g.get(s)
        self.g[s] = v.slot if have is None else add(Val(self.b, have), v).slot
