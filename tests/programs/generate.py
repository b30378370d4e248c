"""Random programs, made statement by statement while shapes, types and histories are tracked.

What is tracked decides only which statements are likely to make sense; a statement that raises is
part of the test, so nothing here has to be exact.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from .drills import Drills
from .gradients import Gradients
from .higher import Higher
from .memory import Memory
from .names import FLOATS, GRAPH, LEAF, NO, TooLarge, Var
from .operations import Operations
from .program import Block, Program


class Generator(Operations, Memory, Gradients, Drills, Higher):
    """Makes one program."""

    derivatives = 0  # weight of scripts that differentiate again and again

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
            self.vars[y] = Var(
                self.vars[y].shape, self.vars[y].dtype, GRAPH if self.vars[y].rg else NO
            )
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
            self.r.choice(
                (
                    f"{x}.view(7, 11)",
                    f"{x}[99]",
                    f"{x} + T.zeros((5, 7, 9))",
                    f"{x} @ T.zeros((17, 2), dtype=T.{v.dtype})",
                    f"{x}.sum(9)",
                    f"{x}.add_(T.zeros((3, 5, 7, 2)))",
                    f"T.cat([{x}, T.zeros((9, 9, 9, 9))])",
                    f"{x}.expand(-1, 7, 3, 5)",
                    f"{x}.backward(T.ones(13))",
                    f"{x}.transpose(0, 7)",
                    "raise ValueError('planned')",
                    f"{x}.copy_(T.zeros((4, 4, 4, 5)))",
                )
            )
        )
        self.count("error")

    def mode(self) -> None:
        self.emit("T.set_grad_enabled(False)")
        for _ in range(self.r.randrange(1, 4)):
            self.attempt()
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
                    pair = (v.memory, w.memory)  # on the next turn they would be one
                    same = self.r.random() < 0.6 and not {pair, pair[::-1]} & set(self.written)
                    self.emit(f"{x} = {y}" if same else f"{x} = {y} * 0.5")
                    z = Var(w.shape, w.dtype, GRAPH if w.rg else NO, w.alias, w.view)
                    if same:
                        for q in self.vars.values():
                            if q.memory == v.memory:
                                q.memory, q.spread = w.memory, q.spread or w.spread
                        z.memory, z.spread = w.memory, w.spread
                    self.vars[x] = z
                    return

    def step(self) -> None:
        table: list[tuple[int, Callable[[], Any]]] = [
            (10, self.unary),
            (14, self.binary),
            (3, self.where),
            (8, self.reduce),
            (5, self.matmul),
            (2, self.loss),
            (4, self.join),
            (4, self.gather),
            (3, self.cast),
            (12, self.view),
            (7, self.alias),
            (17, self.write),
            (5, self.numpy),
            (9 if self.graded else 1, self.backward),
            (2 if self.graded else 0, self.hook),
            (2, self.flag),
            (8, self.read),
            (3, self.delete),
            (3, self.hold),
            (2, self.fail),
            (2, self.new),
            (1, self.mode),
            (2 if self.graded else 0, self.optimiser),
        ]
        if self.r.random() < 0.17:
            table = [
                (4, self.aliases),
                (3, self.shared),
                (4 if self.graded else 0, self.long_graph),
                (4 if self.graded else 0, self.view_nodes),
                (4 if self.graded else 0, self.asked),
                (4 * self.derivatives if self.graded else 0, self.orders),
                ((3 if self.loop else 1) if self.graded else 0, self.flags),
                (1 if self.graded else 0, self.train),
                (13 if self.loop else 0, self.choice_by_turn),
                (3 if self.loop else 0, self.held_by_turn),
            ]
        f = self.r.choices([k for _, k in table], [w for w, _ in table])[0]
        f()

    def some_steps(self, n: int) -> list[str]:
        self.lines = []
        for _ in range(n):
            self.attempt()
        return self.lines

    def attempt(self) -> None:
        """A step; one whose values would be too large ends where that shows."""
        try:
            self.step()
        except TooLarge:
            pass

    def block(self, n: int) -> Block:
        """A loop whose turns look alike: names that existed before keep their shapes."""
        r = self.r
        self.loop = True
        self.written = []
        self.variable = r.random() < 0.2
        before = set(self.vars)
        for v in self.vars.values():
            v.old = v.rg == GRAPH
        lines = self.some_steps(n)
        if r.random() < 0.7:
            self.lines = lines
            self.carry()
        times = r.randrange(3, 7)
        numbers = (
            [r.choice((0.5, 0.25, -0.75, 1.5, 2, 0.1)) for _ in range(times)]
            if r.random() < 0.8
            else []
        )
        sizes = [r.choice((2, 3, 3, 4)) for _ in range(times)] if self.variable else []
        if self.variable:  # shapes by name mean nothing afterwards
            for k in [k for k, v in self.vars.items() if any(isinstance(q, str) for q in v.shape)]:
                del self.vars[k]
        self.loop = self.variable = False
        for k in sorted(set(self.vars) - before):
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


def generate(
    seed: int, coverage: Counter[tuple[str, str, str]] | None = None, scale: float = 1.0
) -> Program:
    """The program of a seed."""
    return Generator(seed, coverage).program(scale)


class Differentiator(Generator):
    """Derivatives of higher orders among the rest."""

    derivatives = 3


def generate_orders(
    seed: int, coverage: Counter[tuple[str, str, str]] | None = None, scale: float = 1.0
) -> Program:
    """The program of a seed, with derivatives of up to three orders."""
    return Differentiator(seed, coverage).program(scale)


def scale_of(seed: int) -> float:
    """The length of a seed's program where a run mixes them: most short, some long."""
    return random.Random(seed * 3 + 2).choices((0.15, 0.35, 1.0), (15, 4, 1))[0]
