"""Convolutions for one machine: kernels with run-time sizes, shared by all plans.

The meaning, kept to the bit: an element of a convolution is one chain
`acc = +0; acc = fma(w[k], x[k], acc)` over k = (channel, *tap) in row-major order, padding being
zeros that take part; an element of a weight's gradient is one such chain over (image, *place).
`graph/ops/convolve.py` has the law. Blocking, packing, vector width and threads change nothing.

    void @conv_<type>(ptr geometry, ptr y, ptr x, ptr w, ptr work, i64 first, i64 last)
    void @conv_<type>_weight(ptr geometry, ptr gw, ptr x, ptr g, ptr work, i64 first, i64 last)

The first computes images `first` to `last`, the second what channels `first` to `last` of x
contribute. All operands are row-major. `geometry` points to the numbers of `prepared`, and
`work` to as many bytes as it says. An image is first copied into the workspace with its padding,
columns of one phase of the stride side by side; from there the convolution is the blocked matrix
product whose panels of B are windows (`emit_windows`), and the gradient reads it in place.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import Literal

from rushlight.base.dtype import dtype, float32, float64
from rushlight.base.target import Target
from rushlight.codegen import convolve_across as across
from rushlight.codegen import convolve_direct as near
from rushlight.codegen.convolve_image import (
    NAMES,
    Geometry,
    Prepared,
    Shared,
    Text,
    Tiles,
    emit_clear,
    emit_image,
    emit_table,
    over_images,
)
from rushlight.codegen.convolve_weight import emit_taps, emit_weight
from rushlight.codegen.matmul_blocked import blocking, call_pack, emit_blocked
from rushlight.codegen.matmul_pack import PackKind, emit_pack, spill
from rushlight.codegen.matmul_tile import Vector
from rushlight.codegen.text import Emitter, Value, module_text, type_bytes
from rushlight.graph.ops.convolve import Conv

ELEMENTS = {float32: "float", float64: "double"}
_COLUMNS: tuple[PackKind, ...] = ("columns",)
_SHORT = {float32: "f32", float64: "f64"}
_LINE = 64  # elements: parts of the workspace begin at multiples of it


End = Literal["", "_direct", "_across", "_weight", "_narrow"]


@lru_cache(maxsize=8)
def tiles(kind: dtype, target: Target) -> Tiles:
    """How products are cut for a type."""
    vector = Vector(ELEMENTS[kind], target.lanes(kind.itemsize))
    base = blocking(vector, target.registers)
    rows = min(base.rows, 8) if target.registers == 32 else base.rows
    columns = base.columns if rows == base.rows else 3 * vector.lanes
    mc, nc = base.mc // rows * rows, base.nc // columns * columns
    return Tiles(vector, rows, columns, base.kc, mc, nc)


def narrow(sizes: Tiles) -> Tiles:
    """For gradients of few outputs: one vector of them, and as many taps as there are pointers."""
    return Tiles(sizes.vector, 10, sizes.vector.lanes, sizes.kc, sizes.mc, sizes.nc)


@lru_cache(maxsize=16)
def shared(kind: dtype, target: Target, end: End) -> Shared:
    """One of the kernels for `float32` or `float64`."""
    sizes, symbol = tiles(kind, target), f"conv_{_SHORT[kind]}"
    if end == "_narrow":
        sizes, symbol, end = narrow(sizes), f"{symbol}_narrow", "_weight"
    texts = [write(symbol, sizes) for write in (emit_table, emit_clear, emit_image)]
    if end == "":
        blocked = f"{symbol}_blocked"
        code = emit_blocked(blocked, sizes, a_kinds=_COLUMNS, b_kinds=_COLUMNS, linkage="internal")
        texts += [(text, set(code.declarations)) for text in code.functions]
        texts += [emit_windows(symbol, sizes), emit_forward(symbol, sizes)]
    else:
        texts.append(emit_pack(f"{symbol}_blocked_pack_columns", "columns", sizes.vector))
        if end == "_direct":
            texts += near.emit_direct(symbol, sizes)
        elif end == "_across":
            texts += across.emit_across(symbol, sizes)
        else:
            texts += [emit_taps(symbol, sizes), emit_weight(symbol, sizes)]
    module = module_text([text for text, _ in texts], {d for _, found in texts for d in found})
    return Shared(symbol + end, module, "ptr, ptr, ptr, ptr, ptr, i64, i64")


def prepared(conv: Conv, kind: dtype, target: Target, weight: bool = False) -> Prepared:
    """The kernel for a convolution, or for the gradient of its weight, and its geometry."""
    c, s = conv.three(), tiles(kind, target)
    few = weight and conv.outputs // conv.groups <= s.vector.lanes
    s = narrow(s) if few else s
    item = type_bytes(s.vector.element)
    groups = c.groups
    channels, outputs = c.channels // groups, c.outputs // groups
    taps, places = prod(c.kernel), prod(c.places)
    k = channels * taps
    need = [
        (q - 1) * st + (t - 1) * d + 1
        for q, st, t, d in zip(c.places, c.stride, c.kernel, c.dilation, strict=True)
    ]
    phases = c.stride[2]
    wide = -(-need[2] // phases)
    row = phases * wide
    plane = need[1] * row
    image = need[0] * plane
    if image * item % 1024 == 0:  # channels would share a few sets of the first cache
        image += 64 // item
    first = [max(0, p) for p in c.before]
    last = [
        max(a, min(m, n + p)) for a, m, n, p in zip(first, need, c.space, c.before, strict=True)
    ]
    per_row = -(-c.places[2] // s.vector.lanes)
    vectors = per_row * c.places[0] * c.places[1]
    way: End = "_narrow" if few else "_weight" if weight else _way(c, s, channels * image * item)
    tile = near.near_rows(s, outputs) if way == "_direct" else s.rows
    chunk = across.chunk_of(
        s, places, (channels * row // max(1, c.places[2]) + 2 * s.columns) * item
    )
    table = _lines((k + s.rows) * 8) // item
    at_a = table
    if weight:
        panels = -(-outputs // s.columns)
        b = panels * s.columns * places + spill(s.vector)
        at_b = at_a
        tall = -(-k // s.rows) * s.rows
        at_d = at_b + _lines(b)
        at_image = at_d + _lines(tall * panels * s.columns)
        a_group = tall * s.columns
    else:
        tile = s.vector.lanes if way == "_across" else tile
        a_group = -(-outputs // tile) * tile * k
        at_b = at_a + _lines(groups * a_group + spill(s.vector))
        panels = -(-min(places, s.nc) // s.columns)
        b = panels * s.columns * min(k, s.k_block(k)) + 2 * s.columns
        if way == "_direct":
            b = 2 * (vectors + near.WIDE) * 8 // item
        elif way == "_across":
            b = (places + s.vector.lanes + 8) * 8 // item
        at_d = at_b + _lines(b)
        d = across.PAIR * (chunk + 8) * s.vector.lanes if way == "_across" else 0
        at_image = at_d + _lines(d)
    total = channels * image + 2 * s.columns + s.vector.lanes
    values = {
        "groups": groups, "channels": channels, "outputs": outputs, "k": k, "places": places,
        "taps": taps, "d": c.space[0], "h": c.space[1], "w": c.space[2], "kd": c.kernel[0],
        "kh": c.kernel[1], "kw": c.kernel[2], "pd": c.before[0], "ph": c.before[1],
        "pw": c.before[2], "od": c.places[0], "oh": c.places[1], "ow": c.places[2],
        "wide": wide, "phases": phases, "row": row, "plane": plane, "image_size": image,
        "step_d": c.dilation[0] * plane, "step_h": c.dilation[1] * row,
        "step_w": c.dilation[2], "stride_d": c.stride[0] * plane,
        "stride_h": c.stride[1] * row, "a_at": at_a, "b_at": at_b, "image_at": at_image,
        "image_total": _lines(total), "a_group": a_group, "da": first[0], "db": last[0],
        "ha": first[1], "hb": last[1], "wa": first[2], "wb": last[2], "images": c.images,
        "d_at": at_d, "per_row": per_row, "spots": vectors, "near_rows": tile,
        "near_k": across.step_k(s, k, item)
        if way == "_across"
        else near.near_k(s, k, c.kernel[2], c.places[2]),
        "chunk": chunk,
    }  # fmt: skip
    numbers = tuple(values[n] for n in NAMES)
    return Prepared(shared(kind, target, way), numbers, (at_image + _lines(total)) * item)


def _way(c: Conv, sizes: Tiles, image: int) -> End:
    """Which kernel computes a convolution (of three dimensions in space) of images of so many
    bytes, by an estimate."""
    outputs, taps, width = c.outputs // c.groups, prod(c.kernel), c.places[2]
    k, places = c.channels // c.groups * taps, prod(c.places)
    if not k * places:
        return ""
    wide = sizes.columns // sizes.vector.lanes
    whole, rest = divmod(outputs, sizes.rows)
    packed = (whole * sizes.rows + (max(rest, 4) if rest else 0)) * wide / 2
    pieces = 1 + (sizes.columns - 1) / width
    packed = (packed + 1.1 * wide * pieces) / wide
    packed *= 1.07 * sizes.columns * -(-places // sizes.columns) / places
    ways: list[tuple[float, End]] = [
        (near.cycles(sizes, width, outputs, k, taps, image), "_direct"),
        (packed, ""),
    ]
    if places >= sizes.vector.lanes > 1:
        ways.append((across.cycles(sizes, outputs, k, places), "_across"))
    return min(ways)[1]


def _lines(elements: int) -> int:
    return -(-elements // _LINE) * _LINE


# ---------------------------------------------------------------- the convolution
def emit_windows(symbol: str, sizes: Tiles) -> Text:
    """Packs windows as panels of B: for each k the elements of neighbouring places.

    The places of a panel lie in one row of the result or in several: in pieces of the image. Of a
    piece whole vectors are copied, which spoils what comes after it in the panel: that is written
    later (the very end is slack).
    """
    e, vector = Emitter(), sizes.vector
    element, lanes, columns = vector.element, vector.lanes, sizes.columns
    geo = Geometry(e)
    geo.read("ow", "oh", "stride_d", "stride_h")
    starts = e.stack(f"[{columns} x ptr]")
    offsets = e.stack(f"[{columns} x i64]")
    lengths = e.stack(f"[{columns} x i64]")
    state = [e.stack("i64", 8) for _ in range(3)]  # column, row, plane of the next place
    row = e.divide("%first", geo.ow)
    plane = e.divide(row, geo.oh)
    for slot, number in zip(state, (
        e.subtract("%first", e.multiply(row, geo.ow)), e.subtract(row, e.multiply(plane, geo.oh)),
        plane,
    ), strict=True):  # fmt: skip
        e.store(number, slot, "i64")

    def copy(source: Value, target: Value, vectors: int) -> None:
        loaded = [e.load(e.gep(source, i * lanes, element), element, lanes) for i in range(vectors)]
        for i, v in enumerate(loaded):
            e.store(v, e.gep(target, i * lanes, element), element, lanes)

    def each_k(target: Value, body: Callable[[Value, Value], None]) -> None:
        def step(k: Value, _: list[Value]) -> None:
            at = e.load(e.gep("%table", k, "i64"), "i64")
            body(at, e.gep(target, e.multiply(k, columns), element))

        e.loop(0, "%steps", 1, step)

    def panel(j: Value, _: list[Value]) -> None:
        target = e.gep("%target", e.multiply(j, "%steps"), element)
        count = e.minimum(e.subtract("%width", j), columns)
        head, leave = e.new("piece"), e.new("pieces")
        before = e.block
        e.emit(f"br label %{head}")
        e.label(head)
        done, n = f"%done.{head}", f"%n.{head}"
        place = len(e.lines)
        e.lines.append("")
        ow, oh, od = (e.load(slot, "i64") for slot in state)
        at = e.add(e.add(e.multiply(od, geo.stride_d), e.multiply(oh, geo.stride_h)), ow)
        length = e.minimum(e.subtract(geo.ow, ow), e.subtract(count, done))
        e.store(e.gep("%image", at, element), e.gep(starts, n, "ptr"), "ptr")
        e.store(done, e.gep(offsets, n, "i64"), "i64")
        e.store(length, e.gep(lengths, n, "i64"), "i64")
        column = e.add(ow, length)
        over = e.value(f"icmp eq i64 {column}, {geo.ow}")
        e.store(e.value(f"select i1 {over}, i64 0, i64 {column}"), state[0], "i64")
        down = e.add(oh, e.value(f"zext i1 {over} to i64"))
        under = e.value(f"icmp eq i64 {down}, {geo.oh}")
        e.store(e.value(f"select i1 {under}, i64 0, i64 {down}"), state[1], "i64")
        e.store(e.add(od, e.value(f"zext i1 {under} to i64")), state[2], "i64")
        done_next, n_next = e.add(done, length), e.add(n, 1)
        again = e.value(f"icmp ult i64 {done_next}, {count}")
        e.emit(f"br i1 {again}, label %{head}, label %{leave}")
        e.lines[place] = (
            f"  {done} = phi i64 [ 0, %{before} ], [ {done_next}, %{e.block} ]\n"
            f"  {n} = phi i64 [ 0, %{before} ], [ {n_next}, %{e.block} ]"
        )
        e.label(leave)
        first = e.load(starts, "ptr")

        def whole() -> None:
            each_k(target, lambda at, to: copy(e.gep(first, at, element), to, columns // lanes))

        def two() -> None:
            second = e.load(e.gep(starts, 1, "ptr"), "ptr")
            offset = e.load(e.gep(offsets, 1, "i64"), "i64")

            def pieces(at: Value, to: Value) -> None:
                copy(e.gep(first, at, element), to, columns // lanes)
                copy(e.gep(second, at, element), e.gep(to, offset, element), columns // lanes)

            each_k(target, pieces)

        def many() -> None:
            def pieces(at: Value, to: Value) -> None:
                def piece(i: Value, _: list[Value]) -> None:
                    source = e.gep(e.load(e.gep(starts, i, "ptr"), "ptr"), at, element)
                    there = e.gep(to, e.load(e.gep(offsets, i, "i64"), "i64"), element)
                    length = e.load(e.gep(lengths, i, "i64"), "i64")

                    def part(v: Value, _: list[Value]) -> None:
                        copy(e.gep(source, v, element), e.gep(there, v, element), 1)

                    e.loop(0, length, lanes, part)

                e.loop(0, n_next, 1, piece)

            each_k(target, pieces)

        def several() -> None:
            e.choose(e.value(f"icmp eq i64 {n_next}, 2"), two, many)

        e.choose(e.value(f"icmp eq i64 {n_next}, 1"), whole, several)

    e.loop(0, "%width", columns, panel)
    e.emit("ret void")
    parameters = [
        "ptr %geo", "ptr %image", "ptr %table", "ptr noalias %target", "i64 %steps", "i64 %first",
        "i64 %width",
    ]  # fmt: skip
    text = e.function(
        f"{symbol}_windows", parameters, linkage="internal", attributes="nounwind noinline"
    )
    return text, e.declarations


def emit_forward(symbol: str, sizes: Tiles) -> Text:
    """The convolution: for each image the blocked product of weights and windows."""
    e, element = Emitter(), sizes.vector.element
    geo = Geometry(e)
    geo.read(
        "groups", "channels", "outputs", "k", "places", "image_total", "a_at", "b_at", "image_at",
        "a_group", "d", "h", "w",
    )  # fmt: skip
    a, b, image = (e.gep("%work", at, element) for at in (geo.a_at, geo.b_at, geo.image_at))
    e.call(f"{symbol}_table", "void", [("ptr", "%geo"), ("ptr", "%work"), ("i64", geo.channels)])
    e.call(f"{symbol}_clear", "void", [("ptr", image), ("i64", geo.image_total)])
    blocks = e.divide(e.add(geo.k, sizes.kc - 1), sizes.kc)
    share = e.divide(e.add(geo.k, e.subtract(blocks, 1)), blocks)
    k_block = e.value(f"and i64 {e.add(share, 3)}, -4")
    panels = e.divide(e.add(geo.outputs, sizes.rows - 1), sizes.rows)
    rounded = e.multiply(panels, sizes.rows)
    x_group = e.multiply(geo.channels, e.multiply(e.multiply(geo.d, geo.h), geo.w))
    y_group = e.multiply(geo.outputs, geo.places)

    def pack(g: Value, _: list[Value]) -> None:
        w = e.gep("%w", e.multiply(g, e.multiply(geo.outputs, geo.k)), element)
        mine = e.gep(a, e.multiply(g, geo.a_group), element)

        def depth(pc: Value, _: list[Value]) -> None:
            steps = e.minimum(e.subtract(geo.k, pc), k_block)
            target = e.gep(mine, e.multiply(pc, rounded), element)
            source = e.gep(w, pc, element)
            call_pack(
                e, f"{symbol}_blocked", ("columns",), sizes.rows,
                [source, "1", geo.k, target, steps, geo.outputs],
            )  # fmt: skip

        e.loop(0, geo.k, k_block, depth)

    e.loop(0, geo.groups, 1, pack)

    def group(y: Value, mine: Value) -> None:
        def columns(jc: Value, _: list[Value]) -> None:
            width = e.minimum(e.subtract(geo.places, jc), sizes.nc)

            def depth(pc: Value, _: list[Value]) -> None:
                steps = e.minimum(e.subtract(geo.k, pc), k_block)
                first = e.value(f"icmp eq i64 {pc}, 0")
                e.call(
                    f"{symbol}_windows", "void",
                    [
                        ("ptr", "%geo"), ("ptr", image), ("ptr", e.gep("%work", pc, "i64")),
                        ("ptr", b), ("i64", steps), ("i64", jc), ("i64", width),
                    ],
                )  # fmt: skip
                packed = e.gep(mine, e.multiply(pc, rounded), element)

                def rows(ic: Value, _: list[Value]) -> None:
                    height = e.minimum(e.subtract(geo.outputs, ic), sizes.mc)
                    c = e.gep(y, e.add(e.multiply(ic, geo.places), jc), element)
                    panel = e.gep(packed, e.multiply(ic, steps), element)
                    e.call(
                        f"{symbol}_blocked_walk", "void",
                        [
                            ("ptr", panel), ("ptr", b), ("ptr", c), ("i64", geo.places),
                            ("i64", steps), ("i1", first), ("i64", height), ("i64", width),
                        ],
                    )  # fmt: skip

                e.loop(0, geo.outputs, sizes.mc, rows)

            e.loop(0, geo.k, k_block, depth)

        e.loop(0, geo.places, sizes.nc, columns)

    distances = (x_group, y_group)
    return over_images(e, geo, symbol, symbol, element, (a, image), distances, group)
