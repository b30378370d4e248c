"""The pass that cuts kernels into tasks: long lines into spans, rows into shares, long sums in two.

Nothing here changes a bit: a span only says which elements a task computes, and a long reduction
is cut where its cascade has finished groups, whose values a second kernel goes on with.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..base import dtype as dt
from ..base.shape import Ints, numel
from .loops import Access, AnyKernel, Instr, Kernel, Param, Stage
from .values import Value, Values

TASK = 1 << 15  # elements for which another thread is worth waking
SPAN = 1 << 12
LANES = 32
GROUP = 16
LINE = 1 << 16  # elements of a reduction along a row that is worth cutting
PIECES = 512 << 10  # bytes of a row that a kernel gathers into scratch
NEAR = 128 << 10  # bytes that a group of 256 rows may walk through: the next columns follow

CUT = frozenset({"sum", "prod", "amax", "amin", "any", "all"})


@dataclass
class Launch:
    """A kernel with the values whose memory it works on (none for a row's scratch)."""

    kernel: AnyKernel
    buffers: list[int]
    numbers: Ints | list[int]


def split(kernel: Kernel, buffers: list[int], numbers: list[int], values: Values) -> list[Launch]:
    """The launches that do a kernel's work."""
    if kernel.ordered:
        return [Launch(kernel, buffers, numbers)]
    if lies_in_pieces(kernel):
        return gathered(kernel, buffers, numbers, values)
    group = group_size(kernel)
    if group:
        return cut(kernel, buffers, numbers, values, group)
    total = numel(kernel.outer) * numel(kernel.inner)
    reduces = any(i.kind in ("reduce", "dot") for s in kernel.stages for i in s.body)
    if not kernel.outer and not reduces and len(kernel.inner) == 1 and total > TASK:
        n = kernel.inner[0]
        kernel.outer, kernel.inner = (-(-n // SPAN),), (SPAN,)
        kernel.span, kernel.extent = SPAN, n
    if total > TASK and kernel.outer:
        kernel.tasks = max(1, min(64, total // (TASK // 2), numel(kernel.outer)))
    return [Launch(kernel, buffers, numbers)]


def lies_in_pieces(kernel: Kernel) -> bool:
    """Whether a reduction's rows are scattered over memory and too long for a kernel's scratch."""
    loops = [s for s in kernel.stages if s.over == "inner"]
    if kernel.lanes != "inner" or len(loops) != 1 or len(kernel.inner) < 2:
        return False
    reductions = [i for i in loops[0].body if i.kind == "reduce"]
    size = sum(i.dtype.itemsize for i in reductions) * numel(kernel.inner)
    return size > PIECES and kernel.inner[-1] % LANES != 0


def gathered(
    kernel: Kernel, buffers: list[int], numbers: list[int], values: Values
) -> list[Launch]:
    """A reduction in two: what it takes is laid side by side first."""
    at = next(n for n, s in enumerate(kernel.stages) if s.over == "inner")
    loop, before, after = kernel.stages[at], kernel.stages[:at], kernel.stages[at + 1 :]
    reductions = [i for i in loop.body if i.kind == "reduce"]
    taken = sorted({i.srcs[0] for i in reductions})
    kind_of = {i.id: i.dtype for s in kernel.stages for i in s.body}
    shape, rank = (*kernel.outer, *kernel.inner), len(kernel.outer)
    strides, params = _dense(shape), len(kernel.params)
    temporary = [_blank(values, kind_of[x], numel(shape)) for x in taken]
    body = [i for i in loop.body if i.kind != "reduce"]
    for n, x in enumerate(taken):
        access = Access(params + n, strides, 0)
        body.append(Instr(-1, "store", kind_of[x], (x,), access=access))
    pre = [Stage(s.over, tuple(i for i in s.body if i.kind != "store")) for s in before]
    stages = [s for s in [*pre, Stage("inner", tuple(body))] if s.body]
    first = replace(
        kernel,
        outer=shape[:-1],
        inner=shape[-1:],
        params=[
            *(replace_written(p, n, stages) for n, p in enumerate(kernel.params)),
            *(Param(kind_of[x], True) for x in taken),
        ],
        stages=stages,
    )

    def along(i: Instr) -> Instr:
        """A step once a row, whose inner index is one line now."""
        if i.access is None:
            return i
        a = i.access
        return i.at(Access(a.param, (*a.strides[:rank], 0), a.offset))

    top = max(kind_of)
    loads = [
        Instr(
            top + 1 + n, "load", kind_of[x],
            access=Access(params + n, (*strides[:rank], 1), 0),
        )
        for n, x in enumerate(taken)
    ]  # fmt: skip
    folds = [replace(i, srcs=(loads[taken.index(i.srcs[0])].id,)) for i in reductions]
    second = replace(
        kernel,
        inner=(numel(kernel.inner),),
        params=[*kernel.params, *(Param(kind_of[x], False) for x in taken)],
        stages=[
            *(Stage(s.over, tuple(map(along, s.body))) for s in before),
            Stage("inner", (*loads, *folds)),
            *(Stage(s.over, tuple(map(along, s.body))) for s in after),
        ],
    )
    names = [*buffers, *temporary]
    return split(first, names, numbers, values) + split(second, names, numbers, values)


def group_size(kernel: Kernel) -> int:
    """How many inner indices a first kernel should fold; 0 where one kernel does it all."""
    loops = [s for s in kernel.stages if s.over == "inner"]
    if len(loops) != 1 or len(kernel.inner) != 1 or kernel.partial:
        return 0
    reductions = [i for i in loops[0].body if i.kind in ("reduce", "dot")]
    if not reductions or any(i.op is None or i.op.name not in CUT for i in reductions):
        return 0
    count, rows = kernel.inner[0], numel(kernel.outer)
    if kernel.lanes == "inner":
        return GROUP**2 * LANES if count > LINE and rows < GROUP else 0
    columns = kernel.outer[-1]
    if count * rows <= TASK or count < 4 * GROUP:
        return 0
    moved = [i for i in loops[0].body if i.access is not None and any(i.access.strides)]
    wide = columns * sum(i.dtype.itemsize for i in moved)
    size = GROUP**2 if wide * GROUP**2 <= NEAR else GROUP
    return size if count > 2 * size else 0


def cut(
    kernel: Kernel, buffers: list[int], numbers: list[int], values: Values, size: int
) -> list[Launch]:
    """A reduction in two: groups of `size` inner indices first, then the groups' values."""
    across = kernel.lanes == "outer"
    at = next(n for n, s in enumerate(kernel.stages) if s.over == "inner")
    loop = kernel.stages[at]
    reductions = [i for i in loop.body if i.kind == "reduce"]
    before = list(kernel.stages[:at])
    whole, rest = divmod(kernel.inner[0], size)
    groups = whole + (rest > 0)
    lead = kernel.outer[:-1] if across else kernel.outer
    item = kernel.outer[-1:] if across else (LANES,)
    strides = _dense((*lead, groups, *item))
    kinds = [_partial_type(i) for i in reductions]
    partials = [_blank(values, k, numel((*lead, groups, *item))) for k in kinds]
    first_param = len(kernel.params)
    place = len(lead)

    def grouped(i: Instr, step: int, start: int) -> Instr:
        """A step of the first kernel: its inner index starts at `start` + group * `step`."""
        if i.kind == "reduce":
            return replace(i, dtype=kinds[reductions.index(i)])
        if i.access is None:
            return i
        s = i.access.strides
        more = (s[-1] * step,) if step else ()
        new = (*s[:place], *more, *s[place:])
        return i.at(Access(i.access.param, new, i.access.offset + s[-1] * start))

    def first(count: int, many: int, start: int) -> Launch:
        step = size if many else 0
        stages = [
            Stage(s.over, tuple(grouped(i, step, start) for i in s.body if i.kind != "store"))
            for s in before
        ]
        stages.append(Stage("inner", tuple(grouped(i, step, start) for i in loop.body)))
        stores = []
        for n, (i, kind) in enumerate(zip(reductions, kinds)):
            over = strides[: place + 1] if many else strides[:place]
            over = (*over, *(strides[place + 1 :] if across else ()), 0)
            offset = 0 if many else whole * strides[place]
            access = Access(first_param + n, over, offset)
            stores.append(Instr(-1, "store", kind, (i.id,), access=access))
        stages.append(Stage("row", tuple(stores)))
        outer = (*lead, *((many,) if many else ()), *(item if across else ()))
        k = replace(
            kernel,
            outer=outer,
            inner=(count,),
            params=[
                *(replace_written(p, n, stages) for n, p in enumerate(kernel.params)),
                *(Param(k, True) for k in kinds),
            ],
            stages=[s for s in stages if s.body],
            partial=not across,
        )
        total = numel(k.outer) * count
        if total > TASK and k.outer:
            k.tasks = max(1, min(64, total // (TASK // 2), numel(k.outer)))
        return Launch(k, [*buffers, *partials], numbers)

    launches = [first(size, whole, 0)] if whole else []
    if rest:
        launches.append(first(rest, 0, whole * size))
    top = max(i.id for s in kernel.stages for i in s.body)
    body = []
    for n, (i, kind) in enumerate(zip(reductions, kinds)):
        over = (*strides[:place], *(strides[place + 1 :] if across else ()))
        access = Access(first_param + n, (*over, strides[place] if across else 1), 0)
        load = Instr(top + 1 + n, "load", kind, access=access)
        body += [load, replace(i, srcs=(load.id,), ctype=kind)]
    second = replace(
        kernel,
        inner=(groups if across else groups * LANES,),
        params=[*kernel.params, *(Param(k, False) for k in kinds)],
        stages=[*before, Stage("inner", tuple(body)), *kernel.stages[at + 1 :]],
    )
    return launches + split(second, [*buffers, *partials], numbers, values)


def replace_written(p: Param, n: int, stages: list[Stage]) -> Param:
    """A parameter, marked as written only where these stages write it."""
    written = any(
        i.kind == "store" and i.access is not None and i.access.param == n
        for s in stages
        for i in s.body
    )
    return p._replace(written=written)


def _partial_type(i: Instr) -> dt.dtype:
    """The type of a group's value."""
    assert i.op is not None
    return dt.bool_ if i.op.name in ("any", "all") else i.dtype


def _dense(shape: Ints) -> Ints:
    out, n = [], 1
    for size in reversed(shape):
        out.append(n)
        n *= size
    return tuple(reversed(out))


def _blank(values: Values, kind: dt.dtype, count: int) -> int:
    """Memory in the workspace."""
    return values.add(Value("blank", kind, (count,), (count,), layout=(1,)))
