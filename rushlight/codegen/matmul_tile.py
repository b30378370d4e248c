"""Register tiles of the matrix product: loading, multiplying and storing a few rows of vectors.

Every generator of products uses these pieces. A product is seen as rows (the operand whose
elements are broadcast, "x") against lanes (the operand that is loaded as vectors, "y"). An output
element is one fma chain in ascending k that starts from +0, whatever the tile.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

from rushlight.codegen.text import (
    Emitter,
    Value,
    lane_mask,
    splat_literal,
    type_bytes,
    vector_type,
)

Int = int | Value
"""A number known when the code is written, or an i64 SSA value."""


@dataclass(frozen=True)
class Vector:
    """A vector type: `element` is `float` or `double`; one lane means scalars."""

    element: str
    lanes: int

    @property
    def type(self) -> str:
        """The type's spelling in IR."""
        return vector_type(self.element, self.lanes)

    @property
    def zero(self) -> Value:
        """+0 in every lane."""
        return splat_literal(0.0, self.element, self.lanes)

    @property
    def block(self) -> int:
        """Lanes in 128 bits, inside which shuffles are cheap: the side of a small transpose."""
        return min(self.lanes, 16 // type_bytes(self.element))


def powers_of_two(count: int, largest: int) -> list[tuple[int, int]]:
    """`(offset, width)` pieces that cover `count` lanes with widths that are powers of two."""
    pieces, offset = [], 0
    while offset < count:
        width = largest
        while width > count - offset:
            width //= 2
        pieces.append((offset, width))
        offset += width
    return pieces


def load_part(e: Emitter, vector: Vector, pointer: Value, count: int) -> Value:
    """Loads the first `count` lanes, zero in the others, touching no other memory."""
    if count >= vector.lanes:
        return e.load(pointer, vector.element, vector.lanes)
    mask = lane_mask(count, vector.lanes)
    return e.load_masked(pointer, mask, "zeroinitializer", vector.element, vector.lanes)


def store_part(e: Emitter, vector: Vector, stored: Value, pointer: Value, count: int) -> None:
    """Stores the first `count` lanes, touching no other memory.

    Narrow vectors are stored in pieces: AVX's masked stores take tens of cycles on some machines.
    """
    if count >= vector.lanes:
        e.store(stored, pointer, vector.element, vector.lanes)
    elif vector.lanes * type_bytes(vector.element) >= 64:
        mask = lane_mask(count, vector.lanes)
        e.store_masked(stored, pointer, mask, vector.element, vector.lanes)
    else:
        for offset, width in powers_of_two(count, vector.lanes):
            place = e.gep(pointer, offset, vector.element)
            store_lanes(e, vector, stored, offset, width, place)


def store_lanes(
    e: Emitter, vector: Vector, stored: Value, first: int, count: int, pointer: Value
) -> None:
    """Stores lanes `first` to `first + count` (a power of two) of a vector."""
    if count == 1:
        lane = stored
        if vector.lanes > 1:
            lane = e.value(f"extractelement {vector.type} {stored}, i64 {first}")
        e.store(lane, pointer, vector.element)
    else:
        lanes = range(first, first + count)
        part = e.shuffle(stored, stored, lanes, vector.element, vector.lanes)
        e.store(part, pointer, vector.element, count)


def transpose_blocks(e: Emitter, vector: Vector, rows: Sequence[Value]) -> list[Value]:
    """Transposes `block` vectors inside each 128 bits: its own inverse."""
    if vector.block == 1:
        return list(rows)

    def pick(left: Value, right: Value, lanes: Sequence[int]) -> Value:
        """`lanes` (of one block of the pair, `block` and up meaning the right one) everywhere."""
        size = vector.block
        spread = [
            (lane if lane < size else lane - size + vector.lanes) + start
            for start in range(0, vector.lanes, size)
            for lane in lanes
        ]
        return e.shuffle(left, right, spread, vector.element, vector.lanes)

    if vector.block == 2:
        return [pick(rows[0], rows[1], [0, 2]), pick(rows[0], rows[1], [1, 3])]
    low = [pick(rows[i], rows[i + 1], [0, 4, 1, 5]) for i in (0, 2)]
    high = [pick(rows[i], rows[i + 1], [2, 6, 3, 7]) for i in (0, 2)]
    return [
        pick(left, right, lanes)
        for left, right in (low, high)
        for lanes in ([0, 1, 4, 5], [2, 3, 6, 7])
    ]


def load_transposed(
    e: Emitter, vector: Vector, rows: Sequence[Value], offset: Int, count: int
) -> list[Value]:
    """`count` (at most `block`) vectors whose lane l holds element `offset + i` of `rows[l]`.

    `rows` holds a pointer for each lane; memory past `count` elements is not touched.
    """
    size = vector.block
    part = Vector(vector.element, size)
    pieces = [load_part(e, part, e.gep(row, offset, vector.element), count) for row in rows]
    joined = []
    for i in range(size):
        level, width = pieces[i::size], size
        while len(level) > 1:
            lanes = range(2 * width)
            level = [
                e.shuffle(level[p], level[p + 1], lanes, vector.element, width)
                for p in range(0, len(level), 2)
            ]
            width *= 2
        joined.append(level[0])
    return transpose_blocks(e, vector, joined)[:count]


def store_transposed(
    e: Emitter, vector: Vector, stored: Sequence[Value], rows: Sequence[Value], valid: int
) -> None:
    """Writes lane l of `stored[i]` to element i of `rows[l]`, for the first `valid` lanes."""
    size = vector.block
    for start in range(0, len(stored), size):
        group = list(stored[start : start + size])
        count = len(group)
        group += [group[-1]] * (size - count)
        turned = transpose_blocks(e, vector, group)
        for lane in range(valid):
            source, first = turned[lane % size], lane // size * size
            for offset, width in powers_of_two(count, size):
                place = e.gep(rows[lane], start + offset, vector.element)
                store_lanes(e, vector, source, first + offset, width, place)


@dataclass(frozen=True)
class Tile:
    """A register tile: `rows` rows of `width` elements along the lanes (the last may be partial).

    `padded` says that y is packed: whole vectors may be loaded even at the end of the width.
    """

    vector: Vector
    rows: int
    width: int
    padded: bool = False

    @property
    def vectors(self) -> int:
        """Vectors a row."""
        return -(-self.width // self.vector.lanes)

    def lanes_of(self, position: int) -> int:
        """Valid lanes of vector `position`."""
        return min(self.vector.lanes, self.width - position * self.vector.lanes)


@dataclass(frozen=True)
class Broadcast:
    """The operand read element by element: (row, k) lies at `row * row + k * step`."""

    pointer: Value
    row: Int
    step: Int


@dataclass(frozen=True)
class Lanes:
    """The operand read as vectors: (k, lane) lies at `k * step + lane * lane_step`.

    `lane_step` 1 loads vectors; else `step` must be 1 and blocks are transposed in registers,
    unless `gather` has each lane loaded alone.
    """

    pointer: Value
    step: Int
    lane_step: Int = 1
    gather: bool = False


@dataclass(frozen=True)
class Output:
    """Where a tile's results lie: (row, lane) at `row * row + lane * lane`; one of them is 1."""

    pointer: Value
    row: Int
    lane: Int = 1


def zeros(tile: Tile) -> list[Value]:
    """The accumulators of a new chain."""
    return [tile.vector.zero] * (tile.rows * tile.vectors)


def output_rows(e: Emitter, tile: Tile, output: Output) -> list[Value]:
    """A pointer to the first element of each row."""
    element = tile.vector.element
    return [e.gep(output.pointer, e.multiply(row, output.row), element) for row in range(tile.rows)]


def lane_pointers(e: Emitter, tile: Tile, pointer: Value, step: Int, position: int) -> list[Value]:
    """A pointer for each lane of vector `position`; lanes past the width repeat the last."""
    first = position * tile.vector.lanes
    lanes = [min(first + lane, tile.width - 1) for lane in range(tile.vector.lanes)]
    return [e.gep(pointer, e.multiply(lane, step), tile.vector.element) for lane in lanes]


def load_output(e: Emitter, tile: Tile, output: Output) -> list[Value]:
    """The accumulators of chains that go on from what the output holds."""
    vector, count = tile.vector, tile.vectors
    if output.lane == 1:
        rows = output_rows(e, tile, output)
        return [
            load_part(e, vector, e.gep(row, j * vector.lanes, vector.element), tile.lanes_of(j))
            for row in rows
            for j in range(count)
        ]
    loaded = [vector.zero] * (tile.rows * count)
    for j in range(count):
        lanes = lane_pointers(e, tile, output.pointer, output.lane, j)
        for start in range(0, tile.rows, vector.block):
            taken = min(vector.block, tile.rows - start)
            turned = load_transposed(e, vector, lanes, start, taken)
            loaded[start * count + j : (start + taken) * count : count] = turned
    return loaded


def started(e: Emitter, tile: Tile, output: Output, first: Value) -> list[Value]:
    """Zeros if `first` holds, else the unfinished chains that the output holds."""
    before = e.block
    again, go = e.new("again"), e.new("go")
    e.emit(f"br i1 {first}, label %{go}, label %{again}")
    e.label(again)
    loaded = load_output(e, tile, output)
    e.emit(f"br label %{go}")
    e.label(go)
    return [
        e.value(f"phi {tile.vector.type} [ {zero}, %{before} ], [ {value}, %{again} ]")
        for zero, value in zip(zeros(tile), loaded, strict=True)
    ]


def store_output(e: Emitter, tile: Tile, output: Output, results: Sequence[Value]) -> None:
    """Writes the accumulators back; nothing outside the tile is touched."""
    vector, count = tile.vector, tile.vectors
    if output.lane == 1:
        rows = output_rows(e, tile, output)
        for position, result in enumerate(results):
            row, j = divmod(position, count)
            place = e.gep(rows[row], j * vector.lanes, vector.element)
            store_part(e, vector, result, place, tile.lanes_of(j))
        return
    for j in range(count):
        lanes = lane_pointers(e, tile, output.pointer, output.lane, j)
        store_transposed(e, vector, results[j::count], lanes, tile.lanes_of(j))


def multiply(
    e: Emitter,
    tile: Tile,
    x: Broadcast,
    y: Lanes,
    steps: Int,
    initial: Sequence[Value],
    unroll: int = 4,
) -> list[Value]:
    """Continues the chains in `initial` over `steps` values of k and returns them.

    `steps` may be a run-time value (then at least 1).
    """
    if y.gather:
        return _multiply_gathered(e, tile, x, y, steps, initial)
    if y.lane_step == 1:
        return _multiply_loaded(e, tile, x, y, steps, initial, unroll)
    return _multiply_transposed(e, tile, x, y, steps, initial)


def _multiply_step(
    e: Emitter, tile: Tile, x: Broadcast, k: int, ys: Sequence[Value], sums: Sequence[Value]
) -> list[Value]:
    """One value of k: a broadcast a row, an fma for each vector."""
    vector, results = tile.vector, list(sums)
    for row in range(tile.rows):
        place = e.add(e.multiply(row, x.row), e.multiply(k, x.step))
        scalar = e.load(e.gep(x.pointer, place, vector.element), vector.element)
        spread = e.splat(scalar, vector.element, vector.lanes)
        for j, y in enumerate(ys):
            at = row * len(ys) + j
            results[at] = e.fma(spread, y, results[at], vector.element, vector.lanes)
    return results


def over_steps(
    e: Emitter,
    steps: Int,
    chunk: int,
    body: Callable[[Int, int, list[Value]], list[Value]],
    vector: Vector,
    initial: Sequence[Value],
) -> list[Value]:
    """`body(k, count, sums)` over all steps, `chunk` at a time, then what is left.

    A rest whose size is known is one call; otherwise single steps.
    """
    carry = [(vector.type, sum_) for sum_ in initial]
    if isinstance(steps, int):
        whole = steps // chunk * chunk
        sums = list(initial)
        if whole == chunk:
            sums = body(0, chunk, sums)
        elif whole:
            sums = e.loop(0, whole, chunk, lambda k, values: body(k, chunk, values), carry)
        return body(whole, steps - whole, sums) if whole < steps else sums
    whole_value = e.value(f"and i64 {steps}, {-chunk}")
    sums = e.loop(
        0, whole_value, chunk, lambda k, values: body(k, chunk, values), carry, may_be_empty=True
    )
    carry = [(vector.type, sum_) for sum_ in sums]
    return e.loop(
        whole_value, steps, 1, lambda k, values: body(k, 1, values), carry, may_be_empty=True
    )


def _multiply_loaded(
    e: Emitter,
    tile: Tile,
    x: Broadcast,
    y: Lanes,
    steps: Int,
    initial: Sequence[Value],
    unroll: int,
) -> list[Value]:
    vector = tile.vector

    def body(k: Int, count: int, sums: list[Value]) -> list[Value]:
        here = Broadcast(e.gep(x.pointer, e.multiply(k, x.step), vector.element), x.row, x.step)
        start = e.gep(y.pointer, e.multiply(k, y.step), vector.element)
        for u in range(count):
            row = e.gep(start, e.multiply(u, y.step), vector.element)
            ys = [
                load_part(
                    e,
                    vector,
                    e.gep(row, j * vector.lanes, vector.element),
                    vector.lanes if tile.padded else tile.lanes_of(j),
                )
                for j in range(tile.vectors)
            ]
            sums = _multiply_step(e, tile, here, u, ys, sums)
        return sums

    return over_steps(e, steps, unroll, body, vector, initial)


STAGE_STEPS = 64
"""Steps of k that are transposed at a time into a buffer on the stack."""


def stages(rows: int, steps: int) -> bool:
    """Whether a tile with y to be transposed goes through a buffer: many shuffles for few rows
    would stand in the way of the multiplications of many."""
    return rows >= 4 and steps >= STAGE_STEPS


def few_sets(element: str, row: Int, vectors: int, lanes: int) -> bool:
    """Whether as many rows, `row` elements apart, compete for too few sets of an 8-way cache."""
    if not isinstance(row, int):
        return False
    apart = abs(row) * type_bytes(element)
    sets = 64 // math.gcd(apart // 64, 64) if apart % 64 == 0 and apart else 64
    return vectors * lanes > 8 * sets


def near_lanes(element: str, row: Int, lanes: int) -> int:
    """As many of the lanes as are read at a time when `row` elements lie between them: those whose
    cache lines stay until all of their elements have been read."""
    while few_sets(element, row, 1, lanes):
        lanes //= 2
    return lanes


def _multiply_transposed(
    e: Emitter, tile: Tile, x: Broadcast, y: Lanes, steps: Int, initial: Sequence[Value]
) -> list[Value]:
    vector, count_y = tile.vector, tile.vectors
    element = vector.element
    lanes = [lane_pointers(e, tile, y.pointer, y.lane_step, j) for j in range(count_y)]
    if isinstance(steps, int) and stages(tile.rows, steps) and vector.block > 1:
        return _multiply_staged(e, tile, x, y, lanes, steps, initial)
    one = Tile(vector, tile.rows, vector.lanes)

    def column(j: int, k: Int, count: int, sums: list[Value]) -> list[Value]:
        """Steps `k` to `k + count` of vector `j` alone."""
        here = Broadcast(e.gep(x.pointer, e.multiply(k, x.step), element), x.row, x.step)
        for u, turned in enumerate(load_transposed(e, vector, lanes[j], k, count)):
            sums = _multiply_step(e, one, here, u, [turned], sums)
        return sums

    def all_columns(k: Int, count: int, sums: list[Value], lead: int = 0) -> list[Value]:
        """The same for all vectors, each `lead` steps behind the one before it."""
        results = list(sums)
        for j in range(count_y):
            ahead = e.add(k, (count_y - 1 - j) * lead)
            results[j::count_y] = column(j, ahead, count, results[j::count_y])
        return results

    lead = 2 * 64 // type_bytes(element)
    span = lead * (count_y - 1)
    if (
        not isinstance(steps, int)
        or steps < 4 * span
        or not few_sets(element, y.lane_step, count_y, vector.lanes)
    ):
        return over_steps(e, steps, vector.block, all_columns, vector, initial)

    # Vectors of rows a power of two apart work at different k, for their lines to lie in
    # different sets: the leaders go ahead, all go together, the followers catch up.
    sums = list(initial)
    for j in range(count_y - 1):
        ahead = (count_y - 1 - j) * lead
        sums[j::count_y] = _over_range(e, j, 0, ahead, column, vector, sums[j::count_y])
    together = (steps - span) // vector.block * vector.block
    carry = [(vector.type, sum_) for sum_ in sums]
    sums = e.loop(
        0, together, vector.block, lambda k, now: all_columns(k, vector.block, now, lead), carry
    )
    for j in range(count_y):
        done = together + (count_y - 1 - j) * lead
        sums[j::count_y] = _over_range(e, j, done, steps, column, vector, sums[j::count_y])
    return sums


def _over_range(
    e: Emitter,
    j: int,
    start: int,
    stop: int,
    column: Callable[[int, Int, int, list[Value]], list[Value]],
    vector: Vector,
    initial: Sequence[Value],
) -> list[Value]:
    """`column(j, k, count, sums)` for k from `start` up to `stop`."""

    def body(k: Int, count: int, sums: list[Value]) -> list[Value]:
        return column(j, e.add(k, start), count, sums)

    return over_steps(e, stop - start, vector.block, body, vector, initial)


def _multiply_staged(
    e: Emitter,
    tile: Tile,
    x: Broadcast,
    y: Lanes,
    lanes: Sequence[Sequence[Value]],
    steps: int,
    initial: Sequence[Value],
) -> list[Value]:
    """Transposes a block of y into a buffer, a few rows at a time, and multiplies it from there."""
    vector, element = tile.vector, tile.vector.element
    width = tile.vectors * vector.lanes
    buffer = e.stack(f"[{STAGE_STEPS * width} x {element}]", 64)
    staged = Tile(vector, tile.rows, width)
    part = Vector(element, near_lanes(element, y.lane_step, vector.lanes))

    def block(first: Value, sums: list[Value]) -> list[Value]:
        for j, lane in product(range(tile.vectors), range(0, vector.lanes, part.lanes)):

            def turn(k: Value, _: list[Value], j: int = j, lane: int = lane) -> None:
                there = e.gep(buffer, e.multiply(k, width), element)
                rows = lanes[j][lane : lane + part.lanes]
                turned = load_transposed(e, part, rows, e.add(first, k), vector.block)
                for u, column in enumerate(turned):
                    place = e.gep(there, u * width + j * vector.lanes + lane, element)
                    e.store(column, place, element, part.lanes)

            e.loop(0, STAGE_STEPS, vector.block, turn)
        here = Broadcast(e.gep(x.pointer, e.multiply(first, x.step), element), x.row, x.step)
        return _multiply_loaded(e, staged, here, Lanes(buffer, width), STAGE_STEPS, sums, 4)

    whole = steps // STAGE_STEPS * STAGE_STEPS
    carry = [(vector.type, sum_) for sum_ in initial]
    sums = e.loop(0, whole, STAGE_STEPS, block, carry)
    if whole == steps:
        return sums
    rest_x = Broadcast(e.gep(x.pointer, e.multiply(whole, x.step), element), x.row, x.step)
    rest_y = Lanes(e.gep(y.pointer, whole, element), y.step, y.lane_step)
    return _multiply_transposed(e, tile, rest_x, rest_y, steps - whole, sums)


def _multiply_gathered(
    e: Emitter, tile: Tile, x: Broadcast, y: Lanes, steps: Int, initial: Sequence[Value]
) -> list[Value]:
    vector = tile.vector
    lanes = [lane_pointers(e, tile, y.pointer, y.lane_step, j) for j in range(tile.vectors)]

    def body(k: Int, count: int, sums: list[Value]) -> list[Value]:
        for u in range(count):
            step = e.add(k, u)
            place = e.gep(x.pointer, e.multiply(step, x.step), vector.element)
            offset = e.multiply(step, y.step)
            ys = [gather(e, vector, pointers, offset) for pointers in lanes]
            sums = _multiply_step(e, tile, Broadcast(place, x.row, 0), 0, ys, sums)
        return sums

    return over_steps(e, steps, 1, body, vector, initial)


def gather(e: Emitter, vector: Vector, pointers: Sequence[Value], offset: Value) -> Value:
    """The elements at `offset` from each pointer; one load where all pointers are the same."""
    element = vector.element
    if len(set(pointers)) == 1:
        return e.splat(e.load(e.gep(pointers[0], offset, element), element), element, vector.lanes)
    gathered = "poison"
    for lane, pointer in enumerate(pointers):
        loaded = e.load(e.gep(pointer, offset, element), element)
        gathered = e.value(
            f"insertelement {vector.type} {gathered}, {element} {loaded}, i64 {lane}"
        )
    return gathered
