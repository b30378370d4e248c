"""The matrix product with known sizes, without packing whole operands.

Sizes and strides are known, so every loop bound and address is. This is the kernel of tiny, small
and medium products, of matrix times vector and of few rows times many columns. A product may be
turned (C transposed) so that the longer or better laid out side lies along the lanes; that side is
read where it lies, or one panel of it at a time is copied to the stack. `plan_direct` chooses by
an estimate fitted to measurements, which decides speed only.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from rushlight.codegen.matmul_tile import (
    Broadcast,
    Int,
    Lanes,
    Output,
    Tile,
    Vector,
    few_sets,
    gather,
    lane_pointers,
    load_part,
    load_transposed,
    multiply,
    near_lanes,
    over_steps,
    stages,
    started,
    store_output,
    zeros,
)
from rushlight.codegen.text import Emitter, Value, type_bytes

Access = Literal["rows", "columns", "gather"]


@dataclass(frozen=True)
class Product:
    """A product seen as rows (broadcast, "x") against lanes (vectors, "y"); strides in elements.

    x(row, k) lies at `row * x_row + k * x_step`, y(k, lane) at `k * y_step + lane * y_lane`, the
    result at `row * out_row + lane * out_lane`; one of the last two is 1.
    """

    vector: Vector
    registers: int
    rows: int
    k: int
    lanes: int
    x_row: int
    x_step: int
    y_step: int
    y_lane: int
    out_row: int
    out_lane: int

    @property
    def access(self) -> Access:
        """How vectors of y are made: loaded, transposed in registers, or put together."""
        if self.y_lane == 1 or self.lanes == 1:
            return "rows"
        return "columns" if self.y_step == 1 or self.k <= 1 else "gather"

    @property
    def item(self) -> int:
        """Bytes of an element."""
        return type_bytes(self.vector.element)


@dataclass(frozen=True)
class DirectPlan:
    """Tile sizes for a product: `vectors` a row, at most `height` rows, `k_block` steps at a time.

    `packed` says that a panel of y is first copied to a buffer on the stack, for all its tiles.
    `cycles` estimates the time on a machine with two fma units.
    """

    product: Product
    vector: Vector
    height: int
    vectors: int
    k_block: int
    cycles: float
    packed: bool = False

    @property
    def access(self) -> Access:
        """How tiles read y."""
        return "rows" if self.packed else self.product.access

    @property
    def variants(self) -> int:
        """How many different tiles there is code for."""
        return len(self.row_runs) * len(self.lane_runs)

    def unroll(self, height: int, width: int) -> int:
        """Steps of k that are written one after the other in a tile."""
        step = height * -(-width // self.vector.lanes)
        if self.product.k * step <= 40:
            return max(1, self.product.k)
        brief = self.cycles < 10_000 or self.product.k <= 16
        return 2 if step >= 5 and brief else 4

    @property
    def lines(self) -> int:
        """About how many lines of text the tiles take."""
        product, lanes = self.product, self.vector.lanes
        total = 0
        for width, _ in self.lane_runs:
            vectors = -(-width // lanes)
            turned = {"rows": 2, "columns": 5, "gather": 3 * lanes}
            if self.packed:
                total += 4 * vectors * (turned[product.access] + 2)
            for height, _ in self.row_runs:
                steps = min(product.k, self.unroll(height, width))
                if self.access == "columns":  # turned over four at a time
                    steps = max(steps, min(4, product.k))
                total += steps * (height * (4 + vectors) + vectors * turned[self.access])
                total += height * vectors * (2 if product.out_lane == 1 else 2 * lanes)
        return total

    @cached_property
    def row_runs(self) -> list[tuple[int, int]]:
        """Tile heights as (height, count): at most two heights, differing by one."""
        return _balanced(self.product.rows, self.height)

    @cached_property
    def lane_runs(self) -> list[tuple[int, int]]:
        """Tile widths as (width, count): whole panels, then what is left."""
        width = self.vectors * self.vector.lanes
        whole, rest = divmod(self.product.lanes, width)
        return [(size, count) for size, count in ((width, whole), (rest, 1)) if size and count]


def _balanced(total: int, largest: int) -> list[tuple[int, int]]:
    parts = max(1, -(-total // largest))
    base, longer = divmod(total, parts)
    return [(size, n) for size, n in ((base + 1, longer), (base, parts - longer)) if size and n]


_LINE_CYCLES = 1.0
"""What a line of text weighs: it is compiled once, and most small products run a few thousand
times."""

_PANEL_BYTES = 64 << 10
"""The most that a packed panel may take of a thread's stack."""


def plan_direct(product: Product) -> DirectPlan:
    """The best tile for a product by the estimate."""
    lanes = 1
    while lanes < min(product.vector.lanes, product.lanes):
        lanes *= 2
    if product.access == "columns" and not stages(product.rows, product.k):
        lanes = near_lanes(product.vector.element, product.y_lane, lanes)
    vector = Vector(product.vector.element, lanes)
    most = max(1, -(-product.lanes // lanes))
    plans = []
    for vectors in range(1, min(8, most) + 1):
        for packed in (False, True):
            panel = product.k * vectors * lanes * product.item
            if packed and not 0 < panel <= _PANEL_BYTES:
                continue
            for height in _heights(product, vector, vectors, packed):
                plan = DirectPlan(product, vector, height, vectors, product.k, 0.0, packed)
                plans.append(_estimate(plan))

    def weight(plan: DirectPlan) -> float:
        """Time to run, and a little for each tile and line that has to be compiled."""
        tiles = (0.08 if plan.cycles < 3000 else 0.04) * plan.variants
        return plan.cycles * (1 + tiles) + _LINE_CYCLES * plan.lines

    return min(plans, key=weight)


def _heights(product: Product, vector: Vector, vectors: int, packed: bool) -> list[int]:
    """Tile heights worth considering: the most that registers hold, and divisors near it.

    A divisor of the rows needs the code of one tile only.
    """
    # Accumulators, and beside them the vectors of y and a broadcast element.
    spare = 2 if product.rows == 1 else vectors + 1
    if not packed and product.access == "gather":
        spare = 3
    elif not packed and product.access == "columns" and not stages(4, product.k):
        spare = vector.block + 2
    most = min(max(1, product.rows), (product.registers - spare) // vectors, 24)
    return [
        height
        for height in range(most, 0, -1)
        if height == most or (product.rows % height == 0 and 4 * height >= most)
    ]


def _estimate(plan: DirectPlan) -> DirectPlan:
    product, lanes = plan.product, plan.vector.lanes
    passes = sum(count for _, count in plan.row_runs)
    block = product.k
    apart = abs(product.y_step) * product.item
    if product.access == "rows" and not plan.packed and apart > 512 and product.k * apart > 1 << 18:
        # Rows of y far apart: few at a time, so that they are read along, not across.
        near = 16 if _stays(32, apart) else 8
        block = min(block, near if passes == 1 else 128)
    blocks = -(-product.k // max(1, block))
    cycles = 0.0
    for width, panels in plan.lane_runs:
        vectors = -(-width // lanes)
        if plan.packed:
            cycles += panels * product.k * vectors * _pack_cycles(plan)
        for height, count in plan.row_runs:
            step = _step_cycles(plan, height, vectors, passes)
            finish = blocks * height * vectors * (1.0 if product.out_lane == 1 else 0.7 * lanes)
            cycles += panels * count * (step * product.k + finish + 8)
    return replace(plan, cycles=cycles, k_block=max(1, block))


def _pack_cycles(plan: DirectPlan) -> float:
    """The estimate for copying one vector of y to a panel."""
    product = plan.product
    panel = product.k * plan.vectors * plan.vector.lanes * product.item
    if product.access == "columns":
        return 1.7 if panel <= 24 << 10 else 2.5
    if product.access == "gather":
        return float(plan.vector.lanes)
    apart = abs(product.y_step) * product.item
    if product.k * apart <= 1 << 18:
        return 0.7
    return 3.0 if apart % 2048 else 8.0  # rows in different pages, and in the same sets


def _step_cycles(plan: DirectPlan, height: int, vectors: int, passes: int) -> float:
    """The estimate for one k of one tile, fitted to measurements."""
    product, lanes = plan.product, plan.vector.lanes
    # A chain waits four cycles for each fma; short ones overlap with the next tile's.
    chain = 4.0 if product.k > 8 else 1.0
    arithmetic = height * vectors / 2
    loads = (height + vectors) / 2 + _far_x(product, height)
    if few_sets(plan.vector.element, product.x_row, 1, height):
        loads += 1.2 * height  # rows of x push each other out between two elements of a line
    if plan.access == "gather":
        return max(arithmetic + vectors * lanes, loads, chain)
    if plan.access == "columns":
        if stages(height, product.k):
            return max(arithmetic, loads, chain) + 1.7 * vectors
        streams = 1.7 if vectors * lanes > 48 else 1.0
        if vectors > 2 and few_sets(plan.vector.element, product.y_lane, vectors, lanes):
            streams = 1.2
        return max(arithmetic + 1.6 * vectors * streams, loads, chain)
    lines = max(1.0, vectors * lanes * product.item / 64)
    apart = abs(product.y_step) * product.item
    if plan.packed:
        # A panel beyond the first cache is still read in order.
        loads += 0.5 * lines if product.k * lines * 64 > 24 << 10 else 0.0
    elif product.k * apart > 1 << 18:
        # From beyond the second cache; rows that share sets push each other out.
        loads += (2.5 if product.rows == 1 or apart % 2048 else 8.0) * lines
    elif passes > 1 and not _stays(product.k, apart):
        loads += 2.5 * lines
    return max(arithmetic, loads, chain)


def _stays(steps: int, apart: int) -> bool:
    """Whether lines `apart` bytes from each other stay in an 8-way first cache of 32 KB.

    Half of its ways are left for the rest; what is not aligned takes two lines a step.
    """
    if apart % 64:
        return 2 * steps <= 4 * 64
    sets = 64 // math.gcd(apart // 64, 64) if apart else 64
    return steps <= 4 * sets


def _far_x(product: Product, height: int) -> float:
    """What one k of x costs beyond the first cache, for a panel that all of x passes by."""
    row, step = (min(64, abs(s) * product.item) for s in (product.x_row, product.x_step))
    if (
        step == 64
        and product.rows > height
        and not _stays(product.k, product.x_step * product.item)
    ):
        return 3.0 if product.k <= 1024 else 12.0
    footprint = product.rows * product.k * product.item
    if footprint <= 24 << 10:
        return 0.0
    lines = max(height * row, 64) / 64 * step / 64
    if footprint <= 256 << 10:
        return lines
    # A last cache is shared, and need not be as quick for others as where this was measured.
    return lines * (3.0 if footprint <= 1 << 20 else 9.0)


def emit_direct(
    name: str, plan: DirectPlan, tasks: int, swapped: bool
) -> tuple[list[str], set[str]]:
    """Writes `void @name(ptr A, ptr B, ptr C, ptr work)` and `void @name_task(ptr args, i64 i)`.

    `args` points to the same four pointers. `swapped` says that y is A. Several tasks share the
    tiles along the side that has more of them.
    """
    x, y = ("%b", "%a") if swapped else ("%a", "%b")
    parameters = ["ptr noalias %a", "ptr noalias %b", "ptr noalias %c", "ptr noalias %work"]
    if tasks == 1:
        e = Emitter()
        _walk(e, plan, x, y, None)
        e.emit("ret void")
        task = Emitter()
        _call_with_arguments(task, name, [])
        return [
            e.function(name, parameters),
            task.function(f"{name}_task", ["ptr %args", "i64 %index"]),
        ], e.declarations
    total = _split_total(plan)
    part = Emitter()
    _walk(part, plan, x, y, ("%from", "%to"))
    part.emit("ret void")
    whole = Emitter()
    pointers = [("ptr", pointer) for pointer in ("%a", "%b", "%c", "%work")]
    whole.call(f"{name}_part", "void", [*pointers, ("i64", "0"), ("i64", str(total))])
    whole.emit("ret void")
    task = Emitter()
    bounds = [
        ("i64", task.divide(task.multiply(task.add("%index", offset), total), tasks))
        for offset in (0, 1)
    ]
    _call_with_arguments(task, f"{name}_part", bounds)
    return [
        part.function(f"{name}_part", [*parameters, "i64 %from", "i64 %to"], linkage="internal"),
        whole.function(name, parameters),
        task.function(f"{name}_task", ["ptr %args", "i64 %index"]),
    ], part.declarations


def _call_with_arguments(e: Emitter, name: str, extra: list[tuple[str, Value]]) -> None:
    """Calls `name` with the four pointers that `%args` points to, and returns."""
    pointers = [("ptr", e.load(e.gep("%args", i, "ptr"), "ptr")) for i in range(4)]
    e.call(name, "void", pointers + extra)
    e.emit("ret void")


def _splits_rows(plan: DirectPlan) -> bool:
    return sum(n for _, n in plan.row_runs) > sum(n for _, n in plan.lane_runs)


def _split_total(plan: DirectPlan) -> int:
    """Tiles along the side that tasks share."""
    return sum(n for _, n in (plan.row_runs if _splits_rows(plan) else plan.lane_runs))


def max_tasks(plan: DirectPlan) -> int:
    """How many tasks a plan can be split into."""
    return max(1, _split_total(plan))


def _walk(
    e: Emitter, plan: DirectPlan, x: Value, y: Value, part: tuple[Value, Value] | None
) -> None:
    """All tiles; of the shared side only those from `part[0]` up to `part[1]`."""
    product = plan.product
    element = product.vector.element
    rows_part = part if _splits_rows(plan) else None
    lanes_part = None if _splits_rows(plan) else part
    size = product.k * plan.vectors * plan.vector.lanes
    buffer = e.stack(f"[{size} x {element}]", 64) if plan.packed else ""

    def tiles(block: tuple[Int, Int] | None) -> None:
        """Every tile over all of k, or over `block` (first k, steps)."""

        def panel(width: int, lane: Int) -> None:
            y_at = e.gep(y, e.multiply(lane, product.y_lane), element)
            if buffer:
                _pack_panel(e, plan, width, y_at, buffer)

            def tile(height: int, row: Int) -> None:
                shape = Tile(plan.vector, height, width, padded=plan.packed)
                x_at = e.gep(x, e.multiply(row, product.x_row), element)
                offset = e.add(e.multiply(row, product.out_row), e.multiply(lane, product.out_lane))
                output = Output(e.gep("%c", offset, element), product.out_row, product.out_lane)
                _tile(e, plan, shape, x_at, buffer or y_at, output, block)

            _over_runs(e, plan.row_runs, rows_part, tile)

        _over_runs(e, plan.lane_runs, lanes_part, panel)

    if plan.k_block >= product.k:
        tiles(None)
        return
    e.loop(
        0,
        product.k,
        plan.k_block,
        lambda k, _: tiles((k, e.minimum(e.subtract(product.k, k), plan.k_block))),
    )


def _pack_panel(e: Emitter, plan: DirectPlan, width: int, y_at: Value, buffer: Value) -> None:
    """Copies all of k and `width` lanes of y to rows of whole vectors."""
    product, vector = plan.product, plan.vector
    shape = Tile(vector, 1, width)
    stride = shape.vectors * vector.lanes
    chunk = {"rows": 4, "columns": vector.block, "gather": 1}[product.access]
    for j in range(shape.vectors):
        lanes: list[Value] = []
        at = j * vector.lanes
        if product.access != "rows":
            lanes = lane_pointers(e, shape, y_at, product.y_lane, j)

        def turn(
            k: Int, count: int, _: list[Value], lanes: list[Value] = lanes, j: int = j, at: int = at
        ) -> list[Value]:
            if product.access == "rows":
                rows = [e.add(e.multiply(e.add(k, u), product.y_step), at) for u in range(count)]
                starts = [e.gep(y_at, row, vector.element) for row in rows]
                made = [load_part(e, vector, start, shape.lanes_of(j)) for start in starts]
            elif product.access == "columns":
                made = load_transposed(e, vector, lanes, k, count)
            else:
                offsets = [e.multiply(e.add(k, u), product.y_step) for u in range(count)]
                made = [gather(e, vector, lanes, offset) for offset in offsets]
            there = e.gep(buffer, e.multiply(k, stride), vector.element)
            for u, row in enumerate(made):
                place = e.gep(there, u * stride + at, vector.element)
                e.store(row, place, vector.element, vector.lanes)
            return []

        over_steps(e, product.k, chunk, turn, vector, [])


def _over_runs(
    e: Emitter,
    runs: list[tuple[int, int]],
    part: tuple[Value, Value] | None,
    body: Callable[[int, Int], None],
) -> None:
    """`body(size, start)` for each piece of the runs, or those numbered within `part`."""
    number, start = 0, 0
    for size, count in runs:
        if part is None and count == 1:
            body(size, start)
        else:

            def piece(i: Value, _: list[Value], size: int = size, start: int = start) -> None:
                body(size, e.add(e.multiply(i, size), start))

            lo: Int = 0
            hi: Int = count
            if part is not None:
                lo, hi = (_clamped(e, bound, number, count) for bound in part)
            e.loop(lo, hi, 1, piece, may_be_empty=part is not None)
        number += count
        start += size * count


def _clamped(e: Emitter, bound: Value, first: int, count: int) -> Value:
    """`bound - first`, held within 0 and `count`."""
    above = e.value(f"icmp ugt i64 {bound}, {first}")
    offset = e.value(f"select i1 {above}, i64 {e.subtract(bound, first)}, i64 0")
    return e.minimum(offset, count)


def _tile(
    e: Emitter,
    plan: DirectPlan,
    shape: Tile,
    x_at: Value,
    y_at: Value,
    output: Output,
    block: tuple[Int, Int] | None,
) -> None:
    product = plan.product
    element = product.vector.element
    sums = zeros(shape)
    steps: Int = product.k
    if block is not None:
        first, steps = block
        x_at = e.gep(x_at, e.multiply(first, product.x_step), element)
        y_at = e.gep(y_at, e.multiply(first, product.y_step), element)
        sums = started(e, shape, output, e.value(f"icmp eq i64 {first}, 0"))
    x = Broadcast(x_at, product.x_row, product.x_step)
    y = Lanes(y_at, product.y_step, product.y_lane, product.access == "gather")
    if plan.packed:
        y = Lanes(y_at, shape.vectors * plan.vector.lanes)
    elif plan.access == "rows":
        y = Lanes(y_at, product.y_step)
    unroll = plan.unroll(shape.rows, shape.width) if isinstance(steps, int) else 4
    store_output(e, shape, output, multiply(e, shape, x, y, steps, sums, unroll))
