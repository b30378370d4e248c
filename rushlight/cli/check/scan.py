"""Reads a program's syntax tree and says which names of PyTorch's it uses, and where.

Imports, aliases and attribute chains are followed through the program's scopes; where a name may be
something else nothing is said of it.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from rushlight.cli.check import known
from rushlight.cli.check.tensor_names import NAMES

Kind = Literal["module", "name", "keyword", "method", "perhaps"]


@dataclass(frozen=True)
class Finding:
    """A name that Rushlight lacks: where the program uses it, and how sure that is.

    `optional`: the program goes on without it (it is asked for inside `try`, or by `hasattr`).
    """

    line: int
    column: int
    name: str
    kind: Kind
    optional: bool = False
    nearest: tuple[str, ...] = ()


class _Other:
    """What a name means that is not PyTorch's."""


class _Tensor:
    """What a name means that is certainly a tensor."""


@dataclass(frozen=True)
class _Until:
    """What an imported name means up to the line that assigns something else to it."""

    dotted: str
    line: int


OTHER: Final = _Other()
TENSOR: Final = _Tensor()
Meaning = str | _Other | _Tensor | _Until  # a dotted name of PyTorch's, or one of the others
_HANDLERS: Final = frozenset(
    {"ImportError", "ModuleNotFoundError", "AttributeError", "Exception", "BaseException"}
)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass
class Result:
    """The findings of one program, and how many different names of PyTorch's it uses."""

    findings: list[Finding] = field(default_factory=list)
    names: set[str] = field(default_factory=set)


def scan(tree: ast.Module) -> Result:
    """What a program uses of PyTorch, and what of it is lacking."""
    reader = _Reader()
    reader.scopes.append(_bindings(tree.body, reader))
    for statement in tree.body:
        reader.visit(statement)
    reader.result.findings.sort(key=lambda f: (f.line, f.column, f.name))
    return reader.result


# ------------------------------------------------------------------------- scopes
def _statements(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Everything in a scope, without what stands in scopes inside it."""
    for node in body:
        yield node
        if not isinstance(node, _SCOPES):
            yield from _statements(ast.iter_child_nodes(node))


def _bindings(body: Iterable[ast.AST], reader: _Reader) -> dict[str, Meaning]:
    """What the names bound in a scope mean; a name with two meanings means nothing."""
    imported: dict[str, Meaning] = {}
    assigned: dict[str, list[ast.expr | None]] = {}
    for node in _statements(body):
        match node:
            case ast.Import():
                for a in node.names:
                    root = a.name.partition(".")[0]
                    name = a.asname or root
                    ours = root in known.ROOTS
                    imported[name] = (a.name if a.asname else root) if ours else OTHER
            case ast.ImportFrom(module=str(module), level=0):
                ours = module.partition(".")[0] in known.ROOTS
                for a in node.names:
                    imported[a.asname or a.name] = f"{module}.{a.name}" if ours else OTHER
            case ast.ImportFrom():
                imported.update((a.asname or a.name, OTHER) for a in node.names)
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                assigned.setdefault(name, []).append(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=value):
                assigned.setdefault(name, []).append(value)
            case ast.AugAssign(target=ast.Name(id=name)):
                pass  # a tensor stays one
            case ast.Name(id=name, ctx=ast.Store()) if not _simple(name, assigned, node):
                assigned.setdefault(name, []).append(None)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                assigned.setdefault(node.name, []).append(None)
            case ast.ExceptHandler(name=str(name)):
                assigned.setdefault(name, []).append(None)
    scope: dict[str, Meaning] = {}
    # imports first; None assigned to an imported name is a fallback for its lack
    scope.update(dict.fromkeys(assigned, OTHER))
    for name, meaning in imported.items():
        again = [line for line, value in _assignments(body, name) if not _is_none(value)]
        scope[name] = _Until(meaning, min(again)) if again and isinstance(meaning, str) else meaning
    reader.scopes.append(scope)
    for _ in range(2):  # twice: a name may be given one that is assigned further down
        for name, values in assigned.items():
            if name not in imported:
                scope[name] = _common([reader.meaning(v) if v else OTHER for v in values])
    reader.scopes.pop()
    return scope


def _assignments(body: Iterable[ast.AST], name: str) -> Iterator[tuple[int, ast.expr]]:
    """The lines of a scope that assign to a name, with what."""
    for node in _statements(body):
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                yield node.lineno, value


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _simple(name: str, assigned: dict[str, list[ast.expr | None]], node: ast.AST) -> bool:
    """Whether this binding is that of an assignment already noted."""
    return any(
        value is not None and getattr(value, "lineno", 0) == getattr(node, "lineno", -1)
        for value in assigned.get(name, ())
    )


def _common(meanings: list[Meaning]) -> Meaning:
    first = meanings[0]
    return first if all(m == first for m in meanings) else OTHER


# ------------------------------------------------------------------------- reading
class _Reader(ast.NodeVisitor):
    """Walks a program, scope by scope."""

    def __init__(self) -> None:
        self.scopes: list[dict[str, Meaning]] = []
        self.result = Result()
        self.guarded = 0
        self.given: set[str] = set()  # attributes that the program itself puts on objects

    # ---- meanings
    def meaning(self, node: ast.expr) -> Meaning:
        """What an expression is, as far as that is certain."""
        match node:
            case ast.Name(id=name):
                for scope in reversed(self.scopes):
                    if name in scope:
                        found = scope[name]
                        if isinstance(found, _Until):
                            return found.dotted if node.lineno <= found.line else OTHER
                        return found
                return OTHER
            case ast.Attribute(value=value, attr=attribute):
                of = self.meaning(value)
                if isinstance(of, str):
                    return f"{of}.{attribute}"
                if of is TENSOR and attribute in ("T", "data", "mT", "grad"):
                    return TENSOR
                return OTHER
            case ast.Call(func=function):
                return self._called(function)
            case ast.BinOp(left=left, right=right):
                return TENSOR if TENSOR in (self.meaning(left), self.meaning(right)) else OTHER
            case ast.UnaryOp(op=ast.USub() | ast.Invert(), operand=operand):
                return TENSOR if self.meaning(operand) is TENSOR else OTHER
            case ast.Subscript(value=value):
                return TENSOR if self.meaning(value) is TENSOR else OTHER
        return OTHER

    def _called(self, function: ast.expr) -> Meaning:
        """What a call gives."""
        of = self.meaning(function)
        if isinstance(of, str):
            found = known.look_up(of)
            return TENSOR if found.whole and known.gives_tensor(found.value) else OTHER
        if isinstance(function, ast.Attribute) and self.meaning(function.value) is TENSOR:
            method = getattr(known.tensor(), function.attr, None)
            return TENSOR if method is not None and known.gives_tensor(method) else OTHER
        return OTHER

    # ---- findings
    def _found(self, node: ast.AST, name: str, kind: Kind, nearest: tuple[str, ...] = ()) -> None:
        line, column = getattr(node, "lineno", 0), getattr(node, "col_offset", 0) + 1
        finding = Finding(line, column, name, kind, self.guarded > 0, nearest)
        if not any(f.line == line and f.name == name for f in self.result.findings):
            self.result.findings.append(finding)

    def _use(self, node: ast.AST, dotted: str, kind: Kind = "name") -> Any:
        """Note a use; what the name leads to, None where that is unknown."""
        found = known.look_up(dotted)
        self.result.names.add(dotted)
        if found.missing is not None:
            whole = kind if found.missing == dotted else "name"
            self._found(node, found.missing, whole, found.nearest)
        return found.value if found.whole else None

    # ---- statements
    def visit_Import(self, node: ast.Import) -> None:
        for a in node.names:
            if a.name.partition(".")[0] in known.ROOTS:
                self._use(node, a.name, "module")

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        if node.level or module.partition(".")[0] not in known.ROOTS:
            return
        if known.look_up(module).missing is not None:
            self._use(node, module, "module")
            return
        for a in node.names:
            if a.name != "*":
                self._use(node, f"{module}.{a.name}")

    def visit_Try(self, node: ast.Try) -> None:
        caught = {
            getattr(name, "id", "")
            for handler in node.handlers
            for name in (
                handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
            )
        }
        optional = bool(caught & _HANDLERS) or any(h.type is None for h in node.handlers)
        self.guarded += optional
        for statement in node.body:
            self.visit(statement)
        self.guarded -= optional
        for after in (*node.handlers, *node.orelse, *node.finalbody):
            self.visit(after)

    def visit_If(self, node: ast.If) -> None:
        """`if hasattr(torch, "x"):` makes what stands under it optional."""
        self.visit(node.test)
        optional = any(
            isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == "hasattr"
            for n in ast.walk(node.test)
        )
        self.guarded += optional
        for statement in node.body:
            self.visit(statement)
        self.guarded -= optional
        for statement in node.orelse:
            self.visit(statement)

    def _visit_function(self, node: _Function) -> None:
        arguments = node.args
        if not isinstance(node, ast.Lambda):
            for outside in (*node.decorator_list, *([node.returns] if node.returns else [])):
                self.visit(outside)
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        for default in (*arguments.defaults, *arguments.kw_defaults):
            if default is not None:
                self.visit(default)
        scope: dict[str, Meaning] = {}
        for argument in every:
            scope[argument.arg] = OTHER
            if argument.annotation is not None:
                self.visit(argument.annotation)
                if self.meaning(argument.annotation) == "torch.Tensor":
                    scope[argument.arg] = TENSOR
        for extra in (arguments.vararg, arguments.kwarg):
            if extra is not None:
                scope[extra.arg] = OTHER
        body: list[Any] = [node.body] if isinstance(node, ast.Lambda) else node.body
        inner = _bindings(body, self)
        # an argument that is assigned to may still be what was passed
        self.scopes.append(inner | {name: m for name, m in scope.items() if name not in inner})
        for name in scope.keys() & inner.keys():
            self.scopes[-1][name] = _common([scope[name], inner[name]])
        for statement in body:
            self.visit(statement)
        self.scopes.pop()

    visit_FunctionDef = _visit_function
    visit_AsyncFunctionDef = _visit_function
    visit_Lambda = _visit_function

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for outside in (*node.decorator_list, *node.bases, *node.keywords):
            self.visit(outside)
        # names of a class's body are not seen in its functions, but nothing is lost by that here
        self.scopes.append({})
        for statement in node.body:
            self.visit(statement)
        self.scopes.pop()

    # ---- expressions
    def visit_Name(self, node: ast.Name) -> None:
        meaning = self.meaning(node)
        if isinstance(meaning, str) and isinstance(node.ctx, ast.Load) and "." in meaning:
            self.result.names.add(meaning)  # its lack is told where it is imported

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.ctx, ast.Store):
            self.given.add(node.attr)
        meaning = self.meaning(node)
        if isinstance(meaning, str):
            imported = self._imported(node)
            if imported is None or known.look_up(imported).missing is None:
                self._use(node, meaning)
            return
        of = self.meaning(node.value)
        if isinstance(node.ctx, ast.Load) and not node.attr.startswith("__"):
            self._attribute(node, of)
        self.visit(node.value)

    def _imported(self, node: ast.expr) -> str | None:
        """The name that an attribute chain starts from."""
        while isinstance(node, ast.Attribute):
            node = node.value
        meaning = self.meaning(node)
        return meaning if isinstance(meaning, str) else None

    def _attribute(self, node: ast.Attribute, of: Meaning) -> None:
        if node.attr in self.given or known.has_attribute(node.attr):
            return
        if of is TENSOR:
            self._found(node, f"torch.Tensor.{node.attr}", "method")
        elif node.attr in NAMES and not self._is_own(node.value):
            self._found(node, f"torch.Tensor.{node.attr}", "perhaps")

    def _is_own(self, node: ast.expr) -> bool:
        """Whether it is `self`, or a module or builtin that is not PyTorch's."""
        while isinstance(node, ast.Attribute):
            node = node.value
        if not isinstance(node, ast.Name):
            return False
        bound = any(node.id in scope for scope in self.scopes)
        return node.id in ("self", "cls", "np", "numpy", "math") or (
            not bound and hasattr(builtins, node.id)
        )

    def visit_Call(self, node: ast.Call) -> None:
        self._by_text(node)
        of = self.meaning(node.func)
        value: Any = None
        name = ""
        if isinstance(of, str):
            found = known.look_up(of)
            value, name = (found.value if found.whole else None), of
        elif isinstance(node.func, ast.Attribute) and self.meaning(node.func.value) is TENSOR:
            value = getattr(known.tensor(), node.func.attr, None)
            name = f"torch.Tensor.{node.func.attr}"
        if value is not None:
            accepted = known.keywords(value)
            for keyword in node.keywords:
                if accepted is not None and keyword.arg and keyword.arg not in accepted:
                    self._found(keyword, f"{name}({keyword.arg}=)", "keyword")
        self.generic_visit(node)

    def _by_text(self, node: ast.Call) -> None:
        """`getattr(torch, "x")` and `importlib.import_module("torch.x")`."""
        match node:
            case ast.Call(
                func=ast.Name(id="getattr"), args=[of, ast.Constant(value=str(name)), *default]
            ):
                meaning = self.meaning(of)
                if isinstance(meaning, str):
                    self.guarded += bool(default)
                    self._use(node, f"{meaning}.{name}")
                    self.guarded -= bool(default)
            case ast.Call(
                func=ast.Name(id="import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name))],
            ) if name.partition(".")[0] in known.ROOTS:
                self._use(node, name, "module")
