"""The recorder as the layers above call it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..base import dtype as dt
from ..base.device import CPU
from ..graph.autocast import wanted
from ..graph.op import TABLE, Op
from . import backward as bw
from . import flush as fl
from . import handles, leaves, record, step, stretch, tape, trie
from .core import NOTHING, SLOW, Engine, Tensor, mine, peek, record1, record2, record3
from .descent import Call, Tracer
from .records import MANY, Rec
from .staying import fix


def apply(op: Op, *operands: Any, arg: Any = None) -> Tensor:
    """Record an operation; operands are tensors or Python numbers (run-time inputs), ``arg`` its
    static argument."""
    n = len(operands)
    if n == 1:
        x = operands[0]
        if isinstance(x, Tensor):
            return record1(op.code, x, arg)
    elif n == 2:
        x = operands[0]
        y = operands[1]
        if isinstance(x, Tensor) and isinstance(y, Tensor) and op.kind != "join":
            return record2(op.code, x, y, arg)
    elif n == 3:
        x = operands[0]
        y = operands[1]
        z = operands[2]
        if (
            isinstance(x, Tensor)
            and isinstance(y, Tensor)
            and isinstance(z, Tensor)
            and op.kind != "join"
        ):
            return record3(op.code, x, y, z, arg)
    return record.apply(op, operands, arg)


def view(op: Op, x: Tensor, arg: Any) -> Tensor:
    """A view of ``x`` (a row of ``graph.ops.movement.GEOMETRY``)."""
    return record.view(op, x, arg)


def inplace(op: Op, x: Tensor, *operands: Any, arg: Any = None) -> Tensor:
    """``x.op_(...)`` with PyTorch's checks."""
    return record.inplace(op, x, operands, arg)


def settle(name: str, x: Tensor, value: Tensor) -> Tensor:
    """Write a result computed from ``x`` back into it: the end of an in-place operation made of
    several rows."""
    return record.settle(x, value, False)


def check_inplace(x: Tensor) -> None:
    """Raise what PyTorch raises when ``x`` may not be written to."""
    record.check_inplace(x, False)


def assign(x: Tensor, value: Tensor) -> Tensor:
    """``x.copy_(value)``."""
    return record.assign(x, value)


def fill(x: Tensor, value: Any) -> Tensor:
    """``x.fill_(number)``."""
    return record.fill_inplace(x, value)


def full(shape: tuple[int, ...], value: Any, dtype: Any, device: Any = None) -> Tensor:
    """A tensor of one repeated number, which is a run-time input."""
    return record.full(shape, value, dtype, CPU if device is None else device)


def needs_grad(t: Tensor) -> bool:
    """``t.requires_grad``."""
    return handles.needs_grad(t)


def is_leaf(t: Tensor) -> bool:
    """Was ``t`` not made by an operation on something that needs a gradient?"""
    return leaves.is_leaf(t)


def require_grad(t: Tensor, flag: bool) -> Tensor:
    """``t.requires_grad_(flag)``."""
    return leaves.require_grad(t, flag)


def set_grad(t: Tensor, g: Tensor | None) -> None:
    """``t.grad = g``."""
    leaves.set_grad(t, g)


def set_data(t: Tensor, other: Tensor) -> None:
    """``t.data = other``: ``t`` keeps its history and gradient and takes over ``other``'s
    memory."""
    leaves.set_data(t, other)


def turn_into(t: Tensor, v: Tensor) -> None:
    """``t`` becomes ``v``, a view of it: what ``squeeze_`` and its kind do; pending work runs."""
    flush()
    leaves.turn_into(t, v)


def become(cls: Any, x: Tensor, requires_grad: bool) -> Any:
    """A handle of a subclass (``Parameter``) on ``x``'s memory, a leaf."""
    return leaves.become(cls, x, requires_grad)


def read(t: Tensor) -> Any:
    """The current value as a read-only array."""
    return fl.read(t)


def item(t: Tensor) -> object:
    """The one element as a Python number."""
    return fl.item(t)


def from_array(a: Any, dtype: Any, device: Any, requires_grad: bool = False) -> Tensor:
    """A tensor with a copy of an array whose NumPy type is ``dtype``'s."""
    t = fl.from_array(a, dtype, device)
    return leaves.require_grad(t, True) if requires_grad else t


def overwritten(t: Tensor) -> Any:
    """A writable array over all memory of ``t``, whose values are gone: for what fills much memory
    at once.  None where ``assign`` has to write."""
    return fl.overwritten(t)


def own_array(a: Any, dtype: Any, device: Any) -> Tensor:
    """A tensor that takes over a fresh array which nobody else refers to."""
    return fl.own_array(a, dtype, device)


def table(a: Any, dtype: Any, device: Any) -> Tensor:
    """A tensor of what an operation looks up: `own_array`, but a gradient that reads it saves
    nothing."""
    return fl.table(a, dtype, device)


def from_numpy(a: Any, spec: Any) -> Tensor:
    """A tensor that shares an array's memory."""
    return fl.from_numpy(a, spec)


def to_numpy(t: Tensor) -> Any:
    """An array that shares the tensor's memory."""
    where = t.rec.spec.device
    if where is not CPU and where.type != "cpu":
        raise TypeError(
            f"can't convert {where} device type tensor to numpy. Use Tensor.cpu() to copy the "
            "tensor to host memory first."
        )
    if handles.needs_grad(t):
        if record.is_grad_enabled():
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() "
                "instead."
            )
        t = record.detach(t)
    return fl.expose(t)


def address(t: Tensor) -> int:
    """``data_ptr()``: where the first element lies now."""
    s = fl.current(t)
    fix(s)
    region = t.rec.region
    return int(s.mem.address) + (0 if region is None else region[2] * s.spec.dtype.itemsize)


def same_storage(a: Tensor, b: Tensor) -> bool:
    """Do two tensors share memory?"""
    return a is b or (a.st is not None and a.st is b.st)


def detach(x: Tensor) -> Tensor:
    """The same memory without history."""
    return record.detach(x)


def data(x: Tensor) -> Tensor:
    """``x.data``: the same without history, and no history hears of writes through it."""
    return record.data(x)


def set_grad_enabled(flag: bool) -> bool:
    """Set gradient mode; the mode before."""
    return record.set_grad_enabled(flag)


def is_grad_enabled() -> bool:
    """Is gradient mode on?"""
    return record.is_grad_enabled()


def backward(
    roots: list[Tensor],
    grads: list[Tensor | None],
    retain: bool,
    create: bool,
    inputs: list[Tensor] | None = None,
) -> None:
    """Gradients of the roots' sum accumulate in leaves."""
    bw.backward(roots, grads, retain, create, inputs)


def grad(
    outputs: list[Tensor],
    inputs: list[Tensor],
    grads: list[Tensor | None],
    retain: bool,
    create: bool,
    allow_unused: bool,
) -> list[Tensor | None]:
    """Gradients of the outputs' sum at ``inputs``."""
    return bw.gradients(outputs, inputs, grads, retain, create, allow_unused)


def update(
    rule: Callable[..., Any], columns: list[tuple[Tensor, ...]], numbers: list[Any], arg: Any
) -> None:
    """One optimiser step as one record: see ``step.update``."""
    step.update(rule, columns, numbers, arg)


def flush() -> None:
    """Run everything pending in this thread."""
    fl.flush_engine(mine())


def hooks_of(t: Tensor) -> dict[int, Any]:
    """The hooks on ``t``'s gradient, to be added to and taken from."""
    if not handles.needs_grad(t):
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    e = mine()
    slot = int(handles.find(e, t))
    f = t.fam
    if f is not None and f.hist is not None and f.hep != e.epoch and handles.at_root(t):
        h = f.hist
        if h.frame is None:
            if h.hooks is None:
                h.hooks = {}
            found: dict[int, Any] = h.hooks
            return found
        if h.frame.hooks is NOTHING:
            h.frame.hooks = {}
        held: dict[int, Any] = h.frame.hooks.setdefault(h.slot, {})
        return held
    rec = f.rec if f is not None and f.own else t.rec
    if rec.op == trie.GRAFT:  # its gradient is summed where its history was before
        slot = tape.home(trie.get_tape(e), slot)
    own: dict[int, Any] = e.hooks.setdefault(slot, {})
    return own


def keeps_gradient(t: Tensor) -> bool:
    """Will ``t``'s gradient be kept though it is no leaf (``retain_grad``)?"""
    f = t.fam
    if f is None or not (f.own or t.rec.region is None):
        return False
    return handles.retained(mine(), f) is not None


def entries_of(t: Tensor) -> Any:
    """The entries of history of the stretch that a pending tensor is in; None when it was run."""
    e = mine()
    return e.gleaves if t.epoch == e.epoch else None


def after_accumulate(t: Tensor) -> dict[int, Any]:
    """Hooks that run when a leaf's gradient has been accumulated."""
    f = t.fam
    if f is None or f.hist is None or f.hist.frame is not None:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    if f.hist.after is None:
        f.hist.after = {}
    after: dict[int, Any] = f.hist.after
    return after


def grad_name(t: Tensor) -> str:
    """The name PyTorch prints for what made ``t`` (``AddBackward0``); empty for a leaf."""
    if not handles.needs_grad(t) or is_leaf(t):
        return ""
    r = t.rec
    f = t.fam
    if f is not None and r.region is None:
        r = f.rec
    return "" if r.row is None else str(r.row.name)


def attach_function(
    outputs: list[Tensor], inputs: list[Tensor | None], backward: Callable[..., Any]
) -> list[Tensor]:
    """Results of a custom function: values of ``outputs`` whose gradient is ``backward(*grads)``.

    ``inputs``: the tensors it is differentiated for, None where none is wanted; ``backward`` gives
    one gradient each.
    """
    e = mine()
    SLOW[0].bound(e)
    ep = int(e.epoch)
    slots = [int(handles.find(e, t)) if t is not None else -1 for t in inputs]
    wanted = tuple([s for s in slots if s >= 0])
    values = [int(handles.find(e, t)) for t in outputs]
    if int(e.epoch) != ep:  # another thread took the stretch over while a tensor was waited for
        return attach_function(outputs, inputs, backward)
    op = TABLE["function"]
    made: list[Tensor] = []
    first = -1
    for v in values:
        r = peek(e, op.code, -1, -1, MANY, (None, (v, *wanted)))
        if first < 0:
            first = int(r.slot)
        t = Tensor(r, e.epoch)
        e.live.append(t)
        e.cur = r
        made.append(t)
    e.calls.append(Call(backward, first, len(values), slots))
    return made


def version(t: Tensor) -> int:
    """How often ``t``'s memory was written."""
    s = t.st
    if s is None:
        return 0
    f = t.fam
    return int(f.writes) if f is not None and f.unheard else int(s.ver - s.silent)


def base_of(t: Tensor) -> Tensor | None:
    """The whole that ``t`` is a view of, another handle on the same memory; None of what is no
    view."""
    s = t.st
    if s is None or t.rec.region is None:
        return None
    f = t.fam
    if f is not None and f.own:
        f = f.base
    b = Tensor(handles.base_rec(s.spec), 0)
    b.st = s
    b.fam = f if f is not None and f.root is None else None
    return b


def set_entry(f: Callable[[object, Tensor | None], Tensor | None]) -> None:
    """Who makes tensors of NumPy arrays and scalars met as operands."""
    record.ENTRIES.clear()
    record.ENTRIES.append(f)


def set_matmul(f: Callable[[Tensor, Tensor], Tensor]) -> None:
    """What `@` does."""
    record.MATMULS.clear()
    record.MATMULS.append(f)


def records(t: Tensor) -> Rec:
    """The record behind a handle (for ``explain`` and tests)."""
    return t.rec


def set_autocast(policy: Any) -> Any:
    """Record under an autocast policy (None: under none); the one before.

    What is pending is run first: recognised programs are kept apart by policy.
    """
    e = mine()
    was = e.policy
    if policy is not was:
        switch(e, policy, e.tracer)
    return was


def set_tracer(tracer: Tracer | None) -> Tracer | None:
    """Show a tracer what this thread records from now on (None: nobody); the one before.

    What is pending is run first.
    """
    e = mine()
    was: Tracer | None = e.tracer
    if tracer is not was:
        switch(e, e.policy, tracer)
    return was


def tracer() -> Tracer | None:
    """Who is shown what this thread records."""
    found: Tracer | None = mine().tracer
    return found


def switch(e: Engine, policy: Any, tracer: Tracer | None) -> None:
    """Record under another policy or tracer: each has tries of its own, and a tracer empty ones."""
    fl.flush_engine(e)
    e.policies[e.policy, e.tracer is not None] = e.roots
    e.policy = policy
    e.tracer = tracer
    e.roots = e.policies.get((policy, tracer is not None)) or trie.new_root()
    stretch.clear(e)


def lowered(*operands: Any) -> tuple[Any, ...]:
    """Operands (tensors or None) as autocast converts them for a product; as they are without."""
    policy = mine().policy
    if policy is None:
        return operands
    kind = policy.kind
    out = []
    for x in operands:
        if x is not None and wanted(x.rec.spec, kind):
            x = record1(TABLE["cast"].code, x, kind)
        out.append(x)
    return tuple(out)


def set_default_float(d: Any) -> None:
    """Make ``d`` the default floating type.

    What is pending is run first and what was recognised is forgotten: types of recorded results may
    rest on the default.
    """
    e = mine()
    fl.flush_engine(e)
    if dt.Defaults.float is not d:
        dt.Defaults.float = d
        stretch.start_afresh(e)
        stretch.clear(e)
