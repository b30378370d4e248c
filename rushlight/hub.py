"""`torch.hub`: models of a folder on this machine; downloads of repositories are refused.

A repository's code is a program for PyTorch that would be fetched and run unseen, with weights for
it: fetch it yourself and give its folder, `torch.hub.load(folder, name, source="local")`.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

__all__ = [
    "download_url_to_file",
    "get_dir",
    "help",
    "list",
    "load",
    "load_state_dict_from_url",
    "set_dir",
]

_chosen: dict[str, str] = {}


def get_dir() -> str:
    """Where PyTorch keeps what it downloads: $TORCH_HOME/hub, or in the user's cache."""
    if "dir" in _chosen:
        return _chosen["dir"]
    cache = os.environ.get("XDG_CACHE_HOME", os.path.join("~", ".cache"))
    home = os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))
    return os.path.join(os.path.expanduser(home), "hub")


def set_dir(d: str | os.PathLike[str]) -> None:
    """Another folder for `get_dir`."""
    _chosen["dir"] = os.path.expanduser(os.fspath(d))


def load(repo_or_dir: str, model: str, *args: Any, source: str = "github", **kwargs: Any) -> Any:
    """What the entry point `model` of a folder's `hubconf.py` gives.

    Raises:
        RuntimeError: for a repository that would have to be downloaded, or an unknown entry.
    """
    kwargs = {k: v for k, v in kwargs.items() if k not in _OPTIONS}
    return _entry(_config(repo_or_dir, source), model)(*args, **kwargs)


def list(github: str, force_reload: bool = False, source: str = "github", **options: Any) -> Any:
    """The entry points of a folder's `hubconf.py`."""
    return [
        name
        for name, value in vars(_config(github, source)).items()
        if callable(value) and not name.startswith("_")
    ]


def help(github: str, model: str, source: str = "github", **options: Any) -> str | None:
    """The docstring of an entry point."""
    text: str | None = _entry(_config(github, source), model).__doc__
    return text


_OPTIONS = frozenset({"trust_repo", "force_reload", "verbose", "skip_validation"})


def _config(place: str, source: str) -> ModuleType:
    """A folder's `hubconf` module."""
    if source not in ("github", "local"):
        raise ValueError(f'Unknown source: "{source}". Allowed values: "github" | "local".')
    if source == "github":
        raise RuntimeError(
            f"torch.hub: {place!r} is not downloaded here. Fetch the repository yourself and give "
            'its folder: torch.hub.load(folder, name, source="local")'
        )
    folder = Path(place).expanduser()
    file = folder / "hubconf.py"
    if not file.is_file():
        raise RuntimeError(f"torch.hub: there is no {file}")
    spec = importlib.util.spec_from_file_location("hubconf", file)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"torch.hub: {file} is no module")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(folder))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    lacking = [n for n in getattr(module, "dependencies", ()) if not _installed(n)]
    if lacking:
        raise RuntimeError(f"Missing dependencies: {', '.join(lacking)}")
    return module


def _installed(name: str) -> bool:
    return name in ("torch", "torchvision") or importlib.util.find_spec(name) is not None


def _entry(module: ModuleType, name: str) -> Any:
    if not isinstance(name, str):
        raise ValueError("Invalid input: model should be a string of function name")
    found = getattr(module, name, None)
    if not callable(found):
        raise RuntimeError(f"Cannot find callable {name} in hubconf")
    return found


def _refuse(name: str, url: str) -> NoReturn:
    raise RuntimeError(
        f"torch.hub.{name}: {url} is not downloaded here. Fetch the file yourself and give its "
        "path to torch.load"
    )


def load_state_dict_from_url(url: str, model_dir: str | None = None, **options: Any) -> Any:
    """`RuntimeError`: weights are not downloaded unseen."""
    return _refuse("load_state_dict_from_url", url)


def download_url_to_file(url: str, dst: str, **options: Any) -> None:
    """`RuntimeError`: nothing is downloaded unseen."""
    _refuse("download_url_to_file", url)
