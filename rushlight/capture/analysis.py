"""What a step's Python rests on and what it leaves behind, read from its source.

Every value a function uses comes from an argument, a name, an attribute of something named, or was
made on the way.  Names and attributes become guards.  A store that outlives the call, and a value
that may change without any guard noticing, are refused with their line.  The sets that expressions
have here are the named objects their values may be (or be parts of); what was made on the way is in
none.
"""

from __future__ import annotations

import ast
import builtins
from types import FunctionType, MethodType, ModuleType
from typing import Any, Final

from ..base.device import device
from ..base.dtype import dtype
from ..engine import Tensor
from ..engine.noting import Refused
from ..nn.module import Module
from ..optim.optimizer import Optimizer
from .objects import (
    FUNCTIONS,
    Guards,
    Known,
    expanded,
    is_error,
    our_class,
    ours,
    raw_attribute,
    user_class,
    user_function,
    written_here,
)  # fmt: skip
from .source import tree_of
from .trace import PURE, PURE_TYPES, USER, Trace, Used, allowed, function_of, kind_of

IMMUTABLE: Final = (
    bool, int, float, complex, str, bytes, type(None), range, slice, type(...), dtype, device,
    type(NotImplemented), ast.AST,
)  # fmt: skip
MANY: Final = 200  # things in a list that are looked at one by one in every replay
READING: Final = frozenset({"get", "items", "values", "keys", "index", "count", "copy"})
STEPPING: Final = frozenset({"zero_grad", "step"})
# Attributes of tensors that tell where memory lies or what it holds.
UNGUARDED: Final = frozenset(
    {
        "data_ptr", "storage_offset", "_version", "storage", "untyped_storage", "numpy", "tolist",
        "__array__", "register_hook", "register_post_accumulate_grad_hook", "retain_grad",
        "share_memory_", "set_", "_backward_hooks", "grad_fn",
    }
)  # fmt: skip


class Analysis(ast.NodeVisitor):
    """One function."""

    def __init__(
        self, used: Used, guards: Guards, roots: list[Any], arguments: dict[int, Any]
    ) -> None:
        self.arguments = arguments  # of the step, with what they hold: guarded by themselves
        self.used = used
        self.guards = guards
        self.code = used.code
        self.tree = tree_of(used.code, used.globals)
        self.returns: list[ast.Return] = []
        self.env: dict[str, Known] = {}
        self.changed = False
        for f in self.own_functions(roots):
            for name, cell in zip(f.__code__.co_freevars, f.__closure__ or ()):
                if name in used.free:
                    guards.cells[id(cell)] = (cell, used.free[name])

    def own_functions(self, roots: list[Any]) -> list[FunctionType]:
        """The function objects that this may be: their cells are guarded."""
        if not self.code.co_freevars:
            return []
        found = function_of(self.code, self.used.free, roots)
        if not found:
            raise Refused(f"the names around {self.code.co_name} cannot be found")
        return found

    def run(self) -> None:
        """Visit the body until the sets no longer grow."""
        for name, values in self.used.given.items():
            known: Known = {}
            for v in values:
                known.update(self.admit(v, self.tree, not self.used.root))
            self.env[name] = known
        body = self.tree.body if isinstance(self.tree, ast.FunctionDef) else [self.tree.body]
        for _ in range(20):
            self.changed = False
            self.returns = []
            for node in body:
                if isinstance(node, ast.expr):
                    self.value(node)
                else:
                    self.visit(node)
            if not self.changed:
                return
        raise Refused(f"{self.code.co_name} is too tangled to follow")

    def refuse(self, node: ast.AST, why: str) -> Refused:
        """The reason with its line."""
        line = getattr(node, "lineno", self.code.co_firstlineno)
        return Refused(f"{why} ({self.code.co_filename}:{line})")

    # ------------------------------------------------------------ objects
    def admit(self, v: Any, node: ast.AST, watch: bool = True) -> Known:
        """The set of one named object; what it holds is guarded if ``watch``."""
        if isinstance(v, IMMUTABLE):
            return {}
        if isinstance(v, Tensor):
            if id(v) not in self.arguments:
                self.guards.tensors[id(v)] = v
            return {id(v): v}
        if isinstance(v, Module):
            self.module(v)
            return {id(v): v}
        if isinstance(v, Optimizer):
            self.guards.optimizers[id(v)] = v
            return {id(v): v}
        if isinstance(v, tuple | frozenset):
            out: Known = {}
            for w in v:
                out.update(self.admit(w, node, watch))
            return out
        if type(v) in (list, dict):
            items = [w for pair in v.items() for w in pair] if isinstance(v, dict) else list(v)
            if watch and id(v) not in self.arguments:
                if len(items) > MANY:
                    raise self.refuse(node, f"uses a {type(v).__name__} of {len(v)} things")
                self.guards.contents[id(v)] = (v, items)
            out = {id(v): v}
            for w in items:
                out.update(self.admit(w, node, watch))
            return out
        if isinstance(v, MethodType):
            return {id(v): v, **self.admit(v.__self__, node, watch)}
        return {id(v): v}

    def module(self, m: Module) -> None:
        """A module of the step, with its parts; the user's classes may be patched."""
        for part in m.modules():
            if id(part) in self.guards.modules:
                continue
            self.guards.modules[id(part)] = part
            cls = type(part)
            if user_class(cls):
                for name in ("forward", "__call__"):
                    self.guards.attributes[(id(cls), name)] = (cls, name, getattr(cls, name))

    def attribute(self, v: Any, name: str, node: ast.AST) -> Known:
        """What ``v.name`` may be; nothing when ``v`` has no such attribute."""
        if name.startswith("__") and name != "__class__":
            raise self.refuse(node, f"uses {name}")
        if isinstance(v, Tensor):
            if name in UNGUARDED or name in getattr(v, "__dict__", ()):
                raise self.refuse(node, f"uses .{name} of a tensor")
            return {}
        if isinstance(v, Optimizer):
            if name not in STEPPING:
                raise self.refuse(node, f"uses .{name} of an optimiser")
            return {}
        if isinstance(v, ModuleType):
            return self.in_module(v, name, node)
        if isinstance(v, type):
            return self.of_class(v, v, name, node)
        if type(v) in (list, dict):
            if name not in READING:
                raise self.refuse(node, f"changes a {type(v).__name__} that outlives it")
            return self.admit(v, node)
        if isinstance(v, FUNCTIONS):
            raise self.refuse(node, f"uses .{name} of a function")
        return self.of_object(v, name, node)

    def of_object(self, v: Any, name: str, node: ast.AST) -> Known:
        """An attribute of a module of layers, or of any ordinary object."""
        cls: Any = type(v)
        computed: Any = object.__getattribute__
        special = Module if isinstance(v, Module) else object
        if cls.__getattribute__ is not computed or (
            getattr(cls, "__getattr__", None) is not getattr(special, "__getattr__", None)
        ):
            raise self.refuse(node, f"uses .{name} of a {cls.__name__}, which computes attributes")
        raw = raw_attribute(cls, name)
        own = getattr(v, "__dict__", None)
        if own is not None and name in own and not hasattr(type(raw), "__set__"):
            value = own[name]
            if not isinstance(v, Module):  # modules count their changes
                self.guards.names[(id(own), name)] = (own, name, value)
            return self.admit(value, node)
        if raw is None:
            if isinstance(v, Module):
                return {}
            if own is None or hasattr(cls, "__slots__"):
                raise self.refuse(node, f"uses .{name} of a {cls.__name__}")
            return {}
        return self.of_class(cls, v, name, node)

    def of_class(self, cls: type, v: Any, name: str, node: ast.AST) -> Known:
        """What a class has under a name."""
        raw = raw_attribute(cls, name)
        if isinstance(raw, property):
            return {}  # its function runs, and is seen
        if raw is None or not user_class(cls):
            return {}
        if isinstance(raw, FunctionType | staticmethod | classmethod):
            held = getattr(cls, name)
            if isinstance(raw, FunctionType):
                self.guards.attributes[(id(cls), name)] = (cls, name, held)
            return {}
        if hasattr(type(raw), "__get__"):
            if getattr(cls, name, None) is raw or isinstance(raw, FUNCTIONS):
                return {}
            raise self.refuse(node, f"uses .{name} of a {cls.__name__}, which is computed")
        self.guards.attributes[(id(cls), name)] = (cls, name, raw)
        return self.admit(raw, node)

    def in_module(self, v: ModuleType, name: str, node: ast.AST) -> Known:
        """A name of an imported module: ours, `math`, or the user's own."""
        ours = v.__name__.split(".")[0] == "rushlight"
        filename = getattr(v, "__file__", None)
        if not (
            ours or v.__name__ == "math" or (filename is not None and kind_of(filename)[0] == USER)
        ):
            raise self.refuse(node, f"uses the module {v.__name__}")
        value = getattr(v, name, None)
        space = vars(v)
        if name in space:
            self.guards.names[(id(space), name)] = (space, name, value)
        return self.admit(value, node)

    # ------------------------------------------------------------ names
    def load(self, name: str, node: ast.AST) -> Known:
        """What a name may stand for."""
        if name in self.env:
            return self.env[name]
        code = self.code
        if name in code.co_freevars:
            if name not in self.used.free:
                raise self.refuse(node, f"uses {name}, which has no value yet")
            return self.admit(self.used.free[name], node)
        if name in code.co_varnames or name in code.co_cellvars:
            return {}
        space = self.used.globals
        if name in space:
            self.guards.names[(id(space), name)] = (space, name, space[name])
            return self.admit(space[name], node)
        value = getattr(builtins, name, None)
        if value is None:
            return {}  # a name of a comprehension, or none: then the run fails by itself
        if not (value in PURE or value in PURE_TYPES or is_error(value)):
            raise self.refuse(node, f"uses {name}")
        self.guards.names[(id(space), name)] = (space, name, None)
        own = vars(builtins)
        self.guards.names[(id(own), name)] = (own, name, value)
        return {id(value): value}

    def bind(self, target: ast.expr, known: Known) -> None:
        """An assignment."""
        if isinstance(target, ast.Name):
            if target.id in self.code.co_freevars or (
                target.id not in self.code.co_varnames
                and target.id not in self.code.co_cellvars
                and target.id not in self.scoped
            ):
                raise self.refuse(target, f"sets {target.id}, which outlives it")
            have = self.env.setdefault(target.id, {})
            for k, v in known.items():
                if k not in have:
                    have[k] = v
                    self.changed = True
        elif isinstance(target, ast.Tuple | ast.List):
            for t in target.elts:
                self.bind(t, known)
        elif isinstance(target, ast.Starred):
            self.bind(target.value, known)
        elif isinstance(target, ast.Subscript):
            self.fresh(self.base(target.value), target)
            self.value(target.slice)
        elif isinstance(target, ast.Attribute) and target.attr == "grad":
            self.value(target.value)
        else:
            raise self.refuse(target, f"sets {ast.unparse(target)}")

    scoped: frozenset[str] = frozenset()

    def fresh(self, known: Known, node: ast.AST) -> None:
        """Only what was made on the way, and tensors, may be written into."""
        for v in known.values():
            if not isinstance(v, Tensor):
                raise self.refuse(node, f"changes a {type(v).__name__} that outlives it")

    # ------------------------------------------------------------ expressions
    def value(self, node: ast.expr) -> Known:
        """The set of an expression that is used as a value."""
        known = self.base(node)
        for v in known.values():
            if not self.passes(v):
                raise self.refuse(node, f"uses a {type(v).__name__} that may change unnoticed")
        return known

    def passes(self, v: Any) -> bool:
        """May it be handed on?"""
        return isinstance(v, (Tensor, Module, Optimizer, type, *FUNCTIONS)) or type(v) in (
            list,
            dict,
        )

    def base(self, node: ast.expr) -> Known:
        """The set of an expression."""
        if isinstance(node, ast.Name):
            return self.load(node.id, node)
        if isinstance(node, ast.Attribute):
            out: Known = {}
            for v in list(self.base(node.value).values()):
                out.update(self.attribute(v, node.attr, node))
            if node.attr in UNGUARDED:
                raise self.refuse(node, f"uses .{node.attr}")
            return out
        if isinstance(node, ast.Call):
            return self.call(node)
        if isinstance(node, ast.NamedExpr):
            known = self.base(node.value)
            self.bind(node.target, known)
            return known
        if isinstance(node, ast.Subscript):
            known = self.elements(expanded(self.base(node.value)), node)
            self.value(node.slice)
            for v in known.values():
                if not self.passes(v):
                    raise self.refuse(node, f"indexes a {type(v).__name__}")
            return known
        if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
            return self.comprehension(node)
        if isinstance(node, ast.Lambda | ast.Yield | ast.YieldFrom | ast.Await):
            raise self.refuse(node, "makes a function or a generator")
        out = {}
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                out.update(self.value(child))
        return out

    def comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp
    ) -> Known:
        """A comprehension: its names are its own."""
        before = self.scoped
        names: set[str] = set()
        for part in node.generators:
            names |= {n.id for n in ast.walk(part.target) if isinstance(n, ast.Name)}
        self.scoped = before | names
        for part in node.generators:
            self.bind(part.target, self.iterated(part.iter))
            for test in part.ifs:
                self.value(test)
        if isinstance(node, ast.DictComp):
            out = {**self.value(node.key), **self.value(node.value)}
        else:
            out = self.value(node.elt)
        self.scoped = before
        return out

    def iterated(self, node: ast.expr) -> Known:
        """What going through an expression gives."""
        return self.elements(expanded(self.value(node)), node)

    def elements(self, known: Known, node: ast.AST) -> Known:
        """A set with what its lists and dictionaries hold in place of themselves."""
        out: Known = {}
        for k, v in known.items():
            if isinstance(v, dict):
                for w in (*v.keys(), *v.values()):
                    out.update(self.admit(w, node))
            elif isinstance(v, list):
                for w in v:
                    out.update(self.admit(w, node))
            else:
                out[k] = v
        return out

    def call(self, node: ast.Call) -> Known:
        """A call: its result may be, or hold, what it was given."""
        f = node.func
        receivers: Known = {}
        if isinstance(f, ast.Attribute):
            receivers = self.base(f.value)
        callees = self.base(f)
        arguments: Known = {}
        for a in [*node.args, *[k.value for k in node.keywords]]:
            arguments.update(self.value(a))
        own = False
        for c in callees.values():
            if isinstance(c, FunctionType | MethodType):
                own = own or user_function(c)
            elif isinstance(c, type):
                if not (c in PURE_TYPES or is_error(c) or our_class(c) or written_here(c)):
                    raise self.refuse(node, f"calls {c.__name__}")
            elif isinstance(c, FUNCTIONS):
                if not allowed(c):
                    raise self.refuse(node, f"calls {getattr(c, '__qualname__', c)}")
            elif isinstance(c, (list, dict, Tensor, Module, Optimizer)):
                pass
            elif not isinstance(raw_attribute(type(c), "__call__"), FunctionType):
                raise self.refuse(node, f"calls a {type(c).__name__}")
        for v in receivers.values():
            own = own or (
                not isinstance(v, Module | Tensor | Optimizer | ModuleType)
                and type(v) not in (list, dict)
            )
        if own and any(type(v) in (list, dict) for v in arguments.values()):
            raise self.refuse(node, "hands a list or dictionary that outlives it to a function")
        if own:
            return {}  # what functions of the user's return is looked at when they run
        kept = {k: v for k, v in receivers.items() if self.passes(v) and not isinstance(v, type)}
        out = expanded({**kept, **arguments})
        if callees and all(c in PURE_TYPES or ours(c) for c in callees.values()):
            return self.elements(out, node)
        return out

    # ------------------------------------------------------------ statements
    def visit_Expr(self, node: ast.Expr) -> None:
        self.value(node.value)

    def visit_Return(self, node: ast.Return) -> None:
        self.returns.append(node)
        if node.value is not None:
            self.value(node.value)

    def visit_Assign(self, node: ast.Assign) -> None:
        known = self.base(node.value)
        for target in node.targets:
            self.bind(target, known)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.bind(node.target, self.base(node.value))

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        known = self.value(node.value)
        target = node.target
        if isinstance(target, ast.Name):
            self.fresh(self.load(target.id, target), target)
            self.bind(target, known)
        elif isinstance(target, ast.Subscript):
            self.bind(target, known)
        else:
            raise self.refuse(target, f"sets {ast.unparse(target)}")

    def visit_For(self, node: ast.For) -> None:
        self.bind(node.target, self.iterated(node.iter))
        self.block(node.body + node.orelse)

    def visit_While(self, node: ast.While) -> None:
        self.value(node.test)
        self.block(node.body + node.orelse)

    def visit_If(self, node: ast.If) -> None:
        self.value(node.test)
        self.block(node.body + node.orelse)

    def visit_With(self, node: ast.With) -> None:
        for item in node.items:
            known = self.value(item.context_expr)
            for v in known.values():
                if not isinstance(v, Tensor | Module | type | FunctionType):
                    raise self.refuse(node, f"enters a {type(v).__name__}")
            if item.optional_vars is not None:
                self.bind(item.optional_vars, known)
        self.block(node.body)

    def visit_Try(self, node: ast.Try) -> None:
        self.block(node.body + node.orelse + node.finalbody)
        for handler in node.handlers:
            if handler.type is not None:
                self.value(handler.type)
            if handler.name is not None:
                self.env.setdefault(handler.name, {})
            self.block(handler.body)

    def visit_Assert(self, node: ast.Assert) -> None:
        self.value(node.test)
        if node.msg is not None:
            self.value(node.msg)

    def visit_Raise(self, node: ast.Raise) -> None:
        for part in (node.exc, node.cause):
            if part is not None:
                self.value(part)

    def visit_Delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if not (isinstance(target, ast.Name) and target.id in self.code.co_varnames):
                raise self.refuse(node, f"deletes {ast.unparse(target)}")

    def visit_Pass(self, node: ast.Pass) -> None:
        pass

    def visit_Break(self, node: ast.Break) -> None:
        pass

    def visit_Continue(self, node: ast.Continue) -> None:
        pass

    def generic_visit(self, node: ast.AST) -> None:
        words = {
            ast.FunctionDef: "makes a function",
            ast.ClassDef: "makes a class",
            ast.Global: "sets global names",
            ast.Nonlocal: "sets names of the function around it",
            ast.Import: "imports a module",
            ast.ImportFrom: "imports a module",
        }
        raise self.refuse(node, words.get(type(node), f"uses {type(node).__name__.lower()}"))

    def block(self, nodes: list[ast.stmt]) -> None:
        """Statements in order."""
        for node in nodes:
            self.visit(node)


def analyse(
    trace: Trace, roots: list[Any], arguments: dict[int, Any]
) -> tuple[Guards, Analysis | None]:
    """Everything that ran: the guards, and the outermost function of the user's."""
    guards = Guards()
    outer: Analysis | None = None
    for used in trace.used.values():
        a = Analysis(used, guards, roots, arguments)
        a.run()
        if used.root and outer is None:
            outer = a
    for owner in trace.steps:
        guards.optimizers[id(owner)] = owner
    return guards, outer
