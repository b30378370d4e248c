"""Hooks on a module's gradients: two identity operations, around ``forward``, that call them.

The tensors going into a module pass one node, those coming out another.  On the way back the second
learns the gradient of the outputs, the first that of the inputs: then the hooks can be called.
The hooks of ``register_backward_hook`` (deprecated in PyTorch, where they see the gradients of the
last operation instead of those of the module) are called the same way.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from .. import engine
from ..autograd import Function
from ..engine import Tensor

Grads = tuple[Tensor | None, ...]


class _Inputs(Function):
    """Identity whose backward reports the gradient of a module's inputs."""

    @staticmethod
    def forward(ctx: Any, hooks: BackwardHooks, *tensors: Any) -> tuple[Tensor, ...]:
        ctx.hooks = hooks
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*(t for t in tensors if not t.requires_grad))
        return tuple(t.view_as(t) for t in tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Grads:
        return (None, *ctx.hooks.on_inputs(grads))


class _Outputs(Function):
    """Identity whose backward reports the gradient of a module's outputs."""

    @staticmethod
    def forward(ctx: Any, hooks: BackwardHooks, *tensors: Any) -> tuple[Tensor, ...]:
        ctx.hooks = hooks
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*(t for t in tensors if not t.requires_grad))
        return tuple(t.view_as(t) for t in tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Grads:
        return (None, *ctx.hooks.on_outputs(grads))


class BackwardHooks:
    """The gradient hooks of one call of one module."""

    def __init__(
        self,
        module: Any,
        hooks: Sequence[Callable[..., Any]],
        pre_hooks: Sequence[Callable[..., Any]],
    ) -> None:
        self.module = module
        self.hooks = hooks
        self.pre_hooks = pre_hooks
        self.grad_outputs: Any = None
        self.input_at: list[int] | None = (
            None  # which arguments are tensors; None: no gradient goes in
        )
        self.output_at: list[int] | None = None
        self.n_inputs = 0
        self.n_outputs = 0

    def inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The module's arguments, its tensors passed through the input node."""
        self.n_inputs = len(args)
        out, self.input_at = self._through(_Inputs, args)
        return out  # type: ignore[no-any-return]

    def outputs(self, result: Any) -> Any:
        """The module's result, its tensors passed through the output node."""
        if not isinstance(result, (Tensor, tuple)):
            warnings.warn(
                "For backward hooks to be called, module output should be a Tensor or a tuple of "
                "Tensors"
                f" but received {type(result)}",
                stacklevel=5,
            )
        many = result if isinstance(result, tuple) else (result,)
        self.n_outputs = len(many)
        out, self.output_at = self._through(_Outputs, many)
        return out if isinstance(result, tuple) else out[0]

    def _through(self, node: type[Function], args: tuple[Any, ...]) -> tuple[Any, list[int] | None]:
        at = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        if not (engine.is_grad_enabled() and any(args[i].requires_grad for i in at)):
            return args, None
        through = node.apply(self, *(args[i] for i in at))
        out = list(args)
        for i, t in zip(at, through):
            out[i] = t
        remade: tuple[Any, ...] = tuple(out) if type(args) is tuple else type(args)(*out)
        return remade, at

    def on_outputs(self, grads: Grads) -> Grads:
        """Call the pre-hooks with the outputs' gradients; without inputs the hooks as well."""
        assert self.output_at is not None
        full: Any = _spread(self.output_at, grads, self.n_outputs)
        for hook in self.pre_hooks:
            got = hook(self.module, full)
            if got is None:
                continue
            got = got if isinstance(got, tuple) else (got,)
            if len(got) != len(full):
                raise RuntimeError(
                    "Backward pre hook returned an invalid number of grad_output, "
                    f"got {len(got)}, but expected {len(full)}"
                )
            full = got
        self.grad_outputs = full
        if self.input_at is None:
            self._without_inputs(full)
        return tuple(full[i] for i in self.output_at)

    def _without_inputs(self, grad_outputs: Any) -> None:
        if self.hooks:
            warnings.warn(
                "Full backward hook is firing when gradients are computed "
                "with respect to module outputs since no inputs require gradients. See "
                "https://docs.pytorch.org/docs/main/generated/torch.nn.Module.html"
                "#torch.nn.Module.register_full_backward_hook for more details.",
                stacklevel=5,
            )
        for hook in self.hooks:
            got = hook(self.module, (None,) * self.n_inputs, grad_outputs)
            if got is not None and not (isinstance(got, tuple) and all(g is None for g in got)):
                raise RuntimeError(
                    "Backward hook for Modules where no input requires "
                    "gradient should always return None or None for all gradients."
                )
        self.grad_outputs = None

    def on_inputs(self, grads: Grads) -> Grads:
        """The gradients of the inputs are known as well: call the hooks."""
        if self.grad_outputs is None or self.input_at is None:
            return grads
        full: Any = _spread(self.input_at, grads, self.n_inputs)
        for hook in self.hooks:
            got = hook(self.module, full, self.grad_outputs)
            if got is None:
                continue
            got = got if isinstance(got, tuple) else (got,)
            if len(got) != len(full):
                raise RuntimeError(
                    "Backward hook returned an invalid number of grad_input, "
                    f"got {len(got)}, but expected {len(full)}"
                )
            full = got
        self.grad_outputs = None
        return tuple(full[i] for i in self.input_at)


def _spread(at: Sequence[int], values: Grads, size: int) -> Grads:
    out: list[Tensor | None] = [None] * size
    for i, v in zip(at, values):
        out[i] = v
    return tuple(out)
