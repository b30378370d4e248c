"""`torch.autograd.functional`: Jacobians, Hessians and products with them, by reverse mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.autograd.engine import grad
from rushlight.autograd.grad_mode import enable_grad
from rushlight.engine import Tensor
from rushlight.tensor.convert import clone, detach, requires_grad_
from rushlight.tensor.creation import ones_like, zeros_like
from rushlight.tensor.join import stack
from rushlight.tensor.shape import reshape, reshaped, select

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Function = Callable[..., Any]


def _tuple(x: Any, name: str, what: str) -> tuple[bool, tuple[Tensor, ...]]:
    alone = isinstance(x, Tensor)
    found = (x,) if alone else tuple(x)
    for i, t in enumerate(found):
        if not isinstance(t, Tensor):
            raise TypeError(
                f"The {what} given to {name} must be either a Tensor or a tuple of Tensors but the "
                f"value at index {i} has type {type(t)}."
            )
    return alone, found


def _entered(inputs: tuple[Tensor, ...], create_graph: bool) -> tuple[Tensor, ...]:
    """Inputs that want gradients: with their history where the result is to be differentiated."""
    if create_graph:
        return tuple(x * 1 if x.requires_grad else requires_grad_(clone(x)) for x in inputs)
    return tuple(requires_grad_(clone(detach(x))) for x in inputs)


def _called(
    func: Function, inputs: Any, name: str, create_graph: bool
) -> tuple[bool, tuple[Tensor, ...], bool, tuple[Tensor, ...]]:
    alone_in, given = _tuple(inputs, name, "inputs")
    with enable_grad():
        entered = _entered(given, create_graph)
        alone_out, outputs = _tuple(func(*entered), name, "outputs of the user-provided function")
    return alone_in, entered, alone_out, outputs


def _grads(
    outputs: Any, inputs: tuple[Tensor, ...], weights: Any, create: bool, strict: bool, name: str
) -> tuple[Tensor, ...]:
    """Gradients, zeros where an input was not used (an error with `strict`)."""
    if not any(o.requires_grad for o in outputs):
        if strict:
            raise RuntimeError(f"{name}: the outputs are independent of the inputs (strict mode)")
        return tuple(zeros_like(x) for x in inputs)
    used = [(o, w) for o, w in zip(outputs, weights) if o.requires_grad]
    with enable_grad():
        found = grad(
            [o for o, _ in used], inputs, [w for _, w in used], True, create, allow_unused=True
        )
    for i, g in enumerate(found):
        if g is None and strict:
            raise RuntimeError(f"{name}: the outputs are independent of input {i} (strict mode)")
    return tuple(zeros_like(x) if g is None else g for x, g in zip(inputs, found))


def jacobian(
    func: Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The derivatives of every output element by every input element.

    For one input and one output a tensor of shape `(*output, *input)`, else nested tuples.
    """
    alone_in, entered, alone_out, outputs = _called(func, inputs, "jacobian", create_graph)
    rows = []
    for out in outputs:
        flat = reshape(out, -1)
        parts: list[list[Tensor]] = [[] for _ in entered]
        for k in range(flat.shape[0]):
            one = select(flat, 0, k)
            found = _grads((one,), entered, (None,), create_graph, strict, "jacobian")
            for part, g in zip(parts, found):
                part.append(g)
        rows.append(
            tuple(
                reshaped(stack(part), (*out.shape, *x.shape))
                if part
                else reshaped(zeros_like(x), (*out.shape, *x.shape))
                for part, x in zip(parts, entered)
            )
        )
    made = tuple(row[0] if alone_in else row for row in rows)
    return made[0] if alone_out else made


def hessian(
    func: Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of a scalar function."""
    alone, given = _tuple(inputs, "hessian", "inputs")

    def slope(*xs: Tensor) -> Any:
        out = func(*xs)
        _one_scalar(out, "hessian")
        found = _grads((out,), xs, (None,), True, strict, "hessian")
        return found[0] if alone else found

    return jacobian(slope, given[0] if alone else given, create_graph, strict)


def _one_scalar(out: Any, name: str) -> None:
    if not isinstance(out, Tensor) or out.shape.numel() != 1:
        raise RuntimeError(
            f"The function given to {name} should return a single scalar tensor; it does not"
        )


def vjp(
    func: Function,
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The outputs, and `v` times the Jacobian."""
    alone_in, entered, alone_out, outputs = _called(func, inputs, "vjp", create_graph)
    if v is None:
        _one_scalar(outputs[0], "vjp")
        weights: tuple[Any, ...] = tuple(ones_like(o) for o in outputs)
    else:
        weights = _tuple(v, "vjp", "v")[1]
    found = _grads(outputs, entered, weights, create_graph, strict, "vjp")
    left = outputs if create_graph else tuple(detach(o) for o in outputs)
    return (left[0] if alone_out else left), (found[0] if alone_in else found)


def jvp(
    func: Function,
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The outputs, and the Jacobian times `v`: the gradient of the other product by its weights."""
    _, entered, alone_out, outputs = _called(func, inputs, "jvp", create_graph)
    if v is None:
        if len(entered) != 1 or entered[0].shape.numel() != 1:
            raise RuntimeError(
                "The vector v can only be None if the input to the user-provided function is a "
                "single Tensor with a single element."
            )
        directions: tuple[Any, ...] = tuple(ones_like(x) for x in entered)
    else:
        directions = _tuple(v, "jvp", "v")[1]
    weights = tuple(requires_grad_(zeros_like(detach(o))) for o in outputs)
    pulled = _grads(outputs, entered, weights, True, strict, "jvp")
    found = _grads(pulled, weights, directions, create_graph, strict, "jvp")
    left = outputs if create_graph else tuple(detach(o) for o in outputs)
    return (left[0] if alone_out else left), (found[0] if alone_out else found)


def vhp(
    func: Function,
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The scalar output, and `v` times the Hessian."""
    alone, entered, _, outputs = _called(func, inputs, "vhp", create_graph)
    _one_scalar(outputs[0], "vhp")
    slopes = _grads(outputs, entered, (None,), True, strict, "vhp")
    weights = tuple(ones_like(x) for x in entered) if v is None else _tuple(v, "vhp", "v")[1]
    found = _grads(slopes, entered, weights, create_graph, strict, "vhp")
    left = outputs[0] if create_graph else detach(outputs[0])
    return left, found[0] if alone else found


def hvp(
    func: Function,
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The scalar output, and the Hessian times `v`: it is symmetric."""
    return vhp(func, inputs, v, create_graph, strict)
