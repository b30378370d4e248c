"""Max pooling by windows of 2 by 2 side by side: rows of the plane are read and written once."""

from __future__ import annotations

from rushlight.base.dtype import dtype
from rushlight.base.target import Target
from rushlight.codegen.llvm_scalar import ELEMENT
from rushlight.codegen.text import Emitter, Value, splat_literal, vector_type

_SIZES = {"d": 0, "h": 1, "w": 2, "oh": 16, "ow": 17}  # in the geometry of `window.NAMES`


def emit_pairs(name: str, kind: dtype, target: Target, back: bool) -> tuple[str, set[str]]:
    """The kernel `@name`, and its declarations."""
    writer = _Writer(kind, target, back)
    return writer.function(name), writer.e.declarations


class _Writer:
    """Writes one kernel; a place of the result is the winner among two elements of two rows."""

    def __init__(self, kind: dtype, target: Target, back: bool) -> None:
        self.e = Emitter()
        self.element, self.back = ELEMENT[kind], back
        self.lanes = target.lanes(kind.itemsize)

    def function(self, name: str) -> str:
        """The kernel's text."""
        e, element = self.e, self.element
        n = {name: e.load(e.gep("%geo", i, "i64"), "i64") for name, i in _SIZES.items()}
        plane = e.multiply(n["h"], n["w"])
        result = e.multiply(n["oh"], n["ow"])
        odd = e.value(f"icmp ne i64 {e.multiply(result, 4)}, {plane}")
        # planes of a volume lie one after the other, and so do those of its result
        first, last = e.multiply("%from", n["d"]), e.multiply("%to", n["d"])

        def one(p: Value, _: list[Value]) -> None:
            at = e.multiply(p, plane)
            x, small = e.gep("%x", at, element), e.multiply(p, result)
            out = e.gep("%out", at if self.back else small, element)
            g = e.gep("%g", small, element) if self.back else ""
            if self.back:
                e.guard(odd, lambda: self._clear(out, plane))

            def row(h: Value, _: list[Value]) -> None:
                top = e.multiply(e.multiply(h, 2), n["w"])
                line = e.multiply(h, n["ow"])
                rows = [e.gep(x, top, element), e.gep(x, e.add(top, n["w"]), element)]
                if self.back:
                    targets = [e.gep(out, top, element), e.gep(out, e.add(top, n["w"]), element)]
                else:
                    targets = [e.gep(out, line, element)]
                source = e.gep(g, line, element) if self.back else ""
                self._row(rows, targets, source, n["ow"])

            e.loop(0, n["oh"], 1, row)

        e.loop(first, last, 1, one, may_be_empty=True)
        e.emit("ret void")
        given = ["%out", "%g", "%x"] if self.back else ["%out", "%x"]
        parameters = ["ptr %geo", *(f"ptr noalias {v}" for v in given), "i64 %from", "i64 %to"]
        return e.function(name, parameters, attributes="nounwind noinline")

    def _clear(self, out: Value, count: Value) -> None:
        e, element = self.e, self.element
        zero = splat_literal(0.0, element)
        e.loop(0, count, 1, lambda i, _: e.store(zero, e.gep(out, i, element), element))

    def _row(self, rows: list[Value], targets: list[Value], g: Value, count: Value) -> None:
        """Vectors as long as the row has room for; the last of them is moved back."""
        e = self.e

        def along(lanes: int) -> None:
            end = e.subtract(count, lanes)

            def step(i: Value, _: list[Value]) -> None:
                self._places(rows, targets, g, e.minimum(i, end), lanes)

            e.loop(0, count, lanes, step, may_be_empty=True)

        def choose(widths: list[int]) -> None:
            lanes, *shorter = widths
            if not shorter:
                along(lanes)
                return
            room = e.value(f"icmp uge i64 {count}, {lanes}")
            e.choose(room, lambda: along(lanes), lambda: choose(shorter))

        choose(sorted({self.lanes, min(4, self.lanes), 1}, reverse=True))

    def _places(
        self, rows: list[Value], targets: list[Value], g: Value, at: Value, lanes: int
    ) -> None:
        """As many places side by side as there are lanes."""
        e, element = self.e, self.element
        kind, bits = vector_type(element, lanes), vector_type("i1", lanes)
        four = [
            x for row in rows for x in self._split(e.gep(row, e.multiply(at, 2), element), lanes)
        ]
        best, wins = four[0], []
        for v in four[1:]:
            above = e.value(f"fcmp ogt {kind} {v}, {best}")
            nan = e.value(f"fcmp uno {kind} {v}, {v}")
            wins.append(e.value(f"or {bits} {above}, {nan}"))
            if not self.back or len(wins) < 3:
                best = e.value(f"select {bits} {wins[-1]}, {kind} {v}, {kind} {best}")
        if not self.back:
            e.store(best, e.gep(targets[0], at, element), element, lanes)
            return
        zero = splat_literal(0.0, element, lanes)
        left = e.load(e.gep(g, at, element), element, lanes)
        left = e.value(f"fadd {kind} {left}, {zero}")  # as added to zero: +0 for -0
        shares: list[Value] = []
        for win in reversed(wins):  # the last that wins takes it
            shares.append(e.value(f"select {bits} {win}, {kind} {left}, {kind} {zero}"))
            left = e.value(f"select {bits} {win}, {kind} {zero}, {kind} {left}")
        shares.append(left)
        d, c, b, a = shares
        for target, pair in zip(targets, ((a, b), (c, d)), strict=True):
            self._join(e.gep(target, e.multiply(at, 2), element), pair, lanes)

    def _split(self, at: Value, lanes: int) -> list[Value]:
        """The elements of a row at even and at odd places."""
        e, element = self.e, self.element
        low = e.load(at, element, lanes)
        high = e.load(e.gep(at, lanes, element), element, lanes)
        if lanes == 1:
            return [low, high]
        return [e.shuffle(low, high, range(i, 2 * lanes, 2), element, lanes) for i in (0, 1)]

    def _join(self, at: Value, pair: tuple[Value, Value], lanes: int) -> None:
        """The way back."""
        e, element = self.e, self.element
        for i in (0, 1):
            v = pair[i]
            if lanes > 1:
                picks = [p for k in range(lanes // 2) for p in (k, lanes + k)]
                v = e.shuffle(*pair, [p + i * lanes // 2 for p in picks], element, lanes)
            e.store(v, e.gep(at, i * lanes, element), element, lanes)
