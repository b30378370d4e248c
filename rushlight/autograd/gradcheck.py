"""`gradcheck`, `gradgradcheck`: gradients against central differences, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight import engine
from rushlight.autograd.engine import grad
from rushlight.base.lazy import later
from rushlight.engine import Tensor
from rushlight.tensor.convert import clone, detach, requires_grad_
from rushlight.tensor.creation import owned
from rushlight.tensor.random import randn_like

forward_ad: Any = later("rushlight.autograd.forward_ad")

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """A gradient that differences do not confirm."""


def _outputs(func: Callable[..., Any], inputs: tuple[Any, ...]) -> list[Tensor]:
    out = func(*inputs)
    found = [out] if isinstance(out, Tensor) else list(out)
    return [o for o in found if isinstance(o, Tensor) and o.dtype.rank > 1]


def _numerical(func: Callable[..., Any], inputs: tuple[Any, ...], i: int, eps: float) -> list[Any]:
    """For each output, the matrix of differences by the elements of input `i`."""
    base = np.array(engine.read(inputs[i]))
    columns: list[list[Any]] = []
    for k in range(base.size):
        sides = []
        for step in (eps, -eps):
            moved = base.copy()
            moved.reshape(-1)[k] += step
            x = owned(moved, inputs[i].dtype, inputs[i].device)
            moved_inputs = (*inputs[:i], x, *inputs[i + 1 :])
            sides.append(
                [np.array(engine.read(detach(o))).reshape(-1) for o in _outputs(func, moved_inputs)]
            )
        columns.append([(a - b) / (2 * eps) for a, b in zip(*sides)])
    count = len(columns[0]) if columns else 0
    return [np.stack([column[o] for column in columns], 1) for o in range(count)]


def _analytical(output: Tensor, x: Tensor) -> Any:
    """The Jacobian of one output, a row for each of its elements."""
    rows = []
    n = output.shape.numel()
    for k in range(n):
        weight = np.zeros(n, output.dtype.numpy)
        weight[k] = 1
        w = owned(weight.reshape(output.shape), output.dtype, output.device)
        (g,) = grad(output, x, w, retain_graph=True, allow_unused=True)
        rows.append(
            np.zeros(x.shape.numel()) if g is None else np.array(engine.read(g)).reshape(-1)
        )
    return np.stack(rows) if rows else np.zeros((0, x.shape.numel()))


def _forward(func: Callable[..., Any], inputs: tuple[Any, ...], i: int, o: int) -> Any:
    """The Jacobian of one output, a column for each element of input `i`."""
    columns = []
    for k in range(inputs[i].shape.numel()):
        step = np.zeros(inputs[i].shape.numel(), inputs[i].dtype.numpy)
        step[k] = 1
        t = owned(step.reshape(inputs[i].shape), inputs[i].dtype, inputs[i].device)
        with forward_ad.dual_level():
            dual = forward_ad.make_dual(inputs[i], t)
            out = _outputs(func, (*inputs[:i], dual, *inputs[i + 1 :]))[o]
            tangent = forward_ad.unpack_dual(out).tangent
        columns.append(
            np.zeros(out.shape.numel())
            if tangent is None
            else np.array(engine.read(tangent)).reshape(-1)
        )
    return np.stack(columns, 1) if columns else np.zeros((0, 0))


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Whether the gradients of `func` agree with central differences at `inputs`.

    `GradcheckError` that shows both where they do not; False without `raise_exception`.
    """
    given = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    wanted = [i for i, x in enumerate(given) if isinstance(x, Tensor) and x.requires_grad]
    if not wanted:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of the them "
            "have requires_grad=True."
        )
    still = tuple(detach(x) if isinstance(x, Tensor) else x for x in given)
    outputs = _outputs(func, given)
    for i in wanted:
        differences = _numerical(func, still, i, eps)
        for o, (output, numerical) in enumerate(zip(outputs, differences)):
            if not output.requires_grad:
                continue
            analytical = _analytical(output, given[i])
            if not np.allclose(analytical, numerical, rtol, atol, equal_nan=True):
                if raise_exception:
                    raise GradcheckError(
                        f"Jacobian mismatch for output {o} with respect to input {i},\n"
                        f"numerical:{numerical}\nanalytical:{analytical}\n"
                    )
                return False
            if check_forward_ad:
                ahead = _forward(func, still, i, o)
                if not np.allclose(ahead, numerical, rtol, atol, equal_nan=True):
                    if raise_exception:
                        raise GradcheckError(
                            f"Jacobian computed with forward mode mismatch for output {o} with "
                            f"respect to input {i},\nnumerical:{numerical}\nanalytical:{ahead}\n"
                        )
                    return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    **others: Any,
) -> bool:
    """`gradcheck` of the gradient: second derivatives against central differences."""
    given = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    if grad_outputs is None:
        weights = [requires_grad_(randn_like(detach(o))) for o in _outputs(func, given)]
    else:
        weights = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)
    n = len(given)

    def slopes(*args: Any) -> tuple[Tensor, ...]:
        xs = tuple(
            requires_grad_(clone(x)) if isinstance(x, Tensor) and _wants(given[i], x) else x
            for i, x in enumerate(args[:n])
        )
        outputs = _outputs(func, xs)
        sources = [x for x in xs if isinstance(x, Tensor) and x.requires_grad]
        found = grad(outputs, sources, args[n:], create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    return gradcheck(
        slopes, (*given, *weights), eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception
    )


def _wants(original: Any, x: Tensor) -> bool:
    """A copy without history of an input that wants gradients."""
    return bool(original.requires_grad and not x.requires_grad)
