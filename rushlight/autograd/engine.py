"""`torch.autograd.backward` and `torch.autograd.grad`: the faces of the engine's two walks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight import engine
from rushlight.engine import Tensor
from rushlight.tensor.creation import zeros_like
from rushlight.tensor.history import check_gradient
from rushlight.tensor.join import stack


def _listed(x: Any, name: str) -> list[Tensor]:
    found = [x] if isinstance(x, Tensor) or hasattr(x, "ownership_token") else list(x)
    for i, t in enumerate(found):
        if hasattr(t, "ownership_token"):  # a `graph.GradientEdge`
            found[i] = t = t.ownership_token
        if not isinstance(t, Tensor):
            raise TypeError(f"{name}: element {i} has to be a Tensor, not {type(t).__name__}")
    return found


def _gradients(outputs: list[Tensor], grads: Any) -> list[Tensor | None]:
    """One gradient for each output; None stands for the 1 of a scalar."""
    given: Sequence[Any]
    if grads is None:
        given = [None] * len(outputs)
    else:
        given = [grads] if isinstance(grads, Tensor) else list(grads)
    if len(given) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(given)} gradients")
    for x, g in zip(outputs, given):
        if g is not None:
            check_gradient(x, g)
        elif x.requires_grad and x.shape.numel() != 1:
            raise RuntimeError("grad can be implicitly created only for scalar outputs")
    return list(given)


def _rows(outputs: list[Tensor], grads: Any) -> list[list[Tensor | None]]:
    """For each place along the first dimension of the gradients, one gradient for each output."""
    given = [grads] if isinstance(grads, Tensor) else list(grads or ())
    if len(given) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(given)} gradients")
    counts = set()
    for i, (x, g) in enumerate(zip(outputs, given)):
        if not isinstance(g, Tensor):
            raise RuntimeError("grad: is_grads_batched=True needs a gradient for each output")
        if tuple(g.shape[1:]) != tuple(x.shape) or not g.shape:
            raise RuntimeError(
                "If `is_grads_batched=True`, we interpret the first dimension of each grad_output "
                "as the batch dimension. The sizes of the remaining dimensions are expected to "
                f"match the shape of corresponding output, but a mismatch was detected: "
                f"grad_output[{i}] has a shape of {g.shape} and output[{i}] has a shape of "
                f"{x.shape}."
            )
        counts.add(int(g.shape[0]))
    if len(counts) != 1 or counts == {0}:
        raise ValueError(
            "grad: is_grads_batched=True expects the same number of gradients for each output, "
            f"one or more; got {sorted(counts)}"
        )
    return [[g[i] for g in given] for i in range(counts.pop())]


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Add the gradients of the tensors' sum (weighted by `grad_tensors`) to the leaves' `.grad`."""
    roots = _listed(tensors, "backward")
    grads = _gradients(roots, grad_variables if grad_tensors is None else grad_tensors)
    retain = create_graph if retain_graph is None else retain_graph
    wanted = None if inputs is None else _listed(inputs, "backward")
    if wanted is not None and not wanted:
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    if not roots:
        return
    engine.backward(roots, grads, bool(retain), create_graph, wanted)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of the outputs' sum at `inputs`; nothing is added to any `.grad`.

    `RuntimeError` for an input that was not used, unless `allow_unused` (None) or
    `materialize_grads` (zeros).  With `is_grads_batched` the first dimension of each of
    `grad_outputs` counts gradients, one walk for each; results are stacked in the same order.
    """
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
            "allow_unused=False."
        )
    roots, wanted = _listed(outputs, "grad"), _listed(inputs, "grad")
    if not wanted:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    retain = bool(create_graph if retain_graph is None else retain_graph)
    allowed = bool(materialize_grads if allow_unused is None else allow_unused)
    found: Sequence[Tensor | None]
    if is_grads_batched:
        rows = _rows(roots, grad_outputs)
        walks = [
            engine.grad(roots, wanted, row, retain or i < len(rows) - 1, create_graph, allowed)
            for i, row in enumerate(rows)
        ]
        found = [None if any(g is None for g in gs) else stack(gs) for gs in zip(*walks)]
    else:
        grads = _gradients(roots, grad_outputs)
        found = engine.grad(roots, wanted, grads, retain, create_graph, allowed)
    if materialize_grads:
        return tuple(zeros_like(x) if g is None else g for x, g in zip(wanted, found))
    return tuple(found)
