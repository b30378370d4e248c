"""`torch.jit`: functions and modules as they are.

Rushlight compiles what runs repeatedly without being asked, so `script` and `trace` give back what
they are given, and say so once.  There is no TorchScript to save or load.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, Final, NoReturn, TypeVar

from rushlight.futures import Future
from rushlight.nn import Module

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

__all__ = [
    "Attribute",
    "Error",
    "Final",
    "Future",
    "ScriptFunction",
    "ScriptModule",
    "annotate",
    "enable_onednn_fusion",
    "export",
    "fork",
    "freeze",
    "ignore",
    "interface",
    "is_scripting",
    "is_tracing",
    "isinstance",
    "load",
    "onednn_fusion_enabled",
    "optimize_for_inference",
    "optimized_execution",
    "save",
    "script",
    "script_if_tracing",
    "script_method",
    "set_fusion_strategy",
    "strict_fusion",
    "trace",
    "trace_module",
    "unused",
    "wait",
]

ScriptModule = Module
ScriptFunction = type(lambda: None)
_isinstance = isinstance


class Error(RuntimeError):
    """PyTorch's error of its TorchScript compiler; never raised here."""


@functools.cache
def _tell(name: str) -> None:
    print(
        f"rushlight: torch.jit.{name} gives back what it is given; what runs repeatedly is "
        "compiled without being asked",
        file=sys.stderr,
    )


# ------------------------------------------------------------------- compilers
def script(obj: T, optimize: Any = None, _frames_up: int = 0, _rcb: Any = None, **more: Any) -> T:
    """The function, class or module itself."""
    _tell("script")
    return obj


def trace(func: T, example_inputs: Any = None, *args: Any, **kwargs: Any) -> T:
    """The function or module itself; the example inputs are not needed."""
    _tell("trace")
    return func


def trace_module(mod: T, inputs: Any, *args: Any, **kwargs: Any) -> T:
    """The module itself."""
    _tell("trace_module")
    return mod


def freeze(mod: T, preserved_attrs: Any = None, optimize_numerics: bool = True) -> T:
    """The module itself."""
    return mod


def optimize_for_inference(mod: T, other_methods: Any = None) -> T:
    """The module itself."""
    return mod


def script_if_tracing(fn: F) -> F:
    """The function itself."""
    return fn


def script_method(fn: F) -> F:
    """The method itself."""
    return fn


# ------------------------------------------------------------------- marks on functions
def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """A decorator, with or without arguments, that changes nothing."""
    return drop if callable(drop) else lambda fn: fn


def unused(fn: F) -> F:
    """The function itself."""
    return fn


def export(fn: F) -> F:
    """The function itself."""
    return fn


def interface(obj: T) -> T:
    """The class itself."""
    return obj


def annotate(the_type: Any, the_value: T) -> T:
    """The value."""
    return the_value


def Attribute(value: T, type: Any) -> T:
    """The value."""
    return value


def isinstance(obj: Any, target_type: Any) -> bool:
    """Python's, which is also true of `List[int]` for a list."""
    origin = getattr(target_type, "__origin__", target_type)
    return _isinstance(obj, origin)


# ------------------------------------------------------------------- what is going on
def is_scripting() -> bool:
    """False."""
    return False


def is_tracing() -> bool:
    """False."""
    return False


def fork(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
    """Call the function; `wait` gives what it returned."""
    made: Future[Any] = Future()
    made.set_result(func(*args, **kwargs))
    return made


def wait(future: Future[Any]) -> Any:
    """The result of a `fork`."""
    return future.wait()


class _Nothing:
    """A context that changes nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exception: object) -> None:
        return None


optimized_execution = _Nothing
strict_fusion = _Nothing


def set_fusion_strategy(strategy: Any) -> list[Any]:
    """Nothing to set."""
    return []


def enable_onednn_fusion(enabled: bool) -> None:
    """Nothing to enable."""


def onednn_fusion_enabled() -> bool:
    """False."""
    return False


# ------------------------------------------------------------------- files
def save(m: Any, f: Any, _extra_files: Any = None) -> NoReturn:
    """`NotImplementedError`: there is no TorchScript to write."""
    raise NotImplementedError(
        "torch.jit.save: Rushlight has no TorchScript; save the weights with "
        "torch.save(model.state_dict(), path) and build the module from its class"
    )


def load(f: Any, map_location: Any = None, *args: Any, **kwargs: Any) -> NoReturn:
    """`NotImplementedError`: TorchScript archives hold programs that are not Python's."""
    raise NotImplementedError(
        f"torch.jit.load({f!r}): Rushlight has no TorchScript; in PyTorch, save the module's "
        "state_dict() and load that into the module's class"
    )
