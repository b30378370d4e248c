"""One row times a matrix, as a step of a native program.

A product of one row reads each element of the matrix once: packing the matrix first, as the kernel
of all sizes does, would take longer than the product.  The meaning is the same: each element of the
result is one chain of `fma` over ascending k, from +0.
"""

from __future__ import annotations

from ..codegen.text import Emitter, Value, module_text, splat_literal, vector_type

VECTORS = 4  # chains side by side, of vectors where the matrix's rows lie side by side
CHAINS = 8  # and of single elements where its columns do


def row_product_text(symbol: str, element: str, lanes: int, by_rows: bool) -> str:
    """``@symbol``: words kernel, out, x, y, the step of x, the stride of y, k (not 0), n.

    ``by_rows``: y's rows lie side by side and its stride leads from one to the next; otherwise its
    columns do.  Strides are in elements.
    """
    e = Emitter()

    def word(i: int, kind: str) -> Value:
        return e.load(e.gep("%step", i, "i64"), kind)

    out, x, y = word(1, "ptr"), word(2, "ptr"), word(3, "ptr")
    step, stride, k, n = (word(i, "i64") for i in range(4, 8))

    def vectors(j: Value, count: int, width: int) -> None:
        """``count`` vectors of the result from column ``j`` on."""
        kind = vector_type(element, width)
        zero = splat_literal(0.0, element, width)

        def one(i: Value, sums: list[Value]) -> list[Value]:
            a = e.load(e.gep(x, e.multiply(i, step), element), element)
            if width > 1:
                a = e.splat(a, element, width)
            row = e.gep(y, e.add(e.multiply(i, stride), j), element)
            made = []
            for v in range(count):
                b = e.load(e.gep(row, v * width, element), element, width)
                made.append(e.fma(a, b, sums[v], element, width))
            return made

        for v, s in enumerate(e.loop(0, k, 1, one, [(kind, zero)] * count)):
            e.store(s, e.gep(out, e.add(j, v * width), element), element, width)

    def chains(j: Value, count: int) -> None:
        """``count`` elements of the result from column ``j`` on."""
        zero = splat_literal(0.0, element)
        columns = [e.gep(y, e.multiply(e.add(j, v), stride), element) for v in range(count)]

        def one(i: Value, sums: list[Value]) -> list[Value]:
            a = e.load(e.gep(x, e.multiply(i, step), element), element)
            made = []
            for v, column in enumerate(columns):
                b = e.load(e.gep(column, i, element), element)
                made.append(e.fma(a, b, sums[v], element))
            return made

        for v, s in enumerate(e.loop(0, k, 1, one, [(element, zero)] * count)):
            e.store(s, e.gep(out, e.add(j, v), element), element)

    def single(j: Value, _: list[Value]) -> None:
        if by_rows:
            vectors(j, 1, 1)
        else:
            chains(j, 1)

    some = lanes if by_rows else CHAINS
    few = e.value(f"icmp ult i64 {n}, {some}")
    last = e.subtract(n, some)

    def all_columns() -> None:
        """The end is computed with what is before it once more: the same bits."""
        done: Value | int = 0
        if by_rows:
            done = e.multiply(e.divide(n, VECTORS * lanes), VECTORS * lanes)
            e.loop(
                0, done, VECTORS * lanes, lambda j, _: vectors(j, VECTORS, lanes), may_be_empty=True
            )

        def rest(j: Value, _: list[Value]) -> None:
            start = e.minimum(j, last)
            if by_rows:
                vectors(start, 1, lanes)
            else:
                chains(start, CHAINS)

        e.loop(done, n, some, rest, may_be_empty=True)

    e.choose(few, lambda: e.loop(0, n, 1, single), all_columns)
    e.emit(f"ret ptr {e.gep('%step', 8, 'i64')}")
    return module_text([e.function(symbol, ["ptr %step"], returns="ptr")], e.declarations)
