"""The blocked matrix product: packs both operands and walks panels; sizes are run-time arguments.

C is cut into blocks of `nc` columns, k into blocks of at most `kc` (C holds the unfinished chains
between them), A into blocks of `mc` rows. A packed panel of B stays in the first cache while the
panels of a packed block of A, held in the second, go by. The emitted function is

    void @name(ptr A, i64 am, i64 ak, ptr B, i64 bk, i64 bn, ptr C, i64 cm,
               i64 m, i64 k, i64 n, ptr work)

with strides in elements; C's columns lie next to each other.
"""

from collections.abc import Collection
from dataclasses import dataclass

from rushlight.codegen.matmul_pack import PACK_PARAMETERS, PLAIN, PackKind, emit_pack, spill
from rushlight.codegen.matmul_tile import (
    Broadcast,
    Lanes,
    Output,
    Tile,
    Vector,
    multiply,
    started,
    store_output,
)
from rushlight.codegen.text import Emitter, Value, type_bytes

BLOCKED_PARAMETERS = [
    "ptr noalias %a",
    "i64 %am",
    "i64 %ak",
    "ptr noalias %b",
    "i64 %bk",
    "i64 %bn",
    "ptr noalias %c",
    "i64 %cm",
    "i64 %m",
    "i64 %k",
    "i64 %n",
    "ptr noalias %work",
]

_TILE_PARAMETERS = [
    "ptr noalias %x",
    "ptr noalias %y",
    "ptr noalias %c",
    "i64 %cm",
    "i64 %steps",
    "i1 %first",
]


def _ceiling(number: int, unit: int) -> int:
    return -(-number // unit)


@dataclass(frozen=True)
class Blocking:
    """Sizes of tile and blocks: `rows` x `columns` in registers, `kc`, `mc`, `nc` in caches."""

    vector: Vector
    rows: int
    columns: int
    kc: int
    mc: int
    nc: int

    @property
    def heights(self) -> tuple[int, ...]:
        """Tile heights there is code for, tallest first."""
        return tuple(dict.fromkeys((self.rows, max(1, self.rows // 2), 1)))

    def height_for(self, rows: int) -> int:
        """The lowest tile that holds `rows` rows."""
        return min(height for height in self.heights if height >= rows)

    def k_block(self, k: int) -> int:
        """Length of the k blocks (the last may be shorter): balanced, a multiple of 4."""
        count = max(1, _ceiling(k, self.kc))
        return _ceiling(_ceiling(k, count), 4) * 4

    def a_elements(self, m: int, k: int) -> int:
        """Elements of workspace for packed A (rounded to cache lines)."""
        rows = _ceiling(min(m, self.mc), self.rows) * self.rows
        return _ceiling(rows * min(k, self.k_block(k)) + spill(self.vector), 64) * 64

    def workspace(self, m: int, k: int, n: int) -> int:
        """Bytes of workspace that a product of this size needs, 64-byte aligned."""
        columns = _ceiling(min(n, self.nc), self.columns) * self.columns
        b = columns * min(k, self.k_block(k)) + spill(self.vector)
        elements = _ceiling(b, 64) * 64 + self.a_elements(m, k)
        return elements * type_bytes(self.vector.element)


def blocking(vector: Vector, registers: int) -> Blocking:
    """The sizes for a vector width and number of vector registers."""
    if vector.lanes == 1:
        return Blocking(vector, 3, 3, 256, 96, 1024)
    wide = 2 if registers == 16 else 3
    rows = 6 if registers == 16 else 8
    if registers == 32 and vector.lanes * type_bytes(vector.element) == 64:
        wide, rows = 2, 12
    item = type_bytes(vector.element)
    columns = wide * vector.lanes
    # A panel of B takes most of a first cache of 32 or 48 KB, a block of A part of the second.
    depth = 384 if columns * item <= 64 else 256
    return Blocking(
        vector,
        rows,
        columns,
        kc=depth,
        mc=_ceiling(98_304 // (depth * item) + 30, rows) * rows,
        nc=_ceiling(3072, columns) * columns,
    )


@dataclass(frozen=True)
class BlockedCode:
    """The texts of a blocked product; the entry function is named as asked."""

    functions: tuple[str, ...]
    declarations: frozenset[str]


def emit_blocked(
    name: str,
    sizes: Blocking,
    *,
    a_kinds: Collection[PackKind] = ("rows", "columns", "any"),
    b_kinds: Collection[PackKind] = ("rows", "columns", "any"),
    heights: Collection[int] | None = None,
    linkage: str = "",
) -> BlockedCode:
    """Writes the blocked product `name`.

    `a_kinds` and `b_kinds` say how the operands may lie (kinds as seen by `pack_kind`: for A the
    lanes are rows); `heights` which tile heights can occur.
    """
    functions: list[str] = []
    declarations: set[str] = set()
    packs: dict[str, tuple[PackKind, int | None]] = {}
    rest = _pack_name(name, "any", 0)
    for width, kinds in ((sizes.rows, a_kinds), (sizes.columns, b_kinds)):
        for kind in kinds:
            packs[_pack_name(name, kind, width)] = (kind, width if kind == "rows" else None)
            if kind == "rows":
                packs[rest] = ("any", None)
    for pack in sorted(packs):
        text, declared = emit_pack(pack, packs[pack][0], sizes.vector, packs[pack][1], rest)
        functions.append(text)
        declarations |= declared
    used = tuple(h for h in sizes.heights if heights is None or h in heights)
    for height in used:
        text, declared = _emit_tile(f"{name}_tile_{height}", sizes, height)
        functions.append(text)
        declarations |= declared
    functions.append(_emit_copy(name, sizes.vector))
    functions.append(_emit_edge(name, sizes, used))
    functions.append(_emit_walk(name, sizes, used))
    functions.append(_emit_entry(name, sizes, tuple(a_kinds), tuple(b_kinds), linkage))
    return BlockedCode(tuple(functions), frozenset(declarations))


def _emit_tile(name: str, sizes: Blocking, height: int) -> tuple[str, set[str]]:
    """One register tile: loads or starts its chains, multiplies a panel pair, stores."""
    e = Emitter()
    vector = sizes.vector
    tile = Tile(vector, height, sizes.columns, padded=True)
    output = Output("%c", "%cm")
    line = 64 // type_bytes(vector.element)
    for row in range(height):
        start = e.gep("%c", e.multiply(row, "%cm"), vector.element)
        for offset in range(0, sizes.columns, line):
            e.prefetch(e.gep(start, offset, vector.element), write=True)
    sums = started(e, tile, output, "%first")
    x = Broadcast("%x", 1, sizes.rows)
    y = Lanes("%y", sizes.columns)
    store_output(e, tile, output, multiply(e, tile, x, y, "%steps", sums, 2))
    e.emit("ret void")
    text = e.function(name, _TILE_PARAMETERS, linkage="internal", attributes="nounwind noinline")
    return text, e.declarations


def _emit_edge(name: str, sizes: Blocking, heights: tuple[int, ...]) -> str:
    """A tile of fewer rows or columns: by way of a whole one in a buffer unless one fits."""
    e = Emitter()
    element = sizes.vector.element
    buffer = e.stack(f"[{sizes.rows * sizes.columns} x {element}]", 64)
    function: Value = f"@{name}_tile_{heights[0]}"
    height: Value = str(heights[0])
    for candidate in heights[1:]:
        fits = e.value(f"icmp ule i64 %rows, {candidate}")
        function = e.value(f"select i1 {fits}, ptr @{name}_tile_{candidate}, ptr {function}")
        height = e.value(f"select i1 {fits}, i64 {candidate}, i64 {height}")
    same_rows = e.value(f"icmp eq i64 %rows, {height}")
    same_columns = e.value(f"icmp eq i64 %columns, {sizes.columns}")
    exact = e.value(f"and i1 {same_rows}, {same_columns}")

    def call(c: Value, cm: Value) -> None:
        text = f"ptr %x, ptr %y, ptr {c}, i64 {cm}, i64 %steps, i1 %first"
        e.emit(f"call void {function}({text})")

    def copy(source: Value, source_row: Value, target: Value, target_row: Value) -> None:
        text = f"ptr {source}, i64 {source_row}, ptr {target}, i64 {target_row}"
        e.emit(f"call void @{name}_copy({text}, i64 %rows, i64 %columns)")

    def buffered() -> None:
        width = str(sizes.columns)
        later = e.value("xor i1 %first, true")
        e.guard(later, lambda: copy("%c", "%cm", buffer, width))
        call(buffer, width)
        copy(buffer, width, "%c", "%cm")

    e.choose(exact, lambda: call("%c", "%cm"), buffered)
    e.emit("ret void")
    parameters = [*_TILE_PARAMETERS, "i64 %rows", "i64 %columns"]
    return e.function(
        f"{name}_edge", parameters, linkage="internal", attributes="nounwind noinline"
    )


def _emit_copy(name: str, vector: Vector) -> str:
    """Copies a few rows and columns between C and a tile's buffer."""
    e, element, some = Emitter(), vector.element, vector.block
    whole = e.value(f"and i64 %columns, {-some}")

    def row(i: Value, _: list[Value]) -> None:
        here = e.gep("%source", e.multiply(i, "%source_row"), element)
        there = e.gep("%target", e.multiply(i, "%target_row"), element)

        def column(j: Value, lanes: int) -> None:
            moved = e.load(e.gep(here, j, element), element, lanes)
            e.store(moved, e.gep(there, j, element), element, lanes)

        e.loop(0, whole, some, lambda j, _: column(j, some), may_be_empty=True)
        e.loop(whole, "%columns", 1, lambda j, _: column(j, 1), may_be_empty=True)

    e.loop(0, "%rows", 1, row)
    e.emit("ret void")
    parameters = ["ptr noalias %source", "i64 %source_row", "ptr noalias %target"]
    parameters += ["i64 %target_row", "i64 %rows", "i64 %columns"]
    return e.function(
        f"{name}_copy", parameters, linkage="internal", attributes="nounwind noinline"
    )


def _emit_walk(name: str, sizes: Blocking, heights: tuple[int, ...]) -> str:
    """All tiles of a block: for each panel of B, each panel of A."""
    e = Emitter()
    element = sizes.vector.element

    def columns_panel(j: Value, _: list[Value]) -> None:
        width = e.minimum(e.subtract("%columns", j), sizes.columns)
        y = e.gep("%y", e.multiply(j, "%steps"), element)
        c_column = e.gep("%c", j, element)
        full_width = e.value(f"icmp eq i64 {width}, {sizes.columns}")

        def rows_panel(i: Value, _: list[Value]) -> None:
            height = e.minimum(e.subtract("%rows", i), sizes.rows)
            x = e.gep("%x", e.multiply(i, "%steps"), element)
            c = e.gep(c_column, e.multiply(i, "%cm"), element)
            arguments = [("ptr", x), ("ptr", y), ("ptr", c), ("i64", "%cm"), ("i64", "%steps")]
            arguments.append(("i1", "%first"))
            extra = [("i64", height), ("i64", width)]

            def edge() -> None:
                e.call(f"{name}_edge", "void", arguments + extra)

            if heights[0] != sizes.rows:  # no block is ever as tall as a whole tile
                edge()
                return
            full_height = e.value(f"icmp eq i64 {height}, {sizes.rows}")
            whole = e.value(f"and i1 {full_width}, {full_height}")
            e.choose(whole, lambda: e.call(f"{name}_tile_{sizes.rows}", "void", arguments), edge)

        e.loop(0, "%rows", sizes.rows, rows_panel)

    e.loop(0, "%columns", sizes.columns, columns_panel)
    e.emit("ret void")
    parameters = [*_TILE_PARAMETERS, "i64 %rows", "i64 %columns"]
    return e.function(f"{name}_walk", parameters, linkage="internal", attributes=PLAIN)


def _pack_name(name: str, kind: PackKind, width: int | Value) -> str:
    return f"{name}_pack_{kind}{width}" if kind == "rows" else f"{name}_pack_{kind}"


def call_pack(
    e: Emitter, name: str, kinds: tuple[PackKind, ...], width: int | Value, arguments: list[Value]
) -> None:
    """Packs with the function that the strides allow, chosen when it runs if several can."""
    step, lane_step = arguments[1], arguments[2]
    function: Value = f"@{_pack_name(name, kinds[0], width)}"
    if len(kinds) > 1:
        function = f"@{_pack_name(name, 'any', width)}"
        strides: list[tuple[PackKind, Value]] = [("columns", step), ("rows", lane_step)]
        for kind, stride in strides:
            dense = e.value(f"icmp eq i64 {stride}, 1")
            chosen = _pack_name(name, kind, width)
            function = e.value(f"select i1 {dense}, ptr @{chosen}, ptr {function}")
    types = [parameter.split()[0] for parameter in PACK_PARAMETERS]
    values = [*arguments, str(width)]
    text = ", ".join(f"{kind} {value}" for kind, value in zip(types, values, strict=True))
    e.emit(f"call void {function}({text})")


def _emit_entry(
    name: str,
    sizes: Blocking,
    a_kinds: tuple[PackKind, ...],
    b_kinds: tuple[PackKind, ...],
    linkage: str,
) -> str:
    e = Emitter()
    element = sizes.vector.element
    empty = e.value("icmp eq i64 %m, 0")
    empty = e.value(f"or i1 {empty}, {e.value('icmp eq i64 %n, 0')}")
    some, leave = e.new("some"), e.new("leave")
    e.emit(f"br i1 {empty}, label %{leave}, label %{some}")
    e.label(some)
    no_steps = e.value("icmp eq i64 %k, 0")

    def clear() -> None:
        def row(i: Value, _: list[Value]) -> None:
            start = e.gep("%c", e.multiply(i, "%cm"), element)
            e.loop(
                0,
                "%n",
                1,
                lambda j, _: e.store(Vector(element, 1).zero, e.gep(start, j, element), element),
            )

        e.loop(0, "%m", 1, row)

    e.choose(no_steps, clear, lambda: _blocks(e, name, sizes, a_kinds, b_kinds))
    e.emit(f"br label %{leave}")
    e.label(leave)
    e.emit("ret void")
    return e.function(name, BLOCKED_PARAMETERS, linkage=linkage, attributes=PLAIN)


def _blocks(
    e: Emitter,
    name: str,
    sizes: Blocking,
    a_kinds: tuple[PackKind, ...],
    b_kinds: tuple[PackKind, ...],
) -> None:
    """The loops over blocks; packed A comes first in the workspace, then packed B."""
    element = sizes.vector.element
    count = e.divide(e.add("%k", sizes.kc - 1), sizes.kc)
    share = e.divide(e.add("%k", e.subtract(count, 1)), count)
    k_block = e.value(f"and i64 {e.add(share, 3)}, -4")
    deepest = e.minimum(k_block, "%k")
    tallest = e.minimum("%m", sizes.mc)
    panels = e.divide(e.add(tallest, sizes.rows - 1), sizes.rows)
    packed = e.add(e.multiply(e.multiply(panels, sizes.rows), deepest), spill(sizes.vector) + 63)
    b_work = e.gep("%work", e.value(f"and i64 {packed}, -64"), element)

    def columns(jc: Value, _: list[Value]) -> None:
        width = e.minimum(e.subtract("%n", jc), sizes.nc)

        def depth(pc: Value, _: list[Value]) -> None:
            steps = e.minimum(e.subtract("%k", pc), k_block)
            first = e.value(f"icmp eq i64 {pc}, 0")
            offset = e.add(e.multiply(pc, "%bk"), e.multiply(jc, "%bn"))
            source = e.gep("%b", offset, element)
            call_pack(e, name, b_kinds, sizes.columns, [source, "%bk", "%bn", b_work, steps, width])

            def rows(ic: Value, _: list[Value]) -> None:
                height = e.minimum(e.subtract("%m", ic), sizes.mc)
                at = e.add(e.multiply(ic, "%am"), e.multiply(pc, "%ak"))
                block = e.gep("%a", at, element)
                call_pack(
                    e, name, a_kinds, sizes.rows, [block, "%ak", "%am", "%work", steps, height]
                )
                c = e.gep("%c", e.add(e.multiply(ic, "%cm"), jc), element)
                arguments = [("ptr", "%work"), ("ptr", b_work), ("ptr", c), ("i64", "%cm")]
                arguments += [("i64", steps), ("i1", first), ("i64", height), ("i64", width)]
                e.call(f"{name}_walk", "void", arguments)

            e.loop(0, "%m", sizes.mc, rows)

        e.loop(0, "%k", k_block, depth)

    e.loop(0, "%n", sizes.nc, columns)
