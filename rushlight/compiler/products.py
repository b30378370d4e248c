"""The pass that turns a matrix product into sizes and strides, with batches folded into rows."""

from __future__ import annotations

from ..base.shape import numel
from .group import Grouping
from .loops import Product
from .split import Launch
from .values import Value, dot_row


def product(v: Value, m: int, grouping: Grouping) -> Launch:
    """A matrix product of floats: a kernel of its own kind."""
    items = grouping.values.items
    roles, rank = v.arg, len(v.space)
    size = {"m": 1, "k": 1, "n": 1} | {r: n for r, n in zip(roles, v.space) if r != "b"}
    addresses = [
        r.rows[0] if r.memory else dot_row(items[r.value].layout, r.rows, rank) for r in v.srcs
    ]
    outs = iter(v.layout)
    addresses.append((tuple(0 if r == "k" else next(outs) for r in roles), 0))
    batch = [d for d in range(rank) if roles[d] == "b"]
    sides = []
    for (c, o), (row, column) in zip(addresses, (("m", "k"), ("k", "n"), ("m", "n"))):
        at = {r: c[d] for d, r in enumerate(roles) if r != "b"}
        sides.append([at.get(row, 0), at.get(column, 0), o, *(c[d] for d in batch)])
    x, y, z = sides
    sizes = [v.space[d] for d in batch]
    # a batch of rows against one matrix is one product
    while sizes and y[-1] == 0 and _follows(x, size["m"]) and _follows(z, size["m"]):
        if size["m"] == 1:
            x[0], z[0] = x[-1], z[-1]
        size["m"] *= sizes.pop()
        for side in sides:
            side.pop()
    if size["n"] == 1:
        z[1] = 1
    p = Product(
        v.dtype, size["m"], size["k"], size["n"], tuple(sizes), tuple(x), tuple(y), tuple(z)
    )
    work = numel(v.space)
    if work > 1 << 20:
        p.tasks = min(64, work >> 18)
    return Launch(p, [r.value for r in v.srcs] + [m], [])


def _follows(side: list[int], rows: int) -> bool:
    """Whether the last batch dimension goes on where rows end."""
    return rows == 1 or side[-1] == side[0] * rows
