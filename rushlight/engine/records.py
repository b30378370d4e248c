"""What recording is made of: records and storages.

A record is a pure function of immutable slots, interned in a trie; a storage is memory that handles
may share.
"""

from __future__ import annotations

from typing import Any, Final

from mypy_extensions import i64, mypyc_attr

from ..base.size import Size

NONE: Final = -1
NOBODY: Final = -(1 << 60)
NUM_B: Final = (
    -2
)  # operand codes of Python numbers: bool, int, float; the value is a run-time input
NUM_I: Final = -3
NUM_F: Final = -4

# The recorder's own records; operations have the codes of the table, below ROOT.
ROOT: Final = 100_000
MODE: Final = 100_001
BACKWARD: Final = 100_002
TEMPLATE: Final = 100_003
STEP: Final = 100_004
FLUSH: Final = 100_005
MANY: Final = -9  # operand code: the operands are in the key, (argument, slots)

CREDIT: Final = 8192  # new records without one known stretch, after which a trie takes no more

TUPLE: Final[Any] = tuple.__new__
NO_RECS: Final[list[Rec]] = []
NO_PAIRS: Final[list[tuple[int, Rec]]] = []
NO_MORE: Final[list[int]] = []  # never appended to
NO_ALTS: Final[dict[Any, Rec]] = {}  # never written to
FIRST: Final[list[Rec]] = []  # DUMMY, once it is made


@mypyc_attr(acyclic=True)  # the garbage collector need not walk tries: `forget` breaks their cycles
class Rec:
    """One interned record.  Everything here is a function of the path from the root, and static.

    ``a b c key`` is what recognition compares (slots, codes of numbers, the static argument with
    the slots of further operands); ``srcs`` are all operands, a number ``k`` as ``~k``; ``end`` is
    the next free slot after it.

    What most records have in common stands in the class: they are made in few steps.
    """

    row: Any = None  # the operation's row, None for the recorder's own records
    srcs: tuple[int, ...] = ()
    spec: Any = None
    size: Any = None  # the shape as users see it, once it was asked for
    rg: bool = False  # does a gradient flow into it
    region: Any = None  # of a view: (shape, strides, offset) in its storage; None: a base
    dense: bool = False  # of a view: has it neither gaps nor overlap
    apart: bool = False  # not kept in the trie: gone when its stretch is over
    seen: Any = None  # of a LEAF: the spec of what entered as it last
    limit: Any = None  # of a LEAF that is an index: what its integers have to be, see known.py
    reader: Any = None  # how `item` reads the one element
    li: i64 = 0  # index among the handles of its stretch
    nlive: i64 = 0  # handles made so far, this record's included
    sidx: i64 = 0  # index of its first number
    nnum: i64 = 0  # numbers taken so far, this record's included
    nleaf: i64 = 0  # LEAF records so far, this one included
    nent: i64 = 0  # entries of history so far, this one included
    gidx: i64 = 0  # index among the stretch's entries of history
    ncall: i64 = 0  # calls into Python (custom functions) so far
    alts: dict[Any, Rec] = NO_ALTS  # what followed, where that is not `nxt` alone; see `enter`
    # Only the recorder's own records have these; they bring lists of their own.
    subs: list[Rec] = NO_RECS  # a gradient program's or an optimiser step's own records
    grads: list[tuple[int, Rec]] = NO_PAIRS  # gradients that leave: (entry index, record)
    pend: list[tuple[int, Rec]] = NO_PAIRS  # seeds that go on below a call into Python
    freed: int = 0  # nodes whose saved values earlier backwards released, as a bit mask
    mask: bytes = b""
    natural: Any = None  # of a gradient that leaves: its spec where no stretch ends, if another
    info: Any = None
    templates: dict[Any, Any] | None = None  # a flushed stretch's gradient programs
    where: Any = None  # the user's line that first recorded it

    def __init__(
        self, op: i64, a: i64, b: i64, c: i64, key: object, slot: i64, parent: Rec | None
    ) -> None:
        self.op: i64 = op
        self.a: i64 = a
        self.b: i64 = b
        self.c: i64 = c
        self.key: object = key
        self.slot: i64 = slot
        self.end: i64 = slot + 1
        self.nxt: Rec = FIRST[0] if FIRST else self  # what followed last, or DUMMY
        self.parent: Rec | None = parent
        self.arg: Any = key


DUMMY: Final = Rec(ROOT, NONE, NONE, NONE, None, NONE, None)  # follows what nothing followed
FIRST.append(DUMMY)


def key_of(q: Rec) -> Any:
    """What recognition compares of a record that follows another."""
    if q.op == FLUSH:
        return q.mask
    if q.op == STEP:
        return (int(STEP), id(q.arg), int(NONE), int(MANY), (q.key, q.srcs))
    return (int(q.op), int(q.a), int(q.b), int(q.c), q.key)


def enter(r: Rec, key: Any, q: Rec) -> None:
    """``q`` may follow ``r``: recognised by ``key``, which need not be its own."""
    alts = r.alts
    if alts is NO_ALTS:
        alts = {}
        if r.nxt is not DUMMY:
            alts[key_of(r.nxt)] = r.nxt
        r.alts = alts
    alts[key] = q


def succeed(r: Rec, q: Rec) -> None:
    """``q`` is what follows ``r`` from now on.  The first that does so takes no dictionary: most
    records are followed by one other, and the garbage collector would have to walk each."""
    if r.alts is not NO_ALTS or r.nxt is not DUMMY:
        enter(r, key_of(q), q)
    r.nxt = q


def follower(r: Rec, key: Any) -> Rec | None:
    """What is known to follow ``r`` by this key."""
    if r.alts is NO_ALTS:
        q = r.nxt
        return q if q is not DUMMY and key_of(q) == key else None
    return r.alts.get(key)


def followers(r: Rec) -> list[Rec]:
    """All that is known to follow ``r``."""
    if r.alts is NO_ALTS:
        return [] if r.nxt is DUMMY else [r.nxt]
    return list(r.alts.values())


def forget(roots: list[Rec]) -> None:
    """Take a trie apart: children keep their parents alive, but not the other way round."""
    todo = list(roots)
    while todo:
        r = todo.pop()
        todo.extend(followers(r))
        r.alts = NO_ALTS
        r.nxt = DUMMY


class Storage:
    """Memory that handles may share.  Its value is ``slot`` when ``epoch`` is its recorder's, else
    ``mem``.

    What a new storage has in common with all others stands in the class: it is made in few steps.
    """

    own: Any = None  # the ndarray that owns exposed memory; None: unknown exporter
    exposed: bool = False
    epoch: i64 = 0
    slot: i64 = NONE
    leaf: i64 = NONE  # the slot it entered as
    ver: i64 = 0  # counts writes
    heard: i64 = 0  # `ver` at the last write that histories hear of: not one through `.data`
    silent: i64 = 0  # of those in `ver`, what is no write that histories hear of
    wep: i64 = 0  # the epoch of its last write
    nbytes: i64 = NONE  # of its memory, once it has entered
    mep: i64 = 0  # the epoch of its members
    # This epoch's handles: >= 0 index in live, else ~index in uses; most have only a first.
    first: i64 = NOBODY
    more: list[int] = NO_MORE
    fixed: bool = False  # its address was asked for: it stays where it is while it can
    moved: bool = False  # became private: the next use reads memory once more
    shown: dict[Any, Rec] | None = None  # its views that were handed out
    checked: Any = None  # the limit that its memory was last found to be in, when `ver` was `cver`
    cver: i64 = NONE

    def __init__(self, mem: Any, spec: Any) -> None:
        self.mem: Any = mem  # a Buffer or Foreign in the layout of `spec`; None: never computed
        self.spec: Any = spec  # of the base: dense, offset 0
        self.old: bool = mem is not None  # existed before this epoch: always written back


def number_code(v: object) -> i64:
    """The operand code of a Python number; NONE when it is none."""
    if isinstance(v, float):
        return NUM_F
    if isinstance(v, bool):
        return NUM_B
    if isinstance(v, int):
        return NUM_I
    return NONE


def size_of(shape: tuple[int, ...]) -> Any:
    """A shape as users see it."""
    return TUPLE(Size, shape)


def in_int64(v: object) -> bool:
    """Does an integer fit 64 bits?"""
    return isinstance(v, int) and -0x8000000000000000 <= v <= 0x7FFFFFFFFFFFFFFF
