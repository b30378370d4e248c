"""PyTorch's names for Rushlight's classes and functions, as pickles spell them.

`base.homes` has the table of the files in which PyTorch keeps what checkpoints name; what it does
not list goes by the path where PyTorch's programs find it.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from rushlight.base.homes import DEFINED, HOMES

# Where Rushlight has what PyTorch defines in those modules.
_PLACES: Final = ("nn.modules", "nn.parallel", "nn", "optim.lr_scheduler", "optim.swa_utils",
                  "optim", "utils.data")  # fmt: skip
# PyTorch's internal modules whose names are public elsewhere.
_INTERNAL: Final = {
    "torch._C": "torch",
    "torch._C._nn": "torch.nn.functional",
    "torch._C._VariableFunctions": "torch",
    "torch._tensor": "torch",
    "torch.tensor": "torch",
    "torch.functional": "torch",
}
_ROOT: Final = __name__.partition(".")[0]


def _module(path: str) -> Any:
    """A module of Rushlight's by its path below the package; None where there is none."""
    import importlib

    full = f"{_ROOT}.{path}" if path else _ROOT
    try:
        return sys.modules.get(full) or importlib.import_module(full)
    except ModuleNotFoundError as error:
        if error.name is not None and full.startswith(error.name):
            return None
        raise


def _get(module: Any, name: str) -> Any:
    for part in name.split("."):
        module = getattr(module, part, None)
        if module is None:
            return None
    return module


def ours(module: str) -> bool:
    """Does a module's name, as a class or function says it, belong to Rushlight?"""
    head = module.partition(".")[0]
    return head in (_ROOT, "torch", "torchvision")


def torch_name(obj: Any) -> tuple[str, str] | None:
    """The module and name by which PyTorch finds what a class or function of ours stands for.

    None for what is not ours, or has no name that can be looked up.
    """
    module, name = getattr(obj, "__module__", None), getattr(obj, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or not ours(module):
        return None
    home = HOMES.get(name)
    if home is not None and _at_home(home, name) is obj:
        return home, name
    root = sys.modules[_ROOT]
    if root.__dict__.get(name) is obj:
        return "torch", name
    if "." in name or "<" in name:
        return None
    functional = sys.modules.get(f"{_ROOT}.nn.functional")
    if functional is not None and functional.__dict__.get(name) is obj:
        return "torch.nn.functional", name
    for path, alias in ((f"{_ROOT}.vision", "torchvision"), (_ROOT, "torch")):
        if module == path or module.startswith(path + "."):
            return alias + module[len(path) :], name
    return module, name


def _at_home(home: str, name: str) -> Any:
    """What we have under a name that PyTorch defines in ``home``."""
    path = home.removeprefix("torch.")
    for place in _PLACES:
        if path == place or path.startswith(place + ".") or place == path.partition(".")[0]:
            module = sys.modules.get(f"{_ROOT}.{place}") or _module(place)
            found = getattr(module, name, None) if module is not None else None
            if isinstance(found, type):
                return found
    return None


def our_object(module: str, name: str) -> Any:
    """What a pickle means by a name of PyTorch's.

    Raises:
        AttributeError: Rushlight has nothing of that name.
    """
    home = DEFINED.get(module, "")
    if name in home.split():
        found = _at_home(module, name)
        if found is not None:
            return found
    module = _INTERNAL.get(module, module)
    if module == "torchvision" or module.startswith("torchvision."):
        path = "vision" + module.removeprefix("torchvision")
    else:
        path = module.removeprefix("torch").removeprefix(".")
    place = _module(path)
    found = None if place is None else _get(place, name)
    if found is None:
        raise AttributeError(
            f"the checkpoint names {module}.{name}, which is not in Rushlight yet; a state_dict "
            "of the same model can be loaded into a module of your own"
        )
    return found
