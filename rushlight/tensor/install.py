"""How the public API is put together: functions of `torch`, methods of `Tensor`, their checks.

A family's file decorates what it defines: `@function()` enters `torch.<name>`, `@method()` a
method, `@both()` one callable as both.  Python's names that PyTorch shadows (`abs`, `sum`) are
given as arguments, so that no file shadows them.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, Final, TypeVar, cast

import numpy as np

from rushlight import engine
from rushlight.base import dtype as dt
from rushlight.base.device import CPU, Chosen, device, located
from rushlight.base.dtype import dtype
from rushlight.base.shape import Ints
from rushlight.engine import Tensor
from rushlight.engine.methods import general
from rushlight.engine.record import distinct
from rushlight.graph.op import TABLE, Op
from rushlight.tensor.later import Functions

F = TypeVar("F", bound=Callable[..., Any])
Number = float | int | bool  # what arithmetic takes; complex numbers pass as Any


def kind_of(x: Any) -> str:
    """The kind of a Python number: `'b'`, `'i'`, `'f'` or `'c'`."""
    if isinstance(x, bool):
        return "b"
    return "i" if isinstance(x, int) else "c" if isinstance(x, complex) else "f"


FUNCTIONS: Final = Functions()  # the public functions, by name


def named(f: F, name: str, owner: str = "") -> F:
    """`f` under its public name, as tracebacks and `help` show it."""
    f.__name__ = name
    f.__qualname__ = f"{owner}{name}"
    return f


def attach(name: str, f: Any) -> None:
    """Make `f` the method of that name, or what the engine's own method of it falls back on."""
    if not general(name, f):
        setattr(Tensor, name, f)


def function(*names: str) -> Callable[[F], F]:
    """Enter a function of the public namespace, under its own name or the ones given."""

    def enter(f: F) -> F:
        for name in names or (f.__name__,):
            FUNCTIONS[name] = f
        return named(f, names[0]) if names else f

    return enter


def method(*names: str) -> Callable[[F], F]:
    """Attach a method to `Tensor`, under its own name or the ones given."""

    def enter(f: F) -> F:
        for name in names or (f.__name__,):
            attach(name, f)
        return named(f, names[0], "Tensor.") if names else f

    return enter


def both(*names: str) -> Callable[[F], F]:
    """Enter a function and attach it as a method: its first argument is the tensor."""

    def enter(f: F) -> F:
        for name in names or (f.__name__,):
            FUNCTIONS[name] = f
            attach(name, f)
        return named(f, names[0]) if names else f

    return enter


def numpy_names() -> None:
    """Let functions with a `dim` take `axis` (and `keepdims`), as PyTorch's do."""
    for name in NUMPY_NAMES.split():
        for table in (FUNCTIONS, vars(Tensor)):
            f = table.get(name)
            if f is not None:
                g = _renaming(f)
                if table is FUNCTIONS:
                    FUNCTIONS[name] = g
                else:
                    setattr(Tensor, name, g)


NUMPY_NAMES: Final = (
    "argsort chunk count_nonzero cumprod cumsum diff flip gather index_select kthvalue logsumexp "
    "median mode nanmean nansum narrow norm prod quantile roll select sort split squeeze stack "
    "topk unbind unflatten unsqueeze"
)


def _renaming(f: Any) -> Any:
    @functools.wraps(f)
    def renamed(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            if "axis" in kwargs:
                kwargs["dims" if f.__name__ in ("flip", "roll") else "dim"] = kwargs.pop("axis")
            if "keepdims" in kwargs:
                kwargs["keepdim"] = kwargs.pop("keepdims")
        return f(*args, **kwargs)

    return renamed


def row(name: str) -> Op | None:
    """The operation called `name`, where the table has it."""
    return TABLE.get(name)


def strides(x: Tensor) -> Ints:
    """The layout of `x`, in elements."""
    return x.rec.spec.strides  # type: ignore[no-any-return]


def offset(x: Tensor) -> int:
    """Where `x` starts in its storage, in elements."""
    return x.rec.spec.offset  # type: ignore[no-any-return]


# ---------------------------------------------------------------- results with names
RETURN_TYPES: Final[dict[str, Any]] = {}  # `torch.return_types`


class Result(tuple[Any, ...]):
    """Several results, also by name, as PyTorch prints them.

    A named tuple of Python's takes ten times as long to define: its text is compiled.
    """

    __slots__ = ()
    _fields: tuple[str, ...] = ()

    def __new__(cls, *values: Any) -> Result:
        """From the values, or from one sequence of them as PyTorch's own."""
        if len(values) != len(cls._fields):
            if len(values) != 1 or len(values[0]) != len(cls._fields):
                raise TypeError(
                    f"torch.return_types.{cls.__name__}() takes a {len(cls._fields)}-sequence "
                    f"({', '.join(cls._fields)})"
                )
            values = values[0]
        return tuple.__new__(cls, values)

    def __repr__(self) -> str:
        named = (f"{field}={value!r}" for field, value in zip(self._fields, self))
        return f"torch.return_types.{type(self).__name__}(\n" + ",\n".join(named) + ")"


def result_type(name: str, fields: str) -> Any:
    """The type of what `name` returns, with `fields` by name; `torch.return_types` has it."""
    names = tuple(fields.split())
    members: dict[str, Any] = {field: property(itemgetter(i)) for i, field in enumerate(names)}
    members |= {
        "__slots__": (), "__module__": "torch.return_types", "__match_args__": names,
        "__doc__": f"What `{name}` returns: {', '.join(names)}.", "_fields": names,
        "n_fields": len(names), "n_sequence_fields": len(names), "n_unnamed_fields": 0,
    }  # fmt: skip
    kind = RETURN_TYPES[name] = type(name, (Result,), members)
    return kind


# ---------------------------------------------------------------- checks


def need_tensor(x: Any, name: str, argument: str = "input", position: int = 1) -> None:
    """`TypeError` in PyTorch's words unless `x` is a tensor."""
    if not isinstance(x, Tensor):
        raise TypeError(
            f"{name}(): argument '{argument}' (position {position}) must be Tensor, "
            f"not {type(x).__name__}"
        )


def refuse(x: Tensor, kinds: str, words: str, error: type[Exception] = NotImplementedError) -> None:
    """Raise `words`, with `{type}` filled in, for elements of one of the kinds `kinds`."""
    if x.dtype.kind in kinds:
        raise error(words.format(type=x.dtype.typename))


def operand(x: Any, name: str, argument: str = "other", position: int = 2) -> Tensor | Number:
    """A tensor or a Python number (NumPy's scalars become one); `TypeError` for anything else."""
    if isinstance(x, Tensor | float | int | complex):
        return cast(Number, x) if not isinstance(x, np.generic) else x.item()
    if isinstance(x, np.generic) and x.dtype.kind in "biufc":
        return x.item()  # type: ignore[no-any-return]
    raise TypeError(
        f"{name}(): argument '{argument}' (position {position}) must be Tensor, "
        f"not {type(x).__name__}"
    )


def number(x: Any, name: str, argument: str, position: int = 2) -> Number:
    """A Python number, taken from a tensor of one element where need be."""
    if isinstance(x, Tensor):
        return cast(Number, engine.item(x))
    if isinstance(x, np.generic) and x.dtype.kind in "biufc":
        return x.item()  # type: ignore[no-any-return]
    if isinstance(x, float | int | complex):
        return cast(Number, x)
    raise TypeError(
        f"{name}(): argument '{argument}' (position {position}) must be Number, "
        f"not {type(x).__name__}"
    )


def integer(x: Any, name: str, argument: str, position: int = 2) -> int:
    """An int, from anything that counts as one; `TypeError` for a float or a bool-less object."""
    if type(x) is int:
        return x
    if isinstance(x, Tensor):
        if x.dtype.rank > 1 or x.shape.numel() != 1:
            raise TypeError(
                f"{name}(): argument '{argument}' (position {position}) must be int, not Tensor"
            )
        return cast(int, engine.item(x))
    if hasattr(x, "__index__"):
        return int(x.__index__())
    raise TypeError(
        f"{name}(): argument '{argument}' (position {position}) must be int, not {type(x).__name__}"
    )


def sizes(args: Sequence[Any], name: str, argument: str = "size", position: int = 1) -> Ints:
    """A shape given as separate integers or as one sequence: `f(2, 3)`, `f((2, 3))`."""
    if len(args) == 1 and not hasattr(args[0], "__index__"):
        one = args[0]
        if isinstance(one, tuple | list):
            args = one
        else:
            raise TypeError(
                f"{name}(): argument '{argument}' (position {position}) must be tuple of ints, "
                f"not {type(one).__name__}"
            )
    elif len(args) == 1 and isinstance(args[0], Tensor) and args[0].shape:
        args = engine.read(args[0]).tolist()
    out = []
    for i, d in enumerate(args):
        if type(d) is int:
            out.append(d)
            continue
        try:
            out.append(int(d.__index__()))
        except (AttributeError, TypeError):
            raise TypeError(
                f"{name}(): argument '{argument}' (position {position}) must be tuple of ints, but "
                f"found element of type {type(d).__name__} at pos {i}"
            ) from None
    return tuple(out)


_PYTHON: Final[dict[Any, str]] = {float: "float64", int: "int64", bool: "bool"}


def by_keyword(args: tuple[Any, ...], named: dict[str, Any], key: str, name: str) -> Any:
    """The arguments of a method with `*args` by their one keyword: `permute(dims=(1, 0))`."""
    if args or set(named) != {key}:
        raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(named))}'")
    return (named[key],)


def element_type(kind: Any, name: str) -> dtype:
    """The dtype an argument names; Python's `float`, `int` and `bool` are taken, as in PyTorch."""
    if isinstance(kind, dtype):
        return kind
    if kind in _PYTHON:
        return dt.by_name(_PYTHON[kind])
    raise TypeError(f"{name}(): argument 'dtype' must be torch.dtype, not {type(kind).__name__}")


def place(where: Any) -> device:
    """The device an argument names; PyTorch's error for one that this build cannot use."""
    if where is None:
        return Chosen.device
    return located(where if isinstance(where, device) else device(where))


def give(result: Tensor, out: Tensor | None, name: str, *inputs: Any) -> Tensor:
    """`result`, written into `out` where one was given: PyTorch's `out=`.

    `inputs` are what it was made of: `out` must not overlap one of them in part.

    An `out` of another shape takes over the result's memory, with PyTorch's warning unless it had
    no elements.  `RuntimeError` when the types cannot be cast or when a gradient would have to flow
    through it.
    """
    if out is None:
        return result
    need_tensor(out, name, "out", 0)
    if 0 in out.rec.spec.strides:
        engine.check_inplace(out)
    for x in inputs:
        if isinstance(x, Tensor):
            distinct(out, x, False)
    if result.requires_grad or (out.requires_grad and engine.is_grad_enabled()):
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, "
            "but one of the arguments requires grad."
        )
    if result.dtype.rank > out.dtype.rank:
        raise RuntimeError(
            f"result type {result.dtype.typename} can't be cast to the desired output type "
            f"{out.dtype.typename}"
        )
    if tuple(out.shape) != tuple(result.shape):
        if 0 not in out.shape:
            warnings.warn(
                "An output with one or more elements was resized since it had shape "
                f"{list(out.shape)}, which does not match the required output shape "
                f"{list(result.shape)}. This behavior is deprecated, and in a future PyTorch "
                "release outputs will not be resized unless they have zero elements. You can "
                "explicitly reuse an out tensor t by resizing it, inplace, to zero elements with "
                "t.resize_(0).",
                stacklevel=3,
            )
        own = TABLE["cast"] if result.dtype is not out.dtype else TABLE["copy"]
        kind = out.dtype if result.dtype is not out.dtype else None
        engine.set_data(out, engine.apply(own, result, arg=kind))
        return out
    return engine.assign(out, result)


def give_all(results: Any, out: Any, name: str) -> Any:
    """Several results, each written into its own of the tensors `out`: PyTorch's `out=`."""
    if not isinstance(out, tuple | list) or len(out) != len(results):
        raise TypeError(
            f"{name}(): argument 'out' must be tuple of {len(results)} Tensors, not "
            + (f"of {len(out)}" if isinstance(out, tuple | list) else type(out).__name__)
        )
    given = [give(made, to, name) for made, to in zip(results, out, strict=True)]
    return type(results)(*given) if isinstance(results, Result) else tuple(given)


def let_write(*names: str, table: dict[str, Any] = FUNCTIONS) -> None:
    """Let functions take `out=`: a tensor, or several, that the results are written into."""
    for name in names:
        table[name] = _writing(table[name], name)


def _writing(f: Any, name: str) -> Any:
    @functools.wraps(f)
    def written(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        made = f(*args, **kwargs)
        if out is None:
            return made
        return give_all(made, out, name) if isinstance(made, tuple) else give(made, out, name)

    return written


def apart(out: Tensor | None, *inputs: Tensor) -> None:
    """`RuntimeError` where `out` shares memory with what is read at places that values say."""
    if out is not None:
        for x in inputs:
            distinct(out, x, True)


@function()
def set_default_device(device: Any) -> None:
    """Where new tensors go; None: the CPU."""
    Chosen.device = CPU if device is None else place(device)


@function()
def get_default_device() -> device:
    """Where new tensors go when nothing is said."""
    return Chosen.device
