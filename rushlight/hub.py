"""`torch.hub`: models of a folder on this machine, weights of any; no repositories are fetched.

A repository's code is a program for PyTorch that would be fetched and run unseen: fetch it yourself
and give its folder, `torch.hub.load(folder, name, source="local")`.  Weights are fetched once, and
are data only.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from rushlight.io import checkpoint
from rushlight.io.atomic import replacing

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


# ---------------------------------------------------------------- weights
_HASH: Final = re.compile(r"-([a-f0-9]*)\.")
_SCHEMES: Final = frozenset({"http", "https", "file"})


def download_url_to_file(
    url: str, dst: str, hash_prefix: str | None = None, progress: bool = True
) -> None:
    """Fetch a file, which takes its place when it is whole and right.

    ``hash_prefix``: how the SHA-256 of its bytes has to begin.

    Raises:
        RuntimeError: the hash is another one, or the file ended early; OSError: what the network
            says.
    """
    import hashlib
    import urllib.parse
    import urllib.request

    scheme = urllib.parse.urlsplit(url).scheme
    if scheme not in _SCHEMES:
        raise ValueError(f"torch.hub fetches http, https and file addresses, not {url!r:.200}")
    digest = hashlib.sha256()
    request = urllib.request.Request(url, headers={"User-Agent": "torch.hub"})
    with urllib.request.urlopen(request, timeout=60) as response, replacing(dst) as file:
        length = response.headers.get("Content-Length")
        read = 0
        while chunk := response.read(1 << 20):
            digest.update(chunk)
            file.write(chunk)
            read += len(chunk)
        if length is not None and read != int(length):
            raise RuntimeError(f"{url} ended after {read} of {length} bytes")
        found = digest.hexdigest()
        if hash_prefix and not found.startswith(hash_prefix):
            raise RuntimeError(
                f'invalid hash value (expected "{hash_prefix}", got "{found[: len(hash_prefix)]}")'
            )


def load_state_dict_from_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = True,
) -> Any:
    """What a checkpoint at an address holds; the file is fetched once and kept.

    Args:
        model_dir: where it is kept; by default ``get_dir()/checkpoints``.
        check_hash: the name ends with the first digits of the file's SHA-256, as in
            ``name-<digits>.pth``, and they are checked.
        file_name: the name to keep it under.
        weights_only: as for ``torch.load``; a file from elsewhere may run no code unless this is
            False.
    """
    import urllib.parse

    folder = model_dir or os.path.join(get_dir(), "checkpoints")
    os.makedirs(folder, exist_ok=True)
    name = file_name or os.path.basename(urllib.parse.urlsplit(url).path)
    if not name or os.path.basename(name) != name:
        raise ValueError(f"{name!r} is no file name: give file_name")
    kept = os.path.join(folder, name)
    if not os.path.exists(kept):
        begin = _HASH.search(name) if check_hash else None
        print(f'Downloading: "{url}" to {kept}', file=sys.stderr)
        download_url_to_file(url, kept, begin.group(1) if begin else None, progress)
    return checkpoint.load(kept, map_location=map_location, weights_only=weights_only)
