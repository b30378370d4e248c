"""Nests taken apart and put together."""

from collections import OrderedDict, deque, namedtuple

import pytest

from rushlight.utils import _pytree as P

Pair = namedtuple("Pair", "a b")
NEST = {"x": [1, (2, 3)], "y": Pair(4, 5), "z": OrderedDict(q=6), "d": deque([7, 8], 3)}


def test_apart_and_together() -> None:
    leaves, spec = P.tree_flatten(NEST)
    assert leaves == [1, 2, 3, 4, 5, 6, 7, 8] and spec.num_leaves == 8
    assert P.tree_unflatten(leaves, spec) == NEST
    assert P.tree_structure(P.tree_map(str, NEST)) == spec
    assert P.tree_unflatten(leaves, spec)["d"].maxlen == 3
    with pytest.raises(ValueError, match="length 1"):
        P.tree_unflatten([1], spec)


def test_some_leaves_only() -> None:
    nest = [1, "a", (2.0, 3)]
    assert P.tree_map_only(int, lambda v: v + 1, nest) == [2, "a", (2.0, 4)]
    assert P.tree_map_only(lambda v: v == "a", str.upper, nest) == [1, "A", (2.0, 3)]
    assert P.tree_any_only(int, lambda v: v == 3, nest)
    assert P.tree_all_only(str, str.islower, nest) and not P.tree_all(bool, [0, 1])
    assert P.tree_any(bool, [0, 1]) and list(P.tree_iter([1, [2]])) == [1, 2]
    held: list = [[1], [2]]
    assert P.tree_map_(lambda v: v.append(0), held, is_leaf=lambda v: v in ([1], [2])) is held
    assert held == [[1, 0], [2, 0]]


def test_classes_of_a_program() -> None:
    class Point:
        def __init__(self, x, y) -> None:
            self.x, self.y = x, y

    assert P.tree_is_leaf(Point(1, 2))
    P.register_pytree_node(Point, lambda p: ([p.x, p.y], None), lambda v, c: Point(*v))
    made = P.tree_map(lambda v: v * 10, Point(1, [2, 3]))
    assert (made.x, made.y) == (10, [20, 30])
    with pytest.raises(ValueError, match="already registered"):
        P.register_pytree_node(Point, lambda p: ([], None), lambda v, c: Point(0, 0))


def test_paths() -> None:
    found = P.tree_leaves_with_path({"a": [1, {"b": 2}], "p": Pair(3, 4)})
    assert [P.keystr(path) for path, _ in found] == ["['a'][0]", "['a'][1]['b']", "['p'].a",
                                                     "['p'].b"]  # fmt: skip
    assert all(P.key_get({"a": [1, {"b": 2}], "p": Pair(3, 4)}, path) == v for path, v in found)
    named = P.tree_map_with_path(lambda k, v, w: (P.keystr(k), v + w), {"a": [1]}, {"a": [5]})
    assert named == {"a": [("['a'][0]", 6)]}
