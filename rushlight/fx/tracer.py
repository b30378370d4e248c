"""Following a module's `forward` with stand-ins for its inputs: what they meet becomes a graph.

While it is followed, the functions of the public namespaces are wrapped, so that a call with a
stand-in makes a node; afterwards they are what they were.
"""

from __future__ import annotations

import operator
import threading
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import rushlight
from rushlight.engine import Tensor
from rushlight.fx.node import BINARY, NAMES, OPS, UNARY, Graph, Node
from rushlight.nn import Module
from rushlight.nn.calls import slow_call

__all__ = ["Proxy", "TraceError", "Tracer", "wrap"]

SPACES: Final = ("", ".nn.functional", ".linalg", ".special", ".fft")
WRAPPED: Final[dict[str, list[dict[str, Any]]]] = {}  # by name: the globals it was wrapped in
_LOCK: Final = threading.RLock()


class TraceError(ValueError):
    """A program that asks for the value of a stand-in."""


class Proxy:
    """A stand-in for a value: what is done with it becomes nodes of the tracer's graph."""

    def __init__(self, node: Node, tracer: Any = None) -> None:
        self.node = node
        self.tracer = tracer

    def __repr__(self) -> str:
        return f"Proxy({self.node.name})"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Attribute(self, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.tracer.create_proxy("call_method", "__call__", (self, *args), kwargs)

    def _refuse(self, what: str) -> Any:
        raise TraceError(
            f"symbolically traced variables cannot be {what}: {self.node.name} stands for any "
            "value here"
        )

    def __bool__(self) -> bool:
        return bool(self._refuse("used as inputs to control flow"))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._refuse("iterated over"))

    def __len__(self) -> int:
        raise RuntimeError("'len' is not supported in symbolic tracing by default; use x.shape[0]")

    def __index__(self) -> int:
        return int(self._refuse("used as indices of Python's own sequences"))

    def __contains__(self, item: Any) -> bool:
        return bool(self._refuse("searched"))

    def __getitem__(self, key: Any) -> Any:
        return self.tracer.create_proxy("call_function", operator.getitem, (self, key), {})


class Attribute(Proxy):
    """An attribute of a stand-in: a method once it is called."""

    def __init__(self, root: Proxy, attr: str) -> None:
        self.root = root
        self.attr = attr
        self.tracer = root.tracer
        self._made: Node | None = None

    @property
    def node(self) -> Node:  # type: ignore[override]
        """The node of the attribute itself, made when something needs it."""
        if self._made is None:
            made = self.tracer.create_proxy("call_function", getattr, (self.root, self.attr), {})
            self._made = made.node
        return self._made

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.tracer.create_proxy("call_method", self.attr, (self.root, *args), kwargs)


def _operators() -> None:
    def both(f: Any) -> tuple[Any, Any]:
        def forward(self: Proxy, other: Any) -> Any:
            return self.tracer.create_proxy("call_function", f, (self, other), {})

        def reflected(self: Proxy, other: Any) -> Any:
            return self.tracer.create_proxy("call_function", f, (other, self), {})

        return forward, reflected

    def alone(f: Any) -> Any:
        return lambda self: self.tracer.create_proxy("call_function", f, (self,), {})

    for name in BINARY:
        plain = name.strip("_")
        forward, reflected = both(getattr(operator, name))
        setattr(Proxy, f"__{plain}__", forward)
        if name not in ("eq", "ne", "lt", "le", "gt", "ge"):
            setattr(Proxy, f"__r{plain}__", reflected)
    for name in UNARY:
        setattr(Proxy, f"__{name}__", alone(getattr(operator, name)))
    setattr(Proxy, "__abs__", alone(abs))
    setattr(Proxy, "__hash__", object.__hash__)


_operators()


def _proxies(a: Any) -> Iterator[Proxy]:
    if isinstance(a, Proxy):
        yield a
    elif isinstance(a, tuple | list):
        for x in a:
            yield from _proxies(x)
    elif isinstance(a, dict):
        for x in a.values():
            yield from _proxies(x)


def dispatching(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f` for values; a node where a stand-in is among the arguments."""

    def call(*args: Any, **kwargs: Any) -> Any:
        for p in _proxies((args, kwargs)):
            return p.tracer.create_proxy("call_function", f, args, kwargs)
        return f(*args, **kwargs)

    call.__name__ = getattr(f, "__name__", "function")
    return call


def _function(f: Any) -> bool:
    return isinstance(f, types.FunctionType | types.BuiltinFunctionType)


def public_functions() -> Iterator[tuple[Any, str, Any]]:
    """The public namespaces' functions: module, name, function.  The shortest name counts first."""
    for space in SPACES:
        module: Any = rushlight
        for part in space.split("."):
            module = getattr(module, part) if part else module
        for name in sorted(set(dir(module)) | set(getattr(module, "__all__", ()))):
            if name.startswith("_"):
                continue
            f = getattr(module, name, None)
            if _function(f):
                NAMES.setdefault(id(f), (rushlight, f"torch{space}.{name}"))
                yield module, name, f


@contextmanager
def patched(tracer: Any, extra: list[dict[str, Any]]) -> Iterator[None]:
    """Within it, functions and modules make nodes.

    `extra`: namespaces of the program's own, where functions may stand under other names.
    """
    with _LOCK:
        undo: list[tuple[dict[str, Any], str, bool, Any]] = []
        known: dict[int, Any] = {}

        def put(space: dict[str, Any], name: str, value: Any) -> None:
            undo.append((space, name, name in space, space.get(name)))
            space[name] = value

        find = Module.__getattribute__
        kinds = {type(m): None for m in tracer.root.modules()}
        calls = [(kind, vars(kind).get("__call__", OPS)) for kind in kinds]

        def called(module: Any, *args: Any, **kwargs: Any) -> Any:
            return tracer.call_module(
                module, lambda *a, **k: slow_call(module, *a, **k), args, kwargs
            )

        def found(module: Any, name: str) -> Any:
            value = find(module, name)
            return tracer._attribute(value) if isinstance(value, Tensor) else value

        for module, name, f in list(public_functions()):
            known[id(f)] = over = known.get(id(f)) or dispatching(f)
            put(vars(module), name, over)
        for space in extra:
            for name, f in list(space.items()):
                if id(f) in known and _function(f):
                    put(space, name, known[id(f)])
        for name, spaces in WRAPPED.items():
            for space in spaces:
                if name in space:
                    put(space, name, dispatching(space[name]))
        try:
            for kind, _ in calls:
                type.__setattr__(kind, "__call__", called)
            setattr(Module, "__getattribute__", found)
            yield
        finally:
            type.__delattr__(Module, "__getattribute__")
            for kind, call in calls:
                if call is OPS:
                    type.__delattr__(kind, "__call__")
                else:
                    type.__setattr__(kind, "__call__", call)
            for space, name, there, value in reversed(undo):
                if there:
                    space[name] = value
                else:
                    space.pop(name, None)


def wrap(fn_or_name: Any) -> Any:
    """Let calls of a function of this module become nodes: it is not followed into.

    At the top of a module: `torch.fx.wrap("name")`, or as a decorator.
    """
    import inspect

    name = fn_or_name if isinstance(fn_or_name, str) else fn_or_name.__name__
    frame = inspect.currentframe()
    if frame is not None and frame.f_back is not None:
        WRAPPED.setdefault(name, []).append(frame.f_back.f_globals)
    return fn_or_name


def _whole(m: Module) -> bool:
    """Whether a layer's `forward` is of the core, which is compiled and takes tensors only."""
    core = [kind for kind in type(m).__mro__ if kind.__module__ == "rushlight.nn.quick"]
    own = [vars(kind).get("forward") for kind in core if kind.__name__ != "SequentialCall"]
    return any(type(m).forward is f for f in own)


class Tracer:
    """Follows a `forward`; subclasses say which modules are leaves (`is_leaf_module`)."""

    def __init__(
        self, autowrap_modules: Any = (), autowrap_functions: Any = (), **more: Any
    ) -> None:
        self.graph = Graph()
        self.root: Any = None
        self._extra = [vars(m) for m in autowrap_modules]
        self._tensors: dict[int, str] = {}
        self._modules: dict[int, str] = {}
        self._kept: dict[int, Proxy] = {}
        self._inside = False

    def is_leaf_module(self, m: Module, module_qualified_name: str) -> bool:
        """Whether a call of a module is one node: those of `torch.nn`, but for `Sequential`."""
        return type(m).__module__.startswith(("rushlight.nn", "torch.nn")) and type(
            m
        ).__name__ not in ("Sequential", "ModuleList", "ModuleDict")

    def path_of_module(self, mod: Module) -> str:
        """The qualified name of a module in the root."""
        if id(mod) not in self._modules:
            raise NameError("module is not installed as a submodule")
        return self._modules[id(mod)]

    def call_module(
        self, m: Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """A call of a module: a node for a leaf, else what its `forward` does."""
        if id(m) not in self._modules or not self._inside:
            return forward(*args, **kwargs)
        path = self.path_of_module(m)
        if not (_whole(m) or self.is_leaf_module(m, path)):
            return forward(*args, **kwargs)
        return self.create_proxy("call_module", path, args, kwargs)

    def _attribute(self, value: Any) -> Any:
        if not self._inside or id(value) not in self._tensors:
            return value
        if id(value) not in self._kept:
            made = self.create_proxy("get_attr", self._tensors[id(value)], (), {})
            self._kept[id(value)] = made
        return self._kept[id(value)]

    def create_arg(self, a: Any) -> Any:
        """An argument as nodes have it: stand-ins by their nodes, parameters by their names."""
        if isinstance(a, Proxy):
            return a.node
        if isinstance(a, Node):
            return a
        if isinstance(a, Tensor):
            if id(a) in self._tensors:
                return self._attribute(a).node if self._inside else a
            return self._constant(a)
        if isinstance(a, tuple | list):
            parts = [self.create_arg(x) for x in a]
            return type(a)(*parts) if hasattr(a, "_fields") else type(a)(parts)
        if isinstance(a, dict):
            return {k: self.create_arg(v) for k, v in a.items()}
        if isinstance(a, slice):
            return slice(*(self.create_arg(x) for x in (a.start, a.stop, a.step)))
        return a

    def _constant(self, a: Tensor) -> Node:
        k = 0
        while hasattr(self.root, f"_tensor_constant{k}"):
            k += 1
        name = f"_tensor_constant{k}"
        setattr(self.root, name, a)
        self._tensors[id(a)] = name
        node: Node = self._attribute(a).node
        return node

    def create_node(
        self,
        kind: str,
        target: Any,
        args: Any,
        kwargs: Any,
        name: str | None = None,
        type_expr: Any = None,
    ) -> Node:
        """Add a node to the graph."""
        return self.graph.create_node(kind, target, args, kwargs, name, type_expr)

    def proxy(self, node: Node) -> Proxy:
        """The stand-in of a node."""
        return Proxy(node, self)

    def create_proxy(
        self,
        kind: str,
        target: Any,
        args: Any,
        kwargs: Any,
        name: str | None = None,
        type_expr: Any = None,
        **more: Any,
    ) -> Proxy:
        """A node of these arguments, and its stand-in."""
        made = self.create_node(
            kind, target, self.create_arg(args), self.create_arg(kwargs), name, type_expr
        )
        return self.proxy(made)

    def trace(self, root: Any, concrete_args: dict[str, Any] | None = None) -> Graph:
        """The graph of a module's `forward`, or of a function.

        Args:
            concrete_args: arguments that are given their values instead of stand-ins.
        """
        self.graph = Graph(tracer_cls=type(self))
        if isinstance(root, Module):
            self.root, run = root, type(root).forward
            self._modules = {id(m): n for n, m in root.named_modules()}
            self._tensors = {id(t): n for n, t in [*root.named_buffers(), *root.named_parameters()]}
            given: list[Any] = [root]
        else:
            self.root, run, given = Module(), root, []
        self._kept = {}
        import inspect

        plain = inspect.unwrap(run)
        parameters = list(inspect.signature(plain).parameters.values())[len(given) :]
        named: dict[str, Any] = {}
        for p in parameters:
            if concrete_args is not None and p.name in concrete_args:
                value: Any = concrete_args[p.name]
            else:
                stars = (
                    "*" if p.kind is p.VAR_POSITIONAL else "**" if p.kind is p.VAR_KEYWORD else ""
                )
                default = () if p.default is p.empty else (p.default,)
                value = self.create_proxy("placeholder", stars + p.name, default, {})
                if stars:
                    raise NotImplementedError(
                        f"torch.fx: {stars}{p.name}: functions with any number of arguments are "
                        "not followed; give the arguments names"
                    )
            if p.kind is p.KEYWORD_ONLY:
                named[p.name] = value
            else:
                given.append(value)
        spaces = [*self._extra, getattr(plain, "__globals__", {})]
        if isinstance(root, Module):
            followed = {type(m).forward for m in root.modules()}
            spaces += [g for f in followed if (g := getattr(f, "__globals__", None)) is not None]
        own = [s for s in spaces if not str(s.get("__name__", "")).startswith("rushlight")]
        with patched(self, list({id(s): s for s in own}.values())):
            self._inside = True
            try:
                out = run(*given, **named)
            finally:
                self._inside = False
        self.create_node("output", "output", (self._finished(out),), {})
        return self.graph

    def _finished(self, out: Any) -> Any:
        self._inside = True
        try:
            return self.create_arg(out)
        finally:
            self._inside = False
