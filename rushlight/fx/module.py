"""`GraphModule`: a module whose `forward` is the code of a graph; what runs one node by node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rushlight.engine import Tensor
from rushlight.fx.node import Graph, Node, map_arg
from rushlight.fx.tracer import Proxy, Tracer
from rushlight.nn import Module, Parameter

__all__ = ["GraphModule", "Interpreter", "Transformer", "symbolic_trace"]


def _get(root: Any, path: str) -> Any:
    for part in path.split("."):
        if not hasattr(root, part):
            raise AttributeError(f"the module has no {path!r}, which its graph names")
        root = getattr(root, part)
    return root


def _copy(path: str, source: Any, to: Module) -> None:
    """Give `to` the attribute of `source` at a qualified name."""
    *above, last = path.split(".")
    for part in above:
        inner = getattr(to, part, None)
        if inner is None:
            inner = Module()
            setattr(to, part, inner)
        source, to = getattr(source, part), inner
    value = getattr(source, last)
    if isinstance(value, Tensor) and not isinstance(value, Parameter):
        to.register_buffer(last, value)
    else:
        setattr(to, last, value)


class GraphModule(Module):
    """A module that runs a graph: its `code` is Python made of the nodes.

    After the graph was changed, `recompile()` makes the code anew.
    """

    def __init__(self, root: Any, graph: Graph, class_name: str = "GraphModule") -> None:
        super().__init__()
        self.__class__ = type(class_name, (type(self),), {"__doc__": "The module of a graph."})
        if isinstance(root, Module):
            self.training = root.training
        for node in graph.nodes:
            if node.op in ("call_module", "get_attr"):
                if isinstance(root, dict):
                    *above, last = node.target.split(".")
                    to: Module = self
                    for part in above:
                        if not hasattr(to, part):
                            setattr(to, part, Module())
                        to = getattr(to, part)
                    setattr(to, last, root[node.target])
                else:
                    _copy(node.target, root, self)
        self.graph = graph

    @property
    def graph(self) -> Graph:
        """The graph; setting it makes the code anew."""
        made: Graph = self.__dict__["_graph"]
        return made

    @graph.setter
    def graph(self, graph: Graph) -> None:
        self.__dict__["_graph"] = graph
        graph.owning_module = self
        self.recompile()

    @property
    def code(self) -> str:
        """The Python of `forward`."""
        return str(self.__dict__["_code"])

    def recompile(self) -> str:
        """Make `forward` of the graph as it is now; its code."""
        code, names = self.graph.python_code()
        self.__dict__["_code"] = "\n\n\n" + code
        exec(compile(code, "<torch.fx>", "exec"), names)
        type(self).forward = names["forward"]
        return self.code

    def print_readable(self, print_output: bool = True, **more: Any) -> str:
        """The class as text, printed unless told otherwise."""
        lines = "\n    ".join(self.code.strip("\n").splitlines())
        text = f"class {type(self).__name__}(torch.nn.Module):\n    {lines}\n"
        if print_output:
            print(text)
        return text

    def add_submodule(self, target: str, m: Module) -> bool:
        """Put a module at a qualified name; whether that could be."""
        *above, last = target.split(".")
        to: Any = self
        for part in above:
            if not hasattr(to, part):
                setattr(to, part, Module())
            to = getattr(to, part)
            if not isinstance(to, Module):
                return False
        to.add_module(last, m)
        return True

    def delete_submodule(self, target: str) -> bool:
        """Take the module at a qualified name away; whether there was one."""
        *above, last = target.split(".")
        to = _get(self, ".".join(above)) if above else self
        if not isinstance(getattr(to, last, None), Module):
            return False
        delattr(to, last)
        return True

    def delete_all_unused_submodules(self) -> None:
        """Take away the modules that no node calls."""
        used: set[str] = set()
        for node in self.graph.nodes:
            if node.op in ("call_module", "get_attr"):
                parts = node.target.split(".")
                used |= {".".join(parts[: k + 1]) for k in range(len(parts))}
                if node.op == "call_module":
                    inner = _get(self, node.target)
                    used |= {f"{node.target}.{n}" for n, _ in inner.named_modules() if n}
        for name in [n for n, _ in self.named_modules() if n and n not in used]:
            self.delete_submodule(name)

    def __str__(self) -> str:
        more = "# To see more debug info, please use `graph_module.print_readable()`"
        return f"{super().__repr__()}\n{self.code}\n{more}"

    def __deepcopy__(self, memo: Any) -> GraphModule:
        import copy

        held = {
            n.target: copy.deepcopy(_get(self, n.target), memo)
            for n in self.graph.nodes
            if n.op in ("call_module", "get_attr")
        }
        graph = Graph()
        out = graph.graph_copy(self.graph, {})
        graph.output(out)
        return GraphModule(held, graph, type(self).__name__)


class Interpreter:
    """Runs a graph node by node; subclasses say what a node does."""

    def __init__(self, module: Any, garbage_collect_values: bool = True, graph: Any = None) -> None:
        self.module = module
        self.graph: Graph = module.graph if graph is None else graph
        self.env: dict[Node, Any] = {}
        self.args_iter: Iterator[Any] = iter(())

    def run(self, *args: Any, initial_env: dict[Node, Any] | None = None) -> Any:
        """What the graph gives for these inputs."""
        self.env = dict(initial_env or {})
        self.args_iter = iter(args)
        for node in self.graph.nodes:
            if node not in self.env:
                self.env[node] = self.run_node(node)
            if node.op == "output":
                return self.env[node]
        return None

    def run_node(self, n: Node) -> Any:
        """What one node gives."""
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        return getattr(self, n.op)(n.target, args, kwargs)

    def fetch_args_kwargs_from_env(self, n: Node) -> tuple[Any, Any]:
        """The values of a node's arguments."""
        return map_arg(n.args, self.env.__getitem__), map_arg(n.kwargs, self.env.__getitem__)

    def map_nodes_to_values(self, args: Any, n: Node) -> Any:
        """`args` with values for nodes."""
        return map_arg(args, self.env.__getitem__)

    def fetch_attr(self, target: str) -> Any:
        """The module's attribute at a qualified name."""
        return _get(self.module, target)

    def placeholder(self, target: Any, args: Any, kwargs: Any) -> Any:
        """The next input, or its default."""
        for value in self.args_iter:
            return value
        if args:
            return args[0]
        raise RuntimeError(f"Expected positional argument for parameter {target}, but one was not")

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        """A parameter or buffer."""
        return self.fetch_attr(target)

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        """What a function gives."""
        return target(*args, **kwargs)

    def call_method(self, target: Any, args: Any, kwargs: Any) -> Any:
        """What a method of the first argument gives."""
        return getattr(args[0], target)(*args[1:], **kwargs)

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        """What a module gives."""
        return self.fetch_attr(target)(*args, **kwargs)

    def output(self, target: Any, args: Any, kwargs: Any) -> Any:
        """What comes out."""
        return args[0]


class Transformer(Interpreter):
    """Runs a graph on stand-ins: `transform()` gives a module with what the methods did."""

    def __init__(self, module: Any) -> None:
        super().__init__(module)
        self.new_graph = Graph()
        self.tracer = Tracer()
        self.tracer.graph = self.new_graph
        self.tracer.root = module

    def placeholder(self, target: Any, args: Any, kwargs: Any) -> Any:
        return self.tracer.create_proxy("placeholder", target, args, kwargs)

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        return self.tracer.create_proxy("get_attr", target, args, kwargs)

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        return self.tracer.create_proxy("call_function", target, args, kwargs)

    def call_method(self, target: Any, args: Any, kwargs: Any) -> Any:
        return self.tracer.create_proxy("call_method", target, args, kwargs)

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        return self.tracer.create_proxy("call_module", target, args, kwargs)

    def transform(self) -> GraphModule:
        """The module of the new graph."""
        result = self.run()
        self.new_graph.output(self.tracer.create_arg(result) if result is not None else None)
        return GraphModule(self.module, self.new_graph)

    def run_node(self, n: Node) -> Any:
        """What one node becomes; it keeps its name where that is free."""
        made = super().run_node(n)
        if isinstance(made, Proxy):
            made.node.meta = dict(n.meta)
        return made


def symbolic_trace(root: Any, concrete_args: dict[str, Any] | None = None) -> GraphModule:
    """A module (or function) as a graph of what its `forward` calls.

        traced = torch.fx.symbolic_trace(model)
        print(traced.code)

    Calls whose way depends on values cannot be followed (`TraceError`); what `forward` does without
    its inputs is done once, while it is followed.
    """
    tracer = Tracer()
    graph = tracer.trace(root, concrete_args)
    name = type(root).__name__ if isinstance(root, Module) else root.__name__
    return GraphModule(tracer.root, graph, name)
