"""The names `torch` and `torchvision` for Rushlight's own modules.

`torch.nn` is the module object `rushlight.nn`, not a copy, so classes are the same under both
names.  A finder in front of all others answers `import torch.X` with `rushlight.X`; what Rushlight
lacks raises at the line that asks for it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

from rushlight.base import homes
from rushlight.base.versions import TorchVersion

ALIASES: Final = {"torch": "rushlight", "torchvision": "rushlight.vision"}
#: What `__version__` says, for programs that compare it: the releases whose names we follow.
VERSIONS: Final = {"torch": "2.13.0+rushlight", "torchvision": "0.28.0+rushlight"}
#: Packages of PyTorch's family that are not here: they are built on PyTorch's own library.
OTHERS: Final = {
    "torchtext": "not part of Rushlight (nor of PyTorch any more: its development has ended)",
    "torchaudio": "not part of Rushlight",
    "torchdata": "not part of Rushlight",
}
#: Packages whose module paths are PyTorch's, so that pickled names may say them.
_PUBLIC: Final = frozenset(
    {
        *("autograd", "cuda", "distributed", "distributions", "fft", "func", "jit", "linalg"),
        *("serialization", "storage", "profiler"),
        *(
            "amp",
            "masked",
            "multiprocessing",
            "nn",
            "optim",
            "random",
            "signal",
            "special",
            "utils",
        ),
    }
)


def home_of(name: str) -> str | None:
    """`rushlight.nn` for `torch.nn`; None for a name that is not an alias."""
    head, dot, rest = name.partition(".")
    home = ALIASES.get(head)
    return None if home is None else home + dot + rest


def alias_of(name: str) -> str | None:
    """`torch.nn` for `rushlight.nn`, `torchvision.ops` for `rushlight.vision.ops`; else None."""
    for alias, home in (("torchvision", "rushlight.vision"), ("torch", "rushlight")):
        if name == home or name.startswith(home + "."):
            return alias + name[len(home) :]
    return None


def install(name: str) -> None:
    """Make `name` ("torch" or "torchvision") the Rushlight module of that role."""
    if not any(isinstance(finder, AliasFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, AliasFinder())
    try:
        module = importlib.import_module(ALIASES[name])
    except ModuleNotFoundError as error:
        if error.name != ALIASES[name]:
            raise
        raise ModuleNotFoundError(f"{name} is not in Rushlight yet", name=name) from None
    for loaded in [m for n, m in sys.modules.items() if n.startswith("rushlight")]:
        _dress(loaded)
    module.__dict__["__version__"] = TorchVersion(VERSIONS[name])
    sys.modules[name] = module


class AliasFinder:
    """Finds `torch.X` as `rushlight.X`, and dresses what is loaded as `rushlight.X` itself."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.startswith("rushlight."):
            return _dressed_spec(fullname, path, target)
        if fullname in OTHERS:
            raise ModuleNotFoundError(f"{fullname}: {OTHERS[fullname]}", name=fullname)
        home = home_of(fullname)
        if home is None or fullname in ALIASES:
            return None
        spec = None if _taken(home) else find_spec(home)
        if spec is None:
            raise ModuleNotFoundError(_missing_module(fullname, home), name=fullname)
        package = spec.submodule_search_locations is not None
        loader: Any = _AliasLoader(home)  # importlib.abc, its formal base, is slow to import
        return ModuleSpec(fullname, loader, origin=spec.origin, is_package=package)


def _dressed_spec(
    name: str, path: Sequence[str] | None, target: ModuleType | None
) -> ModuleSpec | None:
    """A module of Rushlight's as Python finds it, dressed when it has been loaded."""
    spec = PathFinder.find_spec(name, path, target)
    loader: Any = None if spec is None else spec.loader
    if loader is None:
        return spec
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        execute(module)
        _dress(module)

    loader.exec_module = exec_module
    return spec


class _AliasLoader:
    """Gives the module under its own name, and leaves its `__spec__` as it was."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self._home)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # importlib has put the alias's there
        _dress(module)

    def get_code(self, fullname: str) -> CodeType | None:
        """The code, for `rushlight run -m torch.X`."""
        spec = find_spec(self._home)
        get_code: Callable[[str], CodeType | None] | None = getattr(
            spec and spec.loader, "get_code", None
        )
        return get_code(self._home) if get_code else None


def _taken(home: str) -> bool:
    """Whether the public name is something else, such as the function `torch.tensor`.

    Importing the module of that name would put it in the function's place.
    """
    parent, _, child = home.rpartition(".")
    value = getattr(sys.modules.get(parent), "__dict__", {}).get(child)
    return value is not None and not isinstance(value, ModuleType)


# ------------------------------------------------------------------- what is missing


def _missing_module(fullname: str, home: str) -> str:
    parent, _, child = home.rpartition(".")
    package = sys.modules.get(parent)
    nearest = "" if package is None else _nearest(child, _submodules(package), fullname)
    return f"No module named {fullname!r}: it is not in Rushlight yet{nearest}"


def _submodules(package: ModuleType) -> list[str]:
    files = [f for folder in getattr(package, "__path__", []) for f in Path(folder).iterdir()]
    names = {f.stem for f in files if f.suffix == ".py" or (f.is_dir() and not f.suffix)}
    return sorted(name for name in names if not name.startswith("_"))


def _nearest(name: str, names: Sequence[str], fullname: str) -> str:
    import difflib

    close = difflib.get_close_matches(name, names, n=3)
    if not close:
        return ""
    prefix = fullname.rpartition(".")[0]
    return "; nearest: " + ", ".join(f"{prefix}.{n}" for n in close)


def _missing_name(module: ModuleType, alias: str) -> Callable[[str], Any]:
    def __getattr__(name: str) -> Any:
        text = f"module {alias!r} has no attribute {name!r}"
        if not name.startswith("__"):
            public = [n for n in vars(module) if not n.startswith("_")]
            text += f": {alias}.{name} is not in Rushlight yet"
            text += _nearest(name, public, f"{alias}.{name}")
        raise AttributeError(text, name=name, obj=module)

    return __getattr__


# ------------------------------------------------------------------------- dressing


def _dress(module: ModuleType) -> None:
    """Let a module's missing names and its classes speak of `torch`."""
    alias = alias_of(module.__name__)
    if alias is None or module.__name__.startswith("rushlight.cli"):
        return
    module.__dict__.setdefault("__getattr__", _missing_name(module, alias))
    # An import of the alias later on finds it, and leaves a function of the same name in its place.
    if alias.count(".") > 1:
        sys.modules.setdefault(alias, module)
    gathered = homes.GATHERED.get(alias)
    for name, value in list(vars(module).items()):
        if isinstance(value, type | FunctionType) and not name.startswith("_"):
            _rename(name, value, alias if gathered else "", gathered or "")


def _rename(name: str, value: type | FunctionType, place: str, below: str) -> None:
    """Give a public class or function the module name that PyTorch's has, as far as it is ours.

    Args:
        place: the alias of the module that it was found in, where that has as its own what is
            defined ``below`` a path; else empty.
    """
    home = value.__module__
    if not isinstance(home, str):
        return
    alias = home if home.startswith("torch") else alias_of(home)
    if alias is None or alias == "torch":
        return
    if getattr(sys.modules["rushlight"], "__dict__", {}).get(name) is value:
        alias = "torch"
    else:
        moved = homes.home_of(alias, value.__qualname__) if isinstance(value, type) else alias
        if moved == alias and place and alias.startswith(below):
            moved = place
        alias = moved
        if not alias.startswith("torchvision") and alias.split(".")[1] not in _PUBLIC:
            return  # a private place: its path means nothing under the name torch
    if alias == home:
        return
    try:
        value.__module__ = alias
    except (AttributeError, TypeError):
        pass  # a compiled class keeps its name
