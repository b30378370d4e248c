"""The installed package: its metadata, its builds, what importing it costs."""

import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import rushlight

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDER = Path(rushlight.__file__).resolve().parent
INSTALLED = FOLDER.parent != ROOT
BUILD = os.environ.get("RUSHLIGHT_TEST_BUILD")

installed = pytest.mark.skipif(not INSTALLED, reason="the source tree is under test")


def run_python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run this Python in the repository, with changes to its environment."""
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
        check=False,
        timeout=120,
    )


def core_modules() -> list[str]:
    """The compiled modules' files, as setup.py lists them."""
    text = "import setuptools; setuptools.setup = lambda **_: None; import runpy; "
    text += "print(*runpy.run_path('setup.py')['core_modules'](), sep='\\n')"
    done = run_python("-c", text, RUSHLIGHT_BUILD="pure")
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_core_modules_follow_the_patterns() -> None:
    modules = core_modules()
    assert all((ROOT / name).is_file() for name in modules)
    assert len(modules) == len(set(modules))
    excluded = [p[1:] for p in PROJECT["tool"]["rushlight"]["compiled"] if p.startswith("!")]
    assert not set(modules) & set(excluded)
    assert any(name.startswith("rushlight/engine/") for name in modules)


def test_no_compiled_module_lies_beside_its_source() -> None:
    """Python would take a stale one for the source."""
    assert not list((ROOT / "rushlight").rglob("*.so"))


@pytest.mark.skipif(BUILD is None, reason="no particular build was asked for")
def test_the_build_is_the_one_asked_for() -> None:
    for name in core_modules():
        spec = importlib.util.find_spec(name.removesuffix(".py").replace("/", "."))
        assert spec is not None and spec.origin is not None, name
        assert spec.origin.endswith(".so" if BUILD == "compiled" else ".py"), spec.origin


@installed
def test_metadata() -> None:
    found = importlib.metadata.metadata("rushlight")
    assert found["Version"] == PROJECT["project"]["version"]
    assert found["License-Expression"] == PROJECT["project"]["license"]
    names = {entry.name for entry in importlib.metadata.files("rushlight") or []}
    assert {"LICENSE", "NOTICE", "py.typed"} <= names


@installed
def test_every_source_file_is_installed_and_nothing_else() -> None:
    def files(folder: Path) -> dict[str, bytes]:
        return {
            p.relative_to(folder).as_posix(): p.read_bytes()
            for p in folder.rglob("*")
            if p.is_file() and p.suffix not in (".so", ".pyc")
        }

    source, there = files(ROOT / "rushlight"), files(FOLDER)
    assert source.keys() == there.keys()
    assert not [name for name in source if source[name] != there[name]], "run `make test` again"


def test_dependencies_are_those_that_are_imported() -> None:
    declared = {
        re.split(r"[^\w-]", text)[0].replace("-", "_")
        for text in PROJECT["project"]["dependencies"]
    }
    assert declared == {"numpy", "scipy", "llvmlite", "ml_dtypes", "mypy_extensions"}


def test_importing_loads_nothing_heavy() -> None:
    heavy = ["scipy", "llvmlite", "ml_dtypes", "matplotlib", "PIL", "torch", "multiprocessing"]
    heavy += ["asyncio", "urllib.request", "pandas", "numpy.random", "numpy.typing", "numpy.fft"]
    heavy += ["rushlight.nn", "rushlight.optim", "rushlight.random.draws", "rushlight.lab"]
    heavy += ["rushlight.autograd.functional", "rushlight.autograd.forward_ad", "dataclasses"]
    done = run_python(
        "-c", f"import rushlight, sys; print([m for m in {heavy} if m in sys.modules])"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({"RUSHLIGHT_BUILD": "fast"}, "expected auto, pure or compiled"),
        ({"RUSHLIGHT_BUILD": "compiled", "CC": "no-such-compiler"}, "no C compiler"),
    ],
)
def test_builds_that_cannot_be(environment: dict[str, str], wanted: str) -> None:
    done = run_python("setup.py", "--name", **environment)
    assert done.returncode != 0
    assert wanted in done.stderr


def test_without_a_compiler_the_build_is_pure() -> None:
    text = "import setuptools; setuptools.setup = lambda **_: None; import runpy; "
    text += "print(runpy.run_path('setup.py')['chosen_build']())"
    done = run_python("-c", text, RUSHLIGHT_BUILD="auto", CC="no-such-compiler")
    assert done.stdout.strip() == "pure", done.stderr
