"""Gradients of functions as functions: `grad`, `vjp`, `jvp`, Jacobians, Hessians."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Final

from rushlight import autograd
from rushlight.autograd import enable_grad
from rushlight.engine import Tensor
from rushlight.tensor import shape as sh
from rushlight.tensor.convert import detach, requires_grad_
from rushlight.tensor.creation import ones_like, zeros_like
from rushlight.tensor.join import stack
from rushlight.utils._pytree import TreeSpec, tree_flatten, tree_map, tree_unflatten

Function = Callable[..., Any]
_LEVELS: Final[list[int]] = []  # transforms that are being computed now


class _Level:
    """Inside, results keep their history: the transform around differentiates them."""

    def __enter__(self) -> _Level:
        _LEVELS.append(len(_LEVELS))
        self.grad = enable_grad()
        self.grad.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.grad.__exit__(*exception)
        _LEVELS.pop()


def _entered(x: Any) -> Any:
    """A tensor that wants a gradient: a view where it has a history, else a leaf."""
    if not isinstance(x, Tensor):
        return x
    if x.requires_grad:
        return x * 1 if x.shape else x * 1.0
    if x.dtype.rank < 2:
        raise RuntimeError("only Tensors of floating point dtype can require gradients")
    return requires_grad_(detach(x) * 1)


def _watched(args: Sequence[Any]) -> bool:
    """Whether results have to keep their history."""
    if _LEVELS:
        return True
    leaves = tree_flatten(list(args))[0]
    return any(isinstance(x, Tensor) and x.requires_grad for x in leaves)


def _left(tree: Any, keep: bool) -> Any:
    if keep:
        return tree
    return tree_map(lambda x: detach(x) if isinstance(x, Tensor) else x, tree)


def _argnums(argnums: Any, count: int) -> tuple[int, ...]:
    given = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for k in given:
        if not -count <= k < count:
            raise RuntimeError(f"Got argnum={k}, but only {count} positional inputs")
    return tuple(k % count for k in given)


def _grads(outputs: list[Tensor], inputs: list[Any], weights: Any) -> list[Any]:
    """Gradients of the inputs that are tensors, zeros where one plays no part."""
    wanted = [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]
    pairs = [(o, w) for o, w in zip(outputs, weights, strict=True) if o.requires_grad]
    found: Any = [None] * len(wanted)
    if pairs and wanted:
        found = autograd.grad(
            [o for o, _ in pairs], wanted, [w for _, w in pairs], retain_graph=True,
            create_graph=True, allow_unused=True,
        )  # fmt: skip
    by_id = {id(x): g for x, g in zip(wanted, found, strict=True)}
    return [
        (zeros_like(x) if by_id.get(id(x)) is None else by_id[id(x)])
        if isinstance(x, Tensor)
        else x
        for x in inputs
    ]


# ---------------------------------------------------------------- gradients of scalars
def grad_and_value(func: Function, argnums: Any = 0, has_aux: bool = False) -> Function:
    """A function that gives the gradient of `func`, and its value.

    >>> import rushlight as torch
    >>> torch.func.grad_and_value(lambda x: x**2)(torch.tensor(3.0))
    (tensor(6.), tensor(9.))
    """

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        keep = _watched(args)
        numbers = _argnums(argnums, len(args))
        with _Level():
            given = list(args)
            flat: list[Any] = []
            specs: list[TreeSpec] = []
            for k in numbers:
                leaves, spec = tree_flatten(args[k])
                leaves = [_entered(x) for x in leaves]
                flat += leaves
                specs.append(spec)
                given[k] = tree_unflatten(leaves, spec)
            out = func(*given, **kwargs)
            aux = None
            if has_aux:
                if not isinstance(out, tuple) or len(out) != 2:
                    raise RuntimeError(
                        "grad_and_value(f)(*args): output of function f should be a tuple: "
                        "(output, aux) if has_aux is True"
                    )
                out, aux = out
            if not isinstance(out, Tensor) or out.shape.numel() != 1 or out.shape:
                raise RuntimeError(
                    "grad_and_value(f)(*args): Expected f(*args) to return a scalar Tensor, got "
                    + (f"tensor with {len(out.shape)} dims. Maybe you wanted to use the vjp or "
                       "jacrev APIs instead?" if isinstance(out, Tensor) else str(type(out)))
                )  # fmt: skip
            found = iter(_grads([out], flat, [None]))
        parts = [tree_unflatten([next(found) for _ in range(s.num_leaves)], s) for s in specs]
        slope = _left(parts[0] if isinstance(argnums, int) else tuple(parts), keep)
        value = _left(out, keep)
        return (slope, (value, _left(aux, keep))) if has_aux else (slope, value)

    return wrapper


def grad(func: Function, argnums: Any = 0, has_aux: bool = False) -> Function:
    """A function that gives the gradient of `func`, which has to give a scalar.

    >>> import rushlight as torch
    >>> torch.func.grad(torch.func.grad(torch.sin))(torch.tensor(1.0))
    tensor(-0.8415)
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        slope, value = both(*args, **kwargs)
        return (slope, value[1]) if has_aux else slope

    return wrapper


# ---------------------------------------------------------------- products with the Jacobian
def vjp(func: Function, *primals: Any, has_aux: bool = False) -> Any:
    """The outputs, and a function that gives cotangents times the Jacobian."""
    keep = _watched(primals)
    with _Level():
        flat, spec = tree_flatten(primals)
        flat = [_entered(x) for x in flat]
        out = func(*tree_unflatten(flat, spec))
        aux = None
        if has_aux:
            out, aux = out
    outputs, shape = tree_flatten(out)

    def pull(cotangents: Any, retain_graph: bool = True, create_graph: bool = True) -> Any:
        weights, given = tree_flatten(cotangents)
        if given.num_leaves != shape.num_leaves:
            raise RuntimeError(
                "Expected pytree structure of cotangents to be the same as pytree structure of "
                "outputs to the function"
            )
        with enable_grad():
            found = _grads(outputs, flat, weights)
        made = _left(tree_unflatten(found, spec), keep or _watched(weights))
        return made if len(primals) != 1 else tuple(made)

    left = _left(out, keep)
    return (left, pull, _left(aux, keep)) if has_aux else (left, pull)


def jvp(
    func: Function, primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False
) -> Any:
    """The outputs, and the Jacobian times tangents: the gradient of a product, by its weights."""
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple):
        raise RuntimeError("jvp(f, primals, tangents): Expected primals and tangents to be tuples")
    keep = _watched(primals) or _watched(tangents)
    with _Level():
        flat, spec = tree_flatten(primals)
        directions, given = tree_flatten(tangents)
        if given.num_leaves != spec.num_leaves:
            raise RuntimeError(
                "jvp(f, primals, tangents): Expected primals and tangents to have the same python "
                "structure"
            )
        flat = [_entered(x) for x in flat]
        out = func(*tree_unflatten(flat, spec))
        aux = None
        if has_aux:
            out, aux = out
        outputs, shape = tree_flatten(out)
        weights = [requires_grad_(zeros_like(detach(o))) for o in outputs]
        pulled = _grads(outputs, flat, weights)
        pushed = _grads(pulled, weights, directions)
    made = _left(tree_unflatten(pushed, shape), keep)
    left = _left(out, keep)
    return (left, made, _left(aux, keep)) if has_aux else (left, made)


def linearize(func: Function, *primals: Any) -> tuple[Any, Function]:
    """The outputs, and the function's linear approximation there."""
    out = func(*primals)
    return out, lambda *tangents: jvp(func, primals, tangents)[1]


# ---------------------------------------------------------------- Jacobians
def jacrev(
    func: Function,
    argnums: Any = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Function:
    """A function that gives the derivatives of every output element by every input element."""

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        keep = _watched(args)
        numbers = _argnums(argnums, len(args))
        with _Level():
            given = list(args)
            flat: list[Any] = []
            specs: list[TreeSpec] = []
            for k in numbers:
                leaves, spec = tree_flatten(args[k])
                leaves = [_entered(x) for x in leaves]
                flat += leaves
                specs.append(spec)
                given[k] = tree_unflatten(leaves, spec)
            out = func(*given, **kwargs)
            aux = None
            if has_aux:
                out, aux = out
            outputs, shape = tree_flatten(out)
            blocks = [_rows(o, flat) for o in outputs]
        whole = []
        for block in blocks:
            found = iter(block)
            parts = [tree_unflatten([next(found) for _ in range(s.num_leaves)], s) for s in specs]
            whole.append(parts[0] if isinstance(argnums, int) else tuple(parts))
        made = _left(tree_unflatten(whole, shape), keep)
        return (made, _left(aux, keep)) if has_aux else made

    return wrapper


def _rows(out: Tensor, inputs: list[Any]) -> list[Any]:
    """The Jacobian of one output by each input: of shape (*output, *input)."""
    lines = sh.reshape(out, -1)
    rows: list[list[Any]] = [[] for _ in inputs]
    for k in range(lines.shape[0]):
        one = sh.select(lines, 0, k)
        for row, g in zip(rows, _grads([one], inputs, [ones_like(one)]), strict=True):
            row.append(g)
    return [
        sh.reshaped(stack(row), (*out.shape, *x.shape)) if row else zeros_like(x)
        for row, x in zip(rows, inputs, strict=True)
    ]


def jacfwd(
    func: Function, argnums: Any = 0, has_aux: bool = False, *, randomness: str = "error"
) -> Function:
    """`jacrev`: the same numbers."""
    return jacrev(func, argnums, has_aux=has_aux)


def hessian(func: Function, argnums: Any = 0) -> Function:
    """A function that gives the second derivatives."""
    return jacfwd(jacrev(func, argnums), argnums)
