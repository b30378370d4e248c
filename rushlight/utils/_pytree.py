"""Nests of lists, tuples and dictionaries as flat lists of leaves, and back."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

__all__ = [
    "GetAttrKey",
    "MappingKey",
    "SequenceKey",
    "TreeSpec",
    "key_get",
    "keystr",
    "register_pytree_node",
    "tree_all",
    "tree_all_only",
    "tree_any",
    "tree_any_only",
    "tree_flatten",
    "tree_flatten_with_path",
    "tree_is_leaf",
    "tree_iter",
    "tree_leaves",
    "tree_leaves_with_path",
    "tree_map",
    "tree_map_",
    "tree_map_only",
    "tree_map_only_",
    "tree_map_with_path",
    "tree_structure",
    "tree_unflatten",
]

Leaf = Callable[[Any], bool] | None


@dataclass(frozen=True)
class SequenceKey:
    """The place of a part in a list or tuple."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx!r}]"

    def get(self, sequence: Any) -> Any:
        """The part."""
        return sequence[self.idx]


@dataclass(frozen=True)
class MappingKey:
    """The key of a part in a dictionary."""

    key: Any

    def __str__(self) -> str:
        return f"[{self.key!r}]"

    def get(self, mapping: Any) -> Any:
        """The part."""
        return mapping[self.key]


@dataclass(frozen=True)
class GetAttrKey:
    """The attribute that a part is."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"

    def get(self, obj: Any) -> Any:
        """The part."""
        return getattr(obj, self.name)


class TreeSpec(NamedTuple):
    """A nest without its leaves: type (None for a leaf), what its parts are called, parts."""

    type: Any
    context: Any
    children_specs: tuple[TreeSpec, ...]

    @property
    def num_leaves(self) -> int:
        """How many leaves there are."""
        return 1 if self.type is None else sum(c.num_leaves for c in self.children_specs)

    @property
    def num_children(self) -> int:
        """How many parts the outermost nest has."""
        return len(self.children_specs)

    def is_leaf(self) -> bool:
        """Whether it stands for a leaf."""
        return self.type is None


LEAF = TreeSpec(None, None, ())


class _Kind(NamedTuple):
    """How nests of one type come apart (parts and context) and together again."""

    flatten: Callable[[Any], tuple[Any, Any]]
    unflatten: Callable[[Any, Any], Any]
    keys: Callable[[Any], tuple[Any, Any]] | None = None


# What programs have registered.
_REGISTERED: Final[dict[type, _Kind]] = {}
_KNOWN: Final = frozenset((list, tuple, dict, OrderedDict, defaultdict, deque))


def register_pytree_node(
    cls: type[Any],
    flatten_fn: Callable[[Any], tuple[Any, Any]],
    unflatten_fn: Callable[[Any, Any], Any],
    *,
    flatten_with_keys_fn: Callable[[Any], tuple[Any, Any]] | None = None,
    **more: Any,
) -> None:
    """Let instances of a class be nests: `flatten_fn` gives their parts and a context,
    `unflatten_fn(parts, context)` makes one; `ValueError` for a class that is known."""
    if cls in _REGISTERED or cls in _KNOWN:
        raise ValueError(f"{cls} is already registered as pytree node.")
    _REGISTERED[cls] = _Kind(flatten_fn, unflatten_fn, flatten_with_keys_fn)


def _named(tree: Any) -> bool:
    return isinstance(tree, tuple) and hasattr(tree, "_fields")


def tree_is_leaf(tree: Any, is_leaf: Leaf = None) -> bool:
    """Whether it is no nest, or `is_leaf` says so."""
    if is_leaf is not None and is_leaf(tree):
        return True
    kind = type(tree)
    return not (kind in _KNOWN or kind in _REGISTERED or _named(tree))


def tree_flatten(tree: Any, is_leaf: Leaf = None) -> tuple[list[Any], TreeSpec]:
    """The leaves in order, and the nest without them."""
    leaves: list[Any] = []
    return leaves, _taken(tree, is_leaf, leaves)


def _taken(tree: Any, is_leaf: Leaf, leaves: list[Any]) -> TreeSpec:
    if tree_is_leaf(tree, is_leaf):
        leaves.append(tree)
        return LEAF
    kind = type(tree)
    parts: Iterable[Any]
    if kind in _REGISTERED:
        parts, context = _REGISTERED[kind].flatten(tree)
    elif isinstance(tree, dict):
        more = tree.default_factory if isinstance(tree, defaultdict) else None
        parts, context = tree.values(), (list(tree), more)
    else:
        parts, context = tree, tree.maxlen if isinstance(tree, deque) else None
    return TreeSpec(kind, context, tuple(_taken(part, is_leaf, leaves) for part in parts))


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
    kind = spec.type
    if kind is None:
        return next(leaves)
    parts = [_filled(leaves, c) for c in spec.children_specs]
    if kind in _REGISTERED:
        return _REGISTERED[kind].unflatten(parts, spec.context)
    if issubclass(kind, dict):
        keys, more = spec.context
        pairs = zip(keys, parts, strict=True)
        return defaultdict(more, pairs) if kind is defaultdict else kind(pairs)
    if kind is deque:
        return deque(parts, spec.context)
    return kind(*parts) if hasattr(kind, "_fields") else kind(parts)


def tree_map(f: Callable[..., Any], tree: Any, *rests: Any, is_leaf: Any = None) -> Any:
    """The nest with `f` of its leaves (and of those of nests alike)."""
    leaves, spec = tree_flatten(tree, is_leaf)
    others = [tree_flatten(r, is_leaf)[0] for r in rests]
    return tree_unflatten([f(*xs) for xs in zip(leaves, *others, strict=True)], spec)


def tree_map_(f: Callable[..., Any], tree: Any, *rests: Any, is_leaf: Any = None) -> Any:
    """Call `f` with the leaves, as `tree_map` does; the nest itself."""
    tree_map(f, tree, *rests, is_leaf=is_leaf)
    return tree


def _only(kinds: Any, f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    if not isinstance(kinds, type | tuple) and callable(kinds):
        return lambda x: f(x) if kinds(x) else x
    return lambda x: f(x) if isinstance(x, kinds) else x


def tree_map_only(kinds: Any, f: Callable[[Any], Any], tree: Any, is_leaf: Any = None) -> Any:
    """`tree_map` of the leaves of some types, or that a function picks; the others stay."""
    return tree_map(_only(kinds, f), tree, is_leaf=is_leaf)


def tree_map_only_(kinds: Any, f: Callable[[Any], Any], tree: Any, is_leaf: Any = None) -> Any:
    """`tree_map_` of the leaves of some types."""
    return tree_map_(_only(kinds, f), tree, is_leaf=is_leaf)


def tree_leaves(tree: Any, is_leaf: Any = None) -> list[Any]:
    """The leaves in order."""
    return tree_flatten(tree, is_leaf)[0]


def tree_iter(tree: Any, is_leaf: Any = None) -> Iterator[Any]:
    """The leaves, one after the other."""
    yield from tree_leaves(tree, is_leaf)


def tree_structure(tree: Any, is_leaf: Any = None) -> TreeSpec:
    """The nest without its leaves."""
    return tree_flatten(tree, is_leaf)[1]


def tree_all(pred: Callable[[Any], bool], tree: Any, is_leaf: Any = None) -> bool:
    """Whether `pred` holds for all leaves."""
    return all(map(pred, tree_leaves(tree, is_leaf)))


def tree_any(pred: Callable[[Any], bool], tree: Any, is_leaf: Any = None) -> bool:
    """Whether `pred` holds for a leaf."""
    return any(map(pred, tree_leaves(tree, is_leaf)))


def tree_all_only(kinds: Any, pred: Callable[[Any], bool], tree: Any, is_leaf: Any = None) -> bool:
    """Whether `pred` holds for all leaves of some types."""
    return all(pred(x) for x in tree_leaves(tree, is_leaf) if isinstance(x, kinds))


def tree_any_only(kinds: Any, pred: Callable[[Any], bool], tree: Any, is_leaf: Any = None) -> bool:
    """Whether `pred` holds for a leaf of some types."""
    return any(pred(x) for x in tree_leaves(tree, is_leaf) if isinstance(x, kinds))


# ---------------------------------------------------------------- with paths
def tree_leaves_with_path(tree: Any, is_leaf: Any = None) -> list[tuple[tuple[Any, ...], Any]]:
    """Every leaf with the keys that lead to it."""
    return list(_walked((), tree, is_leaf))


def _walked(
    path: tuple[Any, ...], tree: Any, is_leaf: Leaf
) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if tree_is_leaf(tree, is_leaf):
        yield path, tree
        return
    pairs: Iterable[tuple[Any, Any]]
    kind = type(tree)
    if kind in _REGISTERED:
        found = _REGISTERED[kind]
        if found.keys is not None:
            pairs = found.keys(tree)[0]
        else:
            parts = found.flatten(tree)[0]
            pairs = ((SequenceKey(i), part) for i, part in enumerate(parts))
    elif isinstance(tree, dict):
        pairs = ((MappingKey(k), v) for k, v in tree.items())
    elif _named(tree):
        pairs = ((GetAttrKey(k), getattr(tree, k)) for k in tree._fields)
    else:
        pairs = ((SequenceKey(i), v) for i, v in enumerate(tree))
    for key, part in pairs:
        yield from _walked((*path, key), part, is_leaf)


def tree_flatten_with_path(
    tree: Any, is_leaf: Any = None
) -> tuple[list[tuple[tuple[Any, ...], Any]], TreeSpec]:
    """Leaves with their paths, and the nest without them."""
    return tree_leaves_with_path(tree, is_leaf), tree_structure(tree, is_leaf)


def tree_map_with_path(
    func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: Any = None
) -> Any:
    """`tree_map` of a function of path and leaf."""
    found, spec = tree_flatten_with_path(tree, is_leaf)
    others = [tree_leaves(r, is_leaf) for r in rests]
    return tree_unflatten([func(*p, *xs) for p, *xs in zip(found, *others, strict=True)], spec)


def keystr(kp: Iterable[Any]) -> str:
    """A path as the text that follows the nest's name."""
    return "".join(map(str, kp))


def key_get(obj: Any, kp: Iterable[Any]) -> Any:
    """The part of a nest that a path leads to."""
    for key in kp:
        obj = key.get(obj)
    return obj
