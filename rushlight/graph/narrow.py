"""Floats of 8 and 16 bits: memory only.  What is computed with them is computed in float32.

An operation on half or bfloat16 reads its operands as float32 (exactly), is done in float32, and
its result is rounded once.  `append` writes that into a program, as casts around the operation;
sums, products and composites therefore run in float32 from end to end.  What only moves elements
keeps the narrow type.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..base import dtype as dt
from ..base.dtype import dtype
from ..base.shape import elementwise_strides
from .autocast import MARK
from .node import Node, Program, ProgramBuilder
from .op import (
    ALIAS,
    CONST,
    CONTROL,
    ELEMENTWISE,
    FULL,
    INDEX,
    IOTA,
    JOIN,
    LEAF,
    MOVE,
    TABLE,
    WRITE,
    Spec,
)
from .value import Val

_MOVING: Final = frozenset({ALIAS, CONST, CONTROL, FULL, IOTA, JOIN, LEAF, MOVE, WRITE})
_SAME: Final = frozenset({"cast", "copy", "to_device", "zeros_like"})
# Python numbers and tensors without dimensions enter these unrounded; elsewhere they are rounded
# to the narrow type first, as PyTorch does.
_UNROUNDED: Final = frozenset({"mul", "div", "floor_divide"})


def computes(node: Node, specs: Sequence[Spec]) -> bool:
    """Whether a node does arithmetic on a narrow type, and has to be written with casts."""
    kind = node.op.kind
    if kind in _MOVING or node.op.name in _SAME:
        return False
    if node.op.types == MARK:
        return True
    narrow = node.spec.dtype.narrow or any(s.dtype.narrow for s in specs)
    if kind != INDEX or not narrow:
        return narrow
    return node.op.name in ("scatter", "index_put", "index_add") and bool(node.arg[1])


def append(program: Program, node: Node, specs: Sequence[Spec]) -> int:
    """Put a node that `computes` into the program with casts around it; the result's index.

    ``specs``: those of the node's operands.
    """
    if node.op.types == MARK:
        return _apart(program, node, specs)
    srcs: list[int] = []
    for s, spec in zip(node.srcs, specs, strict=True):
        if node.op.kind == ELEMENTWISE and (node.op.types != "where" or srcs):
            s, spec = _rounded(program, node, s, spec)
        if spec.dtype.narrow and not spec.number:
            s = _cast(program, s, spec, dt.float32)
        srcs.append(s)
    out = node.spec
    ctype = dt.float32 if node.ctype is not None and node.ctype.narrow else node.ctype
    if not out.dtype.narrow:
        program.nodes.append(Node(node.op, tuple(srcs), node.arg, out, ctype))
        return len(program.nodes) - 1
    wide = Spec(out.shape, dt.float32, out.strides, out.device)
    program.nodes.append(Node(node.op, tuple(srcs), node.arg, wide, ctype))
    return _cast(program, len(program.nodes) - 1, wide, out.dtype)


def _apart(program: Program, node: Node, specs: Sequence[Spec]) -> int:
    """An operation that autocast gives other types: its casts first, then what they lead to."""
    scratch = Program(program.numbers)
    builder = ProgramBuilder(scratch)
    where: dict[int, int] = {}
    operands: list[Val] = []
    for s, spec in zip(node.srcs, specs, strict=True):
        if s >= 0:
            where[len(scratch.nodes)] = s
            s = len(scratch.nodes)
            scratch.nodes.append(Node(TABLE["leaf"], (), None, spec, None))
        operands.append(Val(builder, s))
    first = len(scratch.nodes)
    assert node.op.decompose is not None
    root = node.op.decompose(*operands, arg=node.arg).slot
    for i in range(first, len(scratch.nodes)):
        n = scratch.nodes[i]
        parts = [builder.spec(s) for s in n.srcs]
        made = Node(
            n.op, tuple([where[s] if s >= 0 else s for s in n.srcs]), n.arg, n.spec, n.ctype
        )
        if computes(made, parts):
            where[i] = append(program, made, parts)
        else:
            program.nodes.append(made)
            where[i] = len(program.nodes) - 1
    at = where[root]
    if program.nodes[at].spec.strides != node.spec.strides:
        program.nodes.append(Node(TABLE["relayout"], (at,), node.spec.strides, node.spec, None))
        at = len(program.nodes) - 1
    return at


def _rounded(program: Program, node: Node, s: int, spec: Spec) -> tuple[int, Spec]:
    """An operand of another type than the operation works in, converted to that type."""
    kind = node.ctype
    if kind is None or not kind.narrow or (spec.dtype is kind and not spec.number):
        return s, spec
    if not spec.shape and node.op.name in _UNROUNDED:
        return s, spec
    if not spec.number:
        s = _cast(program, s, spec, kind)
        return s, program.nodes[s].spec
    made = Spec((), kind, (), spec.device)
    program.nodes.append(Node(TABLE["full"], (s,), ((), kind), made, None))
    return len(program.nodes) - 1, made


def _cast(program: Program, s: int, spec: Spec, to: dtype) -> int:
    """A node's value as another type, in the layout of an elementwise operation's result."""
    strides = elementwise_strides(spec.shape, [(spec.shape, spec.strides)])
    out = Spec(spec.shape, to, strides, spec.device)
    program.nodes.append(Node(TABLE["cast"], (s,), to, out, spec.dtype))
    return len(program.nodes) - 1
