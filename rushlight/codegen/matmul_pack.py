"""Packing: copies blocks of an operand into panels that a register tile reads in order.

A panel holds `width` neighbouring rows (of A) or columns (of B), called lanes here, as
`panel[k * width + lane]`. There is one function for each way the operand may lie in memory; all of
them take run-time sizes and strides, so one text serves every shape. A panel at the edge repeats
its last valid lane: such lanes are multiplied but never stored.
"""

from typing import Literal

from rushlight.codegen.matmul_tile import Vector, load_transposed, powers_of_two
from rushlight.codegen.text import Emitter, Value

PackKind = Literal["rows", "columns", "any"]

PLAIN = "nounwind noinline optnone"
"""For functions that count, copy and call: compiled in a third of the time, and no slower."""

PACK_PARAMETERS = [
    "ptr noalias %source",
    "i64 %step",
    "i64 %lane_step",
    "ptr noalias %target",
    "i64 %steps",
    "i64 %lanes",
    "i64 %width",
]
"""What every packing function takes: (k, lane) of the source lies at
`k * step + lane * lane_step`; `lanes` lanes become `ceil(lanes / width)` panels of `steps * width`
elements."""


def pack_kind(step: int, lane_step: int) -> PackKind:
    """The packing function for an operand with these strides."""
    if lane_step == 1:
        return "rows"
    return "columns" if step == 1 else "any"


def spill(vector: Vector) -> int:
    """Elements that packing may write past the last panel."""
    return vector.lanes


def emit_pack(
    name: str, kind: PackKind, vector: Vector, width: int | None = None, rest: str = ""
) -> tuple[str, set[str]]:
    """The text of packing function `name`, and its declarations.

    `rows` needs `lane_step` 1 and knows its width; `rest` names the function `any` that it calls
    for the last panel. `columns` needs `step` 1; `any` takes all strides. Both serve every width.
    """
    e = Emitter()
    if kind == "rows":
        if width is None:
            raise ValueError("packing rows is written for one width")
        _pack_rows(e, vector, width, rest)
    else:
        _each_panel(e, vector, transposed=kind == "columns")
    e.emit("ret void")
    attributes = "nounwind noinline" if kind == "rows" else PLAIN
    text = e.function(name, PACK_PARAMETERS, linkage="internal", attributes=attributes)
    return text, e.declarations


def _pack_rows(e: Emitter, vector: Vector, width: int, rest: str) -> None:
    """Rows as they lie, k outside: the source is read in order.

    Most rows are copied by whole vectors. What these spoil after a panel's row is the panel's next
    row, written later, and what they read after the last lane belongs to later rows of the source.
    The last rows are copied exactly.
    """
    element, lanes = vector.element, vector.lanes
    count = -(-width // lanes)
    full = e.divide("%lanes", width)
    done = e.multiply(full, width)
    panel_size = e.multiply("%steps", width)
    panels = e.divide(e.add("%lanes", width - 1), width)
    ascending = e.value("icmp sgt i64 %step, 0")
    step = e.value(f"select i1 {ascending}, i64 %step, i64 1")
    beyond = e.subtract(e.add(e.multiply(panels, width), count * lanes - width), "%lanes")
    short = e.divide(e.add(beyond, e.subtract(step, 1)), step)
    none = e.value(f"icmp eq i64 {short}, 0")
    short = e.value(f"select i1 {none}, i64 1, i64 {short}")
    short = e.minimum(e.value(f"select i1 {ascending}, i64 {short}, i64 %steps"), "%steps")
    whole = e.value(f"and i64 {e.subtract('%steps', short)}, {-_ROWS}")

    def rows(k: Value, _: list[Value]) -> None:
        def panel(_: Value, now: list[Value]) -> list[Value]:
            here, there = now
            for u in range(_ROWS):
                source = e.gep(here, e.multiply("%step", u), element)
                for v in range(0, count * lanes, lanes):
                    copied = e.load(e.gep(source, v, element), element, lanes)
                    e.store(copied, e.gep(there, u * width + v, element), element, lanes)
            return [e.gep(here, width, element), e.gep(there, panel_size, element)]

        source = e.gep("%source", e.multiply(k, "%step"), element)
        target = e.gep("%target", e.multiply(k, width), element)
        e.loop(0, panels, 1, panel, [("ptr", source), ("ptr", target)])

    e.loop(0, whole, _ROWS, rows, may_be_empty=True)

    def row(k: Value, _: list[Value]) -> None:
        source = e.gep("%source", e.multiply(k, "%step"), element)
        target = e.gep("%target", e.multiply(k, width), element)

        def panel(p: Value, _: list[Value]) -> None:
            here = e.gep(source, e.multiply(p, width), element)
            there = e.gep(target, e.multiply(p, panel_size), element)
            pieces = powers_of_two(width, lanes)
            loaded = [e.load(e.gep(here, at, element), element, size) for at, size in pieces]
            for (at, size), piece in zip(pieces, loaded, strict=True):
                e.store(piece, e.gep(there, at, element), element, size)

        e.loop(0, full, 1, panel)

    some = e.value(f"icmp ne i64 {full}, 0")
    e.guard(some, lambda: e.loop(whole, "%steps", 1, row))

    def last() -> None:
        source = e.gep(e.gep("%source", done, element), e.multiply(whole, "%step"), element)
        target = e.gep("%target", e.multiply(done, "%steps"), element)
        target = e.gep(target, e.multiply(whole, width), element)
        numbers = ("%step", "1", target, e.subtract("%steps", whole), e.subtract("%lanes", done))
        kinds = [parameter.split()[0] for parameter in PACK_PARAMETERS]
        arguments = (source, *numbers, str(width))
        e.call(rest, "void", list(zip(kinds, arguments, strict=True)))

    e.guard(e.value(f"icmp ult i64 {done}, %lanes"), last)


_ROWS = 4
"""Rows of the source that are copied at a time."""


def _each_panel(e: Emitter, vector: Vector, *, transposed: bool) -> None:
    """Packs panel by panel: blocks of k by transposes, the rest one by one."""
    element = vector.element
    last = e.subtract("%lanes", 1)

    def pointer(lane: Value) -> Value:
        """Where a lane of the source starts; past the end, the last lane."""
        return e.gep("%source", e.multiply(e.minimum(lane, last), "%lane_step"), element)

    start: Value = "0"
    if transposed and vector.block > 1:
        start = e.value(f"and i64 %steps, {-vector.block}")

    def panel(lane: Value, _: list[Value]) -> None:
        target = e.gep("%target", e.multiply(lane, "%steps"), element)
        if start != "0":
            last_group = e.value(f"and i64 {e.subtract('%width', 1)}, {-vector.lanes}")

            def group(back: Value, _: list[Value]) -> None:
                at = e.subtract(last_group, back)
                begin = e.add(lane, at)
                pointers = [pointer(e.add(begin, offset)) for offset in range(vector.lanes)]
                _transposed_steps(e, vector, pointers, e.gep(target, at, element), start)

            e.loop(0, "%width", vector.lanes, group)

        def single_lane(at: Value, _: list[Value]) -> None:
            source, there = pointer(e.add(lane, at)), e.gep(target, at, element)

            def single(k: Value, _: list[Value]) -> None:
                loaded = e.load(e.gep(source, e.multiply(k, "%step"), element), element)
                e.store(loaded, e.gep(there, e.multiply(k, "%width"), element), element)

            e.loop(start, "%steps", 1, single, may_be_empty=start != "0")

        e.loop(0, "%width", 1, single_lane)

    e.loop(0, "%lanes", "%width", panel)


def _transposed_steps(
    e: Emitter, vector: Vector, pointers: list[Value], target: Value, stop: Value
) -> None:
    """Blocks of k through in-register transposes.

    The last vector of a row of the panel may reach into the next row. What it spoils is written
    later: rows come in ascending order, vectors of a row in descending order (the very end is
    `spill`).
    """

    def block(k: Value, _: list[Value]) -> None:
        for u, column in enumerate(load_transposed(e, vector, pointers, k, vector.block)):
            place = e.gep(target, e.multiply(e.add(k, u), "%width"), vector.element)
            e.store(column, place, vector.element, vector.lanes)

    e.loop(0, stop, vector.block, block, may_be_empty=True)
