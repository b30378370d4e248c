"""What is known of a new value before it is computed: shape and type rules, remembered.

A rule is a pure function of the operation, its operands' specs and the static argument, so its
answer is kept: specs are interned (equal ones are one object), and what was asked before is one
look in a dictionary.  Where most answers are not known, they are worked out and not kept.  Both
dictionaries are bounded and start afresh when they are full.
"""

from __future__ import annotations

from typing import Any, Final

from mypy_extensions import i64

from ..base import dtype as dt
from ..base.device import CPU
from ..base.dtype import Defaults, dtype
from ..graph.op import ELEMENTWISE, Op, Spec
from ..graph.ops.elementwise import NOT_FLOATS
from ..graph.ops.placing import placed
from .records import NUM_F, NUM_I, size_of

MOST: Final = 8192  # specs, and answers, that are kept
SPECS: Final[dict[Any, Spec]] = {}
ANSWERS: Final[dict[Any, Spec]] = {}
FLOAT: Final = [Spec((), dt.float32, (), number="f")]  # under the last default float type
INTEGER: Final = Spec((), dt.int64, (), number="i")
TRUTH: Final = Spec((), dt.bool_, (), number="b")


class Luck:
    """Whether answers are known when they are asked for: a program whose sizes are always new asks
    in vain, and does better without the dictionaries."""

    def __init__(self) -> None:
        self.left: i64 = LUCK  # below zero: fewer than one answer in five was known
        self.turn: i64 = 0


LUCK: Final = 64
KNOWN: Final = 4  # what an answer that is known weighs against one that is not
PROBE: Final = 7  # one in so many asks all the same
LUCKY: Final = Luck()
DEFAULT: Final[list[Any]] = [None]  # the default float type that the answers were given under


def number_spec(code: int) -> Spec:
    """What is known of a Python number."""
    if code == NUM_F:
        f = FLOAT[0]
        default: dtype = Defaults.float
        if f.dtype is not default:
            f = FLOAT[0] = Spec((), default, (), number="f")
        return f
    return INTEGER if code == NUM_I else TRUTH


def interned(s: Spec) -> Spec:
    """The one object for specs equal to ``s``."""
    if s.number:
        return s
    key: Any
    if s.device is CPU:  # the usual case is not asked for its hash
        key = (s.shape, s.dtype, s.strides, s.offset)
    else:
        key = (s.shape, s.dtype, s.strides, s.offset, s.device)
    found = SPECS.get(key)
    if found is None:
        if len(SPECS) >= MOST:
            SPECS.clear()
            ANSWERS.clear()
        SPECS[key] = s
        found = s
        s.known = True
    return found


def sized(s: Spec) -> Any:
    """The spec's shape as users see it."""
    size = s.size
    if size is None:
        size = size_of(s.shape)
        s.size = size
    return size


def exact(arg: Any) -> Any:
    """What tells a static argument from others that only compare equal (1 and 1.0, 0.0 and
    -0.0)."""
    if arg is None or isinstance(arg, int):
        return arg
    if isinstance(arg, tuple):
        for a in arg:
            if isinstance(a, int) or isinstance(a, dtype):  # noqa: SIM101 - native tests
                continue
            if isinstance(a, tuple):
                if exact(a) is not a:
                    return repr(arg)
            elif isinstance(a, float) or isinstance(a, complex):  # noqa: SIM101
                return repr(arg)
        return arg
    if isinstance(arg, float) or (not isinstance(arg, dtype) and isinstance(arg, complex)):
        return repr(arg)
    return arg


def inferred(op: Op, specs: list[Spec], arg: Any, strict: bool) -> Spec:
    """The result's spec; raises what the operation's rule raises.  ``strict``: as `placed` has
    it."""
    default: Any = Defaults.float
    if default is not DEFAULT[0]:
        ANSWERS.clear()
        DEFAULT[0] = default
    for s in specs:
        if s.device is not CPU and not s.number:
            return interned(placed(op, specs, op.infer(op, specs, arg), strict))
    luck = LUCKY
    if luck.left < 0:
        luck.turn += 1
        if luck.turn % PROBE:
            fresh: Spec = op.infer(op, specs, arg)
            return fresh
    n = len(specs)
    known = exact(arg)
    key: Any
    if n == 1:
        key = (op, known, specs[0])
    elif n == 2:
        key = (op, known, specs[0], specs[1])
    else:
        key = (op, known, *specs)
    found = ANSWERS.get(key)
    if found is None:
        found = interned(op.infer(op, specs, arg))
        if len(ANSWERS) >= MOST:
            ANSWERS.clear()
        ANSWERS[key] = found
        if luck.left > -KNOWN:
            luck.left -= 1
    elif luck.left < LUCK:
        luck.left += KNOWN
    return found


def alike(op: Op, specs: list[Spec]) -> Spec | None:
    """The result's spec where it is the operands': floats of one shape, type and dense layout,
    beside numbers; None where that does not follow.

    The operands have to be bases, not views: those are dense.
    """
    first: Spec | None = None
    for s in specs:
        if s.number:
            if s.number == "b":
                return None  # subtraction refuses them
            continue
        if first is None:
            if s.dtype.rank != 2 or s.offset != 0:
                return None
            first = s
        elif s is not first and (
            s.shape != first.shape
            or s.dtype is not first.dtype
            or s.strides != first.strides
            or s.device != first.device
            or s.offset != 0
        ):
            return None
    return first if keeps_type(op) else None


def keeps_type(op: Op) -> bool:
    """Has the operation the type of its float operands, whatever they are?"""
    known = op.keeps
    if known is None:
        known = op.kind == ELEMENTWISE and op.types in ("promote", "float")
        known = known and op.name not in NOT_FLOATS
        op.keeps = known
    return bool(known)
