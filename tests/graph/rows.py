"""What tests of rows share: programs around one expression, finite differences of two orders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rushlight.base import dtype as dt
from rushlight.base.device import CPU
from rushlight.base.shape import is_dense
from rushlight.engine.eager import run_program
from rushlight.graph.gradient import differentiate
from rushlight.graph.node import Program, ProgramBuilder
from rushlight.graph.ops import core
from rushlight.graph.ops import reduce as rd
from rushlight.graph.value import Val

Build = Callable[..., Val]


class Recorder(ProgramBuilder):
    """A program's builder that knows the arrays of its leaves, in order."""

    def __init__(self) -> None:
        super().__init__(Program())
        self.leaves: list[Any] = []
        self.create = True  # gradients may be differentiated again

    def leaf(self, a: Any) -> Val:
        """The array as a leaf in its own layout (row-major unless that is dense)."""
        if not is_dense(a.shape, tuple(s // a.itemsize for s in a.strides)):
            a = np.ascontiguousarray(a)
        self.leaves.append(a)
        strides = tuple(s // a.itemsize for s in a.strides)
        return Val(self, self.make(core.leaf, [], (a.shape, dt.from_numpy(a.dtype), strides, CPU)))


class Expression:
    """An expression of leaves (arrays) and run-time numbers (Python numbers), in order."""

    def __init__(self, operands: Sequence[Any]) -> None:
        self.builder = Recorder()
        self.program = self.builder.program
        self.numbers: list[Any] = []
        self.vals: list[Val] = []
        for o in operands:
            if isinstance(o, float | int):
                self.program.numbers.append("d" if isinstance(o, float) else "q")
                self.numbers.append(o)
                self.vals.append(Val(self.builder, ~(len(self.numbers) - 1)))
            else:
                self.vals.append(self.builder.leaf(o))

    def value(self, *roots: Val) -> list[Any]:
        self.program.outputs = [r.slot for r in roots]
        return run_program(self.program, self.builder.leaves, self.numbers)


def evaluate(build: Build, *operands: Any) -> Any:
    """The value of ``build(*operands)``."""
    e = Expression(operands)
    return e.value(build(*e.vals))[0]


def spec_of(build: Build, *operands: Any) -> Any:
    """What is known of ``build(*operands)`` before it runs."""
    e = Expression(operands)
    return e.builder.spec(build(*e.vals).slot)


def weighed(v: Val, seed: int) -> Val:
    """A fixed random weighing of all elements: a scalar with a gradient that is not all alike."""
    w = np.random.default_rng(seed).uniform(0.5, 1.5, v.shape)
    return rd.sum_(v * v.builder.leaf(w), arg=(tuple(range(len(v.shape))), False))


def gradients(root: Val, wants: Sequence[Val]) -> list[Val | None]:
    """Gradients of a scalar."""
    b: Any = root.builder
    one = Val(b, b.make(core.const, [], (1.0, root.dtype)))
    return differentiate(b, {root.slot: one}, wants)


def first_order(build: Build, operands: Sequence[Any], wants: Sequence[int]) -> list[Any]:
    """Gradients of the weighed sum of ``build`` at the operands ``wants``."""
    e = Expression(operands)
    found = gradients(weighed(build(*e.vals), 1), [e.vals[i] for i in wants])
    assert all(g is not None for g in found), "no gradient arrived"
    return e.value(*[g for g in found if g is not None])


def numeric(e: Expression, root: Val, i: int, h: float = 1e-5) -> Any:
    """Central differences of the scalar ``root`` by the leaf ``e.vals[i]``."""
    at_leaf = e.program.leaves.index(e.vals[i].slot)
    base = e.builder.leaves[at_leaf]
    out = np.zeros(base.shape)
    for at in np.ndindex(*base.shape):
        ends = []
        for step in (h, -h):
            e.builder.leaves[at_leaf] = moved = base.copy(order="K")
            moved[at] += step
            ends.append(float(e.value(root)[0]))
        out[at] = (ends[0] - ends[1]) / (2 * h)
    e.builder.leaves[at_leaf] = base
    return out


def check_gradients(
    build: Build, operands: Sequence[Any], wants: Sequence[int], second: bool = True
) -> None:
    """First and second gradients of ``build`` at float64 operands against finite differences."""
    e = Expression(operands)
    root = weighed(build(*e.vals), 1)
    at = [e.vals[i] for i in wants]
    found = gradients(root, at)
    assert all(g is not None for g in found), "no gradient arrived"
    for i, got in zip(wants, e.value(*[g for g in found if g is not None]), strict=True):
        assert got.shape == operands[i].shape
        np.testing.assert_allclose(got, numeric(e, root, i), rtol=2e-6, atol=2e-8)
    if not second:
        return
    slope: Any = 0.0
    for k, g in enumerate(found):
        assert g is not None
        slope = weighed(g, 7 + k) + slope if k else weighed(g, 7)
    again = gradients(slope, at)
    values = iter(e.value(*[g for g in again if g is not None]))
    for i, g in zip(wants, again, strict=True):
        got = np.zeros(operands[i].shape) if g is None else next(values)
        np.testing.assert_allclose(got, numeric(e, slope, i), rtol=2e-5, atol=2e-6)
