"""What kernels of convolutions begin with: their numbers, and images copied into the workspace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rushlight.codegen.matmul_blocked import Blocking
from rushlight.codegen.matmul_pack import PLAIN
from rushlight.codegen.text import Emitter, Value

# What stands where in a kernel's geometry.
NAMES = (
    "groups", "channels", "outputs", "k", "places", "taps", "d", "h", "w", "kd", "kh", "kw", "pd",
    "ph", "pw", "od", "oh", "ow", "wide", "phases", "row", "plane", "image_size", "step_d",
    "step_h", "step_w", "stride_d", "stride_h", "a_at", "b_at", "image_at", "image_total",
    "a_group", "da", "db", "ha", "hb", "wa", "wb", "images", "d_at", "per_row",
    "spots", "near_rows", "near_k", "chunk",
)  # fmt: skip
_AT = {name: i for i, name in enumerate(NAMES)}


@dataclass(frozen=True)
class Shared:
    """A kernel with run-time sizes, in a module of its own that all plans share."""

    symbol: str
    text: str
    parameters: str

    @property
    def declaration(self) -> str:
        """What a module that calls it needs."""
        return f"declare void @{self.symbol}({self.parameters})"


@dataclass(frozen=True)
class Prepared:
    """A kernel, what it is told, and the bytes of workspace that each task needs."""

    kernel: Shared
    numbers: tuple[int, ...]
    workspace: int = 0


class Tiles(Blocking):
    """A blocking with a tile for every number of rows: channels are few."""

    @property
    def heights(self) -> tuple[int, ...]:
        """Tile heights there is code for, tallest first."""
        return tuple(range(self.rows, 0, -1))


Text = tuple[str, set[str]]


class Geometry:
    """Reads the numbers of `%geo`, each once where it is first asked for."""

    def __init__(self, e: Emitter) -> None:
        self.e = e
        self.known: dict[str, Value] = {}

    def read(self, *names: str) -> None:
        """Loads numbers here, so that code in every branch may use them."""
        for name in names:
            if name not in self.known:
                self.known[name] = self.e.load(self.e.gep("%geo", _AT[name], "i64"), "i64")

    def __getattr__(self, name: str) -> Value:
        return self.known[name]


def less(e: Emitter, a: Value, b: Value) -> Value:
    """The smaller of two signed numbers."""
    return e.value(f"select i1 {e.value(f'icmp slt i64 {a}, {b}')}, i64 {a}, i64 {b}")


def more(e: Emitter, a: Value, b: Value) -> Value:
    """The greater of two signed numbers."""
    return e.value(f"select i1 {e.value(f'icmp sgt i64 {a}, {b}')}, i64 {a}, i64 {b}")


# ---------------------------------------------------------------- what both kernels begin with
def emit_table(symbol: str, sizes: Tiles) -> Text:
    """Where the element of each k stands in the image, from the place of a window on."""
    e = Emitter()
    geo = Geometry(e)
    geo.read(
        "kd", "kh", "kw", "image_size", "step_d", "step_h", "step_w", "phases", "wide"
    )  # fmt: skip

    def over(n: Value, step: Value, base: Value, at: Value, body: Callable[..., Value]) -> Value:
        return e.loop(
            0, n, 1,
            lambda i, now: [body(e.add(base, e.multiply(i, step)), now[0])],
            [("i64", at)], may_be_empty=True,
        )[0]  # fmt: skip

    def last(base: Value, at: Value) -> Value:
        def column(i: Value, now: list[Value]) -> list[Value]:
            reach = e.multiply(i, geo.step_w)
            column = e.divide(reach, geo.phases)
            phase = e.subtract(reach, e.multiply(column, geo.phases))
            where = e.add(base, e.add(e.multiply(phase, geo.wide), column))
            e.store(where, e.gep("%table", now[0], "i64"), "i64")
            return [e.add(now[0], 1)]

        return e.loop(0, geo.kw, 1, column, [("i64", at)], may_be_empty=True)[0]

    def rows(base: Value, at: Value) -> Value:
        return over(geo.kh, geo.step_h, base, at, last)

    def planes(base: Value, at: Value) -> Value:
        return over(geo.kd, geo.step_d, base, at, rows)

    end = over("%channels", geo.image_size, "0", "0", planes)
    final = e.load(e.gep("%table", e.subtract(end, 1), "i64"), "i64")
    for i in range(sizes.rows):  # a block of taps that is not whole repeats the last
        e.store(final, e.gep("%table", e.add(end, i), "i64"), "i64")
    e.emit("ret void")
    parameters = ["ptr %geo", "ptr noalias %table", "i64 %channels"]
    text = e.function(f"{symbol}_table", parameters, linkage="internal", attributes=PLAIN)
    return text, e.declarations


def emit_clear(symbol: str, sizes: Tiles) -> Text:
    """Zeros; `%count` is a multiple of the vector."""
    e, vector = Emitter(), sizes.vector
    e.loop(
        0, "%count", vector.lanes,
        lambda i, _: e.store(
            vector.zero, e.gep("%at", i, vector.element), vector.element, vector.lanes
        ),
    )  # fmt: skip
    e.emit("ret void")
    text = e.function(
        f"{symbol}_clear", ["ptr noalias %at", "i64 %count"], linkage="internal",
        attributes="nounwind noinline",
    )  # fmt: skip
    return text, e.declarations


def emit_image(symbol: str, sizes: Tiles) -> Text:
    """Copies channels of one image between their padding, columns by phase of the stride."""
    e, element, lanes = Emitter(), sizes.vector.element, sizes.vector.lanes
    geo = Geometry(e)
    geo.read(
        "d", "h", "w", "pd", "ph", "pw", "da", "db", "ha", "hb", "wa", "wb", "phases", "wide",
        "row", "plane", "image_size",
    )  # fmt: skip
    count = e.subtract(geo.wb, geo.wa)
    one = e.value(f"icmp eq i64 {geo.phases}, 1")
    long = e.value(f"icmp uge i64 {count}, {lanes}")
    end = e.subtract(count, lanes)
    channel_size = e.multiply(e.multiply(geo.d, geo.h), geo.w)

    def copy(source: Value, target: Value) -> None:
        def vectors() -> None:
            def piece(i: Value, _: list[Value]) -> None:
                at = less(e, i, end)  # the last one is moved back
                e.store(
                    e.load(e.gep(source, at, element), element, lanes),
                    e.gep(target, at, element), element, lanes,
                )  # fmt: skip

            e.loop(0, count, lanes, piece)

        def single(i: Value, _: list[Value]) -> None:
            e.store(e.load(e.gep(source, i, element), element), e.gep(target, i, element), element)

        e.choose(long, vectors, lambda: e.loop(0, count, 1, single, may_be_empty=True))

    def split(source: Value, target: Value) -> None:
        def phase(f: Value, _: list[Value]) -> None:
            more = e.subtract(e.add(geo.phases, -1), f)
            first = e.divide(e.add(geo.wa, more), geo.phases)
            last = e.divide(e.add(geo.wb, more), geo.phases)
            line = e.gep(target, e.multiply(f, geo.wide), element)

            def single(q: Value, _: list[Value]) -> None:
                at = e.subtract(e.add(e.multiply(q, geo.phases), f), geo.pw)
                e.store(e.load(e.gep(source, at, element), element), e.gep(line, q, element),
                        element)  # fmt: skip

            e.loop(first, last, 1, single, may_be_empty=True)

        e.loop(0, geo.phases, 1, phase)

    def channel(c: Value, _: list[Value]) -> None:
        source_c = e.gep("%x", e.multiply(c, channel_size), element)
        target_c = e.gep("%image", e.multiply(c, geo.image_size), element)

        def plane(d: Value, _: list[Value]) -> None:
            above = e.multiply(e.subtract(d, geo.pd), geo.h)
            target_d = e.gep(target_c, e.multiply(d, geo.plane), element)

            def row(h: Value, _: list[Value]) -> None:
                line = e.multiply(e.add(above, e.subtract(h, geo.ph)), geo.w)
                source = e.gep(source_c, line, element)
                target = e.gep(target_d, e.multiply(h, geo.row), element)

                def straight() -> None:
                    at = e.subtract(geo.wa, geo.pw)
                    copy(e.gep(source, at, element), e.gep(target, geo.wa, element))

                e.choose(one, straight, lambda: split(source, target))

            e.loop(geo.ha, geo.hb, 1, row, may_be_empty=True)

        e.loop(geo.da, geo.db, 1, plane, may_be_empty=True)

    e.loop(0, "%channels", 1, channel)
    e.emit("ret void")
    parameters = ["ptr %geo", "ptr noalias %image", "ptr noalias %x", "i64 %channels"]
    text = e.function(
        f"{symbol}_image", parameters, linkage="internal", attributes="nounwind noinline"
    )
    return text, e.declarations


def over_images(
    e: Emitter, geo: Geometry, symbol: str, name: str, element: str,
    memory: tuple[Value, Value], distances: tuple[Value, Value],
    work: Callable[[Value, Value], None],
) -> Text:  # fmt: skip
    """The end of a kernel ``name``: for the images from ``%from`` to ``%to`` and each of their
    groups, the image is copied and ``work`` done with the group's result and its packed weights.

    ``memory`` is where weights and image lie in the workspace, ``distances`` how far groups of the
    input and of the result are apart.
    """
    a, image = memory
    x_group, y_group = distances

    def one(n: Value, _: list[Value]) -> None:
        def group(g: Value, _: list[Value]) -> None:
            at = e.add(e.multiply(n, geo.groups), g)
            x = e.gep("%x", e.multiply(at, x_group), element)
            y = e.gep("%y", e.multiply(at, y_group), element)
            mine = e.gep(a, e.multiply(g, geo.a_group), element)
            e.call(
                f"{symbol}_image", "void",
                [("ptr", "%geo"), ("ptr", image), ("ptr", x), ("i64", geo.channels)],
            )  # fmt: skip
            work(y, mine)

        e.loop(0, geo.groups, 1, group)

    e.loop("%from", "%to", 1, one, may_be_empty=True)
    e.emit("ret void")
    parameters = [
        "ptr %geo", "ptr noalias %y", "ptr noalias %x", "ptr noalias %w", "ptr noalias %work",
        "i64 %from", "i64 %to",
    ]  # fmt: skip
    return e.function(name, parameters, attributes=PLAIN), e.declarations
