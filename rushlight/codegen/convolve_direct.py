"""Convolutions that read windows where they lie: where packing them would not pay.

    void @conv_<type>_direct(ptr geometry, ptr y, ptr x, ptr w, ptr work, i64 first, i64 last)

A vector is neighbouring places in one row of the result; the last of a row is moved back so that it
ends with the row. Tiles are up to `tallest` outputs for `WIDE` vectors, each with a place of its
own.
"""

from __future__ import annotations

from math import inf

from rushlight.codegen.convolve_image import Geometry, Text, Tiles, less, over_images
from rushlight.codegen.matmul_blocked import call_pack
from rushlight.codegen.matmul_pack import PLAIN
from rushlight.codegen.text import Emitter, Value

WIDE = 3
"""Vectors in a tile."""


def tallest(sizes: Tiles) -> int:
    """The most outputs in a tile: sums take three quarters of the registers."""
    return 4 if sizes.rows < 8 else 8


def emit_direct(symbol: str, sizes: Tiles) -> list[Text]:
    """The kernel and what it calls."""
    texts = [_emit_spots(symbol, sizes)]
    texts += [_emit_tile(symbol, sizes, height) for height in range(1, tallest(sizes) + 1)]
    return [*texts, _emit_entry(symbol, sizes)]


def _emit_spots(symbol: str, sizes: Tiles) -> Text:
    """Where each vector of an image begins: in the padded image, and in the result."""
    e, lanes = Emitter(), sizes.vector.lanes
    geo = Geometry(e)
    geo.read("od", "oh", "ow", "stride_d", "stride_h", "per_row")
    end = e.subtract(geo.ow, lanes)

    def put(at: Value, image: Value, result: Value) -> None:
        for i, where in enumerate((image, result)):
            e.store(where, e.gep("%spots", e.add(e.multiply(at, 2), i), "i64"), "i64")

    def plane(d: Value, _: list[Value]) -> None:
        def row(h: Value, _: list[Value]) -> None:
            line = e.add(e.multiply(d, geo.oh), h)
            base = e.add(e.multiply(d, geo.stride_d), e.multiply(h, geo.stride_h))

            def vector(j: Value, _: list[Value]) -> None:
                w = less(e, e.multiply(j, lanes), end)
                at = e.add(e.multiply(line, geo.per_row), j)
                put(at, e.add(base, w), e.add(e.multiply(line, geo.ow), w))

            e.loop(0, geo.per_row, 1, vector)

        e.loop(0, geo.oh, 1, row)

    e.loop(0, geo.od, 1, plane)
    count = e.multiply(e.multiply(geo.od, geo.oh), geo.per_row)
    final = e.gep("%spots", e.multiply(e.subtract(count, 1), 2), "i64")
    last = [e.load(e.gep(final, i, "i64"), "i64") for i in (0, 1)]
    for i in range(WIDE - 1):  # a tile that is not whole repeats the last
        put(e.add(count, i), *last)
    e.emit("ret void")
    text = e.function(
        f"{symbol}_spots", ["ptr %geo", "ptr noalias %spots"], linkage="internal",
        attributes=PLAIN,
    )  # fmt: skip
    return text, e.declarations


def _parameters() -> list[str]:
    return [
        "ptr %image", "ptr %spots", "ptr %table", "ptr %w", "ptr %y", "i64 %places", "i64 %k",
        "i64 %panel", "i1 %first",
    ]  # fmt: skip


def _emit_tile(symbol: str, sizes: Tiles, height: int) -> Text:
    """`height` outputs for the vectors at `%spots`: all of their chains."""
    e, vector = Emitter(), sizes.vector
    element, lanes, wide = vector.element, vector.lanes, WIDE
    xs, ys = [], []
    for j in range(wide):
        x, y = (e.load(e.gep("%spots", 2 * j + i, "i64"), "i64") for i in (0, 1))
        xs.append(e.gep("%image", x, element))
        ys.append(e.gep("%y", y, element))

    def step(k: Value, now: list[Value]) -> list[Value]:
        at = e.load(e.gep("%table", k, "i64"), "i64")
        seen = [e.load(e.gep(x, at, element), element, lanes) for x in xs]
        weights = e.gep("%w", e.multiply(k, "%panel"), element)
        out = []
        for r in range(height):
            a = e.splat(e.load(e.gep(weights, r, element), element), element, lanes)
            out += [e.fma(a, x, now[r * wide + j], element, lanes) for j, x in enumerate(seen)]
        return out

    spots = [e.gep(y, e.multiply("%places", r), element) for r in range(height) for y in ys]
    begun = [e.load(p, element, lanes) for p in spots]  # of no account in the first block of k
    carry = [
        (vector.type, e.value(f"select i1 %first, {vector.type} {vector.zero}, {vector.type} {v}"))
        for v in begun
    ]
    for p, v in zip(spots, e.loop(0, "%k", 1, step, carry), strict=True):
        e.store(v, p, element, lanes)
    e.emit("ret void")
    name = f"{symbol}_near_{height}"
    text = e.function(name, _parameters(), linkage="internal", attributes="nounwind noinline")
    return text, e.declarations


def _tile_for(e: Emitter, symbol: str, sizes: Tiles, rows: Value) -> Value:
    """The tile of so many outputs."""
    function: Value = f"@{symbol}_near_1"
    for height in range(2, tallest(sizes) + 1):
        more = e.value(f"icmp uge i64 {rows}, {height}")
        function = e.value(f"select i1 {more}, ptr @{symbol}_near_{height}, ptr {function}")
    return function


def _emit_entry(symbol: str, sizes: Tiles) -> Text:
    e, vector = Emitter(), sizes.vector
    element = vector.element
    geo = Geometry(e)
    geo.read(
        "groups", "channels", "outputs", "k", "places", "image_total", "a_at", "b_at", "image_at",
        "a_group", "d", "h", "w", "spots", "near_rows", "near_k",
    )  # fmt: skip
    a, spots, image = (e.gep("%work", at, element) for at in (geo.a_at, geo.b_at, geo.image_at))
    e.call(f"{symbol}_table", "void", [("ptr", "%geo"), ("ptr", "%work"), ("i64", geo.channels)])
    e.call(f"{symbol}_clear", "void", [("ptr", image), ("i64", geo.image_total)])
    e.call(f"{symbol}_spots", "void", [("ptr", "%geo"), ("ptr", spots)])
    x_group = e.multiply(geo.channels, e.multiply(e.multiply(geo.d, geo.h), geo.w))
    y_group = e.multiply(geo.outputs, geo.places)
    whole = e.multiply(e.divide(geo.outputs, geo.near_rows), geo.near_rows)
    rest = e.subtract(geo.outputs, whole)
    some = e.value(f"icmp ne i64 {rest}, 0")
    whole_tile, rest_tile = (
        _tile_for(e, symbol, sizes, geo.near_rows),
        _tile_for(e, symbol, sizes, rest),
    )

    def pack(g: Value, _: list[Value]) -> None:
        w = e.gep("%w", e.multiply(g, e.multiply(geo.outputs, geo.k)), element)
        mine = e.gep(a, e.multiply(g, geo.a_group), element)
        call_pack(
            e, f"{symbol}_blocked", ("columns",), geo.near_rows,
            [w, "1", geo.k, mine, geo.k, geo.outputs],
        )  # fmt: skip

    e.loop(0, geo.groups, 1, pack)

    def group(y: Value, mine: Value) -> None:
        def depth(k: Value, _: list[Value]) -> None:
            steps = e.minimum(e.subtract(geo.k, k), geo.near_k)
            first = e.value(f"icmp eq i64 {k}, 0")
            table = e.gep("%work", k, "i64")
            panel = e.gep(mine, e.multiply(k, geo.near_rows), element)

            def tiles(v: Value, _: list[Value]) -> None:
                here = e.gep(spots, e.multiply(v, 2), "i64")

                def run(function: Value, o: Value) -> None:
                    weights = e.gep(panel, e.multiply(o, geo.k), element)
                    result = e.gep(y, e.multiply(o, geo.places), element)
                    e.emit(
                        f"call void {function}(ptr {image}, ptr {here}, ptr {table}, "
                        f"ptr {weights}, ptr {result}, i64 {geo.places}, i64 {steps}, "
                        f"i64 {geo.near_rows}, i1 {first})"
                    )

                e.loop(0, whole, geo.near_rows, lambda o, _: run(whole_tile, o), may_be_empty=True)
                e.guard(some, lambda: run(rest_tile, whole))

            e.loop(0, geo.spots, WIDE, tiles)

        e.loop(0, geo.k, geo.near_k, depth)

    distances = (x_group, y_group)
    return over_images(e, geo, symbol, f"{symbol}_direct", element, (a, image), distances, group)


def near_rows(sizes: Tiles, outputs: int) -> int:
    """The height of tiles that wastes least."""
    most = tallest(sizes)
    return min(range(most, max(1, most - 3), -1), key=lambda rows: _steps(rows, outputs))


def _steps(rows: int, outputs: int) -> float:
    """Cycles that all tiles of a few vectors take for a step of k, with two fma units."""
    whole, rest = divmod(outputs, rows)
    return (whole * max(rows, 2.8) + (max(rest, 2.8) if rest else 0)) * WIDE / 2


def near_k(sizes: Tiles, k: int, kernel: int, width: int) -> int:
    """Steps of k in a block: the places that a tile reads stay in the first cache.

    There is one block where the last vector of a row of `width` places is moved back: places that
    two tiles compute would go on from what is finished.
    """
    if width % sizes.vector.lanes:
        return k
    blocks = -(-k // max(128, 100 * kernel))
    return -(-k // blocks)


def cycles(
    sizes: Tiles, width: int, outputs: int, k: int, taps: int, image: int
) -> float:  # fmt: skip
    """What a step of k takes for as many places as there are lanes, in rows of `width` places, of
    an image of so many bytes; infinite where this way is not to be taken."""
    lanes = sizes.vector.lanes
    if width < lanes or outputs * k > _MOST:
        return inf
    if taps == 1 and outputs > 24:  # every element is read once for all tiles of a panel
        return inf
    used = width / (lanes * -(-width // lanes))
    far = 1.15 if image > 512 << 10 else 1.0
    return _steps(near_rows(sizes, outputs), outputs) / WIDE / used * far


_MOST = 1 << 16
"""Weights up to which all of them stay in the second cache beside the image."""
