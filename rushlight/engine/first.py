"""A stretch that was never run before: its records one after the other, through general kernels.

``run_first`` makes the values of a stretch that leave it.  Each record becomes a few words of a
native program (``steps.py``), which is run in one call; what has no general kernel runs through
NumPy (``eager.py``) between two such calls.  Compiled by mypyc: plain typed code.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any, Final

from mypy_extensions import i64

from ..base import dtype as dt
from ..base.dtype import dtype
from ..base.lazy import later
from ..base.shape import is_dense
from ..graph.node import Node
from ..graph.op import (
    ALIAS,
    COMPOSITE,
    CONST,
    CONTRACT,
    ELEMENTWISE,
    FULL,
    JOIN,
    MOVE,
    OPS,
    REDUCE,
    TABLE,
    WRITE,
    Spec,
    compute_type,
)
from ..graph.ops import movement as mv
from ..graph.ops.indexing import CHECK, READS, WRITES, may_fail
from ..graph.shaping import is_view, region_of
from ..runtime.buffer import Buffer
from .memory import hold
from .places import Placing
from .records import NUM_B, NUM_F, Rec, number_code
from .specs import number_spec
from .steps import FILL as FILL_ROW
from .steps import OTHER_ROWS, ROWS, WORDS, Cell, Ints, count, row_major

eager: Final[Any] = later("rushlight.engine.eager")

NUMBER_PACKS: Final[dict[str, Callable[..., None]]] = {}

# What a record is here.
OTHER: Final = 0
AT_ONCE: Final = 1
ROW: Final = 2
VIEW: Final = 3
RESHAPE: Final = 4
FILL: Final = 5
NUMBER: Final = 6
FOLD: Final = 7
PRODUCT: Final = 8
COPY: Final = 9
REPLACE: Final = 10
CAT: Final = 11
PARTS: Final = 12
SAME: Final = 13
WHOLLY: Final = 14  # a `REPLACE` of the whole

KINDS: Final[list[int]] = []  # by operation code
FALLIBLE: Final[list[bool]] = []  # by operation code: may it be refused for a value


def learn() -> None:
    """Enter the operations that the table has by now; all at once, other threads may be here."""
    if len(KINDS) < len(OPS):
        FALLIBLE[:] = [may_fail(op) for op in list(OPS)]
        KINDS[:] = [kind_of(op) for op in list(OPS)]


def kind_of(op: Any) -> int:
    """What a record of the operation is here."""
    if op.kind == ELEMENTWISE and op.lower is not None and op not in CHECK:
        return ROW
    if op.kind == MOVE:
        return VIEW if is_view(op) else RESHAPE if op.name == "reshape" else OTHER
    if op.kind == ALIAS:
        return COPY if op.name == "relayout" else SAME
    if op.kind == REDUCE and op.name in ("sum", "prod", "amax", "amin"):
        return FOLD
    if op.kind == CONTRACT:
        return PRODUCT if op.name == "matmul" else OTHER
    return WHICH.get(op.kind, OTHER)


WHICH: Final[dict[str, int]] = {
    FULL: FILL,
    CONST: NUMBER,
    WRITE: REPLACE,
    JOIN: CAT,
    COMPOSITE: PARTS,
    "index": AT_ONCE,
    "library": AT_ONCE,
}


class Runner(Placing):
    """Runs operations one after the other."""

    def node(
        self, code: i64, op: Any, xs: list[Cell], arg: Any, spec: Spec, leaves: bool, exact: bool,
        out: Cell,
    ) -> None:  # fmt: skip
        """The value of an operation; ``leaves``: in memory of its own; ``exact``: its spec was
        made for these operands."""
        kind = KINDS[code]
        if kind == ROW:
            if self.row(code, xs, spec, leaves, out):
                return
        elif kind == VIEW:
            self.view(code, op, xs[0], arg, spec, exact, out)
            return
        elif kind == RESHAPE:
            s = xs[0].spec
            if row_major(s.shape, s.strides):
                self.same(xs[0], spec, out)
            else:
                self.place(out, spec, leaves)
                self.copy(out.at, Spec(s.shape, s.dtype).strides, s.shape, xs[0])
            return
        elif kind == FILL:
            if self.row(FILL_ROW, xs, spec, leaves, out):
                return
        elif kind == NUMBER:
            constant(arg, spec, out)
            return
        elif kind == FOLD:
            if self.fold(op.name, xs[0], arg[0], spec, leaves, out):
                return
        elif kind == PRODUCT:
            if self.product(xs[0], xs[1], spec, leaves, out):
                return
        elif kind == COPY:
            self.place(out, spec, leaves)
            self.copy(out.at, spec.strides, spec.shape, xs[0])
            return
        elif kind == REPLACE:
            self.replace(xs[0], xs[1], arg, spec, leaves, out)
            return
        elif kind == CAT:
            self.cat(xs, arg, spec, leaves, out)
            return
        elif kind == SAME:
            self.same(xs[0], spec, out)
            return
        elif kind == PARTS:
            self.parts(op, xs, arg, spec, leaves, out)
            return
        elif kind == AT_ONCE and self.placed(op, xs, arg, spec, leaves, out):
            return
        if kind in (ROW, FILL) and count(spec.shape) == 0:
            self.place(out, spec, leaves)  # there is nothing to compute
            return
        self.by_numpy(op, xs, arg, spec, out)

    def placed(
        self, op: Any, xs: list[Cell], arg: Any, spec: Spec, leaves: bool, out: Cell
    ) -> bool:
        """An operation that reads indices; False when there is no kernel for it."""
        name = op.name
        if name == "gather" or name == "pick":
            return self.gather(op, xs, arg, spec, leaves, out)
        if name in READS:
            return self.index(op, xs, arg, spec, leaves, out)
        return name in WRITES and self.put(op, xs, arg, spec, leaves, out)

    def view(
        self, code: i64, op: Any, x: Cell, arg: Any, spec: Spec, exact: bool, out: Cell
    ) -> None:
        """Part of a value's memory.

        A gradient program made for an older stretch tells of operands that may lie otherwise here
        (``exact`` is false), and offsets may count from another storage.
        """
        if not exact:
            have = x.spec
            shape = spec.shape
            strides: Any = None
            if code == PERMUTE:
                strides = tuple([have.strides[d] for d in arg])
            elif code == EXPAND:
                k = len(shape) - len(have.shape)
                strides = tuple(
                    [
                        0
                        if d < k or (have.shape[d - k] == 1 and shape[d] != 1)
                        else have.strides[d - k]
                        for d in range(len(shape))
                    ]
                )
            elif code in ALIKE and row_major(have.shape, have.strides):
                strides = Spec(shape, have.dtype).strides
            else:
                strides = region_of(op, have, arg)[1]
            if strides != spec.strides:
                spec = Spec(shape, have.dtype, strides)
        self.same(x, spec, out)
        start: i64 = 0
        if code == SLICE:
            start = arg[1] * x.spec.strides[arg[0]]
        elif code == SELECT:
            i: i64 = arg[1]
            if i < 0:
                i += x.spec.shape[arg[0]]
            start = i * x.spec.strides[arg[0]]
        elif code not in WHOLE:
            start = region_of(op, x.spec, arg)[2]
            start -= x.spec.offset
        out.at += start * spec.dtype.itemsize

    def same(self, x: Cell, spec: Spec, out: Cell) -> None:
        """The memory of ``x`` under another spec."""
        out.at = x.at
        out.mem = x.mem
        out.spec = spec
        out.whole = False

    def packed(self, x: Cell, spec: Spec) -> Cell:
        """``x`` with memory as its record promises, for what reads memory by strides: a part that a
        rule took out counts as a value of its own."""
        if x.spec.strides == spec.strides or not is_dense(spec.shape, spec.strides):
            return x
        out = Cell()
        self.place(out, spec, False)
        self.copy(out.at, spec.strides, spec.shape, x)
        return out

    def replace(
        self, base: Cell, value: Cell, arg: Any, spec: Spec, leaves: bool, out: Cell
    ) -> None:
        """A value of a storage in which a region is replaced."""
        self.place(out, spec, leaves)
        if arg is None or arg == mv.CUT:
            self.copy(out.at, spec.strides, spec.shape, value)
            return
        self.copy(out.at, spec.strides, spec.shape, base)
        shape, strides, offset = arg
        if count(shape):
            self.copy(out.at + offset * spec.dtype.itemsize, strides, shape, value)

    def cat(self, xs: list[Cell], dim: Any, spec: Spec, leaves: bool, out: Cell) -> None:
        """Operands one behind the other along a dimension."""
        self.place(out, spec, leaves)
        at = out.at
        step: i64 = spec.strides[dim] * spec.dtype.itemsize
        for x in xs:
            shape = x.spec.shape
            self.copy(at, spec.strides, shape, x)
            n: i64 = shape[dim]
            at += n * step

    def parts(self, op: Any, xs: list[Cell], arg: Any, spec: Spec, leaves: bool, out: Cell) -> None:
        """A composite, one of its operations after the other."""
        direct = DIRECT.get(op.name)
        if direct is not None and direct(self, xs, arg, spec, leaves, out):
            return
        program = eager.taken_apart(op, arg, [x.spec for x in xs])
        cells = [x for x in xs if x.mode == 0]
        numbers = [x for x in xs if x.mode]
        first = len(cells)
        last: int = program.outputs[0]
        nodes = program.nodes
        for i in range(first, len(nodes)):
            n = nodes[i]
            ys = [cells[s] if s >= 0 else numbers[~s] for s in n.srcs]
            c = Cell()
            cells.append(c)
            fits = i == last and n.spec.strides == spec.strides
            self.node(n.op.code, n.op, ys, n.arg, n.spec, leaves and fits, True, c)
        c = cells[last]
        if c.spec.strides == spec.strides and last >= first:
            self.same(c, spec, out)
            out.whole = c.whole
        else:
            self.place(out, spec, leaves)
            self.copy(out.at, spec.strides, spec.shape, c)
        for i in range(first, len(nodes)):
            if i != last or out.mem is not c.mem:
                self.let_go(cells[i])

    def step(self, op: Any, xs: list[Cell], arg: Any, spec: Spec) -> Cell:
        """The value of an operation inside a composite."""
        out = Cell()
        self.node(op.code, op, xs, arg, spec, False, True, out)
        return out

    def by_numpy(self, op: Any, xs: list[Cell], arg: Any, spec: Spec, out: Cell) -> None:
        """What has no general kernel."""
        self.flush()
        specs = [x.spec for x in xs]
        arrays = [x.number if x.mode else self.array(x) for x in xs]
        ctype = compute_type(op.types, specs, arg) if op.kind == ELEMENTWISE else None
        made = eager.run_alone(Node(op, (), arg, spec, ctype), specs, arrays)
        m = hold(made, spec)
        out.mem = m
        out.at = m.address
        out.spec = spec
        out.whole = True

    def finish(self, c: Cell, spec: Spec) -> Any:
        """A value that leaves, in memory of its own and the layout that its record promises."""
        if c.whole:
            return c.mem
        if not is_dense(spec.shape, spec.strides):
            self.flush()
            return hold(self.array(c), spec)
        out = Cell()
        self.place(out, spec, True)
        self.copy(out.at, spec.strides, spec.shape, c)
        return out.mem


Direct = Callable[[Runner, list[Cell], Any, Any, bool, Cell], bool]
DIRECT: Final[dict[str, Direct]] = {}  # composites with code of their own: see first_parts.py
SPARE: Final[list[Runner]] = []


# ---------------------------------------------------------------- constants
CONSTANTS: Final[dict[Any, Buffer]] = {}


def constant(arg: Any, spec: Spec, out: Cell) -> None:
    """A number that was known when its record was made."""
    value: Any = arg[0]
    kind: dtype = arg[1]
    key: Any
    if isinstance(value, float):
        f: float = value
        key = (value, kind.code) if f != 0.0 and f == f else (str(value), kind.code)
    else:
        key = (value if value != 0 and value == value else str(value), kind.code)
    b = CONSTANTS.get(key)
    if b is None:
        if len(CONSTANTS) > 4096:
            CONSTANTS.clear()
        b = Buffer(8)
        b.array(dt.array_type(kind), ())[...] = value
        CONSTANTS[key] = b
    out.at = b.address
    out.mem = b
    out.spec = spec
    out.whole = False


# ---------------------------------------------------------------- a stretch
def cells_of(recs: list[Rec]) -> list[Cell]:
    """For each slot the cell of the value that stands there, one for several slots where
    ``plan.source`` says so; none where types narrower than float32 take more than one operation a
    record."""
    cells: list[Cell] = []
    n: i64 = len(recs)
    for i in range(n):
        r = recs[i]
        spec: Spec = r.spec
        if spec.dtype.narrow:
            return []
        kind = KINDS[r.op]
        if kind == SAME:
            cells.append(cells[r.srcs[0]])
            continue
        if kind == REPLACE and overwrites(r):
            kind = WHOLLY
            s = r.srcs[1]
            value = recs[s]
            if value.region is None and spec.strides == value.spec.strides:
                cells.append(cells[s])
                continue
        c = Cell()
        c.slot = i
        c.kind = kind
        cells.append(c)
    return cells


def overwrites(r: Rec) -> bool:
    """Is it a write of the whole base?"""
    return r.arg is None or bool(r.arg == mv.CUT)


def run_first(
    recs: list[Rec], outputs: Ints, lvals: list[Any], numbers: list[Any]
) -> tuple[list[Any], BaseException | None, int] | None:
    """Memory of the slots ``outputs``; the error that stopped the run, and its slot.

    None: it cannot run this way.
    """
    learn()
    try:
        runner = SPARE.pop()
    except IndexError:  # asked for and taken in one step: another thread may be at it
        runner = Runner()
    done = False
    try:
        made = run(runner, recs, outputs, lvals, numbers)
        done = True
    finally:
        if done:  # after an interrupt its memory may still be in use: it goes
            runner.used = 0
            SPARE.append(runner)
    return made


def run(
    runner: Runner, recs: list[Rec], outputs: Ints, lvals: list[Any], numbers: list[Any]
) -> tuple[list[Any], BaseException | None, int] | None:
    """`run_first` on a runner."""
    n: i64 = len(recs)
    default: Any = dt.Defaults.float
    runner.rows_of = (
        ROWS if default is dt.float32 else OTHER_ROWS if default is dt.float64 else None
    )
    cells = cells_of(recs)
    if len(cells) < n:
        return None
    for s in outputs:
        cells[s].last = n
    i: i64 = n
    while i > 0:
        i -= 1
        c = cells[i]
        if c.slot != i:
            continue  # an older slot's value
        if c.last < 0:
            if not FALLIBLE[recs[i].op]:
                continue
            c.last = i  # never dropped
        for s in operands(recs[i], c.kind):
            if s >= 0:
                x = cells[s]
                if x.last < 0:
                    x.last = i
    given = number_cells(runner, numbers) if numbers else NO_CELLS
    leaf = 0
    failed: BaseException | None = None
    where = -1
    for i in range(n):
        c = cells[i]
        if c.slot != i:
            continue
        r = recs[i]
        if r.op == LEAF_CODE:
            leaf += 1
            if c.last >= 0:
                m = lvals[leaf - 1]
                c.mem = m
                if isinstance(m, Buffer):  # read natively
                    c.at = m.address
                else:
                    c.at = m.address
                c.spec = r.spec
                c.made = True
            continue
        if c.last < 0:
            continue
        xs: list[Cell] = []
        srcs = operands(r, c.kind)
        for s in srcs:
            xs.append(cells[s] if s >= 0 else given[~s])
        runner.slot = i
        try:
            if c.kind == WHOLLY:
                runner.node(RELAYOUT, None, xs, None, r.spec, c.last == n, True, c)
            else:
                if r.op == AS_STRIDED and recs[srcs[0]].region is None:
                    xs[0] = runner.packed(xs[0], recs[srcs[0]].spec)
                runner.node(r.op, r.row, xs, r.arg, r.spec, c.last == n, r.parent is not None, c)
        except Exception as error:
            failed = error
            where = int(i)
            break
        c.made = True
        for x in xs:
            if x.last == i:
                runner.let_go(x)
    if failed is None:
        try:
            runner.flush()
        except Exception as error:
            failed = error
            where = int(n)
    if failed is not None and runner.failed >= 0:  # it was an earlier record's
        where = int(runner.failed)
        runner.failed = -1
        for c in cells:
            if c.slot >= where:
                c.made = False
    outs: list[Any] = []
    for s in outputs:
        c = cells[s]
        outs.append(runner.finish(c, recs[c.slot].spec) if c.made else None)
    runner.flush()
    return outs, failed, where


def operands(r: Rec, kind: i64) -> Ints:
    """What computing a record reads (a whole overwrite reads the value alone)."""
    if kind == WHOLLY:
        return r.srcs[1:]
    if r.op == FUNCTION_CODE:
        return r.srcs[:1]
    return r.srcs


def number_cells(runner: Runner, numbers: list[Any]) -> list[Cell]:
    """The stretch's numbers where kernels find them."""
    cells: list[Cell] = []
    few = len(numbers) <= FEW
    kinds: list[str] = []
    at = runner.numbers_at
    place = WORDS
    for v in numbers:
        code = number_code(v)
        c = Cell()
        c.spec = number_spec(int(code))
        c.mode = 3 if code == NUM_F else 5 if code == NUM_B else 4
        c.number = v
        c.at = at
        at += 8
        cells.append(c)
        if not few:
            kinds.append("d" if code == NUM_F else "q")
        elif code == NUM_F:
            runner.doubles[place] = v
        else:
            runner.memory[place] = v
        place += 1
    if few:
        return cells
    form = "".join(kinds)
    pack = NUMBER_PACKS.get(form)
    if pack is None:
        if len(NUMBER_PACKS) > 4096:
            NUMBER_PACKS.clear()
        pack = NUMBER_PACKS[form] = Struct(form).pack_into
    pack(runner.memory, 8 * WORDS, *numbers)
    return cells


FEW: Final = 4  # numbers that are written one by one
NO_CELLS: Final[list[Cell]] = []
LEAF_CODE: Final[i64] = TABLE["leaf"].code
RELAYOUT: Final[i64] = TABLE["relayout"].code
SLICE: Final[i64] = TABLE["slice"].code
SELECT: Final[i64] = TABLE["select"].code
AS_STRIDED: Final[i64] = TABLE["as_strided"].code
PERMUTE: Final[i64] = TABLE["permute"].code
EXPAND: Final[i64] = TABLE["expand"].code
ALIKE: Final = frozenset([TABLE[name].code for name in ("view", "unsqueeze", "squeeze")])
WHOLE: Final = frozenset(  # views that start where their operand does
    [TABLE[name].code for name in ("view", "permute", "expand", "unsqueeze", "squeeze")]
)
FUNCTION_CODE: Final[i64] = TABLE["function"].code
