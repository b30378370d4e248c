"""Programs as the compiler takes them: a stretch's records in order, each reading earlier ones.

The recorder makes one from a stretch (``engine/plan.py``); composites are taken apart by
``expand``.
"""

from __future__ import annotations

from typing import Any

from ..base import dtype as dt
from ..base.dtype import dtype
from .op import COMPOSITE, CONTRACT, ELEMENTWISE, TABLE, Op, Spec, compute_type
from .value import Val


class Node:
    """One operation in a program.

    ``srcs``: indices of earlier nodes, or ``~k`` for the program's number ``k``.
    ``spec.strides`` is the layout the user sees; only outputs have to be written that way.
    ``ctype``: the type an elementwise node works in.
    """

    __slots__ = ("arg", "ctype", "op", "spec", "srcs")

    def __init__(
        self, op: Op, srcs: tuple[int, ...], arg: Any, spec: Spec, ctype: dtype | None
    ) -> None:
        self.op = op
        self.srcs = srcs
        self.arg = arg
        self.spec = spec
        self.ctype = ctype

    def __repr__(self) -> str:
        a = ", ".join(f"%{s}" if s >= 0 else f"#{~s}" for s in self.srcs)
        return (
            f"{self.op.name}({a})"
            + ("" if self.arg is None else f" {self.arg!r}")
            + f" : {self.spec!r}"
        )


class Program:
    """Nodes in order.

    ``numbers``: the kind (``'d'`` double, ``'q'`` int64) of each run-time number.
    ``outputs``: nodes whose values leave, each written whole to memory of its own in its spec's
    strides (dense).
    """

    def __init__(self, numbers: list[str] | None = None) -> None:
        self.nodes: list[Node] = []
        self.numbers: list[str] = [] if numbers is None else numbers
        self.outputs: list[int] = []

    @property
    def leaves(self) -> list[int]:
        """Indices of the nodes whose memory is handed in, in order."""
        return [i for i, n in enumerate(self.nodes) if n.op.kind == "leaf"]

    def __str__(self) -> str:
        lines = [f"%{i} = {n!r}" for i, n in enumerate(self.nodes)]
        return "\n".join([*lines, "return " + ", ".join(f"%{o}" for o in self.outputs)])


NUMBER_KIND = {"d": "f", "q": "i"}


class ProgramBuilder:
    """Records what rules ask for at the end of a program (``value.Builder``)."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def make(self, op: Op, srcs: list[int], arg: Any) -> int:
        specs = [self.spec(s) for s in srcs]
        ctype = compute_type(op.types, specs, arg) if op.kind == ELEMENTWISE else None
        self.program.nodes.append(Node(op, tuple(srcs), arg, op.infer(op, specs, arg), ctype))
        return len(self.program.nodes) - 1

    def number(self, value: float | int | bool, like: Val) -> int:
        return self.make(TABLE["const"], [], (value, const_type(value, like.dtype)))

    def spec(self, slot: int) -> Spec:
        if slot >= 0:
            return self.program.nodes[slot].spec
        kind = NUMBER_KIND[self.program.numbers[~slot]]
        return Spec((), dt.number_type(kind), (), number=kind)

    def arg(self, slot: int) -> Any:
        return self.program.nodes[slot].arg


def const_type(value: float | int | bool, like: dtype) -> dtype:
    """The type of a number in a rule: that of the value beside it, unless it would not fit."""
    from_float = isinstance(value, float)
    if like.kind in "bui" and from_float:
        return dt.Defaults.float
    if like.kind == "b" and not isinstance(value, bool):
        return dt.int64
    return like


def apart(op: Op, kind: dtype) -> bool:
    """Whether an operation on operands of type ``kind`` has no kernel of its own."""
    if op.kind == CONTRACT and op.decompose is not None:
        return kind is not dt.float32 and kind is not dt.float64
    return op.kind == COMPOSITE


def expand(program: Program) -> Program:
    """The same program without composites: each is taken apart by its row until none is left."""
    out = Program(numbers=program.numbers)
    b = ProgramBuilder(out)
    where: dict[int, int] = {}

    def put(op: Op, srcs: list[int], arg: Any, spec: Spec | None, ctype: dtype | None) -> int:
        if not apart(op, b.spec(srcs[0]).dtype if srcs else dt.float32):
            if spec is None:
                return b.make(op, srcs, arg)
            out.nodes.append(Node(op, tuple(srcs), arg, spec, ctype))
            return len(out.nodes) - 1
        assert op.decompose is not None
        first = len(out.nodes)
        made = op.decompose(*[Val(b, s) for s in srcs], arg=arg).slot
        # what a decomposition records may be composite in its turn
        if any(apart(n.op, n.spec.dtype) for n in out.nodes[first:]):
            todo = out.nodes[first:]
            del out.nodes[first:]
            local: dict[int, int] = {}
            for k, n in enumerate(todo):
                local[first + k] = put(n.op, [local.get(s, s) for s in n.srcs], n.arg, None, None)
            made = local[made] if made >= first else made
        return int(made)

    for i, n in enumerate(program.nodes):
        at = put(n.op, [where[s] if s >= 0 else s for s in n.srcs], n.arg, n.spec, n.ctype)
        if apart(n.op, n.spec.dtype) and out.nodes[at].spec.strides != n.spec.strides:
            # what it is made of keeps its operands' layout; the composite has promised its own
            out.nodes.append(Node(TABLE["relayout"], (at,), n.spec.strides, n.spec, None))
            at = len(out.nodes) - 1
        where[i] = at
    out.outputs = [where[i] for i in program.outputs]
    return out
