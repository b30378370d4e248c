"""Patterns in graphs: every place where a small graph occurs in a module's, replaced by another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from rushlight.fx.module import GraphModule, symbolic_trace
from rushlight.fx.node import Graph, Node
from rushlight.nn import Module

__all__ = ["Match", "ReplacedPatterns", "replace_pattern", "replace_pattern_with_filters"]


class Match(NamedTuple):
    """Where a pattern was found: the pattern's result, and what stands for each of its nodes."""

    anchor: Node
    nodes_map: dict[Node, Node]


class ReplacedPatterns(NamedTuple):
    """A `Match`, and the nodes that came in its place."""

    anchor: Node
    nodes_map: dict[Node, Node]
    replacements: list[Node]


class InternalMatch(NamedTuple):
    """What filters are shown of a place."""

    anchors: list[Node]
    nodes_map: dict[Node, Node]
    placeholder_nodes: list[Node]
    returning_nodes: list[Node]


def replace_pattern(gm: GraphModule, pattern: Any, replacement: Any) -> list[Match]:
    """Replace every occurrence of `pattern` in `gm`, in place, and compile its code anew.

    Args:
        gm: the module to change.
        pattern: a function or module, traced; its inputs stand for any values.
        replacement: a function or module with as many inputs and outputs.

    Occurrences do not overlap, and values inside of them that others read keep them as they are.
    """
    return [Match(r.anchor, r.nodes_map) for r in _replaced(gm, pattern, replacement, [], False)]


def replace_pattern_with_filters(
    gm: GraphModule,
    pattern: Any,
    replacement: Any = None,
    match_filters: list[Callable[[InternalMatch, Graph, Graph], bool]] | None = None,
    ignore_literals: bool = False,
) -> list[ReplacedPatterns]:
    """`replace_pattern` where all filters `f(match, graph, pattern_graph)` agree.

    `ignore_literals`: numbers and strings in the pattern stand for any others.
    """
    return _replaced(gm, pattern, replacement, match_filters or [], ignore_literals)


def _graph_of(given: Any) -> Graph:
    if isinstance(given, Graph):
        return given
    return (given if isinstance(given, GraphModule) else symbolic_trace(given)).graph


def _outputs(graph: Graph) -> list[Node]:
    """What a graph gives."""
    found = next(n for n in reversed(graph.nodes) if n.op == "output").args[0]
    many = list(found) if isinstance(found, tuple | list) else [found]
    if not all(isinstance(n, Node) for n in many):
        raise RuntimeError("torch.fx.replace_pattern: a pattern gives results of operations")
    return many


class _Search:
    """One attempt to lay a pattern over a graph."""

    def __init__(self, pattern: Graph, ignore_literals: bool) -> None:
        self.pattern = pattern
        self.ignore_literals = ignore_literals
        self.inputs = [n for n in pattern.nodes if n.op == "placeholder"]
        self.inner = [n for n in pattern.nodes if n.op not in ("placeholder", "output")]
        self.last = _outputs(pattern)

    def over(self, graph: Graph) -> Iterator[InternalMatch]:
        """All places that do not overlap, those that come last in the graph last."""
        taken: set[Node] = set()
        for node in list(graph.nodes):
            found = self._from([node], list(graph.nodes))
            if found is None:
                continue
            here = {found[n] for n in self.inner}
            if taken & here or not self._closed(found, here):
                continue
            taken |= here
            held = [found[n] for n in self.inputs if n in found]
            last = [found[n] for n in self.last]
            yield InternalMatch([self.last[0]], found, held, last)

    def _from(self, candidates: list[Node], others: list[Node]) -> dict[Node, Node] | None:
        """The map with the pattern's first result at one of the candidates."""
        maps: list[dict[Node, Node]] = [{}]
        for i, want in enumerate(self.last):
            grown = []
            for known in maps:
                for node in [known[want]] if want in known else candidates if i == 0 else others:
                    trial = dict(known)
                    if self._same(want, node, trial):
                        grown.append(trial)
            maps = grown
        return maps[0] if maps else None

    def _same(self, want: Any, node: Any, known: dict[Node, Node]) -> bool:
        if isinstance(want, Node):
            if not isinstance(node, Node):
                return False
            if want in known:
                return known[want] is node
            if want.op == "placeholder":
                known[want] = node
                return True
            if want.op != node.op or want.target != node.target or node in known.values():
                return False
            known[want] = node
            return (
                len(want.args) == len(node.args)
                and want.kwargs.keys() == node.kwargs.keys()
                and self._same(want.args, node.args, known)
                and self._same(want.kwargs, node.kwargs, known)
            )
        if isinstance(want, tuple | list):
            return (
                isinstance(node, tuple | list)
                and len(want) == len(node)
                and all(self._same(a, b, known) for a, b in zip(want, node, strict=True))
            )
        if isinstance(want, dict):
            return (
                isinstance(node, dict)
                and want.keys() == node.keys()
                and all(self._same(want[k], node[k], known) for k in want)
            )
        if isinstance(want, slice):
            return isinstance(node, slice) and self._same(
                [want.start, want.stop, want.step], [node.start, node.stop, node.step], known
            )
        if isinstance(node, Node):
            return False
        return self.ignore_literals or (type(want) is type(node) and bool(want == node))

    def _closed(self, found: dict[Node, Node], here: set[Node]) -> bool:
        """Whether nobody else reads what is computed on the way."""
        given = {found[n] for n in self.last}
        return all(set(node.users) <= here for node in here - given)


def _replaced(
    gm: GraphModule,
    pattern: Any,
    replacement: Any,
    filters: list[Callable[[InternalMatch, Graph, Graph], bool]],
    ignore_literals: bool,
) -> list[ReplacedPatterns]:
    graph = gm.graph
    search = _Search(_graph_of(pattern), ignore_literals)
    new = _graph_of(replacement)
    inputs = [n for n in new.nodes if n.op == "placeholder"]
    places = [
        match
        for match in list(search.over(graph))
        if all(agrees(match, graph, search.pattern) for agrees in filters)
    ]
    instead: dict[Node, Node] = {}  # results of earlier places that later ones read
    made = []
    for match in places:
        if len(inputs) != len(match.placeholder_nodes):
            raise AssertionError(
                f"Placeholder count mismatch: {len(match.placeholder_nodes)} vs {len(inputs)}"
            )
        given = [instead.get(n, n) for n in match.placeholder_nodes]
        copies = dict(zip(inputs, given, strict=True))
        readers = {user for node in match.returning_nodes for user in node.users}
        after = next((n for n in graph.nodes if n in readers), None)
        where = match.returning_nodes[-1].next if after is None else after
        with graph.inserting_before(where):
            results = graph.graph_copy(new, copies)
        results = results if isinstance(results, tuple | list) else (results,)
        if len(results) != len(match.returning_nodes):
            raise AssertionError(
                f"Returning nodes count mismatch: {len(match.returning_nodes)} vs {len(results)}"
            )
        for old, node in zip(match.returning_nodes, results, strict=True):
            old.replace_all_uses_with(node)
            instead[old] = node
        for node in reversed(search.inner):
            graph.erase_node(match.nodes_map[node])
        added = [n for n in copies.values() if n not in given]
        made.append(ReplacedPatterns(match.anchors[0], match.nodes_map, added))
    gm.recompile()
    if isinstance(replacement, Module):
        for node in graph.nodes:
            if node.op in ("call_module", "get_attr") and not _has(gm, node.target):
                gm.add_submodule(node.target, replacement.get_submodule(node.target))
    return made


def _has(module: Any, path: str) -> bool:
    for name in path.split("."):
        if not hasattr(module, name):
            return False
        module = getattr(module, name)
    return True
