"""Builds Rushlight: plain Python, or with the hot core compiled by mypyc as one group.

The list of compiled modules is `[tool.rushlight] compiled` in pyproject.toml. The environment
variable RUSHLIGHT_BUILD chooses:

- unset or `auto`: compile when a C compiler and Python's headers are there, else plain Python;
- `compiled`: compile, and fail when that cannot be;
- `pure`: plain Python.

Each build has its own folder, so that neither finds the other's files.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import sysconfig
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from setuptools import setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


def core_modules() -> list[str]:
    """The files to compile, in the order of the patterns in pyproject.toml."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        patterns = tomllib.load(file)["tool"]["rushlight"]["compiled"]
    chosen: dict[str, None] = {}
    for pattern in patterns:
        files = sorted(p.relative_to(ROOT).as_posix() for p in ROOT.glob(pattern.lstrip("!")))
        for name in files:
            if pattern.startswith("!"):
                chosen.pop(name, None)
            else:
                chosen[name] = None
    return list(chosen)


def missing_tool() -> str | None:
    """What compiling would lack here, or None."""
    command = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    if shutil.which(command[0]) is None:
        return f"no C compiler ({command[0]!r} is not on PATH)"
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not header.is_file():
        return f"no Python headers ({header} is missing; the package is often called python3-dev)"
    return None


def chosen_build() -> str:
    """`pure` or `compiled`, from RUSHLIGHT_BUILD and what this machine has."""
    wanted = os.environ.get("RUSHLIGHT_BUILD", "auto")
    if wanted not in ("auto", "pure", "compiled"):
        sys.exit(f"RUSHLIGHT_BUILD={wanted!r}: expected auto, pure or compiled")
    lacking = missing_tool()
    if wanted == "compiled" and lacking:
        sys.exit(
            f"RUSHLIGHT_BUILD=compiled, but there is {lacking}. "
            "Install it, or set RUSHLIGHT_BUILD=pure: the same files run as they are."
        )
    if wanted == "pure" or lacking or not core_modules():
        return "pure"
    return "compiled"


def extensions(folder: str) -> list[Any]:
    """The compiled core as extension modules."""
    # Imported here because a pure build must not need mypy at all.
    from mypyc.build import mypycify

    # The build does not read the project's mypy settings: it must depend on nothing but the files.
    options = ["--config-file=", "--ignore-missing-imports", "--follow-imports=silent"]
    modules = mypycify(
        options + core_modules(),
        opt_level="3",
        debug_level="0",
        group_name="rushlight",
        target_dir=f"{folder}/c",
        multi_file=True,
    )
    for module in modules:
        # What the files share stays inside: calls between them need no table.
        module.extra_compile_args.append("-fvisibility=hidden")
        # Contraction would let the C compiler change the bits of float arithmetic.
        module.extra_compile_args.append("-ffp-contract=off")
        for source in module.sources:
            path = Path(source)
            path.write_text(without_trashcans(path.read_text("utf-8")), "utf-8")
    return modules


def without_trashcans(text: str) -> str:
    """Generated C in which classes that the garbage collector does not know end directly.

    CPython puts objects that end deep inside others aside and links them through the collector's
    words in front of them. mypyc lets it do so for its acyclic classes too, which have no such
    words: the link would go into whatever lies in front.
    """
    out: list[str] = []
    before = ""
    direct = False
    for line in text.splitlines(keepends=True):
        words = line.strip()
        if words.startswith("CPy_TRASHCAN_BEGIN(") and before != "PyObject_GC_UnTrack(self);":
            direct = True
        elif words.startswith("CPy_TRASHCAN_END(") and direct:
            direct = False
        else:
            out.append(line)
        before = words
    return "".join(out)


class BuildExt(build_ext):
    """Compiles the files of an extension side by side."""

    def build_extensions(self) -> None:
        """Give each core a file at a time."""
        one = self.compiler.compile

        def side_by_side(sources: list[str], *args: Any, **options: Any) -> list[str]:
            largest = sorted(sources, key=os.path.getsize, reverse=True)
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                made = list(pool.map(lambda s: one([s], *args, **options), largest))
            return [name for names in made for name in names]

        self.compiler.compile = side_by_side
        super().build_extensions()


class BuildPy(build_py):
    """Copies the sources after removing what an earlier build left of deleted ones."""

    def run(self) -> None:
        """Clear the copies and what is compiled no longer, then copy afresh."""
        if not self.editable_mode:
            folder = Path(self.build_lib)
            core = set(core_modules())
            for old in folder.glob("rushlight/**/*.*"):
                name = old.relative_to(folder).as_posix().split(".")[0] + ".py"
                if old.is_file() and (old.suffix != ".so" or name not in core):
                    old.unlink()
        super().run()


# Installers run this file once or twice for the metadata alone, where nothing is compiled.
METADATA = {"egg_info", "dist_info", "sdist", "--name", "--version"}

build = chosen_build()
base = f"build/{build}"
compiling = build == "compiled" and METADATA.isdisjoint(sys.argv)
setup(
    cmdclass={"build_py": BuildPy, "build_ext": BuildExt},
    ext_modules=extensions(base) if compiling else [],
    options={"build": {"build_base": base}},
)
