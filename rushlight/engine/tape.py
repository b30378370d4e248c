"""Gradient programs: rules applied in reverse on a copy of a stretch's records.

``Tape`` is the builder that rules record on; ``Template`` is the gradient program of a flushed
stretch.
"""

from __future__ import annotations

from typing import Any, Final

from ..base.device import CPU, device
from ..base.dtype import ALL
from ..base.shape import numel
from ..graph.gradient import pulled
from ..graph.node import const_type
from ..graph.op import ALIAS, COMPOSITE, MOVE, TABLE, Op, Spec
from ..graph.ops.placing import on
from ..graph.value import Val
from .records import NONE, Rec, number_code
from .rules import LESSONS, READS, Log, Step, learn, question, readings
from .specs import exact, inferred, interned, number_spec, sized
from .trie import ENTER, GRAFT, LEAF, TABLE_ARG

SUM_OP: Final[Op] = TABLE["sum"]
MUL_OP: Final[Op] = TABLE["mul"]
DIV_OP: Final[Op] = TABLE["div"]
CAST_OP: Final[Op] = TABLE["cast"]
ADD_OP: Final[Op] = TABLE["add"]
FULL_OP: Final[Op] = TABLE["full"]
CONST_OP: Final[Op] = TABLE["const"]
BESIDE: Final = ("graft", "function")  # a value, then its history: the first operand gets none
RESHAPE_OP: Final[Op] = TABLE["reshape"]
SCALARS: Final[dict[Any, Spec]] = {d: interned(Spec((), d)) for d in ALL}  # of each type


def packed(spec: Spec) -> Spec:
    """The spec of a reading that a rule made: a part of something else (a slice, a column) is a
    value of its own, without the gaps."""
    last = 0
    for n, step in zip(spec.shape, spec.strides):
        last += (n - 1) * step
    if last < numel(spec.shape):
        return spec
    return interned(Spec(spec.shape, spec.dtype, None, spec.device))


class Tape:
    """Records by slot with more at the end; ``g`` maps a slot to the slot of its gradient."""

    def __init__(self, recs: list[Rec], numbers: list[Any], create: bool) -> None:
        self.recs: list[Rec] = list(recs)
        self.numbers: list[Any] = numbers
        self.create: bool = create
        self.base: int = len(recs)  # slots below it are forward values
        self.new: list[Rec] = []
        self.g: dict[int, int] = {}
        self.given: set[int] = (
            set()
        )  # slots below `base` that are gradients handed in, not forward values
        self.home: device = CPU  # where what is made of numbers alone lives
        self.leads: set[int] | None = (
            None  # forward slots that lead to what is asked for; None: all
        )
        self.log: Log | None = None  # while a rule is learnt
        self.made: dict[Any, int] | None = None  # composites of the rules of one operation

    # ------------------------------------------------------------ what rules ask for
    # (value.Builder)
    def make(self, op: Any, srcs: list[int], arg: Any) -> int:
        shared: Any = None
        if op.kind == COMPOSITE and self.made is not None:
            # The rules of one operation's operands may all ask for the same.
            shared = (op.code, tuple(srcs), exact(arg))
            have = self.made.get(shared)
            if have is not None:
                return have
        r = Rec(op.code, NONE, NONE, NONE, arg, len(self.recs), None)
        r.row = op
        r.arg = arg
        r.srcs = tuple(srcs)
        specs: list[Spec] = []
        for s in srcs:
            specs.append(self.spec(s))
        # of a constant, whose value would be another question each time, only the type counts
        spec = SCALARS[arg[1]] if op is CONST_OP else inferred(op, specs, arg, False)
        if op.kind == MOVE:
            spec = packed(spec)
        if self.home is not CPU and (not srcs or op is FULL_OP):
            spec = on(spec, self.home)
        r.spec = spec
        r.size = sized(spec)
        if self.create and spec.dtype.rank > 1:
            r.rg = flows(self.recs, op, r.srcs)
        self.recs.append(r)
        self.new.append(r)
        if shared is not None and self.made is not None:
            self.made[shared] = int(r.slot)
        return int(r.slot)

    def number(self, value: Any, like: Any) -> int:
        return self.make(CONST_OP, [], (value, const_type(value, like.dtype)))

    def spec(self, slot: int) -> Any:
        if slot >= 0:
            return self.recs[slot].spec
        return number_spec(int(number_code(self.numbers[~slot])))

    def arg(self, slot: int) -> Any:
        return self.recs[slot].arg

    # ------------------------------------------------------------ the reverse walk
    def acc(self, n: int, g: int) -> None:
        """Add ``g`` to the gradient of slot ``n``, brought to its shape and type."""
        want: Spec = self.recs[home(self.recs, n)].spec
        have: Spec = self.spec(g)
        if have.shape != want.shape:
            g = sum_to(Val(self, g), want.shape).slot
        if have.dtype is not want.dtype:
            g = CAST_OP(Val(self, g), arg=want.dtype).slot
        self.put(n, g)

    def put(self, slot: int, g: int) -> None:
        """Add ``g``, which has the slot's shape and type, to the slot's gradient."""
        n = home(self.recs, slot)
        have = self.g.get(n)
        log = self.log
        if log is not None and slot in log.operands:
            log.events.append((len(self.new) - log.first, slot, g, have is not None))
        self.g[n] = g if have is None else self.make(ADD_OP, [have, g], None)

    def seed(self, slot: int, g: int) -> None:
        """Start at ``slot`` with the gradient ``g``."""
        n = home(self.recs, slot)
        have = self.g.get(n)
        self.g[n] = g if have is None else self.make(ADD_OP, [have, g], None)

    def wants(self, s: int) -> bool:
        return self.leads is None or s >= self.base or s in self.leads

    def passed(self, n: Rec) -> bool:
        """Does a gradient that is asked for go through ``n``?  Other nodes are not asked."""
        if self.leads is None:
            return True
        return any(self.wants(s) for s in (n.srcs[1:] if n.row.name in BESIDE else n.srcs))

    def rule(self, n: Rec, g: int) -> None:
        """Hand the gradient ``g`` of ``n`` on to its operands: as remembered, or by its rule."""
        key = question(n, self.operands(n), self.spec(g), self.wanted(n), self.create)
        if key is None:
            self.apply(n, g)
            return
        known = LESSONS.get(key)
        if known is not None:
            self.again(known.steps, n, g)
        elif self.log is not None:  # part of a rule that is being learnt
            self.apply(n, g)
        else:
            first = len(self.new)
            log = Log(n.srcs, first)
            self.log = log
            try:
                self.apply(n, g)
            finally:
                self.log = None
            learn(key, n, g, self.new[first:], log)

    def again(self, steps: list[Step], n: Rec, g: int) -> None:
        """Record what a rule recorded before, on other values of the same kind."""
        recs = self.recs
        new = self.new
        create = self.create
        at: list[int] = [*n.srcs, int(n.slot), g]
        for q in steps:
            op = q.op
            if op is None:
                self.put(n.srcs[q.operand], at[q.srcs[0]])
                continue
            slot = len(recs)
            r = Rec(op.code, NONE, NONE, NONE, q.arg, slot, None)
            r.row = op
            places = q.srcs
            srcs: tuple[int, ...]
            if len(places) == 2:
                srcs = (at[places[0]], at[places[1]])
            elif len(places) == 1:
                srcs = (at[places[0]],)
            else:
                srcs = tuple([at[k] for k in places])
            spec: Spec = q.spec
            r.srcs = srcs
            r.spec = spec
            r.size = sized(spec)
            r.rg = spec.dtype.rank > 1 and flows(recs, op, srcs) if create else q.rg
            recs.append(r)
            new.append(r)
            at.append(slot)

    def reading(self, n: Rec) -> list[int]:
        """The forward slots that the rule of ``n`` reads, for a gradient laid out in rows."""
        key = question(n, self.operands(n), None, self.wanted(n), False)
        if key is not None:
            known = READS.get(key)
            if known is not None:
                srcs = n.srcs
                count = len(srcs)
                return [srcs[k] if k < count else int(n.slot) for k in known]
        g = self.ones(n.spec)
        k = len(self.new)
        self.g = {}
        self.rule(n, g)
        found = reads(self.new, k, self.base, self.given)
        if key is not None:
            readings(key, n, found)
        return found

    def operands(self, n: Rec) -> list[Spec]:
        """The specs of a record's operands."""
        out: list[Spec] = []
        for s in n.srcs:
            out.append(self.spec(s))
        return out

    def wanted(self, n: Rec) -> int:
        """Two bits for each operand: does a gradient flow into it, is it asked for."""
        out = 0
        for s in n.srcs:
            out <<= 2
            if s >= 0 and self.recs[s].rg:
                out += 3 if self.wants(s) else 1
        return out

    def apply(self, n: Rec, g: int) -> None:
        """Apply the rule of ``n``."""
        op: Op = n.row
        self.home = n.spec.device
        gv = Val(self, g)
        out = Val(self, int(n.slot))
        operands = [Val(self, s) for s in n.srcs]
        if op.grads == () and op.decompose is not None:
            self.through(n, g, operands)
            return
        self.made = {}
        for i, s in enumerate(n.srcs):
            if s >= 0 and self.recs[s].rg and self.wants(s):
                f = op.gradient(i)
                if f is not None:
                    v = pulled(op, i, f, gv, out, operands)
                    if v is not None:
                        self.acc(s, v.slot)
        self.made = None

    def through(self, n: Rec, g: int, operands: list[Val]) -> None:
        """A composite without a gradient of its own: take it apart, differentiate the parts."""
        first = len(self.recs)
        was = self.create
        self.create = True
        decompose = n.row.decompose
        root = decompose(*operands, arg=n.arg).slot
        self.create = was
        last = len(self.recs)
        if root < first:  # an operand as it is
            if self.recs[root].rg and self.wants(root):
                self.acc(root, g)
            return
        self.g[root] = g
        for i in range(last - 1, first - 1, -1):
            have = self.g.pop(i, None)
            if have is not None and self.recs[i].rg:
                self.rule(self.recs[i], have)

    def walk(self, top: int, stop: int) -> int:
        """Differentiate from slot ``top`` down to above ``stop``; the mask of nodes that read
        forward values."""
        visited = 0
        for i in range(top, stop, -1):
            g = self.g.get(i)
            if g is None:
                continue
            n = self.recs[i]
            if not n.rg or n.op == LEAF or n.op == ENTER or not self.passed(n):
                continue
            k = len(self.new)
            self.rule(n, g)
            if self.saved(n, k):
                visited |= 1 << i
        return visited

    def saved(self, n: Rec, start: int) -> bool:
        """Does what the rule of ``n`` recorded from ``start`` on read what the node saved?  As in
        PyTorch that is a forward value, or the number of a product; not a table of ours."""
        product = (n.row is MUL_OP or n.row is DIV_OP) and n.arg is None
        for j in range(start, len(self.new)):
            for s in self.new[j].srcs:
                if s < 0:
                    if product:
                        return True
                elif s < self.base and s not in self.given and not fixed(self.recs, s):
                    return True
        return False

    def ones(self, spec: Spec) -> int:
        """The gradient a scalar root starts with."""
        self.home = spec.device
        one = self.make(CONST_OP, [], (1.0, spec.dtype))
        return self.make(FULL_OP, [one], (spec.shape, spec.dtype))


def flows(recs: list[Rec], op: Op, srcs: tuple[int, ...]) -> bool:
    """Does a gradient flow into what ``op`` makes of ``srcs``?"""
    for i, s in enumerate(srcs):
        if s >= 0 and recs[s].rg and (op.decompose is not None or op.gradient(i) is not None):
            return True
    return False


def home(recs: list[Rec], slot: int) -> int:
    """Where a slot's gradient is summed: a graft is only another value for its history."""
    while recs[slot].op == GRAFT:
        slot = recs[slot].srcs[1]
    return slot


def leading(recs: list[Rec], slots: tuple[int, ...], entries: tuple[int, ...]) -> set[int]:
    """The slots from which ``slots`` or the entries of history ``entries`` can be reached
    backwards."""
    out = {home(recs, s) for s in slots}
    for r in recs:
        i = int(r.slot)
        if not r.rg or i in out:
            continue
        if r.op == LEAF or r.op == ENTER:
            if int(r.gidx) in entries:
                out.add(i)
            continue
        for s in r.srcs[1:] if r.row.name in BESIDE else r.srcs:
            if s in out:
                out.add(i)
                break
    return out


def sum_to(v: Val, shape: tuple[int, ...]) -> Val:
    """Undo broadcasting: sum over the dimensions that were repeated."""
    have = v.shape
    k = len(have) - len(shape)
    dims = tuple(range(k)) + tuple(
        k + i for i, n in enumerate(shape) if n == 1 and have[k + i] != 1
    )
    if dims:
        v = SUM_OP(v, arg=(dims, True))
    return RESHAPE_OP(v, arg=shape) if k else v


def reads(recs: list[Rec], start: int, base: int, given: set[int]) -> list[int]:
    """The forward slots (below ``base``, not in ``given``) that ``recs[start:]`` read."""
    out: list[int] = []
    for j in range(start, len(recs)):
        for s in recs[j].srcs:
            if 0 <= s < base and s not in out and s not in given:
                out.append(s)
    return out


def fixed(recs: list[Rec], slot: int) -> bool:
    """Is the value at a slot a table (see `flush.table_spec`), or another reading of one?"""
    while True:
        r = recs[slot]
        if r.op == LEAF:
            return r.arg is not None and len(r.arg) == TABLE_ARG
        if r.row.kind != MOVE and r.row.kind != ALIAS and r.row is not CAST_OP:
            return False
        slot = r.srcs[0]


def shown(recs: list[Rec], slot: int, path: set[int] | None) -> int:
    """The slot whose memory a view or alias at ``slot`` shows; ``path`` collects the views and
    aliases on the way.  Of a graft the value counts; entries of history are not seen through."""
    while True:
        r = recs[slot]
        row: Op = r.row
        if row.kind == ALIAS:
            if r.op == ENTER or row.name in ("relayout", "function"):
                return slot
        elif row.kind != MOVE or r.region is None:
            return slot
        if path is not None:
            path.add(slot)
        slot = r.srcs[0]


def kept(recs: list[Rec], slot: int) -> int:
    """The slot whose value is kept for ``slot``: what it shows, and of a view with gaps or overlap
    that entered with a history of its own, what that shows."""
    while True:
        slot = shown(recs, slot, None)
        r = recs[slot]
        if r.op != ENTER or r.region is None or r.dense:
            return slot
        slot = r.srcs[0]


class Template:
    """Gradient program of a flushed stretch for given seeds: the saved slots it reads, its records,
    what leaves."""

    def __init__(self, n0: int) -> None:
        self.n0: int = n0  # forward slots; seeds follow
        self.need: list[int] = []
        self.numbers: list[int] = []
        self.views: list[Rec] = []  # of saved values, recorded again
        self.recs: list[Rec] = []
        self.vmask: int = 0
        self.grads: list[tuple[int, int]] = []  # (entry index, slot)
        self.inner: tuple[int, ...] = ()  # entries that are differentiated again, but no leaves
        self.entries: dict[int, int] = {}  # entry index -> its slot in the stretch
        self.natural: bool = False  # are gradients laid out as the rules have them?
        self.seeds: tuple[Spec, ...] = ()
        self.pend: list[tuple[int, int]] = []  # (forward slot, slot)
        self.caps: list[tuple[int, int]] = []  # (forward slot, slot)


def make_template(
    recs: list[Rec],
    numbers: list[Any],
    seeds: tuple[int, ...],
    specs: tuple[Spec, ...],
    create: bool,
    stop: int,
    caps: tuple[int, ...],
    only: tuple[int, ...] | None,
) -> Template:
    """Differentiate a flushed stretch from ``seeds``, given gradients laid out as ``specs`` say,
    down to above ``stop``."""
    n0 = len(recs)
    bt = Template(n0)
    bt.seeds = specs
    full = list(recs)
    for j, spec in enumerate(specs):
        q = Rec(LEAF, NONE, NONE, NONE, None, n0 + j, None)
        q.row = TABLE["leaf"]
        q.spec = spec
        q.rg = create
        full.append(q)
    tp = Tape(full, numbers, create)
    tp.base = n0
    if only is not None:
        tp.leads = leading(recs, caps, only)
        bt.natural = True
    for j, s in enumerate(seeds):
        tp.seed(s, n0 + j)
    bt.vmask = tp.walk(max(tp.g), stop)
    seen: set[int] = set()
    views: set[int] = set()
    for r in tp.new:
        for s in r.srcs:
            if s < 0:
                if ~s not in bt.numbers:
                    bt.numbers.append(~s)
            elif s < n0 and s not in seen:
                seen.add(s)
                # Where a gradient flows, a view enters as itself: contributions meet at it.
                b = s if create and recs[s].rg else shown(recs, s, views)
                if b not in bt.need:
                    bt.need.append(b)
    bt.views = [recs[i] for i in sorted(views)]
    bt.recs = tp.new
    for i in sorted(tp.g):
        if i >= n0:
            continue
        entry = (recs[i].op == LEAF or recs[i].op == ENTER) and recs[i].rg
        if entry:
            bt.entries[int(recs[i].gidx)] = i
        if i <= stop:
            bt.pend.append((i, tp.g[i]))
        elif entry:
            bt.grads.append((int(recs[i].gidx), tp.g[i]))
    for c in caps:
        i = home(recs, c)
        if i > stop and i in tp.g:
            bt.caps.append((c, tp.g[i]))
    return bt
