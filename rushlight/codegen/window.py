"""Max pooling for one machine: kernels with run-time sizes, shared by all plans.

    void @pool_<type>(ptr geometry, ptr out, ptr x, i64 first, i64 last)
    void @pool_<type>_index(ptr geometry, ptr places, ptr x, i64 first, i64 last)
    void @pool_<type>_back(ptr geometry, ptr gx, ptr g, ptr x, i64 first, i64 last)

`@pool_<type>_pairs` and `@pool_<type>_pairs_back` do the same for windows of 2 by 2 side by side.

They take the planes `first` to `last`; all operands are row-major and `geometry` points to the
numbers of `numbers`. `graph/ops/window.py` says which element of a window wins. Along a row of the
result, places whose windows lie inside the plane are taken as vectors where the stride is 1 or 2.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Literal

from rushlight.base.dtype import dtype
from rushlight.base.target import Target
from rushlight.codegen.convolve_image import Prepared, Shared, less, more
from rushlight.codegen.llvm_scalar import ELEMENT
from rushlight.codegen.text import (
    Emitter,
    Value,
    float_literal,
    module_text,
    splat_literal,
    type_bytes,
    vector_type,
)
from rushlight.codegen.window_pairs import emit_pairs
from rushlight.graph.ops.window import Windows, lowest

NAMES: Final = (
    "d", "h", "w", "kd", "kh", "kw", "sd", "sh", "sw", "pd", "ph", "pw", "dd", "dh", "dw", "od",
    "oh", "ow",
)  # fmt: skip
Job = Literal["value", "index", "back"]
ENDS: dict[Job, str] = {"value": "", "index": "_index", "back": "_back"}


def side_by_side(windows: Windows) -> bool:
    """Whether windows of 2 by 2 elements neither overlap nor have gaps or padding."""
    w = windows.three()
    plain = w.dilation == (1, 1, 1) and w.padding == (0, 0, 0)
    inside = all(2 * q <= n for q, n in zip(w.places[1:], w.space[1:], strict=True))
    return plain and inside and w.kernel == (1, 2, 2) and w.stride == (1, 2, 2)


def numbers(windows: Windows) -> tuple[int, ...]:
    """The geometry of windows."""
    w = windows.three()
    return (*w.space, *w.kernel, *w.stride, *w.padding, *w.dilation, *w.places)


@lru_cache(maxsize=32)
def shared(kind: dtype, target: Target, job: Job, pairs: bool) -> Shared:
    """One of the kernels for a type."""
    name = f"pool_{kind.name}" + ("_pairs" if pairs else "") + ENDS[job]
    if pairs:
        text, declarations = emit_pairs(name, kind, target, job == "back")
    else:
        writer = _Writer(kind, target, job)
        text, declarations = writer.function(name), writer.e.declarations
    operands = "ptr, ptr, ptr, ptr" if job == "back" else "ptr, ptr, ptr"
    return Shared(name, module_text([text], declarations), f"{operands}, i64, i64")


def prepared(windows: Windows, kind: dtype, target: Target, job: Job) -> Prepared:
    """The kernel for a job, and its geometry."""
    vectors = kind.kind == "f" and target.lanes(kind.itemsize) > 1
    pairs = vectors and job != "index" and side_by_side(windows)
    return Prepared(shared(kind, target, job, pairs), numbers(windows))


class _Writer:
    """Writes one kernel."""

    def __init__(self, kind: dtype, target: Target, job: Job) -> None:
        self.e = Emitter()
        self.kind, self.job = kind, job
        self.element = ELEMENT[kind]
        self.float = kind.kind == "f"
        self.lanes = target.lanes(kind.itemsize) if self.float else 1
        self.place = f"i{8 * max(4, type_bytes(self.element))}" if self.lanes > 1 else "i64"
        self.places = job != "value"  # whether it needs to know where the winner is

    def function(self, name: str) -> str:
        """The kernel's text."""
        e = self.e
        self.n = {n: e.load(e.gep("%geo", i, "i64"), "i64") for i, n in enumerate(NAMES)}
        n = self.n
        self.plane_size = e.multiply(e.multiply(n["d"], n["h"]), n["w"])
        self.result_size = e.multiply(e.multiply(n["od"], n["oh"]), n["ow"])
        if self.lanes > 1:
            self._inside()
        e.loop("%from", "%to", 1, lambda p, _: self._plane(p), may_be_empty=True)
        e.emit("ret void")
        given = ["%out", "%g", "%x"] if self.job == "back" else ["%out", "%x"]
        parameters = ["ptr %geo", *(f"ptr noalias {v}" for v in given), "i64 %from", "i64 %to"]
        return e.function(name, parameters, attributes="nounwind noinline")

    def _inside(self) -> None:
        """The places along a row whose windows lie in the plane, if the stride is 1 or 2."""
        e, n = self.e, self.n
        before = e.add(n["pw"], e.subtract(n["sw"], 1))
        first = e.divide(before, n["sw"])
        reach = e.multiply(e.subtract(n["kw"], 1), n["dw"])
        room = e.subtract(e.add(n["w"], n["pw"]), e.add(reach, 1))
        whole = e.add(e.value(f"sdiv i64 {room}, {n['sw']}"), 1)
        none = e.value(f"icmp slt i64 {room}, 0")
        last = less(e, e.value(f"select i1 {none}, i64 0, i64 {whole}"), n["ow"])
        few = e.value(f"icmp ule i64 {n['sw']}, 2")
        count = more(e, e.subtract(last, first), "0")
        vectors = e.value(f"and i64 {count}, {-self.lanes}")
        vectors = e.value(f"select i1 {few}, i64 {vectors}, i64 0")
        self.first = less(e, first, n["ow"])
        self.end = e.add(self.first, vectors)
        self.twice = e.value(f"icmp eq i64 {n['sw']}, 2")

    def _plane(self, p: Value) -> None:
        e, n = self.e, self.n
        x = e.gep("%x", e.multiply(p, self.plane_size), self.element)
        result = e.multiply(p, self.result_size)
        if self.job == "back":
            out = e.gep("%out", e.multiply(p, self.plane_size), self.element)
            zero = "0" if not self.float else float_literal(0.0, self.element)

            def clear(i: Value, _: list[Value]) -> None:
                e.store(zero, e.gep(out, i, self.element), self.element)

            e.loop(0, self.plane_size, 1, clear)
            g = e.gep("%g", result, self.element)
        else:
            out = e.gep("%out", result, "i64" if self.places else self.element)
            g = ""

        def plane(d: Value, _: list[Value]) -> None:
            depth = self._taps(d, "d")

            def row(h: Value, _: list[Value]) -> None:
                height = self._taps(h, "h")
                line = e.multiply(e.add(e.multiply(d, n["oh"]), h), n["ow"])
                self._row(x, out, g, line, depth, height)

            e.loop(0, n["oh"], 1, row)

        e.loop(0, n["od"], 1, plane)

    def _taps(self, place: Value, axis: str) -> tuple[Value, Value, Value]:
        """Where a window begins along an axis, and its taps inside the plane: [first, last)."""
        e, n = self.e, self.n
        step = n["d" + axis]
        start = e.subtract(e.multiply(place, n["s" + axis]), n["p" + axis])
        up = e.subtract(step, 1)
        before = more(e, e.subtract("0", start), "0")
        first = e.divide(e.add(before, up), step)
        after = more(e, e.subtract(n[axis], start), "0")
        last = less(e, e.divide(e.add(after, up), step), n["k" + axis])
        return start, first, last

    def _row(
        self, x: Value, out: Value, g: Value, line: Value, depth: tuple[Value, Value, Value],
        height: tuple[Value, Value, Value],
    ) -> None:  # fmt: skip
        """One row of the result: single places, vectors where windows lie inside, single places."""
        e = self.e

        def single(w: Value, _: list[Value]) -> None:
            taps = self._taps(w, "w")
            best, place = self._window(x, depth, height, taps, 1, False)
            self._put(out, g, e.add(line, w), best, place, 1, self._some(depth, height, taps))

        if self.lanes == 1:
            e.loop(0, self.n["ow"], 1, single)
            return
        e.loop(0, self.first, 1, single, may_be_empty=True)

        def vectors(twice: bool) -> None:
            def vector(w: Value, _: list[Value]) -> None:
                start = e.subtract(e.multiply(w, self.n["sw"]), self.n["pw"])
                taps = (start, "0", self.n["kw"])
                best, place = self._window(x, depth, height, taps, self.lanes, twice)
                some = self._some(depth, height, taps)
                self._put(out, g, e.add(line, w), best, place, self.lanes, some)

            e.loop(self.first, self.end, self.lanes, vector, may_be_empty=True)

        e.choose(self.twice, lambda: vectors(True), lambda: vectors(False))
        e.loop(self.end, self.n["ow"], 1, single, may_be_empty=True)

    def _some(self, *axes: tuple[Value, Value, Value]) -> Value:
        """Whether a window has taps inside the plane: wide steps may lead around all of it."""
        e = self.e
        if not self.places:
            return ""
        found = [e.value(f"icmp slt i64 {first}, {last}") for _, first, last in axes]
        return e.value(f"and i1 {e.value(f'and i1 {found[0]}, {found[1]}')}, {found[2]}")

    def _window(
        self, x: Value, depth: tuple[Value, Value, Value], height: tuple[Value, Value, Value],
        width: tuple[Value, Value, Value], lanes: int, twice: bool,
    ) -> tuple[Value, Value]:  # fmt: skip
        """The winners of one window, or of as many side by side as there are lanes."""
        e, n, element = self.e, self.n, self.element
        kind, where = vector_type(element, lanes), self._place_type(lanes)
        steps = ""
        if lanes > 1 and self.places:
            unit = (
                e.value(f"trunc i64 {n['sw']} to {self.place}") if self.place != "i64" else n["sw"]
            )
            line = "<" + ", ".join(f"{self.place} {i}" for i in range(lanes)) + ">"
            steps = e.value(f"mul {where} {e.splat(unit, self.place, lanes)}, {line}")

        def address(t: Value, h: Value, w: Value) -> Value:
            d_at = e.add(depth[0], e.multiply(t, n["dd"]))
            h_at = e.add(height[0], e.multiply(h, n["dh"]))
            w_at = e.add(width[0], e.multiply(w, n["dw"]))
            return e.add(e.multiply(e.add(e.multiply(d_at, n["h"]), h_at), n["w"]), w_at)

        def placed(at: Value) -> Value:
            if lanes == 1:
                return at
            return e.value(f"add {where} {e.splat(self._short(at), self.place, lanes)}, {steps}")

        def tap(t: Value, h: Value, w: Value, now: list[Value]) -> list[Value]:
            at = address(t, h, w)
            v = self._load(e.gep(x, at, element), lanes, twice)
            wins = self._wins(v, now[0], kind, lanes)
            bits = vector_type("i1", lanes)
            out = [e.value(f"select {bits} {wins}, {kind} {v}, {kind} {now[0]}")]
            if self.places:
                out.append(e.value(f"select {bits} {wins}, {where} {placed(at)}, {where} {now[1]}"))
            return out

        types = [kind, where] if self.places else [kind]

        def carry(now: list[Value]) -> list[tuple[str, Value]]:
            return list(zip(types, now, strict=True))

        def over_h(t: Value, now: list[Value]) -> list[Value]:
            def over_w(h: Value, now: list[Value]) -> list[Value]:
                return e.loop(
                    width[1], width[2], 1, lambda w, now: tap(t, h, w, now), carry(now),
                    may_be_empty=True,
                )  # fmt: skip

            return e.loop(height[1], height[2], 1, over_w, carry(now), may_be_empty=True)

        begin = [self._lowest(lanes)]
        if self.places:
            some = self._some(depth, height, width)
            at = address(depth[1], height[1], width[1])
            begin.append(placed(e.value(f"select i1 {some}, i64 {at}, i64 0")))
        found = e.loop(depth[1], depth[2], 1, over_h, carry(begin), may_be_empty=True)
        return found[0], found[1] if self.places else ""

    def _short(self, number: Value) -> Value:
        """A place as it stands in vectors."""
        if self.place == "i64":
            return number
        return self.e.value(f"trunc i64 {number} to {self.place}")

    def _place_type(self, lanes: int) -> str:
        return "i64" if lanes == 1 else vector_type(self.place, lanes)

    def _lowest(self, lanes: int) -> Value:
        least = lowest(self.kind)
        if self.float:
            return splat_literal(least, self.element, lanes)
        return str(least)

    def _wins(self, v: Value, best: Value, kind: str, lanes: int) -> Value:
        e = self.e
        if not self.float:
            order = "sgt" if self.kind.kind == "i" else "ugt"
            return e.value(f"icmp {order} {kind} {v}, {best}")
        above = e.value(f"fcmp ogt {kind} {v}, {best}")
        nan = e.value(f"fcmp uno {kind} {v}, {v}")
        return e.value(f"or {vector_type('i1', lanes)} {above}, {nan}")

    def _load(self, at: Value, lanes: int, twice: bool) -> Value:
        e, element = self.e, self.element
        if not twice:
            return e.load(at, element, lanes)
        # every other element of 2 * lanes - 1: nothing behind the last is touched
        low = e.load(at, element, lanes)
        high = e.load(e.gep(at, lanes - 1, element), element, lanes)
        half = lanes // 2
        picks = [*range(0, lanes, 2), *(lanes + 2 * i + 1 for i in range(half))]
        return e.shuffle(low, high, picks, element, lanes)

    def _put(
        self, out: Value, g: Value, at: Value, best: Value, place: Value, lanes: int, some: Value
    ) -> None:
        """Stores winners or places, or adds gradients where the winners are, in order.

        A window without a tap in the plane has no winner (``some`` is false): nothing is added.
        """
        e, element = self.e, self.element
        if self.job == "value":
            e.store(best, e.gep(out, at, element), element, lanes)
            return
        if self.job == "index":
            if lanes > 1 and self.place != "i64":
                kinds = f"{self._place_type(lanes)} {place} to {vector_type('i64', lanes)}"
                place = e.value(f"zext {kinds}")
            e.store(place, e.gep(out, at, "i64"), "i64", lanes)
            return
        for i in range(lanes):
            where = place
            if lanes > 1:
                kinds = f"{self._place_type(lanes)} {place}"
                where = e.value(f"extractelement {kinds}, i64 {i}")
                if self.place != "i64":
                    where = e.value(f"zext {self.place} {where} to i64")
            here = e.gep(out, where, element)
            have = e.load(here, element)
            more_ = e.load(e.gep(g, e.add(at, i), element), element)
            nothing = float_literal(-0.0, element) if self.float else "0"
            more_ = e.value(f"select i1 {some}, {element} {more_}, {element} {nothing}")
            add = "fadd" if self.float else "add"
            e.store(e.value(f"{add} {element} {have}, {more_}"), here, element)
