# ruff: noqa: E501 - statements of programs stand on one line
"""What programs of layers are made with, and their statements that sort, scatter and pad."""

from __future__ import annotations

from collections.abc import Callable

from .generate import Generator
from .layouts import Layouts
from .names import GRAPH, LEAF, NO, Var, elements, sh

F = "T.nn.functional"


class Placed(Layouts, Generator):
    """Values of known sizes in every layout, and what orders and places their elements."""

    # ------------------------------------------------------------ helpers
    def value(self, rank: int | None = None, test: Callable[[Var], bool] | None = None) -> str:
        """A name of numbers with known sizes and no empty dimension; a new one when there is none."""

        def fits(v: Var) -> bool:
            if v.dtype != self.main or not all(isinstance(q, int) and q > 0 for q in v.shape):
                return False
            ranked = len(v.shape) == rank if rank else len(v.shape) > 0
            return ranked and (test is None or test(v))

        found = self.some(fits)
        if found is not None and self.r.random() < 0.8:
            return found
        return self.laid(self.sizes(rank))

    def sizes(self, rank: int | None = None) -> tuple[int, ...]:
        """A shape: small, above 4 KB now and then, above 64 KB seldom; there is room for it."""
        rank = self.r.choice((1, 2, 2, 3, 3, 4)) if rank is None else rank
        while elements(s := self.any_sizes(rank)) > self.room:
            pass
        return s

    def any_sizes(self, rank: int) -> tuple[int, ...]:
        """A shape of as many dimensions."""
        r = self.r
        q = r.random()
        if q < 0.55:
            return tuple(r.choice((1, 2, 3, 4, 5, 7, 9)) for _ in range(rank))
        if rank == 1:
            return (r.choice((1100, 2049) if q < 0.93 else (17001, 33000)),)
        lead = tuple(r.choice((1, 2, 3)) for _ in range(rank - 2))
        if q < 0.75:
            return (*lead, r.choice((1, 1, 2)), r.choice((33, 100, 515)))
        if q < 0.93:
            return (*lead, r.choice((17, 33, 40)), r.choice((1, 20, 37, 64)))
        return (*lead, r.choice((97, 130)), r.choice((1, 130, 180)))

    def shape_of(self, x: str) -> tuple[int, ...]:
        return tuple(q for q in self.vars[x].shape if isinstance(q, int))

    def result(
        self, text: str, shape: tuple[int, ...], op: str, *xs: str, grad: bool = False
    ) -> str:
        """``name = text`` of the main type; ``grad``: something in it is a leaf."""
        rg = GRAPH if grad or any(self.vars[x].rg for x in xs if x in self.vars) else NO
        old = any(self.vars[x].old for x in xs if x in self.vars)
        return self.make(text, Var(shape, self.main, rg, old=old), op)

    def weight(self, shape: tuple[int, ...]) -> tuple[str, bool]:
        """Small numbers; a leaf with a name when gradients are wanted."""
        k = self.r.randrange(50)
        text = f"T.tensor(A({k}, {sh(shape)}, {self.main!r}) * 0.3"
        if self.graded and self.r.random() < 0.7:
            w = self.name("w")
            self.emit(f"{w} = {text}, requires_grad=True)")
            self.vars[w] = Var(shape, self.main, LEAF)
            return w, True
        return f"{text})", False

    def integers(self, shape: tuple[int, ...], below: int) -> str:
        """Indices below a number."""
        text = f"T.tensor(A({self.r.randrange(50)}, {sh(shape)}, 'int64')).abs() * {self.r.choice((1, 3, 5))} % {below}"
        return f"({text})"

    def image(self, rank: int) -> str:
        """Something with examples, channels and ``rank`` dimensions behind them."""
        return self.value(
            rank + 2, lambda v: all(isinstance(q, int) and q > 1 for q in v.shape[2:])
        )

    # ------------------------------------------------------------ order and places
    def ordered(self) -> None:
        r = self.r
        x = self.value()
        s = self.shape_of(x)
        d = r.randrange(len(s))
        form = r.randrange(7)
        if form == 0:
            self.result(
                f"T.sort({x}, dim={d}, descending={r.random() < 0.5}, stable=True)[0]", s, "sort", x
            )
        elif form == 1:
            k = r.randrange(1, s[d] + 1)
            self.result(f"T.topk({x}, {k}, {d})[0]", (*s[:d], k, *s[d + 1 :]), "topk", x)
        elif form == 2:
            self.result(f"T.cumsum({x}, {d})", s, "cumsum", x)
        elif form == 3:
            self.result(
                f"T.cumprod({x} * 0.1 + 0.9, {d})" if s[d] < 40 else f"T.cumsum({x}, {d})",
                s,
                "cumprod",
                x,
            )
        elif form == 4:
            self.result(f"T.flip({x}, ({d},))", s, "flip", x)
        elif form == 5:
            self.result(f"T.roll({x}, {r.choice((1, 2, -1))}, {d})", s, "roll", x)
        elif len(s) > 1:
            f = r.choice(("tril", "triu"))
            self.result(f"T.{f}({x}, {r.choice((-1, 0, 1))})", s, f, x)

    def placed(self) -> None:
        r = self.r
        x = self.value()
        s = self.shape_of(x)
        d = r.randrange(len(s))
        form = r.randrange(8)
        n = r.choice((1, 2, 5, 40))
        t = (*s[:d], n, *s[d + 1 :])
        one = self.integers((n,), s[d])
        full = self.integers(t, s[d])
        if form == 0:
            self.result(f"T.index_select({x}, {d}, {one})", t, "index_select", x)
        elif form == 1:
            self.result(f"T.gather({x}, {d}, {full})", t, "gather", x)
        elif form == 2:
            y = self.laid(t)
            self.result(f"{x}.scatter_add({d}, {full}, {y})", s, "scatter_add", x, y)
        elif form == 3:
            y = self.laid(t)
            self.result(f"{x}.index_add({d}, {one}, {y})", s, "index_add", x, y)
        elif form == 4 and d == 0:
            self.result(f"{x}[{one}]", t, "index", x)
        elif form == 5:
            self.result(f"{x}[{':, ' * d}{one}]", t, "index", x)
        elif form == 6:
            self.result(
                f"{x}.scatter({d}, {self.integers((*s[:d], 1, *s[d + 1 :]), s[d])}, 0.5)",
                s,
                "scatter",
                x,
            )
        elif d == 0:
            y = self.laid((n, *s[1:]))
            self.result(f"{x}.index_put(({one},), {y}, accumulate=True)", s, "index_put", x, y)

    def padded(self) -> None:
        r = self.r
        x = self.value(r.choice((3, 4)))
        s = self.shape_of(x)
        form = r.randrange(4)
        if form == 0:
            a, b = r.choice((0, 1, 2)), r.choice((0, 1, 3))
            mode = r.choice(("constant", "reflect", "replicate", "circular"))
            if mode != "constant" and (len(s) != 3 or max(a, b) >= s[-1]):
                mode = "constant"
            self.result(
                f"{F}.pad({x}, ({a}, {b}), {mode!r})", (*s[:-1], s[-1] + a + b), f"pad {mode}", x
            )
        elif form == 1 and len(s) == 4 and s[2] > 1 and s[3] > 1:
            self.result(
                f"{F}.unfold({x}, 2)", (s[0], s[1] * 4, (s[2] - 1) * (s[3] - 1)), "unfold", x
            )
        elif form == 2 and s[0] * s[1] < 300:
            mode = r.choice(("nearest", "linear" if len(s) == 3 else "bilinear"))
            size = tuple(r.choice((1, 2, 5, 8)) for _ in s[2:])
            self.result(
                f"{F}.interpolate({x}, {size}, mode={mode!r})",
                (*s[:2], *size),
                f"interpolate {mode}",
                x,
            )
        else:
            self.result(
                f"{x}.repeat({', '.join(str(r.choice((1, 1, 2))) for _ in s)}).sum()",
                (),
                "repeat",
                x,
            )


__all__ = ["F", "Placed"]
