"""Random programs: fused plans against NumPy, one node at a time, to the last bit."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from rushlight.base import dtype as dt
from rushlight.base.shape import contiguous_strides, numel
from rushlight.base.target import at_level, levels
from rushlight.compiler import recompute
from rushlight.compiler.group import group
from rushlight.compiler.resolve import resolve
from rushlight.graph.node import expand

EXACT = ["add", "sub", "mul", "div", "maximum", "minimum", "neg", "abs", "relu", "square", "sqrt"]
TESTS = ["eq", "lt", "ge", "isnan"]
SPECIAL = ["exp", "tanh", "sigmoid", "log1p"]
SIZES = [1, 1, 2, 3, 4, 5, 7, 8, 10, 16, 31, 33, 40]
FLOATS = [dt.float32, dt.float32, dt.float32, dt.float64]


class Maker:
    """Grows one random program."""

    def __init__(self, kit: Any, seed: int) -> None:
        self.kit, self.r = kit, random.Random(seed)
        self.np = np.random.default_rng(seed)
        self.p = kit.Program()
        self.vals: list[Any] = []
        self.leaves: list[np.ndarray] = []
        self.numbers: list[float] = []

    def shape(self) -> tuple[int, ...]:
        if self.r.random() < 0.04:
            return (self.r.choice([0, 3]), 0)
        if self.r.random() < 0.08:
            return self.r.choice([(600,), (40, 70), (3, 1100), (1050, 3)])
        return tuple(self.r.choice(SIZES) for _ in range(self.r.choice([0, 1, 1, 2, 2, 2, 3])))

    def leaf(self) -> Any:
        shape = self.shape()
        kind = self.r.choice([*FLOATS, dt.int32, dt.int64, dt.bool_, dt.uint8])
        if self.vals and self.r.random() < 0.6:
            like = self.r.choice(self.vals)
            shape = tuple(1 if self.r.random() < 0.2 else n for n in like.shape)
        strides = None
        if len(shape) > 1 and self.r.random() < 0.3:
            order = list(range(len(shape)))
            self.r.shuffle(order)
            dense = contiguous_strides(tuple(shape[d] for d in order))
            strides = tuple(dense[order.index(d)] for d in range(len(shape)))
        n = max(1, numel(shape))
        if kind.kind == "f":
            x = self.np.standard_normal(n).astype(kind.numpy)
            x[self.np.random(n) < 0.02] = self.r.choice([0.0, -0.0, np.inf, np.nan])
        else:
            x = self.np.integers(0, 2 if kind.kind == "b" else 50, n).astype(kind.numpy)
        self.leaves.append(x)
        return self.kit.leaf(self.p, shape, kind, strides)

    def pick(self) -> Any:
        return self.r.choice(self.vals[-8:] if self.r.random() < 0.7 else self.vals)

    def partner(self, x: Any) -> Any:
        """A value that broadcasts with `x`."""
        fitting = []
        for v in self.vals:
            pairs = list(zip(reversed(v.shape), reversed(x.shape), strict=False))
            if all(a == b or a == 1 or b == 1 for a, b in pairs):
                joint = numel(v.shape) * numel(x.shape)
                if joint <= 1 << 16 or v.shape == x.shape:
                    fitting.append(v)
        return self.r.choice(fitting)

    def floating(self, x: Any) -> Any:
        if x.dtype.kind == "f":
            return x
        return self.kit.make("cast", x, arg=self.r.choice(FLOATS))

    def fill(self) -> Any:
        """A number repeated: what reads it may need memory of it."""
        kind = self.r.choice(FLOATS)
        if self.r.random() < 0.5:
            self.numbers.append(self.r.choice([0.5, -3.0]))
            x = self.kit.number(self.p, "d")
        else:
            b = self.vals[0].builder
            x = type(self.vals[0])(b, b.make(self.kit.op("const"), [], (1.5, kind)))
        like = self.r.choice(self.vals).shape
        shape = like if self.r.random() < 0.7 else self.shape()
        return self.kit.make("full", x, arg=(shape, kind))

    def step(self) -> Any:
        make, x, kind = self.kit.make, self.pick(), self.r.random()
        if self.r.random() < 0.06:
            x = self.fill()
        if kind < 0.4:
            name = self.r.choice(EXACT + (SPECIAL if self.r.random() < 0.3 else []))
            if name in ("neg", "abs", "relu", "square", "sqrt", *SPECIAL):
                return make(name, self.floating(x))
            if name == "sub":
                x = self.floating(x)
            other = self.partner(x)
            if self.r.random() < 0.15 and x.dtype.kind == "f":
                self.numbers.append(self.r.choice([0.1, 2.0, -1.5]))
                other = self.kit.number(self.p, "d")
            if dt.bool_ in (x.dtype, other.dtype) and name == "sub":
                name = "add"
            return make(name, x, other)
        if kind < 0.45:
            return make(self.r.choice(["eq", "lt", "ge"]), x, self.partner(x))
        if kind < 0.5:
            y = self.partner(x)
            return make("where", make("lt", x, y), x if self.r.random() < 0.5 else y, y)
        if kind < 0.53:
            return make(
                "cast", x, arg=self.r.choice([dt.float32, dt.float64, dt.int32, dt.int64, dt.int8])
            )
        if kind < 0.56 and x.shape and numel(x.shape):
            return self.mixed(x)
        if kind < 0.73 and x.shape:
            return self.reduction(x)
        if kind < 0.93:
            return self.movement(x)
        return self.memory(x)

    def mixed(self, x: Any) -> Any:
        """A product, places that values say, or a normalisation."""
        make, kind = self.kit.make, self.r.random()
        if kind < 0.4 and len(x.shape) > 1 and numel(x.shape) < 5000:
            x = self.floating(x)
            if x.dtype is dt.float64:
                x = make("cast", x, arg=dt.float32)
            y = self.kit.leaf(self.p, (x.shape[-1], self.r.choice([1, 3, 8, 20])))
            self.leaves.append(self.np.standard_normal(numel(y.shape)).astype(np.float32))
            return make("matmul", x, y)
        if kind < 0.7:
            n = x.shape[0]
            index = self.np.integers(-n, n, self.r.choice([1, 5, 40]))
            self.leaves.append(index)
            return make("index", x, self.kit.leaf(self.p, index.shape, dt.int64), arg=(0,))
        x = self.floating(x)
        arg = ((self.r.randrange(len(x.shape)),), True)
        e = make("exp", make("sub", x, make("amax", x, arg=arg)))
        return make("div", e, make("sum", e, arg=arg))

    def reduction(self, x: Any) -> Any:
        n = len(x.shape)
        dims = tuple(sorted(self.r.sample(range(n), self.r.randint(1, n))))
        names = ["sum", "sum", "amax", "amin", "any", "all", "prod", "argmax", "argmin"]
        name = self.r.choice(names if numel(x.shape) else ["sum", "any"])
        if name.startswith("arg"):
            dims = dims if len(dims) == n else dims[:1]
            if x.dtype.kind == "b":
                return x
        return self.kit.make(name, x, arg=(dims, self.r.random() < 0.5))

    def movement(self, x: Any) -> Any:
        make, n = self.kit.make, len(x.shape)
        name = self.r.choice(
            ["permute", "reshape", "slice", "expand", "unsqueeze", "select", "flip", "reshape"]
        )
        if name == "permute":
            order = list(range(n))
            self.r.shuffle(order)
            return make("permute", x, arg=tuple(order))
        if name == "unsqueeze":
            return make(name, x, arg=self.r.randint(0, n))
        if name == "expand" and numel(x.shape) < 2000:
            return make(name, x, arg=(self.r.choice([1, 2, 5]), *x.shape))
        if name == "reshape":
            total = numel(x.shape)
            if not total:
                return x
            a = self.r.choice([d for d in range(1, total + 1) if total % d == 0])
            return make(name, x, arg=self.r.choice([(total,), (a, total // a), (1, total)]))
        if n == 0 or not numel(x.shape):
            return x
        d = self.r.randrange(n)
        if name == "flip":
            return make(name, x, arg=(d,))
        if name == "select":
            return make(name, x, arg=(d, self.r.randrange(x.shape[d])))
        a = self.r.randint(0, x.shape[d] - 1)
        return make(
            "slice", x, arg=(d, a, self.r.randint(a + 1, x.shape[d]), self.r.choice([1, 1, 2]))
        )

    def memory(self, x: Any) -> Any:
        make = self.kit.make
        if not numel(x.shape) or not x.shape:
            return x
        kind = self.r.random()
        d = self.r.randrange(len(x.shape))
        if kind < 0.4:
            return make("cat", x, make("neg", x) if x.dtype.kind == "f" else x, arg=d)
        base = make("copy", x)
        spec = base.builder.spec(base.slot)
        cut = make("slice", base, arg=(d, 0, max(1, x.shape[d] // 2), 1))
        region = cut.builder.spec(cut.slot)
        value = make("copy", self.r.choice([cut, make("select", cut, arg=(0, 0))]))
        if value.shape != cut.shape and len(value.shape) and value.shape != cut.shape[1:]:
            value = make("copy", cut)
        if value.dtype is not base.dtype:
            return base
        arg = (cut.shape, region.strides, region.offset)
        del spec
        return make("write", base, value, arg=arg)

    def grow(self, steps: int) -> None:
        self.vals = [self.leaf() for _ in range(self.r.randint(1, 4))]
        for _ in range(steps):
            v = self.step()
            if numel(v.shape) <= 1 << 16:
                self.vals.append(v)
        # what is left over and a few values on the way
        used = {s for n in self.p.nodes for s in n.srcs}
        outs = [v.slot for v in self.vals if v.slot not in used][-4:]
        outs += [self.r.choice(self.vals).slot for _ in range(2)]
        self.p.outputs = outs


def in_order(p: Any) -> None:
    """Every group reads only what groups before it have made, or itself."""
    grouping = recompute.recompute(group(resolve(expand(p))))
    made = {i for i, v in enumerate(grouping.values.items) if v.kind in ("leaf", "blank")}
    for g in grouping.groups:
        made |= grouping.inline | g.level.keys()
        for x in g.members:
            v = grouping.values.items[x]
            assert {r.value for r in v.srcs} | ({v.base} - {-1}) <= made, f"%{x} in\n{grouping}"


def check(kit: Any, seed: int, steps: int, target: Any = None) -> None:
    m = Maker(kit, seed)
    m.grow(steps)
    in_order(m.p)
    want = kit.interpret(m.p, m.leaves, m.numbers)
    plan = kit.Plan(m.p, target)
    got = plan.run(m.leaves, m.numbers)
    for o, w, g in zip(m.p.outputs, want, got, strict=True):
        assert kit.same_bits(w, g), f"seed {seed}: %{o} differs\n{m.p}\n{plan.loops}"


@pytest.mark.parametrize("seed", range(60))
def test_fused_is_one_at_a_time(kit: Any, seed: int) -> None:
    check(kit, seed, 4 + seed % 20)


@pytest.mark.parametrize("seed", range(1, 60, 2))
def test_small_values_computed_again(kit: Any, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recompute, "LARGE", 1)
    check(kit, seed, 4 + seed % 20)


@pytest.mark.parametrize("isa", [l for l in levels()[1:] if l in ("sse2", "scalar", "neon")])
@pytest.mark.parametrize("seed", range(100, 104))
def test_every_level_gives_the_same_bits(kit: Any, isa: Any, seed: int) -> None:
    check(kit, seed, 12, at_level(isa))
