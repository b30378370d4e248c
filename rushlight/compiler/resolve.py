"""The pass that turns a program into values: views become index maps, writes become regions.

Needs a program without composites. Establishes: no alias, view, fill or join is left; every
output has memory of its own in its layout; common subexpressions are computed once.
"""

from __future__ import annotations

from typing import Any

from ..base import dtype as dt
from ..base.dtype import dtype
from ..base.shape import (
    Ints,
    broadcast_strides,
    contiguous_strides,
    infer_size,
    is_dense,
    numel,
    view_strides,
)
from ..graph.node import Node, Program
from ..graph.op import TABLE, Spec
from ..graph.ops.indexing import CHECK, READS, WRITES, Bound, indexed_shape
from ..graph.ops.movement import CUT
from ..graph.shaping import GEOMETRY
from .values import Ref, Row, Value, Values, dot_row, identity, unit


def shown(spec: Spec) -> tuple[Ints, Ints]:
    """What is written of an output, and its strides: what memory shows several times, once."""
    once = tuple(1 if s == 0 else n for n, s in zip(spec.shape, spec.strides))
    if is_dense(once, spec.strides):
        return once, spec.strides
    return spec.shape, contiguous_strides(spec.shape)


def resolve(program: Program) -> Values:
    """The values that the program's outputs need."""
    return Resolver(program).run()


IDENTITY: dict[str, Any] = {"sum": 0, "prod": 1, "any": False, "all": True}


class Resolver:
    """Walks a program once; `refs` says where each node's elements are, in full dimensions."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.out = Values(numbers=list(program.numbers))
        self.refs: list[Ref | None] = [None] * len(program.nodes)
        self.shapes: list[Ints] = []  # full shape of each value
        self.known: dict[Any, int] = {}
        self.numbers: dict[int, int] = {}
        self.uses = [0] * len(program.nodes)

    def run(self) -> Values:
        nodes = self.program.nodes
        live = [False] * len(nodes)
        for o in self.program.outputs:
            live[o] = True
            self.uses[o] += 2  # never to be written over
        for i in range(len(nodes) - 1, -1, -1):
            used = nodes[i].srcs if live[i] else ()
            # what an operation needs to be true is looked at even where nobody reads its result
            for s in (*used, *(nodes[i].srcs[b.operand] for b in self.bounds(nodes[i], live[i]))):
                if s >= 0:
                    live[s] = True
                    self.uses[s] += 1
        leaf = 0
        for i, n in enumerate(nodes):
            if n.op.kind == "leaf":
                if live[i]:
                    self.refs[i] = self.leaf(n, leaf)
                leaf += 1
                continue
            self.check(n, self.bounds(n, live[i]))
            if live[i]:
                self.refs[i] = self.node(n)
        self.out.leaves = leaf
        taken: set[int] = set()
        for o in self.program.outputs:
            value = self.output(o, taken)
            taken.add(self.memory_root(value))
            self.out.outputs.append(value)
        return self.out

    # Values that are refused

    def bounds(self, n: Node, live: bool) -> tuple[Bound, ...]:
        """What a node's operands have to be, where its own kernel does not see to it."""
        rule = CHECK.get(n.op)
        if rule is None or (live and n.op.kind == "index"):
            return ()
        return rule([self.spec_of(s) for s in n.srcs], n.arg)

    def check(self, n: Node, bounds: tuple[Bound, ...]) -> None:
        """Adds the tests of a node's operands."""
        for b in bounds:
            r, shape = self.source(n.srcs[b.operand]), self.spec_of(n.srcs[b.operand]).shape
            if not numel(shape):
                continue
            arg = (b.test, b.size, b.negative)
            v = Value("check", dt.bool_, shape, shape, (r,), arg=arg)
            v.layout = contiguous_strides(shape)
            found = self.add(v, ("check", r, shape, arg)).value
            if found not in self.out.checks:
                self.out.checks.append(found)

    # Building blocks

    def add(self, value: Value, key: Any = None) -> Ref:
        """Adds a value given in full dimensions (or finds it by `key`); its identity reading."""
        if key is not None:
            found = self.known.get(key)
            if found is not None:
                return Ref(found, identity(len(self.shapes[found])))
        number = self.out.add(value)
        self.shapes.append(value.shape)
        self.squeeze(value)
        if key is not None:
            self.known[key] = number
        return Ref(number, identity(len(self.shapes[number])))

    def squeeze(self, v: Value) -> None:
        """Drops dimensions of size 1 from a new value and from what it reads."""
        if 1 not in v.space and 1 not in v.shape:
            v.srcs = tuple([self.squeezed(r) for r in v.srcs])
            return
        keep = [d for d, n in enumerate(v.space) if n != 1]
        v.srcs = tuple([self.squeezed(r, keep) for r in v.srcs])
        v.dims = tuple(keep.index(d) for d in v.dims if d in keep)
        v.place = tuple(v.place[0][d] for d in keep) if v.place[0] else (), v.place[1]
        v.layout = tuple(s for s, n in zip(v.layout, v.shape) if n != 1)
        v.space = tuple(v.space[d] for d in keep)
        v.shape = tuple(n for n in v.shape if n != 1)

    def squeezed(self, r: Ref, keep: list[int] | None = None) -> Ref:
        """A reading without dimensions of size 1, and with those of the reader in `keep`."""
        rows = r.rows
        if not r.memory and 1 in self.shapes[r.value]:
            rows = tuple([row for row, n in zip(rows, self.shapes[r.value]) if n != 1])
        if keep is not None:
            rows = tuple([(tuple([c[d] for d in keep]), o) for c, o in rows])
        return r if rows is r.rows else Ref(r.value, rows, r.memory)

    def number(self, k: int) -> Ref:
        at = self.numbers.get(k)
        if at is None:
            kind = dt.float64 if self.program.numbers[k] == "d" else dt.int64
            at = self.numbers[k] = self.add(Value("number", kind, (), (), arg=k)).value
        return Ref(at, ())

    def source(self, s: int) -> Ref:
        if s < 0:
            return self.number(~s)
        r = self.refs[s]
        assert r is not None
        return r

    def spec_of(self, s: int) -> Spec:
        if s >= 0:
            return self.program.nodes[s].spec
        return Spec((), dt.float64 if self.program.numbers[~s] == "d" else dt.int64, ())

    def row(
        self, name: str, srcs: tuple[Ref, ...], shape: Ints, ctype: dtype, to: dtype, arg: Any,
        layout: Ints | None = None,
    ) -> Ref:  # fmt: skip
        """An elementwise value; the same one when it is there already."""
        if layout is None:
            layout = contiguous_strides(shape)
        value = Value("row", to, shape, shape, srcs, TABLE[name], arg, ctype, layout=layout)
        return self.add(value, ("row", name, srcs, shape, ctype.code, to.code, repr(arg)))

    def copy(self, r: Ref, shape: Ints, layout: Ints) -> Ref:
        """A value of its own with the elements of a reading, in memory of `layout`."""
        kind = self.out.items[r.value].dtype
        v = Value("row", kind, shape, shape, (r,), TABLE["copy"], None, kind, layout=layout)
        return self.add(v)

    def broadcast(self, r: Ref, shape: Ints, to: Ints) -> Ref:
        """A reading of `shape` read as the larger shape `to`."""
        if shape == to:
            return r
        return Ref(
            r.value, tuple((broadcast_strides(shape, c, to), o) for c, o in r.rows), r.memory
        )

    def memory_row(self, r: Ref, rank: int) -> Row:
        """A reading as an address in the value's memory."""
        if r.memory:
            return r.rows[0]
        return dot_row(self.full_layout(r.value), r.rows, rank)

    def full_layout(self, value: int) -> Ints:
        """The value's layout over its full dimensions."""
        it = iter(self.out.items[value].layout)
        return tuple(0 if n == 1 else next(it) for n in self.shapes[value])

    # Nodes

    def leaf(self, n: Node, number: int) -> Ref:
        s = n.spec
        return self.add(Value("leaf", s.dtype, s.shape, s.shape, arg=number, layout=s.strides))

    def node(self, n: Node) -> Ref:
        op, spec = n.op, n.spec
        method = getattr(self, "on_" + op.kind, None)
        if method is None:
            raise NotImplementedError(f"{op.name}: the compiler has no rule for kind {op.kind!r}")
        del spec
        r: Ref = method(n)
        return r

    def on_const(self, n: Node) -> Ref:
        value, kind = n.arg
        v = Value("const", kind, (), (), arg=value)
        return self.add(v, ("const", repr(value), kind.code))

    def on_alias(self, n: Node) -> Ref:
        return self.source(n.srcs[0])

    def on_full(self, n: Node) -> Ref:
        shape, kind = n.arg[:2]
        r = self.source(n.srcs[0])
        have = self.spec_of(n.srcs[0])
        if have.dtype is not kind:
            r = self.row("cast", (r,), have.shape, have.dtype, kind, kind)
        return self.broadcast(r, have.shape, shape)

    def on_iota(self, n: Node) -> Ref:
        shape, dim, kind = n.arg
        size = (shape[dim],)
        if size == (1,):
            return self.broadcast(self.zero(kind), (), shape)
        v = Value("iota", kind, size, size, layout=(1,))
        r = self.add(v, ("iota", size, kind.code))
        return Ref(r.value, (unit(dim, len(shape)),))

    def zero(self, kind: dtype, value: Any = 0) -> Ref:
        return self.add(Value("const", kind, (), (), arg=value), ("const", repr(value), kind.code))

    def on_elementwise(self, n: Node) -> Ref:
        assert n.ctype is not None
        srcs = tuple(
            self.broadcast(self.source(s), self.spec_of(s).shape, n.spec.shape) for s in n.srcs
        )
        arg = n.arg if n.op.types == "cast" else None
        if n.op.name == "cast" and n.ctype is n.arg:
            return srcs[0]
        return self.row(n.op.name, srcs, n.spec.shape, n.ctype, n.spec.dtype, arg, n.spec.dense())

    def on_reduce(self, n: Node) -> Ref:
        r, have = self.source(n.srcs[0]), self.spec_of(n.srcs[0])
        dims = tuple(sorted(n.arg[0]))
        name, shape, kind = n.op.name, n.spec.shape, n.spec.dtype
        if numel(shape) and not numel(have.shape):
            return self.broadcast(self.zero(kind, IDENTITY[name]), (), shape)
        if all(have.shape[d] == 1 for d in dims):
            if name in ("argmax", "argmin"):
                return self.broadcast(self.zero(kind), (), shape)
            if len(shape) != len(have.shape):  # the dimensions of size 1 go
                keep = [d for d in range(len(have.shape)) if d not in dims]
                r = Ref(r.value, tuple((tuple(c[d] for d in keep), o) for c, o in r.rows), r.memory)
            if name in ("any", "all") and have.dtype is not dt.bool_:
                r = self.row("cast", (r,), shape, have.dtype, dt.bool_, dt.bool_)
                have = Spec(have.shape, dt.bool_)
            if have.dtype is not kind:
                r = self.row("cast", (r,), shape, have.dtype, kind, kind)
            if name == "sum" and kind.kind == "f":  # of -0.0 too
                nothing = self.broadcast(self.zero(kind, 0.0), (), shape)
                r = self.row("add", (r, nothing), shape, kind, kind, None, n.spec.dense())
            return r
        v = Value(
            "reduce", kind, shape, have.shape, (r,), n.op, None, have.dtype, dims,
            n.spec.dense(),
        )  # fmt: skip
        return self.add(v, ("reduce", name, r, have.shape, dims, shape, kind.code))

    def on_contract(self, n: Node) -> Ref:
        """A matrix product: space is (batch..., m, n, k), k reduced."""
        if n.op.name != "matmul":
            return self.whole(n)
        a, b = (self.spec_of(s).shape for s in n.srcs)
        k = a[-1]
        out = n.spec.shape
        space = (*out, k)
        if k == 0:
            return self.broadcast(self.zero(n.spec.dtype), (), out)
        rank = len(space)
        batch = len(out) - 2
        readings = []
        for s, shape, cols in zip(n.srcs, (a, b), ((rank - 3, rank - 1), (rank - 1, rank - 2))):
            r = self.source(s)
            if self.out.items[r.value].kind in ("const", "number", "iota"):
                r = self.copy(r, shape, contiguous_strides(shape))
            lead = batch - (len(shape) - 2)
            rows = []
            for c, o in r.rows:
                wide = [0] * rank
                for d in range(len(shape) - 2):
                    wide[lead + d] = 0 if shape[d] == 1 else c[d]
                wide[cols[0]], wide[cols[1]] = c[-2], c[-1]
                rows.append((tuple(wide), o))
            readings.append(Ref(r.value, tuple(rows), r.memory))
        kind = n.spec.dtype
        if k == 1 and kind.kind != "f":
            flat = [Ref(r.value, tuple((c[:-1], o) for c, o in r.rows), r.memory) for r in readings]
            return self.row("mul", (flat[0], flat[1]), out, kind, kind, None)
        roles = "b" * batch + "mnk"
        v = Value(
            "dot", kind, out, space, tuple(readings), n.op,
            "".join(role for role, size in zip(roles, space) if size != 1), kind,
            (rank - 1,), contiguous_strides(out),
        )  # fmt: skip
        return self.add(v, ("dot", tuple(readings), space))

    def whole(self, n: Node) -> Ref:
        """A value that a kernel of its own kind makes of whole operands in row-major memory."""
        shape, kind = n.spec.shape, n.spec.dtype
        shapes = tuple(self.spec_of(s).shape for s in n.srcs)
        if not all(map(numel, (shape, *shapes))):
            return self.broadcast(self.zero(kind), (), shape)
        srcs = []
        for s, have in zip(n.srcs, shapes):
            r, layout = self.source(s), contiguous_strides(have)
            if not self.is_whole(r, have, layout):
                r = self.copy(r, have, layout)
            srcs.append(Ref(r.value, (((0,) * len(shape), 0),), True))
        v = Value(
            "whole", kind, shape, shape, tuple(srcs), n.op, (n.arg, shapes),
            layout=contiguous_strides(shape),
        )  # fmt: skip
        return self.add(v, ("whole", n.op.name, tuple(srcs), repr(n.arg)))

    def on_window(self, n: Node) -> Ref:
        return self.whole(n)

    def on_join(self, n: Node) -> Ref:
        shape, kind, dim = n.spec.shape, n.spec.dtype, n.arg
        layout = contiguous_strides(shape)
        r = self.add(Value("blank", kind, shape, shape, layout=layout))
        at = 0
        for s in n.srcs:
            part = self.spec_of(s)
            if len(part.shape) != len(shape):
                continue  # PyTorch's legacy: an empty one-dimensional tensor joins anything
            if numel(part.shape):
                piece = self.source(s)
                if part.dtype is not kind:
                    piece = self.row("cast", (piece,), part.shape, part.dtype, kind, kind)
                r = self.region(r, piece, part.shape, (layout, at * layout[dim]))
            at += part.shape[dim]
        return r

    def region(self, base: Ref, value: Ref, shape: Ints, place: Row) -> Ref:
        """`base` with the region `place` of its memory replaced by a reading over `shape`."""
        b = self.out.items[base.value]
        v = Value(
            "region", b.dtype, self.shapes[base.value], shape, (value,),
            layout=self.full_layout(base.value), base=base.value, place=place,
        )  # fmt: skip
        return self.add(v)

    def on_write(self, n: Node) -> Ref:
        base, value = n.srcs
        shape, have = n.spec.shape, self.spec_of(value).shape
        r = self.source(value)
        if n.arg is None or n.arg == CUT:
            return self.broadcast(r, have, shape)
        region, strides, offset = n.arg
        old, layout = self.source(base), n.spec.dense()
        last = self.out.items[old.value]
        mine = self.uses[base] == 1 and last.kind == "region" and self.is_whole(old, shape, layout)
        if not mine:
            old = self.copy(old, shape, layout)
        if not numel(region):
            return old
        return self.region(old, self.broadcast(r, have, region), region, (strides, offset))

    def on_move(self, n: Node) -> Ref:
        r, have = self.source(n.srcs[0]), self.spec_of(n.srcs[0])
        shape, op = have.shape, n.op
        if not numel(n.spec.shape):
            return self.broadcast(self.zero(n.spec.dtype), (), n.spec.shape)
        if op.name in ("view", "reshape"):
            return self.reshaped(r, shape, infer_size(n.arg, numel(shape)))
        if op.name == "flip":
            return Ref(r.value, tuple(_flipped(row, shape, n.arg) for row in r.rows), r.memory)
        if op.name == "as_strided":
            layout = have.dense()
            if not self.is_whole(r, shape, layout):
                r = self.copy(r, shape, layout)
            return Ref(r.value, ((n.arg[1], n.arg[2]),), True)
        geometry = GEOMETRY.get(op)
        if geometry is None:
            raise NotImplementedError(f"{op.name}: the compiler has no rule for this movement")
        rows = []
        for c, o in r.rows:
            _, strides, offset = geometry(Spec(shape, have.dtype, c, offset=o), n.arg)
            rows.append((strides, offset))
        return Ref(r.value, tuple(rows), r.memory)

    def reshaped(self, r: Ref, shape: Ints, new: Ints) -> Ref:
        """The elements in logical order under another shape: a map, or a copy where none can be."""
        if shape == new:
            return r
        rows = [view_strides(shape, c, new) for c, _ in r.rows]
        if all(c is not None for c in rows):
            return Ref(r.value, tuple((c or (), o) for c, (_, o) in zip(rows, r.rows)), r.memory)
        if self.out.items[r.value].kind != "iota":
            c, o = self.memory_row(r, len(shape))
            strides = view_strides(shape, c, new)
            if strides is not None:
                return Ref(r.value, ((strides, o),), True)
        flat = self.copy(r, shape, contiguous_strides(shape))
        return Ref(flat.value, ((contiguous_strides(new), 0),), True)

    # Places that values say

    def on_index(self, n: Node) -> Ref:
        name = n.op.name
        if name in ("gather", "pick"):
            return self.picked(n, n.srcs[0], (n.arg,), n.srcs[1:], along=True)
        if name in READS:
            return self.picked(n, n.srcs[0], n.arg, n.srcs[1:], along=False)
        if name == "scatter":
            dim, accumulate = n.arg
            return self.scattered(n, n.srcs[2], (dim,), n.srcs[1:2], accumulate, along=True)
        if name in WRITES:
            dims, accumulate = n.arg
            return self.scattered(n, n.srcs[1], dims, n.srcs[2:], accumulate, along=False)
        raise NotImplementedError(f"{name}: the compiler has no rule for this indexing")

    def places(
        self, n: Node, base: int, memory: Row, dims: Ints, indices: Ints, along: bool
    ) -> tuple[Ints, Row, tuple[Ref, ...], tuple[tuple[int, int, bool], ...]]:
        """The index space, the address without indices, them, and (stride, size, wraps) each."""
        shape = self.spec_of(base).shape
        refs: tuple[Ref, ...]
        c, o = memory
        if not shape:  # a number is read as one element
            shape, c = (1,), (0,)
        specs = [self.spec_of(s) for s in indices]
        rest = [d for d in range(len(shape)) if d not in dims]
        if along:
            space = specs[0].shape
            row = tuple(0 if d in dims else s for d, s in enumerate(c))[: len(space)]
            refs = (self.source(indices[0]),)
        else:
            space, at = indexed_shape(shape, dims, [p.shape for p in specs])
            deep = len(space) - len(rest)
            row = tuple(c[d] for d in rest[:at]) + (0,) * deep + tuple(c[d] for d in rest[at:])
            wide = space[at : at + deep]
            refs = tuple(
                self.inserted(self.broadcast(self.source(s), p.shape, wide), at, len(rest) - at)
                for s, p in zip(indices, specs)
            )
        bounds = CHECK[n.op]([self.spec_of(s) for s in n.srcs], n.arg)
        steps = tuple((c[d], b.size, b.negative) for d, b in zip(dims, bounds))
        return space, (row, o), refs, steps

    @staticmethod
    def inserted(r: Ref, before: int, after: int) -> Ref:
        """A reading with `before` more dimensions in front and `after` behind it."""
        rows = tuple(((0,) * before + c + (0,) * after, o) for c, o in r.rows)
        return Ref(r.value, rows, r.memory)

    def picked(self, n: Node, x: int, dims: Ints, indices: Ints, along: bool) -> Ref:
        """Elements of `x` read where indices say."""
        have = self.spec_of(x)
        r = self.source(x)
        if self.out.items[r.value].kind in ("const", "number", "iota"):
            r = self.copy(r, have.shape, contiguous_strides(have.shape))
        memory = self.memory_row(r, len(have.shape))
        space, row, refs, steps = self.places(n, x, memory, dims, indices, along)
        srcs = (Ref(r.value, (row,), True), *refs)
        v = Value("index", have.dtype, space, space, srcs, n.op, steps, layout=n.spec.dense())
        return self.add(v, ("index", srcs, steps, space))

    def scattered(
        self, n: Node, value: int, dims: Ints, indices: Ints, accumulate: bool, along: bool
    ) -> Ref:
        """The base with elements written, or added, where indices say; in row-major order."""
        shape = n.spec.shape
        layout = n.spec.dense()
        base = self.copy(self.source(n.srcs[0]), shape, layout)
        space, row, refs, steps = self.places(n, n.srcs[0], (layout, 0), dims, indices, along)
        if not numel(space) or not numel(shape):
            return base
        given = self.broadcast(self.source(value), self.spec_of(value).shape, space)
        v = Value(
            "region", n.spec.dtype, shape, space, (given, *refs), n.op, (accumulate, steps),
            layout=layout, base=base.value, place=row,
        )  # fmt: skip
        return self.add(v)

    # Outputs

    def is_whole(self, r: Ref, shape: Ints, layout: Ints) -> bool:
        """Whether a reading is exactly a value that lies (or may lie) in memory as `layout`."""
        v = self.out.items[r.value]
        if v.kind in ("const", "number", "iota") or r.memory or self.shapes[r.value] != shape:
            return False
        if r.rows != identity(len(shape)):
            return False
        have = self.full_layout(r.value)
        return all(a == b for a, b, n in zip(have, layout, shape) if n != 1)

    def memory_root(self, value: int) -> int:
        """The value in whose memory a value lies."""
        while self.out.items[value].base >= 0:
            value = self.out.items[value].base
        return value

    def output(self, o: int, taken: set[int]) -> int:
        spec = self.program.nodes[o].spec
        shape, layout = shown(spec)
        r = self.source(o)
        if self.is_whole(r, shape, layout):
            whole = self.out.items[r.value].kind != "leaf"
            if whole and self.memory_root(r.value) not in taken:
                return r.value
        return self.copy(r, shape, layout).value


def _flipped(row: Row, shape: Ints, dims: Ints) -> Row:
    c, o = row
    turned = {d % len(shape) for d in dims} if shape else set()
    o += sum(c[d] * (shape[d] - 1) for d in turned)
    return tuple(-s if d in turned else s for d, s in enumerate(c)), o
