"""Passes by their text: each program's values, groups and loops, as files in `golden/`.

`RUSHLIGHT_GOLDEN=write pytest tests/compiler/test_passes.py` writes the files anew.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from rushlight.base import dtype as dt
from rushlight.base.target import host
from rushlight.compiler.group import group
from rushlight.compiler.pipeline import lower
from rushlight.compiler.recompute import recompute
from rushlight.compiler.resolve import resolve
from rushlight.graph.node import expand

GOLDEN = Path(__file__).parent / "golden"


def softmax(kit: Any, p: Any) -> None:
    x = kit.leaf(p, (8, 40))
    arg = ((1,), True)
    e = kit.make("exp", kit.make("sub", x, kit.make("amax", x, arg=arg)))
    p.outputs = [kit.make("div", e, kit.make("sum", e, arg=arg)).slot]


def layer(kit: Any, p: Any) -> None:
    """A linear layer with its bias and activation, its bias gradient and a step."""
    x, w, b, g = (kit.leaf(p, s) for s in ((10, 4), (3, 4), (3,), (10, 3)))
    lr = kit.number(p, "d")
    z = kit.make("add", kit.make("matmul", x, kit.make("permute", w, arg=(1, 0))), b)
    y = kit.make("relu", z)
    gz = kit.make("where", kit.make("le", y, kit.make("sub", y, y)), kit.make("sub", g, g), g)
    gb = kit.make("sum", gz, arg=((0,), False))
    p.outputs = [y.slot, kit.make("sub", b, kit.make("mul", gb, lr)).slot]


def views(kit: Any, p: Any) -> None:
    """Slices, flips and merges are index maps; a merge across a permutation is a copy."""
    x = kit.leaf(p, (4, 6))
    a = kit.make("slice", x, arg=(1, 1, 6, 2))
    f = kit.make("flip", kit.make("permute", a, arg=(1, 0)), arg=(0,))
    m = kit.make("reshape", kit.make("permute", x, arg=(1, 0)), arg=(24,))
    p.outputs = [kit.make("exp", f).slot, kit.make("neg", m).slot]


def same(kit: Any, p: Any) -> None:
    """Common subexpressions and dead nodes are gone; zeros keep their signs."""
    x = kit.leaf(p, (5,))
    make = x.builder.make
    zero, minus = (
        type(x)(x.builder, make(kit.op("const"), [], (v, dt.float32))) for v in (0.0, -0.0)
    )
    a, b = kit.make("exp", x), kit.make("exp", x)
    kit.make("log", x)
    p.outputs = [kit.make("add", kit.make("add", a, b), zero).slot, kit.make("add", a, minus).slot]


def regions(kit: Any, p: Any) -> None:
    x, v = kit.leaf(p, (4, 4)), kit.leaf(p, (4,))
    a = kit.make("write", x, v, arg=((4,), (5,), 0))
    b = kit.make("write", a, kit.make("neg", v), arg=((4,), (1,), 8))
    p.outputs = [b.slot, kit.make("cat", b, x, arg=0).slot]


def places(kit: Any, p: Any) -> None:
    """An embedding and its gradient."""
    w, i, g = kit.leaf(p, (9, 6)), kit.leaf(p, (5,), dt.int64), kit.leaf(p, (5, 6))
    e = kit.make("index", w, i, arg=(0,))
    zero = kit.make("sub", w, w)
    p.outputs = [
        kit.make("mul", e, g).slot,
        kit.make("index_put", zero, g, i, arg=((0,), True)).slot,
    ]


def long(kit: Any, p: Any) -> None:
    """A long sum is cut; long lines are spans; rows are shared out."""
    x = kit.leaf(p, (100_000,))
    y = kit.make("mul", x, x)
    p.outputs = [y.slot, kit.make("sum", y, arg=((0,), False)).slot]


def handed(kit: Any, p: Any) -> None:
    """A cheap value of two kernels is made twice; a multiple of a leaf waits for its reader."""
    g, x, w, old = (kit.leaf(p, shape) for shape in ((256, 64), (256, 64), (64,), (256, 64)))
    scaled = kit.make("mul", old, w)
    y = kit.make("mul", g, w)
    sums = kit.make("sum", kit.make("mul", y, x), arg=((0,), False))
    p.outputs = [
        sums.slot,
        kit.make("sum", y, arg=((1,), False)).slot,
        kit.make("add", scaled, kit.make("square", g)).slot,
    ]


PROGRAMS = [softmax, layer, views, same, regions, places, long, handed]


@pytest.mark.parametrize("build", PROGRAMS, ids=lambda f: f.__name__)
def test_text_of_passes(kit: Any, build: Any) -> None:
    p = kit.Program()
    build(kit, p)
    values = resolve(expand(p))
    parts = [
        f"# values\n{values}",
        f"# groups\n{recompute(group(values))}",
        f"# loops\n{lower(p, host())}",
    ]
    text = "\n\n".join(parts) + "\n"
    file = GOLDEN / f"{build.__name__}.txt"
    if os.environ.get("RUSHLIGHT_GOLDEN") == "write":
        file.write_text(text, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == text


def test_what_waits_is_there_when_it_is_read(kit: Any) -> None:
    """Every group reads values of groups before it, however long they have waited."""
    p = kit.Program()
    g, i = kit.leaf(p, (64, 65)), kit.leaf(p, (4, 40), dt.int64)
    part = kit.make("slice", i, arg=(1, 0, 16, 1))
    flat = kit.make("reshape", part, arg=(64,))
    good = kit.make("ne", flat, flat)
    safe = kit.make("where", good, flat, kit.make("neg", flat))
    most = kit.make("amax", g, arg=((1,), True))
    spread = kit.make("exp", kit.make("sub", g, most))
    column = kit.make("cast", kit.make("reshape", safe, arg=(64, 1)), arg=dt.float32)
    p.outputs = [kit.make("mul", spread, column).slot]
    grouping = recompute(group(resolve(expand(p))))
    done: set[int] = set()
    for g_ in grouping.groups:
        for m in g_.members:
            for r in grouping.values.items[m].srcs:
                kind = grouping.values.items[r.value].kind
                known = r.value in grouping.inline or kind in ("leaf", "blank")
                assert known or r.value in done or r.value in g_.level, str(grouping)
        done.update(g_.members)
