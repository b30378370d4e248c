"""Random programs, made statement by statement while shapes, types and histories are kept track of.

What is tracked decides only which statements are likely to make sense; a statement that raises is part
of the test, so nothing here has to be exact.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .drills import Drills
from .program import Block, Program

Dim = int | str
Shape = tuple[Dim, ...]
FLOATS = ("float32", "float64")
NO, LEAF, GRAPH = 0, 1, 2

UNARY = (
    "exp", "tanh", "sigmoid", "relu", "neg", "abs", "sin", "cos", "square", "floor", "sign",
    "expm1", "erf", "round", "trunc",
)  # fmt: skip
SAFE = {"log": "{}.abs() + 0.5", "sqrt": "{}.abs() + 0.1", "reciprocal": "{}.abs() + 0.3", "log1p": "{}.abs()"}
BINARY = ("+", "-", "*", "/")
NAMED = ("maximum", "minimum", "add", "sub", "mul", "atan2", "fmod")
COMPARE = ("<", "<=", ">", ">=", "==", "!=")
INPLACE = ("add_", "mul_", "sub_", "div_")
INPLACE1 = ("relu_", "tanh_", "sigmoid_", "neg_", "zero_", "abs_", "exp_", "square_", "sin_")


@dataclass
class Var:
    """What is believed of a name."""

    shape: Shape
    dtype: str
    rg: int = NO
    alias: bool = False  # shares memory with another name
    view: str = "base"  # how it was made, for the counts
    old: bool = False  # its history is older than the loop: a backward has to keep it


class Generator(Drills):
    """Makes one program."""

    def __init__(self, seed: int, coverage: Counter[tuple[str, str, str]] | None = None) -> None:
        self.r = random.Random(seed)
        self.seed = seed
        self.vars: dict[str, Var] = {}
        self.arrays: dict[str, tuple[Shape, str]] = {}
        self.held = 0
        self.n = 0
        self.lines: list[str] = []
        self.loop = False
        self.variable = False  # sizes change in this loop
        self.graded = self.r.random() < 0.75
        self.coverage = coverage if coverage is not None else Counter()
        self.main = self.r.choice(("float32", "float64", "float32"))
        self.optimisers: list[str] = []

    # ------------------------------------------------------------ names and text
    def var(self, shape: Shape, dtype: str, rg: int = NO) -> Var:
        return Var(shape, dtype, rg)

    def name(self, kind: str = "v") -> str:
        self.n += 1
        return f"{kind}{self.n}"

    def emit(self, line: str) -> None:
        self.lines.append(line)

    def count(self, op: str, view: str = "", write: str = "") -> None:
        self.coverage[op, view, write] += 1

    def make(self, text: str, var: Var, op: str) -> str:
        """``name = text``."""
        v = self.name()
        if var.dtype not in FLOATS:
            var.rg = NO
        if self.r.random() < 0.06:
            self.emit(f"with T.no_grad(): {v} = {text}")
            var.rg = NO
        else:
            self.emit(f"{v} = {text}")
        self.vars[v] = var
        self.count(op, var.view)
        return v

    def some(self, test: Callable[[Var], bool] | None = None) -> str | None:
        """A name, newer ones likelier."""
        names = [k for k, v in self.vars.items() if test is None or test(v)]
        if not names:
            return None
        if self.r.random() < 0.5:
            names = names[-6:]
        return self.r.choice(names)

    def floating(self) -> str:
        v = self.some(lambda q: q.dtype in FLOATS)
        return v if v is not None else self.new()

    def number(self) -> str:
        return self.r.choice(("2", "0.5", "-1.5", "3.0", "c", "c", "-2", "0.1", "i + 1", "True", "(i - 0.5)"))

    def shape(self) -> Shape:
        q = self.r.random()
        if self.variable and q < 0.5:
            return ("s",) if q < 0.15 else ("s", self.r.choice((2, 3))) if q < 0.35 else (2, "s")
        if q < 0.06:
            return ()
        if q < 0.09:
            return self.r.choice(((0,), (0, 3), (2, 0)))
        if q < 0.3:
            return (self.r.choice((1, 2, 3, 4, 6)),)
        if q < 0.8:
            return (self.r.choice((1, 2, 3, 4)), self.r.choice((1, 2, 3, 4)))
        if q < 0.96:
            return (2, self.r.choice((1, 3)), self.r.choice((2, 4)))
        return (self.r.choice((33, 130)), 130)

    # ------------------------------------------------------------ making tensors
    def new(self, shape: Shape | None = None, dtype: str | None = None) -> str:
        s = self.shape() if shape is None else shape
        d = dtype or (self.main if self.r.random() < 0.75 else self.r.choice((*FLOATS, "int64", "bool")))
        k = str(self.r.randrange(50)) + (" + i" if self.loop and self.r.random() < 0.6 else "")
        q = self.r.random()
        if d in FLOATS and self.graded and q < 0.3:
            form = self.r.choice((
                f"T.tensor(A({k}, {sh(s)}, {d!r}), requires_grad=True)",
                f"T.tensor(A({k}, {sh(s)}, {d!r})).requires_grad_()",
            ))  # fmt: skip
            v = self.name()
            self.emit(f"{v} = {form}")
            self.vars[v] = Var(s, d, LEAF)
            self.count("leaf")
            return v
        if q < 0.75:
            return self.make(f"T.tensor(A({k}, {sh(s)}, {d!r}))", Var(s, d), "tensor")
        if q < 0.85 and d != "bool":
            return self.make(f"T.full({sh(s)}, {self.number()}, dtype=T.{d})", Var(s, d), "full")
        if q < 0.95:
            f = self.r.choice(("zeros", "ones"))
            return self.make(f"T.{f}({sh(s)}, dtype=T.{d})", Var(s, d), f)
        n = self.r.randrange(1, 6)
        return self.make(f"T.arange({n}, dtype=T.{self.main})", Var((n,), self.main), "arange")

    def like(self, v: Var) -> str:
        """A name that broadcasts with ``v``."""
        def fits(q: Var) -> bool:
            return q.dtype != "bool" and broadcast(q.shape, v.shape) is not None

        found = self.some(lambda q: fits(q) and q.dtype in FLOATS) or self.some(fits)
        if found is not None and self.r.random() < 0.85:
            return found
        return self.new(v.shape, self.main)

    def same(self, v: Var) -> str:
        """A name of the same shape and type."""
        found = self.some(lambda q: q.shape == v.shape and q.dtype == v.dtype)
        if found is not None and self.r.random() < 0.8:
            return found
        return self.new(v.shape, v.dtype)

    # ------------------------------------------------------------ operations
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
        d = dtype or max((v.dtype for v in vs), key=lambda q: ("bool", "int64", "float32", "float64").index(q))
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
            self.make(f"{x} {self.r.choice(COMPARE)} {y}", self.out(v, w, shape=s, dtype="bool"), "compare")

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
        self.make(f"T.where({mask}, {x}, {other})", self.out(v, *((w,) if other == y else ()), shape=s), "where")

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
            self.make(f"{x}.argmax({d})", Var(tuple(n for k, n in enumerate(v.shape) if k != d), "int64"), "argmax")
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
        v = self.vars[x]
        k = v.shape[-1]
        n = self.r.choice((1, 2, 3))
        want: list[Shape] = [(k, n), (k,)] if len(v.shape) != 3 else [(k, n), (v.shape[0], k, n)]
        s = self.r.choice(want)
        y = self.some(lambda q: q.dtype == v.dtype and q.shape == s) or self.new(s, v.dtype)
        w = self.vars[y]
        lead = v.shape[:-1]
        out = lead if len(s) == 1 else (*lead, s[-1])
        self.make(self.r.choice((f"{x} @ {y}", f"T.matmul({x}, {y})")), self.out(v, w, shape=out), "matmul")

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
            self.make(f"T.nn.functional.cross_entropy({x}, {t})", self.out(v, shape=()), "cross_entropy")
        else:
            y = self.same(v)
            self.make(f"T.nn.functional.mse_loss({x}, {y})", self.out(v, self.vars[y], shape=()), "mse_loss")

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
        x = self.some(lambda q: q.dtype in FLOATS and len(q.shape) >= 1 and isinstance(q.shape[0], int) and q.shape[0] > 0)
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
            self.make(f"T.index_select({x}, 0, T.tensor({idx}))", self.out(v, shape=s), "index_select")
        elif form == 2 and len(v.shape) == 2:
            self.make(f"{x}[T.tensor({idx}), {'0' if v.shape[1] != 0 else ':'}]", self.out(v, shape=s[:1]), "index pair")
        elif all(isinstance(q, int) and q > 0 for q in v.shape):
            self.make(f"T.gather({x}, 0, T.tensor(A(3, {sh(v.shape)}, 'int64')).abs() % {n})", self.out(v), "gather")

    def cast(self) -> None:
        x = self.some()
        if x is None:
            return
        v = self.vars[x]
        d = self.r.choice(("float32", "float64", "int64", "bool", self.main, self.main))
        text = self.r.choice((f"{x}.to(T.{d})", f"{x}.{ {'float32': 'float', 'float64': 'double', 'int64': 'long', 'bool': 'bool'}[d]}()"))
        if d == "int64" and v.dtype in FLOATS:
            text = f"({x} * 0.5).clamp(-50, 50).to(T.{d})" if self.r.random() < 0.9 else f"{x}.round().to(T.int64)"
        out = Var(v.shape, d, v.rg if d in FLOATS and v.dtype in FLOATS else NO, alias=d == v.dtype)
        if d == v.dtype:
            out.view = "same"
        elif out.rg:
            out.rg = GRAPH
        self.make(text, out, "cast")

    # ------------------------------------------------------------ views and aliases
    def view(self) -> None:
        x = self.some(lambda q: q.dtype in FLOATS) or self.new()
        v = self.vars[x]
        made = self.view_text(x, v)
        if made is None:
            return
        text, s, kind = made
        rg = GRAPH if v.rg else NO
        self.make(text, Var(s, v.dtype, rg, alias=True, view=kind, old=v.old), "view")
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
                return f"{x}.{self.r.choice(('view', 'reshape'))}(2, {total // 2})", (2, total // 2), kind
        return None

    def alias(self) -> None:
        x = self.floating()
        v = self.vars[x]
        form = self.r.choice(("detach", "data", "view_as", "plain", "leaf", "clone", "contiguous"))
        if form == "detach":
            self.make(f"{x}.detach()", Var(v.shape, v.dtype, NO, True, "detach"), "alias")
        elif form == "data":
            self.make(f"{x}.data", Var(v.shape, v.dtype, NO, True, "data"), "alias")
        elif form == "view_as":
            self.make(f"{x}.view_as({x})", Var(v.shape, v.dtype, GRAPH if v.rg else NO, True, "view_as"), "alias")
        elif form == "plain":
            self.emit(f"{(k := self.name())} = {x}")
            self.vars[k] = v
        elif form == "leaf":
            text = f"{x}.detach().requires_grad_()" if self.r.random() < 0.5 else f"{x}.detach().clone().requires_grad_()"
            k = self.name()
            self.emit(f"{k} = {text}")
            self.vars[k] = Var(v.shape, v.dtype, LEAF, "clone" not in text, "detach leaf")
            self.count("requires_grad_", "detach leaf")
        elif form == "clone":
            self.make(f"{x}.clone()", self.out(v), "clone")
        else:
            self.make(f"{x}.contiguous()", Var(v.shape, v.dtype, GRAPH if v.rg else NO, True, "contiguous"), "contiguous")

    # ------------------------------------------------------------ writes
    def write(self) -> None:
        safe = self.r.random() < 0.85
        x = self.some(lambda q: q.dtype in FLOATS and (q.rg != LEAF or not safe))
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
            # memory that overlaps what is written: PyTorch's result depends on the order of its loop
            y = f"{y}.clone()" if self.vars[y].alias and v.alias else y
            line, op = f"{target}.{f}({y})", f
        elif form == 2:
            f = self.r.choice(INPLACE1)
            line, op = f"{target}.{f}()", f
        elif form == 3:
            y = self.like(value)
            rg = self.vars[y].rg
            y = f"{y}.clone()" if self.vars[y].alias and v.alias else y
            line, op = f"{target}.copy_({y})", "copy_"
        elif form == 4:
            line, op = f"{target}.fill_({self.number()})", "fill_"
        elif form == 5 and s:
            line, op = self.setitem(target, value)
        elif form == 6:
            y = self.like(value)
            rg = self.vars[y].rg
            y = f"{y}.clone()" if self.vars[y].alias and v.alias else y
            line, op = f"{target}[...] = {y}", "[...] ="
        elif form == 7:
            k = self.r.choice((f"{target}[{target} > {self.number()}] = {self.number()}", f"{target}.masked_fill_({target} > 0, {self.number()})"))
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

    def setitem(self, target: str, value: Var) -> tuple[str, str]:
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
        text = y if not self.vars[y].shape else f"{y}.sum() * 0.1"
        return f"{target}[{where}] = {text}", f"[{where}] = tensor"

    # ------------------------------------------------------------ NumPy
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
            self.make(f"T.from_numpy({text})", Var(s, d, NO, True, "from_numpy"), "from_numpy")
        elif q < 0.65:
            x = self.floating()
            v = self.vars[x]
            a = self.name("n")
            self.emit(f"{a} = {x}.detach().numpy()" if v.rg or self.r.random() < 0.3 else f"{x}.numpy(); {a} = {x}.numpy()")
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

    # ------------------------------------------------------------ gradients
    def scalar(self) -> str | None:
        """A loss: made of a name that has a history."""
        x = self.some(lambda q: q.rg == GRAPH and q.dtype in FLOATS) or self.some(lambda q: q.rg > 0)
        if x is None:
            return None
        v = self.vars[x]
        if not v.shape and self.r.random() < 0.6:
            return x
        form = self.r.choice(("{}.sum()", "({} * {}).sum()", "{}.mean()", "({} * 0.5).tanh().sum()"))
        return self.make(form.format(x, x), Var((), v.dtype, GRAPH, old=v.old), "loss")

    def backward(self) -> None:
        q = self.r.random()
        if q < 0.12:
            x = self.some(lambda k: k.rg == GRAPH)
            if x is not None:
                keep = ", retain_graph=True" if self.vars[x].old and self.r.random() < 0.9 else ""
                self.emit(f"{x}.backward(T.ones_like({x}) * {self.number()}{keep})")
                self.count("backward gradient")
            return
        loss = self.scalar()
        if loss is None:
            return
        leaves = [k for k, v in self.vars.items() if v.rg == LEAF]
        keep = self.vars[loss].old and self.r.random() < 0.9
        if q < 0.5:
            self.emit(f"{loss}.backward({'retain_graph=True' if keep else ''})")
            self.count("backward keep" if keep else "backward")
        elif q < 0.62:
            self.emit(f"{loss}.backward(retain_graph=True)")
            if self.r.random() < 0.4:
                self.read()
            self.emit(f"{loss}.backward()")
            self.count("backward twice")
        elif q < 0.8 and leaves:
            w = self.r.choice(leaves)
            g = self.name()
            create = self.r.random() < 0.5
            self.emit(f"{g} = T.autograd.grad({loss}, [{w}], create_graph={create or keep}, allow_unused=True)[0]")
            self.count("grad create" if create else "grad")
            self.emit(f"{g} = T.zeros_like({w}) if {g} is None else {g}")
            self.vars[g] = Var(self.vars[w].shape, self.vars[w].dtype, GRAPH if create else NO)
            if create and self.r.random() < 0.7:
                self.emit(f"({g} * {g}).sum().backward()")
                self.count("second backward")
        elif q < 0.88:
            self.emit(f"{loss}.backward(create_graph=True)")
            if leaves:
                w = self.r.choice(leaves)
                self.emit(f"{w}.grad.sum().backward()")
            self.count("backward create")
        elif q < 0.94 and leaves:
            x = self.some(lambda k: k.rg == GRAPH)
            if x is not None:
                g = self.name()
                self.emit(f"{g} = T.autograd.grad({loss}, [{x}], retain_graph=True, allow_unused=True)[0]")
                self.emit(f"R({g})")
                self.count("grad of a value")
        else:
            self.emit(f"T.autograd.backward([{loss}, {loss} * 2]{', retain_graph=True' if keep else ''})")
            self.count("backward of several")
        for w in leaves:
            if self.r.random() < 0.4:
                self.emit(f"R({w}.grad)")
        if leaves and self.r.random() < 0.45:
            self.update(self.r.choice(leaves))

    def update(self, w: str) -> None:
        form = self.r.randrange(5)
        lr = self.r.choice(("0.1", "0.05", "c * 0.1"))
        if form == 0:
            self.emit(f"with T.no_grad(): {w} -= {lr} * {w}.grad")
        elif form == 1:
            self.emit(f"{w}.data.add_({w}.grad, alpha=-{lr})" if self.r.random() < 0.5 else f"{w}.data -= {lr} * {w}.grad")
        elif form == 2:
            self.emit(f"{w}.grad.zero_()")
        elif form == 3:
            self.emit(f"{w}.grad = None")
        elif self.optimisers:
            o = self.r.choice(self.optimisers)
            self.emit(f"{o}.step()")
            if self.r.random() < 0.7:
                self.emit(f"{o}.zero_grad()")
        self.count("update")

    def optimiser(self) -> None:
        leaves = [k for k, v in self.vars.items() if v.rg == LEAF and v.view == "base"]
        if not leaves or self.loop:
            return
        o = self.name("o")
        names = self.r.sample(leaves, min(len(leaves), 2))
        args = self.r.choice(("lr=0.1", "lr=0.05, momentum=0.9", "lr=0.1, weight_decay=0.1", "lr=0.01"))
        kind = "Adam" if args == "lr=0.01" else "SGD"
        self.emit(f"{o} = T.optim.{kind}([{', '.join(names)}], {args})")
        self.optimisers.append(o)
        self.count(kind)

    def hook(self) -> None:
        x = self.some(lambda q: q.rg > 0)
        if x is None:
            return
        form = self.r.randrange(4)
        if form == 0:
            self.emit(f"{x}.register_hook(lambda g: g * 2)")
        elif form == 1:
            self.emit(f"{x}.register_hook(lambda g: R(g * 1) and None if False else None)")
        elif form == 2:
            self.emit(f"{x}.retain_grad()")
        else:
            h = self.name("h")
            self.emit(f"{h} = {x}.register_hook(lambda g: g + 1)")
            if self.r.random() < 0.5:
                self.emit(f"{h}.remove()")
        self.count("hook", self.vars[x].view)

    def flag(self) -> None:
        # of a tensor that has views only the base counts: PyTorch's views then lose the gradient
        x = self.some(lambda q: q.dtype in FLOATS and q.rg in (NO, LEAF) and not q.alias)
        if x is None:
            return
        v = self.vars[x]
        if v.rg == LEAF:
            self.emit(f"{x}.requires_grad_(False)")
            v.rg = NO
        else:
            self.emit(f"{x}.requires_grad_()")
            v.rg = LEAF
        self.count("requires_grad_", v.view)

    # ------------------------------------------------------------ looking, dropping, failing
    def read(self) -> None:
        x = self.some()
        if x is None:
            return
        v = self.vars[x]
        form = self.r.randrange(10)
        if form < 5:
            self.emit(f"R({x})")
        elif form == 5:
            self.emit(f"R({x}.tolist())")
        elif form == 6 and v.dtype in FLOATS:
            self.emit(f"R(bool(({x} > {self.number()}).any()))")
        elif form == 7 and v.dtype in FLOATS:
            y = self.floating()
            self.emit(f"{y} = {y} * 1.5 if float({x}.detach().sum()) > 0 else {y} + 1")
            self.vars[y] = Var(self.vars[y].shape, self.vars[y].dtype, GRAPH if self.vars[y].rg else NO)
        elif form == 8:
            self.emit(f"R({x}.sum().item())")
        else:
            self.emit(f"R({x}.grad)")
        self.count("read", v.view)

    def delete(self) -> None:
        names = list(self.vars)
        if len(names) < 5 or self.loop:
            return
        x = self.r.choice(names)
        self.emit(f"del {x}")
        del self.vars[x]

    def hold(self) -> None:
        x = self.some()
        if x is None:
            return
        if self.held and self.r.random() < 0.5:
            self.emit("for q in H[-3:]: R(q)" if self.r.random() < 0.7 else "del H[:1]")
        else:
            self.emit(f"H.append({x})")
            self.held += 1

    def fail(self) -> None:
        x = self.floating()
        v = self.vars[x]
        self.emit(
            self.r.choice((
                f"{x}.view(7, 11)", f"{x}[99]", f"{x} + T.zeros((5, 7, 9))", f"{x} @ T.zeros((17, 2), dtype=T.{v.dtype})",
                f"{x}.sum(9)", f"{x}.add_(T.zeros((3, 5, 7, 2)))", f"T.cat([{x}, T.zeros((9, 9, 9, 9))])",
                f"{x}.expand(-1, 7, 3, 5)", f"{x}.backward(T.ones(13))", f"{x}.transpose(0, 7)",
                "raise ValueError('planned')", f"{x}.copy_(T.zeros((4, 4, 4, 5)))",
            ))  # fmt: skip
        )
        self.count("error")

    def mode(self) -> None:
        self.emit("T.set_grad_enabled(False)")
        for _ in range(self.r.randrange(1, 4)):
            self.step()
        self.emit("T.set_grad_enabled(True)")
        self.count("no_grad region")

    def carry(self) -> None:
        """Give an older name the value of a newer one, as loops do."""
        names = list(self.vars)
        for x in self.r.sample(names, min(6, len(names))):
            v = self.vars[x]
            for y in reversed(names):
                w = self.vars[y]
                if y != x and w.shape == v.shape and w.dtype == v.dtype and v.rg != LEAF:
                    self.emit(f"{x} = {y}" if self.r.random() < 0.6 else f"{x} = {y} * 0.5")
                    self.vars[x] = Var(w.shape, w.dtype, GRAPH if w.rg else NO, w.alias, w.view)
                    return

    # ------------------------------------------------------------ the whole
    def step(self) -> None:
        table: list[tuple[int, Callable[[], Any]]] = [
            (10, self.unary), (14, self.binary), (3, self.where), (8, self.reduce), (5, self.matmul), (2, self.loss),
            (4, self.join), (4, self.gather), (3, self.cast), (12, self.view), (7, self.alias), (17, self.write),
            (5, self.numpy), (9 if self.graded else 1, self.backward), (2 if self.graded else 0, self.hook),
            (2, self.flag), (8, self.read), (3, self.delete), (3, self.hold), (2, self.fail), (2, self.new), (1, self.mode),
            (2 if self.graded else 0, self.optimiser),
        ]  # fmt: skip
        if self.r.random() < 0.14:
            table = [
                (4, self.aliases), (3, self.shared), (4 if self.graded else 0, self.long_graph), (1 if self.graded else 0, self.train),
                (8 if self.loop else 0, self.choice_by_turn), (3 if self.loop else 0, self.held_by_turn),
            ]  # fmt: skip
        f = self.r.choices([k for _, k in table], [w for w, _ in table])[0]
        f()

    def some_steps(self, n: int) -> list[str]:
        self.lines = []
        for _ in range(n):
            self.step()
        return self.lines

    def block(self, n: int) -> Block:
        """A loop whose turns look alike: names that existed before keep their shapes."""
        r = self.r
        self.loop = True
        self.variable = r.random() < 0.2
        before = set(self.vars)
        for v in self.vars.values():
            v.old = v.rg == GRAPH
        lines = self.some_steps(n)
        if r.random() < 0.7:
            self.lines = lines
            self.carry()
        times = r.randrange(3, 7)
        numbers = [r.choice((0.5, 0.25, -0.75, 1.5, 2, 0.1)) for _ in range(times)] if r.random() < 0.8 else []
        sizes = [r.choice((2, 3, 3, 4)) for _ in range(times)] if self.variable else []
        if self.variable:  # shapes by name mean nothing afterwards
            for k in [k for k, v in self.vars.items() if any(isinstance(q, str) for q in v.shape)]:
                del self.vars[k]
        self.loop = self.variable = False
        for k in set(self.vars) - before:
            if r.random() < 0.3:
                del self.vars[k]
        return Block(lines, times, numbers, sizes)

    def program(self, scale: float = 1.0) -> Program:
        """The program."""
        r = self.r
        blocks = []
        self.lines = []
        for _ in range(r.randrange(2, 5)):
            self.new()
        blocks.append(Block(self.lines + self.some_steps(int(r.randrange(2, 14) * scale))))
        for _ in range(r.choice((1, 1, 2))):
            blocks.append(self.block(int(r.randrange(3, 16) * scale) + 1))
        blocks.append(Block(self.some_steps(int(r.randrange(0, 8) * scale))))
        self.lines = []
        for k in list(self.vars):
            self.emit(f"R({k})")
            if self.vars[k].rg == LEAF:
                self.emit(f"R({k}.grad)")
        blocks.append(Block(self.lines))
        return Program(blocks, self.seed)


def sh(s: Shape) -> str:
    """A shape as text."""
    return "(" + "".join(f"{q}, " for q in s) + ")"


def product(s: Shape) -> Dim:
    """Number of elements, by name where a size is a name."""
    out = 1
    names = []
    for q in s:
        if isinstance(q, int):
            out *= q
        else:
            names.append(q)
    return out if not names or out == 0 else "*".join([str(out), *names])


def broadcast(a: Shape, b: Shape) -> Shape | None:
    """The common shape, None where there is none."""
    n = max(len(a), len(b))
    x = (1,) * (n - len(a)) + tuple(a)
    y = (1,) * (n - len(b)) + tuple(b)
    out: list[Dim] = []
    for p, q in zip(x, y):
        if p == q or q == 1:
            out.append(p)
        elif p == 1:
            out.append(q)
        else:
            return None
    return tuple(out)


def generate(seed: int, coverage: Counter[tuple[str, str, str]] | None = None, scale: float = 1.0) -> Program:
    """The program of a seed."""
    return Generator(seed, coverage).program(scale)
