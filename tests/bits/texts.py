"""Running a case's text for one level with the instructions of another, or one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight.base.shape import numel
from rushlight.base.target import Isa, Target, at_level, elsewhere, host, levels
from rushlight.codegen.llvm import Code, render
from rushlight.compiler import LoopProgram, lower
from rushlight.engine.eager import run_program
from rushlight.graph.node import Program
from rushlight.runtime.jit import compile_text
from tests.bits.cases import Case
from tests.compiler.conftest import PLAN, fresh, same_bits, spread

WIDTHS: dict[str, tuple[Isa, int]] = {
    "avx512": ("avx512", 512), "avx2": ("avx2", 256), "neon": ("neon", 128), "sse2": ("sse2", 128),
    "scalar": ("scalar", 0),
}  # fmt: skip


def as_written_for(level: str, machine: Target | None = None) -> Target:
    """A target that writes the text of ``level`` and compiles it with this machine's instructions.

    LLVM cuts vectors that are too wide in parts; lanes and the order of sums are the text's.
    """
    isa, bits = WIDTHS[level]
    return (machine or host())._replace(isa=isa, vector_bits=bits)


def text_for(program: Program, target: Target) -> tuple[LoopProgram, Code]:
    """The loops and the text of a program."""
    loops = lower(program, target)
    return loops, render(loops, target)


def run_here(case: Case, target: Target) -> list[np.ndarray]:
    """What the text for ``target`` gives on this machine, without threads."""
    loops, code = text_for(case.program, target)
    library = compile_text(code.text, name_hint=case.name, target=target)
    call = PLAN(library.address(code.symbol))
    table = np.zeros(code.slots, np.int64)
    at = len(case.leaves)
    table[:at] = [x.ctypes.data for x in case.leaves]
    for kind, n in zip(case.program.numbers, case.numbers, strict=True):
        table[at : at + 1].view(np.float64 if kind == "d" else np.int64)[0] = n
        at += 1
    outs = [fresh(size).view(o.dtype.numpy) for size, o in zip(sizes(loops), loops.outputs)]
    for x in outs:
        table[at] = x.ctypes.data
        at += 1
    work = fresh(code.workspace)
    table[at] = work.ctypes.data
    assert call(table.ctypes.data) == 0, case.name
    return shaped(loops, outs)


def sizes(loops: LoopProgram) -> list[int]:
    """Bytes of each output."""
    return [max(1, numel(o.shape)) * o.dtype.itemsize for o in loops.outputs]


def shaped(loops: LoopProgram, flat: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Outputs as arrays in their layouts."""
    return [
        spread(x, o.shape, o.strides) if numel(o.shape) else np.empty(o.shape, o.dtype.numpy)
        for x, o in zip(flat, loops.outputs, strict=True)
    ]


def alone(case: Case) -> list[np.ndarray]:
    """One operation at a time, by the general kernels: the meaning."""
    leaves = []
    for i, x in zip(case.program.leaves, case.leaves, strict=True):
        spec = case.program.nodes[i].spec
        leaves.append(spread(x, spec.shape, spec.strides) if numel(spec.shape) else x[:0])
    leaves = [
        x.reshape(case.program.nodes[i].spec.shape) if not x.size else x
        for i, x in zip(case.program.leaves, leaves)
    ]
    return [np.asarray(x) for x in run_program(case.program, leaves, case.numbers)]


def differences(case: Case, want: Sequence[np.ndarray], got: Sequence[np.ndarray]) -> list[str]:
    """What is not the same, in words."""
    out = []
    for k, (a, b) in enumerate(zip(want, got, strict=True)):
        if same_bits(a, b):
            continue
        node = case.program.nodes[case.program.outputs[k]]
        at = np.argwhere((a != b) & ~((a != a) & (b != b)))
        where = tuple(at[0]) if len(at) else ()
        out.append(
            f"{case.name}: output {k} ({node.op.name} {node.spec!r}) differs in {len(at)} places, "
            f"first {where}: {a[where]!r} and {b[where]!r}"
        )
    return out


def any_level(isa: Any) -> Target:
    """The target of a level, this machine's where it has it."""
    return at_level(isa) if isa in levels() else elsewhere(isa)
