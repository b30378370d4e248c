"""What Rushlight has: looks up PyTorch's dotted names, their keywords and what they return."""

from __future__ import annotations

import functools
import importlib
import inspect
from dataclasses import dataclass
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final

from rushlight.base.lacking import Lacking
from rushlight.cli import alias
from rushlight.engine.methods import GENERAL

_NOTHING: Final = object()
# Methods that give a tensor and whose signature does not say so.
_TENSORS: Final = frozenset(("detach", "matmul", "t", "view"))
ROOTS: Final = frozenset(alias.ALIASES) | frozenset(alias.OTHERS)


@dataclass(frozen=True)
class Found:
    """What a dotted name leads to: the value, or the first part that is missing."""

    missing: str | None = None
    nearest: tuple[str, ...] = ()
    value: Any = None
    whole: bool = False  # whether every part was followed: `value` is what the name means


@functools.cache
def look_up(dotted: str) -> Found:
    """Follow a name such as `torch.nn.functional.relu` as far as its parts are known to us."""
    parts = dotted.split(".")
    if parts[0] in alias.OTHERS:
        return Found(missing=parts[0])
    value: Any = _module(alias.ALIASES[parts[0]])
    if value is None:
        return Found(missing=parts[0])
    for at, part in enumerate(parts[1:], 2):
        name = ".".join(parts[:at])
        followed = _step(value, part)
        if followed is _NOTHING:
            return Found(missing=name, nearest=_nearest(value, part, parts[: at - 1]))
        if isinstance(followed, Lacking) or _says_so(followed):
            return Found(missing=name)
        if not isinstance(followed, ModuleType | type) and not _holds_switches(followed):
            return Found(value=followed, whole=at == len(parts))
        value = followed
    return Found(value=value, whole=True)


def _says_so(value: Any) -> bool:
    """Whether a function or class is there only to say what is missing."""
    return getattr(value, "__dict__", {}).get("lacking") is True


def _holds_switches(value: Any) -> bool:
    """Whether it is one of our own objects that stand for a module (`torch.ops`)."""
    return type(value).__module__.startswith(("rushlight.backends", "rushlight.cuda"))


def _step(value: Any, part: str) -> Any:
    """The part of a module or class; `_NOTHING`: there is none."""
    try:
        return getattr(value, part)
    except Exception:  # a module may raise what it likes for what it lacks
        if not isinstance(value, ModuleType):
            return _NOTHING
    found = _module(f"{value.__name__}.{part}")
    return _NOTHING if found is None else found


def _module(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name) if find_spec(name) is not None else None
    except ImportError:
        return None


def _nearest(value: Any, part: str, parents: list[str]) -> tuple[str, ...]:
    import difflib

    names = [name for name in dir(value) if not name.startswith("_")]
    close = difflib.get_close_matches(part, names, n=2, cutoff=0.75)
    return tuple(".".join([*parents, name]) for name in close if name != part)


def keywords(value: Any) -> frozenset[str] | None:
    """The keyword arguments that a function or class takes; None: it does not say."""
    try:
        # not the wrapped function's: a wrapper may take more than that
        signature = inspect.signature(value, follow_wrapped=False)
    except (TypeError, ValueError):
        return None
    kinds = inspect.Parameter
    named = []
    for parameter in signature.parameters.values():
        if parameter.kind is kinds.VAR_KEYWORD:
            return None
        if parameter.kind in (kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY):
            named.append(parameter.name)
    return frozenset(named)


def tensor() -> type:
    """The tensor class."""
    made: type = look_up("torch.Tensor").value
    return made


def gives_tensor(value: Any) -> bool:
    """Whether a call certainly gives a tensor."""
    if isinstance(value, type):
        return issubclass(value, tensor())
    name = getattr(value, "__name__", "")
    if value is getattr(tensor(), name, None):
        if name in _TENSORS:
            return True
        value = GENERAL.get(name, value)  # a compiled method says nothing of what it gives
    try:
        said = inspect.signature(value).return_annotation
    except (TypeError, ValueError):
        return False
    return said in ("Tensor", "core.Tensor", tensor())


def has_attribute(name: str) -> bool:
    """Whether tensors have an attribute of that name."""
    return hasattr(tensor(), name) or name in ("grad", "shape", "dtype", "device")
