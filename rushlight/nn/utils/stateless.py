"""Calling a module with other parameters and buffers than its own: ``functional_call``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ...engine import Tensor
from ...engine.capture import VERSION

__all__ = ["functional_call"]


def _owners(module: Any) -> dict[str, list[tuple[Any, str]]]:
    """Every name of a parameter or buffer, with all the places where that tensor is held."""
    places: dict[int, list[tuple[Any, str]]] = {}
    names: dict[str, int] = {}
    for path, inner in module.named_modules(remove_duplicate=False):
        prefix = f"{path}." if path else ""
        for registry in ("_parameters", "_buffers"):
            for name, held in inner.__dict__[registry].items():
                if held is None:
                    names[prefix + name] = -len(names) - 1
                    places[names[prefix + name]] = [(inner, name)]
                    continue
                names[prefix + name] = id(held)
                found = places.setdefault(id(held), [])
                if (inner, name) not in found:
                    found.append((inner, name))
    return {name: places[key] for name, key in names.items()}


@contextmanager
def swapped(
    module: Any, given: Mapping[str, Tensor], tie_weights: bool, strict: bool
) -> Iterator[None]:
    """A block in which the module holds the given tensors."""
    owners = _owners(module)
    if strict:
        told = []
        for what, keys in (
            ("Unexpected", [name for name in given if name not in owners]),
            ("Missing", sorted(name for name in owners if name not in given)),
        ):
            if keys:
                told.append(f"{what} key(s): {', '.join(map(repr, keys))}.")
        if told:
            raise RuntimeError(
                f"Error(s) in reparametrizing for {type(module).__name__}:\n\t" + "\n\t".join(told)
            )
    changes: dict[tuple[int, str], tuple[Any, str, Any]] = {}
    for name, value in given.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"functional_call: {name} has to be a tensor, not {type(value)}")
        if name not in owners:
            continue  # as PyTorch, unless `strict`
        own = name.rpartition(".")[2]
        here = [
            (m, n) for m, n in owners[name]
            if tie_weights or (n == own and module.get_submodule(name.rpartition(".")[0]) is m)
        ]  # fmt: skip
        for inner, n in here:
            before = changes.get((id(inner), n))
            if tie_weights and before is not None and before[2] is not value:
                tied = sorted(n for n, places in owners.items() if places is owners[name])
                raise ValueError(
                    f"functional_call got multiple values for keys {tied}, which are tied. "
                    "Consider using tie_weights=False"
                )
            changes[id(inner), n] = (inner, n, value)
    held: list[tuple[Any, str, str, Any]] = []
    VERSION[0] += 1
    try:
        for inner, n, value in changes.values():
            registry = "_parameters" if n in inner.__dict__["_parameters"] else "_buffers"
            held.append((inner, registry, n, inner.__dict__[registry][n]))
            inner.__dict__[registry][n] = value
        yield
    finally:
        for inner, registry, n, old in reversed(held):
            inner.__dict__[registry][n] = old
        VERSION[0] += 1


def functional_call(
    module: Any,
    parameters_and_buffers: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]],
    args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """``module(*args, **kwargs)`` with these tensors in the place of its own of the same names.

    Gradients flow into the given tensors; the module is afterwards as it was.  ``tie_weights``:
    what shares a tensor in the module shares the given one.  ``strict``: all names must be given.
    """
    if isinstance(parameters_and_buffers, Mapping):
        given = dict(parameters_and_buffers)
    else:
        if not all(isinstance(d, Mapping) for d in parameters_and_buffers):
            raise ValueError("Expected all elements of parameters_and_buffers to be dictionaries")
        given = {}
        for part in parameters_and_buffers:
            twice = [name for name in part if name in given]
            if twice:
                raise ValueError(
                    f"{twice[0]} appears in multiple dictionaries; behavior of functional call is "
                    "ambiguous"
                )
            given.update(part)
    if args is None:
        args = ()
    elif not isinstance(args, tuple):
        args = (args,)
    with swapped(module, given, tie_weights, strict):
        return module(*args, **(kwargs or {}))
