# ruff: noqa: E501 - statements of programs stand on one line
"""Defects planted in the recorder: changes of one function's text, as slips of the pen.

They prove that random programs find what they are for.  A plant whose text is no longer in the
engine has to be brought up to date with it: `apply` says so.
"""

from __future__ import annotations
import __future__

import importlib
import inspect
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .check import Options, check
from .generate import generate, generate_orders


@dataclass(frozen=True)
class Plant:
    """In ``where`` (a function or method of ``rushlight.engine``) ``old`` becomes ``new``."""

    name: str
    where: str
    old: str
    new: str
    native: bool = False  # shows only when plans are compiled
    orders: bool = False  # looked for with derivatives of higher orders


PLANTS = (
    # numbers
    Plant(
        "stale number",
        "core.with_number",
        "numbers.append(v)",
        "r.info = v if r.info is None else r.info\n    numbers.append(r.info)",
    ),
    Plant("number on the wrong side", "core.with_number", "if swap:", "if swap and not e.gm:"),
    Plant(
        "numbers off by one",
        "trie.fill",
        "first = e.cur.nnum",
        "first = max(e.cur.nnum - 1, 0)",
    ),
    Plant(
        "numbers of a template misaligned",
        "pieces.template_record",
        "~(len(e.numbers) + j)",
        "~len(e.numbers)",
    ),
    Plant("kind of a number ignored", "core.number_code", "return NUM_I", "return NUM_F"),
    # recognition
    Plant("argument not compared", "core.record1", "and (r.key is arg or r.key == arg)", ""),
    Plant("second operand not compared", "core.record2", "and r.b == y.slot", ""),
    Plant("operand not compared", "core.record1", "and r.a == x.slot", ""),
    Plant(
        "branch argument ignored",
        "trie.new_branch",
        "and q.key == key:",
        "and (q.key == key or op == TABLE['sum'].code):",
    ),
    Plant("slot of an older stretch", "core.record1", "if x.epoch == ep:", "if x.epoch:"),
    Plant(
        "leaf without requires_grad",
        "handles.interned",
        "found = KEYS.get(key)",
        "found = KEYS.get((*key[:4], loose))\n    KEYS.setdefault((*key[:4], loose), key)",
    ),
    Plant(
        "leaf without strides",
        "handles.interned",
        "found = KEYS.get(key)",
        "found = KEYS.get((*key[:2], *key[3:]))\n    KEYS.setdefault((*key[:2], *key[3:]), key)",
    ),
    Plant(
        "mode not recorded",
        "record.set_grad_enabled",
        "follow(e, MODE, NONE, NONE, NONE, flag)",
        "pass",
    ),
    Plant(
        "mode of the root forgotten",
        "stretch.finish_clear",
        "e.roots[1 if e.gm else 0]",
        "e.roots[1]",
    ),
    # history
    Plant("no_grad ignored", "trie.fill", "rg and e.gm and", "rg and"),
    Plant(
        "views keep history without gradients",
        "record.view",
        "if not e.gm and needs_grad(x):",
        "if False:",
    ),
    Plant(
        "graft the wrong way round",
        "handles.fslot",
        "peek(e, GRAFT, s.slot, f.slot, NONE, None)",
        "peek(e, GRAFT, f.slot, s.slot, NONE, None)",
    ),
    Plant("graft without history", "handles.fslot", "if f.rec.rg:", "if f.rec.rg and s.old:"),
    Plant(
        "write without gradients makes history", "record.write", "(e.gm or not f.rec.rg):", "True:"
    ),
    Plant("history of a write lost", "record.write", "f.hep = e.epoch", "pass"),
    Plant("history at the wrong slot", "record.write", "f.hslot = r.slot", "f.hslot = a"),
    Plant(
        "entry without its history",
        "handles.fslot",
        "elif h is not None:",
        "elif h is not None and h.frame is None:",
    ),
    Plant(
        "detached shares history",
        "record.detach",
        "f = Fam(s, None, r)",
        "f = x.fam or Fam(s, None, r)",
    ),
    Plant("view without a place of its own", "handles.find", "if r.rg:", "if False:"),
    Plant("place of a view outlives a write", "handles.upheld", "f.ver >= s.heard and", ""),
    Plant("place of a view ends with `.data`", "handles.written", "if not heard:", "if False:"),
    Plant(
        "held view loses its place",
        "plan.plan_flush",
        "views.append((i, int(t.slot)))",
        "pass",
    ),
    Plant(
        "history of reachable memory enters twice",
        "handles.fslot",
        "past = f.slot if f.epoch == ep and f.rec.rg else entered(e, h)",
        "past = entered(e, h)",
    ),
    Plant("saved value enters twice", "backward.entry_of", "o = origin(h)", "return NONE"),
    Plant("hook at the value of a graft", "api.hooks_of", "if rec.op == trie.GRAFT:", "if False:"),
    Plant(
        "what is asked for lies in the same stretch",
        "pieces.Wanted.leads",
        "home(f.rec.info.recs, h.slot) in self.known[f.serial]",
        "bool(self.known[f.serial])",
    ),
    Plant(
        "slots taken before the stretch ended",
        "record.view",
        "SLOW[0].bound(e)\n        s = x.st",
        "x.slot = find(e, x)\n        SLOW[0].bound(e)\n        x.epoch = e.epoch\n        s = x.st",
    ),
    # writes and aliases
    Plant("version not counted", "handles.written", "s.ver += 1", "pass"),
    Plant("members not made stale", "handles.written", "if m != NOBODY:", "if m == NONE:"),
    Plant(
        "older members not made stale",
        "handles.put_out",
        "t.epoch = 0",
        "t.epoch = t.epoch if m < 0 else 0",
    ),
    Plant("newer members not made stale", "handles.written", "for n in s.more:", "for n in ():"),
    Plant("view not a member", "record.share", "add_member(s, r.li)", "pass"),
    Plant(
        "write one element early",
        "record.write",
        "region = x.rec.region",
        "region = x.rec.region\n    region = region and (region[0], region[1], max(region[2] - 1, 0))",
    ),
    Plant(
        "view read at the start",
        "handles.find",
        "r = follow(e, REREAD, b, NONE, NONE, t.rec.region)",
        "r = follow(e, REREAD, b, NONE, NONE, (*t.rec.region[:2], 0))",
    ),
    Plant("memory taken for settled", "handles.settled", "s.slot == s.leaf", "s.old"),
    Plant(
        "copy onto a look-alike skipped", "record.assign", "v.rec.region == x.rec.region)", "True)"
    ),
    # NumPy
    Plant("exposed memory not copied", "handles.fslot", "v = v.copy()", "pass"),
    Plant("window on exposed memory not copied", "handles.window", "v = part.copy()", "pass"),
    Plant("snapshot not refreshed", "handles.reachable", "s.moved = True", "pass"),
    Plant("exposed memory escapes", "flush.run_pending", "if lnow:", "if False:"),
    Plant(
        "exposed memory taken for private",
        "handles.reachable",
        "sys.getrefcount(s.own) > OWN_BASE[0]",
        "sys.getrefcount(s.own) > OWN_BASE[0] + 1",
    ),
    Plant("array written too late", "record.write", "if s.exposed or e.now:", "if e.now:"),
    # running
    Plant(
        "plan of other handles",
        "flush.run_pending",
        "elif r.op != FLUSH or not LIVE[1](live, r.mask):",
        "elif r.op != FLUSH:",
    ),
    Plant(
        "written memory not stored",
        "plan.plan_flush",
        "(s.old and s.slot != s.leaf)",
        "(s.old and s.slot != s.leaf and id(s) in held)",
    ),
    Plant(
        "outputs taken for one another",
        "plan.build",
        "info.plain_at = tuple([(i, at[s]) for i, s in plain])",
        "info.plain_at = tuple([(i, at[next(q for _, q in plain if (recs[q].spec.shape, recs[q].spec.dtype, recs[q].spec.strides) == (recs[s].spec.shape, recs[s].spec.dtype, recs[s].spec.strides))]) for i, s in plain])",
    ),
    Plant(
        "layout of a write ignored", "plan.same_layout", "a.spec.strides == b.spec.strides and", ""
    ),
    Plant(
        "memory used again while held",
        "execute.NativePlan.free_lane",
        "if self.livecheck(lane.outs, self.idle):",
        "if True:",
        True,
    ),
    Plant(
        "address remembered", "execute.NativePlan.run", "if last[i] != a:", "if last[i] == 0:", True
    ),
    # gradients
    Plant(
        "freed nodes forgotten",
        "flush.run_pending",
        "frame.freed = info.freed",
        "frame.freed = 0",
    ),
    Plant(
        "released in spite of retain_graph",
        "backward.backward_frame",
        "if what & RELEASE and not run.retain:",
        "if what & RELEASE:",
    ),
    Plant(
        "never released",
        "pieces.piece_record",
        "r.freed = freed if retain else freed | vis",
        "r.freed = freed",
    ),
    Plant(
        "running sum of a value dropped",
        "backward.Run.begun",
        "h = pair[1].pop(hist.slot, None)",
        "pair[1].pop(hist.slot, None)",
    ),
    Plant(
        "gradient overwritten",
        "sums.summed",
        "inplace(ADD, have, (h,), None)\n        return have",
        "return h",
    ),
    Plant(
        "running sum of a leaf dropped",
        "backward.Run.begun",
        "out[slot] = h",
        "out[slot] = h if fr is not None else None\n            if fr is None:\n                del out[slot]",
    ),
    Plant(
        "hook called twice",
        "descent.run_hooks",
        "out = apart(hook, g)",
        "out = apart(hook, g)\n        out = apart(hook, g if out is None else out)",
    ),
    Plant(
        "first hook not called",
        "descent.run_hooks",
        "for k, h in hooks.items()",
        "for k, h in list(hooks.items())[1:]",
    ),
    Plant("flags of backward not compared", "backward.backward_root", "or r.b != flags", ""),
    Plant(
        "gradient of a broadcast not summed",
        "tape.sum_to",
        "if n == 1 and have[k + i] != 1",
        "if n == 1 and have[k + i] > 2",
    ),
    Plant(
        "saved values misplaced",
        "pieces.template_record",
        "to[s] = srcs[ns + j]",
        "to[s] = srcs[ns + (j + 1) % len(bt.need)]",
    ),
    Plant(
        "gradient of what is expanded laid out as it lies",
        "pieces.Leaving.all",
        "at[k].spec.dense()",
        "at[k].spec.strides",
        orders=True,
    ),
    Plant(
        "base of a gradient that was moved",
        "plan.base_of",
        " or r.region is None",
        "",
        orders=True,
    ),
    Plant(
        "gradient that was moved read as it lies",
        "eager._move",
        "laid_out(x, s)",
        "x",
        orders=True,
    ),
    # optimisers
    Plant("step not stored", "step.overwrite", "written(e, s, new)", "pass"),
    Plant(
        "state of a step not stored",
        "step.update",
        "if j < flat and writes[j][0] == k:",
        "if j < flat and writes[j][0] == k and t.requires_grad:",
    ),
    Plant(
        "numbers of a step kept",
        "step.update",
        "e.numbers.extend(numbers)",
        "r.info = r.info or list(numbers); e.numbers.extend(r.info)",
    ),
)


def function_of(where: str) -> Any:
    """The function object behind ``module.name`` or ``module.Class.name``."""
    parts = where.split(".")
    f: Any = importlib.import_module(f"rushlight.engine.{parts[0]}")
    for q in parts[1:]:
        f = getattr(f, q)
    return f


def is_pure() -> bool:
    """Does the engine run as plain Python?  Defects can be planted only there."""
    return hasattr(function_of("core.record1"), "__code__")


def applies(p: Plant) -> bool:
    """Is the plant's text still in the engine?"""
    try:
        return p.old in textwrap.dedent(inspect.getsource(function_of(p.where)))
    except (AttributeError, ImportError):
        return False


@contextmanager
def apply(p: Plant) -> Iterator[None]:
    """The defect, for the length of a ``with`` block."""
    f = function_of(p.where)
    if not is_pure():
        raise RuntimeError("defects can be planted in the pure-Python build only")
    text = textwrap.dedent(inspect.getsource(f))
    if p.old not in text:
        raise LookupError(f"planted defect {p.name!r}: its text is no longer in {p.where}")
    flags = __future__.annotations.compiler_flag
    made: dict[str, Any] = {}
    exec(
        compile(text.replace(p.old, p.new), f"<{p.name}>", "exec", flags, True), f.__globals__, made
    )
    before = f.__code__
    keys = importlib.import_module("rushlight.engine.handles").KEYS
    keys.clear()
    f.__code__ = next(iter(made.values())).__code__
    try:
        yield
    finally:
        f.__code__ = before
        keys.clear()


def good_seeds(seeds: range, options: dict[int, Options], orders: bool = False) -> list[int]:
    """The seeds at which the engine as it is shows nothing; ``orders``: as programs with
    derivatives of higher orders."""
    make = generate_orders if orders else generate
    return [s for s in seeds if check(make(s), options[s]) is None]


def catch(
    p: Plant, seeds: list[int], options: dict[int, Options], seconds: float
) -> tuple[float, int] | None:
    """Seconds (of this process) and number of programs until the defect is found, or None."""
    start = time.process_time()
    make = generate_orders if p.orders else generate
    with apply(p):
        for k, s in enumerate(seeds):
            if time.process_time() - start > seconds:
                return None
            if check(make(s), options[s]) is not None:
                return time.process_time() - start, k + 1
    return None
