"""`rushlight info`: what this machine and installation offer, for a look or a bug report."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rushlight.base.settings import NAMES, settings
from rushlight.base.target import host
from rushlight.cli.alias import VERSIONS
from rushlight.runtime import disk_cache

_LIBRARIES: Final = ("numpy", "scipy", "llvmlite", "ml_dtypes")
_PACKAGE: Final = Path(__file__).resolve().parents[1]


def show(package_version: str) -> int:
    """Print the report; the exit status."""
    for name, value in report(package_version):
        print(f"{name:<10} {value}")
    return 0


def report(package_version: str) -> Iterator[tuple[str, str]]:
    """(name, what there is), line by line."""
    core = "compiled" if any(_PACKAGE.glob("**/*.so")) else "plain Python"
    yield "rushlight", f"{package_version}, {core} core, {_PACKAGE}"
    yield "speaks", f"PyTorch {VERSIONS['torch'].partition('+')[0]}"
    system = f"{platform.system()} {platform.machine()}"
    yield "python", f"{platform.python_version()}, {platform.python_implementation()}, {system}"
    yield "libraries", ", ".join(f"{name} {_version(name)}" for name in _LIBRARIES)
    target = host()
    caches = f"L1 {target.l1 >> 10} KiB, L2 {target.l2 >> 10} KiB"
    yield "target", f"{target.cpu} ({target.isa}), {target.vector_bits}-bit vectors, {caches}"
    yield "threads", f"{_usable()} usable processors, {target.cores} physical cores"
    yield "cache", _cache()
    yield "settings", ", ".join(f"{name}={getattr(settings, name)}" for name in NAMES)


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version  # slow to import

    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def _usable() -> int:
    """Processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cache() -> str:
    root = disk_cache.directory()
    if root is None:
        return "off"
    sizes = [f.stat().st_size for f in Path(root).rglob("*") if f.is_file()]
    limit = disk_cache.SIZE_LIMIT >> 20
    return f"{root}, {len(sizes)} kernels, {sum(sizes) / 1e6:.1f} MB of {limit} MiB"
