"""Convolutions with outputs along the lanes: for many outputs, and rows of any length.

    void @conv_<type>_across(ptr geometry, ptr y, ptr x, ptr w, ptr work, i64 first, i64 last)

A vector is neighbouring outputs at one place, so that no row of the result leaves lanes empty and
no window is packed: each step of k loads two vectors of weights and broadcasts an element of the
image to every place of a tile. Places are done a chunk at a time; their sums stand place by place
in the workspace until all of k is done, and are turned over into the result then.
"""

from __future__ import annotations

from rushlight.codegen.convolve_image import Geometry, Text, Tiles, over_images
from rushlight.codegen.matmul_blocked import call_pack
from rushlight.codegen.matmul_pack import PLAIN
from rushlight.codegen.matmul_tile import load_transposed
from rushlight.codegen.text import Emitter, Value

PAIR = 2
"""Vectors of outputs in a tile; the last one may be alone."""


def height(sizes: Tiles, vectors: int) -> int:
    """Places in a tile: as many as there are registers for their sums and addresses."""
    return 8 if vectors == 1 or sizes.rows >= 8 else 6


def step_k(sizes: Tiles, k: int, item: int) -> int:
    """Steps of k in a block: the weights of a tile stay in the first cache."""
    blocks = -(-k // max(64, 18_432 // (PAIR * sizes.vector.lanes * item)))
    return -(-k // blocks)


def chunk_of(sizes: Tiles, places: int, bytes_each: int) -> int:
    """Places in a chunk: what they read and make stays in the second cache."""
    unit, lanes = 24, sizes.vector.lanes  # both heights divide it
    most = max(96, (160 << 10) // bytes_each)
    for parts in range(-(-places // most), 0, -1):
        chunk = -(-places // (parts * unit)) * unit
        if (places - 1) % chunk + 1 >= lanes:
            return chunk
    return max(1, -(-places // unit)) * unit


def emit_across(symbol: str, sizes: Tiles) -> list[Text]:
    """The kernel and what it calls."""
    return [
        _emit_points(symbol, sizes),
        _emit_tile(symbol, sizes, 1),
        _emit_tile(symbol, sizes, PAIR),
        _emit_turn(symbol, sizes),
        _emit_entry(symbol, sizes),
    ]


def _emit_points(symbol: str, sizes: Tiles) -> Text:
    """Where each place begins in the padded image; a tile that is not whole repeats the last."""
    e = Emitter()
    geo = Geometry(e)
    geo.read("od", "oh", "ow", "stride_d", "stride_h", "places")

    def put(at: Value, where: Value) -> None:
        e.store(where, e.gep("%points", at, "i64"), "i64")

    def plane(d: Value, _: list[Value]) -> None:
        def row(h: Value, _: list[Value]) -> None:
            line = e.multiply(e.add(e.multiply(d, geo.oh), h), geo.ow)
            base = e.add(e.multiply(d, geo.stride_d), e.multiply(h, geo.stride_h))
            e.loop(0, geo.ow, 1, lambda w, _: put(e.add(line, w), e.add(base, w)))

        e.loop(0, geo.oh, 1, row)

    e.loop(0, geo.od, 1, plane)
    last = e.load(e.gep("%points", e.subtract(geo.places, 1), "i64"), "i64")
    for i in range(height(sizes, 1) - 1):
        put(e.add(geo.places, i), last)
    e.emit("ret void")
    text = e.function(
        f"{symbol}_points", ["ptr %geo", "ptr noalias %points"], linkage="internal",
        attributes=PLAIN,
    )  # fmt: skip
    return text, e.declarations


_TILE = [
    "ptr %image", "ptr %points", "ptr %table", "ptr %w", "i64 %panel", "ptr noalias %sums",
    "i64 %sheet", "i64 %k", "i1 %first",
]  # fmt: skip


def _emit_tile(symbol: str, sizes: Tiles, vectors: int) -> Text:
    """The chains of `vectors` panels of outputs at a few places, over a block of k."""
    e, vector = Emitter(), sizes.vector
    element, lanes = vector.element, vector.lanes
    xs = [
        e.gep("%image", e.load(e.gep("%points", r, "i64"), "i64"), element)
        for r in range(height(sizes, vectors))
    ]
    panels = [e.gep("%w", e.multiply("%panel", j), element) for j in range(vectors)]
    sheets = [e.gep("%sums", e.multiply("%sheet", j), element) for j in range(vectors)]

    def step(k: Value, now: list[Value]) -> list[Value]:
        at = e.load(e.gep("%table", k, "i64"), "i64")
        here = e.multiply(k, lanes)
        weights = [e.load(e.gep(p, here, element), element, lanes) for p in panels]
        out = []
        for r, x in enumerate(xs):
            v = e.splat(e.load(e.gep(x, at, element), element), element, lanes)
            out += [
                e.fma(w, v, now[r * vectors + j], element, lanes) for j, w in enumerate(weights)
            ]
        return out

    spots = [e.gep(s, r * lanes, element) for r in range(len(xs)) for s in sheets]
    begun = [e.load(p, element, lanes) for p in spots]  # of no account in the first block of k
    carry = [
        (vector.type, e.value(f"select i1 %first, {vector.type} {vector.zero}, {vector.type} {v}"))
        for v in begun
    ]
    for p, v in zip(spots, e.loop(0, "%k", 1, step, carry), strict=True):
        e.store(v, p, element, lanes)
    e.emit("ret void")
    name = f"{symbol}_across_{vectors}"
    text = e.function(name, _TILE, linkage="internal", attributes="nounwind noinline")
    return text, e.declarations


def _emit_turn(symbol: str, sizes: Tiles) -> Text:
    """Turns the sums of a panel over into the result.

    Outputs past the last repeat it, as its weights were: they are written where it is.
    """
    e, vector = Emitter(), sizes.vector
    element, lanes = vector.element, vector.lanes
    last = e.subtract("%outputs", 1)
    rows = [e.gep("%y", e.multiply(e.minimum(o, last), "%places"), element) for o in range(lanes)]
    end = e.subtract("%count", lanes)

    def block(p: Value, _: list[Value]) -> None:
        at = e.minimum(p, end)  # the last one is moved back
        here = e.gep("%sums", e.multiply(at, lanes), element)
        places = [e.gep(here, r * lanes, element) for r in range(lanes)]
        for first in range(0, lanes, vector.block):
            turned = load_transposed(e, vector, places, first, vector.block)
            for i, v in enumerate(turned):
                e.store(v, e.gep(rows[first + i], at, element), element, lanes)

    e.loop(0, "%count", lanes, block)
    e.emit("ret void")
    parameters = [
        "ptr noalias %y", "i64 %places", "ptr %sums", "i64 %count", "i64 %outputs",
    ]  # fmt: skip
    text = e.function(
        f"{symbol}_turn", parameters, linkage="internal", attributes="nounwind noinline"
    )
    return text, e.declarations


def _emit_entry(symbol: str, sizes: Tiles) -> Text:
    e, vector = Emitter(), sizes.vector
    element, lanes = vector.element, vector.lanes
    geo = Geometry(e)
    geo.read(
        "groups", "channels", "outputs", "k", "places", "image_total", "a_at", "b_at", "d_at",
        "image_at", "a_group", "d", "h", "w", "near_k", "chunk",
    )  # fmt: skip
    a, points, sums, image = (
        e.gep("%work", at, element) for at in (geo.a_at, geo.b_at, geo.d_at, geo.image_at)
    )
    e.call(f"{symbol}_table", "void", [("ptr", "%geo"), ("ptr", "%work"), ("i64", geo.channels)])
    e.call(f"{symbol}_clear", "void", [("ptr", image), ("i64", geo.image_total)])
    e.call(f"{symbol}_points", "void", [("ptr", "%geo"), ("ptr", points)])
    x_group = e.multiply(geo.channels, e.multiply(e.multiply(geo.d, geo.h), geo.w))
    y_group = e.multiply(geo.outputs, geo.places)
    panel = e.multiply(geo.k, lanes)
    sheet = e.multiply(e.add(geo.chunk, height(sizes, 1)), lanes)

    def pack(g: Value, _: list[Value]) -> None:
        w = e.gep("%w", e.multiply(g, e.multiply(geo.outputs, geo.k)), element)
        mine = e.gep(a, e.multiply(g, geo.a_group), element)
        call_pack(
            e, f"{symbol}_blocked", ("columns",), str(lanes),
            [w, "1", geo.k, mine, geo.k, geo.outputs],
        )  # fmt: skip

    e.loop(0, geo.groups, 1, pack)

    def tiles(mine: Value, o: Value, here: Value, count: Value, vectors: int) -> None:
        """`vectors` panels of outputs from `o` on, at `count` places."""
        weights = e.gep(mine, e.multiply(o, geo.k), element)

        def depth(k: Value, _: list[Value]) -> None:
            steps = e.minimum(e.subtract(geo.k, k), geo.near_k)
            first = e.value(f"icmp eq i64 {k}, 0")
            table = e.gep("%work", k, "i64")
            w = e.gep(weights, e.multiply(k, lanes), element)

            def tile(p: Value, _: list[Value]) -> None:
                e.call(
                    f"{symbol}_across_{vectors}", "void",
                    [
                        ("ptr", image), ("ptr", e.gep(here, p, "i64")), ("ptr", table), ("ptr", w),
                        ("i64", panel), ("ptr", e.gep(sums, e.multiply(p, lanes), element)),
                        ("i64", sheet), ("i64", steps), ("i1", first),
                    ],
                )  # fmt: skip

            e.loop(0, count, height(sizes, vectors), tile)

        e.loop(0, geo.k, geo.near_k, depth)

    def group(y: Value, mine: Value) -> None:
        def chunk(p: Value, _: list[Value]) -> None:
            here = e.gep(points, p, "i64")
            count = e.minimum(e.subtract(geo.places, p), geo.chunk)

            def outputs(o: Value, _: list[Value]) -> None:
                left = e.subtract(geo.outputs, o)
                alone = e.value(f"icmp ule i64 {left}, {lanes}")
                e.choose(
                    alone,
                    lambda: tiles(mine, o, here, count, 1),
                    lambda: tiles(mine, o, here, count, PAIR),
                )

                def turn(j: Value, _: list[Value]) -> None:
                    first = e.add(o, e.multiply(j, lanes))
                    valid = e.minimum(e.subtract(geo.outputs, first), lanes)
                    target = e.gep(y, e.add(e.multiply(first, geo.places), p), element)
                    source = e.gep(sums, e.multiply(j, sheet), element)
                    e.call(
                        f"{symbol}_turn", "void",
                        [
                            ("ptr", target), ("i64", geo.places), ("ptr", source),
                            ("i64", count), ("i64", valid),
                        ],
                    )  # fmt: skip

                e.loop(0, e.value(f"select i1 {alone}, i64 1, i64 {PAIR}"), 1, turn)

            e.loop(0, geo.outputs, PAIR * lanes, outputs)

        e.loop(0, geo.places, geo.chunk, chunk)

    distances = (x_group, y_group)
    return over_images(e, geo, symbol, f"{symbol}_across", element, (a, image), distances, group)


def cycles(sizes: Tiles, outputs: int, k: int, places: int) -> float:
    """What a step of k takes for as many places as there are lanes, with two fma units."""
    lanes = sizes.vector.lanes
    vectors = -(-outputs // lanes)
    pairs, alone = divmod(vectors, PAIR)
    total = 0.0
    for count, wide in ((pairs, PAIR), (alone, 1)):
        tall = height(sizes, wide)
        step = max(wide * tall / 2, (wide + tall) / 2) / tall
        total += count * step * (-(-places // tall) * tall / places)
    return lanes * (total + _TURN * vectors / k)


_TURN = 14.0
"""Cycles for keeping the sums of a vector, and turning them over into the result."""
