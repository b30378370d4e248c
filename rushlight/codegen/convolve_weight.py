"""The gradient of a convolution's weight: taps stand still while an image goes by."""

from __future__ import annotations

from rushlight.codegen.convolve_image import Geometry, Text, Tiles, less, more
from rushlight.codegen.matmul_blocked import call_pack
from rushlight.codegen.matmul_pack import PLAIN
from rushlight.codegen.text import Emitter, Value


def emit_taps(symbol: str, sizes: Tiles) -> Text:
    """Goes on with the chains of a block of taps and a panel of outputs over all of one image."""
    e, vector = Emitter(), sizes.vector
    element, lanes, rows = vector.element, vector.lanes, sizes.rows
    wide = sizes.columns // lanes
    geo = Geometry(e)
    geo.read("od", "oh", "ow", "stride_d", "stride_h")
    spots = [e.gep("%d", r * sizes.columns + j * lanes, element)
             for r in range(rows) for j in range(wide)]  # fmt: skip
    sums = [e.load(p, element, lanes) for p in spots]
    taps = [e.load(e.gep("%table", r, "i64"), "i64") for r in range(rows)]
    starts = [e.gep("%image", t, element) for t in taps]
    line = e.multiply(geo.ow, sizes.columns)
    carry = [(vector.type, v) for v in sums]

    def plane(d: Value, now: list[Value]) -> list[Value]:
        above = e.multiply(d, geo.stride_d)
        first = e.multiply(d, geo.oh)

        def row(h: Value, now: list[Value]) -> list[Value]:
            at = e.add(above, e.multiply(h, geo.stride_h))
            xs = [e.gep(p, at, element) for p in starts]
            g = e.gep("%g", e.multiply(e.add(first, h), line), element)

            def place(i: Value, now: list[Value]) -> list[Value]:
                here = e.gep(g, e.multiply(i, sizes.columns), element)
                ys = [e.load(e.gep(here, j * lanes, element), element, lanes) for j in range(wide)]
                out = []
                for r, x in enumerate(xs):
                    v = e.splat(e.load(e.gep(x, i, element), element), element, lanes)
                    out += [
                        e.fma(v, y, now[r * wide + j], element, lanes) for j, y in enumerate(ys)
                    ]
                return out

            return e.loop(0, geo.ow, 1, place, [(vector.type, v) for v in now])

        return e.loop(0, geo.oh, 1, row, [(vector.type, v) for v in now])

    for p, v in zip(spots, e.loop(0, geo.od, 1, plane, carry), strict=True):
        e.store(v, p, element, lanes)
    e.emit("ret void")
    parameters = ["ptr %geo", "ptr %image", "ptr %table", "ptr %g", "ptr noalias %d"]
    text = e.function(
        f"{symbol}_taps", parameters, linkage="internal", attributes="nounwind noinline"
    )
    return text, e.declarations


def emit_weight(symbol: str, sizes: Tiles) -> Text:
    """The gradient: image after image, for each panel of outputs all blocks of taps."""
    e, element = Emitter(), sizes.vector.element
    geo = Geometry(e)
    geo.read(
        "groups", "channels", "outputs", "places", "taps", "image_total", "b_at", "d_at",
        "image_at", "images", "d", "h", "w",
    )  # fmt: skip
    b, sums, image = (e.gep("%work", at, element) for at in (geo.b_at, geo.d_at, geo.image_at))
    panels = e.divide(e.add(geo.outputs, sizes.columns - 1), sizes.columns)
    panel_size = e.multiply(geo.places, sizes.columns)
    plane = e.multiply(e.multiply(geo.d, geo.h), geo.w)
    all_channels = e.multiply(geo.groups, geo.channels)
    all_outputs = e.multiply(geo.groups, geo.outputs)
    e.call(f"{symbol}_clear", "void", [("ptr", image), ("i64", geo.image_total)])

    def group(g: Value, _: list[Value]) -> None:
        base = e.multiply(g, geo.channels)
        first = less(e, more(e, e.subtract("%from", base), "0"), geo.channels)
        last = less(e, more(e, e.subtract("%to", base), "0"), geo.channels)

        def work() -> None:
            some = e.subtract(last, first)
            taps = e.multiply(some, geo.taps)
            rounded = e.multiply(e.divide(e.add(taps, sizes.rows - 1), sizes.rows), sizes.rows)
            sheet = e.multiply(rounded, sizes.columns)
            e.call(f"{symbol}_table", "void", [("ptr", "%geo"), ("ptr", "%work"), ("i64", some)])
            e.call(f"{symbol}_clear", "void", [("ptr", sums), ("i64", e.multiply(sheet, panels))])

            def one(n: Value, _: list[Value]) -> None:
                channel = e.add(e.add(e.multiply(n, all_channels), base), first)
                e.call(
                    f"{symbol}_image", "void",
                    [
                        ("ptr", "%geo"), ("ptr", image),
                        ("ptr", e.gep("%x", e.multiply(channel, plane), element)), ("i64", some),
                    ],
                )  # fmt: skip
                output = e.add(e.multiply(n, all_outputs), e.multiply(g, geo.outputs))
                source = e.gep("%g", e.multiply(output, geo.places), element)
                call_pack(
                    e, f"{symbol}_blocked", ("columns",), sizes.columns,
                    [source, "1", geo.places, b, geo.places, geo.outputs],
                )  # fmt: skip

                def panel(j: Value, _: list[Value]) -> None:
                    y = e.gep(b, e.multiply(j, panel_size), element)
                    mine = e.gep(sums, e.multiply(j, sheet), element)

                    def block(t: Value, _: list[Value]) -> None:
                        e.call(
                            f"{symbol}_taps", "void",
                            [
                                ("ptr", "%geo"), ("ptr", image),
                                ("ptr", e.gep("%work", t, "i64")), ("ptr", y),
                                ("ptr", e.gep(mine, e.multiply(t, sizes.columns), element)),
                            ],
                        )  # fmt: skip

                    e.loop(0, taps, sizes.rows, block)

                e.loop(0, panels, 1, panel)

            e.loop(0, geo.images, 1, one)

            def output(o: Value, _: list[Value]) -> None:
                j = e.divide(o, sizes.columns)
                lane = e.subtract(o, e.multiply(j, sizes.columns))
                source = e.gep(sums, e.add(e.multiply(j, sheet), lane), element)
                row = e.add(e.multiply(g, geo.outputs), o)
                at = e.multiply(e.add(e.multiply(row, geo.channels), first), geo.taps)
                target = e.gep("%gw", at, element)

                def tap(t: Value, _: list[Value]) -> None:
                    found = e.load(e.gep(source, e.multiply(t, sizes.columns), element), element)
                    e.store(found, e.gep(target, t, element), element)

                e.loop(0, taps, 1, tap)

            e.loop(0, geo.outputs, 1, output)

        e.guard(e.value(f"icmp slt i64 {first}, {last}"), work)

    e.loop(0, geo.groups, 1, group)
    e.emit("ret void")
    parameters = [
        "ptr %geo", "ptr noalias %gw", "ptr noalias %x", "ptr noalias %g", "ptr noalias %work",
        "i64 %from", "i64 %to",
    ]  # fmt: skip
    name = f"{symbol}_weight"
    return e.function(name, parameters, attributes=PLAIN), e.declarations
