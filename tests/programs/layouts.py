"""New tensors in every layout: transposed, sliced, expanded, strided, with one row or column."""

from __future__ import annotations

from .names import GRAPH, LEAF, NO, Names, TooLarge, Var, elements, sh


class Layouts(Names):
    """Makes what has the shape that is asked for, but not the plain strides."""

    def laid(self, shape: tuple[int, ...]) -> str:
        """A new tensor of the main type; a part or a turn of a larger one most of the time."""
        r = self.r
        base, view = self.layout(shape)
        if elements(base) > self.room:
            raise TooLarge
        k = f"{r.randrange(60)}{' + i' if self.loop and r.random() < 0.4 else ''}"
        leaf = self.graded and r.random() < 0.3
        x = self.name()
        flag = ", requires_grad=True" if leaf else ""
        self.emit(f"{x} = T.tensor(A({k}, {sh(base)}, {self.main!r}){flag})")
        self.vars[x] = Var(base, self.main, LEAF if leaf else NO)
        self.count("laid")
        if not view:
            return x
        self.vars[x].alias = True
        y = self.name()
        self.emit(f"{y} = {x}{view}")
        v = self.vars[x]
        self.vars[y] = Var(shape, self.main, GRAPH if leaf else NO, True, "laid", memory=v.memory)
        self.vars[y].spread = ".expand" in view
        self.count("laid", view.split("(")[0] if view[0] == "." else "slice")
        return y

    def layout(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], str]:
        """The shape of a larger tensor, and the text that makes a view of it."""
        r = self.r
        rank = len(shape)
        form = r.randrange(10)
        d = r.randrange(rank) if rank else 0
        cut = ":, " * d
        n = shape[d] if rank else 1
        if not rank or form < 3:
            return shape, ""
        if form == 3:
            order = list(range(rank))
            r.shuffle(order)
            base = tuple(shape[k] for k in order)
            back = [order.index(k) for k in range(rank)]
            return base, f".permute({', '.join(map(str, back))})"
        if form == 4:
            first = r.randrange(3)
            base = (*shape[:d], n + first + r.randrange(3), *shape[d + 1 :])
            return base, f"[{cut}{first}:{first + n}]"
        if form == 5:
            step = r.choice((2, 3))
            return (*shape[:d], n * step, *shape[d + 1 :]), f"[{cut}::{step}]"
        if form == 6:
            one = tuple(1 if k == d or r.random() < 0.3 else q for k, q in enumerate(shape))
            return one, f".expand({sh(shape)})"
        if form == 7:  # a slice of a transpose: of one row it has the stride of a column
            base = (*shape[:d], n + 2, *shape[d + 1 :])
            base = (base[-1], *base[1:-1], base[0]) if rank > 1 else base
            turn = ".transpose(0, -1)" if rank > 1 else ""
            return base, f"{turn}[{cut}1:{n + 1}]"
        if form == 8:  # a selected one of several
            k = r.randrange(rank + 1)
            return (*shape[:k], 3, *shape[k:]), f".select({k}, {r.choice((0, 1, 2))})"
        strides, step = [0] * rank, r.choice((1, 1, 2))
        for k in r.sample(range(rank), rank):
            strides[k] = step if shape[k] > 1 else r.choice((0, 1, 5, step * 7))
            step *= shape[k] if shape[k] > 1 else 1
            step += r.choice((0, 0, 1))
        first = r.choice((0, 1, 3))
        last = first + sum((q - 1) * s for q, s in zip(shape, strides))
        return (
            last + 1 + r.choice((0, 2)),
        ), f".as_strided({sh(shape)}, {sh(tuple(strides))}, {first})"


__all__ = ["Layouts"]
