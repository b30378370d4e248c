"""Which Python runs in a step: the user's own functions, with what they were given.

A profile function sees every call of one run.  What cannot be left out of a replay (printing,
random numbers, reading files, other people's code) is refused here, with the line that did it.
"""

from __future__ import annotations

import builtins
import functools
import gc
import math
import os
import sys
import sysconfig
from types import CodeType, FrameType, FunctionType
from typing import Any, Final

from ..engine import Tensor
from ..engine.noting import Refused
from ..optim.optimizer import Optimizer

ROOT: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
FOREIGN: Final = tuple(
    {
        os.path.abspath(path) + os.sep
        for name in ("stdlib", "platstdlib", "purelib", "platlib")
        if (path := sysconfig.get_paths().get(name))
    }
)

# What of this package leaves nothing behind but tensors, and rests on nothing but its arguments.
CLEAN: Final = (
    "base", "graph", "engine", "tensor", "nn", "linalg", "fft", "special", "capture", "compiler",
    "codegen", "runtime", "__init__.py", "autograd/grad_mode.py", "autograd/engine.py",
    "autograd/__init__.py", "autograd/modes.py", "optim/groups.py",
    "optim/optimizer.py", "optim/sgd.py", "optim/adam.py",
    "optim/adagrad.py", "optim/rmsprop.py", "optim/__init__.py",
)  # fmt: skip
DIRTY: Final = {
    "random": "draws random numbers",
    "nn/init.py": "draws random numbers",
    "optim/lr_scheduler": "steps a learning-rate scheduler",
    "optim/scattered.py": "steps along sparse gradients",
    "utils": "reads a data set",
    "tensor/random.py": "draws random numbers",
    "tensor/display.py": "prints a tensor",
}

USER: Final = 0
LIBRARY: Final = 1  # ours, harmless
OTHER: Final = 2
DENIED: Final = 3

# Builtin functions that the user's code may call: they change nothing.
PURE: Final = frozenset(
    getattr(builtins, name)
    for name in (
        "abs", "all", "any", "callable", "divmod", "isinstance", "issubclass", "len", "max", "min",
        "pow", "round", "sorted", "sum", "next", "iter",
    )
)  # fmt: skip
PURE_TYPES: Final = (
    bool, int, float, complex, str, bytes, tuple, list, dict, set, frozenset, range, slice, zip,
    enumerate, reversed, map, filter, super, staticmethod, classmethod, property,
)  # fmt: skip
CONTAINERS: Final = (
    list,
    dict,
    tuple,
    set,
    frozenset,
    str,
    bytes,
    int,
    float,
    bool,
    complex,
    range,
)


@functools.cache
def kind_of(filename: str) -> tuple[int, str]:
    """Whose code a file is: the user's, ours (harmless, or why not), other people's."""
    path = os.path.abspath(filename)
    if path.startswith(ROOT):
        name = path[len(ROOT) :].replace(os.sep, "/")
        for start, why in DIRTY.items():
            if name == start or name.startswith(start + "/"):
                return DENIED, why
        for start in CLEAN:
            if name == start or name.startswith(start + "/"):
                return LIBRARY, ""
        return DENIED, f"uses rushlight/{name}"
    if filename.startswith("<frozen") or path.startswith(FOREIGN):
        return OTHER, ""
    return USER, ""


def whose(frame: FrameType) -> tuple[int, str]:
    """The same of a frame; code made from text is of the module whose names it uses."""
    filename = frame.f_code.co_filename
    if filename.startswith("<") and not filename.startswith("<frozen"):
        name = str(frame.f_globals.get("__name__", "namedtuple_"))
        file = getattr(sys.modules.get(name), "__file__", None)
        # What `namedtuple` and the operations' meanings are made of belongs to who called it.
        if name.startswith("namedtuple_") and frame.f_back is not None:
            return (USER if whose(frame.f_back)[0] == USER else OTHER), ""
        return kind_of(file) if file is not None else (USER, "")
    return kind_of(filename)


def allowed(function: Any) -> bool:
    """May the user's code call this builtin function or method in a step that is replayed?"""
    owner = getattr(function, "__self__", None)
    if isinstance(owner, Tensor) or type(owner).__module__.split(".")[0] == "rushlight":
        return True  # the compiled core: nothing in it draws, prints or counts
    if owner is not None and type(owner) in CONTAINERS:
        return True
    try:
        if function in PURE:
            return True
    except TypeError:
        return False
    module = getattr(function, "__module__", None) or ""
    if module == "math":
        return getattr(math, function.__name__, None) is function
    return str(module).split(".")[0] == "rushlight"


def settled(value: Any) -> bool:
    """Is it a value that holds nothing which others can change: what user functions may return."""
    if value is None or isinstance(value, (Tensor, bool, int, float, complex, str, bytes)):
        return True
    if type(value) in (tuple, list):
        return all(settled(v) for v in value)
    return type(value) is dict and all(settled(k) and settled(v) for k, v in value.items())


class Used:
    """A function of the user's that ran: its code, its globals, what each parameter was."""

    def __init__(self, code: CodeType, frame: FrameType) -> None:
        self.code = code
        self.globals: dict[str, Any] = frame.f_globals
        self.given: dict[str, list[Any]] = {}
        self.free: dict[str, Any] = {}
        self.root = False


class Trace:
    """The profile function of one run."""

    def __init__(self) -> None:
        self.used: dict[CodeType, Used] = {}
        self.nested: set[CodeType] = set()
        self.steps: list[Optimizer] = []
        self.refused: Refused | None = None
        self.depth = 0

    def refuse(self, frame: FrameType | None, why: str) -> None:
        """Remember the first reason, with the user's line."""
        if self.refused is None:
            while frame is not None and whose(frame)[0] != USER:
                frame = frame.f_back
            self.refused = Refused(why if frame is None else f"{why} ({line_of(frame)})")

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        if self.refused is not None:
            return
        if event == "call":
            self.called(frame)
        elif event == "c_call":
            if whose(frame)[0] == USER and not allowed(arg):
                self.refuse(frame, f"calls {getattr(arg, '__qualname__', arg)}")
        elif event == "return":
            self.returned(frame, arg)

    def called(self, frame: FrameType) -> None:
        code = frame.f_code
        kind, why = whose(frame)
        if kind == LIBRARY:
            if code is OPTIMIZER_STEP:
                self.steps.append(frame.f_locals["self"])
        elif kind == DENIED:
            self.refuse(frame, why)
        elif kind == OTHER:
            caller = frame.f_back
            if caller is not None and whose(caller)[0] == USER:
                self.refuse(caller, f"calls {code.co_qualname}, which is not the program's own")
        else:
            self.entered(frame, code)

    def entered(self, frame: FrameType, code: CodeType) -> None:
        self.depth += 1
        if code in self.nested:
            return
        used = self.used.get(code)
        if used is None:
            if code.co_flags & (0x20 | 0x80 | 0x100 | 0x200):
                self.refuse(frame, "runs a generator or a coroutine")
                return
            used = Used(code, frame)
            used.root = self.depth == 1
            self.used[code] = used
            todo = [code]
            while todo:
                inner = [c for c in todo.pop().co_consts if isinstance(c, CodeType)]
                self.nested.update(inner)
                todo += inner
        elif used.globals is not frame.f_globals:
            self.refuse(frame, f"runs {code.co_name} with several sets of global names")
        values = frame.f_locals
        count = code.co_argcount + code.co_kwonlyargcount
        count += bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)
        for name in code.co_varnames[:count]:
            value = values.get(name)
            # Only what may change elsewhere matters; a temporary must not be kept alive from here.
            if not settled(value) or (used.root and isinstance(value, (list, dict, tuple))):
                seen = used.given.setdefault(name, [])
                if all(value is not v for v in seen):
                    seen.append(value)
        for name in code.co_freevars:
            if name in values:
                used.free[name] = values[name]

    def returned(self, frame: FrameType, value: Any) -> None:
        if whose(frame)[0] != USER:
            return
        self.depth -= 1
        if self.depth > 0 and frame.f_code not in self.nested and not settled(value):
            self.refuse(frame, f"{frame.f_code.co_name} returns a {type(value).__name__}")


def line_of(frame: FrameType) -> str:
    """File and line, as in a traceback."""
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


OPTIMIZER_STEP: Final[CodeType] = Optimizer.step.__code__


def function_of(code: CodeType, free: dict[str, Any], known: list[Any]) -> list[FunctionType]:
    """The functions with this code whose free names hold these values."""
    found = [f for f in known if isinstance(f, FunctionType) and f.__code__ is code]
    if not found:
        found = [f for f in gc.get_referrers(code) if isinstance(f, FunctionType)]
        found = [f for f in found if f.__code__ is code]
    return [f for f in found if holds(f, free)]


def holds(function: FunctionType, free: dict[str, Any]) -> bool:
    """Do a function's cells hold these values?"""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        try:
            if name in free and cell.cell_contents is not free[name]:
                return False
        except ValueError:
            if name in free:
                return False
    return True


def profile(trace: Trace | None) -> None:
    """Watch calls in this thread, or no longer."""
    sys.setprofile(trace)
