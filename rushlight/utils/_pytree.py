"""Nests of lists, tuples and dictionaries as flat lists of leaves, and back."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = [
    "TreeSpec",
    "tree_flatten",
    "tree_leaves",
    "tree_map",
    "tree_structure",
    "tree_unflatten",
]


class TreeSpec(NamedTuple):
    """A nest without its leaves: type (None for a leaf), what its parts are called, parts."""

    type: Any
    context: Any
    children_specs: tuple[TreeSpec, ...]

    @property
    def num_leaves(self) -> int:
        """How many leaves there are."""
        return 1 if self.type is None else sum(c.num_leaves for c in self.children_specs)

    def is_leaf(self) -> bool:
        """Whether it stands for a leaf."""
        return self.type is None


LEAF = TreeSpec(None, None, ())


def tree_flatten(
    tree: Any, is_leaf: Callable[[Any], bool] | None = None
) -> tuple[list[Any], TreeSpec]:
    """The leaves in order, and the nest without them."""
    leaves: list[Any] = []
    return leaves, _taken(tree, is_leaf, leaves)


def _taken(tree: Any, is_leaf: Callable[[Any], bool] | None, leaves: list[Any]) -> TreeSpec:
    kind = type(tree)
    known = kind in (list, tuple, dict, OrderedDict, defaultdict) or hasattr(tree, "_fields")
    if not known or not isinstance(tree, list | tuple | dict) or (is_leaf and is_leaf(tree)):
        leaves.append(tree)
        return LEAF
    keys = list(tree) if isinstance(tree, dict) else None
    parts = tree.values() if isinstance(tree, dict) else tree
    made = tuple(_taken(part, is_leaf, leaves) for part in parts)
    more = tree.default_factory if isinstance(tree, defaultdict) else None
    return TreeSpec(kind, (keys, more), made)


def tree_unflatten(leaves: Any, treespec: TreeSpec) -> Any:
    """The nest with other leaves; `ValueError` for too many or too few."""
    given = list(leaves)
    if len(given) != treespec.num_leaves:
        raise ValueError(
            f"tree_unflatten(leaves, treespec): `leaves` has length {len(given)} but the spec "
            f"refers to a pytree that holds {treespec.num_leaves} items."
        )
    return _filled(iter(given), treespec)


def _filled(leaves: Any, spec: TreeSpec) -> Any:
    if spec.type is None:
        return next(leaves)
    parts = [_filled(leaves, c) for c in spec.children_specs]
    keys, more = spec.context
    if keys is not None:
        pairs = zip(keys, parts, strict=True)
        return defaultdict(more, pairs) if spec.type is defaultdict else spec.type(pairs)
    return spec.type(*parts) if hasattr(spec.type, "_fields") else spec.type(parts)


def tree_map(f: Callable[..., Any], tree: Any, *rests: Any, is_leaf: Any = None) -> Any:
    """The nest with `f` of its leaves (and of those of nests alike)."""
    leaves, spec = tree_flatten(tree, is_leaf)
    others = [tree_flatten(r, is_leaf)[0] for r in rests]
    return tree_unflatten([f(*xs) for xs in zip(leaves, *others, strict=True)], spec)


def tree_leaves(tree: Any, is_leaf: Any = None) -> list[Any]:
    """The leaves in order."""
    return tree_flatten(tree, is_leaf)[0]


def tree_structure(tree: Any, is_leaf: Any = None) -> TreeSpec:
    """The nest without its leaves."""
    return tree_flatten(tree, is_leaf)[1]
