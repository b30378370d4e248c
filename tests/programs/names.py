"""What the parts of the generator share: believed shapes and types, names, text."""

from __future__ import annotations

import itertools
import math
import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

Dim = int | str
Shape = tuple[Dim, ...]
FLOATS = ("float32", "float64")
NO, LEAF, GRAPH = 0, 1, 2

UNARY = (
    "exp",
    "tanh",
    "sigmoid",
    "relu",
    "neg",
    "abs",
    "sin",
    "cos",
    "square",
    "floor",
    "sign",
    "expm1",
    "erf",
    "round",
    "trunc",
)
SAFE = {
    "log": "{}.abs() + 0.5",
    "sqrt": "{}.abs() + 0.1",
    "reciprocal": "{}.abs() + 0.3",
    "log1p": "{}.abs()",
}
BINARY = ("+", "-", "*", "/")
NAMED = ("maximum", "minimum", "add", "sub", "mul", "atan2", "fmod")
COMPARE = ("<", "<=", ">", ">=", "==", "!=")
INPLACE = ("add_", "mul_", "sub_", "div_")
INPLACE1 = ("relu_", "tanh_", "sigmoid_", "neg_", "zero_", "abs_", "exp_", "square_", "sin_")


_memories = itertools.count()


@dataclass
class Var:
    """What is believed of a name."""

    shape: Shape
    dtype: str
    rg: int = NO
    alias: bool = False  # shares memory with another name
    view: str = "base"  # how it was made, for the counts
    old: bool = False  # its history is older than the loop: a backward has to keep it
    memory: int = field(default_factory=lambda: next(_memories))  # equal: perhaps the same
    # PyTorch says that it wants a gradient, and gives it none: a view made without gradient mode of
    # what wants one, and what is made from such a view
    said: bool = False
    spread: bool = False  # several elements have one place, or may have: nobody writes there


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


def elements(s: Shape) -> int:
    """About how many elements: a size by name is a small one."""
    return math.prod(q if isinstance(q, int) else 8 for q in s)


class TooLarge(Exception):
    """A statement would make more than the program has room for: another is taken."""


class Names:
    """The state of a generator, and what all its parts need."""

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
        self.scalars = 0  # leaves that are one number
        self.written: list[tuple[int, int]] = []  # in this loop: memories written and read at once
        self.room = self.r.choices((6_000, 40_000, 300_000), (80, 18, 2))[0]  # elements of a value

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
        if elements(var.shape) > self.room:
            raise TooLarge
        v = self.name()
        if var.dtype not in FLOATS:
            var.rg = NO
        named = re.findall(r"\bv\d+\b", text)
        var.said = any(self.vars[k].said for k in named if k in self.vars)
        if self.r.random() < 0.06:
            self.emit(f"with T.no_grad(): {v} = {text}")
            var.said = var.alias and (var.said or var.rg != NO)
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
        return self.r.choice(
            ("2", "0.5", "-1.5", "3.0", "c", "c", "-2", "0.1", "i + 1", "True", "(i - 0.5)")
        )

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
        return (130 if self.room >= 130 * 130 and self.r.random() < 0.5 else 33, 130)

    # ------------------------------------------------------------ what PyTorch leaves undefined
    def apart(self, y: str, x: str, target: str) -> str:
        """The operand ``y`` of a write to ``target``, a view of ``x``: what overlaps the target but
        for a target that is ``y`` itself is copied, since PyTorch's result depends on the order of
        its loop."""
        v, w = self.vars[x], self.vars[y]
        overlaps = v.memory == w.memory and (v is not w or target != x)
        if overlaps or (v.alias and w.alias):
            return f"{y}.clone()"
        if v is not w:
            self.written.append((v.memory, w.memory))
        return y

    def lone(self, x: str) -> None:
        """Gradients of leaves of one number each are one tensor in PyTorch, and a later backward
        writes to all of them; not when a hook gives a new one."""
        if self.vars[x].shape == ():
            self.scalars += 1
            if self.scalars > 1 or self.loop:
                self.emit(f"{x}.register_hook(lambda g: g.clone())")

    # ------------------------------------------------------------ making tensors
    def new(self, shape: Shape | None = None, dtype: str | None = None) -> str:
        s = self.shape() if shape is None else shape
        d = dtype or (
            self.main if self.r.random() < 0.75 else self.r.choice((*FLOATS, "int64", "bool"))
        )
        k = str(self.r.randrange(50)) + (" + i" if self.loop and self.r.random() < 0.6 else "")
        q = self.r.random()
        if d in FLOATS and self.graded and q < 0.3:
            form = self.r.choice(
                (
                    f"T.tensor(A({k}, {sh(s)}, {d!r}), requires_grad=True)",
                    f"T.tensor(A({k}, {sh(s)}, {d!r})).requires_grad_()",
                )
            )
            v = self.name()
            self.emit(f"{v} = {form}")
            self.vars[v] = Var(s, d, LEAF)
            self.lone(v)
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
