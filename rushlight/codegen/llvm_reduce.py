"""Reductions: what one step of each folds, and the cascade and tree that fix their order.

The law (graph/ops/reduce.py): rows of 32 lanes, or single elements where the last dimension is
kept, are folded 16 at a time, level by level; then lanes in a tree. Every accumulator starts as
the neutral element, which folds away without a trace (-0.0 + x is x for every x).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rushlight.base.dtype import bool_, dtype, int64
from rushlight.codegen.llvm_scalar import ELEMENT, Lanes
from rushlight.codegen.text import Value, known, vector_type
from rushlight.graph.scalar import Scalar, ScalarBuilder

if TYPE_CHECKING:
    from rushlight.codegen.llvm_access import Env
    from rushlight.codegen.llvm_kernel import KernelWriter
    from rushlight.compiler.loops import Instr

VIRTUAL = 32
GROUP = 16
STRAIGHT = 3  # so few rows are written out without a loop

Parts = list[Scalar]
"""An accumulator: one value, a value and its index, or a value and a NaN beside it."""


@dataclass(frozen=True)
class Fold:
    """One reduction's arithmetic: types of the accumulator, its neutral values, and the step."""

    types: tuple[dtype, ...]
    neutral: tuple[Any, ...]
    step: Callable[[ScalarBuilder, Parts, Parts], Parts]
    result: Callable[[ScalarBuilder, Parts], Scalar] = lambda b, parts: parts[-1]
    indexed: bool = False


def _add(b: ScalarBuilder, acc: Parts, x: Parts) -> Parts:
    return [acc[0] + x[0]]


def _plain_zero(b: ScalarBuilder, parts: Parts) -> Scalar:
    return parts[0] + 0.0  # a sum of zeros is 0.0, whatever their signs


def _multiply(b: ScalarBuilder, acc: Parts, x: Parts) -> Parts:
    return [acc[0] * x[0]]


def _either(b: ScalarBuilder, acc: Parts, x: Parts) -> Parts:
    return [acc[0] | x[0]]


def _both(b: ScalarBuilder, acc: Parts, x: Parts) -> Parts:
    return [acc[0] & x[0]]


def _extreme(largest: bool) -> Callable[[ScalarBuilder, Parts, Parts], Parts]:
    """The best of the numbers and, of floats, a NaN that was found: two short chains, where one
    that has to keep a NaN waits for three instructions at each step."""

    def step(b: ScalarBuilder, acc: Parts, x: Parts) -> Parts:
        better = x[0] > acc[0] if largest else x[0] < acc[0]
        found = [b.select(better, x[0], acc[0])]
        if len(x) > 1:
            found.append(b.select(b.isnan(x[1]), x[1], acc[1]))
        return found

    return step


def _best(b: ScalarBuilder, parts: Parts) -> Scalar:
    best, lost = parts
    return b.select(b.isnan(lost), lost, best)


def _winner(largest: bool) -> Callable[[ScalarBuilder, Parts, Parts], Parts]:
    """The first of the best, NaN before all numbers; the order of folding plays no part."""

    def step(b: ScalarBuilder, acc: Parts, x: Parts) -> Parts:
        (best, at), (value, here) = acc, x
        better = value > best if largest else value < best
        same = value.eq(best)
        if value.dtype.kind == "f":
            lost = b.isnan(best)
            better = (better & ~lost) | (b.isnan(value) & ~lost)
            same = same | (b.isnan(value) & lost)
        take = better | (same & (here < at))
        return [b.select(take, value, best), b.select(take, here, at)]

    return step


def _beyond(kind: dtype, largest: bool) -> Any:
    """The value below (or above) which nothing is."""
    if kind.kind == "f":
        return float("-inf") if largest else float("inf")
    if kind.kind == "b":
        return not largest
    bits = 8 * kind.itemsize
    if kind.kind == "u":
        return 0 if largest else (1 << bits) - 1
    return -(1 << (bits - 1)) if largest else (1 << (bits - 1)) - 1


def fold_for(name: str, kind: dtype, out: dtype) -> Fold:
    """The arithmetic of reduction `name` of elements of `kind` into `out`."""
    if name == "sum":
        return (
            Fold((out,), (-0.0,), _add, _plain_zero)
            if out.kind == "f"
            else Fold((out,), (0,), _add)
        )
    if name == "prod":
        return Fold((out,), (1,), _multiply)
    if name == "any":
        return Fold((bool_,), (False,), _either)
    if name == "all":
        return Fold((bool_,), (True,), _both)
    if name in ("amax", "amin"):
        largest = name == "amax"
        start, step = _beyond(kind, largest), _extreme(largest)
        if kind.kind == "f":
            return Fold((kind, kind), (start, start), step, _best)
        return Fold((kind,), (start,), step)
    if name in ("argmax", "argmin"):
        largest = name == "argmax"
        start = (_beyond(kind, largest), (1 << 63) - 1)
        return Fold((kind, int64), start, _winner(largest), indexed=True)
    raise NotImplementedError(f"{name}: the code generator has no such reduction")


class Reducer:
    """Writes one pass over the inner index that ends in reductions."""

    def __init__(
        self,
        w: KernelWriter,
        body: list[Instr],
        reductions: list[Instr],
        env: Env,
        outer: tuple[Value, ...],
    ) -> None:
        self.w, self.b, self.e = w, w.b, w.e
        self.body, self.reductions, self.env, self.outer = body, reductions, env, outer
        self.folds = [
            Fold((i.dtype,), (0,), _add) if i.kind == "dot"
            else fold_for(i.op.name, i.ctype or i.dtype, i.dtype)
            for i in reductions if i.op is not None
        ]  # fmt: skip
        self.chained = any(i.kind == "dot" for i in reductions)
        if w.across or self.chained:
            self.lanes, self.width = 1, w.width if w.across else 1
        else:
            self.lanes = VIRTUAL
            self.width = min(w.widest, 1 << (min(w.count, VIRTUAL).bit_length() - 1))
        self.pieces = max(1, self.lanes // self.width) if self.lanes > 1 else 1
        self.full, self.rest = divmod(w.count, self.lanes)

    def run(self) -> None:
        """Folds everything; results go to the environment."""
        if self.chained:
            acc = self.chain()
        else:
            rows = self.full + (self.rest > 0)
            if rows <= STRAIGHT:
                acc = self.straight(rows)
            else:
                level = 1
                while GROUP**level < rows:
                    level += 1
                acc = self.cascade(level, "0", str(rows), rows)
        parts = acc[0]
        if self.w.k.partial:
            parts = [[self.concatenated(acc, k)] for k in range(len(self.folds))]
        elif self.lanes > 1:
            parts = self.tree(acc)
        for i, f, p in zip(self.reductions, self.folds, parts):
            self.env[i.id] = self.b.cast(p[0] if self.w.k.partial else f.result(self.b, p), i.dtype)

    # Items: acc[piece][reduction] = parts; None where a piece has no element

    def items(self, r: Value, count: int) -> list[Any]:
        """Row `r` as accumulators; `count` of its lanes have elements."""
        out: list[Any] = []
        start = self.e.multiply(r, self.lanes)
        for p in range(self.pieces):
            n = min(max(count - p * self.width, 0), self.width) if self.lanes > 1 else self.width
            if n == 0:
                out.append(None)
                continue
            at = self.e.add(start, p * self.width) if self.lanes > 1 else start
            if n < self.width:
                at = str(self.w.count - self.width)
            self.w.run(self.body, self.env, self.outer, at, self.width)
            out.append([self.item(k, at, n) for k in range(len(self.reductions))])
        return out

    def item(self, k: int, at: Value, n: int) -> Parts:
        """What one reduction takes from a round, its `n` last lanes moved to the front."""
        i, fold = self.reductions[k], self.folds[k]
        parts = [self.b.cast(self.w.made[i.srcs[0]], fold.types[0])]
        if fold.indexed:
            index = self.b.make(at, 1, int64)
            if self.lanes > 1 and self.width > 1:
                steps = ", ".join(f"i64 {l}" for l in range(self.width))
                t = vector_type("i64", self.width)
                wide = self.b.wide(index, self.width)
                index = self.b.make(self.e.value(f"add {t} {wide}, <{steps}>"), self.width, int64)
            parts.append(index)
        elif len(fold.types) > 1:
            parts.append(parts[0])
        if n == self.width:
            return parts
        moved = []
        for x, neutral in zip(parts, fold.neutral):
            fill = self.b.wide(self.b.const(neutral, x.dtype), self.width)
            picks = [self.width - n + l if l < n else self.width for l in range(self.width)]
            name = self.b.wide(x, self.width)
            found = self.e.shuffle(name, fill, picks, ELEMENT[x.dtype], self.width)
            moved.append(self.b.make(found, self.width, x.dtype))
        return moved

    def join(self, acc: list[Any], item: list[Any]) -> list[Any]:
        """Folds accumulators piece by piece."""
        out: list[Any] = []
        for a, x in zip(acc, item):
            if a is None or x is None:
                out.append(a if x is None else x)
            else:
                out.append([f.step(self.b, p, q) for f, p, q in zip(self.folds, a, x)])
        return out

    # Loops

    def neutral(self) -> list[Any]:
        return [
            [[self.b.const(v, t) for v, t in zip(f.neutral, f.types)] for f in self.folds]
            for _ in range(self.pieces)
        ]

    def flat(self, acc: list[Any]) -> list[tuple[str, Value]]:
        """Accumulators as typed values that a loop can carry."""
        return [
            (vector_type(ELEMENT[x.dtype], self.width), self.b.wide(x, self.width))
            for piece in acc for parts in piece for x in parts
        ]  # fmt: skip

    def raised(self, names: list[Value]) -> list[Any]:
        it = iter(names)
        return [
            [[Scalar(self.b, Lanes(next(it), self.width), t) for t in f.types] for f in self.folds]
            for _ in range(self.pieces)
        ]

    def loop(
        self, lo: Value, hi: Value, step: int, item: Callable[[Value], list[Any]], empty: bool
    ) -> list[Any]:
        """Folds `item(i)` for every i of a range, one after the other."""

        def body(i: Value, names: list[Value]) -> list[Value]:
            return [x for _, x in self.flat(self.join(self.raised(names), item(i)))]

        carry = self.flat(self.neutral())
        first, last = known(lo), known(hi)
        if first is not None and last is not None:
            return self.raised(self.e.loop(first, last, step, body, carry))
        return self.raised(self.e.loop(lo, hi, step, body, carry, may_be_empty=empty))

    def straight(self, rows: int) -> list[Any]:
        acc: list[Any] = [None] * self.pieces
        for r in range(rows):
            count = self.lanes if r < self.full else self.rest
            acc = self.join(acc, self.items(str(r), count))
        return acc

    def cascade(self, level: int, lo: Value, hi: Value, rows: int) -> list[Any]:
        """The fold of rows lo to hi, at most 16**level; `rows` is how many there are in all."""
        if level > 1:
            step = GROUP ** (level - 1)

            def group(g: Value) -> list[Any]:
                end = self.e.add(g, step)
                if rows % step:
                    end = self.w.least(end, rows)
                return self.cascade(level - 1, g, end, rows)

            return self.loop(lo, hi, step, group, False)
        whole = hi
        if self.rest:
            whole = self.w.least(hi, self.full)
        acc = self.loop(
            lo,
            whole,
            1,
            lambda r: self.items(r, self.lanes),
            bool(self.rest) and self.full % GROUP == 0,
        )
        if not self.rest:
            return acc
        if known(hi) is not None:
            return self.join(acc, self.items(str(self.full), self.rest))
        return self.last_row(acc, hi)

    def last_row(self, acc: list[Any], hi: Value) -> list[Any]:
        """Adds the row that is not full to the group it belongs to."""
        before, inside, leave = self.e.block, self.e.new("then"), self.e.new("end")
        have = self.flat(acc)
        is_last = self.e.value(f"icmp ugt i64 {hi}, {self.full}")
        self.e.emit(f"br i1 {is_last}, label %{inside}, label %{leave}")
        self.e.label(inside)
        more = self.flat(self.join(acc, self.items(str(self.full), self.rest)))
        end = self.e.block
        self.e.emit(f"br label %{leave}")
        self.e.label(leave)
        return self.raised(
            [
                self.e.value(f"phi {t} [ {a}, %{before} ], [ {x}, %{end} ]")
                for (t, a), (_, x) in zip(have, more)
            ]
        )

    def chain(self) -> list[Any]:
        """A matrix product's element: fused multiply-adds in ascending order from +0."""
        i = self.reductions[0]

        def body(k: Value, names: list[Value]) -> list[Value]:
            self.w.run(self.body, self.env, self.outer, k, self.width)
            x, y = (self.b.wide(self.w.made[s], self.width) for s in i.srcs)
            element = ELEMENT[i.dtype]
            if i.dtype.kind == "f":
                return [self.e.fma(x, y, names[0], element, self.width)]
            t = vector_type(element, self.width)
            return [self.e.value(f"add {t} {names[0]}, {self.e.value(f'mul {t} {x}, {y}')}")]

        carry = self.flat([[[self.b.const(0, i.dtype)]]])
        return self.raised(self.e.loop(0, self.w.count, 1, body, carry))

    def concatenated(self, acc: list[Any], k: int) -> Scalar:
        """All virtual lanes of a reduction as one vector."""
        fold = self.folds[k]
        kind, width = fold.types[0], self.width
        nothing = self.b.const(fold.neutral[0], kind)
        found = [nothing if p is None else fold.result(self.b, p[k]) for p in acc]
        names = [self.b.wide(x, width) for x in found]
        while len(names) > 1:
            element = ELEMENT[kind]
            pairs = zip(names[::2], names[1::2])
            names = [self.e.shuffle(a, b, range(2 * width), element, width) for a, b in pairs]
            width *= 2
        return self.b.make(names[0], width, kind)

    def tree(self, acc: list[Any]) -> list[Parts]:
        """Folds lanes: lane j with lane j + half."""
        pieces = acc
        while len(pieces) > 1:
            half = len(pieces) // 2
            pieces = self.join(pieces[:half], pieces[half:])
        parts: list[Parts] = pieces[0]
        width = self.width
        while width > 1:
            width //= 2
            parts = [
                f.step(
                    self.b,
                    [self.half(x, 0, width) for x in p],
                    [self.half(x, width, width) for x in p],
                )
                for f, p in zip(self.folds, parts)
            ]
        return parts

    def half(self, x: Scalar, first: int, count: int) -> Scalar:
        """`count` lanes of a vector twice as long, from lane `first`."""
        name, element = self.b.wide(x, 2 * count), ELEMENT[x.dtype]
        if count == 1:
            t = vector_type(element, 2)
            return self.b.make(self.e.value(f"extractelement {t} {name}, i64 {first}"), 1, x.dtype)
        found = self.e.shuffle(name, "poison", range(first, first + count), element, 2 * count)
        return self.b.make(found, count, x.dtype)
