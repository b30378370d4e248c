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

PACK_PARAMETERS = [
    "ptr noalias %source",
    "i64 %step",
    "i64 %lane_step",
    "ptr noalias %target",
    "i64 %steps",
    "i64 %lanes",
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


def emit_pack(name: str, kind: PackKind, vector: Vector, width: int) -> tuple[str, set[str]]:
    """The text of packing function `name`, and its declarations.

    `rows` needs `lane_step` 1 and `columns` needs `step` 1; `any` takes all strides.
    """
    e = Emitter()
    if kind == "rows":
        _pack_rows(e, vector, width)
    else:
        _each_panel(e, vector, width, transposed=kind == "columns", first="0")
    e.emit("ret void")
    text = e.function(name, PACK_PARAMETERS, linkage="internal", attributes="nounwind noinline")
    return text, e.declarations


def _pack_rows(e: Emitter, vector: Vector, width: int) -> None:
    """Whole panels row by row (k outside: the source is read in order), then the edge."""
    element = vector.element
    panels = e.value(f"udiv i64 %lanes, {width}")
    panel_size = e.multiply("%steps", width)

    def row(k: Value, _: list[Value]) -> None:
        source = e.gep("%source", e.multiply(k, "%step"), element)
        target = e.gep("%target", e.multiply(k, width), element)

        def panel(p: Value, _: list[Value]) -> None:
            here = e.gep(source, e.multiply(p, width), element)
            there = e.gep(target, e.multiply(p, panel_size), element)
            pieces = powers_of_two(width, vector.lanes)
            loaded = [e.load(e.gep(here, at, element), element, size) for at, size in pieces]
            for (at, size), piece in zip(pieces, loaded, strict=True):
                e.store(piece, e.gep(there, at, element), element, size)

        e.loop(0, panels, 1, panel)

    some = e.value(f"icmp ne i64 {panels}, 0")
    e.guard(some, lambda: e.loop(0, "%steps", 1, row))
    done = e.multiply(panels, width)
    rest = e.value(f"icmp ult i64 {done}, %lanes")
    e.guard(rest, lambda: _each_panel(e, vector, width, transposed=False, first=done))


def _each_panel(e: Emitter, vector: Vector, width: int, *, transposed: bool, first: Value) -> None:
    """Packs panel by panel from lane `first`, with a pointer for every lane of the panel."""
    element = vector.element

    def panel(lane: Value, _: list[Value]) -> None:
        pointers = []
        last = e.value("sub i64 %lanes, 1")
        for offset in range(width):
            wanted = e.add(lane, offset)
            inside = e.value(f"icmp ult i64 {wanted}, {last}")
            valid = e.value(f"select i1 {inside}, i64 {wanted}, i64 {last}")
            pointers.append(e.gep("%source", e.multiply(valid, "%lane_step"), element))
        target = e.gep("%target", e.multiply(lane, "%steps"), element)
        start: Value = "0"
        if transposed and vector.block > 1:
            start = e.value(f"and i64 %steps, {-vector.block}")
            _transposed_steps(e, vector, width, pointers, target, start)

        def single(k: Value, _: list[Value]) -> None:
            offset = e.multiply(k, "%step")
            there = e.gep(target, e.multiply(k, width), element)
            for position, pointer in enumerate(pointers):
                loaded = e.load(e.gep(pointer, offset, element), element)
                e.store(loaded, e.gep(there, position, element), element)

        e.loop(start, "%steps", 1, single, may_be_empty=True)

    e.loop(first, "%lanes", width, panel)


def _transposed_steps(
    e: Emitter, vector: Vector, width: int, pointers: list[Value], target: Value, stop: Value
) -> None:
    """Blocks of k through in-register transposes.

    A vector may reach past the end of its row of the panel: what it spoils is written later, since
    rows are written in ascending order (the very end is `spill`).
    """
    element, lanes = vector.element, vector.lanes
    groups = [list(range(at, min(at + lanes, width))) for at in range(0, width, lanes)]

    def block(k: Value, _: list[Value]) -> None:
        columns = []
        for group in groups:
            padded = [pointers[lane] for lane in group]
            padded += [padded[-1]] * (lanes - len(group))
            columns.append(load_transposed(e, vector, padded, k, vector.block))
        for u in range(vector.block):
            there = e.gep(target, e.multiply(e.add(k, u), width), element)
            for position, column in enumerate(columns):
                e.store(column[u], e.gep(there, position * lanes, element), element, lanes)

    e.loop(0, stop, vector.block, block, may_be_empty=True)
