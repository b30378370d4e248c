"""Nodes of a module graph, and the graph: what is called, in order, and the Python that does it."""

from __future__ import annotations

import builtins
import keyword
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

__all__ = ["Graph", "Node", "map_arg"]

OPS: Final = ("placeholder", "get_attr", "call_function", "call_method", "call_module", "output")
BINARY: Final = {
    "add": "+", "sub": "-", "mul": "*", "truediv": "/", "floordiv": "//", "mod": "%", "pow": "**",
    "matmul": "@", "lshift": "<<", "rshift": ">>", "and_": "&", "or_": "|", "xor": "^", "eq": "==",
    "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
}  # fmt: skip
UNARY: Final = {"neg": "-", "pos": "+", "invert": "~"}


def map_arg(a: Any, fn: Callable[[Node], Any]) -> Any:
    """`a` with `fn(node)` for each node in it, through tuples, lists, dicts and slices."""
    if isinstance(a, Node):
        return fn(a)
    if isinstance(a, tuple | list):
        parts = [map_arg(x, fn) for x in a]
        return type(a)(*parts) if hasattr(a, "_fields") else type(a)(parts)
    if isinstance(a, dict):
        return {k: map_arg(v, fn) for k, v in a.items()}
    if isinstance(a, slice):
        return slice(*(map_arg(x, fn) for x in (a.start, a.stop, a.step)))
    return a


class Node:
    """One step: `op` says what kind, `target` what is called, `args` and `kwargs` with what.

    `op`: `placeholder` (an input), `get_attr` (a parameter or buffer), `call_function`,
    `call_method`, `call_module` or `output`.
    """

    def __init__(
        self, graph: Graph, name: str, op: str, target: Any, args: Any, kwargs: Any
    ) -> None:
        if op not in OPS:
            raise AssertionError(f"invalid node op {op!r}: expected one of {', '.join(OPS)}")
        self.graph = graph
        self.name = name
        self.op = op
        self.target = target
        self.users: dict[Node, None] = {}
        self.meta: dict[str, Any] = {}
        self.type: Any = None
        self._args: Any = ()
        self._kwargs: Any = {}
        self._set(args, kwargs)

    def _set(self, args: Any, kwargs: Any) -> None:
        for n in self.all_input_nodes:
            n.users.pop(self, None)
        self._args, self._kwargs = tuple(args), dict(kwargs)
        for n in self.all_input_nodes:
            n.users[self] = None

    @property
    def args(self) -> Any:
        """The positional arguments; nodes among them are what this one reads."""
        return self._args

    @args.setter
    def args(self, args: Any) -> None:
        self._set(args, self._kwargs)

    @property
    def kwargs(self) -> Any:
        """The keyword arguments."""
        return self._kwargs

    @kwargs.setter
    def kwargs(self, kwargs: Any) -> None:
        self._set(self._args, kwargs)

    @property
    def all_input_nodes(self) -> list[Node]:
        """The nodes that this one reads, each once, in order."""
        found: dict[Node, None] = {}
        map_arg((self._args, self._kwargs), found.setdefault)
        return list(found)

    @property
    def next(self) -> Node:
        """The node after this one."""
        return self.graph._beside(self, 1)

    @property
    def prev(self) -> Node:
        """The node before this one."""
        return self.graph._beside(self, -1)

    def append(self, x: Node) -> None:
        """Move `x` behind this node."""
        self.graph._move(x, self, 1)

    def prepend(self, x: Node) -> None:
        """Move `x` before this node."""
        self.graph._move(x, self, 0)

    def replace_all_uses_with(
        self, replace_with: Node, delete_user_cb: Callable[[Node], bool] = lambda user: True
    ) -> list[Node]:
        """Let all that read this node read another; the readers."""
        changed = [user for user in list(self.users) if delete_user_cb(user)]
        for user in changed:
            user.replace_input_with(self, replace_with)
        return changed

    def replace_input_with(self, old_input: Node, new_input: Node) -> None:
        """Read another node in the place of one."""

        def other(n: Node) -> Node:
            return new_input if n is old_input else n

        self._set(map_arg(self._args, other), map_arg(self._kwargs, other))

    def is_impure(self) -> bool:
        """Whether it stays though nobody reads it."""
        return self.op in ("placeholder", "output")

    def format_node(self) -> str:
        """The line of the graph's text."""
        if self.op == "placeholder":
            default = f"(default={self._args[0]!r})" if self._args else ""
            users = f"[num_users={len(self.users)}]"
            return f"%{self.name} : {users} = placeholder[target={self.target}]{default}"
        if self.op == "output":
            return f"return {self._args[0]}"
        what = self.target
        if self.op == "call_function":
            what = "builtins.getattr" if self.target is getattr else function_name(self.target)
        called = ""
        if self.op != "get_attr":
            called = f"(args = {_percent(self._args)}, kwargs = {_percent(self._kwargs)})"
        return f"%{self.name} : [num_users={len(self.users)}] = {self.op}[target={what}]{called}"

    def __repr__(self) -> str:
        return self.name


class _Text(str):
    """Text that shows itself without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _percent(a: Any) -> str:
    """An argument as the graph's text has it: `%name` for a node, strings without quotes."""
    if isinstance(a, Node):
        return f"%{a.name}"
    if isinstance(a, tuple):
        return f"({', '.join(map(_percent, a))}{',' if len(a) == 1 else ''})"
    if isinstance(a, list):
        return f"[{', '.join(map(_percent, a))}]"
    if isinstance(a, dict):
        return "{" + ", ".join(f"{k}: {_percent(v)}" for k, v in a.items()) + "}"
    return str(a)


NAMES: Final[dict[int, tuple[Any, str]]] = {}  # by identity: functions of the public namespaces


def function_name(f: Any) -> str:
    """How code names a function: `torch.relu`, `operator.add`, its module and name."""
    known = NAMES.get(id(f))
    if known is not None:
        return known[1]
    name = getattr(f, "__name__", repr(f))
    where = getattr(f, "__module__", None) or ""
    if getattr(builtins, name, None) is f:
        return str(name)
    where = "operator" if where == "_operator" else where
    return f"{where}.{getattr(f, '__qualname__', name)}" if where else str(name)


def _illegal(name: str) -> bool:
    return keyword.iskeyword(name) or hasattr(builtins, name) or name in ("torch", "device", "self")


class Graph:
    """Nodes in the order in which they run.

    graph = torch.fx.Graph()
    x = graph.placeholder("x")
    graph.output(graph.call_function(torch.relu, (x,)))
    """

    def __init__(self, owning_module: Any = None, tracer_cls: Any = None) -> None:
        self.owning_module = owning_module
        self._nodes: list[Node] = []
        self._used: set[str] = set()
        self._at: int | None = None  # where new nodes go; None: at the end

    @property
    def nodes(self) -> _Nodes:
        """The nodes, in order; `reversed` works too."""
        return _Nodes(self)

    def _beside(self, node: Node, step: int) -> Node:
        k = self._nodes.index(node) + step
        if not 0 <= k < len(self._nodes):
            raise IndexError(f"{node.name} has no node {'after' if step > 0 else 'before'} it")
        return self._nodes[k]

    def _move(self, x: Node, beside: Node, after: int) -> None:
        if x is not beside:
            self._nodes.remove(x)
            self._nodes.insert(self._nodes.index(beside) + after, x)

    def _new_name(self, wish: str) -> str:
        wish = re.sub(r"[^0-9a-zA-Z_]+", "_", wish) or "_unnamed"
        if wish[0].isdigit():
            wish = "_" + wish
        found = re.match(r"(.*)_(\d+)$", wish)
        base, number = (found[1], int(found[2])) if found else (wish, 0)
        name = wish
        while name in self._used or _illegal(name):
            number += 1
            name = f"{base}_{number}"
        self._used.add(name)
        return name

    def create_node(
        self,
        op: str,
        target: Any,
        args: Any = None,
        kwargs: Any = None,
        name: str | None = None,
        type_expr: Any = None,
    ) -> Node:
        """Add a node, at the end or where `inserting_before` and `inserting_after` say."""
        if name is None:
            word = getattr(target, "__name__", None) if callable(target) else str(target)
            word = str(word or "function").strip("_") or "function"
            name = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", word).lower()
            name = word if op == "placeholder" else name
        node = Node(self, self._new_name(name), op, target, args or (), kwargs or {})
        node.type = type_expr
        if self._at is None:
            self._nodes.append(node)
        else:
            self._nodes.insert(self._at, node)
            self._at += 1
        return node

    def placeholder(self, name: str, type_expr: Any = None, default_value: Any = OPS) -> Node:
        """An input."""
        args = () if default_value is OPS else (default_value,)
        return self.create_node("placeholder", name, args, type_expr=type_expr)

    def get_attr(self, qualified_name: str, type_expr: Any = None) -> Node:
        """A parameter or buffer of the module."""
        return self.create_node("get_attr", qualified_name, type_expr=type_expr)

    def call_function(
        self, the_function: Any, args: Any = None, kwargs: Any = None, type_expr: Any = None
    ) -> Node:
        """A call of a function."""
        return self.create_node("call_function", the_function, args, kwargs, type_expr=type_expr)

    def call_method(
        self, method_name: str, args: Any = None, kwargs: Any = None, type_expr: Any = None
    ) -> Node:
        """A call of a method of the first argument."""
        return self.create_node("call_method", method_name, args, kwargs, type_expr=type_expr)

    def call_module(
        self, module_name: str, args: Any = None, kwargs: Any = None, type_expr: Any = None
    ) -> Node:
        """A call of a module of the module, by its qualified name."""
        return self.create_node("call_module", module_name, args, kwargs, type_expr=type_expr)

    def output(self, result: Any, type_expr: Any = None) -> Node:
        """What comes out."""
        return self.create_node("output", "output", (result,), type_expr=type_expr)

    def node_copy(self, node: Node, arg_transform: Callable[[Node], Any] = lambda n: n) -> Node:
        """A copy of a node of another graph; `arg_transform` gives this graph's node for one."""
        args = map_arg(node.args, arg_transform)
        made = self.create_node(
            node.op, node.target, args, map_arg(node.kwargs, arg_transform), node.name, node.type
        )
        made.meta = dict(node.meta)
        return made

    def graph_copy(self, g: Graph, val_map: dict[Node, Node]) -> Any:
        """Copy all nodes of another graph but its output; what that returns, in this graph."""
        for node in g.nodes:
            if node in val_map:
                continue
            if node.op == "output":
                return map_arg(node.args[0], lambda n: val_map[n])
            val_map[node] = self.node_copy(node, lambda n: val_map[n])
        return None

    def erase_node(self, to_erase: Node) -> None:
        """Take a node away; `RuntimeError` while others read it."""
        if to_erase.users:
            raise RuntimeError(
                f"Tried to erase Node {to_erase} but it still had {len(to_erase.users)} users in "
                f"the graph: {to_erase.users}!"
            )
        k = self._nodes.index(to_erase)
        del self._nodes[k]
        if self._at is not None and k < self._at:
            self._at -= 1
        to_erase._set((), {})

    def inserting_before(self, n: Node | None = None) -> _Inserting:
        """A context in which new nodes go before `n` (None: to the beginning)."""
        return _Inserting(self, 0 if n is None else self._nodes.index(n))

    def inserting_after(self, n: Node | None = None) -> _Inserting:
        """A context in which new nodes go behind `n` (None: to the end)."""
        return _Inserting(self, len(self._nodes) if n is None else self._nodes.index(n) + 1)

    def eliminate_dead_code(self, is_impure_node: Callable[[Node], bool] | None = None) -> bool:
        """Take away what nobody reads; whether there was any."""
        impure = is_impure_node or Node.is_impure
        dead = False
        for node in reversed(list(self._nodes)):
            if not node.users and not impure(node):
                self.erase_node(node)
                dead = True
        return dead

    def lint(self) -> None:
        """`RuntimeError` where a node reads what comes later, or names are not unique."""
        seen: set[Node] = set()
        names: set[str] = set()
        for node in self._nodes:
            if node.name in names:
                raise RuntimeError(f"Node redefined name {node.name}!")
            for n in node.all_input_nodes:
                if n not in seen:
                    raise RuntimeError(
                        f"Argument '{n}' of Node '{node}' was used before it has been defined! "
                        "Please check that Nodes in the graph are topologically ordered"
                    )
            seen.add(node)
            names.add(node.name)

    def find_nodes(self, *, op: str, target: Any = None, sort: bool = True) -> list[Node]:
        """The nodes of a kind (and target), in order."""
        return [n for n in self._nodes if n.op == op and (target is None or n.target == target)]

    def print_tabular(self) -> None:
        """Print the nodes as a table."""
        rows = [["opcode", "name", "target", "args", "kwargs"]]
        rows += [[n.op, n.name, str(n.target), str(n.args), str(n.kwargs)] for n in self._nodes]
        widths = [max(len(row[k]) for row in rows) for k in range(5)]
        rows.insert(1, ["-" * w for w in widths])
        print("\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths)) for row in rows))

    def __str__(self) -> str:
        return "\n    ".join(["graph():", *(n.format_node() for n in self._nodes)])

    # ------------------------------------------------------------ code
    def python_code(self, root_module: str = "self") -> tuple[str, dict[str, Any]]:
        """The Python of a `forward`, and the functions it names."""
        names: dict[str, Any] = {}
        last = {n: user for user in self._nodes for n in user.all_input_nodes}
        inputs: list[str] = []
        body: list[str] = []
        for node in self._nodes:
            freed = [n.name for n in node.all_input_nodes if last[n] is node]
            if not node.users and node.op not in ("placeholder", "output"):
                freed.append(node.name)
            end = ";  " + " = ".join([*freed, "None"]) if freed and node.op != "output" else ""
            if node.op == "placeholder":
                default = f" = {_code(node.args[0], names)}" if node.args else ""
                inputs.append(f"{node.target}{default}")
                plain = str(node.target).lstrip("*")
                if plain != node.name:
                    body.append(f"{node.name} = {plain}")
                continue
            if node.op == "output":
                body.append(f"return {_code(node.args[0], names)}")
                continue
            body.append(f"{node.name} = {_call(node, names, root_module)}{end}")
        lines = "\n    ".join(body or ["pass"])
        return f"def forward({', '.join([root_module, *inputs])}):\n    {lines}\n    ", names


class _Nodes:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def __iter__(self) -> Iterator[Node]:
        return iter(list(self._graph._nodes))

    def __reversed__(self) -> Iterator[Node]:
        return reversed(list(self._graph._nodes))

    def __len__(self) -> int:
        return len(self._graph._nodes)

    def __repr__(self) -> str:
        return repr(self._graph._nodes)


class _Inserting:
    def __init__(self, graph: Graph, at: int) -> None:
        self._graph = graph
        self._was = graph._at
        graph._at = at

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exception: object) -> None:
        self._graph._at = self._was


def _code(a: Any, names: dict[str, Any]) -> str:
    def text(x: Any) -> Any:
        if isinstance(x, Node):
            return _Text(x.name)
        if isinstance(x, tuple | list):
            return type(x)(text(y) for y in x) if not hasattr(x, "_fields") else tuple(map(text, x))
        if isinstance(x, dict):
            return {k: text(v) for k, v in x.items()}
        if isinstance(x, slice):
            return _Text(f"slice({text(x.start)!r}, {text(x.stop)!r}, {text(x.step)!r})")
        if x is None or x is ... or isinstance(x, bool | int | str | complex):
            return x if x is not ... else _Text("...")
        if type(x) is float and x - x == 0:
            return x
        name = f"_value_{len(names)}"
        if callable(x) and not hasattr(x, "shape"):
            return _Text(_named(x, names))
        names[name] = x
        return _Text(name)

    return repr(text(a))


def _named(f: Any, names: dict[str, Any]) -> str:
    name = function_name(f)
    if getattr(builtins, name, None) is f:
        return name
    top = name.split(".")[0]
    if id(f) in NAMES:
        names[top] = NAMES[id(f)][0]
        return name
    if top == "operator":
        names[top] = operator
        return name
    short = re.sub(r"\W", "_", name)
    names[short] = f
    return short


def _call(node: Node, names: dict[str, Any], root: str) -> str:
    f, args = node.target, node.args
    kwargs = [f"{k} = {_code(v, names)}" for k, v in node.kwargs.items()]
    words = [_code(a, names) for a in args]
    if node.op == "get_attr":
        return _attribute(root, f)
    if node.op == "call_module":
        return f"{_attribute(root, f)}({', '.join(words + kwargs)})"
    if node.op == "call_method":
        return f"{words[0]}.{f}({', '.join(words[1:] + kwargs)})"
    if getattr(f, "__module__", None) == "_operator" and not kwargs:
        name = f.__name__
        if name in BINARY and len(words) == 2:
            return f"{words[0]} {BINARY[name]} {words[1]}"
        if name in UNARY and len(words) == 1:
            return f"{UNARY[name]}{words[0]}"
        if name == "getitem" and len(words) == 2:
            return f"{words[0]}[{words[1]}]"
    if f is getattr and len(args) == 2 and isinstance(args[1], str):
        return f"{words[0]}.{args[1]}"
    return f"{_named(f, names)}({', '.join(words + kwargs)})"


def _attribute(root: str, target: str) -> str:
    text = root
    for part in str(target).split("."):
        text = f"{text}.{part}" if part.isidentifier() else f'getattr({text}, "{part}")'
    return text
