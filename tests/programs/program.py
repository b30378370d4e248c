"""A random program as text: blocks of statements over a module ``T``, and how it is run and traced.

Statements use ``T`` (torch or rushlight), ``np``, ``A`` (makes an array), ``R`` (reads a value)
and the names they define.  Each runs under a guard: an exception is noted, the program goes on.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# What a statement may raise on its own account; anything else is a defect of the implementation.
ALLOWED = (
    RuntimeError, ValueError, IndexError, TypeError, NameError, AttributeError, ZeroDivisionError,
    OverflowError, NotImplementedError,
)  # fmt: skip


def array(seed: int, shape: tuple[int, ...], dtype: str = "float64") -> Any:
    """Deterministic values of moderate size; the same everywhere."""
    n = math.prod(shape)
    if n > 5000:  # made again each time: memory is worth more
        return values(seed, n, dtype).reshape(shape)
    return kept_values(seed, n, dtype).reshape(shape).copy()


@functools.lru_cache(maxsize=4096)
def kept_values(seed: int, n: int, dtype: str) -> Any:
    """What `array` gives copies of."""
    return values(seed, n, dtype)


def values(seed: int, n: int, dtype: str) -> Any:
    """Numbers that depend on their place and ``seed`` only."""
    x = (np.arange(n, dtype=np.uint64) + np.uint64(1000003 * (seed + 1))) * np.uint64(
        0x9E3779B97F4A7C15
    )
    x ^= x >> np.uint64(31)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(29)
    u = (x >> np.uint64(11)).astype(np.float64) / 2**53
    if dtype == "bool":
        out = u > 0.5
    elif dtype == "int64":
        out = np.floor(u * 7 - 3).astype(np.int64)
    else:
        out = (u * 4 - 2).astype(dtype)
    return out


@dataclass
class Block:
    """Statements that run ``times`` times, with ``i``, ``c`` and ``s`` set on every turn."""

    lines: list[str]
    times: int = 1
    numbers: list[Any] = field(default_factory=list)  # c
    sizes: list[int] = field(default_factory=list)  # s

    def turn(self, i: int) -> tuple[Any, int]:
        """``c`` and ``s`` of a turn."""
        c = self.numbers[i % len(self.numbers)] if self.numbers else 0.5
        s = self.sizes[i % len(self.sizes)] if self.sizes else 3
        return c, s


@dataclass
class Program:
    """Blocks in order, and the seed it was made from."""

    blocks: list[Block]
    seed: int = 0

    def size(self) -> int:
        """Number of statements as written."""
        return sum(len(b.lines) for b in self.blocks)

    def text(self) -> str:
        """A file that runs on its own: ``python file.py torch`` or ``python file.py rushlight``."""
        out = [HEADER.format(seed=self.seed)]
        for b in self.blocks:
            if b.times == 1 and not b.numbers and not b.sizes:
                out.extend(f"S({line!r})" for line in b.lines)
                continue
            numbers = b.numbers or [0.5]
            out.append(f"for i in range({b.times}):")
            out.append(f"    c = {numbers!r}[i % {len(numbers)}]")
            sizes = b.sizes or [3]
            out.append(f"    s = {sizes!r}[i % {len(sizes)}]")
            out.extend(f"    S({line!r})" for line in b.lines)
        return "\n".join(out) + "\n"


HEADER = """# random program, seed {seed}; in the repository root: python THIS rushlight | torch
# (EAGER=1: flush after every statement)
import importlib, os, sys
import numpy as np
sys.path.insert(0, os.getcwd())
from tests.programs.program import array as A
T = importlib.import_module(sys.argv[1] if sys.argv[1:] else "rushlight")
H = []
ENV = globals()
def R(x):
    if hasattr(x, "requires_grad"):
        print("   ", tuple(x.shape), x.dtype, x.requires_grad, x.detach().tolist())
    else:
        print("   ", x)
def S(line):
    try:
        exec(line, ENV)
    except Exception as error:
        print("   ", type(error).__name__, error)
    if os.environ.get("EAGER") and sys.argv[1:] != ["torch"]:
        from rushlight import engine
        engine.flush()
"""


@dataclass
class Seen:
    """One entry of a trace: where, what kind (``tensor``, ``python``, ``raised``), and what."""

    block: int
    turn: int
    line: int
    kind: str
    meta: tuple[Any, ...]
    value: Any

    def where(self, p: Program) -> str:
        """The statement, for people."""
        return f"block {self.block} turn {self.turn}: {p.blocks[self.block].lines[self.line]}"


class Trace:
    """Everything a run saw, in order."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []


def is_tensor(x: Any) -> bool:
    """A tensor of either framework."""
    return hasattr(x, "requires_grad") and hasattr(x, "stride")


def meta_of(x: Any) -> tuple[Any, ...]:
    """Shape, strides, dtype, needs-gradient, leaf, view."""
    return (
        tuple(x.shape),
        tuple(x.stride()),
        str(x.dtype),
        bool(x.requires_grad),
        bool(x.is_leaf),
        x._is_view(),
    )


def numeric(x: Any) -> bool:
    """Numbers only, in lists of lists?"""
    while isinstance(x, list):
        if not x:
            return True
        x = x[0]
    return isinstance(x, bool | int | float)


def own(error: Exception) -> None:
    """Raise ``error`` again unless the statement itself made it: elsewhere it is a defect."""
    tb = error.__traceback__
    while tb is not None and tb.tb_next is not None:
        tb = tb.tb_next
    if tb is not None and tb.tb_frame.f_code.co_filename != "<program>":
        raise error


Peek = Callable[[Any], Any]


def run(
    p: Program,
    module: Any,
    peek: Peek,
    after: Callable[[], None] | None = None,
    codes: dict[str, Any] | None = None,
    make: Callable[..., Any] = array,
) -> Trace:
    """Run ``p`` over ``module``; ``peek(t)`` gives a value; ``after`` runs after statements;
    ``make`` makes the arrays."""
    trace = Trace()
    at = [0, 0, 0]
    held: list[Any] = []

    def note(kind: str, meta: tuple[Any, ...], value: Any) -> None:
        trace.seen.append(Seen(at[0], at[1], at[2], kind, meta, value))

    def read(x: Any) -> Any:
        if is_tensor(x):
            note("tensor", meta_of(x), np.array(peek(x), copy=True))
        elif isinstance(x, np.ndarray):
            note("array", (x.shape, x.dtype.name), x.copy())
        elif isinstance(x, list) and numeric(x):
            v = np.array(x)
            note("list", (v.shape, v.dtype.name), v)
        elif isinstance(x, list | tuple):
            for q in x:
                read(q)
        else:
            note("python", (type(x).__name__,), x)
        return x

    env: dict[str, Any] = {"T": module, "np": np, "A": make, "R": read, "H": held}
    if codes is None:
        codes = {}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for at[0], b in enumerate(p.blocks):
            for at[1] in range(b.times):
                env["i"] = at[1]
                env["c"], env["s"] = b.turn(at[1])
                for at[2], line in enumerate(b.lines):
                    code = codes.get(line)
                    if code is None:
                        code = codes[line] = compile(line, "<program>", "exec")
                    try:
                        exec(code, env)
                    except ALLOWED as error:
                        if isinstance(error, NameError | AttributeError | ZeroDivisionError):
                            own(error)
                        note("raised", (type(error).__name__,), str(error))
                        error.__traceback__ = None
                        del error
                    if after is not None:
                        try:
                            after()
                        except ALLOWED as error:
                            note("raised", (type(error).__name__,), str(error))
    return trace
