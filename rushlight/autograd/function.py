"""Functions with a gradient of their own: `Function`, its context, `once_differentiable`."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

from rushlight import engine
from rushlight.autograd.grad_mode import no_grad
from rushlight.engine import Tensor
from rushlight.graph.ops import movement
from rushlight.tensor.composed import sum_to_size
from rushlight.tensor.convert import cast
from rushlight.tensor.creation import zeros_like


class FunctionCtx:
    """What `forward` leaves for `backward`."""

    needs_input_grad: tuple[bool, ...] = ()
    materialize_grads: bool = True
    _saved: tuple[Tensor | None, ...] = ()
    _packed: list[Callable[[], Tensor] | None] | None = None  # with hooks on saved tensors
    _not_differentiable: tuple[Tensor, ...] = ()
    _dirty: tuple[Tensor, ...] = ()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for `backward`, which finds them in `saved_tensors`."""
        for x in tensors:
            if x is not None and not isinstance(x, Tensor):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument is of type "
                    f"{type(x).__name__}"
                )
        self._saved = tensors

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Accepted for compatibility: there is no forward-mode differentiation."""

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What `save_for_backward` was given."""
        if self._packed is not None:
            return tuple([None if fetch is None else fetch() for fetch in self._packed])
        return self._saved

    @property
    def saved_variables(self) -> tuple[Any, ...]:
        """The old name of `saved_tensors`."""
        return self.saved_tensors

    def _pack(self, tracer: Any) -> None:
        """Hand what was saved to the hooks on saved tensors."""
        self._packed = [None if x is None else tracer.pack_history(x) for x in self._saved]
        self._saved = ()

    def mark_dirty(self, *args: Tensor) -> None:
        """Say which inputs `forward` changed in place; they have to be returned."""
        self._dirty = args

    def mark_non_differentiable(self, *args: Tensor) -> None:
        """Say which outputs have no gradient."""
        self._not_differentiable = args

    def set_materialize_grads(self, value: bool) -> None:
        """Whether `backward` gets zeros (default) or None where no gradient arrived."""
        self.materialize_grads = value

    def name(self) -> str:
        """The name of the node: the function's with `Backward`."""
        return f"{type(self).__name__}"


class _Meta(type):
    """Gives each `Function` class a context class of its own, named like its node."""

    def __init__(cls, name: str, bases: tuple[type, ...], attrs: dict[str, Any]) -> None:
        super().__init__(name, bases, attrs)
        cls._backward_cls = type(name + "Backward", (BackwardContext,), {"_function": cls})


class BackwardContext(FunctionCtx):
    """The context of one call."""

    _function: Any = None


class Function(FunctionCtx, metaclass=_Meta):
    """A differentiable function written by hand: static `forward(ctx, ...)`, `backward(ctx, ...)`.

    Use it with `apply`.  `forward` may leave the context to `setup_context(ctx, inputs, output)`.
    """

    _backward_cls: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn(
            f"{type(self)} should not be instantiated. Methods on autograd functions are "
            "all static, so you should invoke them on the class itself. Instantiating an autograd "
            "function will raise an error in a future version of PyTorch.",
            DeprecationWarning,
            stacklevel=2,
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """`RuntimeError`: functions are applied, not called."""
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use "
            "new-style autograd function with static forward method. (Example: "
            "https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)"
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """The values: `forward(ctx, *args)`, or `forward(*args)` beside a `setup_context`."""
        raise NotImplementedError(
            "You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Fill the context when `forward` does not take it."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """One gradient for each argument of `forward`, None where there is none."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom "
            "autograd.Function to use it with backward mode AD."
        )

    vjp = backward

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Call `forward` and hang `backward` on what it returns."""
        ctx = cls._backward_cls()
        tensors = [a if isinstance(a, Tensor) else None for a in args]
        wanted = engine.is_grad_enabled() and any(
            t is not None and t.requires_grad for t in tensors
        )
        ctx.needs_input_grad = tuple(
            wanted and t is not None and bool(t.requires_grad) for t in tensors
        )
        with no_grad():
            if cls.setup_context is Function.setup_context:
                output = cls.forward(ctx, *args, **kwargs)
            else:
                output = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, output)
        if not wanted:
            return output
        tracer: Any = engine.tracer()
        if tracer is not None and tracer.hooks:
            ctx._pack(tracer)
        return _attached(cls, ctx, tensors, output)


def _attached(cls: Any, ctx: Any, tensors: list[Tensor | None], output: Any) -> Any:
    """The outputs with their history: those that are tensors and differentiable."""
    single = not isinstance(output, tuple | list)
    outputs = [output] if single else list(output)
    fixed = {id(t) for t in ctx._not_differentiable}
    places = [
        i
        for i, o in enumerate(outputs)
        if isinstance(o, Tensor) and id(o) not in fixed and o.dtype.rank > 1
    ]
    if not places:
        return output
    inputs = [t if n else None for t, n in zip(tensors, ctx.needs_input_grad)]
    backward = _backward(cls, ctx, inputs, outputs, places)
    given = {id(t) for t in tensors if t is not None}
    values = [
        # an input that comes out unchanged is another tensor with the same value
        engine.view(movement.view, engine.detach(o), tuple(o.shape)) if id(o) in given else o
        for o in (outputs[i] for i in places)
    ]
    made = engine.attach_function(values, inputs, backward)
    for i, t in zip(places, made):
        engine.records(t).info = cls._backward_cls.__name__
        outputs[i] = t
    if ctx._dirty:
        dirty = {id(t) for t in ctx._dirty}
        for k, i in enumerate(places):
            if id(output if single else output[i]) in dirty:
                old = output if single else output[i]
                outputs[i] = engine.assign(old, made[k])
    if single:
        return outputs[0]
    return tuple(outputs)


def _backward(
    cls: Any,
    ctx: Any,
    inputs: list[Tensor | None],
    outputs: list[Any],
    places: list[int],
) -> Callable[..., Any]:
    """What the engine calls with the gradients of the attached outputs."""
    like = [engine.detach(o) if isinstance(o, Tensor) else None for o in outputs]
    shapes = [None if t is None else (tuple(t.shape), t.dtype) for t in inputs]

    def run(*grads: Tensor | None) -> list[Tensor | None]:
        full: list[Tensor | None] = [None] * len(like)
        for i, g in zip(places, grads):
            full[i] = g
        if ctx.materialize_grads:
            full = [zeros_like(o) if g is None and o is not None else g for g, o in zip(full, like)]
        found = cls.backward(ctx, *full)
        if not isinstance(found, tuple | list):
            found = (found,)
        found = list(found)
        n = len(inputs)
        if len(found) > n and all(g is None for g in found[n:]):
            found = found[:n]
        if len(found) != n:
            raise RuntimeError(
                f"function {cls._backward_cls.__name__} returned an incorrect number of gradients "
                f"(expected {n}, got {len(found)})"
            )
        return [_fitting(cls, g, s, i) for i, (g, s) in enumerate(zip(found, shapes))]

    return run


def _fitting(cls: Any, g: Any, want: Any, position: int) -> Tensor | None:
    """A gradient in the shape of its input; PyTorch sums what broadcasting repeated."""
    if want is None or g is None:
        return None
    if not isinstance(g, Tensor):
        raise TypeError(
            f"function {cls._backward_cls.__name__} returned an object of type "
            f"{type(g).__name__} as gradient {position}; a Tensor or None is expected"
        )
    shape, kind = want
    if tuple(g.shape) != shape:
        if not _expandable(shape, tuple(g.shape)):
            raise RuntimeError(
                f"Function {cls._backward_cls.__name__} returned an invalid gradient at index "
                f"{position} - got {list(g.shape)} but expected shape compatible with {list(shape)}"
            )
        g = sum_to_size(g, shape)
    return cast(g, kind)


def _expandable(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    k = len(to) - len(shape)
    return k >= 0 and all(n in (1, to[k + i]) for i, n in enumerate(shape))


def _refused(*_: Any) -> Any:
    raise RuntimeError(
        "trying to differentiate twice a function that was marked with @once_differentiable"
    )


def once_differentiable(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a `backward` that cannot be differentiated itself: it runs without history, and a
    second derivative through it is a `RuntimeError`."""

    @functools.wraps(fn)
    def wrapper(ctx: Any, *args: Any) -> Any:
        with no_grad():
            outputs = fn(ctx, *args)
        sources: list[Tensor | None] = [
            a for a in args if isinstance(a, Tensor) and a.requires_grad
        ]
        if not sources or not engine.is_grad_enabled():
            return outputs
        several = isinstance(outputs, tuple | list)
        found = list(outputs) if several else [outputs]
        for i, x in enumerate(found):
            if isinstance(x, Tensor) and not isinstance(x, engine.Scattered) and x.dtype.rank > 1:
                (found[i],) = engine.attach_function([engine.detach(x)], sources, _refused)
        return tuple(found) if several else found[0]

    return wrapper
