"""`torch.compile` and `torch.compiler`.

Recording compiles what a program does repeatedly without being asked.  Marking a function with
`compile` lets whole steps of it be replayed without their Python (`rushlight.capture`); everything
else is accepted, with nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, TypeVar, overload

F = TypeVar("F", bound=Callable[..., Any])


@overload
def compile(
    model: None = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = "inductor",
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    disable: bool = False,
) -> Callable[[F], F]: ...
@overload
def compile(
    model: F,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = "inductor",
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    disable: bool = False,
) -> F: ...
def compile(
    model: F | None = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = "inductor",
    mode: Literal["default", "reduce-overhead", "max-autotune"] | str | None = None,
    options: dict[str, Any] | None = None,
    disable: bool = False,
) -> F | Callable[[F], F]:
    """A function that replays whole training steps; a module around a module.

    A function that zeroes gradients, computes a loss, goes backward and takes an optimiser's step
    is captured after three calls and then replayed without its Python, for as long as nothing that
    it rests on has changed; ``capture_status()`` of what is returned says how it runs, and why.
    Other functions and modules run as they are: what runs repeatedly is compiled without being
    asked.  Values are those of the plain function always.

    PyTorch's arguments are accepted; without a model it is a decorator; with ``disable`` the model
    itself comes back.  Raises RuntimeError for both `mode` and `options`, TypeError for what cannot
    be called.
    """
    if mode is not None and options is not None:
        raise RuntimeError(
            "Either mode or options can be specified, but both can't be specified at the same time."
        )
    if model is None:
        return lambda f: compile(f, disable=disable)
    if not callable(model):
        raise TypeError(f"compile: expected a function or module, got {type(model).__name__}")
    if disable or not MAKERS:
        return model
    made: F = MAKERS[0](model)
    return made


MAKERS: Final[list[Callable[[Any], Any]]] = []  # what `compile` gives; set by `rushlight.capture`


def is_compiling() -> bool:
    """False: the Python code of a program always runs as it is."""
    return False


is_dynamo_compiling = is_compiling
is_exporting = is_compiling


def reset() -> None:
    """Nothing to forget: what is kept is found by what was recorded."""


def disable(
    fn: Any = None, recursive: bool = True, *, reason: str | None = None
) -> Callable[..., Any]:
    """The function itself, or a decorator that gives it back; it is recorded like any other."""
    if fn is None:
        return lambda f: f
    if not callable(fn):
        raise TypeError(f"disable: expected a function or module, got {type(fn).__name__}")
    return fn  # type: ignore[no-any-return]


def allow_in_graph(fn: Any) -> Any:
    """The function itself."""
    return fn


def assume_constant_result(fn: F) -> F:
    """The function itself; it is called every time."""
    return fn


def substitute_in_graph(*args: Any, **kwargs: Any) -> Callable[[F], F]:
    """A decorator that gives the function back: the original is called."""
    return lambda f: f


def list_backends(exclude_tags: Sequence[str] | None = ("debug", "experimental")) -> list[str]:
    """The names that `compile(backend=...)` takes for what it does anyway."""
    return ["inductor"]


def cudagraph_mark_step_begin() -> None:
    """Nothing: there are no CUDA graphs whose memory could be reused."""


def set_stance(stance: str = "default", **options: Any) -> _Stance:
    """Accepted: there is one way to run.  Also a context manager and decorator."""
    if stance not in ("default", "eager_then_compile", "force_eager", "fail_on_recompile",
                      "eager_on_recompile", "aot_eager_then_compile"):  # fmt: skip
        raise RuntimeError(f"invalid torch.compile stance {stance!r}")
    return _Stance()


class _Stance:
    """Does nothing, in a `with` block or around a function."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None

    def __call__(self, fn: F) -> F:
        return fn
