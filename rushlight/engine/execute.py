"""Making a plan's values: one operation at a time the first time, native code from then on."""

from __future__ import annotations

import time
from typing import Any, Final

from ..base import target
from ..base.errors import CompileError
from ..base.lazy import later
from ..base.settings import settings
from ..graph.node import Program
from ..runtime import pool
from ..runtime.buffer import Buffer
from ..runtime.jit import compile_text
from ..runtime.native import SUPPORTED, Table, live_helpers
from .budget import SPENT, compiled, pays
from .core import Engine
from .first import DIRECT, run_first
from .first_parts import PARTS
from .memory import address_of, base_array, hold, nbytes
from .plan import FlushInfo
from .records import Rec
from .steps import NUMBERS

# Needed only where something is compiled: a third of the time of `import rushlight`.
llvm: Final[Any] = later("rushlight.codegen.llvm")
compiler: Final[Any] = later("rushlight.compiler")
eager: Final[Any] = later("rushlight.engine.eager")


class Due(Exception):
    """Not an error: in an error's place, what a run brings for those who watch (see watch.py)."""

    def deliver(self, e: Engine, sts: list[Any], gleaves: list[Any], live: list[Any]) -> None:
        """Called when the run's values are in place and the recorder is whole."""
        raise NotImplementedError


SHARED: Final = 64 << 20  # bytes of workspace up to which plans share it
_shared: Final[list[Buffer]] = []


def workspace(nbytes: int) -> Buffer:
    """Memory for what lives inside one run of a plan.

    Plans share it, so that it stays in the caches: a native call holds the interpreter's lock from
    start to end.
    """
    if not SUPPORTED or nbytes > SHARED:
        return Buffer(nbytes)
    if not _shared or _shared[0].nbytes < nbytes:
        _shared[:] = [Buffer(nbytes)]
    return _shared[0]


class Lane:
    """A table of a plan with memory for its outputs: while somebody holds that memory, another lane
    runs."""

    def __init__(self, plan: NativePlan) -> None:
        table = Table(plan.slots)
        self.q: Any = table.q
        self.d: Any = table.d
        self.last: list[int] = [
            0
        ] * plan.nleaf  # leaf addresses in the table: not references, which would hold memory
        self.outs: list[Any] = [Buffer(n) for n in plan.sizes]
        first = plan.nleaf + len(plan.kinds)
        for i in range(len(plan.sizes)):
            self.q[first + i] = self.outs[i].address
        n = first + len(plan.sizes)
        self.q[n] = plan.workspace.address if plan.workspace is not None else 0
        threads = pool.pool()
        self.q[n + 1] = threads.address
        self.q[n + 2] = threads.pfor
        self.call: Any = table.callable(plan.entry, keep=(plan.library, plan.workspace))


class NativePlan:
    """A compiled program: code, sizes, and lanes to run it on."""

    def __init__(self, info: FlushInfo, program: Program) -> None:
        host = target.host()
        code = llvm.render(compiler.lower(program, host), host)
        self.library: Any = compile_text(code.text, name_hint="plan", target=host, passing=True)
        self.entry: int = self.library.address(code.symbol)
        self.slots: int = code.slots
        self.nleaf: int = len(info.leaves)
        self.kinds: list[str] = program.numbers
        self.sizes: list[int] = [nbytes(program.nodes[o].spec) for o in program.outputs]
        self.workspace: Any = workspace(code.workspace) if code.workspace else None
        self.idle: bytes = bytes(len(self.sizes))
        self.lanes: list[Lane] = []
        self.turn: int = 0
        self.livecheck: Any = live_helpers().livecheck
        self.livemask: Any = live_helpers().livemask
        self.large: bool = (
            sum(self.sizes) > LARGE
        )  # one lane at most: idle memory goes back to the pool of buffers

    def run(self, info: FlushInfo, lvals: list[Any], numbers: list[Any]) -> list[Any] | None:
        """The outputs' memory; None when a value check failed."""
        lane = self.free_lane()
        q = lane.q
        last = lane.last
        i = 0
        for k in info.leaves:
            m = lvals[k]
            a: int = m.address if isinstance(m, Buffer) else address_of(m)
            if last[i] != a:
                last[i] = a
                q[i] = a
            i += 1
        if numbers:
            d = lane.d
            kinds = self.kinds
            for k, v in enumerate(numbers):
                if kinds[k] == "d":
                    d[i] = v
                else:
                    q[i] = v
                i += 1
        if lane.call() is not None:
            return None
        if self.large:
            self.lanes.clear()
        # A list of its own holds them until they are handed out: user code that the garbage
        # collector or a signal runs in between may run this plan again, which must take other
        # memory.
        return list(lane.outs)

    def free_lane(self) -> Lane:
        """The next lane whose outputs nobody holds any more; else one whose held outputs get new
        memory."""
        lanes = self.lanes
        n = len(lanes)
        for _ in range(n):
            self.turn += 1
            if self.turn >= n:
                self.turn = 0
            lane = lanes[self.turn]
            if self.livecheck(lane.outs, self.idle):
                return lane
        if n < LANES and not self.large:
            lane = Lane(self)
            lanes.append(lane)
            self.turn = n
            return lane
        if n == 0:
            lanes.append(Lane(self))
        lane = lanes[self.turn]
        held = self.livemask(lane.outs)
        first = self.nleaf + len(self.kinds)
        for i in range(len(held)):
            if held[i]:
                b = Buffer(self.sizes[i])
                lane.outs[i] = b
                lane.q[first + i] = b.address
        return lane


# A profiler's clock: `CLOCK[0](run, info, lvals, numbers)` stands for `run(info, lvals, numbers)`.
CLOCK: Final[list[Any]] = []


def run_plan(
    info: FlushInfo, lvals: list[Any], numbers: list[Any]
) -> tuple[list[Any], BaseException | None]:
    """Memory of the values that leave a stretch (None where there is none), and the error that
    stopped it."""
    info.runs += 1
    if info.idle and info.watched is None:
        return [], None
    if (
        info.code is None
        and info.runs >= settings.fuse_after
        and not settings.eager
        and info.runs < REFUSED
        and pays(info)
    ):
        started = time.perf_counter()
        try:
            info.code = NativePlan(info, info.program)
        except (CompileError, NotImplementedError):
            info.runs = REFUSED
        compiled(info, time.perf_counter() - started)
    if info.code is not None and not settings.eager:
        plan: NativePlan = info.code
        outs = plan.run(info, lvals, numbers)
        if outs is not None:
            if settings.verify:
                compare(info, outs, lvals, numbers)
            return outs, None
    if info.watched is not None:
        found: tuple[list[Any], BaseException | None] = info.watched.run(info, lvals, numbers)
        return found
    if settings.eager or not info.follows:
        return one_at_a_time(info, lvals, numbers)
    SPENT.runs += 1
    SPENT.again = info.last > 0
    info.last = SPENT.runs
    started = time.perf_counter()
    outs, failed = first_run(info, lvals, numbers)
    info.alone += time.perf_counter() - started
    if settings.verify and failed is None:
        compare(info, outs, lvals, numbers)
    return outs, failed


DIRECT.update(PARTS)

LANES: Final = 3  # sets of output memory a plan keeps
LARGE: Final = 1 << 21  # plans with more bytes of outputs keep none
REFUSED: Final = 1 << 60


def first_run(
    info: FlushInfo, lvals: list[Any], numbers: list[Any]
) -> tuple[list[Any], BaseException | None]:
    """The records one after the other through general kernels: how a new stretch is run."""
    made = run_first(info.recs, info.outputs, lvals, numbers) if len(numbers) <= NUMBERS else None
    if made is None:
        return one_at_a_time(info, lvals, numbers)
    outs, failed, slot = made
    if failed is not None:
        told(failed, info.recs[slot])
    return outs, failed


def told(error: BaseException, r: Rec) -> None:
    """Say where the operation that failed was recorded."""
    if r.where:
        error.add_note(f"the operation {r.row.name} was recorded at {r.where}")


def one_at_a_time(
    info: FlushInfo, lvals: list[Any], numbers: list[Any]
) -> tuple[list[Any], BaseException | None]:
    """Every operation alone, in program order: the meaning of a stretch, and its first run."""
    program = info.program
    arrays: list[Any] = [None] * len(program.nodes)
    failed: BaseException | None = None
    leaf = 0
    for i, n in enumerate(program.nodes):
        if n.op.kind == "leaf":
            arrays[i] = base_array(lvals[info.leaves[leaf]], n.spec)
            leaf += 1
            continue
        try:
            arrays[i] = eager.run_node(n, arrays, program, numbers)
        except Exception as error:
            failed = error
            told(error, info.recs[info.slots[i]])
            break
    outs: list[Any] = []
    for o in program.outputs:
        a = arrays[o]
        outs.append(None if a is None else hold(a, program.nodes[o].spec))
    return outs, failed


def compare(info: FlushInfo, outs: list[Any], lvals: list[Any], numbers: list[Any]) -> None:
    """Run a plan again one operation at a time: its bits have to be the same (NaN is NaN)."""
    again, failed = one_at_a_time(info, lvals, numbers)
    if failed is not None:
        raise AssertionError(
            "verify: one operation at a time failed where the plan did not"
        ) from failed
    for k, o in enumerate(info.program.outputs):
        spec = info.program.nodes[o].spec
        a = base_array(outs[k], spec)
        b = base_array(again[k], spec)
        same = (
            a.view(f"u{a.itemsize}") == b.view(f"u{b.itemsize}")
            if a.ndim
            else a.tobytes() == b.tobytes()
        )
        if spec.dtype.rank > 1:
            same = same | ((a != a) & (b != b))
        if not (same if isinstance(same, bool) else bool(same.all())):
            raise AssertionError(
                f"verify: other bits fused than one at a time in %{o} of\n{info.program}"
            )
