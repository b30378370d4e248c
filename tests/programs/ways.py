"""The three ways a program is run: one operation at a time, recorded, and PyTorch."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from typing import Any

import numpy as np

from rushlight import engine
from rushlight.base.settings import override
from rushlight.engine import core, stretch
from rushlight.engine.records import CREDIT

from . import rounding
from .program import Block, Program, Trace, array, run

flush: Any = importlib.import_module("rushlight.engine.flush")  # not the function of that name


def module(name: str) -> Any:
    """The framework by name."""
    if name == "torch":
        return importlib.import_module("torch")
    return importlib.import_module("rushlight")


def fresh() -> None:
    """A recorder that knows nothing."""
    e = core.mine()
    engine.set_grad_enabled(True)
    try:
        engine.flush()
    except Exception:
        pass
    stretch.clear(e)
    stretch.start_afresh(e)  # takes the old trie apart: no collector would
    e.cur = e.roots[1]
    e.tapecur = e.cur
    e.tape = []
    e.tail = None
    e.credit = CREDIT
    e.met = set()


def one_at_a_time(p: Program, codes: dict[str, Any] | None = None) -> Trace:
    """Way 1: every operation alone, and nothing pending after a statement."""
    fresh()
    with override(eager=True, verify=False):
        out = run(p, module("rushlight"), peek, flush_all, codes)
    fresh()
    return out


def flush_all() -> None:
    """Run what is pending; an error of an operation was the statement's own."""
    engine.flush()


def peek(t: Any) -> Any:
    """The value of a tensor, without making it visible to NumPy."""
    return engine.read(t)


def recorded(
    p: Program,
    fuse_after: int = 2,
    verify: bool = False,
    checking: bool = False,
    again: int = 1,
    limit: int = 1000,
    codes: dict[str, Any] | None = None,
    credit: int = CREDIT,
) -> list[Trace]:
    """Way 2: as users run it, ``again`` times with what was learnt kept; ``credit``: new records
    that are kept before the recorder takes the program for one that does not repeat."""
    fresh()
    core.mine().credit = credit
    was = flush.CHECKING[0]
    flush.CHECKING[0] = checking
    out = []
    try:
        with override(eager=False, verify=verify, fuse_after=fuse_after, limit=limit):
            for _ in range(again):
                out.append(run(p, module("rushlight"), peek, None, codes))
                engine.set_grad_enabled(True)
                try:
                    engine.flush()
                except Exception:
                    pass
    finally:
        flush.CHECKING[0] = was
        fresh()
    return out


def pytorch(
    p: Program, codes: dict[str, Any] | None = None, turn: int = 0, make: Any = array
) -> Trace:
    """Way 3: PyTorch with saved values that nobody can change, as ours are; ``turn``: with
    everything rounded another way (see `rounding`)."""
    torch = module("torch")
    torch.set_num_threads(1)  # starting a team costs more than any of these operations

    def pack(t: Any) -> Any:
        with torch.no_grad():
            return t.detach().clone()

    hang = torch.Tensor.register_hook

    def register_hook(self: Any, hook: Any) -> Any:
        """A hook on a view made without gradient mode ends PyTorch's process."""
        if self._base is not None and self.requires_grad and self.grad_fn is None:
            raise RuntimeError("A view was created in no_grad mode and takes no hook")
        return hang(self, hook)

    torch.Tensor.register_hook = register_hook
    mode = rounding.moving(turn) if turn else contextlib.nullcontext()
    make = rounding.moved_array(turn) if turn else make
    with mode, torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        was = torch.is_grad_enabled()
        try:
            return run(p, torch, lambda t: t.detach().numpy(force=True), None, codes, make)
        finally:
            torch.set_grad_enabled(was)
            torch.Tensor.register_hook = hang


def in_double(p: Program) -> Trace | None:
    """A program of float32 alone in PyTorch's float64, from the same numbers; None for others."""
    text = p.text()
    if "float32" not in text or "float64" in text or ".double()" in text:
        return None

    def double(line: str) -> str:
        return line.replace("float32", "float64").replace(".float()", ".double()")

    blocks = [Block([double(q) for q in b.lines], b.times, b.numbers, b.sizes) for b in p.blocks]
    torch = module("torch")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        return pytorch(Program(blocks, p.seed), {}, 0, widened)
    finally:
        torch.set_default_dtype(before)


def widened(seed: int, shape: tuple[int, ...], dtype: str = "float64") -> Any:
    """`array` with the numbers of a program of float32."""
    return array(seed, shape, "float32" if dtype == "float64" else dtype).astype(dtype)


def have_torch() -> bool:
    """Is PyTorch installed?"""
    return importlib.util.find_spec("torch") is not None


__all__ = ["have_torch", "module", "np", "one_at_a_time", "peek", "pytorch", "recorded"]
