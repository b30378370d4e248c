"""The syntax tree of a function that ran, proved to be its own by compiling the file again."""

from __future__ import annotations

import ast
import linecache
from types import CodeType
from typing import Any, Final

from ..engine.noting import Refused

Function = ast.FunctionDef | ast.Lambda
_FILES: Final[dict[str, tuple[tuple[str, ...], ast.Module, list[CodeType]]]] = {}


def tree_of(code: CodeType, globals: dict[str, Any]) -> Function:
    """The function's definition; `Refused` when its source cannot be had, or is not what runs."""
    where = f"{code.co_name} ({code.co_filename}:{code.co_firstlineno})"
    lines = tuple(linecache.getlines(code.co_filename, globals))
    if not lines:
        raise Refused(f"the source of {where} cannot be read")
    known = _FILES.get(code.co_filename)
    if known is None or known[0] != lines:
        try:
            text = "".join(lines)
            tree = ast.parse(text)
            whole = compile(text, code.co_filename, "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            raise Refused(f"the source of {where} cannot be read") from None
        known = (lines, tree, list(inside(whole)))
        _FILES[code.co_filename] = known
    if not any(same(other, code) for other in known[2]):
        raise Refused(f"the source of {where} is not what runs")
    found = [
        node
        for node in ast.walk(known[1])
        if isinstance(node, ast.FunctionDef | ast.Lambda)
        and getattr(node, "name", "<lambda>") == code.co_name
        and first_line(node) == code.co_firstlineno
    ]
    if len(found) != 1:
        raise Refused(f"{where} is not the only function of its name in its line")
    return found[0]


def first_line(node: Function) -> int:
    """The line Python gives a function's code: of its first decorator, if it has one."""
    decorators = getattr(node, "decorator_list", [])
    return int(decorators[0].lineno if decorators else node.lineno)


def inside(code: CodeType) -> list[CodeType]:
    """A code object and all that are defined in it."""
    out = [code]
    for value in code.co_consts:
        if isinstance(value, CodeType):
            out += inside(value)
    return out


def same(a: CodeType, b: CodeType) -> bool:
    """Do two code objects do the same?"""
    if a == b:
        return True
    # Test runners rewrite other parts of a module: then positions may differ, nothing else.
    return (
        a.co_name == b.co_name
        and a.co_firstlineno == b.co_firstlineno
        and a.co_code == b.co_code
        and a.co_names == b.co_names
        and a.co_varnames == b.co_varnames
        and a.co_freevars == b.co_freevars
        and a.co_cellvars == b.co_cellvars
        and len(a.co_consts) == len(b.co_consts)
        and all(
            same(x, y) if isinstance(x, CodeType) and isinstance(y, CodeType) else alike(x, y)
            for x, y in zip(a.co_consts, b.co_consts)
        )
    )


def alike(a: Any, b: Any) -> bool:
    """Are two constants the same?"""
    return type(a) is type(b) and repr(a) == repr(b)
