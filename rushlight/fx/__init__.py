"""`torch.fx`: modules as graphs that a program can read, change and run.

    traced = torch.fx.symbolic_trace(model)
    for node in traced.graph.nodes:
        print(node.op, node.target)

The recorder needs none of it: see `rushlight.explain` for what a program runs.
"""

from __future__ import annotations

from typing import Any

from rushlight.base.lacking import names_of
from rushlight.fx import (
    graph,
    graph_module,
    interpreter,
    node,
    passes,
    proxy,
    subgraph_rewriter,
    tracer,
)
from rushlight.fx.module import GraphModule, Interpreter, Transformer, symbolic_trace
from rushlight.fx.node import Graph, Node, map_arg
from rushlight.fx.subgraph_rewriter import replace_pattern
from rushlight.fx.tracer import Proxy, TraceError, Tracer, wrap

__all__ = [
    "Graph",
    "GraphModule",
    "Interpreter",
    "Node",
    "Proxy",
    "TraceError",
    "Tracer",
    "Transformer",
    "graph",
    "graph_module",
    "has_side_effect",
    "interpreter",
    "map_arg",
    "node",
    "passes",
    "proxy",
    "replace_pattern",
    "subgraph_rewriter",
    "symbolic_trace",
    "tracer",
    "wrap",
]

__getattr__ = names_of(
    "torch.fx",
    frozenset(["CodeGen", "ProxyableClassMeta"]),
    "graphs are changed node by node here: torch.fx.Graph has what that needs",
)


def has_side_effect(fn: Any) -> Any:
    """The function itself: a mark for tracers."""
    return fn
