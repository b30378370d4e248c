"""Float reductions by general native kernels, in the order ``graph/ops/reduce.py`` lays down.

The kernel reads ``outer x k x inner`` elements, row-major, and folds k; ``eager_fold`` says the
same in NumPy.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import numpy as np

from ..base.shape import Ints, numel
from ..codegen.text import Emitter, Value, module_text, splat_literal, vector_type
from ..graph.ops.reduce import GROUP, LANES, NEUTRAL, lanes_of
from .eager_native import ELEMENT, kernel

WIDTH: Final = 8  # columns folded side by side where the last dimension is kept
SHORT: Final = 10  # elements up to which a fold along the last dimension is written out
LEVELS: Final = 16  # 16 ** 16 rows: more than memory holds


def _step(e: Emitter, name: str, kind: str, acc: Value, x: Value) -> Value:
    if name == "sum":
        return e.value(f"fadd {kind} {acc}, {x}")
    if name == "prod":
        return e.value(f"fmul {kind} {acc}, {x}")
    bools = f"<{kind[1:].split(' ', maxsplit=1)[0]} x i1>" if kind[0] == "<" else "i1"
    word = "ogt" if name == "amax" else "olt"
    better = e.value(f"fcmp {word} {kind} {x}, {acc}")
    nan = e.value(f"fcmp uno {kind} {x}, {x}")
    take = e.value(f"or {bools} {better}, {nan}")
    return e.value(f"select {bools} {take}, {kind} {x}, {kind} {acc}")


def _closed(e: Emitter, name: str, element: str, width: int, v: Value) -> Value:
    """A sum of zeros is 0.0, whatever their signs."""
    if name != "sum":
        return v
    return e.value(f"fadd {vector_type(element, width)} {v}, {splat_literal(0.0, element, width)}")


class _Cascade:
    """Writes one cascade over rows of ``width`` elements; rows are found by ``row(index)``."""

    def __init__(self, e: Emitter, name: str, element: str, width: int) -> None:
        self.e = e
        self.name = name
        self.element = element
        self.width = width
        self.kind = vector_type(element, width)
        self.levels = e.value(f"alloca [{LEVELS} x {self.kind}], align 64")

    def place(self, level: Value) -> Value:
        """Where the unfinished value of a level lies."""
        return self.e.value(f"getelementptr inbounds {self.kind}, ptr {self.levels}, i64 {level}")

    def load(self, pointer: Value) -> Value:
        """One row."""
        return self.e.load(pointer, self.element, self.width)

    def run(self, rows: Value, row: Any) -> Value:
        """The fold of ``rows`` (at least one) rows; ``row(index)`` gives a row's address."""
        e = self.e

        def group(at: Value, _: list[Value]) -> None:
            left = e.subtract(rows, at)
            count = e.minimum(left, GROUP)

            def more(i: Value, acc: list[Value]) -> list[Value]:
                return [_step(e, self.name, self.kind, acc[0], self.load(row(e.add(at, i))))]

            first = self.load(row(at))
            (acc,) = e.loop(1, count, 1, more, [(self.kind, first)], may_be_empty=True)
            self.push(acc, e.divide(at, GROUP))

        e.loop(0, rows, GROUP, group)
        groups = e.divide(e.add(rows, GROUP - 1), GROUP)
        return self.finish(groups)

    def push(self, value: Value, position: Value) -> None:
        """Enter the level-0 value number ``position``; full levels go up."""
        e = self.e
        before, head, leave = e.block, e.new("push"), e.new("pushed")
        up = e.new("up")
        e.emit(f"br label %{head}")
        e.label(head)
        level, t, v = f"%l.{head}", f"%t.{head}", f"%v.{head}"
        place = len(e.lines)
        e.lines.append("")
        at = self.place(level)
        have = self.load(at)
        p = e.value(f"and i64 {t}, {GROUP - 1}")
        start = e.value(f"icmp eq i64 {p}, 0")
        both = _step(e, self.name, self.kind, have, v)
        now = e.value(f"select i1 {start}, {self.kind} {v}, {self.kind} {both}")
        e.store(now, at, self.element, self.width)
        full = e.value(f"icmp eq i64 {p}, {GROUP - 1}")
        e.emit(f"br i1 {full}, label %{up}, label %{leave}")
        e.label(up)
        above = e.value(f"add i64 {level}, 1")
        of = e.value(f"lshr i64 {t}, 4")
        e.emit(f"br label %{head}")
        e.lines[place] = "\n".join(
            [
                f"  {level} = phi i64 [ 0, %{before} ], [ {above}, %{up} ]",
                f"  {t} = phi i64 [ {position}, %{before} ], [ {of}, %{up} ]",
                f"  {v} = phi {self.kind} [ {value}, %{before} ], [ {now}, %{up} ]",
            ]
        )
        e.label(leave)

    def finish(self, groups: Value) -> Value:
        """Fold the unfinished levels, the lowest first."""
        e = self.e
        before, head, leave = e.block, e.new("fold"), e.new("folded")
        e.emit(f"br label %{head}")
        e.label(head)
        level, t, has, carry = f"%l.{head}", f"%t.{head}", f"%h.{head}", f"%c.{head}"
        place = len(e.lines)
        e.lines.append("")
        digit = e.value(f"and i64 {t}, {GROUP - 1}")
        partial = e.value(f"icmp ne i64 {digit}, 0")
        have = self.load(self.place(level))
        both = _step(e, self.name, self.kind, have, carry)
        joined = e.value(f"select i1 {has}, {self.kind} {both}, {self.kind} {have}")
        now = e.value(f"select i1 {partial}, {self.kind} {joined}, {self.kind} {carry}")
        got = e.value(f"or i1 {has}, {partial}")
        above = e.value(f"add i64 {level}, 1")
        rest = e.value(f"lshr i64 {t}, 4")
        again = e.value(f"icmp ne i64 {rest}, 0")
        e.emit(f"br i1 {again}, label %{head}, label %{leave}")
        zero = splat_literal(0.0, self.element, self.width)
        e.lines[place] = "\n".join(
            [
                f"  {level} = phi i64 [ 0, %{before} ], [ {above}, %{head} ]",
                f"  {t} = phi i64 [ {groups}, %{before} ], [ {rest}, %{head} ]",
                f"  {has} = phi i1 [ false, %{before} ], [ {got}, %{head} ]",
                f"  {carry} = phi {self.kind} [ {zero}, %{before} ], [ {now}, %{head} ]",
            ]
        )
        e.label(leave)
        return now


def _sizes(e: Emitter, names: int) -> list[Value]:
    return [e.load(e.gep("%g", i, "i64"), "i64") for i in range(names)]


def lanes_text(name: str, element: str, symbol: str) -> str:
    """The last dimension is reduced: geometry is outer, k; out has ``outer`` elements.

    Where k is small, most lanes hold the neutral element, which changes nothing: the tree is
    written out for the others.
    """
    e = Emitter()
    c = _Cascade(e, name, element, LANES)
    spare = e.value(f"alloca {c.kind}, align 64")
    outer, k = _sizes(e, 2)
    full = e.divide(k, LANES)
    whole = e.multiply(full, LANES)
    ragged = e.subtract(k, whole)
    rows = e.divide(e.add(k, LANES - 1), LANES)

    def one(o: Value, _: list[Value]) -> None:
        x = e.gep("%x", e.multiply(o, k), element)
        e.store(splat_literal(NEUTRAL[name], element, LANES), spare, element, LANES)

        def move(i: Value, _: list[Value]) -> None:
            e.store(
                e.load(e.gep(x, e.add(whole, i), element), element),
                e.gep(spare, i, element),
                element,
            )

        e.loop(0, ragged, 1, move, may_be_empty=True)

        def row(index: Value) -> Value:
            last = e.value(f"icmp eq i64 {index}, {full}")
            at = e.gep(x, e.multiply(index, LANES), element)
            return e.value(f"select i1 {last}, ptr {spare}, ptr {at}")

        v = c.run(rows, row)
        width = LANES
        while width > 1:
            half = width // 2
            low = e.shuffle(v, "poison", range(half), element, width)
            high = e.shuffle(v, "poison", range(half, width), element, width)
            v = _step(
                e, name, vector_type(element, half) if half > 1 else f"<1 x {element}>", low, high
            )
            width = half
        v = e.value(f"extractelement <1 x {element}> {v}, i64 0")
        v = _closed(e, name, element, 1, v)
        e.store(v, e.gep("%out", o, element), element)

    def few(width: int) -> None:
        def one_short(o: Value, _: list[Value]) -> None:
            x = e.gep("%x", e.multiply(o, width), element)
            v = [e.load(e.gep(x, i, element), element) for i in range(width)]
            half = LANES // 2
            while half:
                for j in range(half, len(v)):
                    v[j - half] = _step(e, name, element, v[j - half], v[j])
                del v[half:]
                half //= 2
            total = _closed(e, name, element, 1, v[0])
            e.store(total, e.gep("%out", o, element), element)

        e.loop(0, outer, 1, one_short, may_be_empty=True)

    for width in range(2, SHORT + 1):
        e.guard(e.value(f"icmp eq i64 {k}, {width}"), partial(few, width))
    rest = e.value(f"icmp ugt i64 {e.subtract(k, 2)}, {SHORT - 2}")
    e.guard(rest, lambda: e.loop(0, outer, 1, one, may_be_empty=True))
    e.emit("ret void")
    text = e.function(symbol, ["ptr %g", "ptr %out", "ptr %x"])
    return module_text([text], e.declarations)


def columns_text(name: str, element: str, symbol: str) -> str:
    """The last dimension is kept: geometry is outer, k, inner; out is ``outer x inner``."""
    e = Emitter()
    wide, narrow = _Cascade(e, name, element, WIDTH), _Cascade(e, name, element, 1)
    outer, k, inner = _sizes(e, 3)
    size = e.multiply(k, inner)
    packed = e.multiply(e.divide(inner, WIDTH), WIDTH)

    def one(o: Value, _: list[Value]) -> None:
        x = e.gep("%x", e.multiply(o, size), element)
        out = e.gep("%out", e.multiply(o, inner), element)

        def columns(c: _Cascade) -> Any:
            def body(j: Value, _: list[Value]) -> None:
                start = e.gep(x, j, element)
                v = c.run(k, lambda r: e.gep(start, e.multiply(r, inner), element))
                v = _closed(e, name, element, c.width, v)
                e.store(v, e.gep(out, j, element), element, c.width)

            return body

        e.loop(0, packed, WIDTH, columns(wide), may_be_empty=True)
        e.loop(packed, inner, 1, columns(narrow), may_be_empty=True)

    e.loop(0, outer, 1, one, may_be_empty=True)
    e.emit("ret void")
    text = e.function(symbol, ["ptr %g", "ptr %out", "ptr %x"])
    return module_text([text], e.declarations)


_Plan = tuple[Any, Any, Ints, Ints]  # kernel, geometry, order of dimensions (or ()), result's shape
_PLANS: Final[dict[Any, _Plan | None]] = {}


def fold_native(name: str, x: Any, dims: Ints) -> Any:
    """``sum``, ``prod``, ``amax`` or ``amin`` of floats over ``dims``; the kept dimensions only."""
    key = (name, x.dtype.char, x.shape, dims)
    plan = _PLANS.get(key)
    if plan is None:
        if key not in _PLANS:
            if len(_PLANS) > 4096:
                _PLANS.clear()
            plan = _PLANS[key] = _plan(name, ELEMENT[x.dtype.name], x.shape, dims)
        if plan is None:
            shape = tuple([n for d, n in enumerate(x.shape) if d not in dims])
            return np.full(shape, 0 if name == "sum" else 1, x.dtype)
    run, geometry, order, shape = plan
    if order:
        x = x.transpose(order)
    out = np.empty(shape, x.dtype)
    run(geometry, out, np.asarray(x, order="C"))
    return out


def _plan(name: str, kind: tuple[str, str], shape: Ints, dims: Ints) -> _Plan | None:
    """How to fold a shape; None when there is nothing to fold."""
    element, suffix = kind
    kept = tuple([d for d in range(len(shape)) if d not in dims])
    out_shape = tuple([shape[d] for d in kept])
    size = numel(out_shape)
    k = numel(tuple([shape[d] for d in dims]))
    if k == 0:
        return None
    together = bool(dims) and dims[-1] - dims[0] + 1 == len(dims)
    order: Ints = ()
    if lanes_of(shape, dims) == LANES:
        if not together or dims[0] != len(kept):
            order = kept + dims
        symbol = f"fold_{name}_{suffix}"
        run = kernel(symbol, 3, lambda: lanes_text(name, element, symbol))
        sizes: Ints = (size, k)
    else:
        if together:
            outer = numel(shape[: dims[0]])
        else:
            order = dims + kept
            outer = 1
        symbol = f"fold_{name}_columns_{suffix}"
        run = kernel(symbol, 3, lambda: columns_text(name, element, symbol))
        sizes = (outer, k, size // outer if outer else 0)
    return run, np.array(sizes, dtype=np.int64), order, out_shape
