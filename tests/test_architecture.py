"""The shape of the package: layers, sizes, docstrings, and what may be imported where."""

import ast
import functools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "rushlight"

# Bottom first. A module imports only from its own package and from those before it in this list.
LAYERS = [
    "base", "graph", "compiler", "codegen", "runtime", "engine", "random", "tensor",
    "autograd", "linalg", "sparse", "fft", "special", "signal", "masked", "distributions",
    "nn", "optim", "capture",
    "multiprocessing", "utils", "func", "testing", "io", "vision", "distributed", "amp",
    "cuda", "backends",
    "fx", "doctor", "lab", "cli",
]  # fmt: skip
LEVEL = {name: level for level, name in enumerate(LAYERS)}

# Pairs that the order alone would allow, and must not be: the engine joins these.
FORBIDDEN = {("codegen", "compiler"), ("runtime", "compiler"), ("runtime", "codegen")}

# What stands above the public namespace, and may import it.
ABOVE = {"fx", "doctor", "lab", "cli"}

# What `import rushlight` may load from outside the standard library.
EAGER = {"numpy", "mypy_extensions"}
# What may be imported inside functions: heavy or optional.
LAZY = {
    "scipy", "llvmlite", "ml_dtypes", "matplotlib", "PIL", "tqdm", "rich", "safetensors", "onnx",
    "pandas", "pyarrow", "mpi4py", "cupy", "cuda", "nvidia", "tensorboard", "IPython", "numpy",
}  # fmt: skip
# Standard modules that are slow to import, or needed in one case only.
LAZY_STANDARD = {
    "asyncio", "concurrent", "ctypes", "doctest", "http", "importlib", "inspect", "json",
    "multiprocessing", "pdb", "pickle", "runpy", "shutil", "signal", "socket", "ssl", "subprocess",
    "tempfile", "tkinter", "traceback", "urllib", "webbrowser", "zipfile", "gzip", "tarfile",
    "hashlib", "csv", "difflib", "sqlite3", "xml", "zlib", "lzma", "bz2", "platform", "email",
    "warnings", "copy", "textwrap", "linecache",
}  # fmt: skip

# Modules that may touch the network, and those that may read pickles.
NETWORK = {"socket", "ssl", "http", "urllib", "ftplib", "smtplib", "xmlrpc", "requests", "httpx"}
NETWORK_ALLOWED = ("vision/", "io/", "utils/", "distributed/", "hub.py", "hub/", "lab/")
PICKLE = {"pickle", "cPickle", "dill", "marshal", "shelve", "cloudpickle", "joblib"}
PICKLE_ALLOWED = ("io/", "utils/data/", "distributed/", "vision/")

LINES = 600


@dataclass(frozen=True)
class Import:
    """One imported module: where, what, and in which circumstances."""

    file: str
    line: int
    target: str
    late: bool

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.target}{' late' if self.late else ''}"


def package_files() -> list[Path]:
    """Every Python file of the package."""
    return sorted(p for p in PACKAGE.rglob("*.py") if "__pycache__" not in p.parts)


@functools.cache
def tree_of(path: Path) -> ast.Module:
    """A file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def is_type_checking(test: ast.expr) -> bool:
    """Whether an `if` is `TYPE_CHECKING`."""
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def walk_imports(node: ast.AST, late: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Import statements under `node`, with whether they run late; type-only ones are left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, late
        elif isinstance(child, ast.If) and is_type_checking(child.test):
            for other in child.orelse:
                yield from walk_imports(ast.Module(body=[other], type_ignores=[]), late)
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from walk_imports(child, late or inside)


def is_module(dotted: str, root: Path) -> bool:
    """Whether a dotted name is a module or package under `root`."""
    path = root.joinpath(*dotted.split("."))
    return path.with_suffix(".py").is_file() or path.is_dir()


def imports_of(path: Path, root: Path = ROOT) -> list[Import]:
    """What a file imports, as absolute dotted names."""
    relative = path.relative_to(root)
    package = list(relative.parts[:-1])
    found: list[Import] = []
    for node, late in walk_imports(tree_of(path), False):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        else:
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join(base + ([node.module] if node.module else []))
            # `from a import b` imports the module a.b where there is one.
            targets = [
                f"{origin}.{alias.name}" if is_module(f"{origin}.{alias.name}", root) else origin
                for alias in node.names
            ]
        found += [
            Import(relative.as_posix(), node.lineno, target, late)
            for target in dict.fromkeys(targets)
        ]
    # `later("rushlight.x")` counts as an import at the top of the file.
    for call in ast.walk(tree_of(path)):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "later":
            name = ast.literal_eval(call.args[0])
            found.append(Import(relative.as_posix(), call.lineno, name, False))
    return found


@functools.cache
def all_imports() -> list[Import]:
    """The imports of the whole package."""
    return [found for path in package_files() for found in imports_of(path)]


def own_package(file: str) -> str | None:
    """The layer of a file: its first folder, or its name when it stands at the top."""
    parts = Path(file).parts[1:]
    if len(parts) > 1:
        return parts[0]
    name = Path(parts[0]).stem
    return name if name in LEVEL else None


def layer_error(found: Import) -> str | None:
    """What is wrong with an import between layers, or None."""
    if found.target.split(".")[0] != "rushlight":
        return None
    own = own_package(found.file)
    if own is None:
        # The public namespace: it may import every layer.
        return None
    parts = found.target.split(".")
    if len(parts) == 1:
        return None if own in ABOVE else f"{found}: a layer must not import the public namespace"
    other = parts[1]
    if own == other:
        return None
    if own not in LEVEL:
        return f"{found.file}: {own!r} is not in the list of layers"
    if other not in LEVEL:
        return f"{found}: {other!r} is not in the list of layers"
    if found.late:
        return f"{found}: layers are not imported inside functions"
    if LEVEL[other] >= LEVEL[own]:
        return f"{found}: {other} is not below {own}"
    if (own, other) in FORBIDDEN:
        return f"{found}: {own} and {other} are joined by the engine only"
    return None


def third_party_error(found: Import) -> str | None:
    """What is wrong with an import from outside the package, or None."""
    top = found.target.split(".")[0]
    if top in ("rushlight", "__future__"):
        if top == "rushlight" and found.late and own_package(found.file) is not None:
            return f"{found}: Rushlight's own modules are not imported inside functions"
        return None
    if top in ("torch", "torchvision", "torchaudio", "tensorflow", "jax", "mypy", "mypyc"):
        return f"{found}: never imported by the package"
    if top in sys.stdlib_module_names:
        if found.late and top not in LAZY_STANDARD:
            return f"{found}: belongs at the top of the file"
        return None
    if found.late:
        return None if top in LAZY else f"{found}: not in the list of optional packages"
    return None if top in EAGER else f"{found}: must be imported when first used"


def privilege_error(found: Import) -> str | None:
    """Network or unpickling where it has no business."""
    top = found.target.split(".")[0]
    inner = found.file.removeprefix("rushlight/")
    if top in NETWORK and not inner.startswith(NETWORK_ALLOWED):
        return f"{found}: this layer does not touch the network"
    if top in PICKLE and not inner.startswith(PICKLE_ALLOWED):
        return f"{found}: this layer does not read pickles"
    return None


@pytest.mark.parametrize("rule", [layer_error, third_party_error, privilege_error])
def test_imports(rule) -> None:
    errors = [error for found in all_imports() if (error := rule(found))]
    assert not errors, "\n" + "\n".join(errors)


def test_the_package_was_read() -> None:
    assert len(package_files()) > 5
    assert any(found.target.startswith("rushlight.base") for found in all_imports())


def test_file_sizes() -> None:
    sizes = {p.relative_to(ROOT): len(p.read_text().splitlines()) for p in package_files()}
    assert not {p: n for p, n in sizes.items() if n > LINES}


def test_module_docstrings() -> None:
    bare = [
        p.relative_to(ROOT).as_posix() for p in package_files() if not ast.get_docstring(tree_of(p))
    ]
    assert not bare


def test_every_folder_is_a_package() -> None:
    folders = {p.parent for p in package_files()}
    assert not [f.relative_to(ROOT).as_posix() for f in folders if not (f / "__init__.py").exists()]


def test_no_unsafe_calls() -> None:
    """No `eval`, `exec` or `os.system`, but where programs are run or NumPy code is written."""
    allowed = ("rushlight/cli/", "rushlight/lab/", "rushlight/engine/eager_numpy.py")
    allowed += ("rushlight/utils/benchmark/timer.py",)  # the statements that it times
    allowed += ("rushlight/fx/module.py",)  # the code of a graph
    errors = []
    for path in package_files():
        name = path.relative_to(ROOT).as_posix()
        if name.startswith(allowed):
            continue
        for node in ast.walk(tree_of(path)):
            if not isinstance(node, ast.Call):
                continue
            call = ast.unparse(node.func)
            if call in ("eval", "exec", "os.system", "os.popen"):
                errors.append(f"{name}:{node.lineno} calls {call}")
    assert not errors, "\n" + "\n".join(errors)


# ---- the rules themselves, on planted mistakes ------------------------------------------------


def planted(tmp_path: Path, name: str, text: str) -> list[str]:
    """The errors that all rules find in one planted file."""
    for folder in ("base", "graph", "compiler", "codegen", "engine", "vision", "utils/data"):
        (tmp_path / "rushlight" / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "rushlight" / folder / "__init__.py").write_text("")
    (tmp_path / "rushlight" / "engine" / "recorder.py").write_text("")
    path = tmp_path / "rushlight" / name
    path.write_text(text)
    rules = (layer_error, third_party_error, privilege_error)
    return [e for found in imports_of(path, tmp_path) for rule in rules if (e := rule(found))]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("base/x.py", "from rushlight.graph import node"),
        ("base/x.py", "from ..graph import node"),
        ("base/x.py", "from .. import graph"),
        ("graph/x.py", "import rushlight"),
        ("codegen/x.py", "from rushlight.compiler import loops"),
        ("graph/x.py", "def f():\n    from rushlight.engine import recorder"),
        ("graph/x.py", "from rushlight import engine"),
        ("graph/x.py", "x = later('rushlight.codegen.llvm')"),
        ("codegen/x.py", "def f():\n    return later('rushlight.compiler')"),
        ("graph/x.py", "if True:\n    import rushlight.engine.recorder"),
        ("graph/x.py", "import torch"),
        ("graph/x.py", "def f():\n    import torch.nn"),
        ("graph/x.py", "import scipy.special"),
        ("graph/x.py", "def f():\n    import requests_of_nobody"),
        ("graph/x.py", "def f():\n    import math"),
        ("graph/x.py", "import urllib.request"),
        ("graph/x.py", "import pickle"),
        ("unknown/x.py", "from rushlight.base import dtype"),
    ],
)
def test_planted_mistakes_are_found(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "rushlight" / name).parent.mkdir(parents=True)
    assert planted(tmp_path, name, text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("graph/x.py", "from rushlight.base import dtype\nfrom . import node\nimport numpy as np"),
        ("graph/x.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import scipy"),
        ("graph/x.py", "def f():\n    import scipy.special\n    import subprocess"),
        ("engine/x.py", "from rushlight.compiler import loops\nfrom rushlight.codegen import text"),
        ("engine/x.py", "llvm = later('rushlight.codegen.llvm')"),
        ("vision/x.py", "import urllib.request\nfrom rushlight.utils.data import Dataset"),
        ("utils/data/x.py", "import pickle"),
        ("__init__.py", "from rushlight.engine import recorder"),
    ],
)
def test_right_imports_pass(tmp_path: Path, name: str, text: str) -> None:
    assert planted(tmp_path, name, text) == []
