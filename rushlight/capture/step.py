"""A compiled function, call by call: run it, watch it, or replay what it did.

The first call runs the function.  The second is watched: its Python is read, and it says which
tensors live on.  The third is watched again; when it went the same way, later calls are replayed as
long as every guard holds.  Whatever does not fit is run, and tried again at growing intervals.
"""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from ..base.settings import settings
from ..engine.api import flush
from ..engine.capture import (
    ARGUMENT,
    CONSTANT,
    DICT,
    KEPT_HANDLE,
    LIST,
    TUPLE,
    VERSION,
    Captured,
    Result,
    replay,
)  # fmt: skip
from ..engine.core import Engine, Tensor, mine
from ..engine.flush import item
from ..engine.guards import (
    EQUAL,
    MAPPING,
    MISS,
    SAME,
    SEQUENCE,
    WHOLE,
    WINDOW,
    Argument,
    Stepping,
    plain,
    same_number,
)  # fmt: skip
from ..engine.handles import leaf_key, loose_key
from ..engine.noting import AGAIN, Builder, Noting, Outside, Refused, steps_of
from ..engine.records import ROOT, STEP
from .analysis import Analysis, analyse
from .objects import Guards
from .trace import USER, Trace, profile, whose

CAPTURES: Final = 8  # kinds of arguments a function is captured for
WORTH: Final = 20  # replays that make up for watching
LONGEST: Final = 1 << 16
TRIES: Final = 12  # attempts without a replay, at doubling intervals


class First:
    """What the first watched run of a kind of call said."""

    def __init__(self, noting: Noting, masks: list[bytes], trace: Trace, guards: Guards) -> None:
        self.noting = noting
        self.masks = masks
        self.trace = trace
        self.guards = guards
        self.outer: Analysis | None = None
        self.check: Captured | None = None
        self.misses = 0


class Step:
    """The state of one compiled function."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.fn = fn
        self.captured: list[Captured] = []
        self.first: First | None = None
        self.wait = 1  # plain runs before the next attempt
        self.pause = 1
        self.tries = 0
        self.status = "not captured: it has not been called twice yet"

    # ------------------------------------------------------------ one call that is not replayed
    def run(self, args: tuple[Any, ...], words: dict[str, Any]) -> Any:
        """Run the function, watched when it is time."""
        e = mine()
        if (
            e.watch is not None
            or e.tracer is not None
            or self.tries > TRIES
            or settings.eager
            or settings.verify
            or sys.getprofile() is not None
        ):
            return self.fn(*args, **words)
        if self.first is not None:
            check = self.first.check
            given = check.ready(args, words) if check is not None else None
            if given is not None:
                return self.second(e, self.first, given, args, words)
            self.first.misses += 1
            if self.first.misses > 3:
                self.give_up(AGAIN)
            return self.fn(*args, **words)
        if self.wait > 0:
            self.wait -= 1
            return self.fn(*args, **words)
        return self.watch(e, args, words)

    def give_up(self, why: str) -> None:
        """This attempt failed; the next one comes later."""
        self.first = None
        self.tries += 1
        self.pause *= 2
        self.wait = self.pause
        if not self.captured:
            self.status = f"not captured: {why}"

    # ------------------------------------------------------------ watched runs
    def watch(self, e: Engine, args: tuple[Any, ...], words: dict[str, Any]) -> Any:
        """The first watched run: which Python runs, what lives on."""
        flush()
        trace = Trace()
        noting = Noting(e, None, spot)
        version = VERSION[0]
        out = None
        try:
            out = self.noted(e, noting, trace, args, words)
            if trace.refused is not None:
                raise trace.refused
            finish(e, noting)
            masks = noting.survivors(tensors_in(out))
            guards, outer = analyse(trace, self.functions(), inside((args, words)))
            if VERSION[0] != version:
                raise Refused("it changes a module")
            c = Captured(e)
            self.guard(c, guards, args, words)
            first = First(noting, masks, trace, guards)
            first.outer = outer
            first.check = c
            check_reads(first, noting)
        except Refused as why:
            self.give_up(str(why))
            return out
        finally:
            e.watch = None
        noting.forget()
        self.first = first
        return out

    def noted(
        self,
        e: Engine,
        noting: Noting,
        trace: Trace | None,
        args: tuple[Any, ...],
        words: dict[str, Any],
    ) -> Any:
        """Run the function with watches set; an exception takes them away and goes on."""
        e.watch = noting
        try:
            if trace is None:
                return self.fn(*args, **words)
            profile(trace)
            try:
                return self.fn(*args, **words)
            finally:
                profile(None)
        except BaseException:
            e.watch = None
            self.give_up("it raised an exception")
            raise

    def second(
        self,
        e: Engine,
        first: First,
        given: list[Tensor],
        args: tuple[Any, ...],
        words: dict[str, Any],
    ) -> Any:
        """The second watched run: what a replay has to do."""
        world = Outside(given, first.guards.handles())
        noting = Noting(e, first.masks, spot)
        version = VERSION[0]
        out = None
        try:
            out = self.noted(e, noting, None, args, words)
            finish(e, noting)
            if VERSION[0] != version:
                raise Refused("it changes a module")
            if not noting.same(first.noting) or noting.survivors(tensors_in(out)) != first.masks:
                raise Refused(AGAIN)
            check_reads(first, noting)
            c = self.build(e, first, noting, world, out, args, words)
        except Refused as why:
            self.give_up(str(why))
            return out
        finally:
            e.watch = None
        self.first = None
        self.tries = 0
        kept = [q for q in self.captured if q.version == VERSION[0]][: CAPTURES - 1]
        short = any(q.replays < WORTH for q in self.captured if q not in kept)
        self.pause = min(2 * self.pause, LONGEST) if short else 1
        self.wait = self.pause
        self.captured = [c, *kept]
        self.status = "captured"
        return out

    def build(
        self,
        e: Engine,
        first: First,
        noting: Noting,
        world: Outside,
        out: Any,
        args: tuple[Any, ...],
        words: dict[str, Any],
    ) -> Captured:
        """What can be replayed; `Refused` when something is not accounted for."""
        c = Captured(e)
        self.guard(c, first.guards, args, words)
        b = Builder(c, noting.notes, world)
        b.enter()
        for j in range(len(noting.notes)):
            b.stretch(j)
        steps = steps_of(noting.notes)
        groups = [(o, i) for o in first.trace.steps for i in range(len(o.param_groups))]
        if len(steps) != len(groups):
            raise Refused("a parameter group is stepped in several parts, or has no gradients")
        for j, (owner, index) in zip(steps, groups):
            step_piece(c, j, owner, index)
        b.write()
        b.gradients()
        c.result = result_of(out, b, world, list(noting.reads), numbers_returned(first))
        b.accounted(first.masks, noting.reads)
        return c

    def guard(
        self, c: Captured, guards: Guards, args: tuple[Any, ...], words: dict[str, Any]
    ) -> None:
        """Everything about names and arguments that has to hold."""
        for space, name, value in guards.names.values():
            c.spaces.append(space)
            c.names.append(name)
            c.objects.append(value)
        c.cells = list(guards.cells.values())
        c.attributes = list(guards.attributes.values())
        c.contents = list(guards.contents.values())
        found: list[Tensor] = []
        c.given = [argument(v, found) for v in args]
        c.words = [(k, argument(v, found)) for k, v in words.items()]
        c.twins = [[q is t for q in found].index(True) for t in found]

    def functions(self) -> list[Any]:
        """The function itself, and what decorators wrapped."""
        out = []
        f: Any = self.fn
        while f is not None:
            f = getattr(f, "__func__", f)
            out.append(f)
            f = getattr(f, "__wrapped__", None)
        return out

    def explain(self) -> str:
        """How this function is run now, and why."""
        if self.captured:
            counts = [c.replays for c in self.captured]
            return f"captured: {len(counts)} kinds of calls, {sum(counts)} replays"
        return self.status


def finish(e: Engine, noting: Noting) -> None:
    """Run what is left at the end, and see whether the whole run was noted."""
    if noting.reason:
        raise Refused(noting.reason)
    if not any(note.cur.op == STEP for note in noting.notes) and e.gm:
        raise Refused("no optimiser takes a step in it")
    if e.cur.op != ROOT:
        flush()
    e.watch = None
    if noting.reason:
        raise Refused(noting.reason)
    if e.nflush != noting.first + len(noting.notes):
        raise Refused("an exception went through the recorder")


def spot() -> tuple[Any, int]:
    """The user's code that is running, and its line."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and whose(frame)[0] != USER:
        frame = frame.f_back
    return (None, 0) if frame is None else (frame.f_code, frame.f_lineno)


# ---------------------------------------------------------------- arguments
def argument(v: Any, found: list[Tensor]) -> Argument:
    """What an argument has to be like in later calls."""
    if isinstance(v, Tensor):
        return tensor_argument(v, found)
    if type(v) in (list, tuple):
        a = Argument(SEQUENCE, None)
        a.items = [argument(w, found) for w in v]
    elif type(v) is dict:
        a = Argument(MAPPING, None)
        a.names = list(v)
        a.items = [argument(w, found) for w in v.values()]
    else:
        return Argument(EQUAL if type(v) in VALUES else SAME, v)
    a.cls = type(v)
    return a


def inside(v: Any) -> dict[int, Any]:
    """The arguments' tensors and containers, by id."""
    if isinstance(v, Tensor):
        return {id(v): v}
    out: dict[int, Any] = {}
    if type(v) in (list, tuple, dict):
        out[id(v)] = v
        for w in v.values() if isinstance(v, dict) else v:
            out.update(inside(w))
    return out


VALUES: Final = (int, float, bool, str, type(None))


def tensor_argument(t: Tensor, found: list[Tensor]) -> Argument:
    """A tensor: its kind, not its value."""
    s = t.st
    if s is None or s.mem is None:
        raise Refused("an argument has no value")
    f = t.fam
    if f is not None and (f.hist is not None or f.root is not None):
        raise Refused("an argument wants a gradient")
    r = t.rec
    a = Argument(WHOLE, None)
    a.cls = type(t)
    a.key = leaf_key(s.spec, False)
    a.region = r.region
    if r.region is not None and r.dense:
        a.kind = WINDOW
        a.key = loose_key(r.spec, False)
    found.append(t)
    return a


# ---------------------------------------------------------------- optimisers
def step_piece(c: Captured, j: int, owner: Any, index: int) -> None:
    """Stretch ``j`` ends in the step of a parameter group: its numbers are asked for every time."""
    if len(owner._groups) != len(owner.param_groups):
        raise Refused(AGAIN)
    kept = owner._groups[index]
    group = kept.group
    if any(not plain(v) for k, v in group.items() if k != "params"):
        raise Refused("a setting of the optimiser is a tensor or a list")
    if kept.steps is not None:
        raise Refused("some parameters have taken more steps than others")
    p = c.pieces[j]
    s = Stepping(owner, index, kept, owner._counts_steps, owner._enough_steps)
    if not s.holds():
        raise Refused(AGAIN)
    said = list(owner._numbers(group, kept.count))
    n = len(p.consts) - len(said)
    if n < 0 or not all(same_number(a, b) for a, b in zip(p.consts[n:], said)):
        raise Refused("the numbers of an optimiser's step could not be followed")
    p.consts = p.consts[:n]
    p.stepping = s


# ---------------------------------------------------------------- results
def tensors_in(v: Any) -> list[Tensor]:
    """The tensors of a result."""
    if isinstance(v, Tensor):
        return [v]
    if isinstance(v, tuple | list):
        return [t for w in v for t in tensors_in(w)]
    if isinstance(v, dict):
        return [t for w in v.values() for t in tensors_in(w)]
    return []


def numbers_returned(first: First) -> int:
    """How many numbers the return statement reads."""
    outer = first.outer
    if outer is None or len(outer.returns) != 1:
        return 0
    value = outer.returns[0].value
    parts = value.elts if isinstance(value, ast.Tuple) else [value]
    return sum(map(reads_number, parts))


def reads_number(node: ast.expr | None) -> bool:
    """Is it ``x.item()`` or ``float(x)``?"""
    if not isinstance(node, ast.Call) or node.keywords:
        return False
    f = node.func
    if isinstance(f, ast.Attribute):
        return f.attr == "item" and not node.args
    return isinstance(f, ast.Name) and f.id == "float" and len(node.args) == 1


def check_reads(first: First, noting: Noting) -> None:
    """Values may only be read by the return statement at the very end, as numbers."""
    if not noting.reads:
        return
    outer = first.outer
    count = numbers_returned(first)
    if outer is None or count == 0 or len(noting.reads) != count:
        raise read_refused(noting, outer)
    last = outer.returns[0]
    body = getattr(outer.tree, "body", None)
    if not isinstance(body, list) or body[-1] is not last:
        raise read_refused(noting, outer)
    for code, line in noting.spots:
        if code is not outer.code or not last.lineno <= line <= (last.end_lineno or last.lineno):
            raise read_refused(noting, outer)


def read_refused(noting: Noting, outer: Analysis | None) -> Refused:
    """The reason, with the line of the first read that stands in the way."""
    root = None if outer is None else outer.code
    last = outer.returns[-1] if outer is not None and outer.returns else None
    for code, line in noting.spots:
        if code is not None and (last is None or code is not root or line < last.lineno):
            return Refused(f"reads a value in its middle ({code.co_filename}:{line})")
    return Refused("reads a value that is not simply returned")


def result_of(
    v: Any, b: Builder, world: Outside, reads: list[Tensor], numbers: int, top: bool = True
) -> Result:
    """How a replay makes the result."""
    if isinstance(v, Tensor):
        for i, t in enumerate(world.given):
            if t is v:
                return Result(ARGUMENT, None, i)
        for i, t in enumerate(b.c.handles):
            if t is v:
                return Result(KEPT_HANDLE, None, i)
        return b.handle(v)
    if type(v) in (tuple, list, dict):
        items = list(v.values()) if isinstance(v, dict) else list(v)
        r = Result(TUPLE if type(v) is tuple else LIST if type(v) is list else DICT, None)
        loose = type(v) is not tuple or not top
        if loose and reads and any(type(w) in (int, float, bool) for w in items):
            raise Refused("reads a value that is not simply returned")
        r.items = [result_of(w, b, world, reads, numbers, False) for w in items]
        r.names = list(v) if isinstance(v, dict) else []
        return r
    if numbers and type(v) in (int, float, bool):
        if not reads:
            raise Refused("returns several numbers, of which not all are read from tensors")
        t = reads.pop(0)
        if not same_number(item(t), v):
            raise Refused("reads a value that is not simply returned")
        return b.number(t)
    if v is None or type(v) in (bool, int, float, str):
        return Result(CONSTANT, v)
    raise Refused(f"returns a {type(v).__name__}")


# ---------------------------------------------------------------- the public function
def captured_function(fn: Callable[..., Any]) -> Callable[..., Any]:
    """``fn`` that is captured when it is a whole step."""
    step = Step(fn)

    def call(*args: Any, **words: Any) -> Any:
        out = replay(step.captured, args, words)
        return step.run(args, words) if out is MISS else out

    try:
        functools.update_wrapper(call, fn)
    except (AttributeError, TypeError):
        pass
    call.capture_status = step.explain  # type: ignore[attr-defined]
    call._step = step  # type: ignore[attr-defined]
    return call
