"""`torch.utils.checkpoint`: computing again what a gradient needs, instead of keeping it."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from rushlight import autograd
from rushlight.autograd import Function, enable_grad, no_grad
from rushlight.autograd.grad_mode import is_grad_enabled
from rushlight.base import dtype as dt
from rushlight.engine import Tensor
from rushlight.random import get_rng_state, set_rng_state
from rushlight.tensor.convert import detach, requires_grad_
from rushlight.tensor.creation import filled
from rushlight.tensor.install import place
from rushlight.utils._pytree import tree_flatten, tree_unflatten

__all__ = ["CheckpointError", "checkpoint", "checkpoint_sequential", "noop_context_fn"]


class CheckpointError(RuntimeError):
    """The second run of a function did not give what the first one gave."""


def noop_context_fn() -> tuple[Any, Any]:
    """Contexts for the two runs that do nothing."""
    return contextlib.nullcontext(), contextlib.nullcontext()


def _description(outputs: Sequence[Any]) -> list[Any]:
    """What a second run has to give again: sizes and types."""
    return [(tuple(o.shape), o.dtype) if isinstance(o, Tensor) else type(o) for o in outputs]


class _Again(Function):
    """Runs a function without history, and with it when the gradient is asked for."""

    @staticmethod
    def forward(ctx: Any, run: _Run, _: Tensor, *tensors: Tensor) -> Any:
        ctx.run = run
        ctx.save_for_backward(*tensors)
        with no_grad():
            return run.outputs(tensors)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        run = ctx.run
        given = [
            requires_grad_(detach(t)) if wanted else detach(t)
            for t, wanted in zip(ctx.saved_tensors, run.wanted, strict=True)
        ]
        with enable_grad():
            outputs = run.again(given)
        pairs = [
            (o, g)
            for o, g in zip(outputs, gradients, strict=True)
            if isinstance(o, Tensor) and o.requires_grad
        ]
        if not pairs:
            raise RuntimeError(
                "none of output has requires_grad=True, this checkpoint() is not necessary"
            )
        autograd.backward([o for o, _ in pairs], [g for _, g in pairs])
        return (None, None, *[t.grad if w else None for t, w in zip(given, run.wanted)])


class _Run:
    """A function, its arguments without their tensors, and the state it drew random numbers in."""

    def __init__(self, function: Callable[..., Any], args: Any, kwargs: Any, keep: bool) -> None:
        self.function = function
        leaves, self.spec = tree_flatten((args, kwargs))
        self.places = [i for i, x in enumerate(leaves) if isinstance(x, Tensor)]
        self.tensors = [leaves[i] for i in self.places]
        self.leaves = [None if isinstance(x, Tensor) else x for x in leaves]
        self.wanted = [t.requires_grad for t in self.tensors]
        self.state = get_rng_state() if keep else None
        self.shape: Any = None
        self.first: Any = contextlib.nullcontext()
        self.second: Any = contextlib.nullcontext()
        self.checked = True
        self.given: list[Any] = []

    def call(self, tensors: Sequence[Tensor]) -> Any:
        leaves = list(self.leaves)
        for i, t in zip(self.places, tensors, strict=True):
            leaves[i] = t
        args, kwargs = tree_unflatten(leaves, self.spec)
        return self.function(*args, **kwargs)

    def outputs(self, tensors: Sequence[Tensor]) -> Any:
        with self.first:
            flat, self.shape = tree_flatten(self.call(tensors))
        self.given = _description(flat)
        return tuple(flat)

    def again(self, tensors: Sequence[Tensor]) -> list[Any]:
        """The outputs with their history, from the same random numbers."""
        before = get_rng_state()
        if self.state is not None:
            set_rng_state(self.state)
        try:
            with self.second:
                found: list[Any] = tree_flatten(self.call(tensors))[0]
        finally:
            if self.state is not None:
                set_rng_state(before)
        if self.checked and _description(found) != self.given:
            raise CheckpointError(
                "torch.utils.checkpoint: Recomputed values for the following tensors have "
                "different metadata than during the forward pass: "
                f"{_description(found)} for {self.given}"
            )
        return found


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], tuple[Any, Any]] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """`function(*args, **kwargs)`, whose inner values are not kept: `backward` computes them again.

    Parameters that the function uses get their gradients from that second run, in `.grad`.  Random
    numbers are the same both times, unless `preserve_rng_state` is False.
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly.",
            stacklevel=2,
        )
        use_reentrant = True
    if use_reentrant and (context_fn is not noop_context_fn or debug):
        raise ValueError(
            "Passing `context_fn` or `debug` is only supported when use_reentrant=False."
        )
    if use_reentrant and kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    if determinism_check not in ("default", "none"):
        raise ValueError(
            f"determinism_check should be one of ['default', 'none'] but got {determinism_check}"
        )
    if not is_grad_enabled():
        return function(*args, **kwargs)
    run = _Run(function, args, kwargs, preserve_rng_state)
    run.first, run.second = context_fn()
    run.checked = determinism_check != "none" and not use_reentrant
    # Without an input that wants a gradient, parameters inside may want one.
    start = filled((), 0.0, dt.float32, place(None), use_reentrant is not True)
    if use_reentrant and not any(run.wanted):
        warnings.warn(
            "None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2
        )
        with no_grad():
            return function(*args, **kwargs)
    found = _Again.apply(run, start, *run.tensors)
    flat = list(found) if isinstance(found, tuple) else [found]
    return tree_unflatten(flat, run.shape)


def checkpoint_sequential(
    functions: Any,
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
) -> Any:
    """The functions one after the other, in `segments`; all but the last are checkpointed."""
    parts = list(functions.children()) if hasattr(functions, "children") else list(functions)
    size = len(parts) // segments

    def through(chosen: list[Any]) -> Callable[[Any], Any]:
        def forward(x: Any) -> Any:
            for f in chosen:
                x = f(x)
            return x

        return forward

    end = 0
    for k in range(segments - 1):
        input = checkpoint(
            through(parts[k * size : (k + 1) * size]), input,
            use_reentrant=True if use_reentrant is None else use_reentrant,
            preserve_rng_state=preserve_rng_state,
        )  # fmt: skip
        end = (k + 1) * size
    return through(parts[end:])(input)
