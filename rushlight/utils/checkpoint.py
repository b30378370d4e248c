"""`torch.utils.checkpoint`: computing again what a gradient needs, instead of keeping it."""

from __future__ import annotations

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

__all__ = ["checkpoint", "checkpoint_sequential"]


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

    def call(self, tensors: Sequence[Tensor]) -> Any:
        leaves = list(self.leaves)
        for i, t in zip(self.places, tensors, strict=True):
            leaves[i] = t
        args, kwargs = tree_unflatten(leaves, self.spec)
        return self.function(*args, **kwargs)

    def outputs(self, tensors: Sequence[Tensor]) -> Any:
        flat, self.shape = tree_flatten(self.call(tensors))
        return tuple(flat)

    def again(self, tensors: Sequence[Tensor]) -> list[Any]:
        """The outputs with their history, from the same random numbers."""
        if self.state is None:
            return tree_flatten(self.call(tensors))[0]
        before = get_rng_state()
        set_rng_state(self.state)
        try:
            return tree_flatten(self.call(tensors))[0]
        finally:
            set_rng_state(before)


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Any = None,
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
    if not is_grad_enabled():
        return function(*args, **kwargs)
    run = _Run(function, args, kwargs, preserve_rng_state)
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
