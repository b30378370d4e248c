"""The way down a flushed stretch: from stop to stop, and what happens at each.

A hook or a custom function is a stop: the gradient program ends above it, Python runs, a new piece
goes on.  While somebody looks at every node (`Tracer.each`), every node is one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from mypy_extensions import mypyc_attr

from .core import KEEP, Frame, Tensor
from .record import set_grad_enabled
from .records import Rec
from .sums import Scattered, plus
from .tape import home
from .trie import ENTER, LEAF
from .turns import apart

Seeds = dict[int, Tensor]


@mypyc_attr(allow_interpreted_subclasses=True)
class Tracer:
    """Sees what a thread records, one operation at a time: nothing is recognised meanwhile, and
    each operation is run as soon as it is recorded.  `api.set_tracer` installs one."""

    each: bool = False  # is every node of a backward a stop?

    def created(self, r: Rec) -> None:
        """A record was made; a gradient program brings its own in ``r.subs``."""

    def ran(self, f: Frame) -> None:
        """An operation with history was run: ``f.saved`` is what its gradient reads."""

    def began(self) -> None:
        """The way down a stretch begins; `ended` follows, whatever happens."""

    def entered(self, r: Rec) -> None:
        """The gradient of a node is about to be worked out."""

    def ended(self) -> None:
        """The way down the stretch is over."""

    def suspect(self, grads: list[Tensor]) -> bool:
        """May one of the gradients that a node's were added to be wrong?"""
        return False

    def returned(self, r: Rec, grads: list[Tensor | None]) -> None:
        """What a node that is suspect gave its operands; may raise."""

    def failed(self, r: Rec, error: BaseException) -> None:
        """What happened at a node raised an exception, which goes on."""


class Packed:
    """A saved value in somebody else's keeping: ``memory()`` gives it back, in the layout it
    had."""

    def __init__(self, memory: Callable[[], Any]) -> None:
        self.memory: Callable[[], Any] = memory


class Call:
    """A custom function met in a stretch: its backward, and the slots of its operands and
    results."""

    def __init__(
        self, backward: Callable[..., Any], first: int, count: int, inputs: list[int]
    ) -> None:
        self.backward = backward
        self.first = first
        self.count = count
        self.inputs = inputs  # -1 where no gradient is wanted


def run_hooks(hooks: Any, g: Tensor) -> Tensor:
    """Tensor hooks in the order they were registered, the one that keeps the gradient last; what
    one returns replaces the gradient."""
    order = [h for k, h in hooks.items() if k != KEEP]
    if KEEP in hooks:
        order.append(hooks[KEEP])
    for hook in order:
        out = apart(hook, g)
        if out is not None:
            if not isinstance(out, Tensor):
                raise TypeError(f"expected Variable, but hook returned '{type(out).__name__}'")
            have = out.rec.spec
            want = g.rec.spec
            if have.shape != want.shape or have.dtype is not want.dtype:
                what = "size" if have.shape != want.shape else "type"
                name = getattr(hook, "__name__", type(hook).__name__)
                raise RuntimeError(f"hook '{name}' has changed the {what} of value")
            g = out
    return g


# What a piece does beside making new seeds.
BEGIN: Final = 1  # take in the sums that younger stretches began
LEAVE: Final = 2  # hand out what is complete
RELEASE: Final = 4  # let go of the saved values it read
WHOLE: Final = BEGIN | LEAVE | RELEASE


def descend(run: Any, f: Frame, seeds: Seeds, piece: Any) -> None:
    """Take seeds down a stretch, stopping at hooks and custom functions; ``piece(seeds, stop,
    what)`` gives new seeds."""
    tracer: Tracer | None = run.e.tracer
    if tracer is None:
        walk(run, f, seeds, piece, None)
        return
    tracer.began()
    try:
        walk(run, f, seeds, piece, tracer)
    finally:
        tracer.ended()


def walk(run: Any, f: Frame, seeds: Seeds, piece: Any, tracer: Tracer | None) -> None:
    """The same, told to a tracer."""
    each = tracer is not None and tracer.each
    recs: list[Rec] = f.rec.info.recs
    hooks = f.hooks
    posts = f.posts
    called = {s: c for c in f.calls.values() for s in range(c.first, c.first + c.count)}
    stops = sorted(set(hooks) | set(called) | set(posts))
    hooked: set[int] = set()
    shown: set[int] = set()
    while seeds:
        top = max(seeds)
        r = recs[top]
        try:
            if tracer is not None:
                tracer.entered(r)
            if top in hooks and top not in hooked:
                hooked.add(top)
                seeds[top] = run_hooks(hooks[top], seeds[top])
            if top in called:
                call(run, f, seeds, hooked, called[top])
                continue
            if top in posts and top not in shown and not is_entry(r):
                shown.add(top)
                hooked.add(top)
                if called_after(r, f, seeds, piece):
                    continue
            if each and tracer is not None:
                before = dict(seeds)
                seeds = piece(seeds, top - 1, BEGIN | LEAVE)
                look(tracer, r, f, before, seeds, piece)
                if not run.retain:
                    release(f, 1 << top)
                continue
            stop = -1
            for s in stops:
                if s < top or (s == top and top not in hooked):
                    stop = s
            if stop == top:
                stop = -1
            seeds = piece(seeds, stop, WHOLE)
        except Exception as error:
            if tracer is not None:
                tracer.failed(r, error)
            raise


def is_entry(r: Rec) -> bool:
    """Is it where history comes from outside the stretch?"""
    return bool((r.op == LEAF or r.op == ENTER) and r.rg)


def call(run: Any, f: Frame, seeds: Seeds, hooked: set[int], c: Call) -> None:
    """Run a custom function's backward.  Every result may carry a gradient; all are complete,
    results have the next slots."""
    recs: list[Rec] = f.rec.info.recs
    grads: list[Tensor | None] = []
    posts: list[Any] = []
    for s in range(c.first, c.first + c.count):
        g = seeds.pop(s, None)
        hooks = f.hooks.get(s)
        if g is not None and hooks is not None and s not in hooked:
            hooked.add(s)
            g = run_hooks(hooks, g)
        grads.append(g)
        if s in f.posts:
            posts.extend(f.posts[s].values())
    was = set_grad_enabled(run.create)
    try:
        out = list(apart(c.backward, *grads))
    finally:
        set_grad_enabled(was)
    tracer: Tracer | None = run.e.tracer
    if tracer is not None and tracer.each:
        dense = [g for g in out if g is not None and not isinstance(g, Scattered)]
        if tracer.suspect(dense):
            tracer.returned(recs[c.first], out)
    for hook in posts:
        out = replaced(hook, out, grads)
    for s, g in zip(c.inputs, out):
        if s < 0 or g is None:
            continue
        if isinstance(g, Scattered):
            q = recs[home(recs, s)]
            if is_entry(q) and f.gleaves[q.gidx].frame is None:
                run.leaf(f.gleaves[q.gidx], g)
                continue
            g = g.filled()
        have = seeds.get(s)
        seeds[s] = g if have is None else plus(have, g)


def replaced(hook: Any, grads: list[Any], outer: list[Any]) -> list[Any]:
    """The gradients of a node's operands after a hook has seen them."""
    out = apart(hook, tuple(grads), tuple(outer))
    if out is None:
        return grads
    if isinstance(out, Tensor):
        out = (out,)
    if len(out) != len(grads):
        raise RuntimeError(
            f"hook has returned an incorrect number of values (got {len(out)}, but expected "
            f"{len(grads)})"
        )
    return list(out)


def operands(r: Rec, f: Frame) -> list[int]:
    """Where the gradients of a node's operands are summed; -1 for a number, and for an operand that
    has come before: its gradients are one sum."""
    recs: list[Rec] = f.rec.info.recs
    out: list[int] = []
    for s in r.srcs:
        k = home(recs, s) if s >= 0 else -1
        out.append(k if k not in out else -1)
    return out


def called_after(r: Rec, f: Frame, seeds: Seeds, piece: Any) -> bool:
    """Show a node's gradients to the hooks on it.  True when they put others in their place: then
    these are what goes on."""
    top = int(r.slot)
    g = seeds[top]
    alone = piece({top: g}, top - 1, 0)
    slots = operands(r, f)
    grads: list[Any] = [alone.get(s) for s in slots]
    now = grads
    for hook in list(f.posts[top].values()):
        now = replaced(hook, now, [g])
    if now is grads:
        return False
    piece({top: g}, top - 1, LEAVE | RELEASE)
    del seeds[top]
    for s, h in zip(slots, now):
        if s >= 0 and h is not None:
            have = seeds.get(s)
            seeds[s] = h if have is None else plus(have, h)
    return True


def look(tracer: Tracer, r: Rec, f: Frame, before: Seeds, seeds: Seeds, piece: Any) -> None:
    """Let the tracer see what a node gave its operands."""
    slots = operands(r, f)
    changed = [seeds[s] for s in slots if s in seeds]
    if is_entry(r) or not changed or not tracer.suspect(changed):
        return
    top = int(r.slot)
    alone = piece({top: before[top]}, top - 1, 0)  # without what others gave the same operands
    tracer.returned(r, [alone.get(s) for s in slots])


def release(f: Frame, vmask: int) -> None:
    """Saved values that no node still needs are let go."""
    f.freed |= vmask
    users: dict[int, int] = f.rec.info.users
    for s in list(f.saved):
        if users[s] & ~f.freed == 0:
            del f.saved[s]
