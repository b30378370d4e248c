"""`torch.autograd.graph`: nodes, and hooks on what operations save for their gradients.

Recording makes saved tensors implicit: what a gradient reads is known when a stretch is run.  While
hooks on saved tensors are set, every operation is run as soon as it is recorded; then `pack` is
called for each value that the gradient of that operation reads, and for what a `Function` gives to
`save_for_backward`.  These are PyTorch's saved tensors wherever both use the same formula: `exp`
keeps its result, a product the other factor.  `pack` gets them without history, and `unpack` gives
a tensor of the same shape and type.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from rushlight import engine
from rushlight.autograd.tracing import looking
from rushlight.engine import Tensor
from rushlight.engine.backward import running
from rushlight.engine.keeping import reached, will_come_to
from rushlight.tensor.history import Node, leaf_node
from rushlight.tensor.hooks import RemovableHandle

__all__ = [
    "GradientEdge",
    "Node",
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]


class GradientEdge(NamedTuple):
    """Where a gradient arrives: a node and the number of its result."""

    node: Any
    output_nr: int
    ownership_token: Any = None


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """Where the gradient of `tensor` arrives; `autograd.grad` and `backward` take it as input."""
    if not tensor.requires_grad:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not "
                           "require gradients")  # fmt: skip
    x: Any = tensor
    made = leaf_node(tensor) if x.is_leaf else x.grad_fn
    return GradientEdge(made, 0, tensor)


class saved_tensors_hooks:
    """While active, `pack_hook(tensor)` decides what is kept of each tensor saved for a gradient,
    and `unpack_hook` makes it a tensor again when the gradient reads it.

    The innermost pair counts.
    """

    def __init__(
        self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]
    ) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self) -> None:
        mine = looking()
        if mine.disabled and mine.disabled[-1] is not None:
            raise RuntimeError(mine.disabled[-1])
        mine.hooks.append((self.pack_hook, self.unpack_hook))
        mine.switch()

    def __exit__(self, *_: object) -> None:
        mine = looking()
        engine.flush()  # what is pending was recorded under these hooks
        mine.hooks.pop()
        mine.switch()


class save_on_cpu(saved_tensors_hooks):
    """Keep saved tensors in CPU memory.  `pin_memory` changes nothing."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        def pack(tensor: Any) -> tuple[Any, Any]:
            return tensor.device, tensor.cpu()

        def unpack(packed: tuple[Any, Any]) -> Any:
            device, tensor = packed
            return tensor.to(device)

        super().__init__(pack, unpack)


@contextlib.contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """Entering `saved_tensors_hooks` inside is a `RuntimeError` with this message."""
    mine = looking()
    if mine.hooks:
        raise RuntimeError(error_message)
    mine.disabled.append(error_message)
    try:
        yield
    finally:
        mine.disabled.pop()


class _Mutable:
    """What `allow_mutation_on_saved_tensors` gives."""

    def clear(self) -> None:
        """Nothing to let go of."""


@contextlib.contextmanager
def allow_mutation_on_saved_tensors() -> Iterator[_Mutable]:
    """Saved tensors may be written to.  They always may: a gradient reads the values of their
    time, here and outside."""
    yield _Mutable()


class _Handles:
    """`remove()` takes all hooks away."""

    def __init__(self, handles: list[RemovableHandle]) -> None:
        self.handles = tuple(handles)

    def remove(self) -> None:
        """Take the hooks away; a second call does nothing."""
        for handle in self.handles:
            handle.remove()

    def __enter__(self) -> _Handles:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def register_multi_grad_hook(
    tensors: Sequence[Tensor], fn: Callable[[Any], None], *, mode: str = "all"
) -> _Handles:
    """Call `fn` once in each backward: with the list of the tensors' gradients when the last of
    those that get one is known (None for the others); `mode="any"`: with the first gradient.

    Tensors without `requires_grad` have no gradient.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    wanted = [t for t in tensors if t.requires_grad]
    places = [i for i, t in enumerate(tensors) if t.requires_grad]
    state: dict[str, Any] = {"run": None}

    def come(k: int, g: Tensor) -> None:
        run = running()
        if state["run"] is not run:
            expected = 1
            if mode == "all" and run is not None:
                found = reached(run)
                expected = sum(will_come_to(found, t) for t in wanted)
            state.update(run=run, left=expected, grads=[None] * len(tensors))
        if mode == "any":
            if state["left"]:
                state["left"] = 0
                fn(g)
            return
        state["grads"][places[k]] = g
        state["left"] -= 1
        if state["left"] == 0:
            grads, state["grads"], state["run"] = state["grads"], None, None
            fn(grads)

    return _Handles([t.register_hook(functools.partial(come, k)) for k, t in enumerate(wanted)])  # type: ignore[attr-defined]
