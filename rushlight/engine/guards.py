"""What has to hold for a step to be replayed: arguments, optimisers, and what names stand for."""

from __future__ import annotations

from typing import Any, Final

from mypy_extensions import i64

from .core import Tensor
from .handles import leaf_key, loose_key


class Miss:
    """The type of `MISS`."""


MISS: Final = Miss()  # what a replay gives when the step has to be run


# ---------------------------------------------------------------- arguments
WHOLE: Final = 0  # a tensor that is its whole storage, or the same view of one
WINDOW: Final = 1  # a dense part of a storage, wherever it lies in it
EQUAL: Final = 2  # a number, a string, None: the same type and value
SAME: Final = 3  # the very object
SEQUENCE: Final = 4
MAPPING: Final = 5


class Argument:
    """What an argument has to be like."""

    __slots__ = ("cls", "items", "key", "kind", "names", "region", "value")

    def __init__(self, kind: i64, value: Any) -> None:
        self.kind: i64 = kind
        self.value: Any = value
        self.cls: Any = type(value)
        self.key: Any = None
        self.region: Any = None
        self.items: list[Argument] = []
        self.names: list[Any] = []

    def matches(self, v: Any, found: list[Tensor]) -> bool:
        """Is ``v`` like it?  Its tensors are appended to ``found``."""
        kind = self.kind
        if kind == SAME:
            return v is self.value
        if type(v) is not self.cls:
            return False
        if kind == EQUAL:
            return v is self.value or same_number(v, self.value)
        if kind == SEQUENCE:
            if len(v) != len(self.items):
                return False
            return all(q.matches(w, found) for q, w in zip(self.items, v))
        if kind == MAPPING:
            if list(v) != self.names:
                return False
            return all(q.matches(w, found) for q, w in zip(self.items, v.values()))
        t: Tensor = v
        s = t.st
        if s is None or s.mem is None:
            return False
        f = t.fam
        if f is not None and (f.hist is not None or f.root is not None):
            return False
        r = t.rec
        if kind == WINDOW:
            if r.region is None or not r.dense or loose_key(r.spec, False) is not self.key:
                return False
        else:
            if leaf_key(s.spec, False) is not self.key:
                return False
            region = r.region
            if region is not self.region and region != self.region:
                return False
        found.append(t)
        return True


def same_number(a: Any, b: Any) -> bool:
    """Equal values of one type; zeros of either sign and NaN are told apart by how they print."""
    return bool(a == b) and repr(a) == repr(b)


# ---------------------------------------------------------------- optimisers
class Stepping:
    """One parameter group's step: its run-time numbers, its count, and what they rest on.

    ``owner``: the optimiser; ``kept``: what it keeps of the group (`optim.optimizer.Group`).
    """

    __slots__ = (
        "count", "counts", "enough", "fields", "fresh", "group", "groups", "index", "kept", "names",
        "ngroups", "numbers", "owner", "params", "static", "values",
    )  # fmt: skip

    def __init__(self, owner: Any, index: int, kept: Any, counts: bool, enough: Any) -> None:
        self.owner: Any = owner
        self.fields: dict[Any, Any] = owner.__dict__
        self.index: int = index
        self.kept: Any = kept
        self.groups: Any = self.fields["_groups"]
        self.group: dict[Any, Any] = kept.group
        self.ngroups: int = len(owner.param_groups)
        self.params: list[Any] = list(kept.params)
        self.names: Any = kept.names
        self.static: Any = owner._static(kept.group)
        self.values: list[Any] = list(self.group.values())
        self.counts: bool = counts
        self.enough: Any = enough
        self.count: int = 0
        self.numbers: list[Any] = []
        self.fresh: bool = True  # the numbers have to be asked for

    def holds(self) -> bool:
        """Is everything but numbers as it was?"""
        fields = self.fields
        if "step" in fields:
            return False
        if fields["_groups"] is not self.groups and not self.collected():
            return False
        groups: list[Any] = fields["param_groups"]
        if len(groups) != self.ngroups or groups[self.index] is not self.group:
            return False
        group = self.group
        params: list[Any] = group["params"]
        mine = self.params
        n = len(mine)
        if len(params) != n:
            return False
        for i in range(n):
            if params[i] is not mine[i]:
                return False
        values = self.values
        if len(group) != len(values):
            return False
        for v, had in zip(group.values(), values):
            if v is not had:
                return self.settle()
        return True

    def collected(self) -> bool:
        """Somebody looked at the state: is what the optimiser now keeps of the group the same?"""
        groups: list[Any] = self.fields["_groups"]
        if len(groups) != self.ngroups or len(groups) != len(self.fields["param_groups"]):
            groups = self.owner._collect()  # as the step itself would
        old = self.kept
        kept = groups[self.index]
        if kept.group is not self.group or kept.names != self.names or kept.steps is not None:
            return False
        if not same_tensors(kept.params, old.params) or not same_tensors(kept.bare, old.bare):
            return False
        if len(kept.rows) != len(old.rows):
            return False
        for (p, state), (q, before) in zip(kept.rows, old.rows):
            if p is not q or not same_tensors(state, before):
                return False
        self.kept = kept
        self.groups = groups
        return True

    def settle(self) -> bool:
        """Other settings: do they ask for the same rows?"""
        group = self.group
        for k, v in group.items():
            if k != "params" and not plain(v):
                return False
        if self.owner._names(group) != self.names or self.owner._static(group) != self.static:
            return False
        self.values = list(group.values())
        self.fresh = True
        return True

    def next(self) -> list[Any]:
        """The numbers of the next step; nothing is counted yet."""
        count: int = self.kept.count
        if self.enough is None or count != self.enough:
            self.count = count + 1
            self.numbers = list(self.owner._numbers(self.group, self.count))
            self.fresh = True
        elif self.fresh or self.count != count:
            self.count = count
            self.numbers = list(self.owner._numbers(self.group, count))
            self.fresh = False
        return self.numbers

    def done(self) -> None:
        """The step has been taken."""
        if self.kept.count != self.count:
            self.kept.count = self.count
        if self.counts:
            self.fields["_stale"] = True


def same_tensors(a: Any, b: Any) -> bool:
    """Are these the very same objects?"""
    return len(a) == len(b) and all(v is w for v, w in zip(a, b))


def plain(v: Any) -> bool:
    """Is it a value that cannot change in place: a number, a word, a tuple of such?"""
    if v is None or isinstance(v, (bool, int, float, str)):
        return True
    return isinstance(v, tuple) and all(plain(w) for w in v)


# ---------------------------------------------------------------- names
def content(cell: Any) -> object:
    """What a cell holds; MISS for an empty one."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISS


def same_items(held: Any, items: list[Any]) -> bool:
    """Does a list (or a dictionary, as keys and values) still hold these very objects?"""
    if isinstance(held, dict):
        if 2 * len(held) != len(items):
            return False
        pairs = enumerate(held.items())
        return all(k is items[2 * i] and v is items[2 * i + 1] for i, (k, v) in pairs)
    if len(held) != len(items):
        return False
    return all(v is w for v, w in zip(held, items))
