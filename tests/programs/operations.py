# ruff: noqa: E501 - statements of programs stand on one line
"""Random operations that make new values."""

from __future__ import annotations

from .names import (
    BINARY,
    COMPARE,
    FLOATS,
    GRAPH,
    NAMED,
    NO,
    SAFE,
    UNARY,
    Names,
    Shape,
    Var,
    broadcast,
    sh,
)


class Operations(Names):
    """Elementwise, reductions, products, joins, gathers, casts."""

    def unary(self) -> None:
        x = self.floating()
        v = self.vars[x]
        if self.r.random() < 0.2:
            f = self.r.choice(tuple(SAFE))
            self.make(f"({SAFE[f].format(x)}).{f}()", self.out(v), f)
            return
        f = self.r.choice(UNARY)
        arg = f"({x} * 0.3)" if f in ("exp", "expm1", "square") else x
        self.make(f"T.{f}({arg})" if self.r.random() < 0.4 else f"{arg}.{f}()", self.out(v), f)

    def out(self, *vs: Var, shape: Shape | None = None, dtype: str | None = None) -> Var:
        d = dtype or max(
            (v.dtype for v in vs), key=lambda q: ("bool", "int64", "float32", "float64").index(q)
        )
        rg = GRAPH if any(v.rg for v in vs) and d in FLOATS else NO
        return Var(vs[0].shape if shape is None else shape, d, rg, old=any(v.old for v in vs))

    def binary(self) -> None:
        x = self.floating()
        v = self.vars[x]
        if self.r.random() < 0.4:
            op = self.r.choice((*BINARY, "**")) if self.r.random() < 0.9 else self.r.choice(COMPARE)
            k = self.number()
            k = "2" if k == "True" and op == "-" else k
            if op == "**":
                text = f"{x} ** {self.r.choice(('2', '3', '2.0'))}"
            elif op == "/" or self.r.random() < 0.7:
                text = f"{x} {op} {k}"
            else:
                text = f"{k} {op} {x}"
            self.make(text, self.out(v, dtype="bool" if op in COMPARE else None), f"{op} number")
            return
        y = self.like(v)
        w = self.vars[y]
        s = broadcast(v.shape, w.shape) or v.shape
        q = self.r.random()
        if q < 0.75:
            op = self.r.choice(BINARY)
            right = f"({y}.abs() + 0.5)" if op == "/" else y
            self.make(f"{x} {op} {right}", self.out(v, w, shape=s), op)
        elif q < 0.9:
            f = self.r.choice(NAMED[:6])
            self.make(f"T.{f}({x}, {y})", self.out(v, w, shape=s), f)
        else:
            self.make(
                f"{x} {self.r.choice(COMPARE)} {y}",
                self.out(v, w, shape=s, dtype="bool"),
                "compare",
            )

    def where(self) -> None:
        x = self.floating()
        v = self.vars[x]
        y = self.like(v)
        w = self.vars[y]
        s = broadcast(v.shape, w.shape) or v.shape
        m = self.some(lambda q: q.dtype == "bool" and q.shape == s)
        mask = m if m is not None else f"({x} > {self.number()})"
        other = y if self.r.random() < 0.7 else self.r.choice(("0.5", "c"))
        if other != y:
            s = v.shape
        self.make(
            f"T.where({mask}, {x}, {other})",
            self.out(v, *((w,) if other == y else ()), shape=s),
            "where",
        )

    def reduce(self) -> None:
        x = self.floating()
        v = self.vars[x]
        q = self.r.random()
        whole = ("sum", "mean", "amax", "amin", "prod", "max", "min")
        if q < 0.35 or not v.shape:
            f = self.r.choice(whole if 0 not in v.shape else ("sum", "mean"))
            self.make(f"{x}.{f}()", self.out(v, shape=()), f)
            return
        d = self.r.randrange(len(v.shape))
        keep = self.r.random() < 0.4
        s = tuple(1 if k == d else n for k, n in enumerate(v.shape) if keep or k != d)
        tail = f"{d - len(v.shape) if self.r.random() < 0.3 else d}, keepdim={keep}"
        if q < 0.75:
            f = self.r.choice(("sum", "mean", "amax", "amin", "logsumexp", "var", "std"))
            self.make(f"{x}.{f}({tail})", self.out(v, shape=s), f"{f} dim")
        elif q < 0.82:
            f = self.r.choice(("max", "min"))
            self.make(f"{x}.{f}({tail}).values", self.out(v, shape=s), f"{f} dim")
        elif q < 0.88:
            self.make(
                f"{x}.argmax({d})",
                Var(tuple(n for k, n in enumerate(v.shape) if k != d), "int64"),
                "argmax",
            )
        elif q < 0.96:
            f = self.r.choice(("softmax", "log_softmax"))
            self.make(f"T.{f}({x}, {d})", self.out(v), f)
        else:
            f = self.r.choice(("any", "all"))
            self.make(f"({x} > {self.number()}).{f}()", Var((), "bool"), f)

    def matmul(self) -> None:
        x = self.some(lambda q: q.dtype in FLOATS and 1 <= len(q.shape) <= 3)
        if x is None:
            return
        if self.vars[x].shape[-1] in (33 * 130, 130 * 130):
            return  # a sum so long that its sine is another in float32
        v = self.vars[x]
        k = v.shape[-1]
        n = self.r.choice((1, 2, 3))
        want: list[Shape] = [(k, n), (k,)] if len(v.shape) != 3 else [(k, n), (v.shape[0], k, n)]
        s = self.r.choice(want)
        y = self.some(lambda q: q.dtype == v.dtype and q.shape == s) or self.new(s, v.dtype)
        w = self.vars[y]
        lead = v.shape[:-1]
        out = lead if len(s) == 1 else (*lead, s[-1])
        self.make(
            self.r.choice((f"{x} @ {y}", f"T.matmul({x}, {y})")),
            self.out(v, w, shape=out),
            "matmul",
        )

    def loss(self) -> None:
        x = self.some(lambda q: q.dtype in FLOATS and len(q.shape) == 2 and 0 not in q.shape)
        if x is None:
            return
        v = self.vars[x]
        rows, cols = v.shape
        if not isinstance(cols, int):
            return
        if self.r.random() < 0.6:
            t = f"T.tensor(A({self.r.randrange(9)}, ({rows},), 'int64')).abs() % {cols}"
            self.make(
                f"T.nn.functional.cross_entropy({x}, {t})", self.out(v, shape=()), "cross_entropy"
            )
        else:
            y = self.same(v)
            self.make(
                f"T.nn.functional.mse_loss({x}, {y})",
                self.out(v, self.vars[y], shape=()),
                "mse_loss",
            )

    def join(self) -> None:
        x = self.floating()
        v = self.vars[x]
        y = self.same(v)
        w = self.vars[y]
        if self.r.random() < 0.5 and v.shape:
            d = self.r.randrange(len(v.shape))
            n = v.shape[d]
            s = list(v.shape)
            s[d] = 2 * n if isinstance(n, int) else f"2*{n}"
            self.make(f"T.cat([{x}, {y}], {d})", self.out(v, w, shape=tuple(s)), "cat")
        else:
            d = self.r.randrange(len(v.shape) + 1)
            s2 = (*v.shape[:d], 2, *v.shape[d:])
            self.make(f"T.stack([{x}, {y}], {d})", self.out(v, w, shape=s2), "stack")

    def gather(self) -> None:
        x = self.some(
            lambda q: (
                q.dtype in FLOATS
                and len(q.shape) >= 1
                and isinstance(q.shape[0], int)
                and q.shape[0] > 0
            )
        )
        if x is None:
            return
        v = self.vars[x]
        n = int(v.shape[0])
        idx = [self.r.randrange(n) for _ in range(self.r.randrange(1, 5))]
        form = self.r.randrange(4)
        s = (len(idx), *v.shape[1:])
        if form == 0:
            self.make(f"{x}[{idx}]", self.out(v, shape=s), "index list")
        elif form == 1:
            self.make(
                f"T.index_select({x}, 0, T.tensor({idx}))", self.out(v, shape=s), "index_select"
            )
        elif form == 2 and len(v.shape) == 2:
            self.make(
                f"{x}[T.tensor({idx}), {'0' if v.shape[1] != 0 else ':'}]",
                self.out(v, shape=s[:1]),
                "index pair",
            )
        elif all(isinstance(q, int) and q > 0 for q in v.shape):
            self.make(
                f"T.gather({x}, 0, T.tensor(A(3, {sh(v.shape)}, 'int64')).abs() % {n})",
                self.out(v),
                "gather",
            )

    def cast(self) -> None:
        x = self.some()
        if x is None:
            return
        v = self.vars[x]
        d = self.r.choice(("float32", "float64", "int64", "bool", self.main, self.main))
        text = self.r.choice(
            (
                f"{x}.to(T.{d})",
                f"{x}.{ {'float32': 'float', 'float64': 'double', 'int64': 'long', 'bool': 'bool'}[d] }()",
            )
        )
        if d == "int64" and v.dtype in FLOATS:
            text = (
                f"({x} * 0.5).clamp(-50, 50).to(T.{d})"
                if self.r.random() < 0.9
                else f"{x}.round().to(T.int64)"
            )
        out = Var(v.shape, d, v.rg if d in FLOATS and v.dtype in FLOATS else NO, alias=d == v.dtype)
        if d == v.dtype:
            out.view, out.memory, out.spread = "same", v.memory, v.spread
        elif out.rg:
            out.rg = GRAPH
        self.make(text, out, "cast")
