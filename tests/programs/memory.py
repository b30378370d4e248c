# ruff: noqa: E501 - statements of programs stand on one line
"""Random views, aliases, writes and shared arrays."""

from __future__ import annotations

from .names import FLOATS, GRAPH, INPLACE, INPLACE1, LEAF, NO, Names, Shape, Var, product, sh


class Memory(Names):
    """What shares memory, and what writes to it."""

    def view(self) -> None:
        x = self.some(lambda q: q.dtype in FLOATS) or self.new()
        v = self.vars[x]
        made = self.view_text(x, v)
        if made is None:
            return
        text, s, kind = made
        rg = GRAPH if v.rg else NO
        spread = v.spread or kind == "expand"
        w = Var(s, v.dtype, rg, alias=True, view=kind, old=v.old, memory=v.memory, spread=spread)
        self.make(text, w, "view")
        v.alias = True

    def view_text(self, x: str, v: Var) -> tuple[str, Shape, str] | None:
        """A view of a tensor: its text, shape, and kind."""
        s = v.shape
        n = len(s)
        kinds = ["unsqueeze", "flat", "expand"]
        if n >= 1:
            kinds += ["slice", "slice", "select", "squeeze", "narrow"]
        if n >= 2:
            kinds += ["transpose", "permute", "diagonal", "slice2", "reshape"]
        kind = self.r.choice(kinds)
        d = self.r.randrange(n) if n else 0
        size = s[d] if n else 1
        rest = s[:d] + s[d + 1 :]
        if kind == "unsqueeze":
            d = self.r.randrange(n + 1)
            return f"{x}.unsqueeze({d})", (*s[:d], 1, *s[d:]), kind
        if kind == "flat":
            how = self.r.choice(("view(-1)", "reshape(-1)", "flatten()", "ravel()"))
            return f"{x}.{how}", (product(s),), kind
        if kind == "expand":
            if n and 1 in s and self.r.random() < 0.6:
                t = tuple(3 if q == 1 else q for q in s)
                return f"{x}.expand({sh(t)})", t, kind
            return f"{x}.expand({sh((2, *s))})", (2, *s), kind
        if kind == "slice" and isinstance(size, int):
            a = self.r.randrange(size + 1)
            b = self.r.randrange(a, size + 1)
            step = self.r.choice((1, 1, 2, 3))
            k = len(range(a, b, step))
            cut = f"{a}:{b}" + (f":{step}" if step > 1 else "")
            return f"{x}[{':, ' * d}{cut}]", (*s[:d], k, *s[d + 1 :]), kind
        if kind == "slice2" and isinstance(s[0], int) and isinstance(s[1], int):
            return f"{x}[::2, 1:]", ((s[0] + 1) // 2, max(s[1] - 1, 0), *s[2:]), kind
        if kind == "select" and size != 0:
            at = self.r.choice((0, -1))
            return self.r.choice((f"{x}[{':, ' * d}{at}]", f"{x}.select({d}, {at})")), rest, kind
        if kind == "squeeze":
            return f"{x}.squeeze({d})", rest if size == 1 else s, kind
        if kind == "narrow" and isinstance(size, int) and size > 0:
            a = self.r.randrange(size)
            return f"{x}.narrow({d}, {a}, {size - a})", (*s[:d], size - a, *s[d + 1 :]), kind
        if kind == "transpose":
            t = list(s)
            t[0], t[-1] = t[-1], t[0]
            how = f"{x}.transpose(0, -1)" if n != 2 or self.r.random() < 0.5 else f"{x}.t()"
            return how, tuple(t), kind
        if kind == "permute":
            order = list(range(n))
            self.r.shuffle(order)
            return f"{x}.permute({', '.join(map(str, order))})", tuple(s[k] for k in order), kind
        if kind == "diagonal" and isinstance(s[0], int) and isinstance(s[1], int):
            return f"{x}.diagonal()", (*s[2:], min(s[0], s[1])), kind
        if kind == "reshape" and all(isinstance(q, int) for q in s):
            total = int(product(s))
            if total and total % 2 == 0:
                return (
                    f"{x}.{self.r.choice(('view', 'reshape'))}(2, {total // 2})",
                    (2, total // 2),
                    kind,
                )
        return None

    def alias(self) -> None:
        x = self.floating()
        v = self.vars[x]
        form = self.r.choice(("detach", "data", "view_as", "plain", "leaf", "clone", "contiguous"))
        if form == "detach":
            self.make(f"{x}.detach()", self.sharing(v, NO, "detach"), "alias")
        elif form == "data":
            self.make(f"{x}.data", self.sharing(v, NO, "data"), "alias")
        elif form == "view_as":
            w = self.sharing(v, GRAPH if v.rg else NO, "view_as")
            self.make(f"{x}.view_as({x})", w, "alias")
        elif form == "plain":
            self.emit(f"{(k := self.name())} = {x}")
            self.vars[k] = v
        elif form == "leaf":
            text = (
                f"{x}.detach().requires_grad_()"
                if self.r.random() < 0.5
                else f"{x}.detach().clone().requires_grad_()"
            )
            k = self.name()
            self.emit(f"{k} = {text}")
            self.vars[k] = self.sharing(v, LEAF, "detach leaf")
            if "clone" in text:
                self.vars[k] = Var(v.shape, v.dtype, LEAF, view="detach leaf")
            self.lone(k)
            self.count("requires_grad_", "detach leaf")
        elif form == "clone":
            self.make(f"{x}.clone()", self.out(v), "clone")
        else:
            w = self.sharing(v, GRAPH if v.rg else NO, "contiguous")
            self.make(f"{x}.contiguous()", w, "contiguous")

    def sharing(self, v: Var, rg: int, kind: str) -> Var:
        """Another name for the memory of ``v``."""
        return Var(v.shape, v.dtype, rg, True, kind, memory=v.memory, spread=v.spread)

    def write(self) -> None:
        safe = self.r.random() < 0.85
        x = self.some(lambda q: q.dtype in FLOATS and (q.rg != LEAF or not safe) and not q.spread)
        if x is None:
            return
        v = self.vars[x]
        s, target, kind = v.shape, x, v.view
        if self.r.random() < 0.35:  # through a view that has no name
            made = self.view_text(x, v)
            if made is not None and made[2] != "expand":
                target, s, kind = made[0], made[1], f"{v.view}>{made[2]}"
        form = self.r.randrange(9)
        value = Var(s, v.dtype)
        line = ""
        op = ""
        rg = 0
        if form == 0:
            f = self.r.choice(INPLACE)
            k = self.number() if f != "div_" else self.r.choice(("2", "1.5"))
            line, op = f"{target}.{f}({k})", f"{f} number"
        elif form == 1:
            y = self.like(value)
            rg = self.vars[y].rg
            f = self.r.choice(("add_", "sub_", "mul_"))
            y = self.apart(y, x, target)
            line, op = f"{target}.{f}({y})", f
        elif form == 2:
            f = self.r.choice(INPLACE1)
            line, op = f"{target}.{f}()", f
        elif form == 3:
            y = self.like(value)
            rg = self.vars[y].rg
            y = self.apart(y, x, target)
            line, op = f"{target}.copy_({y})", "copy_"
        elif form == 4:
            line, op = f"{target}.fill_({self.number()})", "fill_"
        elif form == 5 and s:
            line, op = self.setitem(target, value, x)
        elif form == 6:
            y = self.like(value)
            rg = self.vars[y].rg
            y = self.apart(y, x, target)
            line, op = f"{target}[...] = {y}", "[...] ="
        elif form == 7:
            k = self.r.choice(
                (
                    f"{target}[{target} > {self.number()}] = {self.number()}",
                    f"{target}.masked_fill_({target} > 0, {self.number()})",
                )
            )
            line, op = k, "mask"
        else:
            line, op = f"{target}.clamp_(-1.0, 1.0)", "clamp_"
        if not line:
            return
        if target == x and form == 0 and self.r.random() < 0.5 and "div" not in op:
            line = f"{x} {({'add_': '+', 'mul_': '*', 'sub_': '-'}).get(op.split()[0], '+')}= {self.number()}"
        if self.r.random() < (0.5 if v.rg == LEAF else 0.1):
            line = f"with T.no_grad(): {line}"
            rg = 0
        self.emit(line)
        if rg and v.rg == NO:
            v.rg = GRAPH
        self.count("write", kind, op)
        if self.r.random() < 0.3:
            self.read()

    def setitem(self, target: str, value: Var, x: str) -> tuple[str, str]:
        n = value.shape[0]
        at = ["0", ":1", "-1"]
        if isinstance(n, int) and n > 1:
            at += ["::2", "1:", f"[{n - 1}, 0]"]
        if len(value.shape) > 1:
            at += [":, 0", "..., 0", ":, :1"]
        where = self.r.choice(at)
        if self.r.random() < 0.6:
            return f"{target}[{where}] = {self.number()}", f"[{where}] = number"
        y = self.new((), value.dtype) if self.r.random() < 0.5 else self.floating()
        text = self.apart(y, x, "") if not self.vars[y].shape else f"{y}.sum() * 0.1"
        return f"{target}[{where}] = {text}", f"[{where}] = tensor"

    def numpy(self) -> None:
        q = self.r.random()
        if q < 0.4 or not self.arrays:
            s = self.shape()
            d = self.main
            a = self.name("n")
            self.emit(f"{a} = A({self.r.randrange(20)}, {sh(s)}, {d!r})")
            self.arrays[a] = (s, d)
            form = self.r.random()
            if len(s) == 2 and form < 0.2:
                text, s = f"{a}.T", s[::-1]
            elif len(s) == 2 and form < 0.35 and isinstance(s[1], int):
                text, s = f"{a}[:, ::2]", (s[0], (s[1] + 1) // 2)
            elif len(s) >= 1 and form < 0.45 and isinstance(s[0], int) and s[0] > 1:
                text, s = f"{a}[1:]", (s[0] - 1, *s[1:])
            else:
                text = a
            if self.graded and self.r.random() < 0.15:
                t = self.name()
                self.emit(f"{t} = T.from_numpy({text}).requires_grad_()")
                self.vars[t] = Var(s, d, LEAF, True, "from_numpy")
                self.lone(t)
                self.count("leaf", "from_numpy")
            else:
                self.make(f"T.from_numpy({text})", Var(s, d, NO, True, "from_numpy"), "from_numpy")
        elif q < 0.65:
            x = self.floating()
            v = self.vars[x]
            a = self.name("n")
            self.emit(
                f"{a} = {x}.detach().numpy()"
                if v.rg or self.r.random() < 0.3
                else f"{x}.numpy(); {a} = {x}.numpy()"
            )
            self.arrays[a] = (v.shape, v.dtype)
            v.alias = True
            self.count("numpy", v.view)
        else:
            a = self.r.choice(list(self.arrays))
            s, _ = self.arrays[a]
            form = self.r.randrange(5)
            if form == 0:
                self.emit(f"{a}[...] = {self.number()}")
            elif form == 1:
                self.emit(f"{a} += {self.r.choice(('1', '0.5', 'c'))}")
            elif form == 2 and s:
                self.emit(f"{a}[:1] = {self.number()}")
            elif form == 3:
                self.emit(f"R({a})")
            else:
                self.emit(f"del {a}")
                del self.arrays[a]
            self.count("array write")
