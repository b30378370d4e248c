"""Views, writes into views, and other readings of the same elements.

A view is an index map, and geometry (shape, strides, offset) in its storage.  ``write`` makes a new
value of the storage in which a region is replaced: what ``x[1:3] = v`` and ``y.add_(1)`` record.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...base import dtype as dt
from ...base.shape import Ints, contiguous_strides, is_one, numel, wrap_dim
from .. import shaping
from ..op import ALIAS, MOVE, WRITE, Op, Spec, register
from ..shaping import GEOMETRY, Region, laid, reshaped, viewed, written
from ..value import Val
from .core import iota, zeros


# ---- geometry of the rarer views, see ``shaping`` for the others: (spec, arg) -> region
def _diagonal(s: Spec, arg: Any) -> Region:
    offset, a, b = arg
    n = (
        min(s.shape[a], s.shape[b] - offset)
        if offset >= 0
        else min(s.shape[a] + offset, s.shape[b])
    )
    n = max(n, 0)
    start = s.offset
    if n:
        start += offset * s.strides[b] if offset >= 0 else -offset * s.strides[a]
    keep = [d for d in range(len(s.shape)) if d not in (a, b)]
    return (
        tuple(s.shape[d] for d in keep) + (n,),
        tuple(s.strides[d] for d in keep) + (s.strides[a] + s.strides[b],),
        start,
    )


def _unfold(s: Spec, arg: Any) -> Region:
    dim, size, step = arg
    n = (s.shape[dim] - size) // step + 1
    return (
        s.shape[:dim] + (n,) + s.shape[dim + 1 :] + (size,),
        s.strides[:dim] + (s.strides[dim] * step,) + s.strides[dim + 1 :] + (s.strides[dim],),
        s.offset,
    )


def _as_strided(s: Spec, arg: Any) -> Region:
    return arg  # type: ignore[no-any-return]  # relative to the memory of a base, whose offset is 0


def _define(name: str, geometry: Callable[[Spec, Any], Region], grad: Callable[..., Any]) -> Op:
    op = register(Op(name, MOVE, viewed))
    GEOMETRY[op] = geometry
    op.grads = (grad,)
    return op


# ---------------------------------------------------------------- gradients


def _region(x: Val, out: Val, op: Op) -> Region:
    """Where ``out`` lies in a contiguous tensor of ``x``'s shape."""
    return GEOMETRY[op](Spec(x.shape, x.dtype), out.arg)


def overlaps(shape: Ints, strides: Ints) -> bool:
    """Whether some element may be met twice, other than by a stride of 0."""
    reach = 0
    for step, n in sorted((s, n) for s, n in zip(strides, shape, strict=True) if n > 1 and s):
        if step <= reach:
            return True
        reach += step * (n - 1)
    return False


def spread(g: Val, region: Region, shape: Ints) -> Val:
    """Zeros of ``shape`` with ``g`` added at ``region``; repeated dimensions are summed first."""
    from_shape, strides, offset = region
    repeated = tuple(d for d in range(len(from_shape)) if strides[d] == 0 and from_shape[d] != 1)
    if repeated:
        g = sum_dims(g, repeated)
        from_shape = tuple(1 if d in repeated else n for d, n in enumerate(from_shape))
    if overlaps(from_shape, strides):
        memory = ADD_AT[0](zeros(g, (numel(shape),)), g, _places(g, from_shape, strides, offset),
                           arg=((0,), True))  # fmt: skip
        return reshape(memory, arg=shape)
    return write(zeros(g, shape), g, arg=(from_shape, strides, offset))


def _places(like: Val, shape: Ints, strides: Ints, offset: int) -> Val:
    """Where each element of a region lies in memory."""
    b = like.builder
    ones = (1,) * len(shape)
    at = Val(b, b.number(offset, Val(b, b.make(iota, [], ((1,), 0, dt.int64)))))
    for d, (n, step) in enumerate(zip(shape, strides, strict=True)):
        line = Val(b, b.make(iota, [], ((*ones[:d], n, *ones[d + 1 :]), d, dt.int64)))
        at = line * step + at
    return at


def sum_dims(g: Val, dims: Ints) -> Val:
    """Sum over ``dims``, kept with size 1."""
    return SUM[0](g, arg=(dims, True))


SUM: list[Op] = []  # the reduction's row, set by ops/reduce.py: a sum is an expansion's gradient
ADD_AT: list[Op] = []  # `index_put`, set by ops/indexing.py: what overlapping views ask for


def _expand_grad(g: Val, out: Val, x: Val) -> Val:
    k = len(out.shape) - len(x.shape)
    dims = tuple(range(k)) + tuple(
        k + i for i, n in enumerate(x.shape) if n == 1 and out.shape[k + i] != 1
    )
    if dims:
        g = sum_dims(g, dims)
    return reshape(g, arg=x.shape) if k else g


def _scatter_grad(op_name: str) -> Callable[..., Any]:
    def rule(g: Val, out: Val, x: Val) -> Val:
        return spread(g, _region(x, out, BY_NAME[op_name]), x.shape)

    return rule


def _permute_grad(g: Val, out: Val, x: Val) -> Val:
    inverse = [0] * len(out.arg)
    for i, d in enumerate(out.arg):
        inverse[d] = i
    return permute(g, arg=tuple(inverse))


def _as_strided_grad(g: Val, out: Val, x: Val) -> Val:
    return strided_grad(g, out, x, out.arg[2] - x.builder.spec(x.slot).offset)


def strided_grad(g: Val, out: Val, x: Val, start: int) -> Val:
    """The gradient of ``x`` from that of its memory read otherwise, from ``start`` elements behind
    where ``x`` starts."""
    spec = x.builder.spec(x.slot)
    shape, strides, _ = out.arg
    before = max(0, -start)
    room = max(_reach(spec.shape, spec.strides), start + _reach(shape, strides)) + before
    z = spread(g, (shape, strides, start + before), (room,))
    # The flat memory, read as the base is laid out: each place once, where the base repeats it.
    once = tuple([1 if step == 0 else n for n, step in zip(spec.shape, spec.strides, strict=True)])
    if overlaps(once, spec.strides):
        raise RuntimeError(
            f"as_strided: no gradient through a view of an overlapping view (shape "
            f"{list(spec.shape)}, strides {list(spec.strides)}) whose memory NumPy can reach; "
            "take its .clone() first"
        )
    z = as_strided(z, arg=(once, spec.strides, before))
    if once == spec.shape:
        return z
    return spread(z, (once, contiguous_strides(spec.shape), 0), spec.shape)


def _reach(shape: Ints, strides: Ints) -> int:
    """How many elements of memory a layout reaches over."""
    if 0 in shape:
        return 0
    return 1 + sum([(n - 1) * step for n, step in zip(shape, strides, strict=True)])


def _reshape_grad(g: Val, out: Val, x: Val) -> Val:
    return reshape(g, arg=x.shape)


view = _define("view", shaping.view, _reshape_grad)
permute = _define("permute", shaping.permute, _permute_grad)
expand = _define("expand", shaping.expand, _expand_grad)
slice_ = _define("slice", shaping.slice_, _scatter_grad("slice"))
select = _define("select", shaping.select, _scatter_grad("select"))
unsqueeze = _define("unsqueeze", shaping.unsqueeze, _reshape_grad)
squeeze = _define("squeeze", shaping.squeeze, _reshape_grad)
diagonal = _define("diagonal", _diagonal, _scatter_grad("diagonal"))
as_strided = _define("as_strided", _as_strided, _as_strided_grad)
BY_NAME = {op.name: op for op in GEOMETRY}


# ---------------------------------------------------------------- not views
def _flip(op: Op, srcs: Sequence[Spec], arg: Any) -> Spec:
    x = srcs[0]
    return Spec(x.shape, x.dtype, x.laid_alike(), x.device)


# The elements in logical order under another shape, as a value of its own (a copy where a view
# cannot be had).
reshape = register(Op("reshape", MOVE, reshaped))
reshape.grads = (_reshape_grad,)
# The same value laid out in memory with strides arg (dense): `contiguous`, `clone`, channels-last.
relayout = register(Op("relayout", ALIAS, laid))
relayout.grads = (lambda g, out, x: g,)
flip = register(Op("flip", MOVE, _flip))  # arg = dims
flip.grads = (lambda g, out, x: flip(g, arg=out.arg),)


# ---------------------------------------------------------------- writes
def _write_grad(i: int, g: Val, out: Val, base: Val, value: Val) -> Val | None:
    arg = out.arg
    if arg is None or arg == CUT:
        return g if i == 1 else zeros(g, base.shape) if arg == CUT else None
    g = laid_out(g, out.builder.spec(out.slot).strides)
    if i == 1:
        return as_strided(g, arg=arg)
    return write(g, zeros(g, arg[0]), arg=arg)


def laid_out(g: Val, strides: Ints) -> Val:
    """``g`` with memory in ``strides``: what a region given by strides refers to."""
    spec = g.builder.spec(g.slot)
    return g if spec.strides == strides and spec.offset == 0 else relayout(g, arg=strides)


# (base, value), arg = region of the base's memory, or None for all of it.  The value broadcasts to
# the region.  CUT is None for a value made without the base (`fill_`, `copy_`): the base's history
# gets zeros, as in PyTorch.
CUT = ("cut",)
write = register(Op("write", WRITE, written))
write.grads = _write_grad


def normal_slice(
    size: int, start: int | None, stop: int | None, step: int | None
) -> tuple[int, int, int]:
    """A Python slice over ``size`` elements as (start, stop, step); ``ValueError`` if step < 1."""
    step = 1 if step is None else step
    if step <= 0:
        raise ValueError("step must be greater than zero")
    a, b, _ = slice(start, stop, step).indices(size)
    return a, max(a, b), step


def normal_dims(dims: int | Sequence[int], ndim: int) -> Ints:
    """Dimensions counted from the front; ``RuntimeError`` when one comes twice."""
    several: Any = (dims,) if is_one(dims) else dims
    out = tuple([wrap_dim(d, ndim) for d in several])
    if len(set(out)) != len(out):
        raise RuntimeError(
            f"dim {next(d for d in out if out.count(d) > 1)} appears multiple times in the list "
            "of dims"
        )
    return out
