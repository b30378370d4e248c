"""Recording: views, writes, gradient mode, and any operation of the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from mypy_extensions import i64, mypyc_attr

from ..base.device import CPU
from ..base.shape import is_dense, numel
from ..graph.op import OPS, TABLE, Op, Spec
from ..graph.ops import movement as mv
from ..graph.shaping import region_of
from .core import MAIN, SLOW, Engine, Fam, Slow, Tensor, binary, follow, made, mine, peek, record1
from .handles import (
    add_member,
    base_rec,
    find,
    is_leaf_grad,
    leave_hooks,
    needs_grad,
    promote,
    retain_anew,
    retained,
    settled,
    storage_slot,
    written,
)
from .records import MANY, MODE, NONE, NUM_I, ROOT, Rec, Storage, number_code
from .stretch import bound, foreign
from .trie import DETACH, WRITE, new_branch


def view(op: Op, x: Tensor, arg: Any) -> Tensor:
    """A view of ``x``: ``op`` a row of ``movement.GEOMETRY``, ``arg`` its normalised argument."""
    e = mine()
    code: i64 = op.code
    if not e.gm and needs_grad(x):
        x = detach(x)  # a view made without gradient mode has no history
    s = x.st
    if s is not None and s.mem is not None and still(e, x, s) and plain(x):
        return unrecorded(s, op, x, arg)
    r = e.cur.nxt
    if (
        s is None or x.epoch != e.epoch
        or r.op != code or r.a != x.slot or r.b != NONE or r.key != arg or r.li != len(e.live)
    ):  # fmt: skip
        SLOW[0].bound(e)
        s = x.st
        if s is not None and s.mem is not None and still(e, x, s) and plain(x):
            return unrecorded(s, op, x, arg)  # the stretch that wrote it has just ended
        r = peek(e, code, find(e, x), NONE, NONE, arg)  # may raise: x is promoted only afterwards
    t = Tensor(r, e.epoch)
    e.live.append(t)
    e.cur = r
    if x.st is None:
        promote(x)
    f = x.fam
    share(e, t, x, r, f.base if f is not None and f.own else f)
    if e.now:
        SLOW[0].flush(e)
    return t


def plain(x: Tensor) -> bool:
    """Has the tensor no history?  A view of one that has is a node of it and keeps its place."""
    f = x.fam
    return f is None or f.hist is None


def unrecorded(s: Storage, op: Op, x: Tensor, arg: Any) -> Tensor:
    """A view of memory that stands still."""
    f = x.fam
    if f is None:
        f = Fam(s, None, x.rec)
        x.fam = f
    t = Tensor(shown(s, op, x.rec, arg, f.hist is not None), 0)
    t.st = s
    t.fam = f
    return t


def still(e: Engine, x: Tensor, s: Storage) -> bool:
    """Is the tensor's value what its memory holds?  Then a view of it needs no record until it is
    used."""
    if not MAIN.solo and s.epoch != e.epoch:
        foreign(e, int(s.epoch))
    return settled(e, s) and (x.rec.region is not None or x.epoch != e.epoch)


def shown(s: Storage, op: Op, of: Rec, arg: Any, rg: bool) -> Rec:
    """What describes a view of memory that stands still; nothing is recorded."""
    views = s.shown
    if views is None:
        views = {}
        s.shown = views
    key = (op.code, of.region, arg)
    r = views.get(key)
    if r is not None and r.rg == rg:
        return r
    have: Spec = of.spec
    shape, strides, offset = region_of(op, have, arg)
    r = Rec(ROOT, NONE, NONE, NONE, None, NONE, None)
    r.row = op
    r.spec = Spec(shape, have.dtype, strides, have.device, offset=offset)
    r.region = (shape, strides, offset)
    r.dense = is_dense(shape, strides)
    r.rg = rg
    if len(views) >= MAX_VIEWS:
        views.clear()
    views[key] = r
    return r


MAX_VIEWS: Final = 256  # views of one storage that are remembered


def share(e: Engine, t: Tensor, x: Tensor, r: Rec, f: Fam | None) -> None:
    """A new handle shows ``x``'s storage."""
    s = x.st
    assert s is not None
    t.st = s
    t.fam = f
    t.reg = e.epoch
    add_member(s, r.li)
    if s.exposed:
        t.epoch = 0


def detach(x: Tensor) -> Tensor:
    """The same memory without history."""
    e = mine()
    s = x.st
    if s is None or s.mem is None or not still(e, x, s):
        SLOW[0].bound(e)
        s = x.st
    if s is not None and s.mem is not None and still(e, x, s):
        t = Tensor(x.rec, 0)
        t.st = s
        t.fam = Fam(s, None, base_rec(s.spec))
        return t
    a = find(e, x)
    r = peek(e, DETACH, a, NONE, NONE, None)
    t = Tensor(r, e.epoch)
    e.live.append(t)
    e.cur = r
    if x.st is None:
        promote(x)
    s = x.st
    assert s is not None
    f = Fam(s, None, r)
    share(e, t, x, r, f)
    if r.region is None:
        f.epoch = e.epoch
        f.slot = r.slot
        f.ver = s.ver
    if e.now:
        SLOW[0].flush(e)
    return t


def data(x: Tensor) -> Tensor:
    """The same memory without history, and no history hears of what is written through it."""
    t = detach(x)
    f = t.fam
    assert f is not None
    f.unheard = True
    return t


def check_inplace(x: Tensor, idempotent: bool) -> None:
    """What PyTorch refuses: writing into a leaf that wants a gradient, or into memory that repeats
    itself."""
    e = mine()
    f = x.fam
    if f is not None and f.own:
        f = f.base
    if e.gm and f is not None and is_leaf_grad(e, f):
        if x.rec.region is None:
            raise RuntimeError(
                "a leaf Variable that requires grad is being used in an in-place operation."
            )
        raise RuntimeError(
            "a view of a leaf Variable that requires grad is being used in an in-place operation."
        )
    if not idempotent:
        once(x)
        if e.gm and x.rec.region is not None:
            leave_hooks(e, x)


def once(x: Tensor) -> None:
    """``RuntimeError`` unless every element of ``x`` has memory of its own."""
    region = x.rec.region
    if region is not None and numel(region[0]) > 0:
        for n, st in zip(region[0], region[1]):
            if st == 0 and n > 1:
                raise RuntimeError(
                    "unsupported operation: more than one element of the written-to tensor "
                    "refers to a single memory "
                    "location. Please clone() the tensor before performing the operation."
                )


def distinct(x: Tensor, v: Tensor, whole: bool) -> None:
    """``RuntimeError``, as in PyTorch, where ``x`` is written from ``v`` and shares memory with
    it in part; ``whole``: wholly, too.  Memory with gaps is let through."""
    s = x.st
    if s is None or v.st is not s or (v is x and not whole):
        return
    a = x.rec.region
    b = v.rec.region
    first = a if a is not None else (x.rec.spec.shape, x.rec.spec.strides, 0)
    second = b if b is not None else (v.rec.spec.shape, v.rec.spec.strides, 0)
    n = numel(first[0])
    m = numel(second[0])
    if n == 0 or m == 0 or not is_dense(first[0], first[1]) or not is_dense(second[0], second[1]):
        return
    begin: int = first[2]
    other: int = second[2]
    if not whole and begin == other and n == m and first[1] == second[1]:
        return
    if begin < other + m and other < begin + n:
        raise RuntimeError(
            "unsupported operation: some elements of the input tensor and the written-to tensor "
            "refer to a single memory location. Please clone() the tensor before performing the "
            "operation."
        )


def write(x: Tensor, v: Tensor, cut: bool) -> Tensor:
    """``x``'s memory now holds ``v``'s value (same shape and type); ``cut``: made without ``x``."""
    e = mine()
    b = find(e, v)  # before the target: v may have been run at once
    s = x.st
    if s is None and (e.gm or not x.rec.rg) and x.epoch == e.epoch:
        r = peek(e, WRITE, x.slot, b, NONE, mv.CUT if cut else None)
        was = e.dirty
        e.dirty = True  # until path and handles agree again
        e.cur = r
        x.rec = r
        x.slot = r.slot
        e.dirty = was
        if e.now:
            SLOW[0].flush(e)
        return x
    ep = e.epoch
    find(e, x)
    if e.epoch != ep:  # another thread took the stretch over while the target was waited for
        return write(x, v, cut)
    if s is None and x.st is None:
        promote(x)
    s = x.st
    f = x.fam
    assert s is not None and f is not None
    if f.own:  # its history goes on in that of its base
        if retained(e, f) is None:
            x.fam = f.base
        f = f.base
        assert f is not None
    a = storage_slot(e, f)
    region = x.rec.region
    r = peek(e, WRITE, a, b, NONE, region if region is not None else mv.CUT if cut else None)
    was = e.dirty
    e.dirty = True
    e.cur = r
    if f.unheard:
        f.writes += 1
    written(e, s, r, not f.unheard)
    if f.root is None and (e.gm or not f.rec.rg):
        f.rec = r
        f.slot = r.slot
        f.ver = s.ver
        if r.rg:
            hooks = retained(e, f)
            if hooks is not None:
                retain_anew(e, hooks, f, f, int(r.slot))
            if f.hep != e.epoch:
                f.hep = e.epoch
                e.fams.append(f)
            f.hslot = r.slot
        if region is None:
            x.rec = r
            x.slot = r.slot
            if not s.exposed and x.reg == e.epoch:
                x.epoch = e.epoch
    e.dirty = was
    if x.fam is not None and x.fam.own:  # its gradient is kept: that of its new place
        find(e, x)
    if s.exposed or e.now:
        SLOW[0].flush(e)
    return x


def set_grad_enabled(flag: bool) -> bool:
    """Set gradient mode; the mode before."""
    e = mine()
    was = e.gm
    if was != flag:
        e.gm = flag
        if e.cur.op == ROOT:
            e.cur = e.roots[1 if flag else 0]
            e.tapecur = e.cur
            if e.tape:
                e.tape = []
        else:
            follow(e, MODE, NONE, NONE, NONE, flag)
    return was


def is_grad_enabled() -> bool:
    """Is gradient mode on in this thread?"""
    return mine().gm


def apply(op: Op, operands: tuple[Any, ...], arg: Any) -> Tensor:
    """Record ``op``: operands are tensors or Python numbers (run-time inputs)."""
    e = mine()
    SLOW[0].bound(e)
    ep = e.epoch
    slots: list[int] = []
    values: list[Any] = []
    for o in operands:
        if isinstance(o, Tensor):
            slots.append(int(find(e, o)))
        else:
            code = number_code(o)
            t = None
            if code == NONE:
                t = SLOW[0].operand(o, first_tensor(operands))
            if t is not None:
                slots.append(int(find(e, t)))
                continue
            if code == NONE:
                raise TypeError(f"{op.name}: expected a Tensor or a number, got {type(o).__name__}")
            if code == NUM_I and not -0x8000000000000000 <= o <= 0x7FFFFFFFFFFFFFFF:
                raise RuntimeError("value cannot be converted to type int64_t without overflow")
            slots.append(int(code))
            values.append(o)
    if e.epoch != ep:  # another thread took the stretch over while an operand was waited for
        return apply(op, operands, arg)
    n = len(slots)
    if n <= 3 and op.kind != "join":
        r = peek(
            e,
            op.code,
            slots[0] if n else NONE,
            slots[1] if n > 1 else NONE,
            slots[2] if n > 2 else NONE,
            arg,
        )
    else:
        r = peek(e, op.code, NONE, NONE, MANY, (arg, tuple(slots)))
    e.numbers.extend(values)
    return made(e, r)


def first_tensor(operands: tuple[Any, ...]) -> Tensor | None:
    """The first operand that is a tensor."""
    for o in operands:
        if isinstance(o, Tensor):
            return o
    return None


def inplace(op: Op, x: Tensor, operands: tuple[Any, ...], arg: Any) -> Tensor:
    """``x.op_(...)``: PyTorch's checks, the operation, the write."""
    check_inplace(x, False)
    for o in operands:
        if isinstance(o, Tensor):
            distinct(x, o, False)
    n = len(operands)
    if n == 1 and arg is None:
        return settle(x, binary(op.code, x, operands[0]), False)
    if n == 0:
        return settle(x, record1(op.code, x, arg), False)
    return settle(x, apply(op, (x, *operands), arg), False)


def settle(x: Tensor, v: Tensor, cut: bool) -> Tensor:
    """Write a result back into ``x``: its shape must fit, its type must not be of a higher kind."""
    want: Spec = x.rec.spec
    have: Spec = v.rec.spec
    if have is not want:
        if have.shape != want.shape:
            raise RuntimeError(
                f"output with shape {list(want.shape)} doesn't match the broadcast "
                f"shape {list(have.shape)}"
            )
        if have.dtype is not want.dtype:
            if have.dtype.rank > want.dtype.rank:
                raise RuntimeError(
                    f"result type {have.dtype.typename} can't be cast to the desired output "
                    f"type {want.dtype.typename}"
                )
            v = apply(TABLE["cast"], (v,), want.dtype)
    return write(x, v, cut)


def assign(x: Tensor, v: Tensor) -> Tensor:
    """``x.copy_(v)``: broadcast, convert, write."""
    shape = x.rec.spec.shape
    same = v is x or (v.st is not None and v.st is x.st and v.rec.region == x.rec.region)
    check_inplace(x, True)
    if not same:
        once(x)
        distinct(x, v, False)
    if same and v is not x and not (mine().gm and needs_grad(v)):  # a history goes on in the copy
        return x
    if v.rec.spec.shape != shape:
        v = view(TABLE["expand"], v, shape)
    if v.rec.spec.dtype is not x.rec.spec.dtype:
        v = apply(TABLE["cast"], (v,), x.rec.spec.dtype)
    if v.rec.spec.device is not x.rec.spec.device:
        v = moved(v, x.rec.spec.device)
    return write(x, v, True)


def moved(x: Tensor, where: Any) -> Tensor:
    """``x`` on a device: a copy that is recorded, itself when it is there."""
    if x.rec.spec.device == where:
        return x
    return apply(TABLE["to_device"], (x,), where)


def full(shape: tuple[int, ...], value: Any, dtype: Any, where: Any = CPU) -> Tensor:
    """A tensor of one repeated number, which is a run-time input."""
    if isinstance(value, complex) and dtype.kind != "c":
        value = value.real if value.imag == 0 else refused(value, dtype)
    arg = (shape, dtype) if where is CPU else (shape, dtype, where)
    return apply(TABLE["full"], (value,), arg)


def refused(value: complex, dtype: Any) -> Any:
    """A complex number has no place in a real tensor."""
    raise RuntimeError(
        f"value cannot be converted to type {dtype.name} without overflow: {value} has an "
        "imaginary part"
    )


def fill_inplace(x: Tensor, value: Any) -> Tensor:
    """``x.fill_(number)``."""
    check_inplace(x, True)
    spec: Spec = x.rec.spec
    return write(x, full(spec.shape, value, spec.dtype, spec.device), True)


# makes tensors of foreign operands, beside what
ENTRIES: Final[list[Callable[[object, Tensor | None], Tensor | None]]] = []
MATMULS: Final[list[Callable[[Tensor, Tensor], Tensor]]] = []  # `@` with PyTorch's cases


@mypyc_attr(allow_interpreted_subclasses=True)
class Recorder(Slow):
    """The slow path, all but running; ``flush.py`` completes it."""

    def use(self, e: Engine, t: Tensor) -> i64:
        return find(e, t)

    def branch(self, e: Engine, op: i64, a: i64, b: i64, c: i64, key: object) -> Rec:
        return new_branch(e, op, a, b, c, key)

    def bound(self, e: Engine) -> None:
        bound(e)

    def inplace(self, op: i64, x: Tensor, o: object) -> Tensor:
        if not isinstance(o, Tensor) and number_code(o) == NONE:
            t = self.operand(o, x)
            if t is None:
                raise TypeError(
                    f"{OPS[op].name}_(): argument must be a Tensor or a number, not "
                    f"{type(o).__name__}"
                )
            o = t
        check_inplace(x, False)
        if isinstance(o, Tensor):
            distinct(x, o, False)
        return settle(x, binary(op, x, o), False)

    def operand(self, v: object, like: Tensor | None) -> Tensor | None:
        return ENTRIES[0](v, like) if ENTRIES else None

    def matmul(self, x: Tensor, y: Tensor) -> Tensor:
        return MATMULS[0](x, y)

    def view(self, op: Op, x: Tensor, arg: object) -> Tensor:
        return view(op, x, arg)

    def detach(self, x: Tensor) -> Tensor:
        return detach(x)

    def fill(self, x: Tensor, value: object) -> Tensor:
        return fill_inplace(x, value)
