"""The trie of records: what follows what, and new branches.

A record is interned under its parent by (operation, operand slots, static argument); shape, type
and gradient flag are
worked out once, when the branch is new.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Final

from mypy_extensions import i64

from ..base.dtype import float32
from ..base.shape import is_dense
from ..graph.op import ALIAS, MOVE, OPS, TABLE, Op, Spec, register
from ..graph.ops import movement as mv
from ..graph.ops.indexing import CHECK, may_fail
from ..graph.shaping import GEOMETRY, Region, is_view
from .core import Engine
from .known import look
from .records import CREDIT, DUMMY, MANY, MODE, NO_ALTS, NONE, ROOT, Rec, succeed
from .specs import alike, inferred, interned, number_spec

WATCH: Final[list[Any]] = []  # who is told of what is new: see watch.py


def _internal(name: str, kind: str, infer: Any, grads: Any) -> Op:
    op = register(Op(name, kind, infer))
    op.grads = grads
    return op


def _reread(s: Spec, arg: Any) -> Region:
    shape, strides, offset = arg
    return shape, strides, s.offset + offset


# A view handle read again after its base changed, from where that base starts; a storage's value
# without history.
REREAD_OP: Final = _internal(
    "reread",
    MOVE,
    TABLE["as_strided"].infer,
    (lambda g, out, x: mv.strided_grad(g, out, x, out.arg[2]),),
)
GEOMETRY[REREAD_OP] = _reread
VALUE_OP: Final = _internal("value", ALIAS, TABLE["detach"].infer, ())

# A custom function's result: the first operand's value, with the others as history (see
# backward.Call).
FUNCTION_OP: Final = _internal(
    "function", ALIAS, TABLE["detach"].infer, (None, *[lambda *a: a[0]] * 64)
)

LEAF: Final[i64] = TABLE["leaf"].code
ENTER: Final[i64] = TABLE["enter"].code
GRAFT: Final[i64] = TABLE["graft"].code
FUNCTION: Final[i64] = FUNCTION_OP.code
VALUE: Final[i64] = VALUE_OP.code
REREAD: Final[i64] = REREAD_OP.code
WRITE: Final[i64] = TABLE["write"].code
DETACH: Final[i64] = TABLE["detach"].code
FULL: Final[i64] = TABLE["full"].code
CAST: Final[i64] = TABLE["cast"].code
SILENT: Final = frozenset(
    {int(LEAF), int(ENTER), int(GRAFT), int(VALUE), int(REREAD), int(WRITE)}
)  # give no handle


def get_tape(e: Engine) -> list[Rec]:
    """The value records from the root to here, by slot."""
    if e.tapecur is not e.cur:
        chain: list[Rec] = []
        r: Rec | None = e.cur
        while r is not None and r.op != ROOT:
            chain.append(r)
            r = r.parent
        chain.reverse()
        out: list[Rec] = []
        for q in chain:
            if q.op < ROOT:
                out.append(q)
            else:
                out.extend(q.subs)
        e.tape = out
        e.tapecur = e.cur
    return e.tape


def fill(e: Engine, r: Rec, tape: list[Rec]) -> int:
    """Shape, type, strides and gradient flag of a new record; raises before anything is changed.

    Returns how many Python numbers it takes.
    """
    op = OPS[r.op]
    r.row = op
    if r.op == LEAF:
        enters(e, r)
        return 0
    first = e.cur.nnum
    k = first
    many: Any = None
    n: i64 = 1 if r.b == NONE else 2 if r.c == NONE else 3
    if r.c == MANY:
        key: Any = r.key
        r.arg = key[0]
        many = key[1]
        n = len(many)
    specs: list[Spec] = []
    srcs: list[int] = []
    first_src: i64 = 0
    src: i64 = 0
    rg = False
    bases = True  # is no operand a view
    for i in range(n):
        s: i64 = many[i] if many is not None else r.a if i == 0 else r.b if i == 1 else r.c
        if s >= 0:
            q = tape[s]
            specs.append(q.spec)
            src = s
            if bases:
                of: Op = q.row
                if q.region is not None or of.kind == MOVE:
                    bases = False
            if q.rg and not rg and (op.decompose is not None or op.gradient(int(i)) is not None):
                rg = True
        elif s == NONE:
            break
        else:
            specs.append(number_spec(int(s)))
            src = ~k
            k += 1
        if n > 2:
            srcs.append(int(src))
        elif i == 0:
            first_src = src
            r.srcs = (int(src),)
        else:
            r.srcs = (int(first_src), int(src))
    if n > 2:
        r.srcs = tuple(srcs)
    if e.policy is not None:
        row = e.policy.row(op, specs)
        if row is not op:
            op = row
            r.row = row
            rg = any(s >= 0 and tape[s].rg for s in r.srcs)
    spec = alike(op, specs) if bases and specs else None
    if spec is None:
        spec = inferred(op, specs, r.arg, True)
    if fallible(op) and op in CHECK:
        look(e, op, specs, r.srcs, r.arg, tape)
    r.spec = spec
    if r.op == ENTER:
        r.rg = True
    elif r.op == GRAFT or r.op == REREAD:
        r.rg = rg
    else:
        r.rg = rg and e.gm and spec.dtype.rank > 1
    if op.kind == MOVE:
        if is_view(op):
            r.region = (spec.shape, spec.strides, spec.offset)
            r.dense = is_dense(spec.shape, spec.strides)
    elif r.op == DETACH or r.op == ENTER or r.op == GRAFT:
        r.region = tape[r.a].region
        r.dense = tape[r.a].dense
    if r.op == WRITE:
        r.li = tape[r.a].li
    return int(k - first)


def enters(e: Engine, r: Rec) -> None:
    """A new record of memory that enters: all is in its argument."""
    arg: Any = r.arg
    spec = ENTERING[0]
    if (
        (spec.shape is not arg[0] and spec.shape != arg[0])
        or spec.dtype is not arg[1]
        or (spec.strides is not arg[2] and spec.strides != arg[2])
        or spec.device is not arg[3]
        or spec.offset != 0
        or spec.number
        or len(arg) == TABLE_ARG  # its spec enters with other arguments
    ):
        spec = interned(Spec(arg[0], arg[1], arg[2], arg[3]))
    elif not spec.known:
        spec = interned(spec)
    r.spec = spec
    r.rg = bool(arg[4])
    r.dense = bool(arg[5])  # a window entered without its storage


TABLE_ARG: Final = 7  # so long is the argument that a table (`flush.table_spec`) enters with
# The spec of what is about to enter: the record's own, where it says no more than the argument.
ENTERING: Final[list[Spec]] = [Spec((), float32, ())]


def adopt(e: Engine, r: Rec, handles: int, numbers: int, tape: list[Rec]) -> None:
    """Enter a freshly made record in the trie; ``tape``: the records by slot, with its own at the
    end.

    After an exception in the recorder (``dirty``) the path is kept out of the trie: what is counted
    here may be off.  When many records came and no stretch was met again (``credit``), what is new
    is kept apart: it is gone when its stretch is over, but for a sign by which the stretch is known
    when it comes again.
    """
    cur = e.cur
    e.tapecur = DUMMY  # no tape is known until everything below is done
    e.tape = tape
    if r.op != WRITE:
        r.li = cur.nlive
    r.nlive = cur.nlive + handles
    r.sidx = cur.nnum
    r.nnum = cur.nnum + numbers
    r.nleaf = cur.nleaf + (1 if r.op == LEAF else 0)
    r.gidx = cur.nent
    r.nent = cur.nent + (1 if (r.op == LEAF or r.op == ENTER) and r.rg else 0)
    r.ncall = len(e.calls)
    tracer = e.tracer
    if cur.apart or tracer is not None or (e.credit < 0 and e.watch is None and not WATCH):
        r.apart = True
        before: i64 = 0
        if cur.apart:
            before = e.sign
        e.sign = signed(before, r)
    else:
        if not e.dirty:
            succeed(cur, r)
        e.credit -= 1
        e.nrec += 1 + len(r.subs)
    e.tapecur = r
    e.misses += 1
    if WATCH:
        WATCH[0].created(e, r, tape)
    if tracer is not None:
        tracer.created(r)


def signed(sign: i64, r: Rec) -> i64:
    """The sign of a stretch that goes on with ``r``: equal for equal paths, and hardly ever
    else."""
    key = r.key
    mixed: i64 = sign * 8191 + r.op * 131 + r.a * 17 + r.b * 31 + r.c * 61
    if key is not None:
        known: Any = key
        mixed ^= hash(known[0] if r.op == LEAF else known) & SIGN_BITS
    return mixed & SIGN_BITS


SIGN_BITS: Final[i64] = (1 << 48) - 1
MOST_SIGNS: Final = 8192


def came_again(e: Engine, mask: bytes) -> None:
    """A stretch that was kept apart ends.  When it was met before, what comes is kept: the program
    has begun to repeat."""
    sign = int(e.sign) ^ (hash(mask) & ((1 << 48) - 1))
    if sign in e.met:
        e.credit = CREDIT // 4
        e.met.clear()
    elif len(e.met) >= MOST_SIGNS:
        e.met.clear()
    e.met.add(sign)


def forget_path(r: Rec | None) -> None:
    """Cut a path that was kept apart: handles on its records do not keep all of it."""
    while r is not None and r.apart:
        before = r.parent
        r.parent = None
        r = before


def new_branch(e: Engine, op: i64, a: i64, b: i64, c: i64, key: object) -> Rec:
    """The record of something done here for the first time."""
    cur = e.cur
    if cur.alts is not NO_ALTS:
        q = cur.alts.get((int(op), int(a), int(b), int(c), key))
        if q is not None:
            cur.nxt = q
            return q
    else:  # the one that is known is the expected one
        q = cur.nxt
        if q.op == op and q.a == a and q.b == b and q.c == c and q.key == key:
            return q
    e.busy += 1  # rules may be Python: another thread may run while they do
    try:
        return grown(e, cur, op, a, b, c, key)
    finally:
        e.busy -= 1


def grown(e: Engine, cur: Rec, op: i64, a: i64, b: i64, c: i64, key: object) -> Rec:
    """A new record after ``cur``."""
    tape = get_tape(e)
    r = Rec(op, a, b, c, key, cur.end, cur)
    if op == MODE:
        r.end = cur.end
        adopt(e, r, 0, 0, tape)
        return r
    count = fill(e, r, tape)
    row: Op = r.row
    if fallible(row):
        r.where = user_line()  # it may fail when it runs, far from here
    e.tapecur = DUMMY
    tape.append(r)
    adopt(e, r, 0 if int(op) in SILENT else 1, count, tape)
    return r


def fallible(op: Op) -> bool:
    """`may_fail`, asked once for each operation."""
    known = op.fails
    if known is None:
        known = op.fails = may_fail(op)
    return known


def user_line() -> str:
    """File and line of the nearest caller outside this package."""
    frame: Any = sys._getframe()
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
    return "" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


PACKAGE: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def new_root() -> list[Rec]:
    """Two empty tries: without and with gradient mode."""
    return [Rec(ROOT, NONE, NONE, NONE, None, NONE, None) for _ in range(2)]
