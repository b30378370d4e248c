"""Making a plan's values: one operation at a time the first time, native code from then on."""

from __future__ import annotations

from typing import Any, Final, Optional

from ..base import target
from ..base.errors import CompileError
from ..base.settings import settings
from ..codegen import llvm
from ..compiler import lower
from ..graph.node import Program, expand
from ..graph.op import OPS
from ..runtime import pool
from ..runtime.buffer import Buffer
from ..runtime.jit import compile_text
from ..runtime.native import Table
from .eager import run_node
from .memory import base_array, hold, new_memory
from .plan import FlushInfo

OBSERVERS: Final[list[Any]] = []  # called with (info, values) after every run: the doctor, tests


class Failure(Exception):
    """An operation's own error, and the node it came from."""


class NativePlan:
    """A compiled program with its table: leaf addresses, numbers, output addresses, workspace, thread pool."""

    def __init__(self, info: FlushInfo, program: Program) -> None:
        host = target.host()
        code = llvm.render(lower(program, host), host)
        self.library: Any = compile_text(code.text, name_hint="plan", target=host)
        self.nleaf: int = len(info.leaves)
        self.kinds: list[str] = program.numbers
        self.outputs: list[tuple[int, int]] = [
            (s, max(program.nodes[program.outputs[k]].spec_bytes(), 1)) for k, s in enumerate(info.outputs)
        ]
        n = self.nleaf + len(self.kinds) + len(self.outputs)
        self.table: Table = Table(n + 3)
        self.q: Any = self.table.q
        self.d: Any = self.table.d
        self.workspace: Any = Buffer(code.workspace + 64) if code.workspace else None
        self.q[n] = self.workspace.address if self.workspace is not None else 0
        self.q[n + 1] = pool.handle() if code.parallel else 0
        self.q[n + 2] = pool.pfor_address() if code.parallel else 0
        self.call: Any = self.table.callable(self.library.address(code.symbol), keep=self.library)
        self.last: list[int] = [0] * self.nleaf

    def run(self, info: FlushInfo, lvals: list[Any], numbers: list[Any]) -> Optional[dict[int, Any]]:
        """The outputs by slot; None when a value check failed."""
        q = self.q
        i = 0
        for k in info.leaves:
            a = lvals[k].address
            if self.last[i] != a:
                self.last[i] = a
                q[i] = a
            i += 1
        d = self.d
        k = 0
        for v in numbers:
            if self.kinds[k] == "d":
                d[i] = v
            else:
                q[i] = v
            i += 1
            k += 1
        vals: dict[int, Any] = {}
        for s, nbytes in self.outputs:
            b = Buffer(nbytes)
            q[i] = b.address
            vals[s] = b
            i += 1
        if self.call() is not None:
            return None
        return vals


def run_plan(info: FlushInfo, lvals: list[Any], numbers: list[Any]) -> tuple[dict[int, Any], Optional[BaseException]]:
    """Values of the slots that leave a stretch, and the error that stopped it, if one did."""
    failed: Optional[BaseException] = None
    vals: Optional[dict[int, Any]] = None
    info.runs += 1
    if info.outputs:
        if info.code is None and info.runs >= settings.fuse_after and not settings.eager and info.runs < REFUSED:
            try:
                info.code = NativePlan(info, info.program)
            except CompileError:
                info.runs = REFUSED
        if info.code is not None and not settings.eager:
            vals = info.code.run(info, lvals, numbers)
            if vals is not None and settings.verify:
                compare(info, vals, lvals, numbers)
    else:
        vals = {}
    if vals is None:
        vals, failed = one_at_a_time(info, lvals, numbers)
    for s, k in info.shared:
        vals[s] = lvals[k]
    for s, b in info.same:
        v = vals.get(b)
        if v is not None:
            vals[s] = v
    return vals, failed


REFUSED: Final = 1 << 60


def one_at_a_time(
    info: FlushInfo, lvals: list[Any], numbers: list[Any]
) -> tuple[dict[int, Any], Optional[BaseException]]:
    """Every operation alone, in program order: the meaning of a stretch, and its first run."""
    program = info.program
    arrays: list[Any] = [None] * len(program.nodes)
    failed: Optional[BaseException] = None
    leaf = 0
    for i, n in enumerate(program.nodes):
        if n.op.kind == "leaf":
            arrays[i] = base_array(lvals[info.leaves[leaf]], n.spec)
            leaf += 1
            continue
        try:
            arrays[i] = run_node(n, arrays, program, numbers)
        except Exception as error:  # noqa: BLE001 - the operation's own error goes to the user
            failed = error
            where = info.recs[info.slots[i]].where
            if where is not None:
                error.add_note(f"the operation {n.op.name} was recorded at {where}")
            break
    vals: dict[int, Any] = {}
    for k, s in enumerate(info.outputs):
        o = program.outputs[k]
        if arrays[o] is not None:
            vals[s] = hold(arrays[o], info.recs[s].spec)
    return vals, failed


def compare(info: FlushInfo, vals: dict[int, Any], lvals: list[Any], numbers: list[Any]) -> None:
    """Run a plan again one operation at a time: its bits have to be the same (NaN is NaN)."""
    again, failed = one_at_a_time(info, lvals, numbers)
    if failed is not None:
        raise AssertionError("verify: one operation at a time failed where the plan did not") from failed
    for k, s in enumerate(info.outputs):
        spec = info.recs[s].spec
        a = base_array(vals[s], spec)
        b = base_array(again[s], spec)
        same = a.view(f"u{a.itemsize}") == b.view(f"u{b.itemsize}") if a.ndim else a.tobytes() == b.tobytes()
        if spec.dtype.rank > 1:
            same = same | ((a != a) & (b != b))
        if not (same if isinstance(same, bool) else bool(same.all())):
            n = info.program.outputs[k]
            raise AssertionError(f"verify: other bits fused than one at a time in %{n} of\n{info.program}")
