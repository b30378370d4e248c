"""What a stretch has to compute when it is run: which values leave, the program that makes them."""

from __future__ import annotations

from typing import Any, Final

from ..graph import narrow
from ..graph.node import Node, Program
from ..graph.op import ALIAS, ELEMENTWISE, MOVE, TABLE, WRITE, Op, Spec, compute_type
from ..graph.ops.indexing import may_fail
from ..graph.ops.movement import CUT
from ..graph.shaping import Region
from .core import Engine, Tensor
from .pieces import path_freed
from .records import NO_RECS, Rec, Storage
from .tape import Tape, kept
from .trie import ENTER, FUNCTION, GRAFT, LEAF, get_tape

AS_STRIDED: Final[Op] = TABLE["as_strided"]
RELAYOUT: Final[Op] = TABLE["relayout"]


Pairs = tuple[tuple[int, int], ...]
NO_USERS: Final[dict[int, int]] = {}  # never written to


class FlushInfo:
    """What a FLUSH record knows: what leaves, where it goes, what a later backward needs, how to
    make it."""

    def __init__(self) -> None:
        # Tuples of numbers, and nothing where there is nothing: what is kept for a stretch that
        # never comes again must not be walked by the garbage collector.
        self.recs: list[Rec] = NO_RECS  # all records by slot
        self.plain: Pairs = ()  # handle index -> slot
        self.views: Pairs = ()  # held differentiable views: handle index -> slot
        self.stores: Pairs = ()  # storage index -> slot
        self.users: dict[int, int] = NO_USERS  # saved slot -> mask of the nodes that need it
        self.roots: tuple[int, ...] = ()
        self.made: Program | None = None  # `program`, once somebody has asked for it
        self.slots: tuple[int, ...] = ()  # slot of each node
        # for each leaf node, its place among the stretch's LEAF records
        self.leaves: tuple[int, ...] = ()
        self.outputs: tuple[int, ...] = ()  # slots that are computed, in the program's order
        # where each slot's value is found: an output's place, or ~k for the memory of the k-th LEAF
        # record
        self.at: dict[int, int] = NO_USERS
        self.plain_at: Pairs = ()
        self.stores_at: tuple[tuple[int, int, int], ...] = ()  # storage index, slot, place
        self.saved_at: Pairs = ()
        self.nsts: int = 0  # storages made or written
        self.nentries: int = 0  # entries of history
        self.freed: int = 0  # nodes whose saved values backwards in the stretch released
        self.follows: bool = True  # are the records all there is to run?
        self.runs: int = 0
        self.alone: float = 0.0  # seconds spent running one operation at a time
        self.last: int = 0  # when it did so last, counted in such runs of all stretches
        self.code: Any = None  # the native plan
        self.idle: bool = False  # is there nothing to run: no value leaves, and none is looked at
        self.numbers: list[Any] = []  # the numbers of the run it was made in, for their types
        self.watched: Any = None  # what runs instead while somebody watches: see watch.py

    @property
    def program(self) -> Program:
        """The program that makes what leaves, worked out when it is first asked for: the first run
        follows the records (see first.py).  With it come ``slots`` and ``leaves``."""
        p = self.made
        if p is None:
            assemble(self, self.numbers, self.outputs, [])
            p = self.made
            assert p is not None
        return p

    def describe(self) -> tuple[Any, ...]:
        """Everything that recognition promises to be the same."""
        places = (
            self.plain,
            self.views,
            self.stores,
            self.users,
            self.roots,
            self.outputs,
            self.at,
        )
        return (*places, str(self.program))


def source(recs: list[Rec], slot: int) -> int:
    """The slot whose value stands at ``slot``: aliases and whole overwrites are seen through."""
    while True:
        r = recs[slot]
        row: Op = r.row
        if row.kind == ALIAS and row.name != "relayout":
            slot = r.srcs[0]
        elif overwrites(r) and same_layout(r, recs[r.srcs[1]]):
            slot = r.srcs[1]
        else:
            return slot


def base_of(recs: list[Rec], slot: int) -> int:
    """The slot of the whole value that a slot shows a part of; what a rule moved is whole."""
    while True:
        slot = source(recs, slot)
        r = recs[slot]
        if r.row.kind != MOVE or r.region is None:
            return slot
        slot = r.srcs[0]


def region_in_base(r: Rec, of: Spec) -> Region:
    """What a record that reads memory with strides of its own reads, counted from where its
    operand's base starts."""
    shape, strides, offset = r.arg
    if r.row is not AS_STRIDED:
        offset += of.offset
    return shape, strides, offset


def overwrites(r: Rec) -> bool:
    """Is it a write of the whole base?"""
    row: Op = r.row
    return row.kind == WRITE and (r.arg is None or bool(r.arg == CUT))


def same_layout(a: Rec, b: Rec) -> bool:
    """Does ``b`` have the memory layout that ``a`` promises?"""
    return bool(a.spec.strides == b.spec.strides and b.region is None)


def stands(e: Engine, t: Tensor) -> bool:
    """Was nothing written after the view ``t`` was made?  Whether NumPy can reach the memory, of
    which no handle is current, is not what a stretch is recognised by: it may be met again without.
    """
    s: Storage | None = t.st
    if t.epoch == e.epoch or s is None:
        return s is not None
    return s.exposed and (s.wep != e.epoch or t.slot > s.slot)


def plan_flush(e: Engine, cur: Rec, mask: bytes) -> FlushInfo:
    """Work out a stretch that ends at ``cur``; ``mask`` says which handles somebody holds."""
    info = FlushInfo()
    recs = list(get_tape(e))
    info.recs = recs
    info.freed = path_freed(cur)
    info.nsts = len(e.sts)
    info.nentries = len(e.gleaves)
    held: set[int] = set()
    roots: set[int] = set()
    plain: list[tuple[int, int]] = []
    views: list[tuple[int, int]] = []
    stores: list[tuple[int, int]] = []
    for i in range(len(mask)):
        if mask[i]:
            t = e.live[i]
            if t.st is None:
                plain.append((i, int(t.slot)))
                if t.rec.rg:
                    roots.add(int(t.slot))
            else:
                held.add(id(t.st))
                if t.rec.rg and t.rec.region is not None and stands(e, t):
                    views.append((i, int(t.slot)))
                    roots.add(int(t.slot))
    for k, s in enumerate(e.sts):
        if (s.old and s.slot != s.leaf) or (not s.old and id(s) in held):
            stores.append((k, int(s.slot)))
    for f in e.fams:
        if f.hep == e.epoch and f.rec.rg and (f.st.old or id(f.st) in held):
            roots.add(int(f.hslot))
    info.plain = tuple(plain)
    info.views = tuple(views)
    info.stores = tuple(stores)
    if roots:
        info.roots = tuple(sorted(roots))
        find_saved(e, info)
    build(e, info)
    return info


def find_saved(e: Engine, info: FlushInfo) -> None:
    """What a backward from the roots would read, less what an earlier backward released."""
    recs = info.recs
    freed = info.freed
    reach: set[int] = set()
    todo = list(info.roots)
    users: dict[int, int] = {}
    tp: Tape | None = None
    while todo:
        i = todo.pop()
        n = recs[i]
        if i in reach or not n.rg:
            continue
        reach.add(i)
        if n.op == LEAF or n.op == ENTER:
            continue
        called = n.op == FUNCTION
        if called or n.op == GRAFT:  # the history, not the value
            todo.extend([s for s in n.srcs[1:] if s >= 0])
        else:
            for s in n.srcs:
                if s >= 0:
                    todo.append(s)
        if freed >> i & 1 or called:
            continue
        if tp is None:
            tp = Tape(recs, e.numbers, False)
        for u in tp.reading(n):
            b = kept(recs, u)
            users[b] = users.get(b, 0) | 1 << i
    if users:
        info.users = users


def build(e: Engine, info: FlushInfo) -> None:
    """What has to be computed, and where each value that leaves is found."""
    recs = info.recs
    info.numbers = e.numbers
    plain = info.plain
    if len(plain) == 1 and not info.stores and not info.users:  # one value is looked at
        i, s = plain[0]
        if recs[source(recs, s)].op != LEAF:
            info.at = {s: 0}
            info.outputs = (s,)
            info.plain_at = ((i, 0),)
            return
    where: list[int] = [-1] * len(recs)  # of each source, its place among the outputs
    at: dict[int, int] = {}
    keep: list[int] = []
    for _, s in plain:
        at[s] = found(recs, s, where, keep)
    info.plain_at = tuple([(i, at[s]) for i, s in plain])
    if info.stores:
        for _, s in info.stores:
            if s not in at:
                at[s] = found(recs, s, where, keep)
        info.stores_at = tuple([(k, s, at[s]) for k, s in info.stores])
    if info.users:
        for s in sorted(info.users):
            if s not in at:
                at[s] = found(recs, s, where, keep)
        info.saved_at = tuple([(s, at[s]) for s in info.users])
    info.at = at
    info.outputs = tuple(keep)
    info.idle = not keep and not any(may_fail(r.row) for r in recs)


def found(recs: list[Rec], s: int, where: list[int], keep: list[int]) -> int:
    """Where the value of a slot is found: the place of an output, or ~k for the memory of the k-th
    LEAF record.  Several slots with one source share memory: nobody writes to it."""
    b = source(recs, s)
    r = recs[b]
    if r.op == LEAF:
        return -int(r.nleaf)
    k = where[b]
    if k < 0:
        k = len(keep)
        where[b] = k
        keep.append(s)
    return k


def assemble(
    info: FlushInfo, numbers: list[Any], keep: tuple[int, ...], more: list[int]
) -> dict[int, int]:
    """The program whose outputs are the slots ``keep``; also the nodes of the slots ``more``, which
    it gives."""
    recs = info.recs
    place: dict[int, int] = {}
    for r in recs:
        if r.op == LEAF:
            place[int(r.slot)] = len(place)
    need: set[int] = set()
    todo = [source(recs, s) for s in keep] + [source(recs, s) for s in more]
    for r in recs:
        if may_fail(r.row):
            todo.append(int(r.slot))  # never dropped
    while todo:
        i = todo.pop()
        if i in need:
            continue
        need.add(i)
        r = recs[i]
        for s in operands(r):
            if s >= 0:
                todo.append(source(recs, s))
    program = Program()
    info.made = program
    program.numbers = ["d" if isinstance(v, float) else "q" for v in numbers]
    at: dict[int, int] = {}
    leaves: list[int] = []
    made: list[int] = []
    narrows = any(r.spec is not None and r.spec.dtype.narrow for r in recs)
    for r in recs:
        i = int(r.slot)
        if i not in need:
            continue
        if r.op == LEAF:
            leaves.append(place[i])
        srcs = [at[source(recs, s)] if s >= 0 else s for s in operands(r)]
        specs = [recs[s].spec if s >= 0 else number_spec_of(numbers, s) for s in operands(r)]
        op: Op = r.row
        arg = r.arg
        if op.name == "reread" or op is AS_STRIDED:
            arg = region_in_base(r, specs[0])
            srcs = [at[base_of(recs, r.srcs[0])]]
            op = AS_STRIDED
        if overwrites(r):
            op, arg = RELAYOUT, r.spec.strides
        ctype = compute_type(op.types, specs, arg) if op.kind == ELEMENTWISE else None
        node = Node(op, tuple(srcs), arg, r.spec, ctype)
        if narrows and narrow.computes(node, specs):
            at[i] = narrow.append(program, node, specs)
            made.extend([i] * (at[i] - len(made)))
        else:
            at[i] = len(program.nodes)
            program.nodes.append(node)
        made.append(i)
    info.leaves = tuple(leaves)
    info.slots = tuple(made)
    program.outputs = [at[source(recs, s)] for s in keep]
    return {s: at[source(recs, s)] for s in more}


def operands(r: Rec) -> tuple[int, ...]:
    """What computing a record reads (a whole overwrite reads the value alone)."""
    if overwrites(r):
        return r.srcs[1:]
    if r.row.name == "function":
        return r.srcs[:1]
    return r.srcs


def number_spec_of(numbers: list[Any], s: int) -> Any:
    """What is known of a run-time number."""
    return Tape([], numbers, False).spec(s)
