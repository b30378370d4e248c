"""Objects a step's names lead to: whose classes they are of, and what is kept of them as guards."""

from __future__ import annotations

import sys
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, Final

from ..engine import Tensor
from ..nn.module import Module
from ..optim.optimizer import Optimizer
from .trace import USER, kind_of

Known = dict[int, Any]
FUNCTIONS: Final = (FunctionType, BuiltinFunctionType, MethodType, type(len), type(str.join))


class Guards:
    """What has to stay as it is, and the tensors and modules the step finds by itself."""

    def __init__(self) -> None:
        self.names: dict[tuple[int, Any], tuple[dict[Any, Any], Any, Any]] = {}
        self.cells: dict[int, tuple[Any, Any]] = {}
        self.attributes: dict[tuple[int, str], tuple[Any, str, Any]] = {}
        self.contents: dict[int, tuple[Any, list[Any]]] = {}
        self.tensors: dict[int, Tensor] = {}
        self.modules: dict[int, Module] = {}
        self.optimizers: dict[int, Optimizer] = {}

    def handles(self) -> list[Tensor]:
        """Every tensor that the step can reach by itself."""
        out = dict(self.tensors)
        for m in self.modules.values():
            for t in (*m.parameters(), *m.buffers()):
                out[id(t)] = t
        for o in self.optimizers.values():
            for group in o.param_groups:
                for p in group["params"]:
                    out[id(p)] = p
            for kept in o._groups:
                for _, state in kept.rows:
                    for t in state:
                        out[id(t)] = t
        return list(out.values())


def raw_attribute(cls: type, name: str) -> Any:
    """What a class or its bases have under a name, as it lies there; None for nothing."""
    for base in cls.__mro__:
        if name in base.__dict__:
            return base.__dict__[name]
    return None


def user_class(cls: type) -> bool:
    """Is it neither ours nor builtin?"""
    return cls.__module__.split(".")[0] not in ("rushlight", "builtins")


def ours(f: Any) -> bool:
    """Is it a function or class of ours?"""
    return isinstance(f, (type, *FUNCTIONS)) and str(f.__module__).split(".")[0] == "rushlight"


def our_class(cls: type) -> bool:
    """Is it ours?"""
    return cls.__module__.split(".")[0] == "rushlight"


def written_here(cls: type) -> bool:
    """Is it a class of the user's own files?"""
    filename = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return filename is not None and kind_of(filename)[0] == USER


def user_function(f: Any) -> bool:
    """Is it written by the user?"""
    code = getattr(getattr(f, "__func__", f), "__code__", None)
    return code is not None and kind_of(code.co_filename)[0] == USER


def is_error(v: Any) -> bool:
    """Is it a class of exceptions?"""
    return isinstance(v, type) and issubclass(v, BaseException)


def expanded(known: Known) -> Known:
    """A set with the parts of its modules: what their methods may give."""
    out = dict(known)
    for v in known.values():
        if isinstance(v, Module):
            for part in v.modules():
                out[id(part)] = part
    return out
