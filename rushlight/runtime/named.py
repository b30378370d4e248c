"""Kernels by name: texts that depend on nothing but a name, this machine and the package.

To find code on disk takes the digest of its text, and to write the text takes the generators: a
process whose kernels are all on disk would load them for that alone.  So what a name stood for is
kept on disk beside the code.  A note holds for one state of the package's files, seen by their
sizes and times; where these cannot be seen, or files changed after the process began, there are no
notes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from rushlight.base.lazy import LOADING
from rushlight.base.target import Target, host
from rushlight.runtime import disk_cache, jit

FOLDERS: Final = ("base", "codegen", "engine", "graph", "graph/ops", "random", "runtime")

_STATE: Final[dict[str, str]] = {}  # of the package's files, once it was asked for
_KNOWN: Final[dict[str, jit.Library]] = {}


def compile_named(name: str, source: Callable[[], str]) -> jit.Library:
    """`compile_text` of ``source()``, which is asked for only where no note says what it was.

    ``name`` says all that the text depends on but this machine and the package.
    """
    with LOADING:
        library = recalled(name)
        if library is None:
            library = jit.compile_text(source(), name_hint=name)
            noted(name, library)
    return library


def recalled(name: str) -> jit.Library | None:
    """The library of a name, if it is in memory or on disk; None where that is not known."""
    library = _KNOWN.get(name)
    if library is None:
        digests = fact(f"kernel {name}")
        if digests is None:
            return None
        library = jit.find(digests.split(), name)
        if library is not None:
            _KNOWN[name] = library
    return library


def noted(name: str, library: jit.Library) -> None:
    """Remember what a name stands for."""
    _KNOWN[name] = library
    note(f"kernel {name}", " ".join(library.digests))


def fact(name: str) -> str | None:
    """What was noted under a name for this machine and this state of the package."""
    with LOADING:  # what is loaded late is loaded under it: no fork comes between
        key = _key(name)
        found = disk_cache.load(key) if key else None
    return None if found is None else found.decode()


def note(name: str, text: str) -> None:
    """Note it for later processes."""
    with LOADING:
        key = _key(name)
        if key:
            disk_cache.store(key, text.encode())


def _key(name: str) -> str:
    state = _STATE.get("state")
    if state is None:
        state = _STATE["state"] = _state(host())
    return _digest(f"{state}\n{name}") if state else ""


def _state(target: Target) -> str:
    """A digest of all that texts are made by; nothing where it cannot be told."""
    if disk_cache.directory() is None:
        return ""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    seen: list[str] = []
    try:
        for folder in FOLDERS:
            with os.scandir(os.path.join(package, *folder.split("/"))) as entries:
                for entry in entries:
                    if entry.name.endswith((".py", ".so", ".pyd")):
                        s = entry.stat()
                        if max(s.st_mtime, s.st_ctime) >= jit.STARTED:
                            return ""
                        seen.append(f"{folder}/{entry.name} {s.st_size} {s.st_mtime_ns}")
    except OSError:
        return ""
    if not any(name.startswith("codegen/text.py ") for name in seen):
        return ""
    seen.sort()
    recipe = "\n".join([package, jit.recipe(target), repr(target), *seen])
    return _digest(recipe)


def _digest(text: str) -> str:
    return str(disk_cache.sha256(text.encode()).hexdigest())
