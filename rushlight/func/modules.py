"""Modules as functions of their parameters."""

from __future__ import annotations

from typing import Any

from rushlight.tensor.convert import detach, requires_grad_
from rushlight.tensor.join import stack


def functional_call(
    module: Any,
    parameter_and_buffer_dicts: Any,
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """The module's value with other tensors in the places of parameters and buffers.

    `parameter_and_buffer_dicts`: names to tensors, or a sequence of such dictionaries.
    """
    given: dict[str, Any] = {}
    dicts = parameter_and_buffer_dicts
    for d in [dicts] if isinstance(dicts, dict) else dicts:
        repeated = given.keys() & d.keys()
        if repeated:
            raise ValueError(f"{sorted(repeated)} appeared in multiple dictionaries")
        given.update(d)
    own = dict(module.named_parameters(remove_duplicate=False))
    own.update(module.named_buffers(remove_duplicate=False))
    if strict and own.keys() != given.keys():
        missing, more = sorted(own.keys() - given.keys()), sorted(given.keys() - own.keys())
        raise RuntimeError(f"missing keys {missing}, unexpected keys {more}")
    if tie_weights:
        for name, tensor in list(given.items()):
            for other, same in own.items():
                if other not in given and same is own.get(name):
                    given[other] = tensor
    if not isinstance(args, tuple):
        args = () if args is None else (args,)
    places = [_place(module, name) for name in given]
    before = [_swap(owner, last, t) for (owner, last), t in zip(places, given.values())]
    try:
        return module(*args, **(kwargs or {}))
    finally:
        for (owner, last), old in zip(places, before):
            _swap(owner, last, old)


def _place(module: Any, name: str) -> tuple[Any, str]:
    *path, last = name.split(".")
    for part in path:
        module = getattr(module, part)
    if last not in module._parameters and last not in module._buffers:
        raise KeyError(f"{name} is not a parameter or buffer of {type(module).__name__}")
    return module, last


def _swap(owner: Any, name: str, tensor: Any) -> Any:
    """Put a tensor in a parameter's or buffer's place; the one that was there."""
    held = owner._parameters if name in owner._parameters else owner._buffers
    old = held[name]
    held[name] = tensor
    return old


def stack_module_state(models: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters and the buffers of modules of one kind, each stacked along a new first
    dimension."""
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    kinds = {type(m) for m in models}
    if len(kinds) > 1:
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")

    def stacked(each: list[dict[str, Any]], leaf: bool) -> dict[str, Any]:
        made = {}
        for name, first in each[0].items():
            whole = stack([detach(d[name]) for d in each])
            made[name] = requires_grad_(whole) if leaf and first.requires_grad else whole
        return made

    return (
        stacked([dict(m.named_parameters()) for m in models], True),
        stacked([dict(m.named_buffers()) for m in models], False),
    )
